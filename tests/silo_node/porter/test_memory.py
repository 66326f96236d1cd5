"""A porter that is killed at any time: the same task gets the same bytes, old tasks stay behind, nothing is lost half-way."""

import shutil

import pytest
from studies_on_paper import paper

from silo_node.porter.memory import FILE, JOURNAL, REPLY, StudyMemory
from silo_node.work import Busy
from wardround.canonical import sha256
from wardround.errors import refuse
from wardround.files import write_atomic
from wardround.messages.round import Receipt, Reply, SiloRefusal
from wardround.weights.fixed_point import plan_sum


def folder_of(house):
    return house.folder / JOURNAL / house.paper.bundle.study_hash


def test_the_same_bytes_after_a_restart(house):
    """Asked again for the task that was answered, a new porter sends the stored reply and has nothing done."""
    house.visit("statistics")
    task = house.task("round", 1)
    first = house.porter.visit(house.sealed(task)).envelope
    asked = len(house.spy.asked)
    for again in (house.sealed(task), house.follow_up("collect", task)):
        house.reopen()
        assert house.porter.visit(again).envelope == first
    assert len(house.spy.asked) == asked
    assert [entry["event"] for entry in house.entries()][-2:] == ["repeat", "repeat"]


def test_old_tasks_stay_behind(house):
    """After a restart, tasks before the last one are out of order, however well they are signed."""
    house.visit("statistics")
    house.visit("round", 1)
    house.visit("round", 2)
    house.reopen()
    assert house.code(house.sealed(house.task("statistics"))) == "H-ORDER"
    assert house.code(house.sealed(house.task("round", 1))) == "H-ORDER"
    assert isinstance(house.visit("round", 3), Reply)


def test_a_task_begun_stays_behind_too(house):
    """What was under way when the porter died is not overtaken by an older task; the same task is begun again."""
    house.visit("statistics")
    house.spy.outcome = lambda _work: Busy(1, 2)
    task = house.task("round", 2)
    house.porter.visit(house.sealed(task))
    house.reopen()
    assert house.code(house.sealed(house.task("round", 1))) == "H-ORDER"
    house.spy.outcome = None
    assert isinstance(house.read(house.porter.visit(house.sealed(task))), Reply)


def test_what_was_under_way_is_asked_for_again(house):
    """A Collect of a task whose weights died with the porter is answered H-AGAIN; of another task, H-ORDER."""
    house.visit("statistics")
    house.spy.outcome = lambda _work: Busy(1, 2)
    task = house.task("round", 1)
    house.porter.visit(house.sealed(task))
    house.reopen()
    assert house.code(house.follow_up("collect", task)) == "H-AGAIN"
    assert house.code(house.follow_up("collect", house.task("round", 2))) == "H-ORDER"


def test_the_reply_is_on_disk_before_it_leaves(house, monkeypatch):
    """A disk that does not take the reply lets nothing but a bare code out; asked again, it leaves."""
    house.visit("statistics")
    task = house.task("round", 1)

    def full(path, data, mode=0o644):
        if path.name == REPLY:
            raise refuse("O-WRITE", path.name, "Replies are on disk before they leave", "the disk is full", "free space")
        return write_atomic(path, data, mode)

    monkeypatch.setattr("silo_node.porter.memory.write_atomic", full)
    answer = house.read(house.porter.visit(house.sealed(task)))
    assert isinstance(answer, SiloRefusal)
    assert answer.code == "H-FAILED"
    monkeypatch.undo()
    monkeypatch.setattr("silo_node.porter.approvals.code_digest", lambda _packages: "c" * 64)
    assert isinstance(house.read(house.porter.visit(house.sealed(task))), Reply)


def test_what_a_killed_porter_left_beside_the_reply_is_removed(house):
    """A porter killed while it writes a reply leaves up to a model's bytes: the next one that opens the study removes them."""
    house.visit("statistics")
    left, other = folder_of(house) / f".{REPLY}.ab12_cd3", folder_of(house) / ".kept"
    for path in (left, other):
        path.write_bytes(b"half")
    reply = (folder_of(house) / REPLY).read_bytes()
    house.reopen()
    assert isinstance(house.visit("round", 1), Reply)
    assert not left.exists()
    assert other.exists()
    assert (folder_of(house) / REPLY).read_bytes() != reply


