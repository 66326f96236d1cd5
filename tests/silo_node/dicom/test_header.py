"""Headers: where our reader answers, pydicom answers the same; and no file keeps either busy."""

from __future__ import annotations

import csv
import json
import os
import resource
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path, PurePath

import pytest
from corrupt_dicom import answer, by_pydicom
from dicom_bytes import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, JPEG_LOSSLESS, Form
from pydicom.datadict import DicomDictionary, dictionary_VR

from silo_node.dicom import header
from silo_node.dicom.elements import ITEMS, MOST_ELEMENTS
from silo_node.dicom.header import PixelPlace, read_header
from silo_node.dicom.implicit_elements import representation
from silo_node.dicom.judge import Rules
from silo_node.dicom.privacy import scan
from silo_node.dicom.tags import IMAGE_TYPE, METHOD_CODES, MODALITY, ROWS, SOP_CLASS
from silo_node.training.memory import counted_bytes

ROOT = Path(__file__).resolve().parents[3]
TOOL = ROOT / "tests" / "tools" / "corrupt_dicom.py"
IN_A_BATCH = 1000
MORE_BYTES = 200 * 1024 * 1024
PLAIN = Form()
FORMS = [PLAIN, Form(IMPLICIT), Form(BIG_ENDIAN), Form(DEFLATED), Form(JPEG_LOSSLESS)]
OTHERWISE_THAN_THE_INDEX = {
    "pathological/fuzz/cat07_file_meta/TC0397_meta_glen_huge.dcm": "D-TRUNC: a value of group 2 runs past the end",
    "pathological/fuzz/cat05_transfer_syntax/TC0345_deflate_corrupt.dcm": "D-TRUNC: so is what can be inflated of it",
    "valid/pydicom/rtplan_truncated.dcm": "D-TRUNC: a value runs past the end of the file; pydicom gives what is left of it",
}


# -------------------------------------------------------------------------------------------------------- real files


