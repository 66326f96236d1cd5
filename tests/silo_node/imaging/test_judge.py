"""Every file is accounted for, every fault has its code, and one bad series takes no other with it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pydicom
import pytest
from lesion_contract import LESION
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from silo_node.dicom.index import Index
from silo_node.imaging.judge import judge
from silo_node.imaging.rules import rule
from wardround.contract.imaging import ImagingContract


def judged(export, tmp_path, **changed):
    """What a fresh index makes of the export folder."""
    index = Index(tmp_path / "index.sqlite", export)
    index.update()
    found = judge(index.entries(), ImagingContract.model_validate({**LESION, **changed}))
    images = sum(len(example.stack.slices) for example in found.examples)
    assert found.files == sum(found.unreadable.values()) + found.objects + sum(found.other.values()) + images
    assert len(found.examples) == len(found.fit) + len(found.aside)
    return found


def code_of(value, meaning):
    """One item of a sequence of codes."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SRT", meaning
    return item


def table_of_numbers():
    """A Modality LUT."""
    item = Dataset()
    item.LUTDescriptor, item.LUTData, item.ModalityLUTType = [256, 0, 16], bytes(512), "HU"
    return item


def whole_series(write_slice, series="1.2.3.1", slices=5, **changed):
    """Write a series against which nothing speaks, unless something is changed."""
    for number in range(slices):
        write_slice(number, name=f"{series}/{number}", SeriesInstanceUID=series, BodyPartExamined="CHEST", **changed)


def test_a_fit_series(write_slice, export, tmp_path):
    """Nothing speaks against it, nothing is odd."""
    whole_series(write_slice)
    (example,) = judged(export, tmp_path).examples
    assert (len(example.stack.slices), example.codes, example.warnings) == (5, (), ())


@pytest.mark.parametrize(
    ("changed", "codes"),
    [
        ({"PhotometricInterpretation": "MONOCHROME1"}, ("D-PHOTO",)),
        ({"BitsStored": 10, "HighBit": 9}, ("D-BITS",)),
        ({"pixels": np.zeros((7, 4), np.int16)}, ("D-SIZE",)),
        ({"PixelSpacing": [1.7, 0.5]}, ("D-SPACING",)),
        ({"PixelSpacing": None}, ("D-NOPLANE", "D-SPACING")),
        ({"RescaleIntercept": None}, ("D-RESCALE",)),
        ({"RescaleSlope": 0}, ("D-RESCALE",)),
        ({"RescaleType": "US"}, ("D-RESCALE",)),
        ({"RescaleType": "OD"}, ("D-RESCALE",)),
        ({"ModalityLUTSequence": [table_of_numbers()]}, ("D-RESCALE",)),
        ({"RescaleSlope": "1e30"}, ("D-RESCALE",)),
        ({"RescaleIntercept": "-1e30"}, ("D-RESCALE",)),
        ({"slices": 3}, ("D-SLICES",)),
        ({"slices": 11}, ("D-SLICES",)),
        ({"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}, ("D-DUPSLICE", "D-PLANE")),
        ({"StudyInstanceUID": "1.02.3"}, ("D-UID",)),
        ({"StudyInstanceUID": None}, ("D-UID",)),
        ({"PatientID": ""}, ("D-PATIENT",)),
        ({"PixelData": b"\0" * 10}, ("D-PIXLEN",)),
    ],
)
def test_what_speaks_against_a_series(write_slice, export, tmp_path, changed, codes):
    """Each fault has its code; the other series of the hospital stays fit."""
    whole_series(write_slice)
    whole_series(write_slice, series="1.2.3.2", **{"StudyInstanceUID": "1.2.9", **changed})
    found = judged(export, tmp_path)
    assert [len(example.stack.slices) for example in found.fit] == [5]
    assert [example.codes for example in found.aside] == [codes]


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({}, {"without"}),
        ({"ContrastBolusAgent": "OMNIPAQUE 350"}, {"with"}),
        ({"ContrastBolusAgent": "", "ContrastBolusVolume": 100}, {"with"}),
        ({"ContrastBolusRoute": "IV"}, {"with"}),
        ({"ContrastBolusAgent": "", "ContrastBolusAgentSequence": [code_of("C-B0322", "Iohexol")]}, {"with"}),
        ({"ContrastBolusStartTime": "101500"}, {"with"}),
        ({"ContrastBolusAgent": ""}, set()),
        ({"ContrastBolusAgent": "REMOVED"}, set()),
        ({"ContrastBolusAgent": "", "ContrastBolusRoute": "", "ContrastBolusVolume": 0}, set()),
        ({"ContrastBolusAgent": "", "ContrastBolusAgentSequence": []}, set()),
    ],
)
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_contrast_is_what_any_element_says(write_slice, export, tmp_path, syntax, changed, wanted):
    """An agent's name is the first that a de-identifier takes; what is left empty says neither, and nothing there says none."""
    whole_series(write_slice, syntax=syntax, **changed)
    fit = set()
    for contrast in ("any", "with", "without"):
        (example,) = judged(export, tmp_path, protocol={**LESION["protocol"], "contrast": contrast}).examples
        assert example.codes in ((), ("D-CONTRAST",))
        fit |= set() if example.codes else {contrast}
    assert fit == {"any", *wanted}


