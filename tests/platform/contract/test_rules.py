"""The rule grammar: what is read, what is refused and where, and what a rule says of a record."""

import math
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.contract import rules
from wardround.contract.model import Contract
from wardround.contract.rules import (
    Arithmetic,
    Between,
    Comparison,
    Constant,
    FieldRef,
    IsMissing,
    Logic,
    Member,
    Negative,
    Not,
    evaluate,
    parse,
    unparse,
)
from wardround.errors import Broken, Refused

A, B, C = FieldRef("a"), FieldRef("b"), FieldRef("c")

CONTRACT = Contract.model_validate_json(
    """{"kind": "table", "id": "t", "version": "1.0.0", "status": "draft", "title": "T", "row_grain": "row",
    "primaryKey": ["key"], "patientKey": "key", "fields": [
      {"name": "key", "type": "string"},
      {"name": "weight", "type": "number", "unit": "kg"},
      {"name": "count", "type": "integer", "unit": "1"},
      {"name": "sex", "type": "string", "categories": [{"value": "female"}, {"value": "male"}]},
      {"name": "note", "type": "string"},
      {"name": "admission", "type": "date"},
      {"name": "discharge", "type": "date"}]}"""
)

# --------------------------------------------------------------------------------------------------------- strategies

names = st.sampled_from(["a", "b", "c_1", "radius_mean", "between_x", "inn"])
numbers = st.integers(0, 2**53 - 1) | st.floats(0, 2**53 - 1, allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=8)
literals = numbers.flatmap(lambda n: st.sampled_from([n, -n + 0])) | texts
atoms = st.builds(FieldRef, names) | st.builds(Constant, numbers | texts)


def _grow(parts):
    return (
        st.builds(Negative, parts)
        | st.builds(Arithmetic, st.sampled_from("+-*/"), parts, parts)
        | st.builds(Comparison, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), parts, parts)
        | st.builds(Between, parts, parts, parts)
        | st.builds(Member, parts, st.lists(st.builds(Constant, literals), min_size=1, max_size=4).map(tuple))
        | st.builds(IsMissing, st.builds(FieldRef, names), st.booleans())
        | st.builds(Not, parts)
        | st.builds(Logic, st.sampled_from(["and", "or"]), parts, parts)
    )


expressions = st.recursive(atoms, _grow, max_leaves=12)

# ------------------------------------------------------------------------------------------------------------ reading


@given(expressions)
def test_a_tree_survives_its_text(expression):
    """parse(unparse(e)) == e for every tree that a text can give, brackets and all."""
    assert parse(unparse(expression)) == expression


@given(expressions)
def test_the_canonical_text_is_a_fixed_point(expression):
    """Writing what was read from canonical text gives the same text."""
    assert unparse(parse(unparse(expression))) == unparse(expression)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a or b and c", Logic("or", A, Logic("and", B, C))),
        ("not a and b", Logic("and", Not(A), B)),
        ("not a == b", Not(Comparison("==", A, B))),
        ("a - b - c > 0", Comparison(">", Arithmetic("-", Arithmetic("-", A, B), C), Constant(0))),
        ("a - (b - c) > 0", Comparison(">", Arithmetic("-", A, Arithmetic("-", B, C)), Constant(0))),
        ("a + b * c < 1", Comparison("<", Arithmetic("+", A, Arithmetic("*", B, C)), Constant(1))),
        ("-a * b < 1", Comparison("<", Arithmetic("*", Negative(A), B), Constant(1))),
        ("a between 1 and b and c", Logic("and", Between(A, Constant(1), B), C)),
        ('a in [-1, 2.5, "x"]', Member(A, (Constant(-1), Constant(2.5), Constant("x")))),
        ("a is not missing or b is missing", Logic("or", IsMissing(A, True), IsMissing(B, False))),
        ('a == "say \\"hi\\" \\\\"', Comparison("==", A, Constant('say "hi" \\'))),
        ("((a)) <= 1e-3", Comparison("<=", A, Constant(0.001))),
        ("a\n  <= 1", Comparison("<=", A, Constant(1))),
    ],
)
def test_precedence_is_that_of_the_grammar(text, tree):
    """Each operator binds as the grammar says."""
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "position", "hint"),
    [
        ("a = 1", 3, "=="),
        ("a == 'x'", 6, "double quotes"),
        ('a == "x', 6, "closing double quote"),
        ("a == 010", 6, "leading zero"),
        ("a == 1_000", 6, "plain"),
        ("a == 0x1F", 6, "plain"),
        ("a == 5kg", 6, "unit"),
        ("a == .5", 6, "digit"),
        ("a == 1e999", 6, "below"),
        ("a == 9007199254740992", 6, "below"),
        ("1 < a < 2", 7, "between"),
        ("a > 1 AND b > 1", 7, "'and'"),
        ("a is mising", 6, "'missing'"),
        ("a + 1 is missing", 1, "one field"),
        ("(a > 1", 7, "')'"),
        ("a >", 4, "field"),
        ("a in []", 7, "number or a text"),
        ("a in [b]", 7, "number or a text"),
        ("a in [1 2]", 9, "','"),
        ("a between 1, 2", 12, "'and'"),
        ("and > 1", 1, "field"),
        ("a > 1; b > 1", 6, "remove"),
        ("__import__('os').system('x')", 12, "double quotes"),
        ('__import__("os")', 11, "expected"),
        ("", 1, "field"),
        ("a b", 3, "operator"),
        ('a == "x\ny"', 6, "one line"),
    ],
)
def test_what_cannot_be_read_is_refused_at_its_position(text, position, hint):
    """A refusal is S-RULE, names the place and position, and says what was expected or what to write."""
    with pytest.raises(Refused) as refused:
        parse(text, "file.yaml, line 3")
    (problem,) = refused.value.problems
    assert problem.code == "S-RULE"
    assert problem.place == f"file.yaml, line 3, position {position}"
    assert hint in f"{problem.finding} {problem.next_step}"


