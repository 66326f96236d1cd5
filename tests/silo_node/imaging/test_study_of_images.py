"""A study's records are those with an image that is fit: set aside by code, limited, split by patient, told in numbers alone."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

from silo_node.cohort import assemble
from silo_node.configuration import load_site
from silo_node.imaging import preparable
from silo_node.validation.result import CheckFailed
from wardround.contract.implied_table import implied_table
from wardround.contract.library import find_imaging
from wardround.strict_yaml import load, parse
from wardround.study.model import Study
from wardround_lab.phantoms.hospital import NAME, PSEUDONYM, Department, write_export
from wardround_lab.phantoms.series import Scanner
from wardround_lab.phantoms.volume import Grid

DEMO = Path(str(files("wardround_lab.demo")))
IMAGING = find_imaging("phantom.lesion", [DEMO / "schemas"])
TABLE = implied_table(IMAGING)
PLAIN = Department("north", 8, Scanner(Grid(48, 1.7, 12, 3.0, 3.0), 8.0), ((-60.0, -40.0),))
LONG = Department("north-long", 1, Scanner(Grid(48, 1.7, 24, 3.0, 3.0), 8.0), ((-60.0, -40.0),), first_patient=2001)
HASH = "5" * 64


def study():
    return parse(Study, load(DEMO / "phantom-lesions.yaml"))


def site_of(folder, department, seed=1, small_cell=1):
    write_export(folder / "scans", department, seed)
    source = f'{{format: dicom, path: scans, pseudonym: "{PSEUDONYM}"}}'
    text = f"site: north\nname: North\nsources:\n  scans: {source}\nschemas:\n  phantom.lesion: {{source: scans}}\n"
    (folder / "site.yaml").write_text(text)
    (folder / "policy.yaml").write_text(f"small_cell: {small_cell}\nminimum_records: 1\n")
    return load_site(folder / "site.yaml")


def limited(share):
    made = study()
    return made.model_copy(update={"quarantine": made.quarantine.model_copy(update={"max_fraction": share})})


@pytest.fixture(scope="module")
def troubled(tmp_path_factory):
    """A department of eight series: one lacks a slice, one has a name in a private tag."""
    department = replace(PLAIN, troubles=("missing slice", "name in a private tag"))
    return site_of(tmp_path_factory.mktemp("troubled"), department, small_cell=3)


def test_records_without_a_fit_image_are_set_aside_by_code(troubled):
    """Found is set aside plus used, and each record that is used has one image, of its own patient."""
    cohort = assemble(troubled, TABLE, limited(0.3), HASH, IMAGING)
    counts = cohort.counts
    assert (counts.found, counts.quarantined) == (8, 2)
    assert counts.train + counts.validation + counts.test == 6
    assert {"D-GAP", "D-PRIVATE"} <= set(cohort.report.quarantined_by_code)
    used = [part for part in (cohort.train, cohort.validation, cohort.test) if part.height]
    patients = [set(part["patient"]) for part in used]
    assert sum(len(each) for each in patients) == len(set().union(*patients)) == 6
    assert cohort.images is not None
    array, affine, mask = cohort.images.loaders(cohort.train)[0]()
    assert (array.shape, affine.shape, mask.shape) == ((48, 48, 12), (4, 4), (48, 48, 12))


def test_what_leaves_has_codes_and_large_counts_alone(troubled):
    """Two of eight were set aside and the small cell is 3: no count is told, but of those that are valid."""
    report = assemble(troubled, TABLE, limited(0.3), HASH, IMAGING).outgoing
    text = report.model_dump_json()
    assert {each.code for each in report.findings} >= {"D-GAP", "D-PRIVATE"}
    assert all(not hasattr(each.records, "count") for each in report.findings)
    assert not hasattr(report.found, "count")
    for secret in (NAME, "scans", "1.2.826", "P100"):
        assert secret not in text


def test_more_set_aside_than_the_study_allows_refuses_the_hospital(troubled):
    """The report that leaves says why."""
    with pytest.raises(CheckFailed) as caught:
        assemble(troubled, TABLE, limited(0.1), HASH, IMAGING)
    assert "T-QUARANTINE" in caught.value.codes
    assert not caught.value.outgoing.passed


def test_a_scan_too_long_for_the_studys_spacing_is_set_aside_and_stops_nobody(tmp_path, monkeypatch):
    """Before the split, under the study's limit, told by its code and size; what no spacing asks for stays."""
    monkeypatch.setattr(preparable, "MOST_VOXELS", 45_000)  # a series of 12 slices has 30,000 at 2 mm
    write_export(tmp_path / "scans" / "long", LONG, 1)
    site = site_of(tmp_path, PLAIN)
    cohort = assemble(site, TABLE, limited(0.2), HASH, IMAGING)
    assert (cohort.counts.found, cohort.counts.quarantined) == (9, 1)
    assert cohort.report.quarantined_by_code == {"D-PREPARE": 1}
    (finding,) = [each for each in cohort.report.findings if each.code == "D-PREPARE"]
    assert (finding.count, finding.finding) == (1, "the images of 1 of 9 records break this, the largest of 48 × 48 × 24")
    assert [each.code for each in cohort.outgoing.findings] == ["D-PREPARE"]
    used = [part for part in (cohort.train, cohort.validation, cohort.test) if part.height]
    assert sum(part.height for part in used) == 8
    assert not any(LONG.patient(0) in set(part["patient"]) for part in used)
    with pytest.raises(CheckFailed) as caught:
        assemble(site, TABLE, limited(0.1), HASH, IMAGING)
    assert set(caught.value.codes) == {"T-QUARANTINE", "D-PREPARE"}
    made = limited(0.0)
    unspaced = tuple(each for each in made.images.preparation if each.name != "Spacing")
    made = made.model_copy(update={"images": made.images.model_copy(update={"preparation": unspaced})})
    assert assemble(site, TABLE, made, HASH, IMAGING).counts.quarantined == 0


