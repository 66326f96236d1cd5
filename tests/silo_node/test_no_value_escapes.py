"""Canaries: every cell, header and file name is a word of its own, and none of them is found in anything that is written.

Law 1 for the check: whatever is wrong with a table, neither what is printed nor either report holds a piece of it.
"""

from __future__ import annotations

import json
import random
import re
import sqlite3
import string
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pyreadstat
import pytest
from clinic_on_disk import CLINIC, site_yaml
from exports_on_disk import in_this_process
from openpyxl import Workbook
from openpyxl.comments import Comment

from wardround.console import run

PIECE = 5
"""Characters in a row that count as a leak."""


class Aviary:
    """Makes words that stand nowhere else and remembers them."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311  (canaries, not keys)
        self.words: list[str] = []

    def word(self) -> str:
        letters = string.ascii_letters.translate(str.maketrans("", "", "aA"))
        first, rest = self._random.choice(letters), self._random.choices(letters + string.digits.replace("9", ""), k=11)
        self.words.append(first + "".join(rest))  # which may be a name everywhere
        return self.words[-1]

    def leaks(self, text: str) -> list[str]:
        pieces = {word[at : at + PIECE] for word in self.words for at in range(len(word) - PIECE + 1)}
        return sorted(piece for piece in pieces if piece in text)


FIELDS = [field["name"] for field in CLINIC["fields"]]


def _table(aviary: Aviary, *, height: int = 30) -> tuple[dict[str, str], list[list[str]]]:
    """Give local columns and cells, all of them canaries, with some good cells so that every check has something to do."""
    columns = {name: aviary.word() for name in FIELDS}
    good = {"patient_key": "P{}", "visit": "2021-03-{:02d}", "sex": "female", "pulse": "60", "radius": "10", "glucose": "5"}
    table = [
        [
            good[name].format(at % 28 + 1) if name in good and at % 3 else aviary.word()
            for name in FIELDS
        ]
        for at in range(height)
    ]  # fmt: skip
    return columns, table


def _text(columns: dict[str, str], table: list[list[str]], delimiter: str = ",") -> str:
    return "\n".join([delimiter.join(columns.values()), *(delimiter.join(cells) for cells in table), ""])


def _spoilt(kind: str, aviary: Aviary, columns: dict[str, str], table: list[list[str]]) -> bytes:
    """Give the file's bytes, spoilt in one way."""
    text = _text(columns, table)
    header, *lines = text.splitlines()
    word = aviary.word()
    spoilt: dict[str, str | bytes] = {
        "cells": text,
        "no header": "\n".join(lines),
        "delimiter": _text(columns, table, ";"),
        "encoding": text.encode() + word.encode() + b"\xff\xfe",
        "other encoding": text.encode("utf-16"),
        "ragged": "\n".join([header, *lines, word, ",".join(aviary.word() for _ in range(20))]),
        "stray quote": f'{text}{word}"{aviary.word()}\n',
        "open quote": f'{text}"{word}',
        "extra columns": "\n".join(f"{line},{aviary.word()}" for line in [header, *lines]),
        "doubled header": "\n".join(f"{line},{line.split(',')[0]}" for line in [header, *lines]),
        "missing column": "\n".join(line.split(",", 1)[1] for line in [header, *lines]),
        "header only": header,
        "nul": text.replace("P2", "\0"),
        "duplicates": "\n".join([header, *lines, *lines]),
        "comments before": f"# {word}\n#{aviary.word()},{aviary.word()}\n{text}",
        "comments inside": "\n".join([header, *lines[:5], f"# {word}", *lines[5:], f"{word} rows"]),
        "other case": "\n".join(f"{line},{line.split(',')[0].swapcase()} " for line in [header, *lines]),
        "other encoding than declared": text.encode("utf-16-le"),
    }
    content = spoilt[kind]
    return content.encode() if isinstance(content, str) else content


KINDS = [
    "cells", "no header", "delimiter", "encoding", "other encoding", "ragged", "stray quote", "open quote", "extra columns",
    "doubled header", "missing column", "header only", "nul", "duplicates", "comments before", "comments inside", "other case",
    "other encoding than declared",
]  # fmt: skip


def _written(folder: Path) -> str:
    return "".join(path.read_text() for path in sorted((folder / "reports").glob("*")))


