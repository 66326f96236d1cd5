"""One honest table, and what hospitals do to it: for the catalogue of bad files, bad joins and bad values."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from clinic_on_disk import load_contract

from silo_node.configuration import Site, load_site
from silo_node.validation.check import CheckResult, check
from wardround.contract.model import Contract
from wardround.messages.data_report import foreign_names

HEIGHT = 12

CONTRACT: dict[str, Any] = {
    "kind": "table",
    "id": "test.catalogue",
    "version": "1.0.0",
    "status": "draft",
    "title": "Visits that go wrong as files do",
    "row_grain": "one row per visit",
    "primaryKey": ["record"],
    "patientKey": "patient",
    "fields": [
        {"name": "record", "type": "string", "privacy": "pseudonym", "constraints": {"required": True}},
        {"name": "patient", "type": "string", "privacy": "pseudonym", "constraints": {"required": True}},
        {"name": "age", "type": "integer", "unit": "a", "constraints": {"required": True, "minimum": 0, "maximum": 120}},
        {
            "name": "glucose",
            "type": "number",
            "unit": "mmol/L",
            "constraints": {"minimum": 0.5, "maximum": 60},
            "plausible": {"low": 2, "high": 40, "max_outside": 0.25},
            "missing": {"max_fraction": 0.25, "labels": [{"value": "-9", "label": "not measured"}]},
        },
        {"name": "seen", "type": "date", "privacy": "quasi", "constraints": {"minimum": "2020-01-01"}},
        {"name": "outcome", "type": "string", "categories": [{"value": "well"}, {"value": "ill"}]},
        {"name": "note", "type": "string", "privacy": "quasi", "constraints": {"minLength": 3, "maxLength": 20}},
    ],
    "rules": [
        {"id": "sweet_are_grown", "check": "glucose < 20 or age >= 18"},
        {"id": "seen_in_order", "check": 'seen >= "2020-06-01" or glucose < 10', "severity": "warning", "max_fraction": 0.1},
        {"id": "noted_when_ill", "check": 'outcome == "well" or note is not missing'},
    ],
}  # fmt: skip

COLUMNS = {
    "record": "Kennung",
    "patient": "Fallnummer",
    "age": "Lebensjahre",
    "glucose": "Zuckerwert",
    "seen": "Besuchstag",
    "outcome": "Befundlage",
    "note": "Rückmeldung",
}
"""The hospital's own names, of which none may leave."""
HEADER = tuple(COLUMNS.values())
WORDS = ("gemütlich", "mürrisch", "fröhlich", "kühl")


def records(height: int = HEIGHT) -> list[list[str]]:
    """Give honest records, as text."""
    return [
        [
            f"QXR{at:04}",
            f"VZP{at // 2:04}",
            str(30 + at % 40),
            f"{4 + at % 17 / 4:.2f}",
            f"2021-0{at % 9 + 1}-{at % 28 + 1:02}",
            ("well", "ill")[at * 7 % 5 % 2],
            WORDS[at % 4],
        ]
        for at in range(height)
    ]


def changed(cells: Mapping[tuple[int, str], str], height: int = HEIGHT) -> list[list[str]]:
    """Give the records with other cells, by record (from 0) and field."""
    table = records(height)
    names = list(COLUMNS)
    for (at, name), text in cells.items():
        table[at][names.index(name)] = text
    return table


def text(
    table: Sequence[Sequence[str]] | None = None, header: Sequence[str] | None = HEADER, delimiter: str = ",", end: str = "\n"
) -> str:
    """Give a table as delimited text; nothing is quoted."""
    lines = [*([] if header is None else [header]), *(records() if table is None else table)]
    return end.join([*(delimiter.join(line) for line in lines), ""])


def frame(table: Sequence[Sequence[str]] | None = None, header: Sequence[str] = HEADER) -> pl.DataFrame:
    """Give a table of texts, empty cells as missing."""
    found = pl.DataFrame(records() if table is None else table, schema=dict.fromkeys(header, pl.String), orient="row")
    return found.with_columns(pl.all().replace("", None))


Expected = Sequence[tuple[str, str | None, Sequence[int], int]]
"""Code, field or rule, the lines of a text or the rows of a Parquet file, and the count, of every finding."""


@dataclass(frozen=True)
class Bad:
    """One way in which a table is bad, and all that is found in it.

    Attributes:
        make: the content of the one file, or what writes files into a folder.
        expected: every finding.
        says: what the first finding's words hold: its place, and how many.
        source: more of the source's lines in the site file.
        columns: other mapped columns; those that are ``None`` are not mapped.
        contract: other parts of the contract.
        passed: whether the check passes all the same.
        aside: how many records are set aside.
    """

    make: bytes | str | pl.DataFrame | Callable[[Path], Any]
    expected: Expected
    says: str = ""
    source: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, Any] = field(default_factory=dict)
    contract: Mapping[str, Any] = field(default_factory=dict)
    passed: bool = False
    aside: int = 0


def lay_out(folder: Path, form: str, bad: Bad) -> tuple[Site, Contract]:
    """Write a bad table, its contract and the site file that maps it."""
    path = folder / f"table.{form}"
    if callable(bad.make):
        bad.make(folder)
    elif isinstance(bad.make, pl.DataFrame):
        bad.make.write_csv(path) if form == "csv" else bad.make.write_parquet(path)
    else:
        path.write_bytes(bad.make.encode() if isinstance(bad.make, str) else bad.make)
    contract = {**CONTRACT, **bad.contract}
    schemas = folder / "schemas" / "tables" / contract["id"]
    schemas.mkdir(parents=True)
    (schemas / "1.0.0.yaml").write_text(json.dumps(contract))
    source = {"format": form, **({} if "paths" in bad.source else {"path": path.name}), **bad.source}
    sources = source if "sources" in bad.source else {"sources": {"table": source}, "source": "table"}
    columns = {name: column for name, column in {**COLUMNS, **bad.columns}.items() if column is not None}
    mapping = {"source": sources["source"], "columns": columns}
    content = {"site": "north", "name": "North", "sources": sources["sources"], "schemas": {contract["id"]: mapping}}
    (folder / "site.yaml").write_text(json.dumps(content))
    return load_site(folder / "site.yaml"), load_contract(contract, folder)


def found(result: CheckResult) -> list[tuple[str, str | None, list[int], int]]:
    """Give the findings in the form of ``Expected``."""
    return [(each.code, each.field or each.rule, [int(str(at)) for at in each.lines], each.count) for each in result.findings]


def hold(bad: Bad, result: CheckResult, contract: Contract) -> None:
    """Hold what was found against what is expected, and look at what would leave."""
    assert found(result) == [(code, name, list(lines), count) for code, name, lines, count in bad.expected]
    assert (result.passed, result.quarantined) == (bad.passed, bad.aside)
    assert bad.says in result.findings[0].finding
    assert foreign_names(result.outgoing, contract) == ()
    sent = result.outgoing.model_dump_json()
    assert own_words(sent) == []
    assert "2021-0" not in sent


def judged(folder: Path, form: str, bad: Bad, max_fraction: float = 1.0) -> None:
    """Check a bad table, and hold what was found against what is expected."""
    site, contract = lay_out(folder, form, bad)
    hold(bad, check(site, contract, max_fraction=max_fraction), contract)


def own_words(said: str) -> list[str]:
    """Give what a text holds of the hospital's headers and cells."""
    return [word for word in (*HEADER, *WORDS, "QXR0", "VZP0", "Meier") if word.lower() in said.lower()]
