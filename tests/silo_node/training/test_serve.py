"""The trainer's door: one order, one answer, and no work for a porter that has gone."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from multiprocessing import Pipe

import pytest
from paper_records import real_paper, work

from silo_node.training.serve import Clerk
from silo_node.work import Busy, NotDone, Stepped
from silo_node.work_wire import PerformOrder, TryOrder, WithdrawOrder, unpack_outcome, unpack_tried
from wardround.study.bundle import SUFFIX
from wardround.weights.packing import to_bytes

PAPER = real_paper()
ROUND = work(PAPER, "round", records=60)
CODE = "c" * 64


@dataclass
class Spy:
    """A bench that writes down what it was asked."""

    asked: list[object] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)
    awaited: list[bool] = field(default_factory=list)
    before: object = None

    def perform(self, asked, awaited):
        self.asked.append(asked)
        if self.before is not None:
            self.before()
        self.awaited.append(awaited())
        return Busy(1, 2, 30)

    def try_out(self, bundle, rows):
        self.asked.append((bundle.study_hash, rows))
        return Stepped(rows, 1200, 5, None)

    def withdraw(self, task_id):
        self.withdrawn.append(task_id)


@pytest.fixture
def door(tmp_path):
    """Give the clerk, its bench, and both ends of a connection."""
    PAPER.bundle.write(tmp_path / f"{PAPER.bundle.study_hash}{SUFFIX}")
    spy = Spy()
    ours, theirs = Pipe()
    yield Clerk(tmp_path, spy, CODE, logging.getLogger("trainer")), spy, ours, theirs
    ours.close()
    theirs.close()


def order(connection, code=CODE):
    """Give an order as the porter does."""
    connection.send_bytes(PerformOrder(code=code, task=ROUND.task, policy=None).model_dump_json(by_alias=True).encode())
    connection.send_bytes(to_bytes(ROUND.weights))


def test_an_order_is_answered(door):
    """A porter that waits gets its answer; it is known to be waiting all the time."""
    clerk, spy, ours, theirs = door
    order(theirs)
    clerk.answer(ours)
    assert unpack_outcome(theirs.recv_bytes(), theirs.recv_bytes(), PAPER.bundle.manifest) == Busy(1, 2, 30)
    assert spy.awaited == [True]
    assert spy.asked[0].task == ROUND.task


def test_a_trainer_of_other_code_does_nothing(door, caplog):
    """Started anew after an update in place, it is not what was approved: H-CODE, and its log says so."""
    clerk, spy, ours, theirs = door
    order(theirs, code="d" * 64)
    clerk.answer(ours)
    assert unpack_outcome(theirs.recv_bytes(), theirs.recv_bytes(), PAPER.bundle.manifest) == NotDone("H-CODE")
    theirs.send_bytes(TryOrder(code="d" * 64, study_hash=PAPER.bundle.study_hash, rows=32).model_dump_json().encode())
    theirs.send_bytes(b"")
    clerk.answer(ours)
    assert unpack_tried(theirs.recv_bytes()) == NotDone("H-CODE")
    assert theirs.recv_bytes() == b""
    assert spy.asked == []
    assert "H-CODE" in caplog.text


def test_a_porter_that_gave_up_is_not_worked_for(door):
    """Of a porter that waited in vain and has gone, the order is left: it would cost the next one a whole visit."""
    clerk, spy, ours, theirs = door
    order(theirs)
    theirs.close()
    with pytest.raises(EOFError):
        clerk.answer(ours)
    assert spy.asked == []


def test_a_porter_that_goes_during_a_visit_is_noticed(door):
    """What the bench asks in between tells the end of the porter."""
    clerk, spy, ours, theirs = door
    spy.before = theirs.close
    order(theirs)
    with pytest.raises(OSError, match=r"[Bb]roken pipe"):
        clerk.answer(ours)
    assert spy.awaited == [False]


def test_a_withdrawal_needs_no_answer(door):
    """A withdrawal may be followed by the next order at once."""
    clerk, spy, ours, theirs = door
    theirs.send_bytes(WithdrawOrder(task_id="a" * 64).model_dump_json().encode())
    theirs.send_bytes(b"")
    order(theirs)
    clerk.answer(ours)
    clerk.answer(ours)
    assert spy.withdrawn == ["a" * 64]
    assert len(spy.asked) == 1


def test_a_trial_is_answered(door):
    """A canary's order names a study of the inbox; its answer is one frame of figures and an empty one."""
    clerk, spy, ours, theirs = door
    theirs.send_bytes(TryOrder(code=CODE, study_hash=PAPER.bundle.study_hash, rows=32).model_dump_json().encode())
    theirs.send_bytes(b"")
    clerk.answer(ours)
    assert unpack_tried(theirs.recv_bytes()) == Stepped(32, 1200, 5, None)
    assert theirs.recv_bytes() == b""
    assert spy.asked == [(PAPER.bundle.study_hash, 32)]


def test_refusals_say_what_they_need():
    """The wire carries the exponents of a refused range, and refuses absurd ones."""
    from pydantic import ValidationError

    from silo_node.work_wire import pack_outcome

    refused = NotDone("H-RANGE", exponents=(-149, 128))
    assert unpack_outcome(*pack_outcome(refused), PAPER.bundle.manifest) == refused
    with pytest.raises(ValidationError):
        pack_outcome(NotDone("H-RANGE", exponents=(201,)))
