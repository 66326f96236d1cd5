"""The demonstration on images: its exports pass the check but for what was planted, and its words are what the check said."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from silo_node.configuration import load_site
from wardround.console import run
from wardround.contract.library import find_imaging
from wardround_lab.demo import departments
from wardround_lab.demo.departments import HOSPITALS, write_hospital
from wardround_lab.demo.radiology import RADIOLOGY
from wardround_lab.demo.story import SCHEMAS, show_checks, write_study
from wardround_lab.phantoms.hospital import Department, make_files
from wardround_lab.phantoms.volume import Grid

PLANTED = {"eastmere": "D-PRIVATE 1", "birkental": "D-TRUNC 1", "sainte-aubane": "D-GAP 1, D-MASKREF 1", "montaspro": ""}


def small(department: Department) -> Department:
    """The same department with fewer and coarser series."""
    grid = department.scanner.grid
    coarse = Grid(48, grid.spacing * grid.size / 48, 12, 3.0, grid.thickness)
    return replace(department, series=5, scanner=replace(department.scanner, grid=coarse))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three of the four hospitals, small, with what belongs to the demonstration beside them."""
    made = tmp_path_factory.mktemp("radiology")
    write_study(made, RADIOLOGY)
    for each in HOSPITALS[:3]:
        department = small(each.department)
        write_hospital(made / department.site, replace(each, department=department))
    return made


def test_each_export_has_its_own_trouble(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each hospital's check passes within the study's limit, and the table shows who has what set aside."""
    sites = [load_site(folder / site / "site.yaml") for site in PLANTED if (folder / site).is_dir()]
    for site in sites:
        words = ["0.2" if word == "0.15" else word for word in RADIOLOGY.check_words(folder)]  # one of five
        assert run(["silo", "check", "--site", str(site.path), *words]) == 0
    capsys.readouterr()
    said = StringIO()
    show_checks(Console(file=said, width=100), RADIOLOGY, sites)
    lines = {line.split()[0]: line for line in said.getvalue().splitlines() if line.split()}
    for site in sites:
        line = lines[site.file.name.split()[0]]
        assert line.rstrip().endswith(PLANTED[site.file.site])
        assert line.rstrip().removesuffix(PLANTED[site.file.site]).split()[-2:] == ["5", "1"]


def test_one_in_each_export_is_within_the_limit() -> None:
    """What is planted, and series without a lesion, are fewer than may be set aside."""
    for each in HOSPITALS:
        department = each.department
        bad = sum(trouble != "no DICOM" for trouble in department.troubles)
        assert (bad + department.healthy) / department.series <= 0.15


def test_the_scanners_are_within_the_schema(tmp_path: Path) -> None:
    """Every scanner writes what the demonstration's own schema allows, so that what is set aside is what was planted."""
    write_study(tmp_path, RADIOLOGY)
    contract = find_imaging(departments.SCHEMA, (tmp_path / SCHEMAS,))
    geometry = contract.geometry
    assert "synthetic" in contract.title
    for each in HOSPITALS:
        grid = each.department.scanner.grid
        for value, allowed in (
            (grid.size, geometry.rows),
            (grid.spacing, geometry.pixel_spacing),
            (grid.step, geometry.slice_step),
            (grid.slices, geometry.slices),
        ):
            assert allowed is not None
            assert allowed.low <= value <= allowed.high


def test_patients_of_two_hospitals_are_never_one() -> None:
    """No pseudonym and no UID stands in two hospitals."""
    patients = [each.department.patient(number) for each in HOSPITALS for number in range(each.department.series)]
    assert len(set(patients)) == len(patients)
    series = [make_files(small(each.department), 0, 1)[0][0].SeriesInstanceUID for each in HOSPITALS]
    assert len(set(series)) == len(series)