@pytest.mark.parametrize("changed", [{"RescaleType": "HU"}, {"RescaleType": "hu "}, {"RescaleType": ""}])
def test_hounsfield_units_by_name_or_by_silence(write_slice, export, tmp_path, changed):
    """Rescale Type is seldom there, and then says HU."""
    whole_series(write_slice, **changed)
    assert [example.codes for example in judged(export, tmp_path).examples] == [()]


def test_a_table_that_is_not_applied_is_told(write_slice, export, tmp_path):
    """Stored numbers stay what they are; that others were meant is a warning. Impossible slopes have none."""
    whole_series(write_slice, RescaleSlope=None, RescaleIntercept=None, ModalityLUTSequence=[table_of_numbers()])
    whole_series(write_slice, series="1.2.3.2", StudyInstanceUID="1.2.9", RescaleSlope="1e30")
    found = judged(export, tmp_path, intensity={"unit": "stored"})
    assert [(example.codes, example.warnings) for example in found.examples] == [((), ("D-RESCALE",)), (("D-RESCALE",), ())]
    stored = ImagingContract.model_validate({**LESION, "intensity": {"unit": "stored"}})
    assert rule("D-RESCALE", stored).startswith("No Modality LUT")


def test_steps_that_are_too_long(write_slice, export, tmp_path):
    """Measured along the normal, not read from SliceThickness."""
    for number in range(5):
        write_slice(number, at=(0, 0, 6.0 * number), BodyPartExamined="CHEST")
    assert [example.codes for example in judged(export, tmp_path).aside] == [("D-STEP",)]


def test_a_body_part_is_a_warning(write_slice, export, tmp_path):
    """It is wrong too often to set a series aside for it."""
    for number in range(5):
        write_slice(number, BodyPartExamined="ABDOMEN")
    (example,) = judged(export, tmp_path).examples
    assert (example.codes, example.warnings) == ((), ("D-BODYPART",))


