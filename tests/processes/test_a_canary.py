"""A canary on the processes that hospitals and centre run: who is ready, who is not, and a study that passes as ever."""

from __future__ import annotations

import json
import re
from pathlib import Path

from hospitals_on_disk import Command
from ledgers import ledger_of
from ward_on_processes import Ward

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "run-a-centre.md"
SECTION = re.compile(r"^## Try the hospitals first$.*?^## ", re.MULTILINE | re.DOTALL)


def documented(ward: Ward, word: str) -> list[str]:
    """Give a command of the how-to, for this study and centre."""
    section = SECTION.search(PAGE.read_text())
    assert section is not None
    (line,) = re.findall(rf"^\$ wardround (coordinator {word} .*)$", section[0], re.MULTILINE)
    known = {"centre": str(ward.centre), "first-round.wardround": str(ward.folder / "first-round.wardround")}
    return [known.get(each, each) for each in line.split()]


def events(ward: Ward) -> list[list[str]]:
    """Give what stands in the hospitals' ledgers, but for offers and how the trainer is confined."""
    ledgers = [ledger_of(hospital.folder) for hospital in ward.hospitals]
    return [[entry["event"] for entry in ledger if entry["event"] not in ("offer", "confinement")] for ledger in ledgers]


def test_who_is_ready_before_the_first_round(ward: Ward, wardround: Command) -> None:
    """With the how-to's commands: one has not approved, then all are ready, one is away; then the study ends complete."""
    ward.start_all()
    bundle = ward.build("first-round")
    ward.command(*documented(ward, "submit"))
    ward.until(lambda state: all(silo.offer == "waiting" for silo in state.silos), "first-round")
    ward.approve(bundle, ward.hospitals[:2])

    some = wardround(*documented(ward, "canary"), "--format", "json")
    assert some.status == 1, some
    assert [silo["codes"] for silo in some.json()["silos"]] == [[], [], ["H-STUDY"]]
    assert events(ward) == [["canary"], ["canary"], ["refusal"]]

    ward.approve(bundle, ward.hospitals[2:])
    ward.until(lambda state: all(silo.offer == "approved" for silo in state.silos), "first-round")
    found = ward.command(*documented(ward, "canary"), "--format", "json").json()
    assert found["ready"]
    assert found["deadline"]["seconds"] >= 60
    for silo in found["silos"]:
        figures = silo["figures"]
        assert figures["same_version"]
        assert figures["other_packages"] == 0
        assert 0 < figures["step_us"] < 10**6
        assert figures["available_mib"] > figures["needed_mib"]
        assert figures["disk_mib"] > 100
        assert abs(silo["ahead_seconds"]) <= silo["unsure_seconds"] + 0.1, "one machine has one clock"
        assert silo["transport_seconds"] < silo["round_trip_seconds"] < 20
        assert silo["bytes_down"] > 500
    (kept,) = ward.centre.glob("studies/*/canary.json")
    assert json.loads(kept.read_text())["request"] == found["request"]
    state = ward.state("first-round")
    assert state is not None
    assert (state.phase, state.round) == ("submitted", 0), "a held study waits, whatever its canaries say"

    gone = ward.hospitals[2]
    assert ward.services[gone.folder.name].end() == 0
    away = wardround(*documented(ward, "canary"), "--seconds", "8")
    assert away.status == 1
    assert re.search(rf"^{gone.folder.name} +R-SILENT", away.out, re.MULTILINE), away.out
    ward.start_hospital(gone).up()

    ward.command(*documented(ward, "begin"))
    ended = ward.ended("first-round")
    assert ended.phase == "complete", ended
    visits = json.loads((ward.centre / str(ended.release) / "history.json").read_text())["visits"]
    assert [each.count("release") for each in events(ward)] == [len(visits)] * 3
