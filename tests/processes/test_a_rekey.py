"""A hospital renews its keys in the middle of a study, on real processes: nobody misses a round, and the old keys are out."""

from __future__ import annotations

import json
import shutil

import pytest
from flower_processes import eventually
from ward_on_processes import Ward, no_trace

from coordinator.journal.chronicle import read_chronicle
from coordinator.studies import find_study
from silo_node.flower.enrolled import ask_enrolled

pytestmark = pytest.mark.faults

ROUNDS = 40


def test_a_hospital_renews_its_keys_while_a_study_runs(ward: Ward) -> None:
    """The study ends complete with every hospital in every round; ledger and journal agree; a new study takes the new keys."""
    gamma = ward.hospitals[2]
    old = ward.folder / "old"
    shutil.copytree(gamma.folder / "keys", old / "keys")
    shutil.copy(gamma.folder / "request.json", old)
    ward.start_all()
    rounds = {"maximum": ROUNDS, "deadline_seconds": 60, "retries": 2}
    bundle = ward.build(rounds=rounds, convergence={"patience": ROUNDS})
    ward.approve(bundle)
    ward.submit(bundle)
    ward.until(lambda state: state.round >= 2)

    ward.command("silo", "rekey", "--site", gamma.site)
    ward.command("coordinator", "enrol", gamma.folder / "rekey" / "succession.json", "--dir", ward.centre, "--yes")
    invitation = ward.centre / "invitations" / "gamma.json"
    assert "V-RUNNING" in ward.wardround("silo", "join", invitation, "--site", gamma.site).err
    here = ward.until(lambda state: state.round >= 2).round
    ward.until(lambda state: state.round > here or state.phase != "running")  # it goes on with the old keys meanwhile
    state = ward.state()
    assert state is not None
    assert state.phase == "running", "the study was over before the keys were taken up"
    assert ward.services["gamma"].end() == 0
    ward.command("silo", "join", invitation, "--site", gamma.site)
    ward.start_hospital(gamma).up()

    state = ward.ended()
    assert state.phase == "complete", state
    assert not any(ward.codes(state, site) for site in ("alpha", "beta", "gamma"))
    assert (ward.centre / "silos" / "gamma.succession-1.taken.json").exists()
    folder, _ = find_study(ward.centre, "trial")
    visits = [visit for visit in read_chronicle(folder.path, folder.path.name).visits if visit.counted]
    assert {tuple(sorted(each.site for each in visit.counted)) for visit in visits} == {("alpha", "beta", "gamma")}
    assert len(visits) >= ROUNDS

    address, authority = f"localhost:{ward.port}", gamma.folder / "config" / "authority.pem"
    eventually(lambda: ask_enrolled(address, authority, gamma.folder / "keys" / "node.key") == "yes", what="the new key is in")
    assert ask_enrolled(address, authority, old / "keys" / "node.key") == "no"
    for name in ("signing.pem", "encryption.pem", "node.key"):
        assert (gamma.folder / "keys" / name).read_bytes() != (old / "keys" / name).read_bytes()
    verified = ("silo", "ledger", "verify", "--copy", gamma.folder / "ledger", "--identity")
    for identity in (old / "request.json", gamma.folder / "request.json"):
        assert json.loads(ward.command(*verified, identity, "--format", "json").out)["events"]["rekey"] == 1
    ward.command("coordinator", "reconcile", "trial", "--dir", ward.centre, "--silo", "gamma", "--ledger", gamma.folder)

    bundle = ward.build("second", rounds={"maximum": 2, "deadline_seconds": 60, "retries": 1})
    ward.approve(bundle)
    ward.submit(bundle)
    assert ward.ended("second").phase == "complete"
    for service in ward.services.values():
        assert no_trace(service.said)
