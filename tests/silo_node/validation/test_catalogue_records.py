"""The bad-data catalogue's faults between records and of whole columns: each in variants, as CSV and as Parquet."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from clinic_on_disk import load_contract
from stays_on_disk import (
    HEIGHT,
    PATIENTS,
    STAYS,
    STAYS_OF_ONE,
    add_days,
    changed,
    hospital,
    own_patients,
    rows_of,
    same_as,
    table,
)

from silo_node.validation.check import CheckResult, check
from silo_node.validation.constancy import constant
from silo_node.validation.longitudinal import overlapping
from silo_node.validation.twins import twin_records
from wardround.contract.model import Contract
from wardround.contract.synthetic.faults import spoiled
from wardround.contract.synthetic.records import synthesise
from wardround.contract.synthetic.sheet import sheet_of
from wardround.errors import Refused

CODES = ("T-VARYING", "T-OVERLAP", "T-DUPROW", "T-DATESHIFT", "T-CONST")


@pytest.fixture
def stays(tmp_path: Path) -> Contract:
    """Give the contract of stays."""
    return load_contract(STAYS, tmp_path)


def shifts(seed: int, most: int, height: int = HEIGHT) -> list[int]:
    return [int(each) for each in np.random.default_rng(seed).integers(-most, most + 1, height)]


@pytest.fixture(autouse=True)
def all_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have findings list every line."""
    monkeypatch.setattr("silo_node.validation.judgement.SAMPLE_LINES", 10_000)


# ------------------------------------------------------------------------------------------------------------ variants


def _stay(frame: pl.DataFrame, row: int, first: date, last: date) -> pl.DataFrame:
    return changed(changed(frame, "admitted", {row: first}), "left", {row: last})


def _overlaps(frame: pl.DataFrame, first: tuple[date, date], second: tuple[date, date]) -> pl.DataFrame:
    """Give the first patient two such stays, and a third one far from both."""
    return _stay(_stay(frame, 0, *first), 1, *second)


DAY = date(2012, 3, 1)


def days(first: int, last: int) -> tuple[date, date]:
    return DAY + timedelta(days=first), DAY + timedelta(days=last)


