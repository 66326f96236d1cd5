"""What leaves a hospital has no free string; a task's identity is what it asks."""

import re

import pytest
from pydantic import TypeAdapter, ValidationError
from studies_on_paper import paper, scores

from wardround.errors import CATALOGUE
from wardround.messages.record import ShortfallCode
from wardround.messages.round import (
    ANSWER,
    LARGEST_EXPONENT,
    CentreCode,
    Evaluation,
    EvaluationResult,
    FieldSums,
    Reply,
    RoundResult,
    SiloCode,
    SiloRefusal,
    Working,
)
from wardround.weights.fixed_point import SumPlan

SCHEMA = ANSWER.json_schema()


def nodes(node):
    """Give every subschema of the answer's JSON schema, definitions included."""
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from nodes(value)
    elif isinstance(node, list):
        for value in node:
            yield from nodes(value)


TYPED = [node for node in nodes(SCHEMA) if isinstance(node.get("type"), str)]


def test_the_walk_sees_everything():
    """The schema under test holds both answers and all that they reach."""
    assert {"Reply", "SiloRefusal", "ScoreCounts", "FieldSums", "DataReport", "FindingSummary", "Evaluation"} <= set(
        SCHEMA["$defs"]
    )


@pytest.mark.parametrize("node", [node for node in TYPED if node["type"] == "string"])
def test_no_outgoing_string_is_free(node):
    """Every string of an answer is one of a list, or a bounded pattern of plain characters without a space."""
    if "enum" in node or "const" in node:
        return
    pattern = node["pattern"]
    assert pattern.startswith("^")
    assert pattern.endswith("$")
    unbounded = re.search(r"[*+]|\{\d+,\}", pattern.replace("\\*", "").replace("\\+", ""))
    assert unbounded is None or node["maxLength"] <= 100
    assert not re.search(r"\\[wdsWDS]|(?<!\\)\.(?!\d)|\[\^", pattern), "no class that takes letters of any script"


@pytest.mark.parametrize("node", [node for node in TYPED if node["type"] == "object"])
def test_every_outgoing_object_is_closed(node):
    """No answer takes a key that we did not name."""
    assert node["additionalProperties"] is False


@pytest.mark.parametrize("node", [node for node in TYPED if node["type"] in ("integer", "array")])
def test_outgoing_numbers_and_lists_are_bounded(node):
    """Counts are integers from zero below 2**53, exponents those of float32; lists have an end."""
    if node["type"] == "array":
        assert node["maxItems"] <= 100_000
    elif "const" not in node:
        exponent = (node["minimum"], node.get("maximum")) == (-LARGEST_EXPONENT, LARGEST_EXPONENT)
        assert exponent or node["minimum"] >= 0
        assert node.get("maximum", node.get("exclusiveMaximum")) <= 2**53


def test_no_outgoing_number_is_a_fraction():
    """Nothing in an answer's message is a float: what is not an integer travels in the arrays."""
    assert {node["type"] for node in TYPED} == {"object", "string", "integer", "boolean", "array", "null"}
    assert not [node for node in nodes(SCHEMA) if node == {} or node.get("additionalProperties") is True]


@pytest.mark.parametrize("codes", [SiloCode, CentreCode, ShortfallCode])
def test_every_code_has_its_entry(codes):
    """A code that can be sent stands in the catalogue."""
    assert set(TypeAdapter(codes).json_schema()["enum"]) <= set(CATALOGUE)


BASE = {
    "site": "alpha",
    "study_hash": "0" * 64,
    "task_id": "1" * 64,
    "approval": "2" * 64,
    "ledger": "3" * 64,
    "records": 5,
    "result": EvaluationResult(purpose="closing", evaluation=Evaluation(counts=None)),
}


@pytest.mark.parametrize(
    "change",
    [
        {"site": "Alpha Hospital"},
        {"site": "alpha\n"},
        {"study_hash": "x" * 64},
        {"study_hash": "0" * 63},
        {"records": 0},
        {"records": -5},
        {"records": 2**33},
        {"records": 5.0},
        {"bodies": ("0" * 64,) * 3},
        {"note": "the patient said"},
        {"protocol": 2},
    ],
)
def test_replies_take_nothing_else(change):
    """A name, a note, a wrong count or another protocol cannot be put into a reply."""
    Reply(**BASE)
    with pytest.raises(ValidationError):
        Reply(**{**BASE, **change})


