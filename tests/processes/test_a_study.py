"""Whole studies on the processes that hospitals and centre run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from hospitals_on_disk import Command
from ledgers import entries_of, ledger_of
from ward_on_processes import Ward, no_trace

from wardround.identity.roster import Member, read_party
from wardround.study.bundle import bundle_bytes, read_bundle


def comparable(history: dict) -> list[dict]:
    """Give the round records but for times, and for what approvals differ in."""
    records = []
    for record in history["visits"]:
        silos = [
            {key: value for key, value in silo.items() if key not in ("seconds", "bytes_up", "bytes_down")}
            for silo in record["silos"]
        ]
        records.append({**{key: value for key, value in record.items() if key != "seconds"}, "silos": silos})
    return records


def test_the_same_as_in_one_process(ward: Ward, wardround: Command) -> None:
    """The bundle comes over the channel, each hospital approves, the study completes; simulate gives the same weights."""
    ward.start_all()
    bundle = ward.build()
    ward.submit(bundle)
    ward.until(lambda state: all(silo.offer == "waiting" for silo in state.silos))
    for hospital in ward.hospitals:
        (entry,) = ward.command("silo", "studies", "--site", hospital.site, "--format", "json").json()["studies"]
        assert (entry["name"], entry["state"]) == ("trial", "waiting")
        inbox = hospital.folder / "inbox" / f"{entry['study_hash']}.wardround"
        kept = read_bundle(inbox)
        assert kept.submission is not None
        assert bundle_bytes(replace(kept, submission=None)) == bundle.read_bytes(), (
            "what the author sent, and the centre's signature"
        )
        ward.command("silo", "approve", inbox, "--site", hospital.site, "--approver", "Dr A", "--role", "DPO")
    state = ward.ended()
    assert state.phase == "complete", state
    status = wardround("coordinator", "status", ward.centre, "--format", "json")
    assert status.status == 0
    assert [study["phase"] for study in status.json()["studies"]] == ["complete"]
    for hospital in ward.hospitals:
        assert wardround("silo", "status", "--site", hospital.site).status == 0
    left = [process for service in ward.services.values() for process in service.processes()]
    assert len(left) == 2 + 3 * len(ward.hospitals)
    for name, service in reversed(ward.services.items()):
        assert service.end() == 0, name
        assert no_trace(service.said)
    assert not [process for process in left if Path(f"/proc/{process}").exists()], "no orphan"
    for hospital in ward.hospitals:  # the very same study, in one process
        (hospital.folder / "ledger").rename(hospital.folder / "before")
    sites = [word for hospital in ward.hospitals for word in ("--site", hospital.site)]
    ward.command("simulate", bundle, *sites, "--out", ward.folder / "out", "--centre", ward.centre)
    deployed = ward.centre / str(state.release)
    simulated = ward.folder / "out" / "release"
    for name in ("model.safetensors", "last.safetensors", "encoding.json"):
        assert (deployed / name).read_bytes() == (simulated / name).read_bytes(), name
    histories = [json.loads((folder / "history.json").read_text()) for folder in (deployed, simulated)]
    assert comparable(histories[0]) == comparable(histories[1])
    for hospital in ward.hospitals:
        public = read_party(hospital.folder / "request.json", Member).signing_key
        events = [entry["event"] for entry in entries_of(hospital.folder / "before", public)]
        assert events.count("release") == len(histories[0]["visits"])


def test_a_stranger_gets_no_weights_and_a_rejection_is_heard(ward: Ward) -> None:
    """A hospital that is enrolled but not on the study's roster is sent nothing; one that rejects makes it partial."""
    ward.start_all()
    invited, stranger = ward.hospitals[:2], ward.hospitals[2]
    bundle = ward.build("small", invited, silos={"minimum": 1})
    ward.approve(bundle, invited[:1])
    ward.command("silo", "reject", bundle, "--site", invited[1].site, "--reason", "effort")
    ward.submit(bundle)
    state = ward.ended("small")
    assert state.phase == "partial", state
    assert [(silo.site, silo.offer) for silo in state.silos] == [("alpha", "approved"), ("beta", "rejected")]
    history = json.loads((ward.centre / str(state.release) / "history.json").read_text())
    assert {silo["code"] for record in history["visits"] for silo in record["silos"] if silo["site"] == "beta"} == {"H-STUDY"}
    assert not list((stranger.folder / "inbox").glob("*.wardround"))
    assert [entry["event"] for entry in ledger_of(stranger.folder)] == ["confinement"]
