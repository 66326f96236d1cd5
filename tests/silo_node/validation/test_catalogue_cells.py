"""The catalogue of bad cells: each class in several variants, from CSV and Parquet: the right code, exactly the right rows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import date
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from clinic_on_disk import load_contract

from silo_node.configuration import load_site
from silo_node.validation.check import CheckResult, check
from silo_node.validation.sentinels import FEWEST
from wardround.contract.code_systems import is_code, make
from wardround.contract.model import CodeSystem, Contract
from wardround.messages.data_report import ShownCell

HEIGHT = 60
TODAY = date(2026, 6, 30)

CONTRACT: dict[str, Any] = {
    "kind": "table",
    "id": "test.catalogue",
    "version": "1.0.0",
    "status": "draft",
    "title": "Fields of every kind that cells go wrong in",
    "row_grain": "one row per sample",
    "primaryKey": ["sample"],
    "patientKey": "patient",
    "fields": [
        {"name": "sample", "type": "string", "privacy": "pseudonym", "constraints": {"required": True}},
        {
            "name": "patient",
            "type": "string",
            "privacy": "pseudonym",
            "constraints": {"required": True, "pattern": "[0-9]{18}"},
        },
        {"name": "centre", "type": "string", "privacy": "quasi", "constraints": {"minLength": 5, "pattern": "[A-Z]?[0-9]{3,5}"}},
        {"name": "sex", "type": "string", "categories": [{"value": "female"}, {"value": "male"}]},
        {"name": "smoker", "type": "string", "categories": [{"value": "yes"}, {"value": "no"}]},
        {"name": "ward", "type": "string", "privacy": "quasi"},
        {"name": "remark", "type": "string", "privacy": "quasi", "free_text": True},
        {"name": "age", "type": "integer", "unit": "a", "constraints": {"minimum": 0, "maximum": 120}},
        {
            "name": "glucose",
            "type": "number",
            "unit": "mmol/L",
            "constraints": {"minimum": -10, "maximum": 2000},
            "plausible": {"low": 2, "high": 40, "max_outside": 0.2},
        },
        {
            "name": "steps",
            "type": "integer",
            "unit": "1",
            "constraints": {"minimum": 0, "maximum": 100000},
        },
        {"name": "born", "type": "date", "privacy": "quasi", "constraints": {"minimum": "1800-01-01"}},
        {"name": "planned", "type": "date", "privacy": "quasi", "constraints": {"maximum": "2099-12-31"}},
        {"name": "loinc", "type": "string", "code_system": "LOINC"},
        {"name": "snomed", "type": "string", "code_system": "SNOMED CT"},
        {"name": "icd", "type": "string", "code_system": "ICD-10"},
        {"name": "atc", "type": "string", "code_system": "ATC"},
    ],
}  # fmt: skip


@cache
def the_contract() -> Contract:
    with TemporaryDirectory() as folder:
        return load_contract(CONTRACT, Path(folder))


def clean(row: int) -> dict[str, str]:
    """Give an honest record: zeros in counts, spikes in the middle, short texts that repeat."""
    return {
        "sample": f"S{row:04}",
        "patient": f"{900000000000000000 + row * 7919}",
        "centre": f"{10000 + row}",
        "sex": ("female", "male")[row % 2],
        "smoker": ("yes", "no")[row % 3 == 0],
        "ward": ("Intensive Care", "Surgery", "General Medicine North")[row % 3],
        "remark": "The patient felt well and went home after breakfast on the second day.",
        "age": str(20 + row),
        "glucose": f"{4 + row / 20:.2f}",
        "steps": str(0 if row % 3 else 3000 + 100 * row),
        "born": f"19{30 + row}-0{row % 9 + 1}-1{row % 10}",
        "planned": f"2027-0{row % 9 + 1}-1{row % 10}",
        "loinc": ("2093-3", "8480-6", "14749-6")[row % 3],
        "snomed": ("248152002", "248153007", "73211009")[row % 3],
        "icd": ("E11.9", "I10", "C50.90")[row % 3],
        "atc": ("A10BA02", "C09AA", "B")[row % 3],
    }


def checked(folder: Path, form: str, cells: dict[int, str], field: str, **column: Any) -> CheckResult:
    """Check the honest table with some cells of one field changed."""
    records = [clean(row) for row in range(HEIGHT)]
    for row, text in cells.items():
        records[row][field] = text
    if form == "csv":
        stream = io.StringIO()
        writer = csv.DictWriter(stream, list(records[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
        (folder / "t.csv").write_text(stream.getvalue(), encoding="utf-8")
    else:
        pl.DataFrame(records).write_parquet(folder / "t.parquet")
    return run(folder, form, {field: {"column": field, **column}} if column else {})


def run(folder: Path, form: str, columns: dict[str, Any]) -> CheckResult:
    contract = the_contract()
    mapping = {"source": "t", "columns": {name: name for name in contract.names} | columns}
    sources = {"t": {"format": form, "path": f"t.{form}"}}
    content = {"site": "north", "name": "North", "sources": sources, "schemas": {contract.id: mapping}}
    (folder / "site.yaml").write_text(json.dumps(content))
    return check(load_site(folder / "site.yaml"), contract, max_fraction=1.0, today=TODAY)


def found(result: CheckResult) -> list[tuple[str, str | None, list[int]]]:
    """Give the findings with their rows, from 0."""
    return [(each.code, each.field, [at - (2 if each.unit == "line" else 1) for at in each.lines]) for each in result.findings]


FORMS = pytest.mark.parametrize("form", ["csv", "parquet"])


@FORMS
def test_the_honest_table_has_no_finding(form: str, tmp_path: Path) -> None:
    """Zeros in counts, names of wards, dates to come where the schema allows them: nothing to say."""
    result = checked(tmp_path, form, {}, "age")
    assert found(result) == []
    assert result.passed


ONE_CODE = [
    # identifiers
    ("T-LEADZERO", "patient", {3: "42", 9: "900000000000007"}),
    ("T-LEADZERO", "centre", {0: "12", 59: "7"}),
    ("T-LEADZERO", "patient", {5: "0012345"}),
    ("T-SCI", "patient", {3: "9.00000E+17", 4: "9E+17"}),
    ("T-SCI", "centre", {7: "1,2e5"}),
    ("T-SCI", "sample", {8: "1.23457E+15", 50: "9.1e+12"}),
    ("T-BIGINT", "patient", {3: "9.0000000000000077e17", 4: "900000000000000768.0"}),
    ("T-BIGINT", "sample", {3: "1.2345678901234568e+18"}),
    ("T-BIGINT", "centre", {8: "9007199254740993.0"}),
    # marks for missing that nobody declared
    ("T-SENTINEL", "age", dict.fromkeys((1, 2, 30), "999")),
    ("T-SENTINEL", "age", dict.fromkeys((1, 2, 30, 40), "-9")),
    ("T-SENTINEL", "age", dict.fromkeys((10, 20, 30), "300")),
    ("T-SENTINEL", "glucose", dict.fromkeys((10, 20, 30), "-9")),
    ("T-SENTINEL", "glucose", dict.fromkeys((10, 20, 30), "999.0")),
    ("T-SENTINEL", "glucose", dict.fromkeys((10, 20, 30), "0")),
    ("T-SENTINEL", "glucose", dict.fromkeys(range(0, 60, 3), "999")),
    ("T-SENTINEL", "steps", dict.fromkeys((7, 9, 11), "99999")),
    ("T-SENTINEL", "born", dict.fromkeys((7, 9, 11), "1900-01-01")),
    ("T-SENTINEL", "born", dict.fromkeys((7, 9, 11), "1800-01-01")),
    ("T-SENTINEL", "planned", dict.fromkeys((7, 9, 11), "9999-12-31")),
    # codes and truth values
    ("T-CASE", "sex", {2: "Male", 3: "FEMALE"}),
    ("T-CASE", "sex", {2: "male ", 3: "\u00a0female"}),
    ("T-CASE", "smoker", {2: "Yes"}),
    ("T-CASE", "icd", {2: "i10", 3: "E11.9 "}),
    ("T-CASE", "ward", {2: "surgery", 3: "Intensive  Care"}),
    ("T-CASE", "sample", {2: "S0002 "}),
    ("T-BOOL", "smoker", {2: "TRUE", 3: "FALSE"}),
    ("T-BOOL", "smoker", {2: "1", 3: "0", 4: "n"}),
    ("T-BOOL", "smoker", {9: "ja"}),
    # people
    ("T-PHI-ID", "patient", {3: "Meier, Anna"}),
    ("T-PHI-ID", "patient", {3: "anna.meier@example.org", 5: "+49 30 1234567"}),
    ("T-PHI-ID", "sample", {3: "Anna Meier", 5: "MEIER^ANNA"}),
    ("T-PHI-ID", "sample", {4: "756.9217.0769.85"}),
    ("T-PHI-ID", "centre", {4: "RSSMRA85T10A562S"}),
    ("T-PHI-ID", "sex", {4: "Frau Meier"}),
    ("T-PHI-ID", "ward", {4: "anna.meier@example.org"}),
    ("T-PHI-ID", "centre", {6: "(030) 1234567"}),
    # codes of terminologies
    ("T-CODEVER", "loinc", {1: "2093-4", 2: "2093"}),
    ("T-CODEVER", "snomed", {1: "248152003", 2: "7.3211009E7"}),
    ("T-CODEVER", "icd", {1: "250.00", 2: "E119", 3: "E850.1"}),
    ("T-CODEVER", "atc", {1: "A10BA2"}),
    # dates
    ("T-DATEFMT", "born", {1: "05.01.1950", 2: "13/02/1950", 3: "02/13/1950"}),
    ("T-DATEFMT", "born", {1: "05.01.50", 2: "5-JAN-50"}),
    ("T-DATEFMT", "born", {1: "18264", 2: "18264.5"}),
    ("T-FUTURE", "born", {1: "2026-07-01", 2: "2062-01-01"}),
    ("T-FUTURE", "born", {30: "9998-01-01"}),
    ("T-FUTURE", "born", {30: "2030-12-31"}),
    ("T-TZ", "born", {1: "1950-01-05T23:30:00Z", 2: "1950-01-05T23:30:00+02:00"}),
    ("T-TZ", "born", {1: "1950-01-05 23:30", 2: "1950-01-05 23:30:00+01:00"}),
    ("T-TZ", "planned", {1: "2027-01-05T10:00:00.000Z", 2: "2027-01-05T10:00:00 CET", 3: "2027-01-05T10:00:00-05:00"}),
]  # fmt: skip


WRITTEN = (
    *("25.01.1950", "25/01/1950", "01/25/1950", "25-01-1950", "01-25-1950", "1950/01/25", "1950.01.25", "19500125"),
    *("25 Jan 1950", "25-Jan-1950", "25Jan1950", "Jan 25, 1950", "25 January 1950", "January 25, 1950"),
    *("25.01.50", "1/25/50", "25 Jan 50", "18288", "18288.5"),
)
OTHER_WORDS = (
    *(
        "y",
        "n",
        "true",
        "false",
        "t",
        "f",
        "1",
        "0",
        "1.0",
        "0.0",
        "on",
        "off",
        "+",
        "-",
        "present",
        "absent",
        "positive",
        "negative",
    ),
    *(
        "pos",
        "neg",
        "ja",
        "nein",
        "j",
        "wahr",
        "falsch",
        "oui",
        "non",
        "o",
        "vrai",
        "faux",
        "sí",
        "si",
        "s",
        "sim",
        "não",
        "tak",
        "nie",
    ),
)


@FORMS
@pytest.mark.parametrize(("code", "field", "texts"), [("T-DATEFMT", "born", WRITTEN), ("T-BOOL", "smoker", OTHER_WORDS)])
def test_every_way_of_writing_is_known(code: str, field: str, texts: tuple[str, ...], form: str, tmp_path: Path) -> None:
    """All of them at once are one finding, and each is in it."""
    assert found(checked(tmp_path, form, dict(enumerate(texts)), field)) == [(code, field, list(range(min(len(texts), 20))))]
    assert checked(tmp_path, form, dict(enumerate(texts)), field).findings[0].count == len(texts)


def outcome(code: str, field: str, count: int) -> tuple[str, bool, int]:
    """Give severity, whether the check passes, and how many are set aside.

    People fail the check; possible values only warn; bad values set their records aside.
    """
    too_implausible = code == "T-SENTINEL" and field == "glucose" and count > 0.2 * HEIGHT
    if code == "T-PHI-ID" or too_implausible:
        return "error", False, 0
    warns = {"T-FUTURE": ("born",), "T-CASE": ("ward", "sample"), "T-SENTINEL": ("steps", "born", "glucose")}
    return ("warning", True, 0) if field in warns.get(code, ()) else ("error", True, count)


@FORMS
@pytest.mark.parametrize(("code", "field", "cells"), ONE_CODE)
def test_one_class_is_one_finding_in_its_rows(code: str, field: str, cells: dict[int, str], form: str, tmp_path: Path) -> None:
    """One finding for all these cells, never a more general one beside it, no cell in its words; and what it does."""
    result = checked(tmp_path, form, cells, field)
    assert found(result) == [(code, field, sorted(cells))]
    (finding,) = result.findings
    assert (finding.severity, result.passed, result.quarantined) == outcome(code, field, len(cells))
    words = f"{finding.expectation} {finding.finding} {finding.next_step}"
    assert not [text for text in cells.values() if len(text) > 4 and text.strip() in words]


@FORMS
@pytest.mark.parametrize(
    ("field", "text"),
    [("age", "abc"), ("sex", "unknown"), ("patient", "x"), ("smoker", "maybe"), ("born", "1950-13-41"), ("age", "121")],
)
def test_what_has_no_special_cause_keeps_the_general_code(field: str, text: str, form: str, tmp_path: Path) -> None:
    """Nothing is explained that cannot be told."""
    (finding,) = checked(tmp_path, form, {4: text}, field).findings
    assert finding.code in ("T-TYPE", "T-ENUM", "T-PATTERN", "T-RANGE")


@FORMS
def test_causes_share_a_column_cell_by_cell(form: str, tmp_path: Path) -> None:
    """Each cell has one finding, the rest the general one."""
    result = checked(tmp_path, form, {1: "Female", 2: "W", 3: "weiblich", 4: "MALE"}, "sex")
    assert found(result) == [("T-CASE", "sex", [1, 4]), ("T-ENUM", "sex", [2, 3])]


def test_a_column_of_sentences_warns(tmp_path: Path) -> None:
    """Where the schema says free text they are expected; short and repeating texts are none."""
    sentences = {row: f"On day {row} the patient was seen by the team and felt better." for row in range(HEIGHT)}
    result = checked(tmp_path, "csv", sentences, "ward")
    assert [(each.code, each.field, each.severity, each.count) for each in result.findings] == [
        ("T-PHI-TEXT", "ward", "warning", HEIGHT)
    ]
    assert checked(tmp_path, "csv", sentences, "remark").findings == ()
    repeated = {row: f"On day {row % 4} the patient was seen by the team and felt better." for row in range(HEIGHT)}
    assert checked(tmp_path, "csv", repeated, "ward").findings == ()


def nhs_number(row: int) -> str:
    """Make up a number with the check digit of the NHS."""
    for number in range(900_000_000 + 1000 * row, 900_001_000 + 1000 * row):
        check_digit = 11 - sum(int(digit) * weight for digit, weight in zip(str(number), range(10, 1, -1), strict=True)) % 11
        if check_digit != 10:
            return f"{number}{check_digit % 11}"
    raise AssertionError


FIRST = ("Anna", "Peter", "Jorge", "Fatima", "Nkechi", "Wei", "Olga", "Lars")
LAST = ("Meier", "Okafor", "Silva", "Zhang", "Petrova", "Andersen", "Haddad")


@FORMS
@pytest.mark.parametrize(
    ("field", "make_text"),
    [
        ("ward", lambda row: f"{FIRST[row % 8]} {LAST[row % 7]}"),
        ("ward", lambda row: f"{LAST[row % 7].upper()}, {FIRST[row % 8]}"),
        ("sample", nhs_number),
        ("ward", lambda row: f"{100 + row * 13}-{10 + row % 80}-{1000 + row}"),
    ],
)
def test_a_column_of_people_is_told_by_its_shares(field: str, make_text: Callable[[int], str], form: str, tmp_path: Path) -> None:
    """Names with common given names among them, and numbers whose check digits all fit: every row is one."""
    result = checked(tmp_path, form, {row: make_text(row) for row in range(HEIGHT)}, field)
    (finding,) = result.findings
    assert (finding.code, finding.count, result.passed) == ("T-PHI-ID", HEIGHT, False)
    assert [each.records for each in result.outgoing.findings] == [ShownCell(count=HEIGHT)]


@FORMS
@pytest.mark.parametrize(
    "make_text",
    [
        lambda row: f"701-{row % 5:02}-{1000 + row}",
        lambda row: f"01-701-{1000 + row}",
        lambda row: f"{1000000000 + 7 * row}",
        lambda row: f"TCGA-AO-A1{row:02}",
        lambda row: f"{row:032x}",
    ],
)
def test_ids_of_trials_are_no_people(make_text: Callable[[int], str], form: str, tmp_path: Path) -> None:
    """Site, arm and number; ten digits in sequence; sample codes; digests."""
    assert checked(tmp_path, form, {row: make_text(row) for row in range(HEIGHT)}, "sample").findings == ()


@FORMS
@pytest.mark.parametrize(
    ("cells", "note", "step"),
    [
        ({1: "<5", 2: "> 300"}, "2 with a comparison sign", "limit of measurement"),
        ({1: "5,6", 2: "7,1"}, "2 with another decimal or thousands mark", "decimal mark"),
        ({1: "7 mg", 2: "7.1mmol/L", 3: "<5"}, "2 with a unit, 1 with a comparison sign", "give its unit"),
        ({1: "n/a", 2: "?", 3: "forty"}, "2 a mark for missing, 1 other", "'missing'"),
        ({1: "5-7", 2: "6 to 8", 3: "5 .. 6"}, "3 a span of numbers", "write one number"),
        ({1: " 5.1", 2: "6.2 "}, "2 with white space", "white space at the source"),
    ],
)
def test_texts_in_a_number_are_counted_by_their_kinds(
    cells: dict[int, str], note: str, step: str, form: str, tmp_path: Path
) -> None:
    """The finding says how many look like what, the next step how to mend each."""
    (finding,) = checked(tmp_path, form, cells, "glucose").findings
    assert (finding.code, finding.count) == ("T-TYPE", len(cells))
    assert finding.finding.endswith(f": {note}")
    assert step in finding.next_step


@FORMS
@pytest.mark.parametrize(
    ("field", "cells", "code", "note", "steps"),
    [
        (
            "loinc",
            {1: "2093-4", 2: "2093", 3: "cholesterol"},
            "T-CODEVER",
            "1 with a wrong check digit, 1 without the check digit, 1 other",
            ("last digit does not belong", "a spreadsheet may have taken it off"),
        ),
        (
            "icd",
            {1: "250.00", 2: "I219", 3: "I220", 4: "I21.A1"},
            "T-CODEVER",
            "2 without the dot, 1 in the form of ICD-10-CM, 1 in the form of ICD-9",
            ("after the third sign", "code_system: ICD-10-CM", "ICD-9 is another one"),
        ),
        (
            "born",
            {1: "1950-01", 2: "n/a", 3: "unknown", 4: "1950-01-05 10:00", 5: "spring"},
            "T-TYPE",
            "2 a mark for missing, 1 with a time of day, 1 without the day, 1 other",
            ("under 'missing'", "export the day alone", "an unknown day"),
        ),
    ],
)
def test_codes_and_dates_that_are_none_are_counted_by_their_kinds(
    field: str, cells: dict[int, str], code: str, note: str, steps: tuple[str, ...], form: str, tmp_path: Path
) -> None:
    """As numbers are: how many look like what, the most frequent first, and how to mend each, in the same order."""
    (finding,) = checked(tmp_path, form, cells, field).findings
    assert (finding.code, finding.count) == (code, len(cells))
    assert finding.finding.endswith(f": {note}")
    places = [finding.next_step.index(step) for step in steps]
    assert places == sorted(places)


@FORMS
def test_a_whole_column_in_another_form_of_dates_is_one_line_in_the_site_file(form: str, tmp_path: Path) -> None:
    """The next step gives the line; with it nothing is found."""
    cells = {row: f"{row % 28 + 1:02}/{row % 12 + 1:02}/19{30 + row}" for row in range(HEIGHT)}
    finding, few = checked(tmp_path, form, cells, "born").findings
    assert (finding.code, finding.count, few.code) == ("T-DATEFMT", HEIGHT, "T-FEW")
    assert "'%d/%m/%Y'" in finding.next_step
    assert checked(tmp_path, form, cells, "born", date_format="%d/%m/%Y").findings == ()


TIMED = {
    "%Y-%m-%d %H:%M:%S": "10:00:00",
    "%Y-%m-%dT%H:%M:%S": "10:00:00",
    "%Y-%m-%d %H:%M:%S.%f": "00:00:00.001",
    "%d.%m.%Y %H:%M": "00:01",
}


@FORMS
@pytest.mark.parametrize("written", [*TIMED, "%d%b%Y", "%d-%b-%Y", "%d %b %Y", "%b %d, %Y", "%d %B %Y"])
def test_days_as_databases_and_programs_write_them_are_one_line_in_the_site_file(written: str, form: str, tmp_path: Path) -> None:
    """Midnight after the day, months by their English names: the next step gives the line, and with it nothing is found."""
    days = [date(1930 + row, row % 12 + 1, row % 28 + 1) for row in range(HEIGHT)]
    cells = {row: day.strftime(written) for row, day in enumerate(days)}
    finding, few = checked(tmp_path, form, cells, "born").findings
    assert (finding.code, finding.count, few.code) == ("T-DATEFMT", HEIGHT, "T-FEW")
    assert f"declare date_format: '{written}'" in finding.next_step
    result = checked(tmp_path, form, cells, "born", date_format=written)
    assert (result.findings, result.valid["born"].to_list()) == ((), days)


@FORMS
@pytest.mark.parametrize("written", TIMED)
def test_a_time_of_day_other_than_midnight_is_no_day(written: str, form: str, tmp_path: Path) -> None:
    """In text as in a file's own type for moments: where the records of an afternoon belong is not guessed."""
    cells = {row: date(1930 + row, row % 12 + 1, row % 28 + 1).strftime(written) for row in range(HEIGHT)}
    cells[7] = cells[7][: -len(TIMED[written])] + TIMED[written]
    result = checked(tmp_path, form, cells, "born", date_format=written)
    assert found(result) == [("T-TYPE", "born", [7])]
    assert result.findings[0].finding.endswith(": 1 with a time of day")


