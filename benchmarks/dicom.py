"""Headers and scans of DICOM files a second: CPU seconds of one process on one core, interleaved in one run.

    python benchmarks/dicom.py [--files 2000] [--repeats 5]

The files are written by the benchmark: CT-like, 128×128 pixels of 16 bits, 51 elements with 1 sequence and 1 private block, in
explicit and in implicit VR, little endian, and the same ones big endian and deflated, which take the way through pydicom. They
are read from memory (page cache); on a hospital's network disk opening a file costs more than all of this.

- floor: open a file and read its bytes
- header: ``silo_node.dicom.header.read_header``, beside pydicom's header and the same 50 elements by raw access
- scan: ``silo_node.dicom.privacy.scan``, beside pydicom's ``iterall``, which visits as many elements and judges none
"""

from __future__ import annotations

import argparse
import struct
import sys
import tempfile
import time
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path, PurePath

import pydicom

from silo_node.dicom.header import read_header
from silo_node.dicom.judge import Rules
from silo_node.dicom.privacy import scan
from silo_node.dicom.tags import HEADER_TAGS

HEADERS, SCANS = 3500, 1200
"""Targets, files a second and core."""

LONG = {"OB", "OW", "SQ", "UN"}
SYNTAXES = {
    "explicit VR": b"1.2.840.10008.1.2.1\0",
    "implicit VR": b"1.2.840.10008.1.2\0",
    "big endian": b"1.2.840.10008.1.2.2\0",
    "deflated": b"1.2.840.10008.1.2.1.99\0",
}
HELD = ("explicit VR", "implicit VR")
"""The forms that the targets are for."""