@pytest.mark.parametrize(
    "text", ["(" * 60 + "a > 1" + ")" * 60, "not " * 60 + "a > 1", "-" * 60 + "a > 1", "a + " * 150 + "a > 1"]
)
def test_depth_is_bounded(text):
    """No rule is so deep that walking it could exhaust the stack."""
    with pytest.raises(Refused, match="deep"):
        parse(text)


def test_length_is_bounded():
    """A rule longer than the limit is refused before it is looked at."""
    with pytest.raises(Refused, match="characters"):
        parse("a > 1 or " * 300 + "a > 1")


@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from(['"', "(", ")", "[", "a", "1", "and", "not", "is", "-", "in", " "])).map(" ".join)
)
def test_any_text_is_read_or_refused(text):
    """Nothing that anybody writes makes the reader fail in another way."""
    try:
        found = parse(text)
    except Refused:
        return
    assert parse(unparse(found)) == found


def test_the_caller_chooses_the_code():
    """A study's rule is refused with the study's code."""
    with pytest.raises(Refused) as refused:
        parse("a >", "study.yaml, line 4", code="P-RULE")
    assert refused.value.codes == ("P-RULE",)


def test_fields_are_named_once():
    """fields() gives every field that a rule reads, however deep."""
    assert rules.fields(parse("a / (b - 1) > 2 or c is missing and a in [1]")) == {"a", "b", "c"}


# ------------------------------------------------------------------------------------------------------------- typing


@pytest.mark.parametrize(
    "text",
    [
        'weight / count between 1 and 5 and not sex == "male"',
        'sex in ["female"] or note == "anything"',
        "discharge >= admission",
        'admission between "2020-01-01" and discharge',
        'discharge != "2020-02-29" and -count <= weight * 2',
        "admission is missing",
    ],
)
def test_a_rule_that_fits_has_no_objection(text):
    """Like compared with like, known fields and codes, true or false at the end."""
    assert rules.check_types(parse(text), CONTRACT, "here") == []


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("wieght > 1", "S-FIELD", "'weight'"),
        ("zzz is missing", "S-FIELD", "no field"),
        ("weight > sex", "S-RULE", "a number with a text"),
        ('weight == "heavy"', "S-RULE", "a number with a text"),
        ('weight in [1, "x"]', "S-RULE", "a number with a text"),
        ("admission > 5", "S-RULE", "a date with a number"),
        ('admission > "yesterday"', "S-RULE", "YYYY-MM-DD"),
        ('admission > "20200101"', "S-RULE", "YYYY-MM-DD"),
        ("admission == note", "S-RULE", "YYYY-MM-DD"),
        ("discharge - admission > 0", "S-RULE", "a date instead of a number"),
        ('sex == "femal"', "S-RULE", "'female'"),
        ('sex in ["male", "other"]', "S-RULE", "its codes are"),
        ('sex < "male"', "S-RULE", "order"),
        ('note between "a" and "b"', "S-RULE", "order"),
        ("weight + count", "S-RULE", "a number"),
        ("sex", "S-RULE", "a text"),
        ("weight and count > 1", "S-RULE", "a number instead of a truth value"),
        ("not weight", "S-RULE", "a number instead of a truth value"),
        ("(weight > 1) + 1 > 2", "S-RULE", "a truth value instead of a number"),
        ("(weight > 1) == (count > 1)", "S-RULE", "joined"),
        ("-sex > 1", "S-RULE", "a text instead of a number"),
        ("1 == 1", "S-RULE", "no field"),
    ],
)
def test_a_rule_that_does_not_fit_is_refused_with_the_reason(text, code, words):
    """Exactly one objection, with the code and the reason."""
    (problem,) = rules.check_types(parse(text), CONTRACT, "here")
    assert problem.code == code
    assert problem.place == "here"
    assert words in f"{problem.finding} {problem.rule} {problem.next_step}"


