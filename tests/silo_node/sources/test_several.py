from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from clinic_on_disk import CLINIC, COLUMNS, GERMAN, HEADER, load_contract, rows
from exports_on_disk import TYPED_COLUMNS, export_site, in_this_process, typed, write_workbook

from silo_node.extraction.extract import extract
from silo_node.sources.places import FilePlace
from silo_node.validation.check import CheckResult, check
from silo_node.validation.reports import write_local
from wardround.errors import Refused

WHOLE = rows(height=12)
LINES = WHOLE.splitlines(keepends=True)


def months(folder: Path, parts: list[str], **dialect: Any) -> Any:
    for number, part in enumerate(parts, 1):
        (folder / f"month-{number:02d}.csv").write_text(part)
    source = {"format": "csv", "paths": ["month-*.csv"], **GERMAN, **dialect}
    return export_site(folder, {"table": source}, "table", COLUMNS)


def codes(result: CheckResult) -> list[tuple[str, list[Any]]]:
    return [(each.code, [str(line) for line in each.lines]) for each in result.findings]


def test_files_that_follow_each_other_are_one_table(tmp_path):
    """An export a month gives what one export of the year would."""
    contract = load_contract(CLINIC, tmp_path)
    site = months(tmp_path, ["".join([LINES[0], *LINES[begin : begin + 4]]) for begin in (1, 5, 9)])
    assert [path.name for path in site.original_paths("table")] == ["month-01.csv", "month-02.csv", "month-03.csv"]
    assert site.record_paths("table") == site.original_paths("table")
    result = check(site, contract)
    assert (codes(result), result.found) == ([], 12)
    (tmp_path / "year.csv").write_text(WHOLE)
    whole = check(export_site(tmp_path, {"table": {"format": "csv", "path": "year.csv", **GERMAN}}, "table", COLUMNS), contract)
    assert result.valid.equals(whole.valid)


def test_places_are_of_their_file(tmp_path):
    """Findings and the local report name the file's number and its own line, also of lines with too few cells."""
    contract = load_contract(CLINIC, tmp_path)
    spoilt = [LINES[0], LINES[5], LINES[6].replace(";66;", ";6;").replace(";65;", ";5;"), "P9;x\n", LINES[8]]
    site = months(tmp_path, ["".join(LINES[:5]), "".join(spoilt), "".join([LINES[0], *LINES[9:], "P1\n"])])
    result = check(site, contract, max_fraction=1.0)
    assert ("T-RANGE", ["2:3"]) in codes(result)
    assert [each for each in codes(result) if each[0] == "T-RAGGED"] == [("T-RAGGED", ["2:4"]), ("T-RAGGED", ["3:6"])]
    assert result.quarantined_places == (FilePlace(2, 3), FilePlace(2, 4), FilePlace(3, 6))
    assert (result.found, result.quarantined, result.valid.height) == (13, 3, 10)
    assert '"at": [\n      [\n        2,\n        3\n      ]' in write_local(site, result).read_text()
    assert "month" not in write_local(site, result).read_text()


@pytest.mark.parametrize(
    ("second", "code"),
    [
        ("".join([HEADER.replace("Puls;", ""), "\n", "P1;x\n"]), "T-PARTS"),
        ("".join([HEADER.replace("Puls;Radius_cm", "Radius_cm;Puls"), "\n", *LINES[5:]]), "T-PARTS"),
        (LINES[0], "T-EMPTY"),
        ("", "T-EMPTY"),
        ("".join(LINES[5:]), "T-NOHEADER"),
        ("".join(LINES[:1] + LINES[5:]).replace(";", ","), "T-DELIM"),
    ],
)
def test_a_file_that_is_not_like_the_first_is_named_by_its_number(tmp_path, second, code):
    result = check(months(tmp_path, ["".join(LINES[:5]), second]), load_contract(CLINIC, tmp_path))
    assert [(each.code, "file 2 of 2: " in each.finding) for each in result.findings] == [(code, True)]
    assert (result.passed, result.found) == (False, 0)


def test_a_pattern_that_fits_nothing_is_no_table(tmp_path):
    site = export_site(tmp_path, {"table": {"format": "csv", "paths": ["x-*.csv"], **GERMAN}}, "table", COLUMNS)
    assert codes(check(site, load_contract(CLINIC, tmp_path))) == [("T-FILE", [])]


@pytest.mark.parametrize("more", [{}, {"path": "a.csv", "paths": ["b.csv"]}, {"paths": []}])
def test_a_source_has_a_path_or_paths(tmp_path, more):
    with pytest.raises(Refused) as caught:
        export_site(tmp_path, {"table": {"format": "csv", **more}}, "table", COLUMNS)
    assert caught.value.problems[0].code in ("Y-VALUE", "Y-MISSING")


def test_parquet_files_have_the_same_types(tmp_path):
    """A column that is a number in one month and a text in another is refused, not turned into either."""
    contract = load_contract(CLINIC, tmp_path)
    frame = pl.DataFrame(typed(), schema=HEADER.split(";"), orient="row")
    source = {"table": {"format": "parquet", "paths": ["a.parquet", "b.parquet"]}}
    frame.head(5).write_parquet(tmp_path / "a.parquet")
    frame.tail(7).write_parquet(tmp_path / "b.parquet")
    site = export_site(tmp_path, source, "table", TYPED_COLUMNS)
    assert codes(check(site, contract)) == []
    frame.tail(7).with_columns(pl.col("Puls").cast(pl.String)).write_parquet(tmp_path / "b.parquet")
    assert codes(check(site, contract)) == [("T-PARTS", [])]


def test_workbooks_follow_each_other_too(tmp_path, monkeypatch):
    """Columns have one type over all files, and rows are those of their own sheet."""
    in_this_process(monkeypatch)
    contract = load_contract(CLINIC, tmp_path)
    first, second = typed(5), typed(7, begin=5)
    second[2][3] = 5
    write_workbook(tmp_path / "a.xlsx", first)
    write_workbook(tmp_path / "b.xlsx", second)
    source = {"table": {"format": "excel", "paths": ["?.xlsx"]}}
    site = export_site(tmp_path, source, "table", TYPED_COLUMNS)
    assert extract(site, "table").files == 2
    assert codes(check(site, contract, max_fraction=1.0)) == [("T-RANGE", ["2:4"])]
    write_workbook(tmp_path / "c.xlsx", typed(1, begin=12))
    assert codes(check(site, contract)) == [("T-STALE", [])]
    extract(site, "table")
    second[1][3] = "many"
    write_workbook(tmp_path / "b.xlsx", second)
    extract(site, "table")
    assert ("T-TYPE", ["2:3"]) in codes(check(site, contract, max_fraction=1.0))
    write_workbook(tmp_path / "c.xlsx", typed(1), before=1)
    with pytest.raises(Refused) as caught:
        extract(site, "table")
    problem = caught.value.problems[0]
    assert problem.code in ("T-PARTS", "T-NOHEADER")
    assert problem.finding.startswith("file 3 of 3: ")
