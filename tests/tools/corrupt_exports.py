"""Corrupt exports by the number: good files of every format, spoilt by a seed, read as a hospital's would be.

    python corrupt_exports.py FIRST COUNT FOLDER    reads so many, under a limit of memory; the number under way is in FOLDER/at

Each must end with findings of the catalogue, or records. What ends otherwise is told as JSON, number by number, and can be
done again by its number alone.
"""

from __future__ import annotations

import io
import json
import random
import resource
import shutil
import sys
import time
import traceback
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
from clinic_on_disk import CLINIC, COLUMNS, GERMAN, HEADER, load_contract, rows
from exports_on_disk import DECLARED, TYPED_COLUMNS, export_site, typed, write_export

from silo_node.configuration import Site
from silo_node.extraction.process import Job, answer
from silo_node.sources.snapshot import file_digest
from silo_node.validation.check import check
from wardround.errors import CATALOGUE

MEMORY_BYTES = 2 * 2**30
SLOW_SECONDS = 20.0
"""Of processor time, so that a machine with other work is none that fails."""
FORMATS = ("csv", "csv", "several", "joined", "parquet", "excel", "excel", "spss", "stata", "sas", "sql")
PIECES = [
    b"",
    b"\n",
    b"\r",
    b'"',
    b";",
    b",",
    b"\0",
    b"\xff",
    b"\xc3",
    b"\xef\xbb\xbf",
    b"\x00\x00\x00\x80",
    b"\xff" * 8,
    b"<",
    b"</c>",
]
XML_PIECES = [
    b"",
    b"<",
    b"&",
    b"&#0;",
    b"1e999",
    b"9" * 30,
    b"-1",
    b"n",
    b"e",
    b"str",
    b"inlineStr",
    b"d",
    b"XFD1048576",
    b"\xff",
]

Spoil = Callable[[random.Random, bytes], bytes]


def flip(chance: random.Random, content: bytes) -> bytes:
    """Flip some bits."""
    found = bytearray(content)
    for _ in range(chance.choice([1, 1, 2, 8, 64])):
        if found:
            found[chance.randrange(len(found))] ^= 1 << chance.randrange(8)
    return bytes(found)


def cut(chance: random.Random, content: bytes) -> bytes:
    """Cut the file off."""
    return content[: chance.randrange(len(content) + 1)]


def leave_out(chance: random.Random, content: bytes) -> bytes:
    """Leave a piece out of the middle, or double it."""
    at, until = sorted((chance.randrange(len(content) + 1), chance.randrange(len(content) + 1)))
    return content[:at] + content[until:] if chance.random() < 0.5 else content[:until] + content[at:]


def put(chance: random.Random, content: bytes) -> bytes:
    """Put pieces in."""
    for _ in range(chance.choice([1, 2, 5])):
        at = chance.randrange(len(content) + 1)
        content = content[:at] + chance.choice(PIECES) + content[at + chance.choice([0, 1]) :]
    return content


def noise(chance: random.Random, content: bytes) -> bytes:
    """Overwrite a stretch with noise."""
    at = chance.randrange(len(content) + 1)
    return content[:at] + chance.randbytes(chance.choice([1, 4, 16, 200])) + content[at + chance.choice([0, 4, 16]) :]


def encode(chance: random.Random, content: bytes) -> bytes:
    """Give the text in another encoding."""
    return content.decode("latin-1").encode(chance.choice(["utf-16", "utf-8", "utf-32", "utf-7"]))


def swell(chance: random.Random, content: bytes) -> bytes:
    """Put in a field that is very long, or very many."""
    at = chance.randrange(len(content) + 1)
    return (
        content[:at]
        + chance.choice([b"9" * 200_000, b";" * 100_000, b"\n" * 100_000, b'"' * 99_999, b"\r" * 50_000])
        + content[at:]
    )


def other(chance: random.Random, content: bytes) -> bytes:
    """Give something else altogether."""
    return chance.choice(
        [b"", b"\0" * 100, chance.randbytes(500), b"PK\x03\x04", b"PAR1PAR1", b"SQLite format 3\0", b"\xd0\xcf\x11\xe0"]
    )


SPOILS: tuple[Spoil, ...] = (flip, flip, cut, leave_out, put, noise, encode, swell, other)


def spoil(chance: random.Random, content: bytes, form: str) -> bytes:
    """Spoil a file; of a workbook mostly a part inside, since the zip's own checksums find nearly all else."""
    if form == "excel" and chance.random() < 0.8:
        return _spoil_inside(chance, content)
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        content = chance.choice(SPOILS)(chance, content)
    return content


def spoil_by_number(number: int, content: bytes, form: str) -> bytes:
    """Spoil a file in the way that a number stands for."""
    return spoil(random.Random(number), content, form)  # noqa: S311  (cases, not keys)


def _spoil_inside(chance: random.Random, content: bytes) -> bytes:
    found = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as book, zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as spoilt:
        parts = book.namelist()
        chosen = "xl/worksheets/sheet1.xml" if chance.random() < 0.6 else chance.choice(parts)
        for name in parts:
            part = book.read(name)
            if name == chosen:
                part = _spoil_xml(chance, part) if chance.random() < 0.7 else chance.choice(SPOILS[:-1])(chance, part)
                if chance.random() < 0.05:
                    continue
            spoilt.writestr(name, part)
    return found.getvalue()


