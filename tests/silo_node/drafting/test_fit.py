"""What a column's cells say of a field; where they leave two answers, it is asked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from silo_node.draft_marks import QUESTION
from silo_node.drafting.fit import Fit, fit
from silo_node.sources.shapes import shape
from wardround.contract.library import find
from wardround.contract.model import ContractField


def field(**changes: Any) -> ContractField:
    return ContractField.model_validate_json(json.dumps({"name": "x", "type": "string", **changes}))


def of(field: ContractField, cells: list[str], *units: str, unique: bool = False) -> Fit:
    return fit(field, shape(cells), ".", units, unique=unique)


def coded(*values: str, description: str | None = None) -> ContractField:
    return field(categories=[{"value": value} for value in values], description=description)


SEX, FINDING, GRADE = coded("female", "male"), coded("absent", "present"), coded("mild", "moderate", "severe")
WEIGHT = field(type="number", unit="kg", constraints={"minimum": 2, "maximum": 400}, plausible={"low": 35, "high": 200})


@pytest.mark.parametrize(
    ("wanted", "cells", "codes"),
    [
        (SEX, ["w", "m"], {"m": "male", "w": "female"}),
        (SEX, ["Female", "MALE "], {"Female": "female", "MALE ": "male"}),
        (SEX, ["Mann", "Frau"], {"Mann": "male", "Frau": "female"}),
        (SEX, ["H", "M"], {"H": "male", "M": "female"}),
        (SEX, ["f", "m"], {"f": "female", "m": "male"}),
        (SEX, ["m"], {"m": QUESTION}),  # male, or mujer
        (SEX, ["0", "1"], {"0": QUESTION, "1": QUESTION}),
        (SEX, ["1", "2"], {"1": QUESTION, "2": QUESTION}),
        (SEX, ["m", "w", "d"], {"m": "male", "w": "female", "d": QUESTION}),
        (FINDING, ["0", "1"], {"0": "absent", "1": "present"}),
        (FINDING, ["0.0", "1.0"], {"0.0": "absent", "1.0": "present"}),
        (FINDING, ["1", "2"], {"1": QUESTION, "2": QUESTION}),
        (FINDING, ["j", "n"], {"j": "present", "n": "absent"}),
        (FINDING, ["oui", "non"], {"oui": "present", "non": "absent"}),
        (FINDING, ["yes", "NO"], {"yes": "present", "NO": "absent"}),
        (coded("benign", "malignant"), ["M", "B"], {"M": "malignant", "B": "benign"}),
        (coded("benign", "malignant"), ["0", "1"], {"0": QUESTION, "1": QUESTION}),
        (GRADE, ["1", "2", "3"], {"1": QUESTION, "2": QUESTION, "3": QUESTION}),
        (GRADE, ["m", "s"], {"m": QUESTION, "s": QUESTION}),  # m may be mild or moderate
    ],
)
def test_codes_are_known_or_asked_and_never_guessed(wanted: ContractField, cells: list[str], codes: dict[str, str]) -> None:
    """By equality, case, words in four languages, and yes and no; 1 and 2 of a sex are a question."""
    found = of(wanted, cells * 5)
    assert dict(found.codes or ()) == codes
    assert bool(found.asks) == (QUESTION in codes.values())


def test_the_schemas_own_codes_need_no_list() -> None:
    """Equal texts are taken as they are."""
    assert of(SEX, ["female", "male", ""]).codes is None


def test_an_order_that_the_schema_states_is_taken() -> None:
    """Only for exactly the numbers that it names, and with less confidence than words give."""
    grade = coded("mild", "moderate", "severe", description="The source's codes 1, 2 and 3, in this order.")
    found = of(grade, ["3", "1", "2.0"])
    assert dict(found.codes or ()) == {"1": "mild", "2.0": "moderate", "3": "severe"}
    assert found.score < 0.9
    assert QUESTION in dict(of(grade, ["1", "4"]).codes or ()).values()


def test_a_number_within_the_limits_fits_and_others_do_not() -> None:
    """Text does not fit at all, impossible numbers little."""
    assert of(WEIGHT, ["70.5", "81", "64"]).score == 1
    assert of(WEIGHT, ["70", "x", "y"]).score < 0.1
    assert of(WEIGHT, ["-5000", "-7000"]).score == 0


def test_a_unit_in_the_name_is_written_and_an_unlike_one_is_asked() -> None:
    """Conversion where there is one; else the factor is a person's answer."""
    assert of(WEIGHT, ["154", "180"], "[lb_av]").unit == "[lb_av]"
    assert of(WEIGHT, ["70", "80"], "kg").unit is None
    found = of(WEIGHT, ["70", "80"], "mm")
    assert (found.unit, found.factor, len(found.asks)) == (None, QUESTION, 1)


