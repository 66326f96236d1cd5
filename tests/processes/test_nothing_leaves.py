"""Law 1 on the wire: all bytes between hospitals and centre over a study with failures, decrypted and decoded."""

from __future__ import annotations

import base64
import binascii
import csv
import gzip
import hashlib
import json
import socket
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from hospitals_on_disk import SCHEMA, Hospital, deal
from ledgers import ledger_of
from tapped_ward import TappedWard, tapped_ward
from traces import WINDOW, Traces

from coordinator.identity import load_centre
from wardround.canonical import sha256
from wardround.messages.confidential import decrypted
from wardround.messages.envelope import Envelope, read
from wardround.messages.round import ANSWER, Reply, SiloRefusal

TRAINING, PORTER, LEAK = "Qz8KanarieTraining", "Qz9KanariePforte", "Qz7KontrolleLautGesagt"
BAD_CODE = "Qz2KanarieBefundUnbekannt"
SUFFIX_DIGITS = 7


class Planted:
    """The texts and numbers that are in the hospitals and nowhere else."""

    def __init__(self, folder: Path) -> None:
        """Begin with what every hospital knows of itself."""
        self.texts = {TRAINING, PORTER, BAD_CODE, str(folder)}
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


def conduct(ward: TappedWard) -> None:
    """Run a study in which training raises in one hospital, the porter in another, and the third has bad records."""
    alpha, beta, gamma = ward.hospitals
    (bad,) = gamma.folder.rglob("*-Ausfuhr.csv")
    bad.write_text(bad.read_text().replace("Qz2KanarieBefund1", BAD_CODE))
    ward.start_centre().up()
    services = [
        ward.start_planted(alpha, training=TRAINING),
        ward.start_planted(beta, porter=PORTER),
        ward.start_planted(gamma, leak=LEAK),
    ]
    for service in services:
        service.up()
    bundle = ward.build(silos={"minimum": 1})
    ward.submit(bundle)  # before it is approved: the bundle is offered, and lies in the inbox
    ward.until(lambda state: all(silo.offer == "waiting" for silo in state.silos))
    ward.approve(bundle)
    assert ward.ended().phase == "partial"


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


def test_no_planted_text_leaves(tmp_path: Path) -> None:
    """Of all that is planted in three hospitals, nothing is in any byte that goes to the centre, or in a file there."""
    planted = Planted(tmp_path / "hospitals")
    dealt = deal(tmp_path / "hospitals", (110, 90, 80))
    hospitals = [plant(hospital.folder, index, planted) for index, hospital in enumerate(dealt)]
    with tapped_ward(tmp_path, hospitals) as ward:
        conduct(ward)
        told = [ward.wardround("coordinator", "status", ward.centre, "--format", form) for form in ("text", "json")]
        for service in reversed(ward.services.values()):
            service.end()
    traces = planted.traces()
    assert len(planted.numbers) > 8000
    capture = ward.tap.up
    assert_capture_is_whole(ward)
    assert_planted_faults_happened(ward)
    assert traces.found(capture) == set()
    assert traces.found(ward.tap.down) == set()
    opened = b"\0".join(part for each in opened_by_centre(ward) for part in (each.message, *each.arrays))
    assert traces.found(opened) == set()
    assert [request.headers for request, _ in ward.tap.exchanges() if "content-encoding" in request.headers] == []
    centre = {
        **files_of(ward.centre),
        "its output": (tmp_path / "centre.out").read_bytes(),
        "status": "".join(answer.out + answer.err for answer in told).encode(),
    }
    assert any(name.startswith("releases/") for name in centre)
    assert traces.found(b"\0".join(centre.values())) == set()
    host = socket.gethostname()
    assert len(host) < WINDOW or Traces([host]).found(capture) == set()
    assert Traces([LEAK]).found(capture) == {LEAK.lower()}, "positive control: what does leak is found"
    assert_every_form_is_found(planted, capture)


def opened_by_centre(ward: TappedWard) -> list[Envelope]:
    """Give what hospitals sent, decrypted with the centre's own key; the relay alone could not read it."""
    key = load_centre(ward.centre).encryption
    sent = ward.tap.sent()
    assert any(envelope.arrays for envelope in sent), "changes of weights were captured"
    assert all(envelope.body_key for envelope in sent if envelope.arrays), "and none of them was plain"
    plain = [decrypted(envelope, key) for envelope in sent]
    return [envelope for envelope in plain if envelope is not None]


def assert_capture_is_whole(ward: TappedWard) -> None:
    """Every release and refusal in the hospitals' ledgers is among what was decoded, and every array, bit by bit."""
    envelopes = opened_by_centre(ward)
    answers = [(answer, envelope) for envelope in envelopes if (answer := read(envelope, ANSWER)) is not None]
    replies = {(answer.site, answer.task_id): envelope for answer, envelope in answers if isinstance(answer, Reply)}
    refusals = {(answer.site, answer.task_id, answer.code) for answer, _ in answers if isinstance(answer, SiloRefusal)}
    purposes = set()
    for hospital, site in zip(ward.hospitals, ("alpha", "beta", "gamma"), strict=True):
        for entry in ledger_of(hospital.folder):
            if entry["event"] == "release":
                assert [sha256(array) for array in replies[site, entry["task"]].arrays] == entry["arrays"]
                purposes.add(entry["purpose"])
            elif entry["event"] == "refusal":
                assert (site, entry["task"], entry["code"]) in refusals
    assert purposes == {"statistics", "round", "closing", "test"}
    assert {code for _, _, code in refusals} >= {"H-DATA", "H-FAILED"}


def assert_planted_faults_happened(ward: TappedWard) -> None:
    """The errors were raised, their traces are in the hospitals' own logs, and nobody else can read those."""
    alpha, beta, gamma = (hospital.folder / "logs" for hospital in ward.hospitals)
    assert f"ValueError: {TRAINING} in row 17" in (alpha / "trainer.log").read_text()
    assert f"RuntimeError: {PORTER} of patient 17" in (beta / "node.log").read_text()
    assert "T-MAP" in (gamma / "trainer.log").read_text()
    assert all(path.stat().st_mode & 0o077 == 0 for folder in (alpha, beta, gamma) for path in folder.iterdir())


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
    number = max(planted.numbers)
    for form in (json.dumps(number).encode(), struct.pack("<d", number), struct.pack(">d", number)):
        assert traces.found(capture[:20_000] + b"\1" + form) == {repr(number)}


@pytest.mark.parametrize("data", [b"", b"short", b"\x78\x9c" + bytes(40), b"\x1f\x8b\x08" * 20])
def test_the_search_itself_stands_anything(data: bytes) -> None:
    """Bytes that only look like a known form are no find and no error."""
    assert Traces(["Qz0Kanarie"]).found(data) == set()