def _spoil_xml(chance: random.Random, part: bytes) -> bytes:
    """Exchange what stands between two marks of the XML, so that it mostly stays XML."""
    for _ in range(chance.choice([1, 2, 4])):
        marks = [at for at, sign in enumerate(part) if sign in b'"<>']
        if len(marks) < 2:
            return part
        at = chance.randrange(len(marks) - 1)
        part = part[: marks[at] + 1] + chance.choice(XML_PIECES) + part[marks[at + 1] :]
    return part


# --------------------------------------------------------------------------------------------------------------- cases


class Ward:
    """Good files of every format in a folder of their own, and a site file for each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.contract = load_contract(CLINIC, folder)
        self.good: dict[str, bytes] = {"csv": rows().encode()}
        for form in DECLARED:
            self.good[form] = write_export(folder, form, typed()).read_bytes()
        pl.DataFrame(typed(), schema=HEADER.split(";"), orient="row").write_parquet(folder / "t.parquet")
        self.good["parquet"] = (folder / "t.parquet").read_bytes()
        self.good["several"] = self.good["csv"]
        self.good["joined"] = b"key;at;value\n" + b"".join(b"P%d;2021-03-%02d;%d\n" % (at % 12, at + 1, at) for at in range(20))
        (folder / "a.csv").write_bytes(self.good["csv"])
        self.sites = {form: self._site(form) for form in self.good}

    def _site(self, form: str) -> Site:
        if form in DECLARED:
            return export_site(self.folder, {form: DECLARED[form]}, form)
        if form == "parquet":
            return export_site(self.folder, {form: {"format": "parquet", "path": "t.parquet"}}, form)
        sources: dict[str, Any] = {"csv": {"format": "csv", "path": "t.csv", **GERMAN}}
        if form == "several":
            sources = {"several": {"format": "csv", "paths": ["a.csv", "t.csv"], **GERMAN}}
        columns = COLUMNS
        if form == "joined":
            taken = {"take": "last", "column": "value", "until": "Datum"}
            sources = {
                "base": {"format": "csv", "path": "a.csv", **GERMAN},
                "further": {"format": "csv", "path": "t.csv", "delimiter": ";"},
                "joined": {
                    "format": "joined",
                    "base": "base",
                    "key": "PatNr",
                    "date_format": "%d.%m.%Y",
                    "tables": {
                        "further": {
                            "key": "key",
                            "time": "at",
                            "columns": {"taken": taken, "mean": {**taken, "take": "mean"}, "count": {"take": "count"}},
                        }
                    },
                },
            }
            columns = {**COLUMNS, "pulse": "taken", "radius": "mean", "glucose": "count"}
        return export_site(self.folder, sources, form, columns if form != "parquet" else TYPED_COLUMNS)

    def case(self, number: int) -> list[str]:
        """Read one corrupt export; gives the codes that were found."""
        form = FORMATS[number % len(FORMATS)]
        return self.read(form, spoil_by_number(number, self.good[form], form))

    def read(self, form: str, content: bytes) -> list[str]:
        """Read one export, by extraction where its format has one, and hold it against the contract."""
        site = self.sites[form]
        path = self.folder / ("t.csv" if form in ("csv", "several", "joined") else f"t.{self._ending(form)}")
        path.write_bytes(content)
        codes: list[str] = []
        if form in DECLARED:
            output = site.make_directory("extracts") / f"{form}.parquet"
            source: Any = site.file.sources[form]
            job = Job(
                source=source,
                folder=str(self.folder),
                files=(str(path),),
                digests=(file_digest(path, source),),
                output=str(output),
                memory_bytes=MEMORY_BYTES,
                now="2026-01-01T00:00:00Z",
            )
            given = answer(job)
            assert given.absent is None
            if given.wrong is not None:
                assert given.wrong.code in CATALOGUE
                return [given.wrong.code]
            assert given.records > 0
        result = check(site, self.contract, max_fraction=1.0)
        codes += [each.code for each in result.findings]
        assert all(code in CATALOGUE for code in codes)
        assert result.found == result.quarantined + result.valid.height
        assert len(result.quarantined_places) == result.quarantined
        return codes

    def _ending(self, form: str) -> str:
        return {"excel": "xlsx", "spss": "sav", "stata": "dta", "sas": "xpt", "sql": "sqlite", "parquet": "parquet"}[form]


def main() -> None:
    """Read so many corrupt exports, and tell what was found and what went wrong."""
    first, count, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    ward = Ward(folder)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    codes: dict[str, int] = {}
    wrong: list[dict[str, Any]] = []
    for number in range(first, first + count):
        (folder / "at").write_text(str(number))
        begun = time.process_time()
        try:
            found = ward.case(number)
        except BaseException as error:  # noqa: BLE001  (any of them is what is looked for)
            wrong.append(
                {"number": number, "form": FORMATS[number % len(FORMATS)], "trace": traceback.format_exception(error)[-6:]}
            )
            continue
        if (took := time.process_time() - begun) > SLOW_SECONDS:
            wrong.append({"number": number, "form": FORMATS[number % len(FORMATS)], "seconds": took})
        for code in set(found) or {"none"}:
            codes[code] = codes.get(code, 0) + 1
    shutil.rmtree(folder / "extracts", ignore_errors=True)
    print(json.dumps({"codes": codes, "wrong": wrong}))


if __name__ == "__main__":
    main()
