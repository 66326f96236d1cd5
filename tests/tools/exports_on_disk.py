"""The clinic's table as other programs export it, for the tests of extraction, joins and corrupt files."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyreadstat
import pytest
from clinic_on_disk import CLINIC, COLUMNS, HEADER, load_contract, rows, site_yaml
from openpyxl import Workbook

from silo_node.configuration import Site, load_site
from silo_node.extraction import extract
from silo_node.extraction.process import Job, answer
from silo_node.validation.check import CheckResult, check
from wardround.errors import Refused

NAMES = HEADER.split(";")
TYPED_COLUMNS = {**COLUMNS, "visit": "Datum"}
"""The clinic's mapping where dates are dates."""

DECLARED: dict[str, dict[str, Any]] = {
    "excel": {"format": "excel", "path": "t.xlsx"},
    "spss": {"format": "spss", "path": "t.sav"},
    "stata": {"format": "stata", "path": "t.dta"},
    "sas": {"format": "sas", "path": "t.xpt"},
    "sql": {"format": "sql", "url": "sqlite:///t.sqlite", "query": "SELECT * FROM visits"},
}


def typed(height: int = 12, begin: int = 0) -> list[list[Any]]:
    """Give the clinic's records as a program holds them: numbers, moments and texts."""
    found = []
    for line in rows(height=begin + height).splitlines()[1 + begin :]:
        key, day, sex, pulse, radius, glucose, note, outcome = line.split(";")
        moment = datetime.strptime(day, "%d.%m.%Y")  # noqa: DTZ007  (exports have no zone)
        found.append([key, moment, sex, int(pulse), float(radius.replace(",", ".")), float(glucose), note, outcome])
    return found


def write_workbook(path: Path, table: list[list[Any]], *, before: int = 0, sheet: str = "visits", change: Any = None) -> None:
    """Write a workbook; ``before`` rows stand over its header, and ``change`` may spoil the sheet."""
    book = Workbook()
    page = book.active
    page.title = sheet
    for at in range(before):
        page.append([f"about this export {at}"])
    for row in [NAMES, *table]:
        page.append(row)
    if change is not None:
        change(page)
    book.save(path)


def write_export(folder: Path, form: str, table: list[list[Any]]) -> Path:
    """Write the clinic's records in one format."""
    if form == "excel":
        path = folder / "t.xlsx"
        write_workbook(path, table)
        return path
    if form == "sql":
        path = folder / "t.sqlite"
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"CREATE TABLE visits ({', '.join(NAMES)})")
            lines = [[cell.date().isoformat() if isinstance(cell, datetime) else cell for cell in row] for row in table]
            connection.executemany("INSERT INTO visits VALUES (?,?,?,?,?,?,?,?)", lines)
            connection.commit()
        return path
    frame = pl.DataFrame(table, schema=NAMES, orient="row").with_columns(pl.col("Datum").dt.date())
    if form == "spss":
        path = folder / "t.sav"
        pyreadstat.write_sav(frame, path, missing_ranges={"Glu": [999]}, variable_value_labels={"Puls": {60: "sixty"}})
    elif form == "stata":
        path = folder / "t.dta"
        pyreadstat.write_dta(frame, path, variable_value_labels={"Puls": {60: "sixty"}})
    else:
        path = folder / "t.xpt"
        pyreadstat.write_xport(frame, path, file_format_version=8)
    return path


def export_site(
    folder: Path, sources: Mapping[str, Any], source: str, columns: Mapping[str, Any] = TYPED_COLUMNS, **more: Any
) -> Site:
    """Write a site file with sources, one of which the clinic's schema is mapped to, and load it."""
    content = json.loads(site_yaml("test.clinic", columns, source={}, **more))
    content["sources"] = dict(sources)
    content["schemas"]["test.clinic"]["source"] = source
    (folder / "policy.yaml").write_text(json.dumps({"small_cell": 3}))
    (folder / "site.yaml").write_text(json.dumps(content, indent=1))
    return load_site(folder / "site.yaml")


def in_this_process(monkeypatch: Any) -> None:
    """Have extraction read in the test's own process: the same code, without the seconds that a process takes."""

    def run_job(job: Job, seconds: float, environment: Mapping[str, str]) -> tuple[int, bytes]:
        return 0, answer(job).model_dump_json().encode()

    monkeypatch.setattr(extract, "run_job", run_job)


def checked(folder: Path, site: Site) -> CheckResult:
    """Check the records of a site that maps the clinic's schema."""
    return check(site, load_contract(CLINIC, folder))


def codes(result: CheckResult) -> list[tuple[str, list[Any]]]:
    """Give the code and the lines of each finding."""
    return [(each.code, list(each.lines)) for each in result.findings]


def refused(site: Site, name: str, **more: Any) -> str:
    """Give the one code with which an extraction is refused, at a line of the site file."""
    with pytest.raises(Refused) as caught:
        extract.extract(site, name, **more)
    assert [problem.place.startswith("site.yaml, line") or problem.code.startswith("X") for problem in caught.value.problems] == [
        True
    ]
    return str(caught.value.problems[0].code)
