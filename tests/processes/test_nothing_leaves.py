"""Law 1 on the wire: all bytes between hospitals and centre over a study with failures, decrypted and decoded."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from hospitals_on_disk import deal
from ledgers import ledger_of
from planted_tokens import Planted, assert_every_form_is_found, files_of, opened_by_centre, plant
from tapped_ward import TappedWard, tapped_ward
from traces import WINDOW, Traces

from wardround.canonical import sha256
from wardround.messages.envelope import read
from wardround.messages.round import ANSWER, Reply, SiloRefusal

TRAINING, PORTER, LEAK = "Qz8KanarieTraining", "Qz9KanariePforte", "Qz7KontrolleLautGesagt"
BAD_CODE = "Qz2KanarieBefundUnbekannt"


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


def test_no_planted_text_leaves(tmp_path: Path) -> None:
    """Of all that is planted in three hospitals, nothing is in any byte that goes to the centre, or in a file there."""
    planted = Planted(tmp_path / "hospitals", TRAINING, PORTER, BAD_CODE)
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


@pytest.mark.parametrize("data", [b"", b"short", b"\x78\x9c" + bytes(40), b"\x1f\x8b\x08" * 20])
def test_the_search_itself_stands_anything(data: bytes) -> None:
    """Bytes that only look like a known form are no find and no error."""
    assert Traces(["Qz0Kanarie"]).found(data) == set()