def _check(folder: Path, columns: dict[str, Any], source: dict[str, Any], capfd: Any, monkeypatch: Any, form: str) -> str:
    """Check, and give everything that was printed and written."""
    schemas = folder / "schemas" / "tables" / "test.clinic"
    schemas.mkdir(parents=True, exist_ok=True)
    (schemas / "1.2.0.yaml").write_text(json.dumps(CLINIC))
    (folder / "site.yaml").write_text(site_yaml("test.clinic", columns, source=source))
    (folder / "policy.yaml").write_text("small_cell: 3\n")
    monkeypatch.chdir(folder)  # as an operator would; the folder's own name may hold a canary
    words = ["silo", "check", "--site", "site.yaml", "--schema", "test.clinic", "--schema-path", "schemas", "--format", form]
    status = run(words)
    printed = capfd.readouterr()
    assert status in (0, 1), printed
    return str(printed.out) + str(printed.err) + _written(folder)


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_piece_of_a_table_is_printed_or_written(tmp_path: Path, capfd: Any, monkeypatch: Any, kind: str, form: str) -> None:
    """Whatever is wrong with a CSV file: no cell, header, file name or folder name, in either form."""
    aviary = Aviary(seed=KINDS.index(kind))
    folder = tmp_path / aviary.word()
    folder.mkdir()
    name = f"{aviary.word()}.csv"
    columns, table = _table(aviary)
    (folder / name).write_bytes(_spoilt(kind, aviary, columns, table))
    found = _check(folder, columns, {"format": "csv", "path": name}, capfd, monkeypatch, form)
    assert "T-" in found
    assert aviary.leaks(found) == []


@pytest.mark.parametrize("kind", ["cells", "types", "not parquet", "absent", "metadata", "equal names", "cut off"])
def test_no_piece_of_a_parquet_file_is_printed_or_written(tmp_path: Path, capfd: Any, monkeypatch: Any, kind: str) -> None:
    """The same for Parquet, of the right types and of wrong ones."""
    aviary = Aviary(seed=99)
    name = f"{aviary.word()}.parquet"
    columns, table = _table(aviary)
    frame = pl.DataFrame(table, schema=list(columns.values()), orient="row")
    if kind == "types":
        frame = frame.with_columns(pl.all().cast(pl.Binary), pl.lit(aviary.word()).alias(aviary.word()))
    if kind == "not parquet":
        (tmp_path / name).write_text(f"PAR1{aviary.word()}PAR1")
    elif kind in ("metadata", "equal names"):
        _with_metadata(tmp_path / name, frame, aviary, twice=kind == "equal names")
    elif kind != "absent":
        frame.write_parquet(tmp_path / name)
    if kind == "cut off":
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2] + whole[-8:])
    found = _check(tmp_path, columns, {"format": "parquet", "path": name}, capfd, monkeypatch, "json")
    assert "T-" in found
    assert aviary.leaks(found) == []


def _with_metadata(path: Path, frame: pl.DataFrame, aviary: Aviary, *, twice: bool) -> None:
    """Write canaries where Parquet has more places: of the file, of each column, in the statistics of the row groups."""
    names = [*frame.columns, frame.columns[0]] if twice else frame.columns
    fields = [pa.field(name, pa.string(), metadata={aviary.word(): aviary.word()}) for name in names]
    schema = pa.schema(fields, metadata={"pandas": json.dumps({"index_columns": [aviary.word()]}), aviary.word(): aviary.word()})
    arrays = [pa.array([*frame[name], aviary.word()]) for name in names]
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), path, row_group_size=7, write_statistics=True)


# ------------------------------------------------------------------------------------------------ files of other programs


def _exported(folder: Path, form: str, aviary: Aviary) -> tuple[dict[str, str], dict[str, Any]]:
    """Write the canaries' table as a program exports it, and give its columns and the source's lines."""
    columns, table = _table(aviary)
    labels = {name: aviary.word() for name in columns.values()}
    values = {next(iter(columns.values())): {table[0][0]: aviary.word()}}
    frame, word = pl.DataFrame(table, schema=list(columns.values()), orient="row"), aviary.word()
    if form == "excel":
        book = Workbook()
        page = book.active
        page.title = aviary.word()
        page.append([aviary.word()])
        for row in [list(columns.values()), *table]:
            page.append(row)
        page["B4"].comment = Comment(aviary.word(), aviary.word())
        page["C5"] = f'="{aviary.word()}"'
        book.properties.title = book.properties.creator = aviary.word()
        book.create_sheet(aviary.word())["A1"] = aviary.word()
        book.save(folder / f"{word}.xlsx")
        return columns, {"format": "excel", "path": f"{word}.xlsx", "sheet": page.title, "header": 2}
    if form == "sql":
        with closing(sqlite3.connect(folder / f"{word}.sqlite")) as connection:
            where = aviary.word()
            connection.execute(f"CREATE TABLE {where} ({', '.join(frame.columns)})")
            connection.executemany(f"INSERT INTO {where} VALUES ({','.join('?' * len(columns))})", table)  # noqa: S608  (ours)
            connection.execute(f"CREATE VIEW {aviary.word()} AS SELECT '{aviary.word()}' AS {aviary.word()}")
            connection.commit()
        query = f"SELECT * FROM {where} WHERE '{aviary.word()}' <> ''"  # noqa: S608  (ours)
        return columns, {"format": "sql", "url": f"sqlite:///{word}.sqlite", "query": query}
    if form == "spss":
        pyreadstat.write_sav(
            frame, folder / f"{word}.sav", file_label=aviary.word(), column_labels=labels, variable_value_labels=values, note=word
        )
        return columns, {"format": "spss", "path": f"{word}.sav"}
    if form == "stata":
        pyreadstat.write_dta(frame, folder / f"{word}.dta", file_label=aviary.word(), column_labels=labels)
        return columns, {"format": "stata", "path": f"{word}.dta"}
    short = {name: f"C{at}" for at, name in enumerate(columns.values())}  # names of a transport file are in capitals
    pyreadstat.write_xport(
        frame.rename(short), folder / f"{word}.xpt", file_label=aviary.word(), column_labels=list(labels.values())
    )
    return {name: short[column] for name, column in columns.items()}, {"format": "sas", "path": f"{word}.xpt"}


