"""A hospital is removed in the middle of a study, on real processes: out at once, recorded on both sides, out after a restart."""

from __future__ import annotations

import json

import pytest
from flower_processes import eventually
from ward_on_processes import Ward, no_trace

from coordinator.journal.chronicle import read_chronicle
from coordinator.studies import find_study
from wardround.supervision.house import read_state

pytestmark = pytest.mark.faults

SOON_SECONDS = 40.0


def test_a_hospital_is_removed_while_a_study_runs(ward: Ward) -> None:
    """The study ends partial, without it from the next round on; its node is kept out, says so, and stays out."""
    gamma = ward.hospitals[2]
    ward.start_all()
    rounds = {"maximum": 25, "deadline_seconds": 60, "retries": 1}
    bundle = ward.build(rounds=rounds, silos={"minimum": 2}, convergence={"patience": 25})
    ward.approve(bundle)
    ward.submit(bundle)
    ward.until(lambda state: state.round >= 2)
    ward.command("coordinator", "remove", "gamma", "--dir", ward.centre, "--reason", "test", "--yes")

    state = ward.ended()
    assert state.phase == "partial"
    assert set(ward.codes(state, "gamma")) == {"R-REMOVED"}
    assert not ward.codes(state, "alpha")
    folder, _ = find_study(ward.centre, "trial")
    counted = ["gamma" in {each.site for each in visit.counted} for visit in read_chronicle(folder.path, folder.path.name).visits]
    assert counted == sorted(counted, reverse=True)
    assert 2 <= sum(counted) < len(counted)  # statistics and round 1; in round 2 it may be out before its answer counts

    def kept_out() -> str | None:
        answer = ward.wardround("silo", "status", "--site", gamma.site, "--format", "json")
        since: str | None = json.loads(answer.out)["kept_out_since"]
        return since

    eventually(kept_out, SOON_SECONDS, "the hospital knows")
    log = (gamma.folder / "logs" / "node.log").read_text()
    assert log.count("N-REFUSED") == 1
    node = read_state(gamma.folder / "run")
    assert node is not None
    assert {each.name: each.state for each in node.processes}["trainer"] == "ready"

    ward.services["centre"].end()
    ward.start_centre().up()
    for hospital in ward.hospitals[:2]:
        ward.whole(hospital)
    assert kept_out()
    assert (
        "Let in again"
        in ward.command("coordinator", "enrol", gamma.folder / "request.json", "--dir", ward.centre, "--again", "--yes").out
    )
    ward.whole(gamma)
    assert not kept_out()
    for service in ward.services.values():
        assert no_trace(service.said)
