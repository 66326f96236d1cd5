"""Law 1: no cell value, identifier, path, header or exception text of a hospital is ever in an outgoing byte."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import yaml
from hospitals_on_disk import FEATURES, SCHEMA, Command, Hospital, deal, prepare

import silo_node.training.trainer
import wardround_lab.simulate
from coordinator.identity import load_centre
from coordinator.rounds.grid import Outgoing
from silo_node.training.encode import TableExamples
from wardround.messages.confidential import decrypted
from wardround.messages.envelope import Envelope
from wardround_lab.local_grid import LocalGrid

SHORTEST_PIECE = 5


class Tap(LocalGrid):
    """A grid that keeps every byte that leaves a hospital."""

    outgoing: list[Envelope]

    def __init__(self, doors: dict[str, object]) -> None:
        """Put the tap between the doors and the grid."""
        Tap.outgoing = []
        super().__init__({site: self._tapped(door) for site, door in doors.items()})  # type: ignore[arg-type]

    def push_messages(self, messages: list[Outgoing]) -> list[str]:  # type: ignore[override]
        """Push as always."""
        return super().push_messages(messages)

    @staticmethod
    def _tapped(door: object) -> object:
        def knock(envelope: Envelope) -> Envelope:
            answer: Envelope = door(envelope)  # type: ignore[operator]
            Tap.outgoing.append(answer)
            return answer

        return knock


def plant(hospital: Hospital, token: str) -> set[str]:
    """Put tokens into every text of a hospital: ids, headers, file name, an ignored column; give all planted texts."""
    header, *rows = list(csv.reader(hospital.table.read_text().splitlines()))
    planted: set[str] = set()
    renamed = {name: f"{token}Kopf{index:03d}" for index, name in enumerate(header)}
    for number, row in enumerate(rows):
        row[0] = f"{token}Probe{number:05d}"
        row.append(f"{token}Notiz{number:05d}")
        planted |= {row[0], row[1], row[-1]}
        planted |= {row[header.index(name)] for name in FEATURES if len(row[header.index(name)]) > SHORTEST_PIECE}
    secret_file = hospital.folder / f"{token}-Ausfuhr.csv"
    with secret_file.open("w", newline="") as file:
        csv.writer(file).writerows([[*renamed.values(), f"{token}Bemerkung"], *rows])
    hospital.table.unlink()
    site = yaml.safe_load((hospital.folder / "site.yaml").read_text())
    site["sources"]["export"]["path"] = secret_file.name
    site["schemas"][SCHEMA]["columns"] = renamed
    site["schemas"][SCHEMA]["ignore"] = [f"{token}Bemerkung"]
    (hospital.folder / "site.yaml").write_text(yaml.safe_dump(site))
    return planted | set(renamed.values()) | {secret_file.name, token, hospital.folder.name}


def found_in(outgoing: bytes, texts: set[str]) -> set[str]:
    """Give the planted texts that stand in some bytes."""
    return {text for text in texts if text.encode() in outgoing or text.encode().hex().encode() in outgoing}


def test_no_planted_text_leaves(tmp_path: Path, wardround: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over a study with failures of every kind, none of the texts planted in the hospitals is in what they send."""
    texts: set[str] = set()
    hospitals = []
    for index, hospital in enumerate(deal(tmp_path, (120, 90, 80, 70))):
        secret = Hospital(tmp_path / f"Geheimordner{index}")
        hospital.folder.rename(secret.folder)
        texts |= plant(secret, f"Qz{index}Kanarie")
        hospitals.append(secret)
    bad = next(hospitals[2].folder.glob("*.csv"))  # one hospital's records do not pass the check at all
    bad.write_text(bad.read_text().replace("malignant", "Qz2KanarieBefund"))
    texts.add("Qz2KanarieBefund")

    honest = silo_node.training.trainer.train

    def raising(network: object, examples: TableExamples, *rest: object) -> float:
        if raising.calls == 4:  # in the second round, training raises an error with patient data in its text
            raising.calls += 1
            message = "Qz9KanarieFehler in row 17"
            raise ValueError(message)
        raising.calls += 1
        return honest(network, examples, *rest)  # type: ignore[arg-type]

    raising.calls = 0  # type: ignore[attr-defined]
    texts.add("Qz9KanarieFehler")
    monkeypatch.setattr(silo_node.training.trainer, "train", raising)
    monkeypatch.setattr(wardround_lab.simulate, "LocalGrid", Tap)

    ready = prepare(wardround, tmp_path, hospitals)
    answer = ready.simulate(wardround)
    assert answer.status == 3, answer.err
    key = load_centre(ready.centre).encryption
    plain = [envelope for each in Tap.outgoing if (envelope := decrypted(each, key)) is not None]
    assert len(plain) == len(Tap.outgoing), "the centre, and nobody else, reads everything"
    outgoing = b"\0".join(part for each in plain for part in (each.message, each.signature.encode(), *each.arrays))
    assert b"H-DATA" in outgoing
    assert b"H-FAILED" in outgoing
    assert not found_in(outgoing, texts)
    release = b"\0".join(path.read_bytes() for path in ready.release().iterdir())
    words = {text for text in texts if not text[0].isdigit()}  # a number may stand in a chart by chance
    assert not found_in(release, words)
    logs = [hospital.folder / "logs" / "node.log" for hospital in hospitals]
    assert sum("Qz9KanarieFehler" in log.read_text() for log in logs) == 1, "the trace is in one hospital's own log"
    assert all(log.stat().st_mode & 0o077 == 0 for log in logs)
    said = answer.out + answer.err
    assert not found_in(said.encode(), texts)
    positive_control = outgoing + next(iter(texts)).encode()
    assert found_in(positive_control, texts)