@pytest.mark.parametrize("spoilt", [False, True], ids=["whole", "spoilt"])
@pytest.mark.parametrize("form", ["excel", "sql", "spss", "stata", "sas"])
def test_no_piece_of_an_export_is_printed_or_written(
    tmp_path: Path, capfd: Any, monkeypatch: pytest.MonkeyPatch, form: str, spoilt: bool
) -> None:
    """Sheets, labels, comments, properties, tables and queries, extracted and checked; the snapshot itself stays inside."""
    in_this_process(monkeypatch)
    aviary = Aviary(seed=7)
    folder = tmp_path / aviary.word()
    folder.mkdir()
    columns, source = _exported(folder, form, aviary)
    if spoilt:
        path = next(path for path in folder.iterdir())
        content = path.read_bytes()
        path.write_bytes(content[: len(content) * 3 // 4] + aviary.word().encode())
    found = _check(folder, columns, source, capfd, monkeypatch, "json")
    assert "T-STALE" in found
    said = ""
    for words in (["--format", "json"], ["--again"]):
        assert run(["silo", "extract", "--site", "site.yaml", *words]) in ((0, 1) if spoilt else (0,))
        printed = capfd.readouterr()
        said += str(printed.out) + str(printed.err)
    found += _check(folder, columns, source, capfd, monkeypatch, "text")
    assert spoilt or "T-PATTERN" in found
    assert aviary.leaks(found + said) == []


# ---------------------------------------------------------------------------------------------------------- crash paths

CRASHES: dict[str, tuple[str, type[BaseException]]] = {
    "a reader": ("silo_node.sources.delimited._cells", RuntimeError),
    "a reader, by polars": ("silo_node.sources.delimited._cells", pl.exceptions.ComputeError),
    "a reader, by a panic": ("silo_node.sources.delimited._cells", pl.exceptions.PanicException),
    "a reader, by its codec": ("silo_node.sources.delimited._cells", ValueError),
    "the engine": ("silo_node.validation.engine.run", KeyError),
    "the engine, by polars": ("silo_node.validation.engine.run", pl.exceptions.InvalidOperationError),
    "the engine, by a panic": ("silo_node.validation.engine.run", pl.exceptions.PanicException),
    "want of memory": ("silo_node.validation.engine.run", MemoryError),
    "the profiles": ("silo_node.validation.check.profiles", TypeError),
    "the page": ("silo_node.local_report.page.write_page", RuntimeError),
    "the local report": ("silo_node.validation.reports.write_local", OSError),
}


@pytest.mark.parametrize("where", CRASHES)
def test_no_piece_of_a_crash_is_printed(where: str, tmp_path: Path, capfd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever breaks, with whatever words: a coded answer. The trace is in the hospital's own log, for its owner alone."""
    aviary = Aviary(seed=11)
    columns, table = _table(aviary)
    (tmp_path / "t.csv").write_text(_text(columns, table))
    target, kind = CRASHES[where]

    def crash(*_: object, **__: object) -> None:
        raise kind(f"could not parse `{aviary.word()}` of {aviary.word()} in {table[0]}")

    _check(tmp_path, columns, {"format": "csv", "path": "t.csv"}, capfd, monkeypatch, "json")
    monkeypatch.setattr(target, crash)
    for form in ("text", "json"):
        words = ["silo", "check", "--site", "site.yaml", "--schema", "test.clinic", "--schema-path", "schemas", "--no-cache"]
        status = run([*words, "--format", form])
        printed = capfd.readouterr()
        assert status in (1, 2)
        assert re.search(r"\b[TXO]-[A-Z]+\b", printed.out + printed.err)
        assert aviary.leaks(printed.out + printed.err + _written(tmp_path)) == []
    for path in tmp_path.rglob("*.log"):
        assert path.stat().st_mode & 0o777 == 0o600


def test_the_aviary_notices() -> None:
    """A leak of five characters is found, one of four is not."""
    aviary = Aviary(seed=2)
    word = aviary.word()
    assert aviary.leaks(f"x{word[3:8]}x") == [word[3:8]]
    assert aviary.leaks(f"x{word[3:7]}x") == []
