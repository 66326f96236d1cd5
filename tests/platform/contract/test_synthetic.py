"""Synthetic records by themselves: the same everywhere, learnable, marked, and refused where nobody could make them."""

from __future__ import annotations

import csv
import json
import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from unit_cases import LABORATORY

from wardround.canonical import sha256
from wardround.contract import rules
from wardround.contract.library import find
from wardround.contract.model import Constraints, Contract, ContractField, Plausible, Reference
from wardround.contract.synthetic.faults import ALONE, CODES, NOT_BY_A_FILE, spoiled
from wardround.contract.synthetic.records import synthesise
from wardround.contract.synthetic.sheet import sheet_of
from wardround.contract.synthetic.texts import ENOUGH_KEYS, Texts, all_synthetic
from wardround.contract.synthetic.values import FieldValues
from wardround.errors import Refused
from wardround.messages.data_report import FindingCode

HEART = find("heart.disease")


def with_rule(check: str) -> Contract:
    rule = HEART.rules[0].model_copy(update={"id": "mine", "check": check})
    return HEART.model_copy(update={"rules": (*HEART.rules, rule)})


def test_a_seed_gives_the_same_bytes_on_every_machine() -> None:
    """A change of these digests is a change of every synthetic table: raise VERSION with it."""
    names = ("heart.disease@1.0.0", "breast.cytology@1.0.0")
    tables = {name: sheet_of(find(name), synthesise(find(name), 60, 7)).encoded() for name in names}
    assert {name: sha256(data)[:16] for name, data in tables.items()} == {
        "heart.disease@1.0.0": "9155f6221b8a0bea",
        "breast.cytology@1.0.0": "80b42b519ef1c721",
    }
    heart = find(names[0])
    assert sheet_of(heart, synthesise(heart, 60, 8)).encoded() != tables[names[0]]


def test_other_fields_tell_something_of_a_coded_one() -> None:
    """Also of a table with another seed: hospitals with tables of their own share one relation."""
    numbers = ("age", "trestbps", "chol", "thalach", "oldpeak")

    def table(seed: int) -> tuple[list[list[float]], list[bool]]:
        records = [each for each in synthesise(HEART, 600, seed) if all(each[name] is not None for name in numbers)]
        return [[float(str(each[name])) for name in numbers] for each in records], [
            each["disease"] == "present" for each in records
        ]

    inputs, labels = table(1)
    model = LogisticRegression(max_iter=10_000).fit(inputs, labels)
    others, truths = table(2)
    assert 0.3 < sum(labels) / len(labels) < 0.7
    assert roc_auc_score(truths, model.decision_function(others)) > 0.7


def test_missing_values_stay_within_what_is_allowed_and_do_occur() -> None:
    """Only in fields that may miss any, and never in all records."""
    records = synthesise(HEART, 500, 3)
    for field in HEART.fields:
        missing = sum(each[field.name] is None for each in records)
        assert missing == 0 if field.required else 0 < missing <= field.missing.max_fraction * 500, field.name


def test_patients_have_several_records_where_the_keys_allow() -> None:
    """But there are as many patients as the schema asks for, to the last one."""
    patients = [each["patient_key"] for each in synthesise(HEART, 400, 1)]
    assert 200 < len(set(patients)) < 400
    few = synthesise(HEART, HEART.limits.min_records, 1)
    assert len({each["patient_key"] for each in few}) >= HEART.limits.min_patients
    one_each = HEART.model_copy(update={"primary_key": ("patient_key",)})
    assert len({each["patient_key"] for each in synthesise(one_each, 400, 1)}) == 400


def test_a_cohort_rule_is_true_for_every_record() -> None:
    """Unknown is not true: a record that does not say is not in the cohort."""
    expression = rules.parse('chol > 300 and exang == "present"')
    assert all(rules.evaluate(expression, each) is True for each in synthesise(HEART, 50, 1, where=rules.unparse(expression)))


@pytest.mark.parametrize(
    ("check", "named"),
    [("age > 110 and age < 18", "rule mine"), ("chol is missing", "rule mine"), ("age * age == 2", "rule mine")],
)
def test_a_rule_that_nobody_can_keep_is_named(check: str, named: str) -> None:
    """Instead of drawing for ever."""
    with pytest.raises(Refused, match=named) as error:
        synthesise(with_rule(check), 50)
    assert error.value.codes == ("S-SYNTH",)