@FORMS
def test_a_year_before_the_day_and_the_month_is_named(form: str, tmp_path: Path) -> None:
    """No program writes days so; where one does, it is said."""
    cells = {row: date(1930 + row, row % 12 + 1, row % 16 + 13).strftime("%Y-%d-%m") for row in range(HEIGHT)}
    finding, _ = checked(tmp_path, form, cells, "born").findings
    assert (finding.code, finding.count) == ("T-DATEFMT", HEIGHT)
    assert "declare date_format: '%Y-%d-%m'" in finding.next_step
    assert checked(tmp_path, form, cells, "born", date_format="%Y-%d-%m").findings == ()


@FORMS
def test_swapped_days_and_months_are_named(form: str, tmp_path: Path) -> None:
    """A day after the twelfth tells the order; the finding says that those before it may be wrong, too."""
    cells = {row: f"{row % 12 + 1:02}/{row % 12 + 1:02}/19{30 + row}" for row in range(HEIGHT)} | {5: "25/03/1950"}
    (finding,) = checked(tmp_path, form, cells, "born", date_format="%m/%d/%Y").findings
    assert (finding.code, finding.count) == ("T-DATEFMT", 1)
    assert "swapped" in finding.next_step


@pytest.mark.parametrize(("field", "values", "code", "step"), [
    ("patient", [9.0e17 + 1e6 * row for row in range(HEIGHT)], "T-BIGINT", "export"),
    ("patient", list(range(HEIGHT)), "T-LEADZERO", "export"),
    ("born", [18000.0 + row for row in range(HEIGHT)], "T-DATEFMT", "export the dates as text, YYYY-MM-DD"),
    ("born", [row % 2 == 0 for row in range(HEIGHT)], "T-TYPE", "export"),
    ("age", [row % 2 == 0 for row in range(HEIGHT)], "T-TYPE", "export"),
    ("glucose", [date(1950, 1, 1 + row % 28) for row in range(HEIGHT)], "T-TYPE", "export"),
])  # fmt: skip
def test_typed_columns_of_parquet(field: str, values: list[Any], code: str, step: str, tmp_path: Path) -> None:
    """Floats and integers where texts or dates belong: the whole column is named."""
    frame = pl.DataFrame([clean(row) for row in range(HEIGHT)]).with_columns(pl.Series(field, values))
    frame.write_parquet(tmp_path / "t.parquet")
    result = run(tmp_path, "parquet", {})
    finding, *rest = result.findings
    assert (finding.code, finding.field, finding.count) == (code, field, HEIGHT)
    assert step in finding.next_step
    assert ("as a spreadsheet counts days since 1900" in finding.finding) == (code == "T-DATEFMT")
    assert [each.records for each in result.outgoing.findings if each.code == code] == [ShownCell(count=HEIGHT)]
    assert {each.code for each in rest} <= {"T-FEW"}


