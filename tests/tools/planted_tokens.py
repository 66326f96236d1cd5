"""Hospitals in which every text and number is one of its own, and what is looked through afterwards."""

from __future__ import annotations

import base64
import binascii
import csv
import gzip
import hashlib
import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import yaml
from hospitals_on_disk import SCHEMA, Hospital
from tapped_ward import TappedWard
from traces import Traces

from coordinator.identity import load_centre
from wardround.messages.confidential import decrypted
from wardround.messages.envelope import Envelope

SUFFIX_DIGITS = 7


class Planted:
    """The texts and numbers that are in the hospitals and nowhere else."""

    def __init__(self, folder: Path, *texts: str) -> None:
        """Begin with what every hospital knows of itself, and some texts more."""
        self.texts = {str(folder), *texts}
        self.numbers: set[float] = set()
        self._random = np.random.default_rng(4)

    def text(self, text: str) -> str:
        """Note a planted text."""
        self.texts.add(text)
        return text

    def number(self, cell: str) -> str:
        """Give a cell's number with digits at its end that no other number has."""
        mantissa, _, exponent = cell.partition("e")
        whole = mantissa if "." in mantissa else f"{mantissa}."
        longer = f"{whole}{self._random.integers(10**SUFFIX_DIGITS):0{SUFFIX_DIGITS}d}" + (f"e{exponent}" if exponent else "")
        self.numbers.add(float(longer))
        return self.text(longer)

    def traces(self) -> Traces:
        """Give what is looked for."""
        return Traces(self.texts, self.numbers)


def plant(folder: Path, index: int, planted: Planted) -> Hospital:
    """Put tokens into every cell, header, file name and path of a hospital."""
    token = f"Qz{index}Kanarie"
    hospital = Hospital(folder.rename(folder.parent / planted.text(f"{token}Ordner")))
    header, *rows = list(csv.reader(hospital.table.read_text().splitlines()))
    renamed = {name: planted.text(f"{token}Kopf{place:03d}") for place, name in enumerate(header)}
    codes = {planted.text(f"{token}Befund{place}"): value for place, value in enumerate(("benign", "malignant"))}
    local = {value: code for code, value in codes.items()}
    for number, row in enumerate(rows):
        row[0] = planted.text(f"{token}Probe{number:05d}")
        row[1] = planted.text(hashlib.sha256(row[0].encode()).hexdigest()[:16])
        row[2:-1] = [planted.number(cell) for cell in row[2:-1]]
        row[-1] = local[row[-1]]
        row.append(planted.text(f"{token}Notiz{number:05d}"))
    path = hospital.folder / planted.text(f"{token}Tiefer") / planted.text(f"{token}-Ausfuhr.csv")
    path.parent.mkdir()
    ignored = planted.text(f"{token}Bemerkung")
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([[*renamed.values(), ignored], *rows])
    hospital.table.unlink()
    site = yaml.safe_load((hospital.folder / "site.yaml").read_text())
    columns = {**renamed, "diagnosis": {"column": renamed["diagnosis"], "codes": codes}}
    site["sources"]["export"]["path"] = str(path.relative_to(hospital.folder))
    site["schemas"][SCHEMA] |= {"columns": columns, "ignore": [ignored]}
    (hospital.folder / "site.yaml").write_text(yaml.safe_dump(site))
    return hospital


def files_of(folder: Path) -> dict[str, bytes]:
    """Give all files below a folder, and what is in archives among them."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            found[str(path.relative_to(folder))] = path.read_bytes()
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as archive:
                    found |= {f"{path.name}/{name}": archive.read(name) for name in archive.namelist()}
    return found


def opened_by_centre(ward: TappedWard) -> list[Envelope]:
    """Give what hospitals sent, decrypted with the centre's own key; the relay alone could not read it."""
    key = load_centre(ward.centre).encryption
    sent = ward.tap.sent()
    assert any(envelope.arrays for envelope in sent), "changes of weights were captured"
    assert all(envelope.body_key for envelope in sent if envelope.arrays), "and none of them was plain"
    plain = [decrypted(envelope, key) for envelope in sent]
    return [envelope for envelope in plain if envelope is not None]


def assert_every_form_is_found(planted: Planted, capture: bytes) -> None:
    """Positive controls: in whatever form a token would ride in the same capture, it would be found."""
    forms: dict[str, Callable[[bytes], bytes]] = {
        "raw": bytes,
        "hex": binascii.hexlify,
        "base64": lambda text: base64.b64encode(b"x" + text),
        "url-safe base64": lambda text: base64.urlsafe_b64encode(b"xy" + text),
        "zlib": zlib.compress,
        "gzip": gzip.compress,
        "base64 of gzip": lambda text: base64.b64encode(gzip.compress(text)),
        "utf-16": lambda text: text.decode().encode("utf-16-be"),
        "upper case": bytes.upper,
    }
    traces = planted.traces()
    token, middle = min(text for text in planted.texts if text.startswith("Qz0")), len(capture) // 2
    for name, form in forms.items():
        hidden = capture[middle : middle + 20_000] + b"\0" + form(f"...{token}...".encode()) + b"\0" + capture[:20_000]
        assert traces.found(hidden) == {token.lower()}, name
    number = max(each for each in planted.numbers if repr(each) in planted.texts)  # written as Python writes it
    for form in (json.dumps(number).encode(), struct.pack("<d", number), struct.pack(">d", number)):
        assert traces.found(capture[:20_000] + b"\1" + form) == {repr(number)}
