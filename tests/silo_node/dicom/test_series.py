"""Series and stacks: right order, right affine, and the right word for everything that is no volume."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK

from silo_node.dicom.header import read_header
from silo_node.dicom.instance import instance
from silo_node.dicom.series import series_of
from silo_node.dicom.volume import assemble


def found(folder, tolerance=0.01):
    """Every series of an export folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return series_of((instance(read_header(path), str(path.relative_to(folder))) for path in files), tolerance)


def one_stack(folder):
    """The only stack of an export folder."""
    (series,) = found(folder)
    (stack,) = series.stacks
    return stack


def order(stack):
    """The slices' instance numbers, in order."""
    return [each.number for each in stack.slices]


def test_a_whole_series_is_a_volume(write_slice, export):
    """Its affine leads from column, row and slice to right, front and head."""
    for number in range(5):
        write_slice(number)
    stack = one_stack(export)
    assert (order(stack), stack.troubles, stack.missing, stack.localiser) == ([0, 1, 2, 3, 4], (), 0, False)
    assert stack.step == pytest.approx(2.5)
    assert np.allclose(stack.affine, [[-0.5, 0, 0, 0], [0, -0.7, 0, 0], [0, 0, 2.5, 0], [0, 0, 0, 1]])


def test_names_folders_and_numbers_do_not_count(write_slice, export):
    """Files shuffled over folders, with names and instance numbers that say another order, make the same volume."""
    names = [f"{letter}/{number}.x" for number, letter in zip([7, 1, 4, 0, 8, 3, 6, 2, 5], "abcabcabc", strict=True)]
    for number in range(9):
        write_slice(number, name=names[number], InstanceNumber=100 - number)
    stack = one_stack(export)
    assert (order(stack), stack.troubles) == (list(range(100, 91, -1)), ())
    assert stack.affine[2, 2] == pytest.approx(2.5)


def test_two_series_in_one_folder_are_two(write_slice, export):
    """MONAI's reader makes one volume of them, with half the spacing, and says nothing."""
    for number in range(4):
        write_slice(number)
        write_slice(number, name=f"b{number}", at=(0, 0, 2.5 * number + 1.25), SeriesInstanceUID="1.2.3.4")
    both = found(export)
    assert [len(series.stacks) for series in both] == [1, 1]
    assert [series.stacks[0].step for series in both] == [pytest.approx(2.5)] * 2


@pytest.mark.parametrize(
    ("lost", "missing"),
    [((2,), 1), ((2, 3), 2), ((1, 4), 2)],
)
def test_missing_slices_are_counted(write_slice, export, lost, missing):
    """A gap is a whole number of steps."""
    for number in {*range(7)} - {*lost}:
        write_slice(number)
    stack = one_stack(export)
    assert (stack.troubles, stack.missing, stack.step) == (("D-GAP",), missing, pytest.approx(2.5))


def test_slices_lost_at_an_end_are_no_gap(write_slice, export):
    """Nothing in the files says that there were more; the contract's least number of slices catches it."""
    for number in range(3, 8):
        write_slice(number)
    assert one_stack(export).troubles == ()


@pytest.mark.parametrize(("off", "troubles"), [(0.02, ()), (0.1, ("D-UNEVEN",)), (1.2, ("D-UNEVEN",))])
def test_steps_are_even(write_slice, export, off, troubles):
    """Steps may differ by one in a hundred."""
    for number in range(6):
        write_slice(number, at=(0, 0, 2.5 * number + (off if number == 3 else 0)))
    assert one_stack(export).troubles == troubles


def test_a_slice_that_stands_twice(write_slice, export):
    """The same place twice, and nothing tells the two apart."""
    for number in range(4):
        write_slice(number)
    write_slice(9, at=(0, 0, 5.0))
    assert one_stack(export).troubles == ("D-DUPSLICE",)


@pytest.mark.parametrize("element", ["TemporalPositionIdentifier", "AcquisitionNumber"])
def test_moments_are_told_apart(write_slice, export, element):
    """Two acquisitions of the same places in one series are two volumes."""
    for moment in (1, 2):
        for number in range(4):
            write_slice(10 * moment + number, at=(0, 0, 2.5 * number), **{element: moment})
    (series,) = found(export)
    assert [(order(stack), stack.troubles) for stack in series.stacks] == [([10, 11, 12, 13], ()), ([20, 21, 22, 23], ())]


def test_what_differs_is_another_stack(write_slice, export):
    """Another size, spacing, orientation, frame of reference or kind: none of them is a slice of the volume."""
    for number in range(4):
        write_slice(number)
    others = {
        "size": {"pixels": np.zeros((4, 4), np.int16)},
        "spacing": {"PixelSpacing": [0.8, 0.5]},
        "orientation": {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]},
        "frame": {"FrameOfReferenceUID": "1.2.3"},
        "localiser": {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
    }
    for number, (name, changed) in enumerate(others.items(), start=20):
        write_slice(number, name=name, **changed)
    (series,) = found(export)
    assert [len(stack.slices) for stack in series.stacks] == [4, 1, 1, 1, 1, 1]
    assert [stack.slices[0].file for stack in series.stacks if stack.localiser] == ["localiser"]


def test_a_tilted_gantry(write_slice, export):
    """The slices shift along the table: they are no box."""
    for number in range(5):
        write_slice(number, at=(0, 0.4 * number, 2.5 * number))
    assert one_stack(export).troubles == ("D-TILT",)