@pytest.mark.parametrize("dtype", [pl.Int32, pl.Int64, pl.UInt32, pl.String], ids=str)
def test_whole_numbers_are_read_by_the_declared_format_as_their_digits_are(dtype: pl.DataType, tmp_path: Path) -> None:
    """What a text's digits are, a whole number's are; days that a spreadsheet counts are told from them by their digits."""
    days = [date(1930 + row, row % 12 + 1, row % 28 + 1) for row in range(HEIGHT)]
    digits = pl.Series("born", [int(day.strftime("%Y%m%d")) for day in days])
    records = pl.DataFrame([clean(row) for row in range(HEIGHT)])
    records.with_columns(digits.cast(dtype)).write_parquet(tmp_path / "t.parquet")
    result = run(tmp_path, "parquet", {"born": {"column": "born", "date_format": "%Y%m%d"}})
    assert (result.findings, result.valid["born"].to_list()) == ((), days)
    first = run(tmp_path, "parquet", {}).findings[0]
    assert (first.code, first.count, "declare date_format: '%Y%m%d'" in first.next_step) == ("T-DATEFMT", HEIGHT, True)
    records.with_columns((digits % 10_000 + 20_000).cast(dtype)).write_parquet(tmp_path / "t.parquet")
    first = run(tmp_path, "parquet", {"born": {"column": "born", "date_format": "%Y%m%d"}}).findings[0]
    assert (first.code, first.count) == ("T-DATEFMT", HEIGHT)
    assert first.finding.endswith("numbers of days of a spreadsheet")


