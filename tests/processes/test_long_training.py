"""Training that takes much longer than a visit: it shows progress, ends well, or is withdrawn, and the node stays there."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import numpy as np
import pytest
from flower_processes import eventually
from hospitals_on_disk import FEATURES, Hospital
from ledgers import ledger_of
from ward_on_processes import Ward, make_ward

from coordinator.studies import StudyState
from silo_node.training.encode import TableExamples
from silo_node.training.loop import train
from silo_node.training.losses import BinaryCrossEntropy
from wardround.models.build import build_network
from wardround.study.model import Network, Optimiser, Training
from wardround.study.shape import Shape

pytestmark = pytest.mark.faults

EPOCHS = 1000
LONG_TRAINING = {"optimiser": {"learning_rate": 0.0001}, "batch_size": 1, "local_epochs": EPOCHS}
"""Every record a batch of its own: much longer than the visits of one second."""
WITHDRAWN_SECONDS = 10.0
STOCK_WITHDRAWN_SECONDS = 25.0
"""A withdrawal is delivered when the visit that is under way has ended, after 15 seconds at most."""
EPOCH_SECONDS = 75.0
WIDE = (2048, 1024)
MEASURED_STEPS = 300


def epoch(state: StudyState) -> int:
    """Give the least epoch that the centre saw of the hospitals at work; 0 when one showed none."""
    found = [re.fullmatch(rf"epoch (\d+) of {EPOCHS}, \d+ %", silo.activity) for silo in state.silos]
    return min(int(match[1]) if match else 0 for match in found)


def entries(hospital: Hospital, event: str) -> list[dict[str, object]]:
    """Give the ledger's entries of one kind."""
    return [entry for entry in ledger_of(hospital.folder) if entry["event"] == event]


def begin(ward: Ward, name: str, hospitals: list[Hospital], deadline: float, **changes: object) -> None:
    """Build, approve and submit a study of one round and no repeats."""
    rounds = {"maximum": 1, "deadline_seconds": deadline, "retries": 0}
    bundle = ward.build(name, hospitals, rounds=rounds, **changes)
    ward.approve(bundle, hospitals)
    ward.submit(bundle)


def rounds_of(ward: Ward, state: StudyState) -> list[dict[str, Any]]:
    """Give the rounds of a study that has ended, from its history."""
    visits = json.loads((ward.centre / str(state.release) / "history.json").read_text())["visits"]
    return [visit for visit in visits if visit["purpose"] == "round"]


def percents(state: StudyState) -> list[int]:
    """Give how much of its one epoch each hospital at work has done."""
    found = [re.fullmatch(r"epoch 1 of 1, (\d+) %", silo.activity) for silo in state.silos]
    return [int(match[1]) for match in found if match]


def steps_in(seconds: float) -> int:
    """Measure how many steps of the wide training take so much processor time here."""
    random = np.random.default_rng(0)
    few = TableExamples(
        random.normal(size=(MEASURED_STEPS, len(FEATURES))).astype(np.float32), random.random(MEASURED_STEPS) < 0.5
    )
    network = build_network(Network(name="FullyConnectedNet", arguments={"hidden_channels": WIDE}), Shape.of_table(len(FEATURES)))
    how = Training(optimiser=Optimiser(learning_rate=0.00001), batch_size=1)
    train(network, few, how, BinaryCrossEntropy(), seed=0)  # the first pays for imports
    begun = time.process_time()
    train(network, few, how, BinaryCrossEntropy(), seed=0)
    return round(seconds * MEASURED_STEPS / (time.process_time() - begun))


def test_one_epoch_of_more_than_a_minute(tmp_path, wardround, capsys) -> None:
    """With stock visits, one local epoch of real work beyond 60 s shows rising percentages, keeps its node connected, and
    counts; a second one is withdrawn in mid-epoch, and the node serves the next study at once."""
    size = round(steps_in(EPOCH_SECONDS) / 0.6)
    ward = make_ward(tmp_path, wardround, (size, size))
    try:
        figures = one_long_epoch(ward)
    finally:
        ward.stop()
    with capsys.disabled():
        print(*figures, sep="\n")