def test_too_few_images_refuse_the_hospital(tmp_path):
    """The contract's own least number counts what is fit."""
    with pytest.raises(CheckFailed) as caught:
        assemble(site_of(tmp_path, replace(PLAIN, series=3)), TABLE, limited(0.0), HASH, IMAGING)
    assert "T-FEW" in caught.value.codes


def test_a_series_without_a_lesion_is_an_example_where_the_contract_says_so(tmp_path):
    """Its mask is all background; by another contract it is set aside."""
    site = site_of(tmp_path, replace(PLAIN, healthy=1))
    both = IMAGING.model_copy(update={"label": IMAGING.label.model_copy(update={"empty": "allowed"})})
    cohort = assemble(site, TABLE, limited(0.0), HASH, both)
    assert (cohort.counts.found, cohort.counts.quarantined) == (8, 0)
    masks = [load()[2] for part in (cohort.train, cohort.validation, cohort.test) for load in cohort.images.loaders(part)]
    assert [bool(mask.any()) for mask in masks].count(False) == 1
    strict = assemble(site, TABLE, limited(0.2), HASH, IMAGING)
    assert strict.report.quarantined_by_code == {"D-MASKEMPTY": 1}


def test_names_and_order_of_files_change_nothing(tmp_path):
    """Nor do folders: the fingerprint is of what is in the files."""
    site = site_of(tmp_path, PLAIN)
    before = assemble(site, TABLE, limited(0.0), HASH, IMAGING)
    for number, path in enumerate(sorted((tmp_path / "scans").rglob("*"), reverse=True)):
        if path.is_file():
            path.rename(tmp_path / "scans" / f"{number:06}.dcm")
    after = assemble(site, TABLE, limited(0.0), HASH, IMAGING)
    assert after.fingerprint == before.fingerprint
    assert after.train.equals(before.train)
