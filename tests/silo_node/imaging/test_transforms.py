"""Transforms: each does what its name says, masks move with their images, and nothing else decides what is drawn."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from silo_node.dicom.header import read_header
from silo_node.dicom.instance import instance
from silo_node.dicom.series import series_of
from silo_node.dicom.volume import assemble, image
from silo_node.imaging import transforms
from silo_node.imaging.movements import MOVEMENTS
from silo_node.imaging.transforms import UnpreparableError, augment, channel_first, prepare
from wardround.study.images import Images
from wardround.study.random_transforms import Augmentation
from wardround.study.transforms import Preparation


@dataclass(frozen=True)
class Draw:
    """A training's seed and epoch."""

    seed: int = 11
    epoch: int = 1


def images(
    *preparation: dict[str, Any], augmentation: tuple[dict[str, Any], ...] = (), window: tuple[int, ...], **more: Any
) -> Images:
    """Images as a study file gives them."""
    whole = {"preparation": preparation, "augmentation": augmentation, "window": window, **more}
    return Images.model_validate_json(json.dumps(whole))


def prepared(
    array: np.ndarray, *preparation: dict[str, Any], mask: np.ndarray | None = None, affine: Any = None, **more: Any
) -> Any:
    """An array after some transforms; each axis is a pixel a millimetre, unless the affine is another."""
    dimensions = 2 if "channels" in more else array.ndim
    value = images(*preparation, window=(8,) * dimensions, **more)
    return prepare(value, dimensions, array, np.eye(4) if affine is None else affine, mask)


def picture(*shape: int) -> np.ndarray:
    """A picture without any symmetry."""
    return np.random.default_rng(3).normal(100, 20, shape).astype(np.float32)


BLOB = np.zeros((12, 10), np.uint8)
BLOB[2:6, 3:8] = 2
BLOB[5:9, 6:9] = 1


# ----------------------------------------------------------------------------------------------------------- preparation


def test_every_transform_of_the_allow_list_is_built():
    """The list of what a study may name, and the tables of what builds it, are one."""
    listed = [kind for union in (Preparation, Augmentation) for kind in get_args(get_args(union)[0])]
    assert sorted(map(str, [*transforms._BUILDERS, *MOVEMENTS])) == sorted(map(str, listed))


def test_intensities_of_a_window():
    """Linear between the ends, clipped outside of them, or not."""
    array = np.array([[-2000, -1000], [-300, 400], [1100, 50]], np.float32)
    window = {"name": "ScaleIntensityRange", "a_min": -1000, "a_max": 400}
    assert np.allclose(prepared(array, window).image[0], [[0, 0], [0.5, 1], [1, 0.75]])
    assert np.allclose(prepared(array, window | {"clip": False}).image[0], [[-5 / 7, 0], [0.5, 1], [1.5, 0.75]])


@pytest.mark.parametrize("channel_wise", [False, True])
def test_percentiles_of_an_image(channel_wise):
    """Its own, of all channels together or of each."""
    array = np.stack([picture(20, 20), 10 * picture(20, 20), picture(20, 20)], axis=-1)
    scale = {"name": "ScaleIntensityRangePercentiles", "lower": 5, "upper": 95, "channel_wise": channel_wise}
    found = prepared(array, scale, channels=3).image
    low, high = np.percentile(array, (5, 95), axis=(0, 1) if channel_wise else None)
    assert np.allclose(found.movedim(0, -1), np.clip((array - low) / (high - low), 0, 1), atol=1e-4)


def test_normalised_by_fixed_figures():
    """Each channel by its own, the same for every image."""
    array = np.stack([picture(9, 9)] * 3, axis=-1)
    found = prepared(array, {"name": "NormalizeIntensity", "mean": [90, 100, 110], "deviation": [1, 2, 4]}, channels=3).image
    assert np.allclose(found.movedim(0, -1), (array - [90, 100, 110]) / [1, 2, 4], atol=1e-4)
    grey = prepared(picture(9, 9), {"name": "NormalizeIntensity", "mean": [90], "deviation": [2]}).image
    assert np.allclose(grey[0], (picture(9, 9) - 90) / 2, atol=1e-4)


