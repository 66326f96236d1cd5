"""The bench: short visits to one training, whatever plan of the sum they ask under."""

from __future__ import annotations

import logging
import time

import pytest
from paper_records import done, planned, real_paper, rows, work, write_site

from silo_node.training import trainer as trainer_module
from silo_node.training.bench import Bench
from silo_node.training.durable import Durable
from silo_node.training.trainer import Trainer
from silo_node.training_state import read_training_state
from silo_node.work import Busy, NotDone
from wardround.weights.packing import to_bytes

LOG = logging.getLogger("tests.bench")
LONG = real_paper(training={"optimiser": {"learning_rate": 0.001}, "batch_size": 1, "local_epochs": 20})


@pytest.fixture
def bench(tmp_path):
    """Give a bench with short visits, and the number of training records."""
    trainer = Trainer(write_site(tmp_path, rows(200)), LOG, Durable(tmp_path / "journal", tmp_path, 0.0))
    count = done(trainer.perform(work(LONG, "statistics"))).records
    made = Bench(trainer, 0.05, LOG)
    yield made, count
    made.close()


def ended(bench, asked):
    """Ask until the work has ended; give the percentages on the way, and the outcome."""
    seen = []
    while isinstance(outcome := bench.perform(asked), Busy):
        seen.append(outcome)
    return seen, outcome


def test_progress_rises_within_a_training(bench):
    """Visit after visit the percentage of the whole training rises, and fits the epoch."""
    one, count = bench
    seen, outcome = ended(one, work(LONG, "round", records=count))
    done(outcome)
    percents = [each.percent for each in seen]
    assert percents == sorted(percents)
    assert len(set(percents)) > 3
    for each in seen:
        assert (each.epoch - 1) * 100 // 20 <= each.percent <= each.epoch * 100 // 20 <= 100
    assert {each.epochs for each in seen} == {20}


def test_another_plan_asks_for_the_training_under_way(bench, tmp_path):
    """While a round is trained, the same work under a narrower plan goes on; each answer is held against its own plan."""
    one, count = bench
    wide = work(LONG, "round", records=count)
    narrow = planned(wide, (-140,) * len(LONG.bundle.manifest.tensors))
    assert isinstance(one.perform(wide), Busy)
    seen, refused = ended(one, narrow)
    assert seen, "it goes on"
    assert isinstance(refused, NotDone)
    assert refused.code == "H-RANGE"
    given = done(one.perform(planned(wide, refused.exponents)))
    undisturbed = done(Trainer(write_site(tmp_path, rows(200))).perform(wide))
    assert to_bytes(given.change) == to_bytes(undisturbed.change)


def test_a_visit_ends_when_nobody_waits(bench):
    """A porter that is gone is not waited for; the training goes on for the next one."""
    one, count = bench
    one._patience = 30.0
    begun = time.monotonic()
    assert isinstance(one.perform(work(LONG, "round", records=count), lambda: False), Busy)
    assert time.monotonic() - begun < 5.0
    done(one.perform(work(LONG, "round", records=count)))


def test_withdrawn_work_ends_and_resumes(bench, tmp_path):
    """A withdrawn training ends at its next batch; asked for again, it goes on from what was kept, to the same bits."""
    one, count = bench
    asked = work(LONG, "round", records=count)
    while (busy := one.perform(asked)).epoch < 3:
        assert isinstance(busy, Busy)
    one.withdraw(asked.task.task_id)
    seen, outcome = ended(one, asked)
    state = read_training_state(tmp_path)
    assert (state.start, state.phase, state.percent) == ("resumed", "done", 100)
    begun = [each.epoch for each in seen if each.epoch > 0]
    assert 0 < state.after <= min(begun, default=20), (
        "it went on from what was kept; epoch 0 is said while that is still being read"
    )
    undisturbed = done(Trainer(write_site(tmp_path, rows(200))).perform(asked))
    assert to_bytes(done(outcome).change) == to_bytes(undisturbed.change)


def test_a_training_that_fails_is_a_code(bench, monkeypatch, caplog):
    """Whatever goes wrong inside is H-FAILED, with its trace in the log."""
    one, count = bench

    def train(*_arguments):
        message = "row 17"
        raise ValueError(message)

    monkeypatch.setattr(trainer_module, "train", train)
    assert ended(one, work(LONG, "round", records=count))[1] == NotDone("H-FAILED")
    assert "row 17" in caplog.text