@pytest.mark.parametrize("damage", ["lost", "cut", "changed"])
def test_a_damaged_reply_is_made_again(house, damage):
    """A stored reply that is not whole is never sent: the work is asked for again, and gives the same result."""
    house.visit("statistics")
    task = house.task("round", 1)
    first = house.read(house.porter.visit(house.sealed(task)))
    path = folder_of(house) / REPLY
    data = path.read_bytes()
    if damage == "lost":
        path.unlink()
    else:
        path.write_bytes(data[:-1] if damage == "cut" else data[:-1] + bytes([data[-1] ^ 1]))
    house.reopen()
    again = house.read(house.porter.visit(house.sealed(task)))
    assert isinstance(again, Reply)
    assert (again.result, again.bodies, again.records) == (first.result, first.bodies, first.records)


def test_a_torn_memory_goes_on_or_is_refused(house, tmp_path):
    """Cut at every byte of its last lines: the porter goes on from what is whole, and repeats or redoes the last task."""
    house.visit("statistics")
    task = house.task("round", 1)
    first = house.read(house.porter.visit(house.sealed(task)))
    house.porter.close()
    whole = tmp_path / "whole"
    shutil.copytree(folder_of(house), whole)
    data = (whole / FILE).read_bytes()
    begin = len(data) - sum(len(line) for line in data.splitlines(keepends=True)[-2:])
    for end in range(begin, len(data), 23):
        shutil.rmtree(folder_of(house))
        shutil.copytree(whole, folder_of(house))
        (folder_of(house) / FILE).write_bytes(data[:end])
        house.reopen()
        again = house.read(house.porter.visit(house.sealed(task)))
        assert isinstance(again, Reply)
        assert (again.result, again.bodies) == (first.result, first.bodies)
        house.porter.close()


def test_an_edited_memory_stops_its_study(house):
    """A changed line: nothing of this study runs here, and the hospital's log says which line."""
    house.visit("statistics")
    house.visit("round", 1)
    path = folder_of(house) / FILE
    path.write_bytes(path.read_bytes().replace(b'"event":"reply"', b'"event":"replY"', 1))
    house.reopen()
    assert house.code(house.sealed(house.task("round", 2))) == "H-FAILED"


def test_a_receipt_is_written_down_once(house):
    """Over restarts too: a receipt that comes again with a repeated task is no news."""
    house.visit("statistics")
    reply = house.porter.visit(house.sealed(house.task("round", 1))).envelope
    receipt = Receipt(task_id=house.task("round", 1).task_id, reply=sha256(reply.message), verdict="counted")
    house.spy.outcome = lambda _work: Busy(1, 2)
    for _ in range(3):
        house.visit("round", 2, receipt=receipt)
        house.reopen()
    assert [entry["event"] for entry in house.entries()].count("receipt") == 1


def test_a_simulation_forgets(tmp_path):
    """Without a directory nothing is written, and another memory knows nothing."""
    study = paper().bundle.study_hash
    one = StudyMemory(None, study)
    one.begin("a" * 64, "b" * 64, (0, 0, 0, 0), None)
    assert StudyMemory(None, study).known.begun == (-1, 0, 0, 0)
    assert list(tmp_path.iterdir()) == []


def test_a_raised_plan_is_the_same_work_after_it(house):
    """A task whose exponents were raised comes after the first one, is done, and is no further release of the approval."""
    house.visit("statistics")
    weights, manifest = house.paper.bundle.weights, house.paper.bundle.manifest
    first = plan_sum(weights, manifest, 225)
    raised = first.model_copy(update={"exponents": tuple(each + 3 for each in first.exponents), "raised": 1})
    lower = first.model_copy(update={"exponents": tuple(each - 1 for each in first.exponents), "raised": 1})
    wild = first.model_copy(update={"exponents": tuple(each + 99 for each in first.exponents), "raised": 1})
    plain = first.model_copy(update={"exponents": raised.exponents})
    one = house.visit("round", 1, core_plan=first)
    for plan, code in ((lower, "H-BODY"), (wild, "H-BODY"), (plain, "H-ORDER")):
        assert house.code(house.sealed(house.task("round", 1, core_plan=plan))) == code
    two = house.visit("round", 1, core_plan=raised)
    assert isinstance(two, Reply)
    assert (two.bodies, two.result) == (one.bodies, one.result)
    assert two.task_id != one.task_id
    works = {entry["work"] for entry in house.entries() if entry["event"] == "release"}
    assert len(works) == 2, "statistics, and one round"
    assert house.code(house.sealed(house.task("round", 1, core_plan=first))) == "H-ORDER"


