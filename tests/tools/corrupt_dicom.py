"""Corrupt DICOM files, by number, and what the readers make of them; run as a program it tells in JSON.

    python corrupt_dicom.py FIRST COUNT FOLDER

The same number gives the same bytes. Even numbers are wounds: the seeds are files of every form that ``dicom_bytes`` writes and
the small test files that come with pydicom. Odd numbers are data sets by chance, explicit and implicit: sequences in
sequences, elements that stand twice, values that are none of their VR; every third of them has one bit turned.
"""

from __future__ import annotations

import json
import random
import resource
import sys
import time
from collections import Counter
from functools import cache
from pathlib import Path, PurePath

import pydicom
import pytest
from dicom_bytes import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, JPEG_LOSSLESS, Form
from pydicom.datadict import DicomDictionary

from silo_node.dicom import header, privacy, tree
from silo_node.dicom.elements import Odd
from silo_node.dicom.judge import Rules
from silo_node.dicom.privacy import scan
from silo_node.dicom.tags import HEADER_TAGS, SEQUENCES
from silo_node.dicom.tree import read_tree

LARGEST_SEED = 40_000
SLOWEST = 2.0
"""CPU seconds that a file may take."""

TOKEN = b"CANARY41"
WANTED = frozenset({0x00080005, 0x00080100, 0x00081140, 0x00081250, 0x00091001, 0x00100010, 0x00280010, *HEADER_TAGS})
"""Elements and sequences that are read at every depth."""

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


KNOWN = sorted(DicomDictionary)
SEQUENCES_KNOWN = [tag for tag in KNOWN if DicomDictionary[tag][0] == "SQ"]
ASKED_FOR = sorted(tag for tag in HEADER_TAGS if tag >> 16 != 2)
OTHERS = [0x00090010, 0x000B0010, 0x00091001, 0x00080005, 0x00280106, 0x60023000]
WORDS = (b"", b"  ", b"\0\0", b"\1\0", b"CT", b"1.2.3", b" 5", b"\\", b"\0\0\0\0", b"ISO_IR 100", TOKEN)
SCRIPTS = (
    b"ISO_IR 100",
    b"",
    b"\\ISO 2022 IR 87",
    b"ISO_IR 192 ",
    b" ISO_IR 100",
    b"ISO_IR 6\\\\",
    b"ISO 2022 IR 6\\ISO 2022 IR 87",
)
DEEPEST = 5


def by_chance(number: int) -> bytes:
    """Give a file of elements that are drawn by lot, in the order of their tags."""
    chance = random.Random(number)  # noqa: S311  (not for secrets)
    form = Form(chance.choice((IMPLICIT, EXPLICIT)))
    body = b""
    while len(body) < 40:
        body += elements_by_chance(chance, form, 0)
    behind = elements_by_chance(chance, form, 0)
    data = bytearray(
        form.file(body + chance.choice((b"", form.pixels(), form.pixels() + behind, form.fragments(b"12") + behind)))
    )
    if chance.random() < 1 / 3:
        data[chance.randrange(132, len(data))] ^= 1 << chance.randrange(8)
    return bytes(data)


def elements_by_chance(chance: random.Random, form: Form, depth: int) -> bytes:
    """Give up to five elements, of every kind alike."""
    kinds = (KNOWN, ASKED_FOR, SEQUENCES_KNOWN, sorted(SEQUENCES), OTHERS, [chance.randrange(0x00040000, 0x7FE00000)])
    return b"".join(
        element_by_chance(chance, form, tag, depth)
        for tag in sorted(chance.choice(chance.choice(kinds)) for _ in range(chance.randrange(6)))
    )


def element_by_chance(chance: random.Random, form: Form, tag: int, depth: int) -> bytes:
    """Give an element of a tag; a known one mostly with its VR."""
    vr = DicomDictionary[tag][0][:2] if tag in DicomDictionary else "LO"
    if depth < DEEPEST and (vr == "SQ" or (tag >> 16 & 1 and chance.random() < 0.4)):
        items = [elements_by_chance(chance, form, depth + 1) for _ in range(chance.randrange(3))]
        undefined = chance.random() < 0.5
        return form.sequence(tag, *items, undefined=undefined, vr="UN" if chance.random() < 0.05 else "SQ")
    value = chance.choice(SCRIPTS if tag == 0x00080005 else (*WORDS, chance.randbytes(chance.randrange(8))))
    return form.element(tag, vr, value, chance.choice((0, 2, 4, 300)) if chance.random() < 0.02 else None)


def slowly(read, *arguments) -> object:
    """What a reader gives, or its code, when pydicom reads whatever there is."""

    def odd(*_arguments) -> None:
        raise Odd

    with pytest.MonkeyPatch.context() as patch:
        for module in (header, privacy, tree):
            patch.setattr(module, "plain_start", odd)
        return answer(read, *arguments)


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
    """Read files by number; give how often each code came, with which something was wrong, and what memory it took."""
    codes: Counter[str] = Counter()
    wrong = []
    rules = Rules()
    path = folder / "corrupt.dcm"
    seeds()
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(first, first + count):
        (folder / "at").write_text(str(number))
        path.write_bytes(by_chance(number) if number % 2 else corrupt(number))
        begin = time.process_time()
        ours = answer(header.read_header, path)
        traces = answer(scan, path, PurePath("a/b"), rules)
        items = answer(read_tree, path, WANTED)
        took = time.process_time() - begin
        theirs = by_pydicom(path)
        codes[f"header {ours if isinstance(ours, str) else 'read'}"] += 1
        codes[f"scan {traces if isinstance(traces, str) else 'judged'}"] += 1
        if ours != theirs:
            wrong.append([number, "another answer than pydicom's", str(ours)[:20], str(theirs)[:20]])
        slow_traces, slow_items = slowly(scan, path, PurePath("a/b"), rules), slowly(read_tree, path, WANTED)
        if not isinstance(traces, str) and not isinstance(slow_traces, str) and not traces >= slow_traces:
            wrong.append([number, "less is found than by pydicom"])
        if not isinstance(items, str) and not isinstance(slow_items, str) and items != slow_items:
            wrong.append([number, "another tree than pydicom's"])
        if took > SLOWEST:
            wrong.append([number, "slow", took])
        if TOKEN.decode() in repr(traces):
            wrong.append([number, "a token is said"])
    more = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held)
    return {"codes": codes, "wrong": wrong, "more_bytes": more}


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))))
