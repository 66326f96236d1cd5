"""What a change of a schema is for models and for records: every kind, and the version that it asks for."""

import copy
import json

import pytest
from pydantic import ValidationError

from wardround.contract import library
from wardround.contract.compatibility import Grade, compare, required_version
from wardround.contract.model import Contract

OLD = {
    "kind": "table",
    "id": "t.visits",
    "version": "1.2.3",
    "status": "active",
    "title": "Visits",
    "row_grain": "one row per visit",
    "primaryKey": ["visit"],
    "patientKey": "patient",
    "missingValues": [{"value": "", "label": "blank"}],
    "fields": [
        {"name": "visit", "type": "string", "constraints": {"required": True, "pattern": "^[A-Z]{2,9}$"}, "privacy": "pseudonym"},
        {"name": "patient", "type": "string", "constraints": {"required": True}, "privacy": "pseudonym"},
        {
            "name": "glucose",
            "title": "Glucose",
            "type": "number",
            "unit": "mmol/L",
            "concept": {"system": "LOINC", "code": "14749-6"},
            "constraints": {"minimum": 1, "maximum": 100},
            "plausible": {"low": 2, "high": 40, "max_outside": 0.02},
            "missing": {"max_fraction": 0.2, "labels": [{"value": "-9", "label": "lost"}]},
            "reference": {"source": "Handbook", "median": 6},
        },
        {"name": "sex", "type": "string", "categories": [{"value": "female", "label": "Female"}, {"value": "male"}]},
        {"name": "seen", "type": "date", "constraints": {"minimum": "2000-01-01"}, "privacy": "quasi"},
        {"name": "left", "type": "date", "privacy": "quasi"},
        {"name": "code", "type": "string", "code_system": "ICD-10", "constraints": {"maxLength": 9}, "privacy": "quasi"},
        {"name": "note", "type": "string", "free_text": True, "investigative": True, "privacy": "direct"},
    ],
    "rules": [
        {"id": "order", "check": "left >= seen"},
        {"id": "rare", "check": "glucose <= 30", "severity": "warning", "max_fraction": 0.05},
    ],
    "longitudinal": {"time": "seen", "constant": ["sex"], "no_overlap": ["seen", "left"]},
    "checks": [{"code": "T-PLAUS", "fields": ["glucose"], "severity": "error", "max_fraction": 0.05}],
    "limits": {"min_records": 20, "min_patients": 10},
}
GLUCOSE, SEX, SEEN, LEFT, CODE, NOTE = 2, 3, 4, 5, 6, 7


def _field(index, **changed):
    def change(data):
        data["fields"][index] |= changed

    return change


def _top(**changed):
    return lambda data: data.update(changed)


def _new(**settings):
    return lambda data: data["fields"].insert(3, {"name": "weight", "type": "string", **settings})


def _limits(index, **changed):
    def change(data):
        data["fields"][index]["constraints"] = {
            key: value for key, value in {**data["fields"][index].get("constraints", {}), **changed}.items() if value is not None
        }

    return change


def _rule(index, **changed):
    return lambda data: data["rules"][index].update(changed)


def _plausible(**changed):
    return lambda data: data["fields"][GLUCOSE]["plausible"].update(changed)


def _both(*changes):
    def change(data):
        for each in changes:
            each(data)

    return change


def _codes(*values):
    return _field(SEX, categories=[{"value": value, **({"label": "Female"} if value == "female" else {})} for value in values])


