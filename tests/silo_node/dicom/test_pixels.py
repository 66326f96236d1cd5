"""What is said of pixels before they are decoded agrees with what the decoders do."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from silo_node.dicom.header import UnreadableHeader, read_header
from silo_node.dicom.instance import instance
from silo_node.dicom.pixels import UndecodableError, decode, trouble

EXPLAINED = {
    "JPGExtended.dcm": "JPEG of 12 bits, whose only free decoder is under the GPL",
    "CT0012.fragmented_no_bot_jpeg_baseline.51.dcm": "JPEG of 12 bits, likewise",
    "SC_rgb_jpeg.dcm": "declares fragments and gives a length: pydicom reads it with another VR than declared",
    "parametric_map_double_float.dcm": "numbers with a point: no image that a contract knows",
    "parametric_map_float.dcm": "numbers with a point, likewise",
    "examples_palette.dcm": "places in a palette, which is not applied",
    "OBXXXX1A.dcm": "a palette, likewise",
    "OBXXXX1A_expb.dcm": "a palette, likewise",
    "OBXXXX1A_rle.dcm": "a palette, likewise",
    "OBXXXX1A_rle_2frame.dcm": "a palette, likewise",
}
"""Files that pydicom reads or decodes somewhere, and we do not: refused, never used."""


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, None),
        ({"PixelData": None}, "D-NOPIXELS"),
        ({"Rows": 7}, "D-PIXLEN"),
        ({"NumberOfFrames": 2}, "D-PIXLEN"),
        ({"Rows": 65535, "Columns": 65535, "NumberOfFrames": 2**20}, "D-BOMB"),
        ({"Rows": 0}, "D-HEADER"),
        ({"Rows": None}, "D-HEADER"),
        ({"BitsAllocated": 24}, "D-HEADER"),
        ({"HighBit": 3}, "D-HEADER"),
        ({"SamplesPerPixel": 2}, "D-HEADER"),
        ({"PhotometricInterpretation": "MONOCHROME3"}, "D-PHOTO"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "D-PHOTO"),
        ({"syntax": "1.2.840.10008.1.2.4.102"}, "D-SYNTAX"),
        ({"syntax": "1.2.3.4"}, "D-SYNTAX"),
    ],
)
def test_troubles_of_pixels(write_slice, changed, expected):
    """Each has its code, from the header alone."""
    syntax = changed.pop("syntax", None)
    path = write_slice(1, **changed)
    if syntax is not None:
        uid = syntax.encode() + b"\0" * (len(syntax) % 2)
        data = path.read_bytes().replace(b"UI\x14\x001.2.840.10008.1.2.1\0", b"UI" + len(uid).to_bytes(2, "little") + uid, 1)
        path.write_bytes(data)
    assert trouble(instance(read_header(path), path.name)) == expected


def test_a_file_that_was_cut_off(write_slice):
    """The pixels are shorter than their element says."""
    path = write_slice(1)
    path.write_bytes(path.read_bytes()[:-1])
    assert trouble(instance(read_header(path), path.name)) == "D-TRUNC"


def test_every_real_file_decodes_or_is_refused_before(test_data):
    """On each indexed file: where nothing speaks against it, it decodes, but for what only decoding can show."""
    folder = test_data / "dicom"
    surprised, unlike = [], []
    for row in csv.DictReader((folder / "index.csv").read_text(encoding="utf-8").splitlines(keepends=True)):
        if row["pydicom_readable"] != "yes" or row["has_pixels"] == "no":
            continue
        try:
            found = instance(read_header(folder / row["path"]), row["path"])
        except UnreadableHeader:
            unlike.append(Path(row["path"]).name)
            continue
        why = trouble(found)
        decodes = False
        try:
            decodes = bool(np.size(decode(folder / row["path"], found)))
        except UndecodableError:
            if why is None:
                surprised.append(Path(row["path"]).name)
        if (row["pixel_decodable"] == "yes") != (decodes and why is None) and row["pixel_decodable"] in ("yes", "no"):
            unlike.append(Path(row["path"]).name)
    assert set(unlike) == EXPLAINED.keys()
    assert set(surprised) == {"JPEG2000-embedded-sequence-delimiter.dcm", "SC_rgb_jpeg.dcm", "TC0327_mono2_spp3.dcm"}, (
        "only bytes within compressed pixels can surprise, and elements in another form than the file declares"
    )