def test_real_headers_are_read_as_pydicom_reads_them(test_data):
    """All 269: the same header or the same code, and readable where the index says that pydicom reads them."""
    folder = test_data / "dicom"
    rows = list(csv.DictReader((folder / "index.csv").read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 269
    differing, otherwise = [], []
    for row in rows:
        ours = answer(read_header, folder / row["path"])
        if ours != by_pydicom(folder / row["path"]):
            differing.append(row["path"])
        if (not isinstance(ours, str)) != (row["pydicom_readable"] == "yes"):
            otherwise.append(row["path"])
    assert differing == []
    assert set(otherwise) == set(OTHERWISE_THAN_THE_INDEX)


def test_most_real_headers_are_read_without_pydicom(test_data, monkeypatch):
    """The oracle test above says nothing where pydicom answered both times."""
    left = []
    monkeypatch.setattr(header, "_by_pydicom", lambda *_: left.append(1))
    paths = [path for path in (test_data / "dicom").rglob("*") if path.is_file() and path.suffix in {".dcm", ""}]
    for path in paths:
        answer(read_header, path)
    assert len(left) < len(paths) / 6


def test_the_dictionary_is_pydicoms():
    """Every element that it has, those of repeating groups, and those that nobody has: implicit VR hangs on it."""

    def theirs(tag):
        try:
            return dictionary_VR(tag).encode()
        except KeyError:
            return b"UN"

    ends = [0, 5, 0x10, 0x41, 0x100, 0x403, 0x800, 0x3000, 0x3100, 0x3121, 0xFFFF]
    groups = [0, 2, 8, 9, 0x10, 0x20, 0x21, 0x28, 0x1000, 0x1010, 0x5000, 0x50FE, 0x6001, 0x6002, 0x60FE, 0x7F02, 0x7FE0, 0xFFFE]
    tags = [*DicomDictionary, *(group << 16 | end for group in groups for end in ends)]
    assert [hex(tag) for tag in tags if representation(tag) != theirs(tag)] == []


def test_a_sequence_is_told_by_its_tag(tmp_path):
    """A de-identifier may have written it as UN; what has the VR of a sequence, and should have none, keeps its bytes."""
    path = tmp_path / "file"
    for form in (PLAIN, Form(IMPLICIT)):
        codes = form.sequence(METHOD_CODES, b"", vr="UN")
        modality = form.sequence(MODALITY, b"")
        path.write_bytes(form.file(modality + codes + form.pixels()))
        found = read_header(path)
        assert found == by_pydicom(path)
        assert (found.values[METHOD_CODES], found.values[MODALITY]) == (ITEMS, b"\xfe\xff\x00\xe0\0\0\0\0")


@pytest.mark.parametrize("declared", [IMPLICIT, EXPLICIT])
def test_a_file_in_another_form_than_it_declares(tmp_path, declared):
    """Some writers do so; pydicom looks at the first element, and reads on as that is."""
    other = PLAIN if declared == IMPLICIT else Form(IMPLICIT)
    content = other.element(MODALITY, "CS", b"CT") + other.element(ROWS, "US", b"\2\0") + other.pixels(bytes(8))
    path = tmp_path / "file"
    path.write_bytes(Form(declared).file(content))
    found = read_header(path)
    assert (found.values[MODALITY], found.values[ROWS]) == (b"CT", b"\2\0")
    assert found.pixels == PixelPlace(path.stat().st_size - 8, 8)


# ------------------------------------------------------------------------------------------------------ written files


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("form", FORMS, ids=["plain", "implicit", "big", "deflated", "compressed"])
def test_a_header_in_every_form(tmp_path, form, undefined):
    codes = form.sequence(METHOD_CODES, form.element(0x00080100, "SH", b"113100"), undefined=undefined)
    before = b"".join(
        [
            form.element(IMAGE_TYPE, "CS", b"ORIGINAL\\PRIMARY"),
            form.element(SOP_CLASS, "UI", b"1.2.840.10008.5.1.4.1.1.2"),
            form.element(MODALITY, "CS", b"CT"),
            codes,
            form.element(ROWS, "US", struct.pack(f"{form.order}H", 2)),
        ]
    )
    is_compressed = form.syntax == JPEG_LOSSLESS
    pixels = form.fragments(b"\1\2") if is_compressed else form.pixels(bytes(8))
    path = tmp_path / "file"
    path.write_bytes(form.file(before + pixels))
    found = read_header(path)
    assert found == by_pydicom(path)
    assert found.syntax == form.syntax
    assert found.size == path.stat().st_size
    assert found.little == (form.syntax != BIG_ENDIAN)
    assert found.values[IMAGE_TYPE] == b"ORIGINAL\\PRIMARY"
    assert struct.unpack("<H" if found.little else ">H", found.values[ROWS]) == (2,)
    assert found.values[METHOD_CODES] == ITEMS
    at = len(before) if form.syntax == DEFLATED else path.stat().st_size - len(pixels)
    head = 8 if form.syntax == IMPLICIT else 12
    assert found.pixels == PixelPlace(at + head, None if is_compressed else 8)


@pytest.mark.parametrize("form", FORMS, ids=["plain", "implicit", "big", "deflated", "compressed"])
def test_which_elements_have_a_value(tmp_path, form):
    """Padding is none, the number zero is one, sequences have one by their items; private and unheard-of ones are left out."""
    there = [
        form.element(0x00080060, "CS", b"CT"),
        form.sequence(0x00081140, form.element(0x00081150, "UI", b"1.2")),
        form.element(0x00180050, "DS", b" 2"),
        form.element(0x00280103, "US", bytes(2)),
        form.element(0x60023000, "OW", bytes(2)),
    ]
    absent = [
        form.element(0x00080050, "SH", b""),
        form.element(0x00080090, "PN", b"  "),
        form.element(0x00081111, "SQ", b""),
        form.element(0x00090010, "LO", b"MAKER"),
        form.element(0x00100041, "LO", b"unheard of"),
        form.element(0x00180060, "DS", bytes(2)),
    ]
    path = tmp_path / "file"
    pixels = form.fragments(b"\1\2") if form.syntax == JPEG_LOSSLESS else form.pixels(bytes(8))
    path.write_bytes(form.file(b"".join(sorted([*there, *absent], key=lambda each: tag_of(form, each))) + pixels))
    found = read_header(path)
    assert found == by_pydicom(path)
    assert found.present == {0x00080060, 0x00081140, 0x00180050, 0x00280103, 0x60003000}


def tag_of(form, element):
    return struct.unpack(f"{form.order}HH", element[:4])


def test_of_an_element_that_stands_twice_the_last_counts(tmp_path):
    """As of every value, and as pydicom has it."""
    path = tmp_path / "file"
    for first, last, there in ((b"CT", b"", False), (b"", b"CT", True)):
        twice = PLAIN.element(MODALITY, "CS", first) + PLAIN.element(MODALITY, "CS", last)
        path.write_bytes(PLAIN.file(twice + PLAIN.pixels()))
        found = read_header(path)
        assert (MODALITY in found.present, found) == (there, by_pydicom(path))


@pytest.mark.parametrize("longer", [70_000, 1_100_000])
def test_a_long_header_is_read_further(tmp_path, longer):
    path = tmp_path / "file"
    path.write_bytes(
        PLAIN.file(PLAIN.element(MODALITY, "CS", b"CT") + PLAIN.element(0x00091001, "OB", bytes(longer)) + PLAIN.pixels())
    )
    found = read_header(path)
    assert found.pixels is not None
    assert found.pixels.length == 4
    assert found == by_pydicom(path)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "D-NOTDICOM"),
        (b"PNG" * 100, "D-NOTDICOM"),
        (PLAIN.file(PLAIN.element(MODALITY, "CS", b"CT", length=40)), "D-TRUNC"),
        (Form(IMPLICIT).file(Form(IMPLICIT).element(MODALITY, "CS", b"CT", length=2_000_000_000)), "D-TRUNC"),
        (
            PLAIN.file(
                PLAIN.element(MODALITY, "CS", b"CT") + PLAIN.tag(0xFFFEE00D, 0) + PLAIN.element(0x00100010, "PN", b"A" * 20)
            ),
            "D-HEADER",
        ),
        (Form(DEFLATED).file(b"")[:-2] + b"\xff" * 9, "D-HEADER"),
    ],
)
def test_what_is_no_header(tmp_path, content, code):
    path = tmp_path / "file"
    path.write_bytes(content)
    assert answer(read_header, path) == code == answer(scan, path, PurePath("f"), Rules())