BLANK, MARK = {"value": "", "label": "blank"}, {"value": "-9", "label": "lost"}
CASES = [
    # the whole schema
    ("the title", _top(title="Visits to a clinic"), "patch", "another title"),
    ("the status", _top(status="deprecated"), "patch", "status from active to deprecated"),
    ("a source", _top(sources=[{"title": "A paper"}]), "patch", "other sources"),
    ("what a row is", _top(row_grain="one row per patient"), "major", "row_grain"),
    ("the key", _top(primaryKey=["visit", "patient"]), "major", "primaryKey from visit to visit, patient"),
    ("the patient key", _top(patientKey="visit"), "major", "patientKey from patient to visit"),
    ("more columns allowed", _top(fieldsMatch="superset"), "minor", "fieldsMatch from exact to superset"),
    ("more records wanted", _top(limits={"min_records": 30, "min_patients": 10}), "major", "limits.min_records from 20 to 30"),
    ("fewer patients wanted", _top(limits={"min_records": 20, "min_patients": 5}), "minor", "limits.min_patients from 10 to 5"),
    ("a mark that may be a code", _top(missingValues=[BLANK, {"value": "NA", "label": "no"}]), "major", "value of visit"),
    (
        "a mark that is no value",
        _field(GLUCOSE, missing={"max_fraction": 0.2, "labels": [MARK, {**MARK, "value": "x"}]}),
        "minor",
        "'x'",
    ),
    ("a mark that is a day", _field(SEEN, missing={"labels": [{"value": "2001-01-01", "label": "x"}]}), "major", "value of seen"),
    ("a mark dropped", _field(GLUCOSE, missing={"max_fraction": 0.2}), "major", "'-9' no longer means missing"),
    ("a mark's label", _top(missingValues=[{"value": "", "label": "empty"}]), "patch", "another label"),
    # fields
    ("a field removed", lambda data: data["fields"].pop(NOTE), "major", "removed"),
    ("an optional field", _new(), "minor", "added, optional"),
    ("a required field", _new(constraints={"required": True}), "major", "added, and required"),
    ("a field that hospitals must have", _new(missing={"max_fraction": 0.5}), "major", "never recorded it"),
    ("another order", lambda data: data["fields"].reverse(), "major", "the fields stand in another order"),
    ("a field's title", _field(GLUCOSE, title="Plasma glucose"), "patch", "another title"),
    ("a field's description", _field(GLUCOSE, description="Fasting"), "patch", "another description"),
    ("the type", _field(LEFT, type="string"), "major", "type from date to string"),
    ("the unit", _field(GLUCOSE, unit="mg/dL"), "major", "unit from mmol/L to mg/dL"),
    ("the concept", _field(GLUCOSE, concept={"system": "LOINC", "code": "15074-8"}), "major", "concept is another one"),
    ("a concept named", _field(SEEN, concept={"system": "X", "code": "1"}), "patch", "concept named"),
    ("an analyte named", _field(GLUCOSE, analyte="glucose"), "minor", "analyte from none to glucose"),
    ("the privacy", _field(SEEN, privacy="none"), "major", "privacy from quasi to none"),
    ("now required", _limits(SEX, required=True), "major", "required: records without it"),
    ("now unique", _limits(CODE, unique=True), "major", "unique"),
    ("another pattern", _limits(0, pattern="^[A-Z]{2,20}$"), "major", "pattern"),
    ("no pattern", _limits(0, pattern=None), "minor", "pattern"),
    ("longer texts", _limits(CODE, maxLength=12), "minor", "maxLength from 9 to 12"),
    ("shorter texts", _limits(CODE, maxLength=5), "major", "maxLength from 9 to 5"),
    ("a higher maximum", _limits(GLUCOSE, maximum=120), "minor", "maximum from 100 to 120"),
    ("a lower maximum", _limits(GLUCOSE, maximum=90), "major", "maximum from 100 to 90"),
    ("a higher minimum", _limits(GLUCOSE, minimum=1.5), "major", "minimum from 1 to 1.5"),
    ("an earlier first day", _limits(SEEN, minimum="1990-01-01"), "minor", "minimum from 2000-01-01 to 1990-01-01"),
    ("a wider plausible range", _plausible(low=1.5, high=50), "minor", "plausible.low from 2 to 1.5"),
    ("a narrower plausible range", _plausible(high=30), "major", "plausible.high from 40 to 30"),
    ("fewer may lie outside", _plausible(max_outside=0.01), "major", "plausible.max_outside from 0.02 to 0.01"),
    ("no plausible range", _field(GLUCOSE, plausible=None), "minor", "plausible dropped"),
    ("a category", _codes("female", "male", "other"), "major", "categories added: other"),
    ("a category less", _codes("female"), "major", "categories removed: male"),
    ("categories in another order", _codes("male", "female"), "major", "the categories stand in another order"),
    (
        "a category's label",
        _field(SEX, categories=[{"value": "female", "label": "F"}, {"value": "male"}]),
        "patch",
        "another label",
    ),
    ("more may be missing", _field(GLUCOSE, missing={"max_fraction": 0.5, "labels": [MARK]}), "minor", "from 0.2 to 0.5"),
    ("fewer may be missing", _field(GLUCOSE, missing={"max_fraction": 0.1, "labels": [MARK]}), "major", "from 0.2 to 0.1"),
    ("another code system", _field(CODE, code_system="ICD-9-CM"), "major", "code_system from ICD-10 to ICD-9-CM"),
    ("no code system", _field(CODE, code_system=None), "minor", "code_system from ICD-10 to none"),
    ("no free text", _field(NOTE, free_text=False), "major", "free_text from true to false"),
    ("investigative", _field(CODE, investigative=True), "minor", "investigative from false to true"),
    ("other figures", _field(GLUCOSE, reference={"source": "Handbook", "median": 6.1}), "minor", "other figures"),
    ("another source of figures", _field(GLUCOSE, reference={"source": "Handbook 2", "median": 6}), "patch", "another source"),
    # rules, records of a patient, checks
    ("a rule", lambda data: data["rules"].append({"id": "new", "check": "glucose > 0"}), "major", "added (error)"),
    (
        "a rule that warns",
        lambda data: data["rules"].append({"id": "new", "check": "glucose > 3", "severity": "warning"}),
        "minor",
        "added (warning)",
    ),
    ("a rule less", lambda data: data["rules"].pop(0), "minor", "removed"),
    ("another rule", _rule(0, check="left > seen"), "major", "check from left >= seen to left > seen"),
    ("a warning that sets aside", _rule(1, severity="error", max_fraction=0.0), "major", "severity from warning to error"),
    ("a rule's description", _rule(0, description="In order"), "patch", "another description"),
    ("constant no more", _top(longitudinal={"time": "seen", "no_overlap": ["seen", "left"]}), "minor", "no longer constant: sex"),
    ("constant", _top(longitudinal={**OLD["longitudinal"], "constant": ["sex", "code"]}), "major", "constant from now on: code"),
    (
        "stays may overlap",
        _top(longitudinal={"time": "seen", "constant": ["sex"]}),
        "minor",
        "no_overlap from seen, left to none",
    ),
    (
        "a check less severe",
        _top(checks=[{**OLD["checks"][0], "severity": "warning"}]),
        "minor",
        "severity from error to warning",
    ),
    ("a check with a smaller share", _top(checks=[{**OLD["checks"][0], "max_fraction": 0.01}]), "major", "from 0.05 to 0.01"),
    (
        "another check",
        _top(checks=[*OLD["checks"], {"code": "T-FUTURE", "severity": "error"}]),
        "major",
        "severity from none to error",
    ),
    ("rules in another order", lambda data: data["rules"].reverse(), "patch", "in another order"),
]


