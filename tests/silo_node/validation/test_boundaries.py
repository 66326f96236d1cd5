"""Limits from both sides: what is just enough for a finding, and what is just not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from clinic_on_disk import CLINIC, load_contract

from silo_node.mapping.facts import Facts
from silo_node.validation.constancy import constant
from silo_node.validation.date_shifts import moving_records, reversed_records
from silo_node.validation.personal import GIVEN_NAMES, checks, looks
from silo_node.validation.personal import _mostly as mostly
from silo_node.validation.texts import _sentences as sentences
from silo_node.validation.texts import spread
from silo_node.validation.unit_slips import _logs_of as logs_of

DAY = date(2010, 6, 1)

# ------------------------------------------------------------------------------------------------ dates shifted one by one


def reversed_count(gaps: Sequence[int | None]) -> int:
    """Give how many records of these gaps, in days, are told to be reversed."""
    pairs = [{"first": DAY, "last": None if gap is None else DAY + timedelta(days=gap)} for gap in gaps]
    return int(reversed_records(pl.Series(pairs, dtype=pl.Struct({"first": pl.Date, "last": pl.Date}))).sum())


@pytest.mark.parametrize(
    ("after", "before", "told"),
    [
        ([10] * 45, [-10] * 5, 5),  # a tenth of fifty
        ([10] * 44, [-10] * 5, 0),  # too few records
        ([10] * 46, [-10] * 4, 0),  # less than a tenth: mistakes
        ([10] * 5, [-10] * 45, 45),
        ([10] * 4, [-10] * 46, 0),  # swapped columns
        ([30] * 45, [-10] * 5, 5),  # alike but for a factor of three
        ([31] * 45, [-10] * 5, 0),
        ([10] * 45, [-30] * 5, 5),
        ([10] * 45, [-31] * 5, 0),
        ([10] * 25 + [0] * 20, [-1] * 2 + [-10] * 3, 5),  # the same day is on no side
        ([10] * 45 + [None] * 20, [-10] * 5, 5),  # who has no second date is not counted
        ([10] * 44 + [None] * 20, [-10] * 5, 0),
    ],
)
def test_reversed_dates_are_told_from_mistakes(after: list[int | None], before: list[int], told: int) -> None:
    assert reversed_count([*after, *before]) == told


def moved_count(patients: Sequence[tuple[int, int]], alone: int = 0) -> int:
    """Give how many records are told to have moved, of patients with two records: moved by, aged by, in days."""
    records = [(f"alone {at}", DAY, DAY) for at in range(alone)]
    for at, (moved, aged) in enumerate(patients):
        first, second = (DAY, DAY), (DAY + timedelta(days=moved), DAY + timedelta(days=moved + aged))
        records += [(f"{at}", *first), (f"{at}", *second)]
    table = pl.DataFrame(records, schema={"patient": pl.String, "day": pl.Date, "time": pl.Date}, orient="row")
    return int(moving_records(table.to_struct()).sum())


@pytest.mark.parametrize(
    ("patients", "told"),
    [
        ([(100, 32)] * 20, 40),
        ([(100, 32)] * 19, 0),  # too few patients
        ([(100, 32)] * 10 + [(0, 32)] * 10, 20),  # half of them
        ([(100, 32)] * 9 + [(0, 32)] * 11, 0),
        ([(732, 32)] * 20, 40),
        ([(733, 32)] * 20, 0),  # another day altogether
        ([(100, 31)] * 20, 0),  # follows the time
        ([(1, 32)] * 20, 40),
    ],
)
def test_constant_days_that_move_are_told_from_mistakes(patients: list[tuple[int, int]], told: int) -> None:
    assert moved_count(patients) == told
    assert moved_count(patients, alone=30) == told, "who has one record tells nothing"


# ----------------------------------------------------------------------------------------------------------------- people


def family(at: int) -> str:
    return "Meier" + chr(ord("a") + at // 26) + chr(ord("a") + at % 26)


def people(named: int, common: int, height: int = 60) -> pl.Series:
    """Give different texts, some of which have the form of a name, and some of these a common given name."""
    names = [f"{'Anna' if at < common else 'Zorvig'} {family(at)}" for at in range(named)]
    return pl.Series([*names, *(f"unit {at}" for at in range(height - named))])


@pytest.mark.parametrize(
    ("named", "common", "height", "told"),
    [(30, 3, 60, 30), (29, 29, 60, 0), (30, 2, 60, 0), (20, 2, 20, 20), (19, 19, 19, 0), (60, 6, 60, 60), (60, 5, 60, 0)],
)
def test_a_column_of_names_has_many_and_some_common_ones(named: int, common: int, height: int, told: int) -> None:
    """Half of the texts have the form, a tenth of these a common given name, and there are twenty different ones."""
    assert mostly(people(named, common, height), names=True).sum() == told
    assert mostly(people(named, common, height), names=False).sum() == 0


@pytest.mark.parametrize(("given", "told"), [(18, 60), (17, 0)])
def test_a_column_of_given_names_alone_has_many_common_ones(given: int, told: int) -> None:
    names = [name.capitalize() for name in sorted(GIVEN_NAMES) if name.isalpha()][:given]
    texts = pl.Series([*names, *(f"Zorvig{family(at)}" for at in range(60 - given))])
    assert mostly(texts, names=True).sum() == told


def test_few_different_names_are_no_column_of_names() -> None:
    """Three wards can be called after people."""
    assert mostly(pl.Series(["Anna Meier", "Peter Silva", "Maria Okafor"] * 20), names=True).sum() == 0


def dutch(count: int) -> list[str]:
    """Make up numbers of nine digits with the check digit of the Netherlands."""
    found = []
    for number in range(10_000_000, 99_999_999, 104_729):
        last = sum(int(digit) * weight for digit, weight in zip(str(number), range(9, 1, -1), strict=True)) % 11
        found += [f"{number}{last}"] if last < 10 else []
    return found[:count]


@pytest.mark.parametrize(("ones", "told"), [(54, 54), (53, 0)])
def test_a_column_of_identifiers_has_nine_in_ten(ones: int, told: int) -> None:
    numbers = dutch(60)
    wrong = [f"{number[:-1]}{(int(number[-1]) + 1) % 10}" for number in numbers[ones:]]
    assert mostly(pl.Series([*numbers[:ones], *wrong]), names=False).sum() == told


@pytest.mark.parametrize(("areas", "told"), [(30, 60), (29, 0)])
def test_numbers_without_check_digits_begin_in_many_ways(areas: int, told: int) -> None:
    """Site, arm and number of a trial have the same form, and few sites."""
    texts = pl.Series([f"{101 + at % areas}-{10 + at % 80}-{1000 + at}" for at in range(60)])
    assert mostly(texts, names=False).sum() == told


@pytest.mark.parametrize(
    ("change", "checked"),
    [
        ({}, True),
        ({"privacy": "quasi"}, True),
        ({"privacy": "pseudonym"}, True),
        ({"privacy": "direct"}, False),  # the contract says that people are named here
        ({"free_text": True}, False),
        ({"values": ("a", "b")}, False),  # other cells break the list
        ({"code_system": "LOINC"}, False),
        ({"type": "integer"}, False),
    ],
)
def test_people_are_sought_where_none_are_expected(change: dict[str, Any], checked: bool, tmp_path: Path) -> None:
    contract = load_contract(CLINIC, tmp_path)
    plain = {"type": "string", "privacy": "quasi", "values": (), "free_text": False, "code_system": None}
    field = SimpleNamespace(name="note", constraints=SimpleNamespace(pattern=None), **{**plain, **change})
    assert [each.code for each in checks(contract, field, Facts())] == ["T-PHI-ID"] * checked  # type: ignore[arg-type]


def test_missing_texts_look_like_nobody() -> None:
    texts = pl.Series(["756.9217.0769.85", None, "Anna Meier", "surgery"])
    assert looks(texts, identifier=False).to_list() == [True, False, False, False]
    assert looks(texts, identifier=True).to_list() == [True, False, True, False]


# ------------------------------------------------------------------------------------------------------------------ units


def test_what_an_offset_leaves_above_nought_keeps_its_logarithm() -> None:
    """Fahrenheit in Celsius: half a degree is a number like others; below nought there is no logarithm."""
    found = logs_of(np.log([33.8, 32.9, 31.0, 14.0]), 5 / 9, -160 / 9)
    assert found[:2].tolist() == pytest.approx([0.0, math.log(0.5)])
    assert np.isnan(found[2:]).all()


# -------------------------------------------------------------------------------------------------- sentences, constants


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        ([f"one two three {at:07}" for at in range(10)], True),  # 21 characters, three blanks
        ([f"one two three {at:07}" for at in range(9)], False),  # too few texts
        ([f"one two three {at:06}" for at in range(10)], False),  # 20 characters
        ([f"onetwo threefour {at:05}" for at in range(10)], False),  # two blanks
        ([f"one two three {at % 6:07}" for at in range(10)], True),  # six of ten different
        ([f"one two three {at % 5:07}" for at in range(10)], False),
    ],
)
def test_sentences_are_long_have_blanks_and_differ(texts: list[str], told: bool) -> None:
    assert sentences(pl.Series(texts)) is told
    assert sentences(pl.Series([*texts, *[None] * 50])) is told


def test_texts_are_taken_from_everywhere() -> None:
    texts = pl.Series([f"{at}" for at in range(1001)])
    assert spread(texts, 1001).equals(texts)
    assert spread(texts, 1000).to_list() == [f"{at}" for at in range(0, 1001, 2)]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([1] * 30, 30),
        ([1] * 29, 0),
        ([1] * 999 + [2], 999),
        ([1] * 998 + [2], 0),
        ([1] * 1998 + [2, 3], 1998),
        ([None] * 5 + [1] * 30, 30),
        ([None] * 5 + [1] * 29, 0),
    ],
)
def test_one_value_of_all_but_one_in_a_thousand_is_constant(values: list[int | None], told: int) -> None:
    assert constant(pl.Series(values)).sum() == told