@pytest.mark.parametrize(
    "check",
    ["chol == 2 * trestbps + 1", "thalach - age <= 90", "age between 40 and trestbps", 'not (sex == "male" and age < 30)'],
)
def test_rules_that_tie_fields_are_kept(check: str) -> None:
    """Equalities too, where one field stands alone on a side."""
    expression = rules.parse(check)
    assert all(rules.evaluate(expression, each) is not False for each in synthesise(with_rule(check), 100))


def test_a_key_with_too_few_values_is_named() -> None:
    """A thousand different numbers from 0 to 3 there are not."""
    fields = tuple(
        field.model_copy(update={"constraints": field.constraints.model_copy(update={"unique": True})})
        if field.name == "ca"
        else field
        for field in HEART.fields
    )
    with pytest.raises(Refused, match="field ca: unique"):
        synthesise(HEART.model_copy(update={"fields": fields}), 500)


@given(
    pattern=st.sampled_from(
        ["[A-Z]{2}[0-9]{3,5}", "(?:a|b)+c?", "x[^y]z", r"\d{4}-\d{2}", "(ab)\\1", "^.{3}$", "[\u0430-\u044f]{2}"]
    ),
    seed=st.integers(0, 99),
)
def test_texts_match_their_pattern(pattern: str, seed: int) -> None:
    """As Python reads it."""
    from random import Random

    field = ContractField(name="f", type="string", constraints=Constraints(pattern=pattern))
    text = Texts(field, ("",), marked=False).make(Random(seed).random)  # noqa: S311  (no secret)
    assert text is not None
    assert re.fullmatch(pattern, text)


def test_keys_bear_a_mark_that_others_do_not_bear() -> None:
    """Whatever the file is called; and no table of a few patients is suspected."""
    keys = [str(each["patient_key"]) for each in synthesise(HEART, 100, 5)]
    assert all_synthetic(keys)
    assert not all_synthetic([*keys, "0123456789abcdef"])
    assert not all_synthetic(keys[: ENOUGH_KEYS - 1])


def test_every_code_of_a_check_is_made_or_said_to_be_none_of_a_file() -> None:
    """A new kind of finding has to be thought of here."""
    from typing import get_args

    assert {*CODES, *NOT_BY_A_FILE} == set(get_args(FindingCode))
    assert set(ALONE) < set(CODES)


@pytest.mark.parametrize(
    ("wanted", "code", "words"),
    [
        ({"T-QUARANTINE": None}, "X-USAGE", "follows by itself"),
        ({"T-RANG": None}, "X-USAGE", "did you mean T-RANGE"),
        ({"T-DELIM": None, "T-TYPE": None}, "X-USAGE", "hides the other faults"),
        ({"T-MISSCOL": 3}, "X-USAGE", "whole column"),
        ({"T-TYPE": 90}, "S-SYNTH", "90 records are more than"),
    ],
)
def test_faults_that_cannot_be_made_are_refused(wanted: dict[str, int | None], code: str, words: str) -> None:
    """By name, with the reason."""
    with pytest.raises(Refused, match=words) as error:
        spoiled(HEART, 100, 0, wanted)
    assert error.value.codes == (code,)


# --------------------------------------------------------------------------------------------------------- the command


