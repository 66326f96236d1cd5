"""Training that takes much longer than a visit: it shows progress, ends well, or is withdrawn, and the node stays there."""

from __future__ import annotations

import re

import pytest
from flower_processes import eventually
from hospitals_on_disk import Hospital
from ward_on_processes import Ward

from coordinator.studies import StudyState
from wardround.chain import read_chain

pytestmark = pytest.mark.faults

EPOCHS = 1000
LONG_TRAINING = {"optimiser": {"learning_rate": 0.0001}, "batch_size": 1, "local_epochs": EPOCHS}
"""Every record a batch of its own: much longer than the visits of one second."""
WITHDRAWN_SECONDS = 10.0


def epoch(state: StudyState) -> int:
    """Give the least epoch that the centre saw of the hospitals at work; 0 when one showed none."""
    found = [re.fullmatch(rf"epoch (\d+) of {EPOCHS}", silo.activity) for silo in state.silos]
    return min(int(match[1]) if match else 0 for match in found)


def entries(hospital: Hospital, event: str) -> list[dict[str, object]]:
    """Give the ledger's entries of one kind."""
    links = read_chain(hospital.folder / "ledger" / "ledger.jsonl")
    return [link.entry for link in links if link.entry["event"] == event]


def begin(ward: Ward, name: str, hospitals: list[Hospital], deadline: float, training: dict[str, object] | None) -> None:
    """Build, approve and submit a study of one round and no repeats."""
    changes = {} if training is None else {"training": training}
    rounds = {"maximum": 1, "deadline_seconds": deadline, "retries": 0}
    bundle = ward.build(name, hospitals, rounds=rounds, **changes)
    ward.approve(bundle, hospitals)
    ward.submit(bundle)


def test_progress_withdrawal_and_a_node_that_stays(ward: Ward) -> None:
    """The centre sees epoch after epoch; past the deadline the work is withdrawn and the next study is served at once."""
    pair = ward.hospitals[:2]
    ward.start_centre().up()
    services = [ward.start_hospital(hospital, "--visit-seconds", 1) for hospital in pair]
    for service in services:
        service.up()
    nodes = [service.processes() for service in services]

    begin(ward, "patient", pair, 120.0, LONG_TRAINING)
    seen = epoch(ward.until(lambda state: epoch(state) > 0, "patient"))
    assert ward.until(lambda state: epoch(state) > seen, "patient").phase == "running"
    assert ward.ended("patient").phase == "complete"
    for hospital in pair:
        epochs = [entry["epoch"] for entry in entries(hospital, "working")]
        assert len(epochs) > 2
        assert epochs == sorted(epochs)

    begin(ward, "hasty", pair, 5.0, LONG_TRAINING)
    ward.until(lambda state: epoch(state) > 0, "hasty")
    state = ward.ended("hasty")
    assert state.phase == "failed", state
    for hospital in pair:
        assert ward.codes(state, hospital.folder.name) == ["R-SILENT"]
        codes = eventually(
            lambda each=hospital: [entry["code"] for entry in entries(each, "refusal")], WITHDRAWN_SECONDS, "the withdrawal"
        )
        assert codes == ["H-WITHDRAWN"]

    begin(ward, "next", pair, 15.0, None)
    assert ward.ended("next").phase == "complete"
    assert [service.processes() for service in services] == nodes, "the very same processes, never started anew"
    for hospital in pair:
        assert ward.wardround("silo", "status", "--site", hospital.site).status == 0
