"""Tasks that take longer than a visit: asked after, collected once, withdrawn; never a way around the door."""

import pytest

from silo_node.work import Busy
from wardround.identity.keys import SigningKey
from wardround.messages.envelope import Envelope, seal
from wardround.messages.round import Collect, Reply, SiloRefusal, Working


@pytest.fixture
def busy(house):
    """Give a hospital whose worker is at epoch 2 of 5 of round 1, and the task."""
    assert isinstance(house.visit("statistics"), Reply)
    house.spy.outcome = lambda _work: Busy(2, 5)
    task = house.task("round", 1)
    answer = house.read(house.porter.visit(house.sealed(task)))
    assert isinstance(answer, Working)
    return house, task


def test_a_long_task_says_how_far_it_is(busy):
    """While the work goes on the answer is the epoch, bound to the task; no result is released."""
    house, task = busy
    house.spy.outcome = lambda _work: Busy(3, 5, 47)
    answer = house.read(house.porter.visit(house.follow_up("collect", task)))
    assert isinstance(answer, Working)
    assert (answer.site, answer.task_id, answer.study_hash) == ("beta", task.task_id, task.study_hash)
    assert (answer.epoch, answer.epochs, answer.percent) == (3, 5, 47)
    assert [entry["event"] for entry in house.entries()].count("release") == 1


def test_a_finished_task_is_collected(busy):
    """Collecting gives the result through the gate and the ledger; collecting again gives the same bytes."""
    house, task = busy
    house.spy.outcome = None
    first = house.porter.visit(house.follow_up("collect", task))
    assert isinstance(house.read(first), Reply)
    assert first.envelope.arrays
    assert house.porter.visit(house.follow_up("collect", task)).envelope == first.envelope
    assert house.porter.visit(house.sealed(task)).envelope == first.envelope
    assert [entry["event"] for entry in house.entries()] == ["release", "working", "release", "repeat", "repeat"]


def test_the_same_work_is_looked_after(busy):
    """Asking after a task hands the worker the very work that was verified, weights included."""
    house, task = busy
    house.porter.visit(house.follow_up("collect", task))
    house.porter.visit(house.sealed(task))
    first, *others = house.spy.asked[1:]
    assert [other.task.task_id for other in others] == [first.task.task_id] * 2
    assert all((other.weights == first.weights).all() for other in others)


def test_what_the_gate_refuses_is_refused_when_collected_too(busy):
    """A long task's result goes through the same gate."""
    house, task = busy
    house.spy.outcome = lambda work: house.spy.honest(work).__class__(5, house.spy.honest(work).result, None)
    answer = house.read(house.porter.visit(house.follow_up("collect", task)))
    assert isinstance(answer, SiloRefusal)
    assert answer.code == "H-GATE"


def test_a_withdrawn_task_is_dropped(busy):
    """After a withdrawal the worker is told, and the result cannot be collected any more; the task may be given anew."""
    house, task = busy
    answer = house.read(house.porter.visit(house.follow_up("withdraw", task)))
    assert (answer.code, house.spy.withdrawn) == ("H-WITHDRAWN", [task.task_id])
    house.spy.outcome = None
    assert house.code(house.follow_up("collect", task)) == "H-ORDER"
    assert house.code(house.follow_up("withdraw", task)) == "H-ORDER"
    assert isinstance(house.read(house.porter.visit(house.sealed(task))), Reply)


def test_a_withdrawal_does_not_undo_a_release(busy):
    """Withdrawing a task that was answered changes nothing: the stored bytes can still be asked for."""
    house, task = busy
    house.spy.outcome = None
    first = house.porter.visit(house.follow_up("collect", task))
    assert house.code(house.follow_up("withdraw", task)) == "H-ORDER"
    assert house.spy.withdrawn == []
    assert house.porter.visit(house.follow_up("collect", task)).envelope == first.envelope


@pytest.mark.parametrize("kind", ["collect", "withdraw"])
def test_follow_ups_are_checked_as_tasks_are(busy, kind):
    """Another key, kind, hospital, study or task, or a hidden array: a code, and the worker hears nothing."""
    house, task = busy
    good = house.follow_up(kind, task)
    assert house.code(house.follow_up(kind, task, to="alpha")) == "H-ADDRESS"
    assert house.code(house.follow_up(kind, task, study_hash="0" * 64)) == "H-STUDY"
    assert house.code(house.follow_up(kind, task, task_id="0" * 64)) == "H-ORDER"
    assert house.code(Envelope(good.message, SigningKey.generate().sign(kind, good.message))) == "H-SIGNATURE"
    assert house.code(Envelope(good.message, house.paper.key.sign("task", good.message))) == "H-SIGNATURE"
    assert house.code(Envelope(good.message, good.signature, (b"x",))) == "H-BODY"
    assert house.spy.withdrawn == []


def test_nothing_is_collected_that_was_not_given(house):
    """Without a task under way there is nothing to collect or withdraw; an older answer is not given out again."""
    first = house.task("statistics")
    assert house.code(house.follow_up("collect", first)) == "H-ORDER"
    house.visit("statistics")
    house.visit("round", 1)
    assert house.code(house.follow_up("collect", first)) == "H-ORDER"


def test_an_approval_that_ended_ends_long_tasks(busy):
    """Whatever began under an approval is not given out after it is gone."""
    house, task = busy
    next((house.folder / "approvals").glob("*.json")).unlink()
    house.spy.outcome = None
    assert house.code(house.follow_up("collect", task)) == "H-STUDY"


def test_a_new_task_ends_the_old_one(busy):
    """When the coordinator goes on to the next round, the unfinished task is withdrawn from the worker: it does one at a time."""
    house, task = busy
    house.spy.outcome = None
    assert isinstance(house.visit("round", 2), Reply)
    assert house.spy.withdrawn == [task.task_id]
    assert house.code(house.follow_up("collect", task)) == "H-ORDER"


def test_an_older_task_does_not_end_a_newer_one(house):
    """A genuine task of an earlier round, replayed while a later one is under way, is H-ORDER and disturbs nothing."""
    house.visit("statistics")
    house.spy.outcome = lambda _work: Busy(0, 1)
    assert isinstance(house.visit("round", 3), Working)
    assert house.code(house.sealed(house.task("round", 2))) == "H-ORDER"
    assert house.spy.withdrawn == []
    house.spy.outcome = None
    assert isinstance(house.read(house.porter.visit(house.follow_up("collect", house.task("round", 3)))), Reply)


def test_the_test_is_begun_for_one_set_of_weights(house):
    """While the test of some weights is under way, no other weights are tested beside them."""
    house.visit("statistics")
    house.spy.outcome = lambda _work: Busy(0, 1)
    assert isinstance(house.visit("test", 2), Working)
    moved = house.paper.bundle.weights * 2
    assert house.code(house.sealed(house.task("test", 2, weights=moved, attempt=1), moved)) == "H-ORDER"
    house.spy.outcome = None
    assert isinstance(house.read(house.porter.visit(house.follow_up("collect", house.task("test", 2)))), Reply)


def test_a_collect_is_not_a_task_in_disguise(house):
    """A signed collect whose fields are those of a task carries nothing into the worker."""
    task = house.task("statistics")
    collect = Collect(to="beta", study_hash=task.study_hash, task_id=task.task_id)
    assert house.code(seal("collect", collect, house.paper.key)) == "H-ORDER"
