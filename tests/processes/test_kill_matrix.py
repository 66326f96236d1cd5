"""Every process, killed in every phase of a study: the study ends by itself with the weights of an undisturbed one.

A fault point planted inside the phase kills the process; a cell fails if its point was not reached. The undisturbed
study is the same one, simulated on copies of the hospitals: same bundle, same keys, same split.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from flower_processes import eventually
from tapped_ward import command
from ward_on_processes import Service, Ward, make_ward

from coordinator.studies import StudyState

PLANTED = Path(__file__).parents[1] / "tools" / "planted"
VICTIMS = ("superlink", "conductor", "centre", "supernode", "porter", "trainer", "hospital")
PHASES = (
    "before first round",
    "sending",
    "training",
    "between replies",
    "closing the sum",
    "writing the model",
    "between rounds",
)
MODULES = {
    "superlink": "coordinator.flower.superlink",
    "conductor": "coordinator.conductor_process",
    "supernode": "silo_node.flower.supernode",
    "porter": "silo_node.node_process",
    "trainer": "silo_node.training.process",
}
OFTEN = {
    ("conductor", "between replies"),
    ("conductor", "writing the model"),
    ("superlink", "training"),
    ("trainer", "training"),
    ("porter", "training"),
}
"""The cells that every run of the tests has; all others are `make test-faults`."""
CELLS = [
    pytest.param(victim, phase, id=f"{victim}, {phase}", marks=() if (victim, phase) in OFTEN else pytest.mark.faults)
    for victim in VICTIMS
    for phase in PHASES
]
END_SECONDS = 240.0
"""Flower holds the place of a SuperNode that was killed for a minute; a supervisor and a machine under load take their time."""
ROUNDS = 3


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    """A centre and two hospitals with fault points, up for all cells; what a cell killed for good is started again."""
    ward = make_ward(tmp_path_factory.mktemp("matrix"), command, (120, 90))
    try:
        yield ward
    finally:
        ward.stop()


def planted(ward: Ward) -> dict[str, str]:
    """Give the environment that plants the fault points."""
    path = os.pathsep.join([str(PLANTED), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {"PYTHONPATH": path, "PLANTED_FAULT": str(ward.folder / "fault.json")}


def all_up(ward: Ward) -> None:
    """Start whatever does not run, and wait until everything is whole."""
    centre = ward.services.get("centre")
    if centre is None or centre.process.poll() is not None:
        ward.start("centre", "coordinator", "start", ward.centre, **planted(ward)).up()
    services: list[Service] = []
    for hospital in ward.hospitals:
        name = hospital.folder.name
        service = ward.services.get(name)
        if service is None or service.process.poll() is not None:
            services.append(ward.start(name, "silo", "start", "--site", hospital.site, **planted(ward)))
    for service in services:
        service.up()
    for hospital in ward.hospitals:
        ward.whole(hospital)


def undisturbed(ward: Ward, bundle: Path, name: str) -> Path:
    """Simulate the study on copies of the hospitals; gives its release."""
    folder = ward.folder / f"{name}-undisturbed"
    sites: list[str] = []
    for hospital in ward.hospitals:
        copy = folder / hospital.folder.name
        shutil.copytree(hospital.folder, copy, ignore=shutil.ignore_patterns("run", "logs", "journal", "ledger"))
        sites += ["--site", str(copy / "site.yaml")]
    ward.command("simulate", bundle, *sites, "--centre", ward.centre, "--out", folder / "out")
    return folder / "out" / "release"


def process_of(ward: Ward, victim: str) -> int:
    """Give the process to kill: of the centre, or of beta."""
    if victim == "centre":
        return ward.services["centre"].process.pid
    if victim == "hospital":
        return ward.services["beta"].process.pid
    service = ward.services["centre" if victim in ("superlink", "conductor") else "beta"]
    return service.running(MODULES[victim])


def history(release: Path) -> list[tuple[object, ...]]:
    """Give what a release says of each visit that counted: who, with how many records, from which weights to which."""
    visits = json.loads((release / "history.json").read_text())["visits"]
    return [
        (
            visit["purpose"],
            visit["round"],
            visit["weights"],
            visit["stepped"],
            [(silo["site"], silo["records"], silo["metrics"]) for silo in visit["silos"]],
        )
        for visit in visits
        if visit["outcome"] == "closed"
    ]


def nothing_was_trained_twice(ward: Ward) -> None:
    """A training begins again only if its result was lost before it was durable."""
    durable: set[tuple[str, str]] = set()
    for line in (ward.folder / "trained").read_text().splitlines():
        told = json.loads(line)
        work = (told["site"], told["work"])
        if told["event"] == "durable":
            durable.add(work)
        else:
            assert work not in durable, "trained again, though its result was durable"


@pytest.mark.kills
@pytest.mark.parametrize(("victim", "phase"), CELLS)
def test_a_kill_changes_no_bit(running: Ward, victim: str, phase: str) -> None:
    """Killed inside the phase, started again by its supervisor (or by whoever starts that): same weights, same rounds."""
    ward, name = running, f"{victim}-{phase}".replace(" ", "-")
    all_up(ward)
    rounds = {"maximum": ROUNDS, "deadline_seconds": END_SECONDS, "retries": 2}
    bundle = ward.build(name, rounds=rounds, silos={"minimum": 2}, convergence={"patience": ROUNDS})
    hit = ward.folder / f"{name}.hit"
    fault = {"study": name, "point": phase, "pid": process_of(ward, victim), "hit": str(hit)}
    (ward.folder / "fault.json").write_text(json.dumps(fault))
    ward.approve(bundle)
    reference = undisturbed(ward, bundle, name)
    ward.submit(bundle)
    eventually(hit.exists, END_SECONDS, f"the point {phase!r} is reached")
    if victim in ("centre", "hospital"):
        service = ward.services["centre" if victim == "centre" else "beta"]
        service.process.wait(30)
        all_up(ward)
    state: StudyState = ward.ended(name, END_SECONDS)
    assert state.phase == "complete", state
    release = ward.centre / str(state.release)
    for weights in ("last.safetensors", "model.safetensors", "encoding.json"):
        assert (release / weights).read_bytes() == (reference / weights).read_bytes(), weights
    assert history(release) == history(reference)
    nothing_was_trained_twice(ward)
    (ward.folder / "fault.json").unlink()