# -------------------------------------------------------------------------------------------------------------- fuzzed


def batch(folder: Path, first: int, count: int) -> dict[str, int]:
    """Read corrupt files in a process of its own, so that a crash is a number and not the end of the tests."""
    command = [sys.executable, str(TOOL), str(first), str(count), str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(TOOL.parent), "OMP_NUM_THREADS": "1"}
    within = 60 + count  # seconds, of a machine that does other things too; how long one file may take, the tool asks
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=within, env=environment)
    assert done.returncode == 0, f"number {(folder / 'at').read_text()} ended the process: {done.stderr[-2000:]}"
    assert "CANARY" not in done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["wrong"] == []
    assert told["more_bytes"] < MORE_BYTES
    assert sum(told["codes"].values()) == 2 * count
    return dict(told["codes"])


def test_five_hundred_corrupt_files_get_a_verdict(tmp_path):
    """The header is pydicom's or the same code, the scan finds all that pydicom's walk finds, the trees are the same.

    All end in time and in little memory, none says a value, and nothing else is raised.
    """
    codes = batch(tmp_path, 0, 500)
    assert {"header read", "header D-TRUNC", "header D-HEADER", "header D-NOTDICOM", "scan judged", "scan D-TRUNC"} <= set(codes)
    assert min(codes["header read"], codes["scan judged"]) > 100


@pytest.mark.fuzz
@pytest.mark.parametrize("first", range(1000, 11_000, IN_A_BATCH))
def test_ten_thousand_corrupt_files_get_a_verdict(tmp_path, first):
    batch(tmp_path, first, IN_A_BATCH)