def test_normalised_by_its_own_figures():
    """Mean 0 and deviation 1 afterwards, with or without what somebody blanked."""
    array = picture(30, 30)
    found = prepared(array, {"name": "NormalizeIntensity"}).image.numpy()
    assert np.allclose((found.mean(), found.std()), (0, 1), atol=1e-5)
    array[:10] = 0
    found = prepared(array, {"name": "NormalizeIntensity", "nonzero": True}).image[0].numpy()
    assert not found[:10].any()
    assert np.allclose((found[10:].mean(), found[10:].std()), (0, 1), atol=1e-5)


@pytest.mark.parametrize(
    "each",
    [
        {"name": "NormalizeIntensity"},
        {"name": "NormalizeIntensity", "nonzero": True},
        {"name": "ScaleIntensity"},
        {"name": "ScaleIntensityRangePercentiles", "lower": 1, "upper": 99},
        {"name": "CropForeground"},
    ],
)
@pytest.mark.parametrize("value", [0, 7])
def test_an_image_of_one_intensity(each, value):
    """Nothing is divided by nothing, and nothing is cut to nothing."""
    found = prepared(np.full((9, 9), value, np.float32), each).image
    assert found.shape == (1, 9, 9)
    assert torch.isfinite(found).all()


def test_lowest_and_highest():
    """Of each image."""
    found = prepared(picture(9, 9), {"name": "ScaleIntensity", "minv": -1, "maxv": 2}).image
    assert (found.min(), found.max()) == (pytest.approx(-1), pytest.approx(2))


def test_sizes():
    """Cut, filled and stretched, masks with background and by their nearest pixel."""
    array = picture(12, 10)
    fill = {"value": -1000, "spatial_size": [14, 6]}
    cut = prepared(array, {"name": "ResizeWithPadOrCrop", **fill}, mask=BLOB)
    assert np.array_equal(cut.image[0, 1:13], array[:, 2:8])
    assert (cut.image[0, [0, 13]] == -1000).all()
    assert np.array_equal(cut.mask[1:13], BLOB[:, 2:8])
    assert not cut.mask[[0, 13]].any()
    filled = prepared(array, {"name": "SpatialPad", **fill}, mask=BLOB)
    assert np.array_equal(filled.image[0, 1:13], array)
    assert np.array_equal(filled.mask[1:13], BLOB)
    middle = prepared(array, {"name": "CenterSpatialCrop", "roi_size": [4, 20]}, mask=BLOB)
    assert np.array_equal(middle.image[0], array[4:8])
    assert np.array_equal(middle.mask, BLOB[4:8])


@pytest.mark.parametrize("mode", ["area", "bilinear", "nearest"])
def test_stretched(mode):
    """Twice as large, each pixel becomes four; spacing halves."""
    found = prepared(picture(6, 5), {"name": "Resize", "spatial_size": [12, 10], "mode": mode}, mask=BLOB[:6, :5])
    assert np.array_equal(found.mask, BLOB[:6, :5].repeat(2, 0).repeat(2, 1))
    assert found.spacing == (0.5, 0.5)
    if mode != "bilinear":
        assert np.allclose(found.image[0], picture(6, 5).repeat(2, 0).repeat(2, 1))


def test_averaged_when_shrunk():
    """Area is the mean of what falls into a pixel."""
    found = prepared(picture(6, 8), {"name": "Resize", "spatial_size": [3, 4]}).image[0]
    assert np.allclose(found, picture(6, 8).reshape(3, 2, 4, 2).mean((1, 3)), atol=1e-4)


def test_the_box_of_the_foreground():
    """By the image, with a margin that ends at its edge; the mask follows."""
    array = np.zeros((12, 10), np.float32)
    array[2:6, 3:8] = 50
    found = prepared(array, {"name": "CropForeground", "threshold": 10, "margin": 3}, mask=BLOB)
    assert np.array_equal(found.image[0], array[:9])
    assert np.array_equal(found.mask, BLOB[:9])


