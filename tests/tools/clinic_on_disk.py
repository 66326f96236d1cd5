"""A clinic with a contract of its own, made on disk for the tests of the silo."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from silo_node.configuration import Site, load_site
from wardround.contract.library import load
from wardround.contract.model import Contract

SMALL_CELL = 3

CLINIC: dict[str, Any] = {
    "kind": "table",
    "id": "test.clinic",
    "version": "1.2.0",
    "status": "draft",
    "title": "Visits to a clinic that exists in tests only",
    "row_grain": "one row per visit",
    "primaryKey": ["patient_key", "visit"],
    "patientKey": "patient_key",
    "fields": [
        {
            "name": "patient_key",
            "type": "string",
            "privacy": "pseudonym",
            "constraints": {"required": True, "pattern": "^[A-Z][0-9]{1,6}$"},
        },
        {"name": "visit", "type": "date", "constraints": {"required": True, "minimum": "2000-01-01", "maximum": "2030-12-31"}},
        {
            "name": "sex",
            "type": "string",
            "constraints": {"required": True},
            "categories": [{"value": "female"}, {"value": "male"}],
        },
        {"name": "pulse", "type": "integer", "unit": "/min", "constraints": {"minimum": 20, "maximum": 300}},
        {
            "name": "radius",
            "type": "number",
            "unit": "mm",
            "constraints": {"minimum": 0, "maximum": 100},
            "plausible": {"low": 1, "high": 50, "max_outside": 0.5},
        },
        {
            "name": "glucose",
            "type": "number",
            "unit": "mmol/L",
            "constraints": {"minimum": 0.5, "maximum": 60},
            "missing": {"max_fraction": 0.5, "labels": [{"value": "-9", "label": "not measured"}]},
        },
        {"name": "note", "type": "string", "privacy": "quasi", "constraints": {"minLength": 2, "maxLength": 12}},
        {"name": "outcome", "type": "string", "categories": [{"value": "well"}, {"value": "ill"}]},
    ],
    "rules": [
        {"id": "slow_hearts_are_large", "check": "pulse >= 30 or radius >= 10"},
        {"id": "few_high_glucose", "check": "glucose < 30", "severity": "warning", "max_fraction": 0.25},
    ],
}
"""A contract with one field of every kind, a composite key, an error rule and a warning rule."""

COLUMNS: dict[str, Any] = {
    "patient_key": "PatNr",
    "visit": {"column": "Datum", "date_format": "%d.%m.%Y"},
    "sex": {"column": "Geschlecht", "codes": {"W": "female", "M": "male"}},
    "pulse": "Puls",
    "radius": {"column": "Radius_cm", "unit": "cm"},
    "glucose": {"column": "Glu", "factor": 0.0555, "offset": 0},
    "note": "Bemerkung",
    "outcome": {"column": "Befund", "codes": {"g": "well", "k": "ill"}},
}
"""A German hospital's columns for it."""

HEADER = "PatNr;Datum;Geschlecht;Puls;Radius_cm;Glu;Bemerkung;Befund"
GERMAN = {"delimiter": ";", "decimal": ","}


def rows(*changed: tuple[int, str, str], height: int = 12) -> str:
    """Give the German hospital's table; ``changed`` puts a text into a record (from 0) and a local column."""
    names = HEADER.split(";")
    lines = [HEADER]
    table = [
        [f"P{at}", f"{at % 28 + 1:02d}.03.2021", "WM"[at % 2], str(60 + at), f"1,{at}", str(100 + at), "abc", "gk"[at % 2]]
        for at in range(height)
    ]
    for record, column, text in changed:
        table[record][names.index(column)] = text
    return "\n".join([*lines, *(";".join(cells) for cells in table)]) + "\n"


def site_yaml(
    schema: str,
    columns: Mapping[str, Any],
    *,
    source: Mapping[str, Any],
    missing: Iterable[str] = (),
    ignore: Iterable[str] = (),
) -> str:
    """Give a site file; JSON is YAML."""
    mapping = {"source": "table", "columns": dict(columns), "missing": list(missing), "ignore": list(ignore)}
    return json.dumps(
        {
            "site": "north",
            "name": "Northern Infirmary",
            "sources": {"table": dict(source)},
            "schemas": {schema: mapping},
        },
        indent=1,
    )


def load_contract(content: Mapping[str, Any], folder: Path) -> Contract:
    """Give a contract from its content, by way of a file."""
    path = folder / "contract.yaml"
    path.write_text(json.dumps(content))
    return load(path)


def make_site(
    folder: Path, content: str | bytes, schema: str = "test.clinic", columns: Mapping[str, Any] = COLUMNS, **settings: Any
) -> Site:
    """Write a site file and its one CSV source, and load the site; ``dialect`` is the source's."""
    source = {"format": "csv", "path": "records.csv", **settings.pop("dialect", GERMAN)}
    (folder / "records.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    path = folder / "site.yaml"
    (folder / "policy.yaml").write_text(json.dumps({"small_cell": settings.pop("small_cell", SMALL_CELL)}))
    path.write_text(site_yaml(schema, columns, source=source, **settings))
    return load_site(path)
