"""An export has what was planted in it, the check finds just that, and the rest is fit."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pydicom
import pytest

from wardround.console import run
from wardround_lab.phantoms.hospital import NAME, PSEUDONYM, Department, Trouble, write_export
from wardround_lab.phantoms.series import Scanner
from wardround_lab.phantoms.volume import Grid

SCHEMAS = Path(str(files("wardround_lab.demo").joinpath("schemas")))
PLAIN = Department("north", 4, Scanner(Grid(48, 1.7, 12, 3.0, 3.0), 8.0), ((-60.0, -40.0),))


@pytest.fixture
def checked(tmp_path, capfd):
    """Write a department's export, check it, and give the status and the JSON report."""

    def check(department: Department, *words: str, empty: str = "refused") -> tuple[int, dict]:
        write_export(tmp_path / "scans", department, 1)
        schemas = tmp_path / f"schemas-{empty}"
        shutil.copytree(SCHEMAS, schemas)
        (contract,) = schemas.glob("imaging/phantom.lesion/*.yaml")
        contract.write_text(contract.read_text().replace("  format: dicom-seg\n", f"  format: dicom-seg\n  empty: {empty}\n"))
        source = f'{{format: dicom, path: scans, pseudonym: "{PSEUDONYM}"}}'
        site = f"site: north\nname: North\nsources:\n  scans: {source}\nschemas:\n  phantom.lesion: {{source: scans}}\n"
        (tmp_path / "site.yaml").write_text(site)
        asked = ("--site", str(tmp_path / "site.yaml"), "--schema", "phantom.lesion", "--schema-path", str(schemas))
        capfd.readouterr()
        status = run(["silo", "check", *asked, *words, "--format", "json"])
        return status, json.loads(capfd.readouterr().out)

    return check


def standing(report: dict, *standings: str) -> dict[str, int]:
    return {each["code"]: each["count"] for each in report["findings"] if each["standing"] in standings}


@pytest.mark.parametrize(
    "department",
    [
        replace(PLAIN, scanner=replace(PLAIN.scanner, syntax="rle", inverted=True), localisers=True, opaque=True),
        replace(PLAIN, scanner=replace(PLAIN.scanner, syntax="jpeg2000", turned=True, downwards=True), to_a_folder=2),
    ],
    ids=["inverted", "turned"],
)
def test_a_clean_export_is_fit(checked, department):
    """Nothing speaks against any series, in whatever way they are written; all pixels decode."""
    status, report = checked(department, "--pixels")
    assert (status, report["examples"]) == (0, {"are": "series", "found": 4, "fit": 4, "set_aside": 0})
    assert standing(report, "sets examples aside", "damaged") == {}
    # codes of a purpose in Source Image Sequence, which the table of PS3.15 lists and the standard asks for
    assert standing(report, "warning") == {"D-MASKPHI": 4}
    assert report["decoded"]["images"] == report["files"]["images"] == 4 * 12
    assert report["files"]["of_another_kind"].get("D-KIND", 0) == (4 if department.localisers else 0)


def test_what_is_planted_is_found(checked, tmp_path):
    """Each trouble has its code, on one series; the planted name is in no file that the check writes."""
    troubles: tuple[Trouble, ...] = ("cut file", "missing slice", "name in a private tag", "no DICOM")
    status, report = checked(replace(PLAIN, series=8, troubles=troubles), "--max-fraction", "0.4")
    assert (status, report["examples"]) == (0, {"are": "series", "found": 8, "fit": 5, "set_aside": 3})
    assert standing(report, "sets examples aside") == {"D-TRUNC": 1, "D-GAP": 1, "D-MASKREF": 1, "D-PRIVATE": 1}
    assert report["files"]["unreadable"] == {"D-NOTDICOM": 1}
    holding = [path for path in tmp_path.rglob("*") if path.is_file() and NAME.encode() in path.read_bytes()]
    assert [path.relative_to(tmp_path).parts[0] for path in holding] == ["scans"]


def test_a_phantom_without_a_lesion_has_an_empty_mask(checked):
    """Such a series is set aside, unless the contract lets it be an example: then it is told, and counts."""
    status, report = checked(replace(PLAIN, healthy=1))
    assert (status, report["examples"]["set_aside"]) == (1, 1)
    assert standing(report, "sets examples aside") == {"D-MASKEMPTY": 1}
    status, report = checked(replace(PLAIN, healthy=1), empty="allowed")
    assert (status, report["examples"]) == (0, {"are": "series", "found": 4, "fit": 4, "set_aside": 0})
    assert standing(report, "warning") == {"D-MASKEMPTY": 1, "D-MASKPHI": 4}


def test_an_opaque_export_has_no_order(tmp_path):
    """Sorted by name, slices of an opaque export are not in order; of another they are."""
    for opaque in (True, False):
        folder = tmp_path / str(opaque)
        write_export(folder, replace(PLAIN, series=1, opaque=opaque), 1)
        read = [pydicom.dcmread(path) for path in sorted(folder.rglob("*")) if path.is_file()]
        numbers = [int(each.InstanceNumber) for each in read if each.Modality == "CT"]
        assert (numbers == sorted(numbers)) is not opaque
