"""What is said of an image's header is what becomes of its pixels: refused beforehand is refused in the preparation."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from silo_node.imaging import preparable
from silo_node.imaging.preparable import Grid, is_preparable
from silo_node.imaging.transforms import UnpreparableError, prepare
from wardround.study.images import Images

TURNED = np.array([[0, 0, 3.0, 0], [-0.7, 0, 0, 5], [0, 1.1, 0, 0], [0, 0, 0, 1]])
"""A sagittal volume of three spacings: axes are turned before it is resampled."""
TURN: dict[str, Any] = {"name": "Orientation"}
FINE: dict[str, Any] = {"name": "Spacing", "pixdim": [0.5, 0.7, 0.9]}


def asked(*preparation: dict[str, Any], axes: int = 3) -> Images:
    """What a study asks of images of so many dimensions."""
    return Images.model_validate_json(json.dumps({"preparation": preparation, "window": [4] * axes}))


def becomes(images: Images, grid: Grid, dimensions: int) -> bool:
    """Whether an image of this header can be prepared: made up, and tried."""
    array = np.random.default_rng(1).normal(0, 1, (*grid.shape, 3) if grid.colours else grid.shape).astype(np.float32)
    try:
        prepare(images, dimensions, array, grid.affine, None)
    except UnpreparableError:
        return False
    return True


@pytest.mark.parametrize("most", [100, 1000, 1500, 2000, 10**6])
@pytest.mark.parametrize("affine", [np.eye(4), TURNED, np.diag([0.5, 0.5, 5.0, 1.0])])
@pytest.mark.parametrize("preparation", [(TURN, FINE), (TURN,), (FINE,)])
def test_a_volume_is_refused_where_its_preparation_refuses_it(most, affine, preparation, monkeypatch):
    """By its size at the study's spacing, however its axes are turned before; a study without a spacing asks no size."""
    monkeypatch.setattr(preparable, "MOST_VOXELS", most)
    images, grid = asked(*preparation), Grid((6, 7, 8), colours=False, affine=affine)
    assert is_preparable(grid, images, 3) == becomes(images, grid, 3)


@pytest.mark.parametrize("most", [30, 10**6])
@pytest.mark.parametrize("shape", [(9, 8), (9, 8, 4)])
@pytest.mark.parametrize("colours", [False, True])
@pytest.mark.parametrize("spaced", [False, True])
def test_a_plane_image_has_two_axes_and_may_have_colours(most, shape, colours, spaced, monkeypatch):
    """Several frames are another axis."""
    monkeypatch.setattr(preparable, "MOST_VOXELS", most)
    images = asked(*([{"name": "Spacing", "pixdim": [1.0, 1.0]}] if spaced else []), axes=2)
    grid = Grid(shape, colours=colours, affine=np.diag([0.5, 2.0, 1.0, 1.0]))
    assert is_preparable(grid, images, 2) == becomes(images, grid, 2)


def test_a_volume_has_no_colours():
    """What looks like a fourth axis is none of the study's."""
    assert not is_preparable(Grid((6, 7, 8), colours=True, affine=np.eye(4)), asked(TURN), 3)
    assert not is_preparable(Grid((6, 7), colours=False, affine=np.eye(4)), asked(TURN), 3)


def test_a_size_that_only_the_pixels_tell_is_not_guessed(monkeypatch):
    """Where the foreground is cut out first, a large volume may become small."""
    monkeypatch.setattr(preparable, "MOST_VOXELS", 1000)
    images, grid = asked(TURN, {"name": "CropForeground"}, FINE), Grid((40, 40, 40), colours=False, affine=np.eye(4))
    assert is_preparable(grid, images, 3)
    array = np.zeros(grid.shape, np.float32)
    array[3:6, 3:6, 3:6] = 1.0
    assert prepare(images, 3, array, grid.affine, None).image.numel() < 1000
    with pytest.raises(UnpreparableError):
        prepare(images, 3, array + 1.0, grid.affine, None)
