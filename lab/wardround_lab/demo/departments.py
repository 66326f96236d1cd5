"""Four made-up radiology departments with synthetic images, each with its own scanner, archive and habits.

What differs is what differs between hospitals: spacing, thickness and number of slices, noise, how much of the contrast agent
has arrived (so that lesions are mostly darker than the organ, or mostly brighter), MONOCHROME1, compressed pixels, how files
are named and laid in folders. Three exports have a fault that a check must find.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from wardround.files import write_atomic
from wardround_lab.phantoms.hospital import PSEUDONYM, Department, write_export
from wardround_lab.phantoms.series import Scanner
from wardround_lab.phantoms.volume import Grid
from wardround_lab.site_files import POLICY_FILE, SHARES, SITE_FILE, policy_yaml

SCHEMA = "phantom.lesion"
SCANS = "scans"
SEED = 1895
"""Of all phantoms; the year of Röntgen's rays."""

FEW = {"small_cell": (1, "synthetic images: nobody is in them, so that no count is too small to tell (default: 11)")}
"""Of a policy: few series are many here."""

DARK, FAINT = (-60.0, -40.0), (-50.0, -30.0)
BRIGHT, LIGHT = (40.0, 65.0), (35.0, 60.0)
"""Contrasts of lesions, in HU."""


@dataclass(frozen=True)
class Radiology:
    """A hospital with its department: its name for people, and how it scans."""

    name: str
    department: Department


HOSPITALS = (
    Radiology(
        "Eastmere General Hospital",
        Department(
            site="eastmere",
            series=28,
            scanner=Scanner(Grid(64, 1.25, 20, 2.0, 2.0), noise=7.0),
            contrasts=(DARK, DARK, DARK, BRIGHT),
            opaque=True,
            troubles=("name in a private tag", "no DICOM"),
            first_patient=1001,
        ),
    ),
    Radiology(
        "Klinikum Birkental",
        Department(
            site="birkental",
            series=22,
            scanner=Scanner(Grid(80, 1.0, 26, 1.5, 1.5), noise=11.0, syntax="implicit", inverted=True, downwards=True, kvp=100),
            contrasts=(FAINT, FAINT, LIGHT),
            localisers=True,
            troubles=("cut file",),
            first_patient=2001,
        ),
    ),
    Radiology(
        "Hôpital Sainte-Aubane",
        Department(
            site="sainte-aubane",
            series=18,
            scanner=Scanner(Grid(72, 1.1, 16, 2.5, 3.0), noise=9.0, syntax="jpeg2000", turned=True),
            contrasts=(DARK, BRIGHT, BRIGHT),
            to_a_folder=2,
            troubles=("missing slice",),
            first_patient=3001,
        ),
    ),
    Radiology(
        "Ospedale di Montaspro",
        Department(
            site="montaspro",
            series=14,
            scanner=Scanner(Grid(64, 1.3, 14, 3.0, 3.0), noise=13.0, syntax="rle"),
            contrasts=(FAINT, LIGHT),
            first_patient=4001,
        ),
    ),
)
"""Largest first."""


def make_hospitals(folder: Path) -> tuple[Path, ...]:
    """Write the four hospitals, each in its own folder; gives the paths of their ``site.yaml``, largest first.

    Side by side, a process for each as far as there are processors: it is arithmetic and compression.
    """
    folders = [folder / each.department.site for each in HOSPITALS]
    processes = min(len(HOSPITALS), os.cpu_count() or 1)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        return tuple(pool.map(write_hospital, folders, HOSPITALS))


def write_hospital(folder: Path, hospital: Radiology, seed: int = SEED) -> Path:
    """Write a hospital's export, ``site.yaml`` and ``policy.yaml``; gives the path of ``site.yaml``."""
    write_export(folder / SCANS, hospital.department, seed)
    policy: Mapping[str, tuple[int | str, str]] = {**FEW, **SHARES}
    write_atomic(folder / POLICY_FILE, policy_yaml(policy).encode(), mode=0o600)
    write_atomic(folder / SITE_FILE, _site_yaml(hospital).encode(), mode=0o600)
    return folder / SITE_FILE


def _site_yaml(hospital: Radiology) -> str:
    return f"""\
site: {hospital.department.site}
name: {hospital.name}
sources:
  {SCANS}: {{format: dicom, path: {SCANS}, pseudonym: "{PSEUDONYM}"}}
schemas:
  {SCHEMA}: {{source: {SCANS}}}
"""