def test_refusals_say_codes_only():
    """A refusal has a code of the list; a sentence does not fit in."""
    with pytest.raises(ValidationError):
        SiloRefusal(site="alpha", study_hash=None, task_id=None, code="no file /data/meyer.csv")


@pytest.mark.parametrize("digits", ["", "-1", "01", "1.5", "1e5", " 1", "\uff11", "9" * 40, "1_000"])
def test_exact_integers_are_plain_digits(digits):
    """Large sums travel as decimal digits, at most 39 of them, in one form."""
    FieldSums(field="age", records=1, total="9" * 39, squares="0")
    with pytest.raises(ValidationError):
        FieldSums(field="age", records=1, total=digits, squares="0")


@pytest.mark.parametrize("units", [-1, 2**53, 0.5])
def test_training_losses_are_bounded(units):
    """A mean loss above 1000 nats cannot be said."""
    with pytest.raises(ValidationError):
        RoundResult(evaluation=Evaluation(counts=scores([1], [2])), training_loss_units=units)


def test_a_task_is_what_it_asks():
    """Every part of a task's core changes its identity; nothing else is in it, so that a repeated task is the same."""
    study = paper()
    base = study.core("closing", 2)
    others = [
        study.core("closing", 3),
        study.core("test", 2),
        base.model_copy(update={"weights": "0" * 64}),
        base.model_copy(update={"encoding": "0" * 64}),
        base.model_copy(update={"study_hash": "0" * 64}),
    ]
    assert len({base.task_id(), *(other.task_id() for other in others)}) == len(others) + 1
    assert study.core("closing", 2).task_id() == base.task_id()
    assert set(type(base).model_fields) == {"study_hash", "purpose", "round", "weights", "encoding", "plan"}


def test_work_is_the_same_under_another_plan():
    """Only the plan of the sum is left out of the work's identity: a re-planned round is another task for the same work."""
    study = paper()
    base = study.core("round", 2, plan=SumPlan(bits=40, exponents=(1, 2)))
    planned = base.model_copy(update={"plan": SumPlan(bits=40, exponents=(1, 9))})
    assert planned.task_id() != base.task_id()
    assert planned.work_id() == base.work_id() != base.task_id()
    changes = ({"round": 3}, {"purpose": "closing"}, {"weights": "0" * 64}, {"encoding": "0" * 64}, {"study_hash": "0" * 64})
    assert len({base.work_id(), *(base.model_copy(update=change).work_id() for change in changes)}) == len(changes) + 1


def test_exponents_stand_with_their_code_alone():
    """A refusal for the range of the sum says which exponents would do; no other refusal carries numbers, nor absurd ones."""
    fields = {"site": "alpha", "study_hash": "0" * 64, "task_id": "1" * 64}
    refusal = SiloRefusal(**fields, code="H-RANGE", exponents=(-149, 0, 128))
    assert ANSWER.validate_json(refusal.model_dump_json()) == refusal
    assert SiloRefusal(**fields, code="H-RANGE").exponents is None
    for code, exponents in (("H-FAILED", (1,)), ("H-RANGE", (201,)), ("H-RANGE", (-201,)), ("H-RANGE", (0,) * 100_001)):
        with pytest.raises(ValidationError):
            SiloRefusal(**fields, code=code, exponents=exponents)


@pytest.mark.parametrize("percent", [-1, 101, 27.5])
def test_progress_is_a_whole_percentage(percent):
    """How far a hospital is stands between 0 and 100."""
    fields = {"site": "alpha", "study_hash": "0" * 64, "task_id": "1" * 64, "epoch": 3, "epochs": 10}
    assert Working(**fields, percent=27).percent == 27
    with pytest.raises(ValidationError):
        Working(**fields, percent=percent)
