"""Law 1 for images: no pixel, tag, pseudonym or name of a file is in what hospitals send, and no swapped image is used."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from importlib.resources import files
from pathlib import Path

import numpy as np
import pydicom
import pytest
import yaml
from ledgers import ledger_of
from traces import Index, Traces, layers

import wardround_lab.simulate
from coordinator.identity import Centre, create_centre, load_centre
from coordinator.rounds.outcome import Outcome
from silo_node.cohort import assemble
from silo_node.configuration import load_site
from silo_node.identity import approval_key, create_identity, load_identity
from silo_node.imaging.transforms import prepare
from silo_node.porter.approvals import approve
from wardround.contract.implied_table import implied_table
from wardround.contract.library import find_imaging
from wardround.identity.approval import Approver
from wardround.messages.confidential import decrypted
from wardround.messages.envelope import Envelope
from wardround.models.commands import make_bundle, make_roster
from wardround.study.bundle import Bundle
from wardround.study.model import Study
from wardround_lab.local_grid import LocalGrid
from wardround_lab.phantoms.hospital import CREATOR, NAME, PRIVATE_GROUP, Department, write_export
from wardround_lab.phantoms.series import Scanner
from wardround_lab.phantoms.volume import Grid

DEMO = Path(str(files("wardround_lab.demo")))
IMAGING = find_imaging("phantom.lesion", [DEMO / "schemas"])
TABLE = implied_table(IMAGING)
SCANNER = Scanner(Grid(48, 1.7, 12, 3.0, 3.0), 8.0)
DEPARTMENTS = {
    "alpha": Department("alpha", 9, SCANNER, ((-60.0, -40.0),), localisers=True),
    "beta": Department("beta", 9, SCANNER, ((40.0, 65.0),), troubles=("name in a private tag",), first_patient=2001),
    "gamma": Department("gamma", 9, SCANNER, ((40.0, 65.0),), troubles=("missing slice", "cut file"), first_patient=3001),
}
"""The first is well, one series of the second is set aside, and of the third's more than the study allows."""
PIXEL_BYTES, VARIED = 16, 4
"""How long a run of pixels is that is looked for, and how many different values are in it: a run of air is no find."""


class Tap(LocalGrid):
    """A grid that keeps what hospitals send."""

    sent: list[Envelope]

    def __init__(self, doors):
        Tap.sent = []
        super().__init__({site: self._tapped(door) for site, door in doors.items()})

    @staticmethod
    def _tapped(door):
        def knock(envelope: Envelope) -> Envelope:
            answer = door(envelope)
            Tap.sent.append(answer)
            return answer

        return knock


class Watcher:
    """Calls somebody when a visit closes; nothing else matters to it."""

    def __init__(self, closed=lambda _purpose: None):
        self._closed = closed

    def closed(self, record):
        self._closed(record.purpose)

    def __getattr__(self, name):
        return lambda *_words, **_more: None


@dataclass(frozen=True)
class Ward:
    """Hospitals that have approved a study, and its centre."""

    folder: Path
    bundle: Bundle
    centre: Centre

    def sites(self):
        return [load_site(self.folder / name / "site.yaml") for name in self.bundle.roster.sites]

    def conduct(self, watcher: Watcher) -> Outcome:
        return wardround_lab.simulate.simulate(self.bundle, self.sites(), self.centre, watcher)


def study() -> Study:
    """The demonstration's study with a small network and little of it."""
    raw = yaml.safe_load((DEMO / "phantom-lesions.yaml").read_text())
    raw["network"]["arguments"] = {"channels": [4, 8], "strides": [2], "num_res_units": 1}
    raw["training"]["local_epochs"] = 1
    changes = {"rounds": {"maximum": 2}, "silos": {"minimum": 1}, "split": {"train": 0.6, "validation": 0.4, "test": 0.0}}
    return Study.model_validate_json(json.dumps({**raw, **changes}))


def make_ward(folder: Path, names: tuple[str, ...], change=lambda _folder, _index: {}) -> Ward:
    """Write the departments' exports, let somebody change them, and have every hospital approve the study."""
    create_centre(folder / "centre", "The centre")
    centre = load_centre(folder / "centre")
    for index, name in enumerate(names):
        write_export(folder / name / "scans", DEPARTMENTS[name], 5)
        source = {"format": "dicom", "path": "scans", "pseudonym": "P[0-9]{4}", **change(folder / name, index)}
        schemas = {"phantom.lesion": {"source": "scans"}}
        site = {"site": name, "name": name.title(), "sources": {"scans": source}, "schemas": schemas}
        (folder / name / "site.yaml").write_text(yaml.safe_dump(site))
        (folder / name / "policy.yaml").write_text("small_cell: 1\nminimum_records: 1\n")
        create_identity(folder / name, name, name.title())
    members = [load_identity(folder / name) for name in names]
    bundle = make_bundle(study(), TABLE, make_roster(centre.coordinator, members), IMAGING)
    for name, member in zip(names, members, strict=True):
        person = Approver(name="Dr A", role="DPO")
        approve(folder / name, bundle, member, approval_key(folder / name), person, timedelta(days=1))
    return Ward(folder, bundle, centre)