def test_all_objections_come_at_once():
    """A rule with three faults gives three problems."""
    found = rules.check_types(parse('wieght > 1 and sex == "m" and count == "x"'), CONTRACT, "here")
    assert [problem.code for problem in found] == ["S-FIELD", "S-RULE", "S-RULE"]


# --------------------------------------------------------------------------------------------------------- evaluating


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one < two", True),
        ("none < two", None),
        ("one / zero > 1", None),
        ("huge * huge > 1", None),
        ("none > 1 and one > 5", False),
        ("none > 1 and one < 5", None),
        ("none > 1 or one < 5", True),
        ("none > 1 or one > 5", None),
        ("not none > 1", None),
        ("none is missing and one is not missing", True),
        ("one is missing", False),
        ("two between none and 1", False),
        ("two between none and 3", None),
        ("two between 2 and 2", True),
        ("none in [1, 2]", None),
        ("two in [1, 2.0]", True),
        ("-two == 0 - 2", True),
        ('word in ["x", "y"]', True),
        ('word != "x"', False),
        ('day < "2024-03-01"', True),
        ('"2024-03-01" > day', True),
        ("day == day_text", True),
        ("two - one - one == 0", True),
    ],
)
def test_truth_has_three_values(text, expected):
    """Missing and not finite are unknown; unknown joins by Kleene's tables."""
    record = {
        "one": 1,
        "two": 2.0,
        "zero": 0,
        "huge": 1e200,
        "none": None,
        "word": "x",
        "day": date(2024, 2, 29),
        "day_text": "2024-02-29",
    }
    assert evaluate(parse(text), record) is expected


truths = st.sampled_from([1, 0, None])


@given(truths, truths)
def test_de_morgan_holds_with_unknowns(a, b):
    """not (a and b) is (not a) or (not b), whatever is missing."""
    record = {"a": a, "b": b}
    left = evaluate(parse("not (a == 1 and b == 1)"), record)
    assert left is evaluate(parse("not a == 1 or not b == 1"), record)


@given(st.sampled_from("+-*/"), st.floats(-1e6, 1e6) | st.integers(-1000, 1000), st.floats(-1e6, 1e6) | st.integers(-1000, 1000))
def test_arithmetic_is_64_bit_floating_point(op, a, b):
    """The result is the one that 64-bit arithmetic gives, and unknown where that is not finite."""
    try:
        expected = {"+": float(a) + b, "-": float(a) - b, "*": float(a) * b, "/": math.nan if b == 0 else float(a) / b}[op]
    except ZeroDivisionError:
        expected = math.nan
    truth = evaluate(parse(f"a {op} b == c"), {"a": a, "b": b, "c": expected})
    assert truth is (True if math.isfinite(expected) else None)


@pytest.mark.parametrize("text", ["a + 1", "a"])
def test_evaluating_what_is_no_rule_is_our_own_fault(text):
    """evaluate() is for rules that were checked; anything else is a bug, not a finding."""
    with pytest.raises(Broken):
        evaluate(parse(text), {"a": 1})


def test_a_record_without_the_field_is_our_own_fault():
    """A missing value is None; a missing key is a bug."""
    with pytest.raises(Broken):
        evaluate(parse("a > 1"), {})