@FORMS
@pytest.mark.parametrize("mark", ["0000-00-00", "0001-01-01", "0000-00-00 00:00:00", "00.00.0000"])
@pytest.mark.parametrize("many", [1, HEIGHT], ids=["one", "all"])
def test_a_day_of_noughts_stands_for_none(many: int, mark: str, form: str, tmp_path: Path) -> None:
    """As databases write it where a column takes no nothing; however many there are, none is a day."""
    cells = dict.fromkeys(range(many), mark)
    finding, *_ = checked(tmp_path, form, cells, "born").findings
    assert (finding.code, finding.field, finding.count, finding.severity) == ("T-SENTINEL", "born", many, "error")
    declared = checked(tmp_path, form, cells, "born", missing=["", mark])
    assert {each.code for each in declared.findings} == ({"T-ALLNULL"} if many == HEIGHT else set())


@pytest.mark.parametrize("dtype", [pl.Date, pl.Datetime("us")], ids=["day", "us"])
@pytest.mark.parametrize("many", [1, HEIGHT], ids=["one", "all"])
def test_the_first_day_of_all_stands_for_none(many: int, dtype: pl.DataType, tmp_path: Path) -> None:
    """In a file's own type for days, too: its text is the mark that the site file declares."""
    cells = [date(1, 1, 1) if row < many else date(1950, 1, 1 + row % 28) for row in range(HEIGHT)]
    frame = pl.DataFrame([clean(row) for row in range(HEIGHT)]).with_columns(pl.Series("born", cells, dtype=pl.Date).cast(dtype))
    frame.write_parquet(tmp_path / "t.parquet")
    finding, *_ = run(tmp_path, "parquet", {}).findings
    assert (finding.code, finding.field, finding.count) == ("T-SENTINEL", "born", many)
    assert "under 'missing'" in finding.next_step
    declared = run(tmp_path, "parquet", {"born": {"column": "born", "missing": ["0001-01-01"]}})
    assert {each.code for each in declared.findings} == ({"T-ALLNULL"} if many == HEIGHT else set())


