"""Volumes: numbers of the modality, the right way up, in the order of NIfTI."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from silo_node.dicom.header import read_header
from silo_node.dicom.instance import instance
from silo_node.dicom.pixels import UndecodableError
from silo_node.dicom.series import series_of
from silo_node.dicom.volume import assemble, image


def stack_of(folder):
    """The only stack of an export folder."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    (series,) = series_of(instance(read_header(path), path.name) for path in files)
    return series.stacks[0]


def test_voxels_lie_where_the_affine_says(write_slice, export):
    """Axes are column, row, slice; slope and intercept are each slice's own."""
    pixels = np.arange(24, dtype=np.int16).reshape(6, 4)
    for number in range(3):
        write_slice(number, pixels=pixels + 100 * number, RescaleSlope=number + 1)
    volume = assemble(stack_of(export), export)
    assert volume.array.shape == (4, 6, 3)
    assert volume.array.dtype == np.float32
    for column, row, at in [(0, 0, 0), (3, 2, 1), (1, 5, 2)]:
        assert volume.array[column, row, at] == (pixels[row, column] + 100 * at) * (at + 1) - 1024
    assert np.allclose(volume.affine @ [3, 5, 2, 1], [-1.5, -3.5, 5.0, 1])


@pytest.mark.parametrize(
    ("dtype", "stored", "lowest", "highest"), [(np.uint16, 12, 0, 4095), (np.int16, 12, -2048, 2047), (np.uint16, 16, 0, 65535)]
)
def test_monochrome1_is_turned_over(write_slice, export, dtype, stored, lowest, highest):
    """Within the range of its bits, never of one image: else the same bone is as bright as the brightest of its film."""
    pixels = np.array([[lowest, highest], [lowest + 5, highest - 7]], dtype=dtype)
    write_slice(
        1,
        pixels=pixels,
        PhotometricInterpretation="MONOCHROME1",
        BitsStored=stored,
        HighBit=stored - 1,
        RescaleSlope=None,
        RescaleIntercept=None,
    )
    stack = stack_of(export)
    turned = image(stack.slices[0], stack, export).array
    assert np.array_equal(turned.T, lowest + highest - pixels.astype(np.int64))


def test_a_colour_image(write_slice, export):
    """Three samples stay the last axis."""
    pixels = np.zeros((6, 4), np.uint8)
    colour = np.arange(72, dtype=np.uint8).reshape(6, 4, 3)
    write_slice(
        1,
        pixels=pixels,
        SamplesPerPixel=3,
        PhotometricInterpretation="RGB",
        PlanarConfiguration=0,
        BitsAllocated=8,
        BitsStored=8,
        HighBit=7,
        RescaleIntercept=0,
        PixelData=colour.tobytes(),
    )
    stack = stack_of(export)
    assert np.array_equal(image(stack.slices[0], stack, export).array.swapaxes(0, 1), colour)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_every_uncompressed_syntax_gives_the_same_numbers(write_slice, export, syntax, tmp_path):
    """Byte order and deflation are no property of the image."""
    import pydicom

    pixels = np.arange(24, dtype=np.int16).reshape(6, 4)
    for number in range(3):
        write_slice(number, pixels=pixels + number)
    expected = assemble(stack_of(export), export)
    other = tmp_path / "other"
    other.mkdir()
    for path in export.iterdir():
        dataset = pydicom.dcmread(path)
        if syntax == ExplicitVRBigEndian:
            dataset.PixelData = np.frombuffer(dataset.PixelData, "<i2").astype(">i2").tobytes()
        dataset.file_meta.TransferSyntaxUID = syntax
        little, implicit = syntax != ExplicitVRBigEndian, syntax == ImplicitVRLittleEndian
        pydicom.dcmwrite(other / path.name, dataset, little_endian=little, implicit_vr=implicit, enforce_file_format=True)
    volume = assemble(stack_of(other), other)
    assert np.array_equal(volume.array, expected.array)
    assert np.array_equal(volume.affine, expected.affine)


def test_no_volume_of_a_stack_with_trouble(write_slice, export):
    """Whoever asks gets none."""
    for number in (0, 1, 3):
        write_slice(number)
    with pytest.raises(ValueError, match="no volume"):
        assemble(stack_of(export), export)


def test_a_slice_that_does_not_decode_is_a_word_and_not_a_value(write_slice, export):
    """What the decoder raised, and its words, end here."""
    for number in range(3):
        write_slice(number)
    stack = stack_of(export)
    whole = (export / "001.dcm").read_bytes()
    (export / "001.dcm").write_bytes(whole[:-10])
    with pytest.raises(UndecodableError) as caught:
        assemble(stack, export)
    assert str(caught.value) == ""
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("changed", [{"RescaleSlope": "1e300"}, {"RescaleSlope": "1e37"}, {"RescaleIntercept": "-1e39"}])
def test_numbers_beyond_every_range_are_none(write_slice, export, changed):
    """They are refused, and numpy warns of nothing: here every warning is an error."""
    for number in range(3):
        write_slice(number, pixels=np.full((6, 4), 100, np.int16), **changed)
    with pytest.raises(UndecodableError):
        assemble(stack_of(export), export)
