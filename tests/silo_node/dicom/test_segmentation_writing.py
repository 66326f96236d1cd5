"""A label map that is written is read again, the same: by us, by pydicom and by highdicom."""

from __future__ import annotations

import stat
import warnings

import highdicom
import numpy as np
import pydicom
import pytest

from silo_node.dicom.header import read_header
from silo_node.dicom.instance import instance
from silo_node.dicom.segmentation import load_mask, references
from silo_node.dicom.segmentation_writing import Author, Concept, UnwritableError, write_segmentation
from silo_node.dicom.series import series_of

TWO = {"1": "lesion", "2": "blood vessel"}
AUTHOR = Author("liver net", "1.2", "0.1.0")


@pytest.fixture
def stack(write_slice):
    """Five slices."""
    paths = [write_slice(number, PatientName="P1", PatientSex="F", StudyID="7") for number in range(5)]
    (series,) = series_of([instance(read_header(path), path.name) for path in paths])
    return series.stacks[0]


def drawn():
    pixels = np.zeros((4, 6, 5), np.uint16)
    pixels[1:3, 2:4, 1:3] = 1
    pixels[0, 0, 4] = 2
    return pixels


def write(tmp_path, export, stack, label_map, classes=TWO, **more):
    path = tmp_path / "seg.dcm"
    write_segmentation(path, label_map, stack, export, classes, AUTHOR, **more)
    return path


def test_written_and_read(tmp_path, export, stack):
    """Equal, private to its owner, and of the images' patient, study and place."""
    path = write(tmp_path, export, stack, drawn())
    assert np.array_equal(load_mask(stack, tmp_path, path.name, TWO, {}), drawn())
    assert set(references(path).instances) == {each.sop_instance for each in stack.slices}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found, source = pydicom.dcmread(path), pydicom.dcmread(export / stack.slices[0].file)
    for keyword in ("PatientID", "PatientName", "PatientSex", "StudyID", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert found[keyword].value == source[keyword].value
    assert found.SeriesInstanceUID != source.SeriesInstanceUID
    segment = found.SegmentSequence[1]
    assert (segment.SegmentLabel, segment.SegmentAlgorithmType) == ("blood vessel", "AUTOMATIC")
    assert (segment.SegmentAlgorithmName, segment.SegmentationAlgorithmIdentificationSequence[0].AlgorithmVersion) == (
        "liver net",
        "1.2",
    )
    coded = segment.SegmentedPropertyTypeCodeSequence[0]
    assert (coded.CodeValue, coded.CodingSchemeDesignator, coded.CodeMeaning) == ("BLOOD_VESSEL", "99WARDROUND", "blood vessel")


def test_the_readers_of_others(tmp_path, export, stack):
    """pydicom decodes the frames that hold something; highdicom builds the volume that was written."""
    path = write(tmp_path, export, stack, drawn())
    assert pydicom.dcmread(path).pixel_array.shape == (3, 6, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = highdicom.seg.segread(path)
    uids = [each.sop_instance for each in stack.slices]
    pixels = read.get_pixels_by_source_instance(uids, combine_segments=True)
    assert np.array_equal(pixels.transpose(2, 1, 0), drawn())


def test_numbers_of_classes_need_not_follow_each_other(tmp_path, export, stack):
    """Segments are numbered from 1, as the standard has it; classes come back as they were."""
    classes = {"3": "lesion", "70": "vessel"}
    label_map = np.array([0, 3, 70], np.uint16)[drawn()]
    path = write(tmp_path, export, stack, label_map, classes)
    assert [each.SegmentNumber for each in pydicom.dcmread(path).SegmentSequence] == [1, 2]
    assert np.array_equal(load_mask(stack, tmp_path, path.name, classes, {}), label_map)


def test_codes_and_nothing_found(tmp_path, export, stack):
    """A class has its own code where one is given; where nothing was found, that is written."""
    concept = Concept("52988006", "SCT", "Lesion")
    path = write(tmp_path, export, stack, np.zeros((4, 6, 5), np.uint16), {"1": "lesion"}, concepts={"lesion": concept})
    found = pydicom.dcmread(path)
    assert found.SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0].CodeValue == "52988006"
    assert not found.pixel_array.any()


@pytest.mark.parametrize(
    "label_map", [np.zeros((6, 4, 5), np.uint16), np.zeros((4, 6, 4), np.uint16), np.full((4, 6, 5), 3, np.uint16)]
)
def test_what_is_no_label_map_of_the_stack(tmp_path, export, stack, label_map):
    """Nothing is written."""
    with pytest.raises(ValueError, match="size"):
        write(tmp_path, export, stack, label_map)
    assert not (tmp_path / "seg.dcm").exists()


def test_images_that_are_gone(tmp_path, export, stack):
    """No words of a library, which may hold values."""
    (export / stack.slices[2].file).unlink()
    with pytest.raises(UnwritableError) as raised:
        write(tmp_path, export, stack, drawn())
    assert (str(raised.value), raised.value.__cause__) == ("", None)
