"""Corrupt files of every format, by the hundred in `make test` and by the ten thousand in `make test-fuzz`; and bombs."""

from __future__ import annotations

import io
import json
import os
import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from corrupt_exports import Ward

from silo_node.training.memory import counted_bytes

ROOT = Path(__file__).resolve().parents[3]
TOOL = ROOT / "tests" / "tools" / "corrupt_exports.py"
IN_A_BATCH = 1000
MORE_BYTES = 2**30


def batch(folder: Path, first: int, count: int) -> dict[str, int]:
    """Read corrupt files in a process of its own, so that a crash or a bomb is a number and not the end of the tests."""
    command = [sys.executable, str(TOOL), str(first), str(count), str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(TOOL.parent), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=550, env=environment)
    number = (folder / "at").read_text()
    assert done.returncode == 0, f"number {number} ended the process (status {done.returncode}): {done.stderr[-2000:]}"
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["wrong"] == []
    assert sum(told["codes"].values()) >= count
    return dict(told["codes"])


def test_five_hundred_corrupt_files_give_findings(tmp_path):
    """Whatever the bytes: codes of the catalogue or records, under a limit of memory, none of them slow."""
    codes = batch(tmp_path, 0, 500)
    assert {"T-FILE", "T-ENCODING", "T-RAGGED", "T-QUERY", "T-JOIN", "T-PARTS", "T-TYPE", "none"} <= set(codes)


@pytest.mark.fuzz
@pytest.mark.parametrize("first", range(1000, 11_000, IN_A_BATCH))
def test_ten_thousand_corrupt_files_give_findings(tmp_path, first):
    batch(tmp_path, first, IN_A_BATCH)


# --------------------------------------------------------------------------------------------------------------- bombs


@pytest.fixture(scope="module")
def ward(tmp_path_factory):
    return Ward(tmp_path_factory.mktemp("ward"))


@pytest.fixture
def little_memory():
    """Hold this process to little more than it has now, so that a bomb that goes off is seen."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (counted_bytes() + MORE_BYTES, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_DATA, before)


def rezipped(content: bytes, **parts: bytes) -> bytes:
    """Put other parts into a workbook; ``__`` in a name stands for ``/``."""
    found = io.BytesIO()
    others = {name.replace("__", "/") + ".xml": part for name, part in parts.items()}
    with zipfile.ZipFile(io.BytesIO(content)) as book, zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as made:
        for name in {*book.namelist(), *others}:
            made.writestr(name, others.get(name) or book.read(name))
    return found.getvalue()


SHEET = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>%s</sheetData></worksheet>'
LAUGHS = b"<!DOCTYPE x [<!ENTITY a '" + b"ha" * 1000 + b"'>" + b"".join(
    b"<!ENTITY %c '%s'>" % (97 + at, (b"&%c;" % (96 + at)) * 20) for at in range(1, 12)
) + b"]>"  # fmt: skip


@pytest.mark.parametrize(
    ("sheet", "codes"),
    [
        (SHEET % b'<row r="1"><c r="A1"><v>1</v></c></row><row r="999999999999"><c><v>1</v></c></row>', ["T-FILE"]),
        (SHEET % b'<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>', ["T-NOHEADER"]),
        (SHEET % b'<row r="1"><c r="XFD1" t="str"><v>x</v></c></row>', ["T-NOHEADER"]),
        (SHEET % b'<row r="1"><c r="ZZZZZZ1"><v>1</v></c></row>', ["T-FILE"]),
        (SHEET % (b"<row>" + b"<a>" * 200_000 + b"</a>" * 200_000 + b"</row>"), ["T-FILE", "T-NOHEADER"]),
        (LAUGHS + SHEET % b'<row r="1"><c t="str"><v>&l;</v></c></row>', ["T-FILE"]),
        (b" " * 5000 + LAUGHS + SHEET % b'<row r="1"><c t="str"><v>&l;</v></c></row>', ["T-FILE"]),
        ((LAUGHS + SHEET % b'<row r="1"><c t="str"><v>&l;</v></c></row>').decode().encode("utf-16"), ["T-FILE"]),
    ],
    ids=["far row", "far cell", "wide header", "no such column", "deep", "laughs", "late laughs", "wide laughs"],
)
def test_a_sheet_that_is_a_bomb_is_a_finding(ward, little_memory, sheet, codes):
    """Rows and cells that are not there take no memory, and no entity is blown up."""
    assert ward.read("excel", rezipped(ward.good["excel"], xl__worksheets__sheet1=sheet))[0] in codes


def test_a_workbook_that_unpacks_to_too_much_is_not_unpacked(ward, little_memory):
    """By what its directory says, before anything is unpacked; a directory that lies is found by the zip's own reader."""
    big = io.BytesIO()
    with (
        zipfile.ZipFile(big, "w", zipfile.ZIP_DEFLATED) as book,
        book.open("xl/sharedStrings.xml", "w", force_zip64=True) as part,
    ):
        for _ in range(600):
            part.write(b"\0" * 2**20)
    assert len(big.getvalue()) < 2**20
    assert ward.read("excel", big.getvalue()) == ["T-SIZE"]
    honest = rezipped(ward.good["excel"], xl__sharedStrings=b"<sst>" + b" " * 20_000_000 + b"</sst>")
    size = (20_000_011).to_bytes(4, "little")
    assert honest.count(size) == 2
    assert ward.read("excel", honest.replace(size, (1000).to_bytes(4, "little"))) == ["T-FILE"]


@pytest.mark.parametrize(
    "content",
    [
        b'a;b\n"' + b"x" * 30_000_000 + b'";1\n',
        b'a;b\n"' + b"x;\n" * 5_000_000,
        b";" * 200_000 + b"\n" + b";" * 200_000,
        b"PatNr;" * 50_000 + b"\n" + b"1;" * 50_000 + b"\n",
        b"PatNr\n" * 1_000_000,
        b"PatNr;" + b";".join(b"%d" % at for at in range(120_000)) + b"\n" + b";" * 120_000,
        b"PatNr;" + b";".join(b"%d" % (at % 60_000) for at in range(120_000)) + b"\n" + b";" * 120_000,
        b"PatNr;" + b"patient_key" * 20_000 + b"\n" + b";",
    ],
    ids=["one long cell", "open quote", "no names", "wide", "tall", "many names", "many names twice", "a long name"],
)
def test_a_text_that_is_a_bomb_is_a_finding(ward, little_memory, content):
    """In bounded time, and with so few findings that a person, and a report that leaves, can hold them."""
    assert 0 < len(ward.read("csv", content)) < 300