Change = Callable[[pl.DataFrame], pl.DataFrame]
VARIANTS: dict[str, tuple[Change, dict[tuple[str, str | None], set[int]]]] = {
    "one other sex": (lambda frame: changed(frame, "sex", {4: "female"}), {("T-VARYING", "sex"): {3, 4, 5}}),
    "another sex beside a missing one": (
        lambda frame: changed(frame, "sex", {3: None, 4: "female"}),
        {("T-VARYING", "sex"): {3, 4, 5}},
    ),
    "two patients under one pseudonym": (
        lambda frame: changed(frame, "patient", dict.fromkeys((3, 4, 5), frame["patient"][0])),
        {
            ("T-VARYING", "sex"): {0, 1, 2, 3, 4, 5},
            ("T-VARYING", "born"): {0, 1, 2, 3, 4, 5},
            ("T-OVERLAP", "admitted"): {1, 5},
        },
    ),
    "another day of birth": (
        lambda frame: changed(frame, "born", {6: date(1999, 1, 1)}),
        {("T-VARYING", "born"): {6, 7, 8}},
    ),
    "one stay in another": (lambda frame: _overlaps(frame, days(0, 9), days(3, 5)), {("T-OVERLAP", "admitted"): {0, 1}}),
    "a stay that begins before another ends": (
        lambda frame: _overlaps(frame, days(0, 9), days(8, 20)),
        {("T-OVERLAP", "admitted"): {0, 1}},
    ),
    "the same stay twice": (lambda frame: _overlaps(frame, days(0, 9), days(0, 9)), {("T-OVERLAP", "admitted"): {0, 1}}),
    "a day case in a stay": (lambda frame: _overlaps(frame, days(0, 9), days(4, 4)), {("T-OVERLAP", "admitted"): {0, 1}}),
    "a long stay over two": (
        lambda frame: _stay(_overlaps(frame, days(0, 90), days(3, 5)), 2, *days(60, 61)),
        {("T-OVERLAP", "admitted"): {0, 1, 2}},
    ),
    "one twin": (lambda frame: own_patients(same_as(frame, {7: 0}), [0, 7]), {("T-DUPROW", None): {0, 7}}),
    "a patient exported twice, with all stays": (
        lambda frame: same_as(frame, {3: 0, 4: 1, 5: 2}),
        {("T-DUPROW", None): set(range(6))},
    ),
    "three of one": (
        lambda frame: own_patients(same_as(frame, {40: 9, 50: 9}), [9, 40, 50]),
        {("T-DUPROW", None): {9, 40, 50}},
    ),
    "a constant number": (lambda frame: frame.with_columns(glucose=pl.lit(5.5)), {("T-CONST", "glucose"): set()}),
    "a constant code": (lambda frame: frame.with_columns(ward=pl.lit("b")), {("T-CONST", "ward"): set()}),
    "a constant whole number with gaps": (
        lambda frame: frame.with_columns(pulse=pl.when(pl.int_range(pl.len()) % 3 > 0).then(pl.lit(60, dtype=pl.Int64))),
        {("T-CONST", "pulse"): set()},
    ),
    "a stay after death, stays before birth": (
        lambda frame: changed(_stay(frame, 9, *days(4000, 4001)), "born", dict.fromkeys((0, 1, 2), date(2019, 1, 1))),
        {("T-RULE", "no_stay_after_death"): {9}, ("T-RULE", "admitted_alive"): {0, 1, 2}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_right_code_on_the_right_rows(stays: Contract, tmp_path: Path, variant: str, form: str) -> None:
    """Each fault is found where it is, and nothing else is."""
    change, expected = VARIANTS[variant]
    result = check(hospital(tmp_path, change(table()), form), stays, max_fraction=1.0)
    assert rows_of(result) == expected
    aside = {row for (code, _), rows in expected.items() if code not in ("T-DUPROW", "T-CONST") for row in rows}
    assert (result.passed, result.quarantined) == (True, len(aside))


SHIFTED = [(how, most) for how in ("each date", "each record") for most in (30, 90, 365)]


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize(("how", "most"), SHIFTED)
def test_dates_that_were_shifted_one_by_one_are_known(stays: Contract, tmp_path: Path, most: int, form: str, how: str) -> None:
    """By the lengths of stays when each date moved by itself, by the days of birth when each record did."""
    frame = table(most)
    if how == "each date":
        frame = add_days(add_days(frame, "admitted", shifts(1, most)), "left", shifts(2, most))
        concerned, field = set((frame["left"] < frame["admitted"]).arg_true()), "left"
    else:
        for name in ("born", "admitted", "left"):
            frame = add_days(frame, name, shifts(1, most))
        concerned, field = set(range(HEIGHT)), "born"
    result = check(hospital(tmp_path, frame, form), stays, max_fraction=1.0)
    assert rows_of(result)["T-DATESHIFT", field] == concerned
    assert not result.passed


def test_dates_in_another_form_than_declared_are_not_called_shifted(stays: Contract, tmp_path: Path) -> None:
    """Days that are read as months lie before and after each other; the form is what is wrong, and it is said alone."""
    frame = table(1).with_columns(pl.col("admitted").dt.strftime("%m/%d/%Y"))
    columns = {name: name for name in stays.names} | {"admitted": {"column": "admitted", "date_format": "%d/%m/%Y"}}
    site = hospital(tmp_path, frame, "csv", columns=columns)
    codes = {each.code for each in check(site, stays, max_fraction=1.0).findings}
    assert "T-DATEFMT" in codes
    assert "T-DATESHIFT" not in codes


def test_shifts_by_the_patient_and_mistakes_are_no_date_shifting(stays: Contract, tmp_path: Path) -> None:
    """Whatever a patient's dates move by together; a few stays the wrong way round; two columns swapped; another date."""
    of_patient = [by for by in shifts(5, 3650, PATIENTS) for _ in range(STAYS_OF_ONE)]
    frame = table(1)
    for name in ("admitted", "left", "died"):
        frame = add_days(frame, name, [abs(by) % 3000 for by in of_patient])
    assert check(hospital(tmp_path, frame, "parquet"), stays, max_fraction=1.0, today=date(2100, 1, 1)).findings == ()
    turned = table(1)
    few = add_days(turned, "left", [-40 if row % 11 == 0 else 0 for row in range(HEIGHT)])
    swapped = turned.rename({"admitted": "left", "left": "admitted"})
    another = turned.with_columns(born=pl.col("admitted").dt.offset_by("-20y"))
    for frame in (few, swapped, another):
        result = check(hospital(tmp_path, frame, "parquet"), stays, max_fraction=1.0)
        codes = {each.code for each in result.findings}
        assert codes == ({"T-VARYING", "T-FEW"} if frame is another else set())


# --------------------------------------------------------------------------------------------------------------- clean


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("seed", range(10))
def test_nothing_is_found_in_clean_stays(stays: Contract, tmp_path: Path, seed: int, form: str) -> None:
    """Whatever the seed."""
    assert rows_of(check(hospital(tmp_path, table(seed), form), stays)) == {}


def synthetic(contract: Contract, folder: Path, data: bytes) -> CheckResult:
    """Check a synthetic file."""
    site = hospital(folder, pl.DataFrame(schema=list(contract.names)), "csv")
    (folder / "t.csv").write_bytes(data)
    return check(site, contract, max_fraction=1.0)


@pytest.mark.parametrize("seed", range(5))
def test_synthetic_stays_keep_what_holds_between_records(stays: Contract, tmp_path: Path, seed: int) -> None:
    """Constants are constant, stays do not overlap and end after they begin."""
    data = sheet_of(stays, synthesise(stays, 300, seed)).encoded()
    assert rows_of(synthetic(stays, tmp_path, data)) == {}


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("seed", range(3))
def test_a_synthetic_fault_is_found_alone(stays: Contract, tmp_path: Path, code: str, seed: int) -> None:
    """Where ``schema synthesise --dirty`` made it."""
    found = spoiled(stays, 300, seed, {code: None})
    [made] = found.made
    [finding] = synthetic(stays, tmp_path, found.sheet.encoded()).findings
    assert (finding.code, finding.field) == (code, made.field)
    assert code == "T-CONST" or finding.lines == made.lines


def test_all_synthetic_faults_between_records_go_together(stays: Contract, tmp_path: Path) -> None:
    """And with faults of cells."""
    for alone in ("T-DUPROW", "T-CONST"):  # what changes a whole column changes who is alike
        wanted = {*CODES, "T-TYPE", "T-DUPKEY", "T-RANGE"} - {alone}
        found = spoiled(stays, 600, 1, dict.fromkeys(wanted))
        assert {code for code, _ in rows_of(synthetic(stays, tmp_path, found.sheet.encoded()))} == wanted
    with pytest.raises(Refused, match="who is alike"):
        spoiled(stays, 600, 1, {"T-DUPROW": None, "T-CONST": None})


# ------------------------------------------------------------------------------------------------- conservative by rule


def test_patients_who_are_alike_by_chance_are_no_twins() -> None:
    """In a table that tells little of each, pairs that differ in one field are more than pairs that differ in none."""
    random = np.random.default_rng(3)
    few = {f"f{at}": random.integers(0, 3, 400) for at in range(5)}
    coarse = pl.DataFrame({"the patient": [f"p{at}" for at in range(400)], **few})
    assert coarse.select(*few).is_duplicated().any()
    assert not twin_records(coarse.to_struct(), ("f0",)).any()
    fine = coarse.with_columns(f4=pl.Series(random.integers(0, 10**6, 400)))
    doubled = pl.concat([fine, fine.head(3).with_columns(pl.lit("another").alias("the patient"))])
    assert set(twin_records(doubled.to_struct(), ("f0",)).arg_true()) == {0, 1, 2, 400, 401, 402}
    assert not twin_records(doubled.with_columns(f0=None).to_struct(), ("f0",)).any()  # no quasi-identifier is known


def test_overlaps_are_those_of_every_pair() -> None:
    """Held against the definition, on random stays, some without a day, some the wrong way round."""
    random = np.random.default_rng(4)
    for _ in range(60):
        size = int(random.integers(2, 12))
        starts = [None if random.random() < 0.1 else int(random.integers(0, 12)) for _ in range(size)]
        ends = [None if start is None else start + int(random.integers(-1, 5)) for start in starts]
        patients = [None if random.random() < 0.1 else "ab"[int(random.integers(0, 2))] for _ in range(size)]
        frame = pl.DataFrame({"patient": patients, "start": starts, "end": ends}, schema_overrides={"patient": pl.String})
        dated = frame.with_columns(pl.col("start", "end").cast(pl.Int32).cast(pl.Date))

        def pair(one: int, other: int, starts: Any = starts, ends: Any = ends, patients: Any = patients) -> bool:
            stays = [(starts[at], ends[at]) for at in (one, other)]
            if one == other or None in (patients[one], starts[one], starts[other]) or patients[one] != patients[other]:
                return False
            return all(a <= b for a, b in stays) and stays[0][0] < stays[1][1] and stays[1][0] < stays[0][1]

        expected = {one for one in range(size) if any(pair(one, other) for other in range(size))}
        assert set(overlapping(dated.to_struct()).arg_true()) == expected


@pytest.mark.parametrize(
    ("others", "of", "found"),
    [(0, 29, False), (0, 30, True), (1, 999, False), (1, 1000, True), (2, 2000, True), (3, 2000, False)],
)
def test_nearly_constant_is_one_in_a_thousand(others: int, of: int, found: bool) -> None:
    """And thirty values are the fewest of which that is said."""
    values = pl.Series([1.0] * others + [None] * 7 + [2.0] * (of - others))
    assert constant(values).sum() == (of - others if found else 0)


@pytest.mark.parametrize("height", [3_000, 60_000])
def test_a_nearly_constant_column_is_found_in_a_large_table(stays: Contract, tmp_path: Path, height: int) -> None:
    """Although every hundredth value alone is looked at first, and the others stand exactly there."""
    ids = pl.int_range(height, eager=True)
    at = dict.fromkeys(range(0, height // 10, 100), "a") if height > 10_000 else {0: "a"}
    frame = pl.DataFrame({"stay": [f"S{row:06}" for row in ids], "patient": [f"{row:08x}" for row in ids]})
    frame = changed(frame.with_columns(ward=pl.lit("b")), "ward", at)
    result = check(hospital(tmp_path, frame, "parquet"), stays, fields=["ward"], max_fraction=1.0)
    assert [each.code for each in result.findings] == (["T-CONST"] if len(at) * 1000 <= height else [])


def test_a_key_that_stands_twice_overlaps_with_nothing(stays: Contract, tmp_path: Path) -> None:
    """The record is a duplicate already; and a value that failed by itself is no other value of a constant field."""
    frame = table()
    twice = pl.concat([frame, frame.head(1)])
    assert set(rows_of(check(hospital(tmp_path, twice, "csv"), stays, max_fraction=1.0))) == {("T-DUPKEY", "stay")}
    impossible = changed(frame.cast({"sex": pl.String}), "sex", {1: "unknown"})
    found = rows_of(check(hospital(tmp_path, impossible, "csv"), stays, max_fraction=1.0))
    assert found == {("T-ENUM", "sex"): {1}}
