"""Every series has a fit mask, or is set aside by code; masks are found by what they refer to, wherever they lie."""

from __future__ import annotations

import numpy as np
import pytest
from lesion_contract import LESION
from segmentations_on_disk import write_segmentation_of

from silo_node.dicom.index import Index
from silo_node.dicom.judge import Rules
from silo_node.imaging.judge import judge
from silo_node.imaging.masks import name_problems, with_masks
from silo_node.imaging.report import Tried, make_report
from wardround.contract.imaging import ImagingContract

CONTRACT = ImagingContract.model_validate({**LESION, "privacy": {"declared": False}})
HEALTHY_TOO = ImagingContract.model_validate({**LESION, "label": {**LESION["label"], "empty": "allowed"}})
CLEAN = {"PatientIdentityRemoved": "YES", "DeidentificationMethod": "test"}


@pytest.fixture
def series(write_slice):
    """Write five slices of a series; give their files."""

    def written(uid="1.2.3.1", slices=5, **changed):
        study = {"StudyInstanceUID": f"{uid}.9", "SeriesInstanceUID": uid, "BodyPartExamined": "CHEST"}
        return [write_slice(number, name=f"{uid}/{number}", **{**study, **CLEAN, **changed}) for number in range(slices)]

    return written


@pytest.fixture
def judged(export, tmp_path):
    """What becomes of the folder, with its masks."""

    def judged_(names=None, rules=None, contract=CONTRACT):
        index = Index(tmp_path / f"{len(list(tmp_path.iterdir()))}.sqlite", export, rules)
        index.update()
        judgement = judge(index.entries(), contract)
        return with_masks(judgement, index.segmentations(), index.instances(), contract, names or {}, export)

    return judged_


def codes(judgement):
    return [example.codes for example in judgement.examples]


def test_a_mask_in_another_folder(series, export, judged):
    """Folders and names say nothing; the example knows its mask, and every file is accounted for."""
    paths = series()
    (export / "elsewhere").mkdir()
    write_segmentation_of(paths, export / "elsewhere" / "x")
    found = judged()
    assert (codes(found), found.examples[0].mask) == ([()], "elsewhere/x")
    assert (found.files, found.images, found.masks, found.strays) == (6, 5, 1, 0)


def test_none_and_several(series, export, judged):
    """Which of two counts is not for a program to say."""
    series("1.2.3.1")
    paths = series("1.2.3.2")
    write_segmentation_of(paths, export / "a")
    write_segmentation_of(paths, export / "b", SOPInstanceUID="1.2.3.99")
    found = judged()
    assert codes(found) == [("D-MASK",), ("D-MASKS",)]
    assert [example.mask for example in found.examples] == [None, None]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"kind": "FRACTIONAL"}, "D-MASKFILE"),
        ({"segments": {1: ("Liver", "Liver")}}, "D-MASKCLASS"),
        ({"of_frames": {"position": [0, 0, 1.0]}}, "D-MASKFIT"),
        ({"drawn": [(1, 0, np.zeros((6, 4), np.uint8))]}, "D-MASKEMPTY"),
        ({"StudyInstanceUID": "1.2.3.77"}, "D-MASKREF"),
        ({"PatientID": "P9"}, "D-MASKREF"),
    ],
)
def test_a_mask_that_is_none(series, export, judged, changed, expected):
    """Its example is set aside by code, and no other."""
    write_segmentation_of(series("1.2.3.1"), export / "bad", **changed)
    write_segmentation_of(series("1.2.3.2"), export / "good")
    assert codes(judged()) == [(expected,), ()]


def test_a_series_in_which_nothing_was_found(series, export, judged):
    """It counts where the contract says so, and is told; one without a segmentation, or with one of no class, never does."""
    nothing = [(1, at, np.zeros((6, 4), np.uint8)) for at in range(5)]
    write_segmentation_of(series("1.2.3.1"), export / "healthy", nothing)
    write_segmentation_of(series("1.2.3.2"), export / "ill")
    series("1.2.3.3")
    write_segmentation_of(series("1.2.3.4"), export / "liver", nothing, segments={1: ("Liver", "Liver")})
    words = {"Liver": "background"}
    found = judged(words, contract=HEALTHY_TOO)
    assert codes(found) == [(), (), ("D-MASK",), ("D-MASKCLASS",)]
    assert [example.warnings for example in found.examples][:2] == [("D-MASKEMPTY",), ()]
    assert found.examples[0].mask == "healthy"
    assert codes(judged(words)) == [("D-MASKEMPTY",), (), ("D-MASK",), ("D-MASKCLASS",)]
    for contract, standing, word in ((HEALTHY_TOO, "warning", "counts"), (CONTRACT, "sets examples aside", "no example")):
        report = make_report(contract, "x", judged(words, contract=contract), 0, Tried(0, 0), 0.0)
        (finding,) = [each for each in report.findings if each.code == "D-MASKEMPTY"]
        assert (finding.standing, finding.count, finding.where) == (standing, 1, ("healthy",))
        assert word in finding.rule


def test_images_that_are_gone(series, export, judged):
    """A series that lost its last slice after it was drawn on."""
    paths = series()
    write_segmentation_of(paths, export / "seg")
    paths[-1].unlink()
    assert codes(judged()) == [("D-MASKREF",)]


def test_a_mask_of_nothing_here(series, export, judged):
    """It is counted, and speaks against nothing."""
    write_segmentation_of(series("1.2.3.1"), export / "good")
    gone = series("1.2.3.2")
    write_segmentation_of(gone, export / "stray")
    for path in gone:
        path.unlink()
    found = judged()
    assert (codes(found), found.strays, found.first["D-MASKSTRAY"]) == ([()], 1, ("stray",))
    report = make_report(CONTRACT, "x", found, 0, Tried(0, 0), 0.0)
    assert [(each.code, each.standing) for each in report.findings] == [("D-MASKSTRAY", "warning")]
    assert report.not_looked_at == ()


def test_people_in_a_mask(series, export, judged):
    """A warning: the header of a mask goes nowhere, but the file does when it is passed on."""
    write_segmentation_of(series(), export / "seg", PatientName="Doe^Jane")
    found = judged(rules=Rules())
    assert "D-MASKPHI" in found.examples[0].warnings


def test_the_hospitals_own_words(series, export, judged):
    """A label that is no class is one by the site file; a word that is no class is refused before anything is read."""
    write_segmentation_of(series(), export / "seg", segments={3: ("Neo", "Neoplasm")}, drawn=[(3, 0, np.ones((6, 4), np.uint8))])
    assert codes(judged()) == [("D-MASKCLASS",)]
    assert codes(judged({"neo": "lesion"})) == [()]
    (problem,) = name_problems({"Neo": "lesions", "Liver": "background"}, CONTRACT, "site.yaml")
    assert (problem.code, "did you mean 'lesion'?" in problem.next_step) == ("M-IMAGES", True)