def test_axes_are_turned():
    """Without interpolation, the mask alike."""
    array, affine = picture(4, 5, 6), np.array([[0, 0, 3.0, 0], [-1, 0, 0, 0], [0, 2, 0, 0], [0, 0, 0, 1]])
    mask = (array > 100).astype(np.uint8)
    found = prepared(array, {"name": "Orientation", "axcodes": "RAS"}, mask=mask, affine=affine)
    assert np.array_equal(found.image[0], array.transpose(2, 0, 1)[:, ::-1])
    assert np.array_equal(found.mask, mask.transpose(2, 0, 1)[:, ::-1])
    assert found.spacing == (3.0, 1.0, 2.0)


def test_a_plane_in_any_plane_of_the_body_has_its_spacing():
    """A coronal image of two dimensions is resampled by its own pixels, whatever the axes of the body are."""
    coronal = np.array([[0.5, 0, 0, 0], [0, 0, 1, 0], [0, -2.0, 0, 0], [0, 0, 0, 1]])
    found = prepared(picture(9, 5), {"name": "Spacing", "pixdim": [1, 1]}, affine=coronal)
    assert found.image.shape == (1, 5, 9)
    assert found.spacing == (1.0, 1.0)


def test_a_spacing_that_would_take_all_memory():
    """A volume of half a metre at a twentieth of a millimetre is refused before it is made."""
    spacing = {"name": "Spacing", "pixdim": [0.05, 0.05, 0.05]}
    with pytest.raises(UnpreparableError, match="too large"):
        prepared(picture(4, 4, 4), spacing, affine=np.diag([120.0, 120, 120, 1]))


def test_colours_and_grey():
    """Channels first; grey in three channels is the same in each, colours in one are weighted as eyes weigh them."""
    colours, grey = picture(5, 4, 3), picture(5, 4)
    assert np.array_equal(channel_first(colours, 2, 3), colours.transpose(2, 0, 1))
    assert np.array_equal(channel_first(grey, 2, 3), [grey] * 3)
    assert np.array_equal(channel_first(grey, 2, 1), [grey])
    assert np.allclose(channel_first(colours, 2, 1)[0], colours @ np.array([0.299, 0.587, 0.114]), atol=1e-4)
    assert channel_first(picture(5, 4, 3), 3, 1).shape == (1, 5, 4, 3)


@pytest.mark.parametrize(("shape", "dimensions"), [((5, 4, 4), 2), ((5, 4), 3), ((5,), 2), ((5, 4, 3, 3), 3)])
def test_other_axes_are_refused(shape, dimensions):
    """Nothing is guessed of what an axis means."""
    with pytest.raises(UnpreparableError, match="other axes"):
        channel_first(picture(*shape), dimensions, 1)


def test_the_loaded_array_stays_as_it_is():
    """Whoever loads may keep what it loaded."""
    array, before = picture(9, 9), picture(9, 9)
    prepared(array, {"name": "NormalizeIntensity"}, {"name": "ScaleIntensityRangePercentiles", "lower": 1, "upper": 99})
    assert np.array_equal(array, before)


def test_intensities_that_are_not_finite_are_refused():
    """A not-a-number in a file becomes a finding, never a weight."""
    array = picture(9, 9)
    array[3, 3] = np.nan
    with pytest.raises(UnpreparableError, match="not finite"):
        prepared(array, {"name": "ScaleIntensityRange", "a_min": 0, "a_max": 1})


def test_a_mask_of_another_size_is_refused():
    """It is of another image."""
    with pytest.raises(UnpreparableError, match="its mask has another size"):
        prepared(picture(9, 9), mask=BLOB)


# ------------------------------------------------------------------------------------- the same content, other scanners

TO_RAS = ({"name": "Orientation", "axcodes": "RAS"}, {"name": "Spacing", "pixdim": [1, 1, 1]})


