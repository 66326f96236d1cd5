"""Corrupt files of every format, by the hundred in `make test` and by the ten thousand in `make test-fuzz`; and bombs."""

from __future__ import annotations

import io
import json
import os
import random
import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
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


# ------------------------------------------------------------------------------------------------- valid, and impossible

BITS = {
    **{str(each): (each, each.bit_width) for each in (pa.int8(), pa.int16(), pa.int32(), pa.int64())},
    **{str(each): (each, each.bit_width) for each in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())},
    **{str(each): (each, each.bit_width) for each in (pa.float16(), pa.float32(), pa.float64())},
    **{
        str(each): (each, each.bit_width)
        for each in (pa.date32(), pa.date64(), pa.time32("ms"), pa.time64("us"), pa.time64("ns"))
    },
    **{f"timestamp {unit}": (pa.timestamp(unit), 64) for unit in ("ms", "us", "ns")},
    **{f"timestamp {unit} of a zone": (pa.timestamp(unit, "America/New_York"), 64) for unit in ("ms", "us", "ns")},
    **{f"duration {unit}": (pa.duration(unit), 64) for unit in ("ms", "us", "ns")},
    "decimal": (pa.decimal128(38, 6), 128),
    "wide decimal": (pa.decimal256(76, 0), 256),
}
"""Types of Parquet whose cells may be any bits, and how many of these a cell has."""
SMALL_DECIMALS = {128: 10**38, 256: 10**76}
A_DAY_OF = {"time32[ms]": 86_400_000, "time64[us]": 86_400_000_000, "time64[ns]": 86_400_000_000_000}


def extremes(width: int) -> list[int]:
    """Give numbers of so many bits at the ends of what days, moments and numbers can be."""
    days = [-719_529, -719_162, -354_286, 2_932_897, 95_026_601, 97_000_000, 10**9]
    found = [0, 1, -1, 2 ** (width - 1) - 1, -(2 ** (width - 1)), -(2 ** (width - 1)) + 1, 2**53, -(2**53), 2**62, *days]
    moments = [day * 86_400 * 10**each for day in days for each in (3, 6, 9)]
    return [each for each in (*found, *moments) if -(2 ** (width - 1)) <= each < 2 ** (width - 1)]


def of_bits(kind: str, numbers: list[int | None]) -> pa.Array:
    """Give cells of a type that hold these bits; times of day and decimals are kept among those that there are."""
    dtype, width = BITS[kind]
    if kind in A_DAY_OF:
        numbers = [None if each is None else each % A_DAY_OF[kind] for each in numbers]
    if pa.types.is_decimal(dtype):
        least = SMALL_DECIMALS[width]
        numbers = [None if each is None else max(-least + 1, min(each, least - 1)) for each in numbers]
    there = pa.array([each is not None for each in numbers]).buffers()[1]
    content = b"".join((0 if each is None else each).to_bytes(width // 8, "little", signed=True) for each in numbers)
    return pa.Array.from_buffers(dtype, len(numbers), [there, pa.py_buffer(content)])


def with_columns(good: bytes, columns: dict[str, pa.Array]) -> bytes:
    table, written = pq.read_table(io.BytesIO(good)), io.BytesIO()
    for name, cells in columns.items():
        table = table.set_column(table.column_names.index(name), name, cells)
    pq.write_table(table, written)
    return written.getvalue()


@pytest.mark.parametrize("kind", BITS)
def test_extreme_values_of_every_type_are_findings(ward, kind):
    """A file's own types hold days and moments that no calendar has: bad cells like others, in every field."""
    good = pq.read_table(io.BytesIO(ward.good["parquet"]))
    numbers = extremes(BITS[kind][1])
    for first in range(0, len(numbers), good.num_rows - 1):
        some = numbers[first : first + good.num_rows - 1]
        cells = of_bits(kind, some + [None] * (good.num_rows - len(some)))
        for name in good.column_names:
            ward.read("parquet", with_columns(ward.good["parquet"], {name: cells}))
        assert ward.read("parquet", with_columns(ward.good["parquet"], dict.fromkeys(good.column_names, cells)))


@pytest.mark.fuzz
@pytest.mark.parametrize("kind", BITS)
def test_more_extreme_values_of_every_type_are_findings(ward, kind):
    """Bits as chance has them, and a few cells of them among honest ones."""
    good = pq.read_table(io.BytesIO(ward.good["parquet"]))
    width = BITS[kind][1]
    for number in range(100):
        chance = random.Random(number)  # noqa: S311  (cases, not keys)
        drawn = [*extremes(width), *(chance.randrange(2**each) - 2 ** (each - 1) for each in range(1, width + 1))]
        some = chance.choice([0.01, 0.1, 0.5, 1.0])
        names = chance.sample(good.column_names, chance.randint(1, 4))
        cells = {}
        for name in names:
            numbers = [chance.choice(drawn) if chance.random() < some else chance.choice([None, 1]) for _ in range(good.num_rows)]
            cells[name] = of_bits(kind, numbers)
        ward.read("parquet", with_columns(ward.good["parquet"], cells))


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