@pytest.mark.parametrize(
    ("aside", "troubles"),
    [
        ({3: 50.0}, ("D-TILT",)),
        ({2: 20.0, 3: -20.0}, ("D-TILT",)),
        ({0: 50.0}, ("D-TILT",)),
        ({4: 0.2}, ("D-TILT",)),
        ({3: 0.02}, ()),
    ],
)
@pytest.mark.parametrize("axis", [0, 1])
def test_a_slice_that_lies_aside(write_slice, export, axis, aside, troubles):
    """Each slice lies on the line through the stack, to a share of a step; the first and the last alone say too little."""
    for number in range(9):
        write_slice(number, at=(*np.eye(2)[axis] * aside.get(number, 0.0), 2.5 * number))
    assert one_stack(export).troubles == troubles


def test_oblique_slices_are_sorted_along_their_normal(write_slice, export):
    """The affine is orthogonal, whatever the plane; its third column is the normal."""
    row = np.array([0.8, 0.6, 0.0])
    column = np.array([0.0, 0.0, -1.0])
    normal = np.cross(row, column)
    for number in range(5):
        cosines = [float(part) for part in (*row, *column)]
        write_slice(number, at=tuple(float(part) for part in 3.0 * (4 - number) * normal), ImageOrientationPatient=cosines)
    stack = one_stack(export)
    assert (order(stack), stack.troubles) == ([4, 3, 2, 1, 0], ())
    assert np.allclose(stack.affine[:3, 2], 3.0 * normal * [-1, -1, 1])
    assert np.allclose(stack.affine[:3, 0] @ stack.affine[:3, 2], 0)


@pytest.mark.parametrize(
    ("changed", "trouble"),
    [
        ({"ImagePositionPatient": None}, "D-NOPLANE"),
        ({"ImageOrientationPatient": None}, "D-NOPLANE"),
        ({"PixelSpacing": None}, "D-NOPLANE"),
        ({"ImagePositionPatient": ["1e300", "0", "0"]}, "D-NOPLANE"),
        ({"ImageOrientationPatient": ["1e200", "0", "0", "0", "1e200", "0"]}, "D-NOPLANE"),
        ({"PixelSpacing": ["1e300", "0.5"]}, "D-NOPLANE"),
        ({"ImageOrientationPatient": ["1e6", "0", "0", "0", "1e6", "0"]}, "D-ORIENT"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "D-ORIENT"),
        ({"ImageOrientationPatient": [0.9, 0, 0, 0, 1, 0]}, "D-ORIENT"),
        ({"PixelSpacing": [0, 0.5]}, "D-ORIENT"),
        ({"NumberOfFrames": 3}, "D-MULTIFRAME"),
    ],
)
def test_no_affine_is_invented(write_slice, export, changed, trouble):
    """Where geometry is missing or impossible, there is a code and no volume."""
    for number in range(3):
        write_slice(number, **changed)
    stack = one_stack(export)
    assert (stack.troubles, stack.affine) == ((trouble,), None)


def test_the_order_of_the_files_changes_nothing(write_slice, export):
    """Whatever order a folder gives them in."""
    for number in range(8):
        write_slice(number, AcquisitionNumber=number % 2, at=(0, 0, 2.5 * (number // 2)))
    straight = [instance(read_header(path), path.name) for path in sorted(export.iterdir())]
    shuffled = [straight[at] for at in (3, 7, 0, 5, 1, 6, 4, 2)]
    told = [[[each.file for each in stack.slices] for stack in series_of(some)[0].stacks] for some in (shuffled, straight)]
    assert told[0] == told[1]


def test_a_real_series_agrees_with_an_independent_library(test_data):
    """Twenty slices of a real MR: order, values and places as SimpleITK has them."""
    folder = test_data / "dicom/series/mr_adc_dcmqi_20slices"
    stack = one_stack(folder)
    volume = assemble(stack, folder)
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    theirs = reader.Execute()
    assert [each.file for each in stack.slices] == [Path(name).name for name in reader.GetFileNames()]
    assert np.array_equal(SimpleITK.GetArrayFromImage(theirs).transpose(2, 1, 0), volume.array)
    for corner in [(0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 19), (255, 255, 19)]:
        right, front, head = (volume.affine @ [*corner, 1])[:3]
        assert np.allclose(theirs.TransformIndexToPhysicalPoint(corner), [-right, -front, head], atol=2e-3)


def test_a_real_series_in_disorder(test_data, tmp_path):
    """Renamed and in another order, with a second series between its files: the same volume; without a slice: a gap of one."""
    folder = test_data / "dicom/series/mr_adc_dcmqi_20slices"
    whole = one_stack(folder)
    expected = assemble(whole, folder)
    export = tmp_path / "export"
    export.mkdir()
    names = {each.file: f"{(7 * at) % 20:02}.x" for at, each in enumerate(whole.slices)}
    for at, (file, name) in enumerate(names.items()):
        shutil.copyfile(folder / file, export / name)
        other = pydicom.dcmread(folder / file)
        other.SeriesInstanceUID = "1.2.826.0.1.3680043.10.1.7"
        other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = f"1.2.826.0.1.3680043.10.1.7.{at}"
        other.save_as(export / f"{name}.other")
    stacks = {series.stacks[0].slices[0].series: series.stacks for series in found(export)}
    assert [len(each) for each in stacks.values()] == [1, 1]
    (renamed,) = stacks[whole.slices[0].series]
    assert [each.file for each in renamed.slices] == list(names.values())
    volume = assemble(renamed, export)
    assert np.array_equal(volume.array, expected.array)
    assert np.array_equal(volume.affine, expected.affine)
    (export / list(names.values())[9]).unlink()
    (short,) = {series.stacks[0].slices[0].series: series.stacks for series in found(export)}[whole.slices[0].series]
    assert (short.troubles, short.missing, len(short.slices)) == (("D-GAP",), 1, 19)