def test_what_the_gate_refused_is_asked_for_again(house):
    """A result that the gate did not let out is no reply that is kept: once the reason is mended, the work leaves."""
    house.visit("statistics")
    task = house.task("round", 1)
    house.spy.outcome = lambda work: house.spy.honest(work).__class__(5, house.spy.honest(work).result, None)
    assert house.read(house.porter.visit(house.sealed(task))).code == "H-GATE"
    house.spy.outcome = None
    house.goes_on()
    house.reopen()
    again = house.task("round", 1, attempt=1)
    assert isinstance(house.read(house.porter.visit(house.sealed(again))), Reply)


def test_the_test_records_are_read_for_one_set_of_weights(house):
    """A test task that was begun and withdrawn, or lost with the porter, leaves no room for other weights."""
    house.visit("statistics")
    house.visit("round", 1)
    house.spy.outcome = lambda _work: Busy(1, 2)
    first = house.task("test", 1)
    house.porter.visit(house.sealed(first))
    house.porter.visit(house.follow_up("withdraw", first))
    moved = house.paper.bundle.weights + 1
    other = house.task("test", 1, weights=moved, attempt=1)
    assert house.code(house.sealed(other, moved)) == "H-ORDER"
    house.reopen()
    assert house.code(house.sealed(other, moved)) == "H-ORDER"
    house.spy.outcome = None
    assert isinstance(house.read(house.porter.visit(house.sealed(house.task("test", 1, attempt=1)))), Reply)


def test_work_ends_with_its_approval(house):
    """When a person withdraws the approval, the work under way is withdrawn from the trainer at the next message."""
    house.visit("statistics")
    house.spy.outcome = lambda _work: Busy(1, 2)
    task = house.task("round", 1)
    house.porter.visit(house.sealed(task))
    (house.folder / "approvals" / f"{house.paper.bundle.study_hash}.json").unlink()
    assert house.code(house.follow_up("collect", task)) == "H-STUDY"
    assert house.spy.withdrawn == [task.task_id]


def test_a_withdrawal_reaches_the_trainer_after_a_restart(house):
    """The porter was restarted meanwhile: the task is withdrawn all the same, and is not to be collected any more."""
    house.visit("statistics")
    house.spy.outcome = lambda _work: Busy(1, 2)
    task = house.task("round", 1)
    house.porter.visit(house.sealed(task))
    house.reopen()
    assert house.code(house.follow_up("withdraw", task)) == "H-WITHDRAWN"
    assert house.spy.withdrawn == [task.task_id]
    assert house.code(house.follow_up("collect", task)) == "H-ORDER"


def test_a_raised_plan_is_for_the_work_that_was_begun(house):
    """A raised plan with other weights in the same round is out of order."""
    house.visit("statistics")
    weights, manifest = house.paper.bundle.weights, house.paper.bundle.manifest
    house.visit("round", 1)
    moved = weights + 1
    house.visit("round", 2)
    first = plan_sum(moved, manifest, 225)
    raised = first.model_copy(update={"exponents": tuple(each + 3 for each in first.exponents), "raised": 1})
    assert house.code(house.sealed(house.task("round", 2, weights=moved, core_plan=raised), moved)) == "H-ORDER"


def test_counted_is_not_hidden_by_late(house):
    """A receipt that says late, and then one that says counted, of the same reply: both stand in the ledger, in this order."""
    house.visit("statistics")
    reply = house.porter.visit(house.sealed(house.task("round", 1))).envelope
    house.spy.outcome = lambda _work: Busy(1, 2)
    for verdict in ("R-LATE", "counted"):
        receipt = Receipt(task_id=house.task("round", 1).task_id, reply=sha256(reply.message), verdict=verdict)
        house.visit("round", 2, receipt=receipt)
    assert [entry["verdict"] for entry in house.entries() if entry["event"] == "receipt"] == ["R-LATE", "counted"]
