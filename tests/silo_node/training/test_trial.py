"""A canary's steps at the trainer: real steps of the study's network, no record opened, and no trace of them afterwards."""

from __future__ import annotations

import itertools
import logging
import threading
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
import torch
from paper_records import done, real_paper, rows, work, write_site

from silo_node.training import memory
from silo_node.training.bench import Bench
from silo_node.training.fitting import Fitted
from silo_node.training.made_up import made_up
from silo_node.training.trainer import Trainer
from silo_node.training.trial import try_steps
from silo_node.work import Busy, NotDone, Stepped
from wardround.models.commands import make_bundle
from wardround.study.check import load_study
from wardround.study.model import Network
from wardround.weights.packing import to_bytes

LOG = logging.getLogger("tests.trial")
DEMO = Path(str(files("wardround_lab.demo")))
LOADED = load_study(DEMO / "phantom-lesions.yaml", (DEMO / "schemas",))
DROPPED = {"name": "FullyConnectedNet", "arguments": {"hidden_channels": (4,), "dropout": 0.3}}
PAPER = real_paper(
    training={"optimiser": {"learning_rate": 0.01, "name": "adam"}, "batch_size": 16, "local_epochs": 2}, network=DROPPED
)
LONG = real_paper(training={"optimiser": {"learning_rate": 0.001}, "batch_size": 1, "local_epochs": 20})


def test_no_record_is_opened(tmp_path):
    """A hospital whose records are gone answers a canary all the same."""
    site = write_site(tmp_path, rows(20))
    (tmp_path / "records.csv").unlink()
    tried = Trainer(site).try_out(PAPER.bundle, 1000)
    assert isinstance(tried, Stepped)
    assert tried.rows == 16, "the study's batch"
    assert 0 < tried.step_us < 10**7
    assert sorted(path.name for path in tmp_path.iterdir()) == ["policy.yaml", "site.yaml"]


def test_a_study_without_batches_steps_over_as_many_as_it_is_told(tmp_path):
    """With one batch of all records, the centre's word decides how many rows a step has."""
    whole = real_paper(training={"optimiser": {"learning_rate": 0.1}, "batch_size": None})
    assert Trainer(write_site(tmp_path, rows(20))).try_out(whole.bundle, 77).rows == 77


def test_a_canary_leaves_no_trace_in_training(tmp_path):
    """Rounds with canaries in between give the bytes of rounds without, and torch's random state stays where it was."""
    site = write_site(tmp_path, rows(200))
    plain, watched = Trainer(site), Trainer(site)
    count = done(plain.perform(work(PAPER, "statistics"))).records
    random = torch.random.get_rng_state()
    assert isinstance(watched.try_out(PAPER.bundle, 1), Stepped)
    assert torch.equal(torch.random.get_rng_state(), random)
    assert watched._desks == {}
    watched.perform(work(PAPER, "statistics"))
    weights = PAPER.bundle.weights
    for number in (1, 2):
        watched.try_out(PAPER.bundle, 1)
        asked = work(PAPER, "round", number, weights, records=count)
        changes = [done(each.perform(asked)).change for each in (plain, watched)]
        assert to_bytes(changes[0]) == to_bytes(changes[1])
        weights = weights + changes[0]


def test_memory_is_what_the_network_takes():
    """A network of sixteen million weights under Adam needs four times 64 MB at the least; a tiny one almost nothing."""
    wide = real_paper(
        network={"name": "FullyConnectedNet", "arguments": {"hidden_channels": (4000, 4000)}},
        training={"optimiser": {"learning_rate": 0.01, "name": "adam"}, "batch_size": 16},
    )
    weights_mib = wide.bundle.manifest.size * 4 / 2**20
    found = try_steps(wide.bundle, 1, None)
    assert 3 * weights_mib < found.needed_mib < 12 * weights_mib
    again = try_steps(wide.bundle, 1, None)
    assert 3 * weights_mib < again.needed_mib < 12 * weights_mib, "what the first freed is not what the second needs less"
    assert try_steps(PAPER.bundle, 1, None).needed_mib < 32


