"""A study of photographs from files to its release: 64 real images at each of two institutions, one of them cut short."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from fixed_keys import fixed_keys
from hospitals_on_disk import Answer, Command
from ledgers import ledger_of

import wardround_lab.simulate
from coordinator.identity import load_centre
from wardround.messages.confidential import decrypted
from wardround.messages.envelope import Envelope
from wardround_lab.local_grid import Door, LocalGrid

INSTITUTIONS = {"rosendahl": 1, "vidir-modern": 11}
"""Site → its policy's small cell: the first tells that one image was set aside, the second would not."""
IMAGES = 64
STUDY = {
    "name": "photographs",
    "version": "1.0.0",
    "title": "Is a lesion malignant",
    "question": "Does a study of photographs come from files to a release",
    "author": "A. Scientist",
    "schema": {"id": "dermoscopy.lesion", "version": "1.0.0"},
    "target": {"field": "malignant", "positive": "yes"},
    "images": {
        "channels": 3,
        "preparation": [{"name": "Resize", "spatial_size": [32, 32]}, {"name": "ScaleIntensity"}],
        "augmentation": [{"name": "RandFlip", "probability": 0.5, "spatial_axis": 0}],
        "window": [32, 32],
    },
    "network": {"name": "ResNet18", "arguments": {"first_kernel": 3, "width": 0.125}},
    "training": {"optimiser": {"name": "adam", "learning_rate": 0.001}, "batch_size": 16},
    "seed": 7,
    "split": {"train": 0.5, "validation": 0.25, "test": 0.25},
    "rounds": {"maximum": 1, "deadline_seconds": 60},
    "silos": {"minimum": 2},
}


class Tap(LocalGrid):
    """A grid that keeps all that leaves a hospital."""

    outgoing: list[Envelope]

    def __init__(self, doors: dict[str, Door]) -> None:
        """Put the tap between the doors and the grid."""
        Tap.outgoing = []
        super().__init__({site: self._tapped(door) for site, door in doors.items()})

    @staticmethod
    def _tapped(door: Door) -> Door:
        def knock(envelope: Envelope) -> Envelope:
            answer = door(envelope)
            Tap.outgoing.append(answer)
            return answer

        return knock


def write_institution(folder: Path, data: Path, site: str) -> set[str]:
    """Write photographs, table, site.yaml and policy; gives the texts of them that may not leave."""
    with (data / "labels.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["dataset"] == site.replace("-", "_")][:IMAGES]
    (folder / "Aufnahmen").mkdir(parents=True)
    with (folder / "Befunde.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Bild", "Datei", "Person", "Befund"])
        for row in rows:
            patient = hashlib.sha256(row["lesion_id"].encode()).hexdigest()[:16]
            finding = "boesartig" if row["malignant"] == "1" else "gutartig"
            writer.writerow([row["image_id"], f"{row['image_id']}.jpg", patient, finding])
            shutil.copyfile(data / row["path"], folder / "Aufnahmen" / f"{row['image_id']}.jpg")
    codes = {"boesartig": "yes", "gutartig": "no"}
    columns = {"image_id": "Bild", "path": "Datei", "patient_key": "Person", "malignant": {"column": "Befund", "codes": codes}}
    document = {
        "site": site,
        "name": f"Institution {site}",
        "sources": {"table": {"format": "csv", "path": "Befunde.csv"}, "images": {"format": "images", "path": "Aufnahmen"}},
        "schemas": {"dermoscopy.images": {"source": "table", "columns": columns}, "dermoscopy.lesion": {"source": "images"}},
    }
    (folder / "site.yaml").write_text(yaml.safe_dump(document))
    (folder / "policy.yaml").write_text(f"small_cell: {INSTITUTIONS[site]}\nshare_metrics: consortium\n")
    names = {row[key] for row in rows for key in ("image_id", "lesion_id")}
    return {*names, "Aufnahmen", "Befunde", "Datei", "boesartig", "gutartig", str(folder)}


def cut_short(folder: Path) -> None:
    """Cut the first photograph in two and throw the second half away."""
    path = min((folder / "Aufnahmen").iterdir())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def texts_in(where: bytes, texts: set[str]) -> set[str]:
    """Give those of some texts that stand in some bytes."""
    return {text for text in texts if text.encode() in where}