def test_the_command_writes_a_table_that_says_what_it_is(wardround, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name, in what it says, and once: nothing is overwritten unless that is asked for."""
    monkeypatch.chdir(tmp_path)
    answer = wardround("schema", "synthesise", "heart.disease", "-n", "20", "--seed", "4")
    assert answer.status == 0
    assert "20 SYNTHETIC records" in answer.out
    file = tmp_path / "synthetic-heart.disease-1.1.0.csv"
    before = file.read_bytes()
    with file.open(newline="") as text:
        rows = list(csv.DictReader(text))
    assert (len(rows), tuple(rows[0])) == (20, HEART.names)
    again = wardround("schema", "synthesise", "heart.disease", "--format", "json")
    assert (again.status, again.json()["problems"][0]["code"], file.read_bytes()) == (2, "O-EXISTS", before)
    forced = wardround("schema", "synthesise", "heart.disease", "-n", "20", "--seed", "5", "--force", "--format", "json")
    assert forced.json()["marked"] is True
    assert file.read_bytes() != before


def test_the_command_makes_faults(wardround, tmp_path: Path) -> None:
    """And says which, in which lines."""
    out = tmp_path / "dirty.csv"
    words = ("schema", "synthesise", "heart.disease", "-n", "60", "--out", out, "--dirty", "T-RANGE=2", "--dirty", "T-HDRDUP")
    found = wardround(*words, "--format", "json").json()
    assert {each["code"]: len(each["lines"]) for each in found["faults"]} == {"T-RANGE": 2, "T-HDRDUP": 0}
    assert "T-RANGE in" in wardround(*words, "--force").out


@pytest.mark.parametrize(
    "words",
    [
        ("--dirty", "T-TYPE=0"),
        ("--dirty", "T-TYPE=x"),
        ("--dirty", "T-TYPE", "--dirty", "T-TYPE=2"),
        ("-n", "3"),
        ("--site", "north"),
        ("-n", "9999999"),
    ],
)
def test_wrong_usage_writes_nothing(wardround, tmp_path: Path, words: tuple[str, ...]) -> None:
    """One clear error; no file."""
    out = tmp_path / "out.csv"
    answer = wardround("schema", "synthesise", "heart.disease", "--out", out, *words, "--format", "json")
    assert (answer.status, json.loads(answer.out)["problems"][0]["code"]) == (2, "X-USAGE")
    assert not out.exists()


@pytest.mark.parametrize("site", ["North", "../north", "n" * 64])
def test_a_folder_of_a_hospital_has_a_hospitals_name(wardround, site: str) -> None:
    """It is a name in rosters, and no path."""
    answer = wardround("schema", "synthesise", "heart.disease", "--site", site, "--format", "json")
    assert (answer.status, answer.json()["problems"][0]["code"]) == (2, "X-USAGE")


# ------------------------------------------------------------------------------------------------ reference figures


def test_records_have_the_quantiles_and_shares_of_the_reference() -> None:
    """Within chance; other fields, and schemas without references, are made as before."""
    contract = Contract.model_validate_json(json.dumps(LABORATORY))
    records = synthesise(contract, 900, 3)
    for name in ("glucose", "urea", "temperature", "weight", "base_excess"):
        reference = contract.field(name).reference
        assert reference is not None
        values = sorted(float(str(each[name])) for each in records if each[name] is not None)
        for share, wanted in reference.quantiles.items():
            there = sum(value <= wanted for value in values) / len(values)
            assert there == pytest.approx(share, abs=0.05), (name, share)
    smoking = [each["smoking"] for each in records if each["smoking"] is not None]
    shares = {value: smoking.count(value) / len(smoking) for value in ("never", "former", "current")}
    assert shares == pytest.approx({"never": 0.5, "former": 0.3, "current": 0.2}, abs=0.05)
    # they lean on the hidden score all the same, so that a model has something to learn
    pairs = [(each["glucose"], each["weight"]) for each in records]
    both = [(float(str(one)), float(str(other))) for one, other in pairs if one is not None and other is not None]
    assert spearmanr(*zip(*both, strict=True)).statistic > 0.2


def test_quantiles_stay_inside_the_limits_and_whole_numbers_whole() -> None:
    """A reference that reaches outside of the plausible range gives no shape."""
    reference = Reference(source="made up", p05=20, median=50, p95=80)
    limits = Constraints(minimum=0, maximum=100)
    field = ContractField(name="f", type="integer", unit="a", constraints=limits, reference=reference)
    draw = random.Random(1).random  # noqa: S311  (no secret)
    for plausible in (None, Plausible(low=10, high=90), Plausible(low=30, high=70)):
        narrowed = field.model_copy(update={"plausible": plausible})
        contract = HEART.model_copy(update={"fields": (*HEART.fields, narrowed)})
        drawn = [FieldValues(contract, narrowed).draw(draw, draw(), freely=at % 2 == 0, ties=iter(())) for at in range(400)]
        low, high = (0, 100) if plausible is None else (plausible.low, plausible.high)
        assert all(isinstance(value, int) and low <= value <= high for value in drawn)
