"""One reference for what happens in a visit: in the refusal, in the ledger, in the log; made by the porter, before it happens."""

from __future__ import annotations

import json

import pytest

from silo_node.confinement import Confinement
from silo_node.work import Busy, NotDone
from silo_node.work_wire import BusyAnswer, DoneAnswer, NotDoneAnswer, PerformOrder, SteppedAnswer, TryOrder
from wardround.errors import refuse
from wardround.json_log import close_log, open_log
from wardround.messages.round import Reply, SiloRefusal
from wardround.reference import current_reference

TEXT = "row 17 of patient Meyer"
HELD = Confinement(process=1, holds=("network-python", "not-root"), fails=("network-kernel",))


class Panic(BaseException):
    """As Rust's panics come: no Exception."""


@pytest.fixture
def log(house, tmp_path):
    """The hospital's log as its porter writes it; gives a function that reads its lines."""
    opened = open_log(tmp_path / "node.log", "tests.references")
    house.porter._log = opened
    yield lambda: [json.loads(line) for line in (tmp_path / "node.log").read_text().splitlines()]
    close_log(opened)


@pytest.mark.parametrize("error", [ValueError(TEXT), MemoryError(TEXT), RecursionError(), SystemExit(TEXT), Panic(TEXT)])
def test_a_failure_has_one_reference_everywhere(house, log, error):
    """Whatever is raised, of any kind: H-FAILED with the reference of the ledger's entry and of the log's line with the trace."""

    def fails(_work):
        raise error

    house.spy.outcome = fails
    answer = house.visit("statistics")
    assert isinstance(answer, SiloRefusal)
    assert (answer.code, answer.report) == ("H-FAILED", None)
    assert TEXT not in answer.model_dump_json()
    entry = house.entries()[-1]
    assert (entry["event"], entry["reference"]) == ("refusal", answer.reference)
    (line,) = [line for line in log() if "exception" in line]
    assert line["reference"] == answer.reference
    assert type(error).__name__ in line["exception"]
    assert current_reference() is None


def test_a_person_at_a_simulation_stops_it(house):
    def fails(_work):
        raise KeyboardInterrupt

    house.spy.outcome = fails
    with pytest.raises(KeyboardInterrupt):
        house.visit("statistics")


def test_each_visit_has_its_own_and_long_work_keeps_its_first(house, log):
    """Work that is asked for again and again is told under the reference with which it was begun; other visits have others."""
    seen = []

    def outcome(_work):
        seen.append(current_reference())
        return Busy(1, 2) if len(seen) < 3 else NotDone("H-MEMORY")

    house.visit("statistics")
    house.spy.outcome = outcome
    task = house.task("round", 1)
    house.porter.visit(house.sealed(task))
    house.porter.visit(house.follow_up("collect", task))
    refusal = house.read(house.porter.visit(house.follow_up("collect", task)))
    assert isinstance(refusal, SiloRefusal)
    assert set(seen) == {refusal.reference}
    other = house.read(house.porter.visit(house.follow_up("collect", task)))
    assert isinstance(other, SiloRefusal)
    assert other.reference not in (None, refusal.reference)
    assert "exception" not in str(log())


def test_who_holds_records_has_no_say_in_it():
    """The porter names a reference to the trainer; nothing that the trainer answers has a place for one."""
    assert "reference" in PerformOrder.model_fields
    assert "reference" in TryOrder.model_fields
    for answer in (DoneAnswer, NotDoneAnswer, BusyAnswer, SteppedAnswer):
        assert "reference" not in answer.model_fields
    assert not hasattr(NotDone("H-FAILED"), "reference")


def test_what_the_trainer_found_is_written_down_once(house):
    """How the trainer is confined stands in the ledger before the work, and again only when it is another."""
    house.spy.confined = HELD
    house.visit("statistics")
    house.visit("round", 1)
    found = [entry for entry in house.entries() if entry["event"] == "confinement"]
    assert [(entry["holds"], entry["fails"], entry["required"]) for entry in found] == [
        (["network-python", "not-root"], ["network-kernel"], [])
    ]
    assert house.entries()[0]["event"] == "confinement"
    house.spy.confined = HELD.model_copy(update={"holds": (), "process": 2})
    house.visit("round", 2)
    assert [entry["event"] for entry in house.entries()].count("confinement") == 2


def test_a_full_disk_stops_no_node_that_begins(house, monkeypatch):
    """What the trainer found cannot be written down at the start: the node comes up, and it is written with the first task."""
    house.spy.confined = HELD

    def full(_entry):
        raise refuse("O-WRITE", "ledger", "rule", "the disk did not take a line", "free space")

    with monkeypatch.context() as while_full:
        while_full.setattr(house.ledger, "write", full)
        house.porter.begin()
    house.visit("statistics")
    assert [entry["event"] for entry in house.entries()] == ["confinement", "release"]


def test_what_the_policy_requires_must_hold(house):
    """A trainer that lacks what is required gets no task, and one that is under way ends; another trainer gets the next."""
    house.spy.confined = HELD
    house.visit("statistics")
    house.decides("required_confinement: [network-python, network-kernel]\n")
    assert house.code(house.sealed(house.task("round", 1))) == "H-CONFINEMENT"
    house.decides("required_confinement: [network-python]\n")
    task = house.task("round", 1)
    house.spy.outcome = lambda _work: Busy(0, 1)
    house.porter.visit(house.sealed(task))
    house.decides("required_confinement: [memory-limit]\n")
    assert house.code(house.follow_up("collect", task)) == "H-CONFINEMENT"
    assert house.spy.withdrawn == [task.task_id]
    house.spy.confined, house.spy.outcome = HELD.model_copy(update={"holds": ("memory-limit",)}), None
    assert isinstance(house.visit("round", 2), Reply)


def test_a_stranger_learns_nothing_of_the_confinement(house):
    """Only who signs as the coordinator of an approved study has the trainer asked, and hears H-CONFINEMENT."""
    house.spy.confined = HELD
    house.decides("required_confinement: [memory-limit]\n")
    stranger = house.paper.parties["alpha"].key
    assert house.code(house.sealed(house.task("statistics"), key=stranger)) == "H-SIGNATURE"


def test_a_trainer_that_is_away_is_waited_for(house):
    """Nobody says how it is confined: the work is ordered, and the trainer itself refuses when it comes back."""
    house.decides("required_confinement: [memory-limit]\n")
    assert isinstance(house.visit("statistics"), Reply)
