"""The porter and a trainer's process that dies, freezes, or is away: visits end in time, and no refusal comes too early."""

from __future__ import annotations

import os
import socket
import threading
import time
from dataclasses import replace
from multiprocessing.connection import Listener

import numpy as np
import pytest
from paper_records import planned, real_paper, work
from studies_on_paper import paper

from silo_node.porter import bench_client
from silo_node.porter.bench_client import MOST_DEATHS, BenchClient
from silo_node.work import Busy, NotDone, Stepped, Work
from silo_node.work_wire import ORDER, pack_outcome, pack_tried

PATIENCE = 0.2
GRACE = 0.4
PAPER = paper()
ROUND = work(PAPER, "round", records=60)
UNKNOWN = Busy(0, PAPER.bundle.study.training.local_epochs)


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch):
    monkeypatch.setattr(bench_client, "GRACE_SECONDS", GRACE)
    monkeypatch.setattr(bench_client, "REACH_SECONDS", GRACE)
    monkeypatch.setattr(bench_client, "MOST_SILENT_SECONDS", 2.0)


class Scripted:
    """A trainer at a real socket that answers each order with the next word of a script, and dies at the word "dies"."""

    def __init__(self, path, script):
        self.orders = []
        self.listener = Listener(str(path), family="AF_UNIX")
        self._script = list(script)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while self._script:
            with self.listener.accept() as connection:
                try:
                    while self._script:
                        order = ORDER.validate_json(connection.recv_bytes())
                        connection.recv_bytes()
                        self.orders.append(order)
                        if order.kind == "withdraw":
                            continue
                        word = self._script.pop(0)
                        if word == "dies":
                            break
                        for frame in pack_outcome(word):
                            connection.send_bytes(frame)
                        if self._script[:1] == ["dies idle"]:
                            self._script.pop(0)
                            break
                except EOFError:
                    continue

    def close(self):
        self._thread.join(5)
        self.listener.close()


@pytest.fixture
def trainer(tmp_path):
    """Give a function that starts a scripted trainer, and the client to it."""
    started = []

    def start(*script):
        started.append(Scripted(tmp_path / "trainer.sock", script))
        return started[-1], BenchClient(tmp_path / "trainer.sock", PATIENCE)

    yield start
    for each in started:
        each.close()


def test_the_first_death_is_no_refusal(trainer):
    """A trainer that dies over a task leaves the answer as it was last known; the work is ordered again and ends."""
    there, client = trainer(Busy(3, 10, 27), "dies", NotDone("H-DATA"))
    assert client.perform(ROUND) == Busy(3, 10, 27)
    assert client.perform(ROUND) == Busy(3, 10, 27)
    assert client.perform(ROUND) == NotDone("H-DATA")
    assert [order.task for order in there.orders] == [ROUND.task] * 3


def test_work_over_which_trainers_die_is_given_up(trainer, caplog):
    """After so many deaths over the same work it is H-FAILED, and the log says why; asked again, the count begins anew."""
    _, client = trainer(*["dies"] * (2 * MOST_DEATHS))
    for _ in range(2):
        assert [client.perform(ROUND) for _ in range(MOST_DEATHS)] == [UNKNOWN] * (MOST_DEATHS - 1) + [NotDone("H-FAILED")]
    assert "were lost over the same work" in caplog.text


def test_deaths_are_counted_by_the_work(trainer):
    """Another plan of the sum is the same work; another round is not."""
    _, client = trainer("dies", "dies", "dies", Busy(1, 2, 50))
    other = planned(ROUND, tuple(exponent + 1 for exponent in ROUND.task.core.plan.exponents))
    assert client.perform(ROUND) == UNKNOWN
    assert client.perform(other) == NotDone("H-FAILED")
    assert client.perform(work(PAPER, "round", 2, records=60)) == UNKNOWN
    assert client.perform(work(PAPER, "round", 3, records=60)) == Busy(1, 2, 50)


def test_a_death_between_two_visits_is_a_death_over_the_work(trainer):
    """A trainer that died after it said that it was busy died over that work."""
    _, client = trainer(Busy(1, 2, 50), "dies idle", "dies")
    assert client.perform(ROUND) == Busy(1, 2, 50)
    time.sleep(0.2)
    assert client.perform(ROUND) == Busy(1, 2, 50)
    assert client.perform(ROUND) == NotDone("H-FAILED")


def test_an_idle_death_costs_nothing(trainer):
    """A trainer that died between two tasks is found anew, and the order is given once more within the visit."""
    _, client = trainer(NotDone("H-DATA"), "dies idle", Busy(1, 2, 50))
    assert client.perform(ROUND) == NotDone("H-DATA")
    time.sleep(0.2)
    assert client.perform(work(PAPER, "round", 2, records=60)) == Busy(1, 2, 50)


def frozen(path) -> socket.socket:
    """Give the door of a trainer that takes nothing and says nothing."""
    door = socket.socket(socket.AF_UNIX)
    door.bind(str(path))
    door.listen(1)
    return door


def large() -> Work:
    """Give work with more weights than a socket takes at once."""
    made = real_paper(network={"name": "FullyConnectedNet", "arguments": {"hidden_channels": (700, 700)}})
    assert made.bundle.weights.nbytes > 1_000_000
    return work(made, "round", records=60)


@pytest.mark.parametrize("asked", [ROUND, large()], ids=["small", "more than the socket takes"])
def test_a_frozen_trainer_is_waited_for_in_short_visits(tmp_path, asked):
    """A frozen trainer costs each visit its patience and grace, however much is to be sent; in the end it is H-FAILED."""
    with frozen(tmp_path / "trainer.sock"):
        client = BenchClient(tmp_path / "trainer.sock", PATIENCE)
        begun, answers = time.monotonic(), []
        while not answers or isinstance(answers[-1], Busy):
            visit = time.monotonic()
            answers.append(client.perform(asked))
            assert time.monotonic() - visit < PATIENCE + 3 * GRACE + 1.0
        assert answers[-1] == NotDone("H-FAILED")
        assert len(answers) > 2
        assert 2.0 <= time.monotonic() - begun < 10.0