def test_a_study_of_photographs(test_data: Path, tmp_path: Path, wardround: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is complete, its counts add up, one broken image is set aside and counted, and nothing of the files leaves."""
    monkeypatch.setattr(wardround_lab.simulate, "LocalGrid", Tap)
    texts: set[str] = set()
    for site in INSTITUTIONS:
        texts |= write_institution(tmp_path / site, test_data / "images" / "isic_ham", site)
        cut_short(tmp_path / site)
    sites = [tmp_path / site / "site.yaml" for site in INSTITUTIONS]
    options = [word for path in sites for word in ("--site", path)]
    with fixed_keys():  # the split follows from them
        done(wardround("coordinator", "init", tmp_path / "centre", "--name", "The centre"))
        for path in sites:
            done(wardround("silo", "init", "--site", path))
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY))
    requests = [word for path in sites for word in ("--silo", path.parent / "request.json")]
    bundle, centre = tmp_path / "photographs.wardround", tmp_path / "centre"
    words = ("--coordinator", centre / "coordinator.json", *requests, "--out", bundle)
    done(wardround("study", "build", tmp_path / "study.yaml", *words))
    review = done(wardround("silo", "review", bundle, "--site", sites[0], "--no-example")).out
    asked = ("dermoscopy.lesion 1.0.0", "resize to 32 × 32", "in training, mirror axis 0", "the network sees 32 × 32, colour")
    assert [words for words in asked if words not in " ".join(review.split())] == []
    words = ("silo", "review", bundle, "--no-example", "--format", "json", "--site")
    reviewed = [done(wardround(*words, path)).json()["records"] for path in sites]
    done(wardround("silo", "approve", bundle, *options, "--approver", "Dr A", "--role", "data protection officer"))
    simulated = wardround("simulate", bundle, *options, "--out", tmp_path / "out", "--centre", centre, "--format", "json")
    assert done(simulated).json()["status"] == "complete"

    release = tmp_path / "out" / "release"
    subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=release, check=True, capture_output=True)
    history = json.loads((release / "history.json").read_text())
    report = history["reports"]["rosendahl"]
    assert [report[name] for name in ("found", "quarantined", "valid")] == [{"count": 64}, {"count": 1}, {"count": 63}]
    assert [(each["code"], each["records"]) for each in report["findings"]] == [("D-DECODE", {"count": 1})]
    kept = history["reports"]["vidir-modern"]
    assert (kept["quarantined"], kept["valid"]) == ({"withheld": True}, {"count": 63}), "its policy withholds counts below 11"
    assert [visit["purpose"] for visit in history["visits"]] == ["statistics", "round", "closing", "test"]
    for path, parts in zip(sites, reviewed, strict=True):
        assert parts["found"] == 64
        assert parts["train"] + parts["validation"] + parts["test"] == parts["valid"] == 63
        trained = [silo["records"] for visit in history["visits"] for silo in visit["silos"] if silo["site"] == path.parent.name]
        entries = [entry for entry in ledger_of(path.parent) if entry["event"] == "release"]
        assert trained == [entry["records"] for entry in entries] == [parts["train"]] * 4, "centre and ledger say the same"
    assert history["test"]["records"] == sum(parts["test"] for parts in reviewed)

    key = load_centre(centre).encryption
    plain = [envelope for each in Tap.outgoing if (envelope := decrypted(each, key)) is not None]
    assert len(plain) == len(Tap.outgoing) == 8
    outgoing = b"\0".join(part for each in plain for part in (each.message, each.signature.encode(), *each.arrays))
    assert b"D-DECODE" in outgoing, "the tap hears what is said"
    ledgers = b"\0".join(path.read_bytes() for each in sites for path in (each.parent / "ledger").glob("*.jsonl"))
    released = b"\0".join(path.read_bytes() for path in release.iterdir())
    for where in (outgoing, ledgers, released, (simulated.out + simulated.err).encode()):
        assert not texts_in(where, texts)
    assert texts_in(outgoing + min(texts).encode(), texts) == {min(texts)}, "what is planted would be found"


def done(answer: Answer) -> Answer:
    """Give the answer of a command that succeeded."""
    assert answer.status == 0, answer.err
    return answer