def content(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """What is at a place of the patient, in mm to the right, front and head: without symmetry, linear in each direction."""
    return 3 * x + 50 + 0.02 * x * y - 2 * y + 5 * z


def written(
    write_slice: Any,
    *,
    row: tuple[int, int, int],
    column: tuple[int, int, int],
    spacing: tuple[float, float],
    step: float,
    counts: tuple[int, int, int],
    start: tuple[float, float, float],
    order: list[int],
) -> Any:
    """Write slices of the content: ``row`` and ``column`` are directions in DICOM's LPS, ``start`` the first pixel's place."""
    normal = np.cross(row, column)
    columns, rows = counts[:2]
    for number in order:
        origin = np.array(start) + number * step * normal
        across, down = np.meshgrid(np.arange(columns), np.arange(rows))
        at = origin + across[..., None] * spacing[1] * np.array(row) + down[..., None] * spacing[0] * np.array(column)
        pixels = np.round(content(-at[..., 0], -at[..., 1], at[..., 2])).astype(np.int16)
        write_slice(
            order.index(number) + 1, at=tuple(float(each) for each in origin), pixels=pixels, PixelSpacing=list(spacing),
            ImageOrientationPatient=[*row, *column], RescaleIntercept=0,
        )  # fmt: skip
    files = list(write_slice.folder.iterdir())
    (series,) = series_of(instance(read_header(path), path.name) for path in sorted(files))
    (stack,) = series.stacks
    return assemble(stack, write_slice.folder)


AXIAL = {"row": (1, 0, 0), "column": (0, 1, 0), "spacing": (1, 1), "step": 1, "counts": (9, 7, 5), "start": (0, 0, 0)}


@pytest.mark.parametrize(
    "scanner",
    [
        AXIAL | {"order": [4, 2, 0, 1, 3]},  # files in any order
        AXIAL | {"row": (-1, 0, 0), "column": (0, -1, 0), "start": (8, 6, 0), "order": list(range(5))},  # turned in the plane
        AXIAL | {"column": (0, -1, 0), "start": (0, 6, 4), "order": [0, 1, 2, 3, 4]},  # slices from head to feet
        {  # coronal slices
            "row": (1, 0, 0), "column": (0, 0, -1), "spacing": (1, 1), "step": 1, "counts": (9, 5, 7), "start": (0, 0, 4),
            "order": list(range(7)),
        },
        {  # sagittal slices, twice as far apart
            "row": (0, 1, 0), "column": (0, 0, -1), "spacing": (1, 1), "step": 2, "counts": (7, 5, 5), "start": (8, 0, 4),
            "order": list(range(5)),
        },
        AXIAL | {"spacing": (0.5, 0.5), "step": 2, "counts": (17, 13, 3), "order": [2, 1, 0]},  # finer, thicker slices
    ],
)  # fmt: skip
def test_the_same_patient_at_another_scanner(write_slice, scanner):
    """Slice order, orientation and spacing are the scanner's; what is prepared is the patient's."""
    volume = written(write_slice, **scanner)
    found = prepared(volume.array, *TO_RAS, affine=volume.affine)
    x, y, z = np.meshgrid(-np.arange(8, -1, -1), -np.arange(6, -1, -1), np.arange(5), indexing="ij")
    assert found.spacing == (pytest.approx(1),) * 3
    assert found.image.shape == (1, 9, 7, 5)
    assert np.abs(found.image[0].numpy() - content(x, y, z)).max() <= 1.0  # half a number of rounding, at both ends of a step


def test_films_are_turned_over(write_slice, export):
    """Of MONOCHROME1, the smallest number is white: prepared, it is as bright as on other films."""
    pixels = np.arange(24, dtype=np.uint16).reshape(6, 4) * 100
    for number, (photometric, numbers) in enumerate([("MONOCHROME2", pixels), ("MONOCHROME1", 4095 - pixels)]):
        write_slice(
            number, pixels=numbers, PhotometricInterpretation=photometric, BitsStored=12, HighBit=11, RescaleSlope=None,
            RescaleIntercept=None, SeriesInstanceUID=f"1.2.{number}", name=f"{number}.dcm",
        )  # fmt: skip
    found = []
    for name in ("0.dcm", "1.dcm"):
        (series,) = series_of([instance(read_header(export / name), name)])
        (stack,) = series.stacks
        volume = image(stack.slices[0], stack, export)
        found.append(prepared(volume.array, {"name": "ScaleIntensityRange", "a_min": 0, "a_max": 4095}, affine=volume.affine))
    assert torch.equal(found[0].image, found[1].image)
    assert found[0].image[0].T.flatten()[0] < found[0].image[0].T.flatten()[-1]


# ---------------------------------------------------------------------------------------------------------- augmentation

ALWAYS = {"probability": 1.0}
SPATIAL = {
    2: (
        {"name": "RandFlip", "spatial_axis": 1, **ALWAYS},
        {"name": "RandRotate90", **ALWAYS},
        {"name": "RandRotate", "degrees": [40], **ALWAYS},
        {"name": "RandRotate", "degrees": [40], "padding_mode": "zeros", **ALWAYS},
        {"name": "RandZoom", "min_zoom": 0.6, "max_zoom": 1.6, **ALWAYS},
        {"name": "RandAffine", "degrees": [30], "shear": [0.2, 0.2], "translate": [3, 3], "scale": [0.2, 0.2], **ALWAYS},
        {"name": "RandAffine", "translate": [5, 5], "padding_mode": "reflection", **ALWAYS},
        {"name": "RandSpatialCrop"},
        {"name": "RandCropByPosNegLabel"},
    ),
    3: (
        {"name": "RandFlip", "spatial_axis": 2, **ALWAYS},
        {"name": "RandRotate90", "spatial_axes": [0, 2], **ALWAYS},
        {"name": "RandRotate", "degrees": [20, 20, 20], **ALWAYS},
        {"name": "RandZoom", "min_zoom": 0.6, "max_zoom": 1.6, **ALWAYS},
        {"name": "RandAffine", "degrees": [9, 9, 9], "shear": [0.1] * 6, "scale": [0.1] * 3, **ALWAYS},
        {"name": "RandSpatialCrop"},
        {"name": "RandCropByPosNegLabel"},
    ),
}
INTENSITY = (
    {"name": "RandGaussianNoise", "std": 0.2, **ALWAYS},
    {"name": "RandGaussianSmooth", **ALWAYS},
    {"name": "RandScaleIntensity", "factors": 0.3, **ALWAYS},
    {"name": "RandShiftIntensity", "offsets": 0.3, **ALWAYS},
    {"name": "RandAdjustContrast", **ALWAYS},
    {"name": "RandBiasField", "coeff_range": [0.1, 0.3], **ALWAYS},
    {"name": "RandSimulateLowResolution", "zoom_range": [0.4, 0.6], **ALWAYS},
)
CASES = [(dimensions, each) for dimensions, some in SPATIAL.items() for each in some]


def blobs(dimensions: int, seed: int) -> np.ndarray:
    """Some boxes, of class 1."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((14,) * dimensions, np.uint8)
    for _ in range(3):
        low = rng.integers(0, 10, dimensions)
        mask[tuple(slice(start, start + size) for start, size in zip(low, rng.integers(2, 7, dimensions), strict=True))] = 1
    return mask


def changed(
    each: dict[str, Any], dimensions: int, array: np.ndarray, mask: np.ndarray | None, index: int = 0, draw: Draw | None = None
) -> Any:
    """An example after one random transform."""
    value = images(augmentation=(each,), window=(10,) * dimensions)
    whole = prepare(value, dimensions, array, np.eye(4), mask)
    return augment(value, whole, index, draw or Draw())


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(CASES), st.integers(0, 2**32), st.integers(0, 2**62))
def test_a_mask_moves_with_its_image(case, content_seed, seed):
    """An image that shows its own mask still shows it: a pixel of a class has at least the weight that linear interpolation
    gives the nearest pixel, one without has at most the rest."""
    dimensions, each = case
    mask = blobs(dimensions, content_seed)
    found, moved = changed(each, dimensions, mask.astype(np.float32), mask, draw=Draw(seed, 1))
    nearest = 0.5**dimensions - 1e-3
    assert found.shape[1:] == moved.shape
    assert set(moved.unique().tolist()) <= {0, 1}
    assert (found[0][moved == 1] >= nearest).all()
    assert (found[0][moved == 0] <= 1 - nearest).all()


@pytest.mark.parametrize(("dimensions", "each"), CASES)
def test_spatial_ones_move_something(dimensions, each):
    """Over some examples, at least; and what is cut has the window's size."""
    mask = blobs(dimensions, 5)
    found = [changed(each, dimensions, mask.astype(np.float32), mask, index)[1] for index in range(6)]
    cropped = "Crop" in each["name"]
    assert {tuple(one.shape) for one in found} == {(10 if cropped else 14,) * dimensions}
    assert any(one.shape != mask.shape or not np.array_equal(one, mask) for one in found)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("each", INTENSITY, ids=lambda each: each["name"])
def test_those_of_intensity_never_touch_the_mask(dimensions, each):
    """They change the image, and stay finite."""
    array, mask = picture(*(14,) * dimensions) / 200, blobs(dimensions, 5)
    found, kept = changed(each, dimensions, array, mask)
    assert np.array_equal(kept, mask)
    assert torch.isfinite(found).all()
    assert not np.allclose(found[0], array)


@pytest.mark.parametrize(("dimensions", "each"), [*CASES, *((2, each) for each in INTENSITY)])
def test_the_same_draw_gives_the_same_bits(dimensions, each):
    """Seed, epoch and example decide, and the prepared example stays as it is; another of them is another draw."""
    some = each | {"probability": 0.5} if each["name"] == "RandFlip" else each  # else there is but one draw
    value = images(augmentation=(some,), window=(10,) * dimensions)
    mask = blobs(dimensions, 1)
    whole = prepare(value, dimensions, picture(*(14,) * dimensions), np.eye(4), mask)
    before = whole.image.clone()

    def drawn(index: int = 0, **more: int) -> bytes:
        made, moved = augment(value, whole, index, Draw(**more))
        assert type(made) is type(moved) is torch.Tensor
        return made.numpy().tobytes() + moved.numpy().tobytes()

    first = drawn()
    assert drawn() == first
    assert torch.equal(whole.image, before)
    assert any(drawn(epoch=epoch) != first for epoch in range(2, 8))
    assert any(drawn(index=index) != first for index in range(1, 7))
    assert any(drawn(seed=seed) != first for seed in range(20, 26))


def test_no_global_generator_is_asked_or_moved():
    """What others draw changes nothing, and what is drawn here changes nothing for others."""
    value = images(augmentation=(*SPATIAL[2][:-2], *INTENSITY), window=(14, 14))
    whole = prepare(value, 2, picture(14, 14), np.eye(4), blobs(2, 1))
    found = []
    for seed in (1, 2):
        np.random.seed(seed)  # noqa: NPY002  (the global generator is the thing under test)
        torch.manual_seed(seed)
        before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
        found.append(augment(value, whole, 0, Draw())[0])
        assert np.array_equal(np.random.get_state()[1], before[0])  # noqa: NPY002
        assert torch.equal(torch.get_rng_state(), before[1])
    assert torch.equal(*found)


def test_a_probability_is_a_share():
    """Of a hundred examples, about a quarter."""
    value = images(augmentation=({"name": "RandFlip", "spatial_axis": 0, "probability": 0.25},), window=(4, 4))
    whole = prepare(value, 2, picture(4, 4), np.eye(4), None)
    flipped = sum(not torch.equal(augment(value, whole, index, Draw())[0], whole.image) for index in range(100))
    assert 15 <= flipped <= 35


@pytest.mark.parametrize(("mask", "marked"), [(np.zeros((14, 14), np.uint8), False), (np.ones((14, 14), np.uint8), True)])
def test_a_part_of_an_image_without_a_mark(mask, marked):
    """It is cut anywhere, without a warning; so is one that is a mark all over."""
    found, moved = changed({"name": "RandCropByPosNegLabel"}, 2, picture(14, 14), mask)
    assert found.shape == (1, 10, 10)
    assert bool(moved.all()) is marked


def test_a_part_around_a_mark():
    """With neg: 0, a mark is in every part; by itself it rarely would be."""
    mask = np.zeros((40, 40), np.uint8)
    mask[31, 7] = 3
    each = {"name": "RandCropByPosNegLabel", "neg": 0}
    parts = [changed(each, 2, picture(40, 40), mask, index)[1] for index in range(10)]
    assert all((part == 3).sum() == 1 for part in parts)