@pytest.mark.parametrize("dtype", [pl.Date, pl.Datetime("ms"), pl.Datetime("us")], ids=["day", "ms", "us"])
@pytest.mark.parametrize("days", [-(2**31) + 1, -(10**8), -719_529, -354_286, 2_932_897, 97_000_000, 2**31 - 1])
def test_days_that_no_calendar_has_are_bad_cells(days: int, dtype: pl.DataType, tmp_path: Path) -> None:
    """A file's own type holds them; they are named with their rows, and the other records are judged as ever."""
    cells = [-7000 + row for row in range(HEIGHT)]
    cells[7] = cells[30] = days
    one = 1 if dtype == pl.Date else {"ms": 86_400_000, "us": 86_400_000_000}[dtype.time_unit]  # type: ignore[union-attr]
    stored = pl.Series("born", [max(-(2**63), min(day * one, 2**63 - 1)) for day in cells])
    column = stored.cast(pl.Int32 if dtype == pl.Date else pl.Int64).cast(dtype)
    pl.DataFrame([clean(row) for row in range(HEIGHT)]).with_columns(column).write_parquet(tmp_path / "t.parquet")
    result = run(tmp_path, "parquet", {})
    assert found(result) == [("T-TYPE", "born", [7, 30])]
    assert result.findings[0].finding.endswith(": 2 of no year from 1000 to 9999")
    assert result.valid.height == HEIGHT - 2