def test_images_are_computed_in_pieces_as_a_training_would(monkeypatch):
    """What a batch would not fit into, a training would cut: so the canary does, and says what a whole batch's step takes."""
    made = LOADED.study.model_copy(update={"network": Network(name="UNet", arguments={"channels": (4, 8), "strides": (2,)})})
    bundle = make_bundle(made, LOADED.contract, PAPER.bundle.roster, LOADED.imaging)
    seen = []

    def counted(count, **how):
        seen.append(count)
        return made_up(count, **how)

    monkeypatch.setattr("silo_node.training.trial.made_up", counted)
    monkeypatch.setattr("silo_node.training.trial.fit", lambda *words: Fitted(replace(words[5], micro_batch=1), None))
    found = try_steps(bundle, 100, None)
    assert (found.rows, found.at_once, seen) == (bundle.study.training.batch_size, 1, [1])


def test_memory_that_the_allocator_kept_is_counted_all_the_same(tmp_path):
    """In a thread's arena freed tensors stay: each canary after the first still says at least weights, gradients, momenta."""
    middle = real_paper(
        network={"name": "FullyConnectedNet", "arguments": {"hidden_channels": (2000, 2000)}},
        training={"optimiser": {"learning_rate": 0.01, "name": "adam"}, "batch_size": 16},
    )
    bench = Bench(Trainer(write_site(tmp_path, rows(20))), 30.0, LOG)
    try:
        needed = [bench.try_out(middle.bundle, 1).needed_mib for _ in range(3)]
    finally:
        bench.close()
    assert min(needed) >= 4 * middle.bundle.manifest.size * 4 / 2**20


def test_slow_steps_are_few():
    """A step that takes a second is not done five times: the canary ends within its visit."""
    taken: list[int] = []
    ticks = itertools.count()

    def clock() -> int:
        taken.append(next(ticks) * 700_000_000)
        return taken[-1]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("silo_node.training.trial.time.perf_counter_ns", clock)
        found = try_steps(PAPER.bundle, 1, None)
    assert found.step_us == 700_000
    assert len(taken) == 4, "two steps, a look at the clock before and after each"


def test_what_is_left_of_the_limit_is_said():
    """What is available is the limit less what the process holds, or what the machine has."""
    limit = memory.counted_bytes() + 300 * 2**20
    assert 200 <= memory.available_bytes(limit) // 2**20 <= 300
    assert memory.available_bytes(None) > 0


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_what_does_not_fit_is_a_code(tmp_path, monkeypatch, error):
    """Too little memory for a few steps is H-MEMORY, and the trainer stays."""
    one = Trainer(write_site(tmp_path, rows(20)))

    def full(*_words):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr("silo_node.training.trainer.try_steps", full)
        assert one.try_out(PAPER.bundle, 1) == NotDone("H-MEMORY")
    assert isinstance(one.try_out(PAPER.bundle, 1), Stepped)


def test_the_bench_disturbs_no_task(tmp_path):
    """While a training is under way a canary is H-ORDER, and the training ends with its own bytes."""
    trainer = Trainer(write_site(tmp_path, rows(200)))
    count = done(trainer.perform(work(LONG, "statistics"))).records
    bench, asked = Bench(trainer, 0.05, LOG), work(LONG, "round", records=count)
    try:
        assert isinstance(bench.perform(asked), Busy)
        assert bench.try_out(LONG.bundle, 1) == NotDone("H-ORDER")
        while isinstance(outcome := bench.perform(asked), Busy):
            pass
        undisturbed = done(Trainer(write_site(tmp_path, rows(200))).perform(asked))
        assert to_bytes(done(outcome).change) == to_bytes(undisturbed.change)
    finally:
        bench.close()


def test_a_canary_takes_no_longer_than_a_visit(tmp_path, monkeypatch):
    """Steps that outlast a visit are H-FAILED, another canary meanwhile H-ORDER; one that breaks is H-FAILED."""
    trainer, go_on = Trainer(write_site(tmp_path, rows(20))), threading.Event()

    def slow(*_words):
        assert go_on.wait(20)
        raise ValueError

    bench = Bench(trainer, 0.5, LOG)
    try:
        with monkeypatch.context() as patched:
            patched.setattr(trainer, "try_out", slow)
            assert bench.try_out(PAPER.bundle, 1) == NotDone("H-FAILED")
            assert bench.try_out(PAPER.bundle, 1) == NotDone("H-ORDER")
            go_on.set()
            bench._trial.exception(20)
            assert bench.try_out(PAPER.bundle, 1) == NotDone("H-FAILED")
        patient = Bench(trainer, 20.0, LOG)
        assert isinstance(patient.try_out(PAPER.bundle, 1), Stepped)
        patient.close()
    finally:
        bench.close()