def test_other_kinds_are_no_fault(write_slice, export, tmp_path):
    """Localisers, other modalities and reports lie in every export: counted, and nobody's fault; one without pixels is."""
    whole_series(write_slice)
    write_slice(20, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    write_slice(21, Modality="MR")
    write_slice(22, PixelData=None, SOPClassUID="1.2.840.10008.5.1.4.1.1.88.67")
    write_slice(23, PixelData=None)
    (export / "README").write_text("no image")
    found = judged(export, tmp_path)
    assert (dict(found.other), found.objects, dict(found.unreadable)) == (
        {"D-KIND": 1, "D-MODALITY": 1},
        1,
        {"D-NOTDICOM": 1, "D-NOPIXELS": 1},
    )
    assert found.first == {
        "D-KIND": ("020.dcm",),
        "D-MODALITY": ("021.dcm",),
        "D-OBJECT": ("022.dcm",),
        "D-NOPIXELS": ("023.dcm",),
        "D-NOTDICOM": ("README",),
    }
    assert len(found.fit) == len(found.examples) == 1


def test_an_image_that_stands_twice_is_certain_nowhere(write_slice, export, tmp_path):
    """The same SOP Instance UID in two files: which of them is the image?"""
    whole_series(write_slice)
    whole_series(write_slice, series="1.2.3.2", StudyInstanceUID="1.2.9")
    (export / "copy").write_bytes((export / "1.2.3.2/0").read_bytes())
    found = judged(export, tmp_path)
    assert [example.codes for example in found.aside] == [("D-DUPSLICE", "D-UID")]
    assert len(found.fit) == 1


def test_a_study_of_two_patients(write_slice, export, tmp_path):
    """All of its series are set aside, whichever of them is right."""
    whole_series(write_slice)
    whole_series(write_slice, series="1.2.3.2", PatientID="P2")
    found = judged(export, tmp_path)
    assert [example.codes for example in found.aside] == [("D-UID",), ("D-UID",)]


def test_examples_may_be_images(write_slice, export, tmp_path):
    """Then one bad image of a series leaves the others."""
    flat = {"dimensions": 2, "rows": {"low": 6, "high": 6}}
    label = {"kind": "class", "fields": ("finding",)}
    table = {"id": "chest.findings", "version": "1.0.0", "grain": "image", "keys": {"image": "sop_uid"}}
    whole_series(write_slice, slices=4)
    write_slice(9, name="other", pixels=np.zeros((9, 4), np.int16), BodyPartExamined="CHEST")
    found = judged(export, tmp_path, example="image", geometry=flat, label=label, table=table)
    assert Counter(example.codes for example in found.examples) == {(): 4, ("D-SIZE",): 1}


@pytest.mark.parametrize(
    "changed",
    [
        {"NumberOfFrames": 3, "PixelData": bytes(3 * 6 * 4 * 2)},
        {"SharedFunctionalGroupsSequence": [pydicom.Dataset()]},
    ],
)
def test_several_frames_are_no_image(write_slice, export, tmp_path, changed):
    """Which of them would be meant is not guessed; what stands in functional groups is not read: the others stay fit."""
    flat = {"dimensions": 2, "rows": {"low": 6, "high": 6}}
    label = {"kind": "class", "fields": ("finding",)}
    table = {"id": "chest.findings", "version": "1.0.0", "grain": "image", "keys": {"image": "sop_uid"}}
    whole_series(write_slice, slices=4)
    write_slice(9, name="several", BodyPartExamined="CHEST", **changed)
    found = judged(export, tmp_path, example="image", geometry=flat, label=label, table=table)
    assert Counter(example.codes for example in found.examples) == {(): 4, ("D-MULTIFRAME",): 1}
    assert [example.at["D-MULTIFRAME"] for example in found.aside] == ["several"]


def test_a_code_names_the_first_file_that_has_it(write_slice, export, tmp_path):
    """Not only the series: whoever mends it wants the file."""
    whole_series(write_slice)
    (export / "1.2.3.1/3").unlink()
    write_slice(3, name="late", SeriesInstanceUID="1.2.3.1", BodyPartExamined="HEAD", RescaleSlope=0)
    (example,) = judged(export, tmp_path).examples
    assert (example.codes, example.at) == (("D-RESCALE",), {"D-RESCALE": "late", "D-BODYPART": "late"})


TAGS = {"required": ("KVP", "SliceThickness"), "forbidden": ("PatientAge", "OverlayData")}


def test_required_and_forbidden_elements(write_slice, export, tmp_path):
    """In every image: a blank is no value, an overlay of any group is one; each breach is counted by its keyword."""
    whole_series(write_slice, KVP=120)
    age, overlay = {"KVP": 120, "PatientAge": "054Y"}, {"KVP": 120}
    for number, changed in enumerate(({}, {"KVP": ""}, age, {"KVP": 120, "SliceThickness": None}, overlay)):
        uid = f"1.2.3.{number + 2}"
        whole_series(write_slice, series=uid, StudyInstanceUID=f"{uid}.9", **changed)
    for path in (export / "1.2.3.6").iterdir():
        dataset = pydicom.dcmread(path)
        dataset.add_new(0x60023000, "OW", bytes(4))
        dataset.save_as(path)
    found, missing = judged(export, tmp_path, tags=TAGS), ("D-NOTAG",)
    assert [example.codes for example in found.examples] == [missing, missing, ("D-TAG",), missing, ("D-TAG",), ()]
    counts = Counter(keyword for keywords in found.tags.values() for keyword in keywords)
    assert counts == {"KVP": 10, "PatientAge": 5, "SliceThickness": 5, "OverlayData": 5}


def test_one_image_without_an_element_is_enough(write_slice, export, tmp_path):
    """The file that lacks it is named."""
    whole_series(write_slice, KVP=120, slices=4)
    write_slice(4, name="late", SeriesInstanceUID="1.2.3.1", BodyPartExamined="CHEST")
    (example,) = judged(export, tmp_path, tags=TAGS).examples
    assert (example.codes, example.at) == (("D-NOTAG",), {"D-NOTAG": "late"})


@pytest.mark.parametrize(("thickness", "codes"), [(2.5, ()), (5.1, ("D-THICK",)), (None, ("D-THICK",))])
def test_the_thickness_of_slices(write_slice, export, tmp_path, thickness, codes):
    """As headers say it: another thing than the step between slices."""
    whole_series(write_slice, SliceThickness=thickness)
    geometry = {**LESION["geometry"], "slice_thickness": {"low": 0.5, "high": 5}}
    (example,) = judged(export, tmp_path, geometry=geometry).examples
    assert example.codes == codes
