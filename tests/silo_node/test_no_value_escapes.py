"""Canaries: every cell, header and file name is a word of its own, and none of them is found in anything that is written.

Law 1 for the check: whatever is wrong with a table, neither what is printed nor either report holds a piece of it.
"""

from __future__ import annotations

import json
import random
import string
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from clinic_on_disk import CLINIC, site_yaml

from wardround.console import run

PIECE = 5
"""Characters in a row that count as a leak."""


class Aviary:
    """Makes words that stand nowhere else and remembers them."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311  (canaries, not keys)
        self.words: list[str] = []

    def word(self) -> str:
        letters = string.ascii_letters.translate(str.maketrans("", "", "aA")) + string.digits.replace("9", "")
        self.words.append("".join(self._random.choices(letters, k=12)))
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
    }
    content = spoilt[kind]
    return content.encode() if isinstance(content, str) else content


KINDS = [
    "cells", "no header", "delimiter", "encoding", "other encoding", "ragged", "stray quote", "open quote", "extra columns",
    "doubled header", "missing column", "header only", "nul", "duplicates",
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


@pytest.mark.parametrize("kind", ["cells", "types", "not parquet", "absent"])
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
    elif kind != "absent":
        frame.write_parquet(tmp_path / name)
    found = _check(tmp_path, columns, {"format": "parquet", "path": name}, capfd, monkeypatch, "json")
    assert "T-" in found
    assert aviary.leaks(found) == []


def test_the_aviary_notices() -> None:
    """A leak of five characters is found, one of four is not."""
    aviary = Aviary(seed=1)
    word = aviary.word()
    assert aviary.leaks(f"x{word[3:8]}x") == [word[3:8]]
    assert aviary.leaks(f"x{word[3:7]}x") == []
