"""A whole study over real processes gives what the same study gives in one process."""

import json
import shutil
import sys
import time
from pathlib import Path

import pytest
from flower_processes import Processes, SuperLink, SuperNode, plain_environment, start_supernode
from hospitals_on_disk import Command, Ready, deal, prepare

from coordinator.flower.grid import FlowerGrid
from coordinator.flower.run import serve_run
from coordinator.identity import load_centre
from coordinator.rounds.conductor import Conductor
from coordinator.rounds.encrypted_grid import EncryptedGrid, encryption_keys
from coordinator.rounds.outcome import Outcome
from silo_node.configuration import load_site
from wardround.canonical import model_json, sha256
from wardround.study.bundle import Bundle, read_bundle
from wardround.weights.packing import to_bytes
from wardround_lab.simulate import simulate

HOSPITAL = Path(__file__).resolve().parents[1] / "tools" / "hospital_process.py"
TIMES = {"seconds"}


class Stopwatch:
    """A watcher that notes how long each visit took."""

    def __init__(self) -> None:
        self.visits: list[tuple[str, float]] = []
        self._begun = 0.0

    def opened(self, *_: object) -> None:
        self._begun = time.monotonic()

    def answered(self, *_: object) -> None:
        """Nothing to note."""

    def away(self, *_: object) -> None:
        """Nothing to note."""

    def closed(self, record) -> None:
        self.visits.append((record.purpose, time.monotonic() - self._begun))


def without_times(value):
    """Drop what a clock measured."""
    if isinstance(value, dict):
        return {key: without_times(each) for key, each in value.items() if key not in TIMES}
    return [without_times(each) for each in value] if isinstance(value, list) else value


def history(outcome: Outcome) -> list[object]:
    """Give the round records but for times."""
    return [without_times(model_json(record)) for record in outcome.history]


def conduct(superlink: SuperLink, ready: Ready, bundle: Bundle, watch: Stopwatch) -> Outcome:
    """Conduct a study with every hospital in two processes of its own."""
    processes = Processes(superlink.folder / "hospitals")
    nodes: dict[str, SuperNode] = {}
    try:
        for hospital in ready.hospitals:
            name = hospital.folder.name
            nodes[name] = start_supernode(superlink, name)
            secret = superlink.folder / name / "secret"
            command = [sys.executable, str(HOSPITAL), hospital.site, nodes[name].address.address, str(secret)]
            processes.start(f"porter-{name}", command, plain_environment())
        centre = load_centre(ready.centre)
        with serve_run(superlink.link) as flower_run:
            grid = FlowerGrid(flower_run.channel, flower_run.run_id, {name: node.node_id for name, node in nodes.items()})
            encrypted = EncryptedGrid(grid, encryption_keys(bundle.roster), centre.encryption)
            return Conductor(bundle, centre.key, encrypted, watch).run()
    finally:
        processes.stop()


def test_the_same_study_gives_the_same_bits_over_flower(
    superlink: SuperLink, tmp_path: Path, wardround: Command, capsys: pytest.CaptureFixture[str]
):
    """Same final weights and same round records, but for times; every release is in its hospital's ledger."""
    ready = prepare(wardround, tmp_path, deal(tmp_path, (120, 90)))
    bundle = read_bundle(ready.bundle)
    centre = load_centre(ready.centre)
    local = simulate(bundle, [load_site(Path(hospital.site)) for hospital in ready.hospitals], centre, Stopwatch())
    for hospital in ready.hospitals:
        shutil.rmtree(hospital.folder / "ledger")
    watch = Stopwatch()
    flower = conduct(superlink, ready, bundle, watch)
    assert flower.problems == ()
    with capsys.disabled():
        print("\nvisits in ms:", ", ".join(f"{purpose} {1000 * seconds:.0f}" for purpose, seconds in watch.visits))
    assert flower.last is not None
    assert local.last is not None
    assert sha256(to_bytes(flower.last)) == sha256(to_bytes(local.last))
    assert json.dumps(history(flower), sort_keys=True) == json.dumps(history(local), sort_keys=True)