def test_a_day_of_a_zone_is_bounded_by_its_own_clock(tmp_path: Path) -> None:
    """The last midnight of the years of four digits in UTC is one of the year after it further east."""
    days = [*range(18_000, 18_000 + HEIGHT - 1), 2_932_897]
    cells = pl.Series("born", [(day * 24 - 14) * 3_600_000 for day in days])
    column = cells.cast(pl.Datetime("ms", "Pacific/Kiritimati"))
    pl.DataFrame([clean(row) for row in range(HEIGHT)]).with_columns(column).write_parquet(tmp_path / "t.parquet")
    assert found(run(tmp_path, "parquet", {})) == [("T-TYPE", "born", [HEIGHT - 1])]


@pytest.mark.parametrize("dtype", [pl.Date, pl.Datetime("us"), pl.Datetime("ns")], ids=["day", "us", "ns"])
def test_a_mark_is_a_day_where_the_column_holds_days(dtype: pl.DataType, tmp_path: Path) -> None:
    """A declared mark counts in a column of the file's own type for days, too; one beyond the calendar as well."""
    first = date(1, 1, 1) if dtype != pl.Datetime("ns") else date(1700, 1, 1)
    cells = [date(1950, 1, 1 + row % 28) for row in range(HEIGHT)]
    cells[3], cells[9] = first, date(1900, 1, 1)
    frame = pl.DataFrame([clean(row) for row in range(HEIGHT)]).with_columns(pl.Series("born", cells, dtype=pl.Date).cast(dtype))
    frame.write_parquet(tmp_path / "t.parquet")
    result = run(tmp_path, "parquet", {"born": {"column": "born", "missing": [first.isoformat(), "1900-01-01"]}})
    assert (result.findings, result.valid["born"].null_count()) == ((), 2)