# --------------------------------------------------------------------------------------------------------------- bombs


def nested(form: Form, depth: int) -> bytes:
    """Sequences of undefined length within each other, never closed."""
    opening = form.element(0x00081250, "SQ", b"", 0xFFFFFFFF) + form.tag(0xFFFEE000, 0xFFFFFFFF)
    return opening * depth


def deflated(content: bytes) -> bytes:
    return Form(DEFLATED).file(b"")[:-2] + content


def inflates_to(size: int) -> bytes:
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    head = PLAIN.element(0x00091001, "OB", b"", size)
    return deflate.compress(head) + b"".join(deflate.compress(bytes(2**20)) for _ in range(size >> 20)) + deflate.flush()


def many(form: Form) -> bytes:
    return form.element(0x00080060, "CS") * (MOST_ELEMENTS + 200_000)


def unheard_of(form: Form) -> bytes:
    """Elements that no dictionary has, each with padding: whether that is a value, the dictionary is asked."""
    tags = ((0x0030 + 2 * (at >> 16)) << 16 | at & 0xFFFF for at in range(MOST_ELEMENTS + 9))
    return b"".join(form.tag(tag, 2) + b"  " for tag in tags)


BOMBS = {
    "nested": lambda: PLAIN.file(nested(PLAIN, 100_000)),
    "nested, implicit": lambda: Form(IMPLICIT).file(nested(Form(IMPLICIT), 100_000)),
    "declared": lambda: PLAIN.file(PLAIN.element(0x00091001, "OB", b"12", 0xFFFFFFF0)),
    "declared, implicit": lambda: Form(IMPLICIT).file(Form(IMPLICIT).element(0x00091001, "OB", b"12", 0xFFFFFFF0)),
    "declared sequence": lambda: PLAIN.file(PLAIN.element(0x00081250, "SQ", b"12", 0x7FFFFFF0)),
    "tiny": lambda: PLAIN.file(many(PLAIN)),
    "tiny, implicit": lambda: Form(IMPLICIT).file(many(Form(IMPLICIT))),
    "unheard of, implicit": lambda: Form(IMPLICIT).file(unheard_of(Form(IMPLICIT))),
    "tiny, nested": lambda: PLAIN.file(PLAIN.sequence(0x00081250, many(PLAIN), undefined=True)),
    "items": lambda: PLAIN.file(PLAIN.sequence(0x00081250, *[b""] * (MOST_ELEMENTS + 200_000), undefined=True)),
    "private": lambda: PLAIN.file(
        b"".join(PLAIN.element(0x00090000 | at & 0xFFFF | at >> 16 << 17, "LO", b"12") for at in range(90_000))
    ),
    "deflated": lambda: deflated(inflates_to(2**28)),
    "deflated, odd": lambda: Form(DEFLATED).file(b"", meta=PLAIN.element(0x00020100, "??", b"1.2"))[:-2] + inflates_to(2**28),
}
BOMB_SECONDS = 2.0


@pytest.fixture
def little_memory():
    """Hold this process to little more than it has now, so that a bomb that goes off is seen."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (counted_bytes() + MORE_BYTES, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_DATA, before)


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("reader", ["header", "scan"])
def test_bombs_do_not_go_off(tmp_path, little_memory, reader, name):
    path = tmp_path / "bomb"
    path.write_bytes(BOMBS[name]())
    begin = time.process_time()
    said = answer(read_header, path) if reader == "header" else answer(scan, path, PurePath("f"), Rules())
    assert time.process_time() - begin < BOMB_SECONDS
    passes = reader == "header" and name == "private"  # 90,000 elements are many, but none is looked at
    assert passes or said in {"D-BOMB", "D-HEADER", "D-TRUNC"}


def test_as_many_elements_as_real_objects_have_are_read(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(PLAIN.file(PLAIN.element(0x00080060, "CS") * (MOST_ELEMENTS // 10) + PLAIN.pixels()))
    assert read_header(path).pixels is not None
