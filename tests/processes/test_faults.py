"""Hospitals that lie, freeze or die in the middle of a study, and processes that are killed and come back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from flower_processes import eventually
from hospitals_on_disk import Answer, Hospital
from ledgers import ledger_of
from ward_on_processes import Service, Ward, no_trace, wait

from coordinator.studies import StudyState

pytestmark = pytest.mark.faults

LIAR = Path(__file__).parents[1] / "tools" / "rogue_hospital.py"
SILENT_SECONDS = 10.0
SLOW_TRAINING = {"optimiser": {"learning_rate": 0.01}, "batch_size": 2, "local_epochs": 1000}
"""Some seconds for each round: time to do something to a hospital in the middle of it."""
INTO_TRAINING_SECONDS = 1.0
"""How long after a round's beginning a hospital is at its training."""
MODEL_FILES = ("model.safetensors", "last.safetensors", "encoding.json")


def begin(ward: Ward, name: str, hospitals: list[Hospital], **changes: object) -> None:
    """Build a study for some hospitals, have it approved by them, and submit it."""
    bundle = ward.build(name, hospitals, **changes)
    ward.approve(bundle, hospitals)
    ward.submit(bundle)


def in_round(ward: Ward, name: str) -> None:
    """Wait until a study is in the middle of its first round."""
    ward.until(lambda state: state.purpose == "round", name)
    wait(INTO_TRAINING_SECONDS)


def agree(ward: Ward, state: StudyState, exit_status: int) -> None:
    """State, release, `coordinator status` and `watch --until-done` say the same."""
    release = ward.centre / str(state.release)
    assert json.loads((release / "history.json").read_text())["status"] == state.phase
    assert {(release / name).exists() for name in MODEL_FILES} == {state.phase != "failed"}
    status = ward.wardround("coordinator", "status", ward.centre, "--format", "json")
    assert status.status == exit_status
    assert state.phase in {study["phase"] for study in status.json()["studies"] if study["name"] == state.name}
    watch: Answer = ward.wardround("coordinator", "watch", ward.centre, "--until-done")
    assert watch.status == exit_status
    assert state.summary in " ".join(watch.out.split())
    assert no_trace(watch.out + watch.err)


def test_one_lies_one_freezes_one_dies(ward: Ward) -> None:
    """Rubbish, a freeze past the deadline and a death for ever: each study ends as its file says, and everything agrees."""
    alpha, beta, gamma = ward.hospitals
    ward.start_centre().up()
    services = [ward.start_hospital(hospital) for hospital in (alpha, beta)]
    log = ward.folder / "gamma.out"
    with log.open("w") as output:
        liar = subprocess.Popen([sys.executable, str(LIAR), gamma.site], stdout=output, stderr=output)
    ward.services["gamma"] = Service("gamma", liar, log)
    for service in ward.services.values():
        service.up()

    begin(ward, "lies", ward.hospitals, silos={"minimum": 2})
    state = ward.ended("lies")
    assert state.phase == "partial", state
    assert ward.codes(state, "gamma")[:3] == ["R-NONFINITE", "R-SHAPE", "R-PROTOCOL"]
    assert not ward.codes(state, "alpha") + ward.codes(state, "beta")
    agree(ward, state, 3)

    frozen = services[1]
    processes = [frozen.running(module) for module in ("silo_node.node_process", "silo_node.training.process")]
    one_of_two = {
        "rounds": {"maximum": 1, "deadline_seconds": SILENT_SECONDS, "retries": 1},
        "training": {**SLOW_TRAINING, "batch_size": 8},
    }
    begin(ward, "frozen", [alpha, beta], silos={"minimum": 1}, **one_of_two)
    in_round(ward, "frozen")
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    state = ward.ended("frozen")
    for process in processes:
        os.kill(process, signal.SIGCONT)
    assert state.phase == "partial", state
    assert ward.codes(state, "beta")[-1] == "R-SILENT"
    assert not ward.codes(state, "alpha")
    agree(ward, state, 3)

    begin(ward, "dead", [alpha, beta], silos={"minimum": 2}, **one_of_two)
    in_round(ward, "dead")  # so beta, thawed, is back: its statistics counted
    for process in (*frozen.processes(), frozen.process.pid):
        os.kill(process, signal.SIGKILL)
    frozen.process.wait()
    state = ward.ended("dead")
    assert state.phase == "failed", state
    assert "C-FAILED" in state.problems[0]
    assert "C-QUORUM" in state.problems[0]
    assert ward.codes(state, "beta")[-1] == "R-SILENT"
    agree(ward, state, 1)
    ward.start_hospital(beta).up()  # though Flower may hold its place for up to a minute after such a death
    for service in ward.services.values():
        assert no_trace(service.said)


