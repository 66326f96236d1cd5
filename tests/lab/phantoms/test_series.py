"""Whatever a scanner does to its files, the product's own reading gives the phantom back, voxel by voxel, in its place."""

from __future__ import annotations

import itertools
import re
from pathlib import Path, PurePath

import numpy as np
import pydicom
import pytest

from silo_node.dicom.basic_profile import profile
from silo_node.dicom.header import read_header
from silo_node.dicom.instance import instance
from silo_node.dicom.judge import Rules
from silo_node.dicom.privacy import scan as look
from silo_node.dicom.series import series_of
from silo_node.dicom.volume import assemble
from wardround_lab.phantoms.anatomy import make_body
from wardround_lab.phantoms.hospital import PSEUDONYM
from wardround_lab.phantoms.series import SYNTAXES, Scanner, make_localiser, make_slices, make_truth
from wardround_lab.phantoms.volume import Grid, Scan, scan

GRID = Grid(32, 2.5, 6, 3.0, 3.0)
DISGUISES = [
    Scanner(GRID, 8.0, syntax, inverted=inverted, turned=turned, downwards=downwards)
    for syntax, (inverted, turned, downwards) in itertools.product(
        SYNTAXES, [(False, False, False), (True, False, True), (False, True, True), (True, True, False)]
    )
]


def seen(*, healthy: bool = False) -> Scan:
    random = np.random.default_rng(5)
    return scan(make_body(random, ((-60.0, -40.0),), healthy=healthy), GRID, 8.0, random)


def write(folder: Path, images) -> None:
    for number, image in enumerate(images):
        pydicom.dcmwrite(folder / f"{number}.dcm", image, enforce_file_format=True)


def at(points: np.ndarray) -> tuple[np.ndarray, ...]:
    """Slice, row and column of points in LPS millimetres."""
    x, y, z = points
    left, back, low = GRID.first
    steps = ((z - low) / GRID.step, (y - back) / GRID.spacing, (x - left) / GRID.spacing)
    assert all(np.allclose(each, np.rint(each), atol=1e-4) for each in steps)
    return tuple(np.rint(each).astype(int) for each in steps)


@pytest.mark.parametrize("scanner", DISGUISES, ids=str)
def test_the_volume_comes_back(tmp_path, scanner):
    """Each voxel of the assembled volume is, where its affine says that it lies, the phantom's."""
    phantom = seen()
    write(tmp_path, make_slices(phantom, scanner, "P1001", "axial"))
    files = sorted(path.name for path in tmp_path.iterdir())
    (series,) = series_of(instance(read_header(tmp_path / file), file) for file in files)
    (stack,) = series.stacks
    assert not stack.troubles
    volume = assemble(stack, tmp_path)
    indexes = np.indices(volume.array.shape).reshape(3, -1)
    right, front, head = (volume.affine @ np.vstack([indexes, np.ones(indexes.shape[1])]))[:3]
    assert np.array_equal(volume.array.reshape(-1), phantom.hounsfield[at(np.array([-right, -front, head]))])


@pytest.mark.parametrize("scanner", DISGUISES[:4], ids=str)
def test_the_truth_comes_back(scanner):
    """Each frame of the segmentation lies, where its plane says, on the phantom's truth, and it names its slices."""
    phantom = seen()
    slices = make_slices(phantom, scanner, "P1001", "axial")
    truth = make_truth(phantom, scanner, slices, "P1001", "axial")
    found = np.zeros_like(phantom.truth)
    orientation = truth.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient
    along_row, along_column = (np.array(orientation[part], float) for part in (slice(3), slice(3, 6)))
    rows, columns = (each.reshape(-1) for each in np.indices((GRID.size, GRID.size)))
    for frame, pixels in zip(truth.PerFrameFunctionalGroupsSequence, truth.pixel_array, strict=True):
        first = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)[:, None]
        points = first + GRID.spacing * (np.outer(along_row, columns) + np.outer(along_column, rows))
        found[at(points)] = pixels.reshape(-1)
    assert np.array_equal(found, phantom.truth)
    named = {each.ReferencedSOPInstanceUID for each in truth.ReferencedSeriesSequence[0].ReferencedInstanceSequence}
    assert named == {each.SOPInstanceUID for each in slices}


def test_no_lesion_is_said():
    """Without a lesion the segmentation covers every slice, and is background."""
    phantom = seen(healthy=True)
    truth = make_truth(phantom, DISGUISES[0], make_slices(phantom, DISGUISES[0], "P1001", "axial"), "P1001", "axial")
    assert truth.NumberOfFrames == GRID.slices
    assert not truth.pixel_array.any()


@pytest.mark.parametrize("scanner", DISGUISES[::5], ids=str)
def test_nothing_identifies_anybody(tmp_path, scanner):
    """The house's own search for what identifies people finds nothing in slices and localiser."""
    phantom = seen()
    write(tmp_path, [*make_slices(phantom, scanner, "P1001", "axial"), make_localiser(phantom, scanner, "P1001", "axial")])
    rules = Rules(profile("basic-2026c"), pseudonym=re.compile(PSEUDONYM))
    for path in tmp_path.iterdir():
        assert look(path, PurePath("export001") / path.name, rules) == frozenset()


def test_a_phantom_has_the_same_bytes(tmp_path):
    """Neither the hour nor the machine is in a file: written twice, it is the same, the segmentation too."""
    phantom, scanner = seen(), DISGUISES[0]
    for folder in (tmp_path / "one", tmp_path / "other"):
        folder.mkdir()
        slices = make_slices(phantom, scanner, "P1001", "axial")
        write(folder, [*slices, make_truth(phantom, scanner, slices, "P1001", "axial")])
    one, other = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "other"))
    assert one == other