class Planted:
    """What is in the hospitals' files and nowhere else."""

    def __init__(self):
        self.texts: set[str] = set()

    def plant(self, folder: Path, index: int) -> dict[str, str]:
        """Put tokens into names, pseudonyms and the private tag, and note every identifier; gives the words of the source."""
        token = f"Qz{index}Kanarie"
        scans = folder / "scans"
        for number, path in enumerate(sorted(path for path in scans.rglob("*") if path.is_file())):
            try:
                image = pydicom.dcmread(path)
                image.PatientID = self._note(f"{token}Patient{image.PatientID[1:]}")
                for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
                    self._note(str(image.get(keyword, token)))
                if (PRIVATE_GROUP, 0x1001) in image:
                    image[PRIVATE_GROUP, 0x0010].value = self._note(f"{token} {CREATOR}")
                    image[PRIVATE_GROUP, 0x1001].value = self._note(f"{token}{NAME}")
                image.save_as(path)
            except (pydicom.errors.InvalidDicomError, AttributeError, EOFError, ValueError):
                assert DEPARTMENTS[folder.name].troubles, path
            place = path.with_name(self._note(f"{token}Datei{number:06}.dcm"))
            path.rename(place)
        scans.rename(folder / self._note(f"{token}Ausfuhr"))
        return {"path": f"{token}Ausfuhr", "pseudonym": f"{token}Patient[0-9]{{4}}"}

    def _note(self, text: str) -> str:
        self.texts.add(text)
        return text


def runs(array: np.ndarray) -> set[bytes]:
    """Give runs of pixels along rows, of so many bytes, with enough different values in them to be no chance."""
    length = PIXEL_BYTES // array.itemsize
    flat = np.ascontiguousarray(array).reshape(-1)
    rows = flat[: flat.size // length * length].reshape(-1, length)
    return {row.tobytes() for row in rows if np.unique(row).size >= min(VARIED, length)}


def pixels(ward: Ward) -> Index:
    """Give pixels of every series of every hospital: as they are stored, and as a network sees them."""
    found: set[bytes] = set()
    for site in ward.sites():
        for path in site.folder.rglob("*Datei*.dcm"):
            try:
                found |= runs(pydicom.dcmread(path).pixel_array)
            except (pydicom.errors.InvalidDicomError, AttributeError, EOFError, ValueError):
                assert DEPARTMENTS[site.file.site].troubles, path
        freely = ward.bundle.study.model_copy(
            update={"quarantine": ward.bundle.study.quarantine.model_copy(update={"max_fraction": 0.5})}
        )
        cohort = assemble(site, TABLE, freely, ward.bundle.study_hash, IMAGING)
        assert cohort.images is not None
        for part in (cohort.train, cohort.validation):
            for load in cohort.images.loaders(part):
                array, affine, mask = load()
                found |= runs(prepare(ward.bundle.study.images, 3, array, affine, mask).image.numpy())
    return Index(found)


def test_nothing_of_an_image_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three hospitals, one well, one with a series set aside, one refused: no pixel and no text of a file is sent."""
    planted = Planted()
    ward = make_ward(tmp_path, tuple(DEPARTMENTS), planted.plant)
    monkeypatch.setattr(wardround_lab.simulate, "LocalGrid", Tap)
    outcome = ward.conduct(Watcher())
    assert outcome.status == "partial", outcome.problems
    opened = [decrypted(each, ward.centre.encryption) for each in Tap.sent]
    assert None not in opened, "the centre, and nobody else, reads everything"
    sent = b"\0".join(part for each in opened for part in (each.message, each.signature.encode(), *each.arrays))
    assert all(code in sent for code in (b"H-DATA", b"D-PRIVATE", b"D-GAP"))
    assert sum(len(each.arrays) for each in opened) == 4, "the weights of two hospitals, twice"
    assert len(planted.texts) > 500
    texts, images = Traces(planted.texts), pixels(ward)
    assert texts.found(sent) == set()
    assert [found for layer in layers(sent) if (found := images.found(layer))] == []
    control = next(iter(sorted(planted.texts)))
    assert texts.found(sent + control.encode()) == {control.lower()}, "positive control: what is there is found"
    some = next(path for path in (tmp_path / "alpha").rglob("*Datei*.dcm"))
    assert images.found(sent + pydicom.dcmread(some).PixelData), "and so are pixels"


def test_an_image_that_is_swapped_in_a_study_ends_the_hospitals_part(tmp_path: Path) -> None:
    """After the statistics a slice gets other pixels: nothing is trained on them, H-CHANGED, and the others go on."""
    ward = make_ward(tmp_path, ("alpha", "beta"))
    mine = load_site(tmp_path / "alpha" / "site.yaml")
    cohort = assemble(mine, TABLE, ward.bundle.study, ward.bundle.study_hash, IMAGING)
    swapped = []

    def swap(purpose: str) -> None:
        if purpose == "statistics" and not swapped:
            for path in sorted((tmp_path / "alpha" / "scans").rglob("*.dcm")):
                image = pydicom.dcmread(path)
                if image.PatientID in set(cohort.train["patient"]) and image.Modality == "CT":
                    image.PixelData = bytes(len(image.PixelData))
                    image.save_as(path)
                    swapped.append(path)

    outcome = ward.conduct(Watcher(swap))
    assert swapped
    first = next(record for record in outcome.history if record.purpose == "round")
    assert {silo.site: silo.code for silo in first.silos} == {"alpha": "H-CHANGED", "beta": None}
    assert outcome.status == "partial"
    entries = ledger_of(tmp_path / "alpha")
    assert "H-CHANGED" in {entry.get("code") for entry in entries if entry["event"] == "refusal"}
    released = [entry["purpose"] for entry in entries if entry["event"] == "release"]
    assert released == ["statistics"], "nothing of the training has left"