def test_a_trainer_that_thaws_is_heard(tmp_path):
    """A trainer that comes back from silence is asked again, and its answer counts."""
    door = frozen(tmp_path / "trainer.sock")
    client = BenchClient(tmp_path / "trainer.sock", PATIENCE)
    assert client.perform(ROUND) == UNKNOWN
    door.close()
    (tmp_path / "trainer.sock").unlink()
    there = Scripted(tmp_path / "trainer.sock", [Busy(1, 2, 10), NotDone("H-DATA")])
    assert client.perform(ROUND) == Busy(1, 2, 10)
    assert client.perform(ROUND) == NotDone("H-DATA")
    there.close()


def test_a_trainer_that_is_gone(tmp_path):
    """Without a trainer a visit waits for it for a moment; for so long as that may last, the answer is no refusal."""
    client = BenchClient(tmp_path / "trainer.sock", PATIENCE)
    begun = time.monotonic()
    assert client.perform(work(paper(), "statistics")) == UNKNOWN
    assert GRACE <= time.monotonic() - begun < 3.0
    client.withdraw("0" * 64)
    answer: object = UNKNOWN
    while isinstance(answer, Busy):
        answer = client.perform(ROUND)
    assert answer == NotDone("H-FAILED")
    assert 2.0 <= time.monotonic() - begun < 10.0


def test_a_trainer_that_takes_large_weights_slowly_is_not_silent(tmp_path):
    """While it takes more of the weights it is waited for, longer than a visit; its patience begins when it has them all."""
    listener = Listener(str(tmp_path / "trainer.sock"), family="AF_UNIX")
    weights = np.zeros(1_000_000, dtype=np.float32)

    def serve():
        with listener.accept() as connection:
            connection.recv_bytes()
            left = int.from_bytes(os.read(connection.fileno(), 4), "big")
            pause = 2 * (PATIENCE + GRACE) / left
            while left:
                got = len(os.read(connection.fileno(), min(left, 400_000)))
                left -= got
                time.sleep(pause * got)
            time.sleep(PATIENCE)
            for frame in pack_outcome(NotDone("H-DATA")):
                connection.send_bytes(frame)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    begun = time.monotonic()
    assert BenchClient(tmp_path / "trainer.sock", PATIENCE).perform(replace(ROUND, weights=weights)) == NotDone("H-DATA")
    assert time.monotonic() - begun > PATIENCE + GRACE
    thread.join(5)
    listener.close()


def test_exponents_and_progress_cross_the_wire(trainer):
    """What a refused range needs, and how far a training is, arrive as they were sent."""
    _, client = trainer(Busy(3, 10, 27), NotDone("H-RANGE", exponents=(-149, 0, 128)))
    assert client.perform(ROUND) == Busy(3, 10, 27)
    assert client.perform(ROUND) == NotDone("H-RANGE", exponents=(-149, 0, 128))


class TrialTrainer:
    """A trainer at a real socket that answers one order after another with a word, or dies."""

    def __init__(self, path, *words):
        self.listener = Listener(str(path), family="AF_UNIX")
        self.orders = []
        self._words = list(words)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        for word in self._words:
            with self.listener.accept() as connection:
                self.orders.append(ORDER.validate_json(connection.recv_bytes()))
                connection.recv_bytes()
                if word == "dies":
                    continue
                if word == "says nothing":
                    time.sleep(PATIENCE + GRACE + 0.2)
                    continue
                for frame in pack_tried(word):
                    connection.send_bytes(frame)

    def close(self):
        self._thread.join(5)
        self.listener.close()


@pytest.mark.parametrize("word", [Stepped(16, 900, 2, None), NotDone("H-MEMORY")])
def test_a_trial_is_ordered_and_answered(tmp_path, word):
    """The trainer is told study and rows, and its figures or its code come back."""
    one = TrialTrainer(tmp_path / "trainer.sock", word)
    client = BenchClient(tmp_path / "trainer.sock", PATIENCE)
    assert client.try_out(PAPER.bundle, 16) == word
    one.close()
    assert [(order.kind, order.study_hash, order.rows) for order in one.orders] == [("try", PAPER.bundle.study_hash, 16)]
    client._drop()


@pytest.mark.parametrize("word", ["dies", "says nothing"])
def test_a_trial_without_a_trainer_is_a_code_in_time(tmp_path, word):
    """A trainer that dies or says nothing over a canary is H-FAILED within a visit; the next canary finds the next trainer."""
    one = TrialTrainer(tmp_path / "trainer.sock", word, Stepped(16, 900, 2, None))
    client = BenchClient(tmp_path / "trainer.sock", PATIENCE)
    begun = time.monotonic()
    assert client.try_out(PAPER.bundle, 16) == NotDone("H-FAILED")
    assert time.monotonic() - begun < PATIENCE + 2 * GRACE + 1.0
    assert isinstance(client.try_out(PAPER.bundle, 16), Stepped)
    one.close()
    client._drop()


def test_a_trial_waits_for_no_work(trainer):
    """While the trainer is at a task, a canary is H-ORDER and the trainer hears nothing of it."""
    one, client = trainer(Busy(1, 2, 30))
    assert client.perform(ROUND) == Busy(1, 2, 30)
    assert client.try_out(PAPER.bundle, 16) == NotDone("H-ORDER")
    assert len(one.orders) == 1
    client._drop()
