"""Admission: a reply counts only byte for byte as its hospital signed it."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paper_hospitals import PaperHospital, report
from studies_on_paper import paper

from coordinator.rounds.admission import Admitted, Expectation, NotAdmitted, admit
from wardround.canonical import canonical_bytes, sha256
from wardround.messages.data_report import FindingSummary
from wardround.messages.envelope import Envelope, seal
from wardround.messages.round import Purpose, SiloRefusal, Task, TaskCore
from wardround.weights.fixed_point import plan_sum

STUDY = paper()
BUNDLE = STUDY.bundle
MEMBER = BUNDLE.roster.silos[1]
KEY = STUDY.parties["beta"].key


def core_of(purpose: Purpose) -> TaskCore:
    plan = plan_sum(BUNDLE.weights, BUNDLE.manifest, 225) if purpose == "round" else None
    return STUDY.core(purpose, 0 if purpose == "statistics" else 2, plan=plan)


def expected(purpose: Purpose) -> Expectation:
    return Expectation(MEMBER, core_of(purpose), None if purpose == "statistics" else 60, 20 if purpose == "test" else 30)


def reply(purpose: Purpose) -> Envelope:
    core = core_of(purpose)
    task = Task(to="beta", study_hash=core.study_hash, task_id=core.task_id(), core=core, deadline_seconds=1.0)
    found = PaperHospital(STUDY, "beta", 60).knock(seal("task", task, STUDY.key))
    assert found is not None
    return found


PURPOSES: tuple[Purpose, ...] = ("statistics", "round", "closing", "test")
REPLIES = {purpose: reply(purpose) for purpose in PURPOSES}


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_right_reply_is_admitted(purpose):
    """The genuine reply of each kind counts, with its change of weights when it is a round's."""
    decision = admit(REPLIES[purpose], expected(purpose), BUNDLE)
    assert isinstance(decision, Admitted)
    assert decision.digest == sha256(REPLIES[purpose].message)
    assert (decision.change is not None) == (purpose == "round")


@settings(max_examples=300)
@given(st.data())
def test_a_mutated_reply_is_never_admitted(data):
    """Bytes changed, cut, put in or swapped anywhere in message, signature or arrays: never admitted, always with a code."""
    purpose = data.draw(st.sampled_from(PURPOSES))
    good = REPLIES[purpose]
    parts = {"message": good.message, "signature": good.signature.encode(), **({"array": good.arrays[0]} if good.arrays else {})}
    name = data.draw(st.sampled_from(sorted(parts)))
    part = parts[name]
    start = data.draw(st.integers(0, len(part)))
    end = data.draw(st.integers(start, min(len(part), start + 8)))
    parts[name] = part[:start] + data.draw(st.binary(max_size=8)) + part[end:]
    mutated = Envelope(parts["message"], parts["signature"].decode("latin-1"), (parts["array"],) if "array" in parts else ())
    decision = admit(mutated, expected(purpose), BUNDLE)
    assert isinstance(decision, Admitted) == (mutated == good)


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_reply_of_one_purpose_is_none_of_another(purpose):
    """A genuine reply does not answer a task of another purpose, nor another round, nor another hospital's task."""
    for other in PURPOSES:
        decision = admit(REPLIES[purpose], expected(other), BUNDLE)
        assert isinstance(decision, Admitted) == (purpose == other)
    moved = expected(purpose).core.model_copy(update={"round": 3})
    digest = sha256(REPLIES[purpose].message)
    assert admit(REPLIES[purpose], Expectation(MEMBER, moved, None), BUNDLE) == NotAdmitted("R-TASK", digest, head="b" * 64)
    stranger = Expectation(BUNDLE.roster.silos[0], core_of(purpose), None)
    assert admit(REPLIES[purpose], stranger, BUNDLE) == NotAdmitted("R-SIGNATURE", sha256(REPLIES[purpose].message))


@pytest.mark.parametrize("purpose", ["statistics", "closing", "test"])
def test_arrays_that_nobody_asked_for_are_refused(purpose):
    """Only a round has an array; a hidden one is R-BODY, a declared one R-SHAPE."""
    good = REPLIES[purpose]
    assert admit(Envelope(good.message, good.signature, (b"x",)), expected(purpose), BUNDLE).code == "R-BODY"
    value = json.loads(good.message) | {"bodies": [sha256(b"x")]}
    message = canonical_bytes(value)
    assert admit(Envelope(message, KEY.sign("reply", message), (b"x",)), expected(purpose), BUNDLE).code == "R-SHAPE"


def edited(purpose: Purpose, *path: str | int, value: object) -> Envelope:
    """Give a reply with one part changed, signed by the hospital itself."""
    message = json.loads(REPLIES[purpose].message)
    place = message
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    data = canonical_bytes(message)
    return Envelope(data, KEY.sign("reply", data), REPLIES[purpose].arrays)