def one_long_epoch(ward: Ward) -> list[str]:
    """The long study, the withdrawn one, and a short one after them; gives what is worth a line on the terminal."""
    figures: list[str] = []
    ward.start_all()
    services = [ward.services[hospital.folder.name] for hospital in ward.hospitals]
    nodes = [service.processes() for service in services]
    wide = {
        "network": {"name": "FullyConnectedNet", "arguments": {"hidden_channels": list(WIDE)}},
        "training": {"optimiser": {"learning_rate": 0.00001}, "batch_size": 1, "local_epochs": 1},
    }

    begin(ward, "minute", ward.hospitals, 900.0, **wide)
    seen: list[list[int]] = []

    def look(state: StudyState) -> bool:
        found = percents(state)
        if len(found) == len(nodes) and found not in seen:
            seen.append(found)
        return state.phase not in ("submitted", "running")

    state = ward.until(look, "minute", 900.0)
    assert state.phase == "complete", state
    (visit,) = rounds_of(ward, state)
    for at, silo in enumerate(visit["silos"]):
        shown = [found[at] for found in seen]
        figures.append(f"{silo['site']}: one local epoch in {silo['seconds']:.1f} s, shown at {shown} %")
        assert silo["status"] == "counted"
        assert silo["seconds"] > 60.0, "a local epoch of a minute at least"
        assert shown == sorted(shown)
        assert len(set(shown)) > 2
    assert [service.processes() for service in services] == nodes, "the SuperNode and all others, never started anew"

    begin(ward, "hasty", ward.hospitals, 40.0, **wide)
    ward.until(lambda state: min(percents(state), default=0) > 0, "hasty")
    state = ward.ended("hasty")
    closed = time.monotonic()
    assert [each["outcome"] for each in rounds_of(ward, state)] == ["failed"]
    for hospital in ward.hospitals:
        assert ward.codes(state, hospital.folder.name) == ["R-SILENT"]
        codes = eventually(
            lambda each=hospital: [entry["code"] for entry in entries(each, "refusal")], STOCK_WITHDRAWN_SECONDS, "the withdrawal"
        )
        assert codes == ["H-WITHDRAWN"]
    figures.append(f"withdrawn in mid-epoch within {time.monotonic() - closed:.1f} s of the study's end")
    begin(ward, "next", ward.hospitals, 60.0)
    assert ward.ended("next").phase == "complete"
    assert [service.processes() for service in services] == nodes
    return figures


def test_progress_withdrawal_and_a_node_that_stays(ward: Ward) -> None:
    """The centre sees epoch after epoch; past the deadline the work is withdrawn and the next study is served at once."""
    pair = ward.hospitals[:2]
    ward.start_centre().up()
    services = [ward.start_hospital(hospital, "--visit-seconds", 1) for hospital in pair]
    for service in services:
        service.up()
    nodes = [service.processes() for service in services]

    begin(ward, "patient", pair, 120.0, training=LONG_TRAINING)
    seen = epoch(ward.until(lambda state: epoch(state) > 0, "patient"))
    assert ward.until(lambda state: epoch(state) > seen, "patient").phase == "running"
    assert ward.ended("patient").phase == "complete"
    for hospital in pair:
        epochs = [entry["epoch"] for entry in entries(hospital, "working")]
        assert len(epochs) > 2
        assert epochs == sorted(epochs)

    begin(ward, "hasty", pair, 5.0, training=LONG_TRAINING)
    ward.until(lambda state: epoch(state) > 0, "hasty")
    state = ward.ended("hasty")
    assert state.phase == "failed", state
    for hospital in pair:
        assert ward.codes(state, hospital.folder.name) == ["R-SILENT"]
        codes = eventually(
            lambda each=hospital: [entry["code"] for entry in entries(each, "refusal")], WITHDRAWN_SECONDS, "the withdrawal"
        )
        assert codes == ["H-WITHDRAWN"]

    begin(ward, "next", pair, 15.0)
    assert ward.ended("next").phase == "complete"
    assert [service.processes() for service in services] == nodes, "the very same processes, never started anew"
    for hospital in pair:
        assert ward.wardround("silo", "status", "--site", hospital.site).status == 0
