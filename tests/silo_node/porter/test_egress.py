"""Nothing leaves that the egress manifest does not name: results are changed value by value, and the gate keeps them back."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from paper_hospitals import PaperHospital, report
from studies_on_paper import contract, paper

from silo_node.porter.egress import beyond, beyond_a_code
from silo_node.porter.manifest import MOST_RECORDS, egress_manifest
from silo_node.work import Done, NotDone
from wardround.canonical import model_json
from wardround.messages.data_report import CountedFinding, DataReport, make_report
from wardround.messages.round import EvaluationResult, FieldSums, RoundResult, StatisticsResult, Task

PAPER = paper()
MANIFEST = egress_manifest(PAPER.bundle)
TYPES = {"statistics": StatisticsResult, "round": RoundResult, "closing": EvaluationResult, "test": EvaluationResult}
PATIENT = "smith_john"
FINDING = CountedFinding(code="T-NULL", severity="error", field="age", records=40, sets_aside=True)
REPORT = make_report(contract(), found=100, quarantined=40, passed=False, findings=(FINDING,), small_cell=11)


def honest(purpose: str) -> Done:
    """Give what a trainer would for a visit, with a finding in its report."""
    hospital = PaperHospital(PAPER, "beta", 60)
    core = PAPER.core(purpose, 0 if purpose == "statistics" else 1)
    result = hospital._result(Task.model_construct(core=core))
    if isinstance(result, StatisticsResult):
        result = result.model_copy(update={"report": REPORT})
    return Done(60, result, hospital.change(1) if purpose == "round" else None)


def leaves(value, path=()):
    """Give the path of every single value and every container of a result."""
    yield path
    if isinstance(value, dict):
        for key, each in value.items():
            yield from leaves(each, (*path, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from leaves(each, (*path, index))


def at(value, path):
    for step in path:
        value = value[step]
    return value


def built(kind, content):
    """Build a model of plain JSON as a broken trainer might: nothing is looked at."""
    try:
        return kind.model_validate_json(json.dumps(content))
    except ValueError:
        return kind.model_construct(**content)


@pytest.mark.parametrize("purpose", sorted(TYPES))
def test_an_honest_result_may_leave(purpose):
    """What a trainer gives is all named; nothing of it is kept back."""
    assert beyond(honest(purpose), purpose, MANIFEST) == ()


@pytest.mark.parametrize("purpose", sorted(TYPES))
@pytest.mark.parametrize("other", sorted(TYPES))
def test_each_visit_lets_out_its_own_kind_of_result(purpose, other):
    """A result of one visit is none of another."""
    assert bool(beyond(honest(purpose), other, MANIFEST)) == (purpose != other)


FOREIGN = st.one_of(
    st.sampled_from([PATIENT, "", "T-NULL ", -1, 2**53, 2**70, 0.5, -0.25, [], {}, [7], {PATIENT: 1}, [[PATIENT]]]),
    st.integers(max_value=-1),
    st.integers(min_value=2**54),
    st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: not number.is_integer()),
    st.text(alphabet="xyz", min_size=1),
)
"""Values that stand nowhere in any result."""


@pytest.mark.parametrize("purpose", sorted(TYPES))
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_value_leaves_that_is_not_of_its_place(purpose, data):
    """Any value of a result in the place of which something stands that never stands there: kept back, the place named or not."""
    done = honest(purpose)
    content = model_json(done.result)
    path = data.draw(st.sampled_from([each for each in leaves(content) if each]))
    changed = copy.deepcopy(content)
    at(changed, path[:-1])[path[-1]] = data.draw(
        FOREIGN.filter(lambda value: value != at(content, path) and value not in ([], {}))
    )
    parts = beyond(replace(done, result=built(TYPES[purpose], changed)), purpose, MANIFEST)
    assert parts, path
    assert PATIENT not in str(parts)


@pytest.mark.parametrize("purpose", sorted(TYPES))
@settings(max_examples=80, deadline=None)
@given(st.data())
def test_nothing_is_added(purpose, data):
    """A further key anywhere, in the JSON or as an attribute of a model, is kept back."""
    done = honest(purpose)
    content = model_json(done.result)
    path = data.draw(st.sampled_from([each for each in leaves(content) if isinstance(at(content, each), dict)]))
    at(content, path)[PATIENT] = data.draw(st.sampled_from([1, PATIENT, None, True, [1]]))
    assert beyond(replace(done, result=built(TYPES[purpose], content)), purpose, MANIFEST)
    assert beyond(replace(done, result=done.result.model_copy(update={PATIENT: 1})), purpose, MANIFEST)


NEAR = {
    "a count beyond every hospital": (("validation",), MOST_RECORDS + 1, "range"),
    "a sum of too many bits": (("sums", 0, "total"), str(2**60), "range"),
    "squares of too many bits": (("sums", 0, "squares"), str(2**90), "range"),
    "a feature that has no sums": (("sums", 0, "field"), "pain", "word"),
    "a field of the schema that is no feature": (("sums", 0, "field"), "disease", "word"),
    "another schema": (("report", "schema_id"), "test.lungs", "word"),
    "another version": (("report", "schema_version"), "1.0.1", "word"),
    "another contract": (("report", "contract_hash"), "0" * 64, "word"),
    "a finding about a field of nobody": (("report", "findings", 0, "field"), PATIENT, "word"),
    "a finding about a rule of nobody": (("report", "findings", 0, "rule"), "smith-john", "word"),
    "a count in a report": (("report", "found"), {"count": MOST_RECORDS + 1}, "range"),
}


@pytest.mark.parametrize("case", NEAR)
def test_what_the_message_could_hold_and_the_manifest_does_not_is_kept_back(case):
    """Valid as a message, and yet not of this study: the manifest is the closer one, and the ledger may name the place."""
    path, value, why = NEAR[case]
    done = honest("statistics")
    content = model_json(done.result)
    at(content, path[:-1])[path[-1]] = value
    result = StatisticsResult.model_validate_json(json.dumps(content))
    (part,) = beyond(replace(done, result=result), "statistics", MANIFEST)
    assert part.why == why
    assert part.place.startswith("result." + path[0])


def test_the_sums_of_a_feature_leave_once():
    """Twice the same feature, or more features than there are, is kept back."""
    done = honest("statistics")
    twice = (*done.result.sums, FieldSums(field="age", records=60, total="0", squares="0"))
    parts = beyond(replace(done, result=done.result.model_copy(update={"sums": twice})), "statistics", MANIFEST)
    assert {part.why for part in parts} == {"number"}


CHANGES = {
    "none": None,
    "longer": np.zeros(26, np.float32),
    "shorter": np.zeros(24, np.float32),
    "double": np.zeros(25, np.float64),
    "half": np.zeros(25, np.float16),
    "whole numbers": np.zeros(25, np.int32),
    "in two dimensions": np.zeros((1, 25), np.float32),
}


@pytest.mark.parametrize("case", CHANGES)
def test_the_change_is_exactly_the_tensors(case):
    """Another number of elements, another type, another form: kept back."""
    (part,) = beyond(replace(honest("round"), change=CHANGES[case]), "round", MANIFEST)
    assert part.why == "tensors"


@pytest.mark.parametrize("purpose", ["statistics", "closing", "test"])
def test_no_array_leaves_but_a_change_of_weights(purpose):
    """Not even one of the right size, with another visit."""
    (part,) = beyond(replace(honest(purpose), change=np.zeros(25, np.float32)), purpose, MANIFEST)
    assert part.why == "tensors"


def test_records_are_a_number():
    """Not true, not a text, not less than none."""
    for wrong in (True, "60", -1, MOST_RECORDS + 1, 60.0):
        (part,) = beyond(replace(honest("test"), records=wrong), "test", MANIFEST)
        assert (part.why, part.place) == ("range", "records")


def test_with_a_code_leaves_what_belongs_to_it():
    """The report goes where the records are why, the exponents where the range is; nothing else goes with any code."""
    needed = tuple(range(len(PAPER.bundle.manifest.tensors)))
    assert beyond_a_code(NotDone("H-DATA", REPORT), "round", MANIFEST) == ()
    assert beyond_a_code(NotDone("H-FEW", REPORT), "statistics", MANIFEST) == ()
    assert beyond_a_code(NotDone("H-RANGE", exponents=needed), "round", MANIFEST) == ()
    assert beyond_a_code(NotDone("H-FAILED"), "test", MANIFEST) == ()
    for kept in (
        NotDone("H-FAILED", REPORT),
        NotDone("H-RANGE", REPORT),
        NotDone("H-DATA", exponents=needed),
        NotDone("H-RANGE", exponents=(*needed, 1)),
        NotDone("H-RANGE", exponents=(201,)),
        NotDone("H-DATA", REPORT.model_copy(update={"schema_id": PATIENT})),
        NotDone("H-DATA", DataReport.model_construct(found=PATIENT)),
        NotDone("H-DATA", honest("test").result),
    ):
        assert beyond_a_code(kept, "round", MANIFEST), kept
    assert beyond_a_code(NotDone("H-RANGE", exponents=needed), "closing", MANIFEST)


def test_every_figure_has_a_range():
    """What the manifest names is bounded: whole numbers by a range, words by a list, everything by how often."""
    figures = [figure for visit in MANIFEST.visits for figure in visit.figures]
    figures += [figure for refusing in MANIFEST.refusals for figure in refusing.figures]
    values = [each for figure in figures for each in figure.values]
    assert all(each.numbers > 0 for each in values)
    assert {each.kind for each in values} == {"integers", "large integers", "words", "flags"}
    assert MANIFEST.most_bytes == 3 * 4 * PAPER.bundle.manifest.size
    assert report(60).schema_id == contract().id
