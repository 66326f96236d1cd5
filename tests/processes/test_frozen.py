"""Processes that freeze on a real node and a real centre: seen, killed, back again; and no orphan is left."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from flower_processes import eventually
from ward_on_processes import Service, Ward, no_trace

from wardround.supervision.house import read_state

pytestmark = pytest.mark.faults

SILENCE = ("--silence-seconds", "6")
SOON_SECONDS = 40.0
PLACE_HELD_SECONDS = 150.0
"""Flower holds a killed node's place for up to a minute; then it is let in at the next try."""


def state_of(folder: Path, name: str) -> str | None:
    state = read_state(folder / "run")
    return None if state is None else next(each.state for each in state.processes if each.name == name)


def freeze(service: Service, module: str) -> int:
    """Stop a process, and wait until it is killed for it."""
    process = service.running(module)
    os.kill(process, signal.SIGSTOP)
    eventually(lambda: not Path(f"/proc/{process}").exists(), SOON_SECONDS, f"{module} is killed")
    return process


def test_what_freezes_comes_back_and_a_study_ends(ward: Ward) -> None:
    """Trainer, SuperNode, porter, conductor, one after the other; then a study is complete."""
    alpha = ward.hospitals[0]
    centre = ward.start("centre", "coordinator", "start", ward.centre, *SILENCE)
    centre.up()
    node = ward.start_hospital(alpha, *SILENCE)
    node.up()

    freeze(node, "silo_node.training.process")
    ward.whole(alpha, SOON_SECONDS)
    assert "trainer: it has given no sign of life" in node.said

    freeze(node, "silo_node.flower.supernode")
    eventually(lambda: state_of(alpha.folder, "supernode") == "waiting", SOON_SECONDS, "the SuperNode waits")
    ward.whole(alpha, PLACE_HELD_SECONDS)
    assert node.process.poll() is None

    freeze(node, "silo_node.node_process")
    ward.whole(alpha, PLACE_HELD_SECONDS)

    freeze(centre, "coordinator.conductor_process")
    eventually(lambda: state_of(ward.centre, "conductor") == "ready", SOON_SECONDS, "the conductor is back")
    ward.whole(alpha, PLACE_HELD_SECONDS)

    bundle = ward.build("after", [alpha], silos={"minimum": 1})
    ward.approve(bundle, [alpha])
    ward.submit(bundle)
    assert ward.ended("after", 180.0).phase == "complete"
    for service in (centre, node):
        assert no_trace(service.said)


def test_a_killed_supervisor_leaves_no_frozen_orphan(ward: Ward) -> None:
    """SIGSTOP on all of a node's processes, then SIGKILL on its supervisor: nothing is left, and a start is not kept out."""
    alpha = ward.hospitals[0]
    ward.start_centre().up()
    node = ward.start_hospital(alpha)
    node.up()
    left = node.processes()
    assert len(left) >= 3
    for process in left:
        os.kill(process, signal.SIGSTOP)
    node.process.kill()
    node.process.wait()
    eventually(lambda: not [process for process in left if Path(f"/proc/{process}").exists()], 20.0, "no orphan is left")
    again = ward.start_hospital(alpha)
    again.up()
    second = ward.start("second", "silo", "start", "--site", alpha.site)
    assert second.process.wait(SOON_SECONDS) == 2
    assert "V-RUNNING" in second.said
    assert f"process {again.process.pid} on " in second.said