def test_numbers_that_fit_another_unit_better_are_asked_about() -> None:
    """Grams in a column of kilograms: a question that names the unit, no silent conversion."""
    found = of(WEIGHT, ["71000", "84500", "66000"])
    assert found.unit == QUESTION
    assert " g" in found.asks[0]


def test_a_number_outside_the_limits_that_often_means_missing_is_a_mark() -> None:
    """-9 where no weight can be; where it can be a value, it is one."""
    assert of(WEIGHT, ["70", "80", "-9", "75"]).marks == ("-9",)
    anything = field(type="number", unit="mmol/L", constraints={"minimum": -30, "maximum": 30})
    assert of(anything, ["-9", "2", "3"]).marks == ()


def test_fractions_are_no_whole_numbers() -> None:
    """A column of fractions is hardly an integer field; 63.0 is whole."""
    age = field(type="integer", unit="a", constraints={"minimum": 0, "maximum": 120})
    assert of(age, ["63.0", "41.0"]).score == 1
    assert of(age, ["63.5", "41.25"]).score < 0.5


def test_dates_in_two_possible_orders_are_asked_about() -> None:
    """One fitting format is written, two are a question, ISO needs nothing."""
    day = field(type="date")
    assert of(day, ["25.12.2020", "01.02.2021"]).date_format == "%d.%m.%Y"
    found = of(day, ["03/04/2021", "01/02/2021"])
    assert (found.date_format, "%d/%m/%Y and %m/%d/%Y" in found.asks[0]) == (QUESTION, True)
    assert of(day, ["2021-03-04"]).date_format is None
    assert of(day, ["2021"]).score < 0.1


def test_keys_have_their_form_and_stand_once() -> None:
    """A pattern that half of the texts break is none of the column's; a primary key that repeats fits badly."""
    key = field(constraints={"pattern": "^[0-9a-f]{16}$"})
    assert of(key, ["0123456789abcdef", "fedcba9876543210"]).score == 1
    assert of(key, ["A1", "A2"]).score < 0.1
    assert of(field(), ["a", "b"], unique=True).score > 2 * of(field(), ["a", "a"], unique=True).score


@settings(max_examples=60)
@given(
    st.lists(
        st.one_of(st.text("0123456789.,-+eE/ äNaAxm?", max_size=8), st.from_regex(r"\A[0-9]{1,3}e?[0-9]{0,4}\Z")), max_size=20
    ),
    st.sampled_from(["mm", "[lb_av]", "mmol/L", "nonsense"]),
)
def test_any_cells_fit_any_field_somehow(cells: list[str], unit: str) -> None:
    """A score from 0 to 1, whatever stands in a column; huge numbers, too."""
    for each in (SEX, FINDING, WEIGHT, field(type="integer", unit="a"), field(type="date"), field(constraints={"pattern": "^a"})):
        for named in ((), (unit,)):
            assert 0 <= of(each, [*cells, "1.5e300"], *named).score <= 1


@pytest.mark.parametrize("schema", ["heart.disease", "breast.cytology"])
def test_evidence_holds_no_cell(schema: str) -> None:
    """Whatever stands in a column, what is told of it is made of counts and the schema's words."""
    cells = ["QXZJW", "WVKXQ", "ZZKQJ"]
    for each in find(schema).fields:
        found = of(each, cells)
        told = " ".join((*found.evidence, *found.asks))
        assert not [cell for cell in cells if cell in told]
