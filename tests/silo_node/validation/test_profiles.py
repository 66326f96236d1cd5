"""Counts of each field's values: every record counted once, no cell told."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from clinic_on_disk import CLINIC, load_contract, make_site, rows
from hypothesis import given, settings
from hypothesis import strategies as st

from silo_node.mapping.cells import LOCAL
from silo_node.sources.rows import held
from silo_node.validation.check import check
from silo_node.validation.profiles import FieldProfile, bin_names, profiles
from silo_node.validation.records import Records, Typed
from wardround.contract.model import Contract


def one(folder: Path, kind: str, values: list[Any], **field: Any) -> FieldProfile:
    """Profile one field of a contract made for it."""
    fields = [CLINIC["fields"][0], {"name": "x", "type": kind, "privacy": "quasi", **field}]
    contract = load_contract({**CLINIC, "primaryKey": ["patient_key"], "fields": fields, "rules": []}, folder)
    dtype = {"integer": pl.Int64, "number": pl.Float64, "date": pl.Date, "string": pl.String}[kind]
    records = Records(held(pl.DataFrame({"x": pl.Series(values, dtype=dtype)})), {"x": pl.col(f"{LOCAL}x")})
    return profiles(contract, Typed(("x",), records))[0]


def counted(profile: FieldProfile) -> int:
    return sum(profile.counts) + profile.below + profile.above + profile.too_low + profile.too_high + profile.unlisted


def test_a_check_profiles_its_fields_where_it_is_asked_to(tmp_path: Path, clinic: Contract) -> None:
    """All records, those that are set aside too; keys and free text are counted and not shown."""
    site = make_site(tmp_path, rows((0, "Puls", "x"), (1, "Puls", "999"), (2, "Geschlecht", "?")))
    assert check(site, clinic).profiles == ()
    found = {each.field: each for each in check(site, clinic, profiled=True).profiles}
    assert list(found) == list(clinic.names)
    hidden, categories, numbers = ("patient_key", "note"), ("sex", "outcome"), ("pulse", "radius", "glucose")
    assert all(found[name].kind == "not shown" for name in (*hidden, "visit"))  # the day of a visit is a part of the key
    assert all(found[name].kind == "categories" for name in categories)
    assert all(found[name].kind == "numbers" for name in numbers)
    assert (found["pulse"].values, found["pulse"].missing, found["pulse"].too_high) == (11, 1, 1)
    assert (found["sex"].counts, found["sex"].missing) == ((5, 6), 1)


@settings(max_examples=30)
@given(values=st.lists(st.none() | st.floats(-1e6, 1e6, allow_subnormal=False), max_size=30))
@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"constraints": {"minimum": 0}},
        {"constraints": {"minimum": -100, "maximum": 1000}, "plausible": {"low": 10, "high": 20}},
        {"reference": {"source": "s", "p05": 1, "p95": 9}},
    ],
)
def test_every_number_is_counted_once(tmp_path_factory: Any, values: list[float | None], limits: dict[str, Any]) -> None:
    """In a bin, beside the bins, or beyond a hard limit; whatever limits the contract gives."""
    profile = one(tmp_path_factory.mktemp("x"), "number", values, unit="mm", **limits)
    assert counted(profile) == profile.values == sum(value is not None for value in values)
    assert profile.missing == len(values) - profile.values
    assert list(profile.edges) == sorted(set(profile.edges))


@pytest.mark.parametrize(("minimum", "maximum"), [(0, 3), (0, 250), (20, 300)])
def test_whole_numbers_lie_in_bins_of_whole_numbers(tmp_path: Path, minimum: int, maximum: int) -> None:
    """Both limits are possible values; a bin never parts a number."""
    limits = {"minimum": minimum, "maximum": maximum}
    values = [minimum - 1, *range(minimum, maximum + 1), maximum + 1]
    profile = one(tmp_path, "integer", values, unit="1", constraints=limits)
    assert (profile.too_low, profile.too_high, profile.below, profile.above) == (1, 1, 0, 0)
    assert sum(profile.counts) == maximum - minimum + 1
    assert all(edge.is_integer() for edge in profile.edges)


def test_days_lie_in_bins_of_whole_months(tmp_path: Path) -> None:
    """Edges are the first of months, never a day of a record."""
    days = [date(2021, 3, day) for day in range(1, 29)] + [date(2021, 9, 30), date(1990, 1, 1)]
    profile = one(tmp_path, "date", days, constraints={"minimum": "2000-01-01"})
    assert (counted(profile), profile.too_low) == (30, 1)
    assert all(date.fromordinal(int(edge)).day == 1 for edge in profile.edges)


@pytest.mark.parametrize("days", [[date.max], [date(9990, 1, 1), date.max], [date(2021, 3, 1), date.max], [date.min, date.max]])
def test_days_at_the_end_of_the_calendar_lie_in_bins_too(tmp_path: Path, days: list[date]) -> None:
    """The month after the last one has no first day; 9999-12-31 often stands for never."""
    profile = one(tmp_path, "date", days)
    assert counted(profile) == len(days)
    assert list(profile.edges) == sorted(set(profile.edges))
    assert len(bin_names(profile)) == len(profile.counts)


def test_edges_without_limits_are_round(tmp_path: Path) -> None:
    """Where the contract gives no limits, no edge is a cell."""
    profile = one(tmp_path, "number", [123.456, 171.234, 198.765], unit="mm")
    assert not {123.456, 171.234, 198.765} & set(profile.edges)
    assert (profile.edges[0], profile.edges[-1]) == (120.0, 200.0)


def test_a_text_that_is_no_category_is_only_counted(tmp_path: Path) -> None:
    categories = [{"value": "a"}, {"value": "b"}]
    profile = one(tmp_path, "string", ["a", "Geheim", None, "a"], categories=categories)
    assert (profile.counts, profile.unlisted, profile.missing) == ((2, 0), 1, 1)
    many = one(tmp_path, "string", ["v3", "v3", "Geheim"], categories=[{"value": f"v{at}"} for at in range(20)])
    assert (many.counts[3], sum(many.counts), many.unlisted) == (2, 2, 1)


@pytest.mark.parametrize("kind", ["integer", "number", "date"])
def test_a_field_without_a_value(tmp_path: Path, kind: str) -> None:
    field = {} if kind == "date" else {"unit": "1"}
    profile = one(tmp_path, kind, [None, None], **field)
    assert (profile.values, profile.missing, sum(profile.counts)) == (0, 2, 0)