RULES = Rules()
ELEMENTS = (
    (0x00080005, "CS", b"ISO_IR 100"), (0x00080008, "CS", b"ORIGINAL\\PRIMARY\\AXIAL"),
    (0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.2"),
    (0x00080018, "UI", b"1.2.826.0.1.3680043.8.498.1%06d"), (0x00080020, "DA", b"20240131"), (0x00080030, "TM", b"101500"),
    (0x00080050, "SH", b"A%06d"), (0x00080060, "CS", b"CT"), (0x00080070, "LO", b"MAKER"), (0x00080080, "LO", b"HOSPITAL"),
    (0x00080090, "PN", b"DOE^DOC"), (0x00081030, "LO", b"CHEST"), (0x0008103E, "LO", b"AX 2.0"), (0x00081090, "LO", b"SCANNER 9"),
    (0x00081140, "SQ", b""), (0x00090010, "LO", b"MAKER 1.0"), (0x00091001, "LO", b"PRIVATE"), (0x00091002, "UN", b"1234"),
    (0x00100010, "PN", b"DOE^JANE%d"), (0x00100020, "LO", b"P%06d"), (0x00100030, "DA", b"19700101"), (0x00100040, "CS", b"F "),
    (0x00101010, "AS", b"054Y"), (0x00180015, "CS", b"CHEST "), (0x00180050, "DS", b"2.0 "), (0x00180060, "DS", b"120 "),
    (0x00180088, "DS", b"2.0 "), (0x00181030, "LO", b"PROTOCOL"), (0x00181120, "DS", b"0 "), (0x00181150, "IS", b"500 "),
    (0x00181210, "SH", b"B30f"), (0x00185100, "CS", b"HFS "), (0x0020000D, "UI", b"1.2.826.0.1.3680043.8.498.2"),
    (0x0020000E, "UI", b"1.2.826.0.1.3680043.8.498.3"), (0x00200010, "SH", b"1 "), (0x00200011, "IS", b"3 "),
    (0x00200013, "IS", b"%d"),
    (0x00200032, "DS", b"-100.0\\-100.0\\%d.0"), (0x00200037, "DS", b"1\\0\\0\\0\\1\\0"),
    (0x00200052, "UI", b"1.2.826.0.1.3680043.8.498.4"),
    (0x00201041, "DS", b"%d.0"), (0x00280002, "US", b"\1\0"), (0x00280004, "CS", b"MONOCHROME2"), (0x00280010, "US", b"\x80\0"),
    (0x00280011, "US", b"\x80\0"), (0x00280030, "DS", b"0.7\\0.7 "), (0x00280100, "US", b"\x10\0"), (0x00280101, "US", b"\x0c\0"),
    (0x00281052, "DS", b"-1024 "), (0x00281053, "DS", b"1 "),
)  # fmt: skip


def element(tag: int, vr: str, value: bytes, form: str = "explicit VR") -> bytes:
    """Write one element."""
    value += (b"\0" if vr == "UI" else b" ") * (len(value) % 2)
    order = ">" if form == "big endian" else "<"
    if form == "big endian" and vr in {"US", "OW"}:
        value = b"".join(value[at : at + 2][::-1] for at in range(0, len(value), 2))
    head = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
    if form == "implicit VR":
        return head + struct.pack("<L", len(value)) + value
    length = struct.pack(f"{order}HL", 0, len(value)) if vr in LONG else struct.pack(f"{order}H", len(value))
    return head + vr.encode() + length + value


def slice_of(number: int, form: str) -> bytes:
    """Write one file."""
    parts = []
    for tag, vr, template in ELEMENTS:
        value = template % number if b"%" in template else template
        if vr == "SQ":
            item = element(0x00081150, "UI", b"1.2.840.10008.5.1.4.1.1.2", form)
            item += element(0x00081155, "UI", b"1.2.826.0.1.3680043.8.498.5", form)
            value = struct.pack(">HHL" if form == "big endian" else "<HHL", 0xFFFE, 0xE000, len(item)) + item
        parts.append(element(tag, vr, value, form))
    parts.append(element(0x7FE00010, "OW", bytes(range(256)) * 128, form))
    dataset = b"".join(parts)
    if form == "deflated":
        deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        dataset = deflate.compress(dataset) + deflate.flush()
    group = element(0x00020001, "OB", b"\0\1") + element(0x00020002, "UI", b"1.2.840.10008.5.1.4.1.1.2")
    group += element(0x00020003, "UI", b"1.2.826.0.1.3680043.8.498.1%06d" % number)
    group += element(0x00020010, "UI", SYNTAXES[form]) + element(0x00020012, "UI", b"1.2.3.4")
    return bytes(128) + b"DICM" + element(0x00020000, "UL", struct.pack("<L", len(group))) + group + dataset


def read_bytes(path: Path) -> None:
    """Read a file and do nothing with it."""
    path.read_bytes()


def scanned(path: Path) -> None:
    """Look for what identifies people."""
    scan(path, PurePath("series/image"), RULES)


def header_by_pydicom(path: Path) -> None:
    """Read a header and the elements of a verdict as pydicom does it quickest: raw, without conversion."""
    dataset = pydicom.dcmread(path, stop_before_pixels=True)
    for tag in HEADER_TAGS:
        if tag in dataset:
            dataset.get_item(tag)


def walked_by_pydicom(path: Path) -> None:
    """Visit every element by pydicom, which converts each."""
    for _ in pydicom.dcmread(path, stop_before_pixels=True).iterall():
        pass


READERS: dict[str, Callable[[Path], object]] = {
    "floor: read the bytes": read_bytes,
    "header": read_header,
    "header by pydicom": header_by_pydicom,
    "scan": scanned,
    "every element by pydicom": walked_by_pydicom,
}


def main() -> int:
    """Write the files, read them every way in turns, and print files a second and what each costs beside the floor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    rates: dict[tuple[str, str], float] = {}
    with tempfile.TemporaryDirectory(prefix="dicom-") as folder:
        for form in SYNTAXES:
            paths = [Path(folder) / f"{number}.dcm" for number in range(arguments.files)]
            for number, path in enumerate(paths):
                path.write_bytes(slice_of(number, form))
            best = dict.fromkeys(READERS, float("inf"))
            for _ in range(arguments.repeats):
                for name, read in READERS.items():
                    begin = time.process_time()
                    for path in paths:
                        read(path)
                    best[name] = min(best[name], time.process_time() - begin)
            size = paths[0].stat().st_size
            print(f"{arguments.files} files of {size} bytes, {form}, least CPU seconds of {arguments.repeats} runs")
            for name, seconds in best.items():
                rates[form, name] = arguments.files / seconds
                beside = seconds / best["floor: read the bytes"]
                print(f"  {name:26} {rates[form, name]:9,.0f} files/s   {beside:6.1f} × floor")
            for ours, theirs in (("header", "header by pydicom"), ("scan", "every element by pydicom")):
                print(f"  {ours} is {rates[form, ours] / rates[form, theirs]:.1f} times as fast as pydicom")
    held = all(rates[form, "header"] >= HEADERS and rates[form, "scan"] >= SCANS for form in HELD)
    print(
        f"targets: {HEADERS} headers and {SCANS} scans a second and core, {' and '.join(HELD)}: {'held' if held else 'NOT held'}"
    )
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
