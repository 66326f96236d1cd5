"""Corrupt DICOM files, by number, and what the readers make of them; run as a program it tells in JSON.

    python corrupt_dicom.py FIRST COUNT FOLDER

The same number gives the same bytes. The seeds are files of every form that ``dicom_bytes`` writes and the small test files
that come with pydicom.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections import Counter
from functools import cache
from pathlib import Path, PurePath

import pydicom
from dicom_bytes import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, JPEG_LOSSLESS, Form

from silo_node.dicom import header
from silo_node.dicom.judge import Rules
from silo_node.dicom.privacy import scan

LARGEST_SEED = 40_000
SLOWEST = 2.0
"""CPU seconds that a file may take."""

TOKEN = b"CANARY41"
LENGTHS = (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\1\0\0\0", b"\xff\xff", b"\0\0")
VRS = (b"SQ", b"UN", b"OB", b"OW", b"UI", b"PN", b"US", b"UT", b"??", b"\0\0")
MARKS = (b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0", b"\xe0\x7f\x10\x00", b"\x02\x00\x10\x00", b"DICM")


@cache
def seeds() -> list[bytes]:
    """Whole files of every form."""
    made = []
    hidden = Form(IMPLICIT).sequence(0x00091001, Form(IMPLICIT).element(0x00100010, "PN", TOKEN))
    for syntax in (EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED, JPEG_LOSSLESS):
        form = Form(syntax)
        for undefined in (False, True):
            item = form.element(0x00080100, "SH", TOKEN) + form.element(0x00100010, "PN", TOKEN)
            elements = [
                form.element(0x00080005, "CS", b"ISO_IR 100"),
                form.element(0x00080060, "CS", b"CT"),
                form.sequence(0x00081140, form.sequence(0x00081250, item, undefined=undefined), b"", undefined=undefined),
                form.element(0x00090010, "LO", TOKEN),
                form.element(0x00091001, "UN", hidden),
                form.element(0x00100010, "PN", TOKEN),
                form.element(0x00200032, "DS", b"1.0\\2.0\\3.0"),
                form.element(0x00280010, "US", b"\2\0"),
                form.fragments(b"\1" * 30, b"\2" * 40) if syntax == JPEG_LOSSLESS else form.pixels(bytes(64)),
                form.element(0xFFFCFFFC, "OB", TOKEN),
            ]
            made.append(form.file(b"".join(elements)))
    shipped = Path(pydicom.__file__).parent / "data" / "test_files"
    paths = sorted(path for path in shipped.rglob("*") if path.is_file() and path.suffix in {".dcm", ""})
    return made * 4 + [path.read_bytes() for path in paths if path.stat().st_size <= LARGEST_SEED]


def corrupt(number: int) -> bytes:
    """Give a file with some wounds; most of them near its head, where the header is."""
    chance = random.Random(number)  # noqa: S311  (not for secrets)
    data = bytearray(chance.choice(seeds()))
    for _ in range(chance.choice((1, 1, 2, 3, 6))):
        at = min(len(data), 132 + int(chance.expovariate(1 / 500))) if chance.random() < 0.8 else chance.randrange(len(data) + 1)
        wound = chance.randrange(9)
        if wound == 0:
            del data[at:]
        elif wound == 1:
            del data[at : at + chance.choice((1, 2, 8, 50))]
        elif wound == 2:
            data[at:at] = chance.randbytes(chance.choice((1, 2, 8, 50)))
        elif wound in (3, 4) and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        elif wound == 5:
            mark = chance.choice(LENGTHS)
            data[at : at + len(mark)] = mark
        elif wound == 6:
            data[at : at + 2] = chance.choice(VRS)
        elif wound == 7:
            mark = chance.choice(MARKS)
            data[at : at + len(mark)] = mark
        else:
            start = chance.randrange(len(data) + 1)
            data[at:at] = data[start : start + chance.choice((8, 40, 300))]
    return bytes(data)


def by_pydicom(path: Path) -> header.Header | str:
    """What pydicom alone makes of a header."""
    with path.open("rb", buffering=0) as file:
        try:
            return header._by_pydicom(file, file.read(header.FIRST_READ), path.stat().st_size)
        except header.UnreadableHeader as trouble:
            return trouble.code


def answer(read, *arguments) -> object:
    """What a reader gives, or its code."""
    try:
        return read(*arguments)
    except header.UnreadableHeader as trouble:
        return trouble.code


def run(first: int, count: int, folder: Path) -> dict:
    """Read files by number; give how often each code came, and the numbers of those with which something was wrong."""
    codes: Counter[str] = Counter()
    wrong = []
    rules = Rules()
    path = folder / "corrupt.dcm"
    for number in range(first, first + count):
        (folder / "at").write_text(str(number))
        path.write_bytes(corrupt(number))
        begin = time.process_time()
        ours = answer(header.read_header, path)
        traces = answer(scan, path, PurePath("a/b"), rules)
        took = time.process_time() - begin
        theirs = by_pydicom(path)
        codes[f"header {ours if isinstance(ours, str) else 'read'}"] += 1
        codes[f"scan {traces if isinstance(traces, str) else 'judged'}"] += 1
        if ours != theirs:
            wrong.append([number, "another answer than pydicom's", str(ours)[:20], str(theirs)[:20]])
        if took > SLOWEST:
            wrong.append([number, "slow", took])
        if TOKEN.decode() in repr(traces):
            wrong.append([number, "a token is said"])
    return {"codes": codes, "wrong": wrong}


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))))
