"""A made-up radiology department: phantoms as its scanner sees them, in an export folder as its archive writes it.

An export is never tidy. Every department has what is no fault (a localiser, files in no order); what is one is planted on
purpose, once each, so that a check has something to find.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset

from wardround_lab.phantoms.anatomy import make_body
from wardround_lab.phantoms.series import Scanner, make_localiser, make_slices, make_truth
from wardround_lab.phantoms.volume import Scan, scan

Trouble: TypeAlias = Literal["cut file", "missing slice", "name in a private tag", "no DICOM"]
"""What can be wrong with an export: a file that was cut off, and so on."""

PSEUDONYM: Final = "P[0-9]{4}"
"""What a phantom's Patient ID looks like, as ``site.yaml`` is told."""

PRIVATE_GROUP: Final = 0x0011
CREATOR, NAME = "WARDROUND PHANTOMS", "Doe^Jane"
"""Of the private tag that is planted, and the name in it, which is nobody's."""

OPAQUE_DIGITS: Final = 20
"""Of a file's name that says nothing."""


@dataclass(frozen=True)
class Department:
    """A made-up radiology department.

    Attributes:
        site: the hospital's short name.
        series: how many phantoms it has scanned, one series of each.
        scanner: how it scans and writes.
        contrasts: ranges of its lesions' contrast in HU, all as likely: what its phase of contrast agent shows.
        healthy: how many of its phantoms, the first ones, have no lesion.
        to_a_folder: how many series lie in a folder.
        localisers: whether a localiser lies beside each series, in the same series.
        opaque: whether files are named so that their names give no order.
        troubles: what is wrong with the export; each befalls another series, from the last one on.
        first_patient: the number in the pseudonym of its first phantom.
    """

    site: str
    series: int
    scanner: Scanner
    contrasts: tuple[tuple[float, float], ...]
    healthy: int = 0
    to_a_folder: int = 1
    localisers: bool = False
    opaque: bool = False
    troubles: tuple[Trouble, ...] = ()
    first_patient: int = 1001

    def phantom(self, number: int, seed: int) -> Scan:
        """Give one of its phantoms, from 0, as its scanner sees it; the same arguments give the same phantom."""
        words = hashlib.sha256(f"{seed}/{self.site}/{number}".encode()).digest()
        random = np.random.default_rng(np.frombuffer(words, np.uint32))
        body = make_body(random, self.contrasts, healthy=number < self.healthy)
        return scan(body, self.scanner.grid, self.scanner.noise, random)

    def patient(self, number: int) -> str:
        """Give the pseudonym of one of its phantoms."""
        return f"P{self.first_patient + number}"


def write_export(folder: Path, department: Department, seed: int) -> None:
    """Write a department's export folder, which is made.

    Args:
        folder: where it goes.
        department: whose it is.
        seed: of all phantoms of all departments.
    """
    befallen = dict(zip(reversed(range(department.series)), department.troubles, strict=False))
    for number in range(department.series):
        place = folder / f"export{number // department.to_a_folder + 1:03}"
        place.mkdir(parents=True, exist_ok=True)
        slices, others = make_files(department, number, seed)
        trouble = befallen.get(number)
        if trouble == "missing slice":
            del slices[len(slices) // 2]
        if trouble == "name in a private tag":
            slices[0].private_block(PRIVATE_GROUP, CREATOR, create=True).add_new(1, "PN", NAME)
        if trouble == "no DICOM":
            (place / "AUTORUN.INF").write_text("[autorun]\n", encoding="ascii")
        paths = [_write(place, image, department, number) for image in (*slices, *others)]
        if trouble == "cut file":
            cut = paths[len(slices) // 2]
            cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])


def make_files(department: Department, number: int, seed: int) -> tuple[list[FileDataset], list[Dataset]]:
    """Give what an archive has of one phantom, without troubles: its slices; and its truth, with a localiser if there are any."""
    seen, scanner, patient = department.phantom(number, seed), department.scanner, department.patient(number)
    slices = make_slices(seen, scanner, patient, department.site)
    others: list[Dataset] = [make_truth(seen, scanner, slices, patient, department.site)]
    if department.localisers:
        others.append(make_localiser(seen, scanner, patient, department.site))
    return slices, others


def _write(place: Path, image: Dataset, department: Department, number: int) -> Path:
    """Write a file: in an opaque export under a name that says nothing, else under its series' and its own number."""
    name = f"{number + 1:04}-{image.SeriesNumber}-{image.InstanceNumber:04}.dcm"
    if department.opaque:
        name = hashlib.sha256(image.SOPInstanceUID.encode()).hexdigest()[:OPAQUE_DIGITS]
    path = place / name
    pydicom.dcmwrite(path, image, enforce_file_format=True)
    return path
