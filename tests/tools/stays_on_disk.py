"""Stays in a hospital that exists in tests only: a contract of several records a patient, and tables in order."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from silo_node.configuration import Site, load_site
from silo_node.validation.check import CheckResult

REQUIRED: dict[str, Any] = {"required": True}
STAYS: dict[str, Any] = {
    "kind": "table",
    "id": "test.stays",
    "version": "1.0.0",
    "status": "draft",
    "title": "Stays in a hospital that exists in tests only",
    "row_grain": "one row per stay",
    "primaryKey": ["stay"],
    "patientKey": "patient",
    "fields": [
        {"name": "stay", "type": "string", "privacy": "pseudonym", "constraints": {**REQUIRED, "pattern": "S[0-9]{6}"}},
        {"name": "patient", "type": "string", "privacy": "pseudonym", "constraints": {**REQUIRED, "pattern": "[0-9a-f]{8}"}},
        {"name": "born", "type": "date", "privacy": "quasi", "constraints": {"minimum": "1920-01-01", "maximum": "2020-12-31"}},
        {"name": "died", "type": "date", "privacy": "quasi", "constraints": {"minimum": "2005-01-01"}},
        {"name": "sex", "type": "string", "categories": [{"value": "female"}, {"value": "male"}]},
        {"name": "admitted", "type": "date", "privacy": "quasi", "constraints": {"minimum": "2010-01-01"}},
        {"name": "left", "type": "date", "privacy": "quasi", "constraints": {"minimum": "2009-01-01"}},
        {"name": "pulse", "type": "integer", "unit": "/min", "constraints": {"minimum": 20, "maximum": 300}},
        {"name": "glucose", "type": "number", "unit": "mmol/L", "constraints": {"minimum": 0.5, "maximum": 60}},
        {"name": "ward", "type": "string", "categories": [{"value": value} for value in ("a", "b", "c")]},
        {"name": "score", "type": "number", "unit": "1", "constraints": {"minimum": 0, "maximum": 9}, "investigative": True},
    ],
    "rules": [
        {"id": "admitted_alive", "check": "admitted >= born"},
        {"id": "no_stay_after_death", "check": "admitted <= died"},
    ],
    "longitudinal": {"time": "admitted", "constant": ["sex", "born"], "no_overlap": ["admitted", "left"]},
}  # fmt: skip
"""A hospital's stays: constant fields, stays that do not overlap, quasi-identifiers, an investigative field."""

PATIENTS, STAYS_OF_ONE = 60, 3
HEIGHT = PATIENTS * STAYS_OF_ONE


def table(seed: int = 0) -> pl.DataFrame:
    """Give stays in order: three of each patient, half a year apart, of up to a month, with the dates of each patient shifted."""
    random = np.random.default_rng(seed)
    records: list[dict[str, Any]] = []
    for patient in range(PATIENTS):
        shift = timedelta(days=int(random.integers(-180, 180)))
        born = date(1930, 1, 1) + timedelta(days=int(random.integers(0, 20_000))) + shift
        for stay in range(STAYS_OF_ONE):
            admitted = date(2015, 1, 1) + timedelta(days=180 * stay + int(random.integers(0, 100))) + shift
            records.append(
                {
                    "stay": f"S{len(records):06}",
                    "patient": f"{patient:08x}",
                    "born": born,
                    "died": date(2022, 1, 1) + shift if patient % 5 == 3 else None,
                    "sex": ("female", "male")[patient % 2],
                    "admitted": admitted,
                    "left": admitted + timedelta(days=int(random.integers(0, 30))),
                    "pulse": int(random.integers(50, 120)),
                    "glucose": round(float(random.uniform(3, 20)), 1),
                    "ward": "abc"[int(random.integers(0, 3))],
                    "score": round(float(random.uniform(1, 9)), 2),
                }
            )
    return pl.DataFrame(records, schema_overrides={"died": pl.Date})


def hospital(folder: Path, frame: pl.DataFrame, form: str, **mapping: Any) -> Site:
    """Write a table and the site file that maps it as it is."""
    frame.write_csv(folder / "t.csv") if form == "csv" else frame.write_parquet(folder / "t.parquet")
    schema = {"source": "table", "columns": {name: name for name in frame.columns}, **mapping}
    content = {
        "site": "north",
        "name": "North",
        "sources": {"table": {"format": form, "path": f"t.{form}"}},
        "schemas": {"test.stays": schema},
    }
    (folder / "site.yaml").write_text(json.dumps(content))
    return load_site(folder / "site.yaml")


def changed(frame: pl.DataFrame, name: str, values: dict[int, Any]) -> pl.DataFrame:
    """Give a table with other values of one field in some rows."""
    cells = frame[name].to_list()
    for row, value in values.items():
        cells[row] = value
    return frame.with_columns(pl.Series(name, cells, dtype=frame[name].dtype))


def add_days(frame: pl.DataFrame, name: str, days: Iterable[int]) -> pl.DataFrame:
    """Give a table with the dates of one field moved, each by its own number of days."""
    moved = [day if day is None else day + timedelta(days=int(by)) for day, by in zip(frame[name], days, strict=True)]
    return frame.with_columns(pl.Series(name, moved, dtype=pl.Date))


def rows_of(result: CheckResult) -> dict[tuple[str, str | None], set[int]]:
    """Give the rows of each finding, from 0."""
    first = 2 if result.unit == "line" else 1
    return {(each.code, each.field or each.rule): {line - first for line in each.lines} for each in result.findings}


def same_as(frame: pl.DataFrame, pairs: dict[int, int], but: tuple[str, ...] = ("stay", "patient")) -> pl.DataFrame:
    for row, like in pairs.items():
        for name in frame.columns:
            if name not in but:
                frame = changed(frame, name, {row: frame[name][like]})
    return frame


def own_patients(frame: pl.DataFrame, rows: Iterable[int]) -> pl.DataFrame:
    return changed(frame, "patient", {row: f"{0xF0000000 + row:08x}" for row in rows})