def _contract(data):
    return Contract.model_validate_json(json.dumps(data))


def _changed(change, version="1.2.3"):
    data = copy.deepcopy(OLD)
    change(data)
    data["version"] = version
    return _contract(data)


@pytest.mark.parametrize(("change", "grade", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_change_has_its_class_and_is_said(change, grade, words):
    """Every kind of change of a schema: what it is for a model and for records that were in order."""
    comparison = compare(_contract(OLD), _changed(change))
    assert str(comparison.grade) == grade
    assert any(words in each.what for each in comparison.changes), comparison.changes


def test_every_case_changes_one_thing():
    """A case whose class came from something else would say nothing."""
    several = {"a wider plausible range", "a warning that sets aside", "another order"}
    for name, change, _, _ in CASES:
        changes = compare(_contract(OLD), _changed(change)).changes
        assert len(changes) == 1 or name in several, (name, changes)
    assert len(CASES) >= 30


SEEN_BY_A_MODEL = {
    *("a field removed", "an optional field", "a required field", "a field that hospitals must have", "another order"),
    *("the type", "the unit", "now required", "a category", "a category less", "categories in another order"),
}


def test_the_encoding_hash_is_told_where_it_changed():
    """Whatever moves an input of a model; a new optional field alone does so without being major."""
    for name, change, grade, _ in CASES:
        comparison = compare(_contract(OLD), _changed(change))
        assert comparison.same_encoding is (name not in SEEN_BY_A_MODEL), name
        assert comparison.same_encoding or grade == "major" or name == "an optional field", name


def test_what_is_compared_with_itself_has_no_difference():
    """Nor does it ask for another version."""
    for listing in library.available():
        contract = library.find(listing.name)
        comparison = compare(contract, contract)
        assert (comparison.changes, comparison.grade, comparison.required_version) == ((), None, contract.version)
        assert comparison.problems() == []


@pytest.mark.parametrize(
    ("old", "grade", "wanted"),
    [
        ("1.2.3", "patch", "1.2.4"),
        ("1.2.3", "minor", "1.3.0"),
        ("1.2.3", "major", "2.0.0"),
        ("0.2.3", "patch", "0.2.4"),
        ("0.2.3", "minor", "0.2.4"),
        ("0.2.3", "major", "0.3.0"),
        ("1.9.9", "minor", "1.10.0"),
    ],
)
def test_the_version_that_a_change_asks_for(old, grade, wanted):
    """Semantic versions; below 1.0.0 the second number takes the place of the first."""
    assert required_version(old, Grade[grade.upper()]) == wanted


@pytest.mark.parametrize(
    ("case", "version", "refused"),
    [
        ("the title", "1.2.3", True),
        ("the title", "1.2.4", False),
        ("a higher maximum", "1.2.4", True),
        ("a higher maximum", "1.3.0", False),
        ("a category", "1.10.0", True),
        ("a category", "2.0.0", False),
        ("the title", "1.1.9", True),
        ("the title", "10.0.0", False),
    ],
)
def test_a_version_that_is_too_small_is_refused(case, version, refused):
    """By S-COMPAT, with the version that would do; numbers are compared as numbers."""
    change = next(each[1] for each in CASES if each[0] == case)
    problems = compare(_contract(OLD), _changed(change, version)).problems()
    assert [problem.code for problem in problems] == (["S-COMPAT"] if refused else [])
    if refused and version != "1.1.9":
        assert required_version("1.2.3", compare(_contract(OLD), _changed(change)).grade) in problems[0].next_step


def _leaves(node, path=()):
    """Every single value of a contract, with another one of its kind."""
    if isinstance(node, dict | list):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _leaves(value, (*path, key))
    elif isinstance(node, bool):
        yield path, not node
    elif isinstance(node, int | float):
        yield path, node / 2 + 0.125 if path[-1] in ("max_fraction", "max_outside") else node + 1
    elif isinstance(node, str) and path[-1] not in ("id", "version", "kind"):
        yield path, {"exact": "superset", "active": "draft", "error": "warning", "warning": "error"}.get(node, node + "1")


def test_no_change_of_a_value_goes_unseen():
    """Whatever changes the contract's hash is a difference, and what moves the encoding of fields that stay is major."""
    whole = json.loads(_contract(OLD).model_dump_json(by_alias=True))
    tried = 0
    for path, value in _leaves(whole):
        data = copy.deepcopy(whole)
        node = data
        for part in path[:-1]:
            node = node[part]
        node[path[-1]] = value
        try:
            changed = _contract(data)
        except ValidationError:
            continue
        tried += 1
        comparison = compare(_contract(OLD), changed)
        assert comparison.changes, path
        assert comparison.same_encoding or comparison.grade is Grade.MAJOR, path
    assert tried > 60