@pytest.mark.parametrize("field", ["sex", "age", "glucose", "born", "ward"])
def test_a_column_of_no_type_is_an_empty_one(field: str, tmp_path: Path) -> None:
    """Parquet has a type for columns in which no cell is there: nothing is missing beyond the values."""
    pl.DataFrame([clean(row) for row in range(HEIGHT)]).with_columns(pl.lit(None).alias(field)).write_parquet(
        tmp_path / "t.parquet"
    )
    (finding,) = run(tmp_path, "parquet", {}).findings
    assert (finding.code, finding.field, finding.count, finding.severity) == ("T-ALLNULL", field, HEIGHT, "warning")


def test_marks_are_sought_in_the_hospitals_own_unit(tmp_path: Path) -> None:
    """A local 999 in mg/dL is 55.45 in the schema's unit; it is the local number that is a mark."""
    cells = {row: str(70 + row) for row in range(HEIGHT)} | dict.fromkeys((4, 5, 6), "999")
    (finding,) = checked(tmp_path, "csv", cells, "glucose", factor=0.0555).findings
    assert (finding.code, finding.count) == ("T-SENTINEL", FEWEST)


def test_a_few_odd_values_and_an_honest_spike_are_no_marks(tmp_path: Path) -> None:
    """Two of a kind are mistakes; a value among the others is one of them, however many have it."""
    assert [code for code, _, _ in found(checked(tmp_path, "csv", {1: "999", 2: "999"}, "age"))] == ["T-RANGE"]
    assert checked(tmp_path, "csv", dict.fromkeys(range(20), "77"), "age").findings == ()
    assert checked(tmp_path, "csv", dict.fromkeys(range(20), "0"), "age").findings == ()