SUMS = ("result", "sums", 0)


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        ((*SUMS, "records"), 61, "R-METRICS"),
        ((*SUMS, "total"), str(60 * 2**24 + 1), "R-METRICS"),
        ((*SUMS, "squares"), "0", "R-METRICS"),
        ((*SUMS, "squares"), "9" * 39, "R-METRICS"),
        ((*SUMS, "total"), "-1", "R-PROTOCOL"),
        ((*SUMS, "field"), "pain", "R-METRICS"),
        ((*SUMS, "field"), "smith", "R-METRICS"),
        ((*SUMS, "field"), "pressure", "R-METRICS"),
        (("result", "validation"), -1, "R-PROTOCOL"),
        (("result", "validation"), 31, "R-METRICS"),
        (("result", "report", "schema_id"), "other.table", "R-PROTOCOL"),
        (("result", "report", "schema_version"), "1.0.1", "R-PROTOCOL"),
        (("records",), 61, "R-METRICS"),
        (("site",), "alpha", "R-SENDER"),
        (("approval",), "x", "R-PROTOCOL"),
        (("note",), "x", "R-PROTOCOL"),
    ],
)
def test_impossible_statistics_are_refused(path, value, code):
    """Sums that no 60 records of this study can have, doubled or foreign fields, and splits above the valid records."""
    decision = admit(edited("statistics", *path, value=value), expected("statistics"), BUNDLE)
    assert isinstance(decision, NotAdmitted)
    assert decision.code == code


def test_a_feature_without_any_value_is_no_contradiction():
    """A hospital that never measures a field says so with zero values, and counts."""
    nothing = {"field": "age", "records": 0, "total": "0", "squares": "0"}
    assert isinstance(admit(edited("statistics", *SUMS, value=nothing), expected("statistics"), BUNDLE), Admitted)
    some = {**nothing, "total": "1"}
    assert admit(edited("statistics", *SUMS, value=some), expected("statistics"), BUNDLE).code == "R-METRICS"


def test_names_that_the_schema_does_not_have_are_not_taken_in():
    """A report with a field of nobody's schema is R-PROTOCOL, in a reply and in a refusal: it would stand in the release."""
    finding = FindingSummary(code="T-NULL", severity="error", field="smith_john")
    foreign = report(60).model_copy(update={"findings": (finding,)})
    envelope = edited("statistics", "result", "report", value=foreign.model_dump(mode="json"))
    assert admit(envelope, expected("statistics"), BUNDLE).code == "R-PROTOCOL"
    core = core_of("round")
    refusal = SiloRefusal(site="beta", study_hash=core.study_hash, task_id=core.task_id(), code="H-DATA", report=foreign)
    decision = admit(seal("reply", refusal, KEY), expected("round"), BUNDLE)
    assert isinstance(decision, NotAdmitted)
    assert (decision.code, decision.refusal) == ("R-PROTOCOL", None)


@pytest.mark.parametrize(
    ("study_hash", "task_id", "code"),
    [
        (BUNDLE.study_hash, core_of("round").task_id(), "H-DATA"),
        (None, None, "R-TASK"),
        (BUNDLE.study_hash, core_of("closing").task_id(), "R-TASK"),
        ("0" * 64, core_of("round").task_id(), "R-TASK"),
        (BUNDLE.study_hash, None, "R-TASK"),
    ],
    ids=["ours", "of no task", "another task", "another study", "half named"],
)
def test_a_refusal_is_of_the_task_that_was_sent(study_hash, task_id, code):
    """A refusal of another round, replayed, does not stand for one of this round."""
    refusal = SiloRefusal(site="beta", study_hash=study_hash, task_id=task_id, code="H-DATA")
    decision = admit(seal("reply", refusal, KEY), expected("round"), BUNDLE)
    assert isinstance(decision, NotAdmitted)
    assert decision.code == code


def test_a_refusal_of_no_task_names_the_very_message_that_was_sent():
    """What a hospital could not read has no task: the refusal names the digest of its bytes, so that an older one is none."""
    asked = replace(expected("round"), message="a" * 64)
    for answers, code in (("a" * 64, "H-PROTOCOL"), ("b" * 64, "R-TASK"), (None, "R-TASK")):
        refusal = SiloRefusal(site="beta", study_hash=None, task_id=None, code="H-PROTOCOL", answers=answers)
        assert admit(seal("reply", refusal, KEY), asked, BUNDLE).code == code
        assert admit(seal("reply", refusal, KEY), expected("round"), BUNDLE).code == "R-TASK", "nothing was sent"