def test_a_freeze_costs_no_more_than_the_deadline(ward: Ward) -> None:
    """Frozen past the deadline: the round is over within a tenth of it more, without that hospital, which is back in the next."""
    pair = ward.hospitals[:2]
    ward.start_centre().up()
    services = [ward.start_hospital(hospital) for hospital in pair]
    for service in services:
        service.up()
    deadline = 12.0
    begin(
        ward,
        "thawed",
        pair,
        silos={"minimum": 1},
        rounds={"maximum": 4, "deadline_seconds": deadline, "retries": 0},
        training={**SLOW_TRAINING, "batch_size": 8, "local_epochs": 300},
        convergence={"patience": 10},
    )
    in_round(ward, "thawed")
    processes = [services[1].running(module) for module in ("silo_node.node_process", "silo_node.training.process")]
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    frozen_in = ward.until(lambda state: state.purpose == "round", "thawed").round
    ward.until(lambda state: state.round > frozen_in, "thawed")
    for process in processes:
        os.kill(process, signal.SIGCONT)
    state = ward.ended("thawed")
    assert state.phase == "partial", state
    assert f"1 of {len(pair)} hospitals" in state.summary
    visits = json.loads((ward.centre / str(state.release) / "history.json").read_text())["visits"]
    rounds = {visit["round"]: visit for visit in visits if visit["purpose"] == "round"}
    counted = {
        number: [silo["site"] for silo in visit["silos"] if silo["status"] == "counted"] for number, visit in rounds.items()
    }
    assert counted[frozen_in] == ["alpha"]
    assert deadline <= rounds[frozen_in]["seconds"] <= 1.1 * deadline
    assert counted[4] == ["alpha", "beta"], "it is back"
    agree(ward, state, 3)


def test_what_is_killed_comes_back(ward: Ward) -> None:
    """Trainer, porter, conductor's SuperLink, killed in a study: the supervisors start them anew, and studies end as they say."""
    beta = ward.hospitals[1]
    pair = ward.hospitals[:2]
    ward.start_centre().up()
    services = [ward.start_hospital(hospital) for hospital in pair]
    for service in services:
        service.up()
    rules = {"rounds": {"maximum": 1, "deadline_seconds": 30, "retries": 3}, "silos": {"minimum": 2}, "training": SLOW_TRAINING}

    begin(ward, "trainer", pair, **{**rules, "rounds": {"maximum": 1, "deadline_seconds": 120, "retries": 0}})
    in_round(ward, "trainer")
    os.kill(services[1].running("silo_node.training.process"), signal.SIGKILL)
    state = ward.ended("trainer", 180.0)
    assert state.phase == "complete", state  # without a repeat: beta was busy until its next trainer had done the work
    assert ward.codes(state, "beta") == []
    agree(ward, state, 0)

    begin(ward, "porter", pair, **rules)
    in_round(ward, "porter")
    os.kill(services[1].running("silo_node.node_process"), signal.SIGKILL)
    state = ward.ended("porter")
    assert state.phase == "complete", state
    assert set(ward.codes(state, "beta")) <= {"R-SILENT"}
    ward.whole(beta)

    begin(ward, "superlink", pair, **rules)
    in_round(ward, "superlink")
    os.kill(ward.services["centre"].running("coordinator.flower.superlink"), signal.SIGKILL)
    state = ward.ended("superlink", 180.0)
    assert state.phase == "complete", state
    agree(ward, state, 0)

    begin(ward, "after", pair, **rules)
    state = ward.ended("after", 180.0)
    assert state.phase == "complete", state
    for hospital in pair:
        ward.whole(hospital)
        assert ledger_of(hospital.folder)

    killed = services[1]
    left = killed.processes()
    killed.process.kill()
    killed.process.wait()
    eventually(lambda: not [process for process in left if Path(f"/proc/{process}").exists()], 20.0, "no orphan is left")
    again = ward.start_hospital(beta)
    again.up()
    begin(ward, "again", pair, **rules)
    assert ward.ended("again").phase == "complete"
    assert no_trace(again.said)