def test_future_is_told_from_the_given_day_and_sets_nobody_aside(tmp_path: Path) -> None:
    """The same records are valid on every day: a restart after midnight trains on what it trained on."""
    result = checked(tmp_path, "csv", {3: "2026-07-01"}, "born")
    assert [(each.code, each.severity) for each in result.findings] == [("T-FUTURE", "warning")]
    site, contract = load_site(tmp_path / "site.yaml"), the_contract()
    later = check(site, contract, max_fraction=1.0, today=date(2026, 7, 1))
    assert later.findings == ()
    assert later.valid.equals(result.valid)


@pytest.mark.parametrize("system", ["LOINC", "SNOMED CT", "ICD-10", "ICD-10-CM", "ICD-9-CM", "RxNorm", "ATC", "UCUM"])
def test_codes_that_are_made_up_have_the_form(system: CodeSystem) -> None:
    """For synthetic records; another last digit breaks those with a check digit."""
    from random import Random

    random = Random(3).random  # noqa: S311  (no secret)
    for _ in range(200):
        code = make(system, random)
        assert is_code(system, code)
        if system in ("LOINC", "SNOMED CT"):
            assert not is_code(system, code[:-1] + str((int(code[-1]) + 1) % 10))


def test_a_column_without_texts_has_no_texts_to_judge(tmp_path: Path) -> None:
    """Shares of nothing are no shares."""
    result = checked(tmp_path, "csv", dict.fromkeys(range(HEIGHT), ""), "ward")
    assert [each.code for each in result.findings] == ["T-ALLNULL"]
    assert [each.records for each in result.outgoing.findings] == [ShownCell(count=HEIGHT)]
