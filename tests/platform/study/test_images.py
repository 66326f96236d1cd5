"""Images of a study: what is on the allow-list, what makes sense, and what a hospital reads of it."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from wardround.errors import Refused
from wardround.strict_yaml import parse, parse_text
from wardround.study.images import Images, problems_of, size_after
from wardround.study.random_transforms import Augmentation
from wardround.study.transforms import Preparation

VOLUMES: dict[str, Any] = {
    "preparation": [
        {"name": "Orientation", "axcodes": "RAS"},
        {"name": "Spacing", "pixdim": [1, 1, 2]},
        {"name": "ScaleIntensityRange", "a_min": -1000, "a_max": 400},
        {"name": "SpatialPad", "spatial_size": [96, 96, 32]},
    ],
    "augmentation": [{"name": "RandCropByPosNegLabel"}, {"name": "RandFlip", "spatial_axis": 2, "probability": 0.5}],
    "window": [96, 96, 32],
}
PHOTOGRAPHS: dict[str, Any] = {
    "channels": 3,
    "preparation": [
        {"name": "Resize", "spatial_size": [64, 64]},
        {"name": "ScaleIntensityRange", "a_min": 0, "a_max": 255},
        {"name": "NormalizeIntensity", "mean": [0.485, 0.456, 0.406], "deviation": [0.229, 0.224, 0.225]},
    ],
    "augmentation": [{"name": "RandRotate90", "probability": 0.5}, {"name": "RandRotate", "degrees": [20], "probability": 0.5}],
    "window": [64, 64],
}


def images(whole: dict[str, Any], **changed: Any) -> Images:
    """Images as a study file gives them."""
    return Images.model_validate_json(json.dumps({**whole, **changed}))


def place(*location: str | int) -> str:
    """Where a part stands."""
    return ".".join(str(part) for part in location)


def found(value: Images, dimensions: int, *, dense: bool, spaced: bool = True) -> list[tuple[str, str]]:
    """Places and findings of all problems, which are all of one code."""
    problems = problems_of(value, dimensions, dense, place, spaced=spaced)
    assert {each.code for each in problems} <= {"P-TRANSFORM"}
    return [(each.place, each.finding) for each in problems]


def test_studies_that_make_sense():
    """A segmentation of volumes, and a classification of photographs."""
    assert found(images(VOLUMES), 3, dense=True) == []
    assert found(images(PHOTOGRAPHS), 2, dense=False, spaced=False) == []
    assert size_after(images(VOLUMES)) == ([96, 96, 32], [None, None, None])
    assert size_after(images(PHOTOGRAPHS)) == ([64, 64], [64, 64])


def test_the_same_value_by_its_canonical_form():
    """What a bundle carries is what was written."""
    for whole in (VOLUMES, PHOTOGRAPHS):
        value = images(whole)
        assert Images.model_validate_json(value.model_dump_json()) == value


@pytest.mark.parametrize(
    ("whole", "changed", "dimensions", "dense", "expected"),
    [
        (VOLUMES, {"window": [96, 96]}, 3, True, ("window", "this one has 2")),
        (PHOTOGRAPHS, {"preparation": [{"name": "Orientation"}]}, 2, False, ("preparation.0", "the images have 2 dimensions")),
        (
            PHOTOGRAPHS,
            {"augmentation": [{"name": "RandFlip", "spatial_axis": 2, "probability": 0.5}]},
            2,
            False,
            ("augmentation.0", "spatial_axis of RandFlip is 2"),
        ),
        (
            PHOTOGRAPHS,
            {"augmentation": [{"name": "RandRotate90", "spatial_axes": [1, 2], "probability": 0.5}]},
            2,
            False,
            ("augmentation.0", "spatial_axes of RandRotate90 is (1, 2)"),
        ),
        (
            PHOTOGRAPHS,
            {"augmentation": [{"name": "RandAffine", "degrees": [1, 2, 3], "probability": 0.5}]},
            2,
            False,
            ("augmentation.0", "its length is 3"),
        ),
        (
            VOLUMES,
            {"augmentation": [{"name": "RandSpatialCrop"}, {"name": "RandRotate", "degrees": [5], "probability": 0.5}]},
            3,
            True,
            ("augmentation.1", "its length is 1"),
        ),
        (
            VOLUMES,
            {"preparation": VOLUMES["preparation"][1:]},
            3,
            True,
            ("preparation", "the preparation has no Orientation"),
        ),
        (
            VOLUMES,
            {"preparation": [VOLUMES["preparation"][1], VOLUMES["preparation"][0], VOLUMES["preparation"][3]]},
            3,
            True,
            ("preparation.1", "it stands behind Spacing"),
        ),
        (
            VOLUMES,
            {"preparation": [VOLUMES["preparation"][0], VOLUMES["preparation"][3], VOLUMES["preparation"][1]]},
            3,
            True,
            ("preparation.2", "it stands behind SpatialPad"),
        ),
        (
            VOLUMES,
            {"preparation": [*VOLUMES["preparation"], {"name": "SpatialPad", "spatial_size": [99, 99, 99]}]},
            3,
            True,
            ("preparation.4", "SpatialPad stands twice"),
        ),
        (
            PHOTOGRAPHS,
            {"channels": 1},
            2,
            False,
            ("preparation.2", "there are 3, and channels: 1"),
        ),
        (
            PHOTOGRAPHS,
            {"augmentation": [{"name": "RandSpatialCrop"}]},
            2,
            False,
            ("augmentation.0", "RandSpatialCrop, and the target is no mask"),
        ),
        (
            VOLUMES,
            {"augmentation": [{"name": "RandCropByPosNegLabel"}, {"name": "RandSpatialCrop"}]},
            3,
            True,
            ("augmentation.1", "two transforms take a part"),
        ),
        (
            VOLUMES,
            {
                "augmentation": [
                    {"name": "RandCropByPosNegLabel"},
                    {"name": "RandRotate90", "spatial_axes": [0, 2], "probability": 1},
                ]
            },
            3,
            True,
            ("augmentation.1", "the window has 96 along axis 0, 32 along axis 2"),
        ),
        (VOLUMES, {"augmentation": []}, 3, True, ("window", "prepared images may be of other sizes")),
        (
            VOLUMES,
            {"preparation": VOLUMES["preparation"][:3]},
            3,
            True,
            ("window", "images may be smaller than 96 × 96 × 32 when they are prepared"),
        ),
        (
            VOLUMES,
            {"preparation": [*VOLUMES["preparation"], {"name": "CropForeground"}]},
            3,
            True,
            ("window", "images may be smaller than 96 × 96 × 32 when they are prepared"),
        ),
        (PHOTOGRAPHS, {"window": [32, 32]}, 2, False, ("window", "prepared images are 64 × 64")),
        (PHOTOGRAPHS, {"preparation": []}, 2, False, ("window", "prepared images may be of other sizes")),
    ],
)
def test_what_makes_no_sense(whole, changed, dimensions, dense, expected):
    """One problem each, at its place."""
    assert found(images(whole, **changed), dimensions, dense=dense) == [expected]


def test_photographs_have_no_spacing():
    """A distance in millimetres is for images that say how large a pixel is."""
    spaced = images(PHOTOGRAPHS, preparation=[{"name": "Spacing", "pixdim": [1, 1]}, *PHOTOGRAPHS["preparation"]])
    assert found(spaced, 2, dense=False) == []
    assert found(spaced, 2, dense=False, spaced=False) == [
        ("preparation.0", "the schema's images have no spacing in millimetres")
    ]


def test_all_problems_at_once():
    """Nobody mends a file one error at a time."""
    assert len(found(images(VOLUMES), 2, dense=False)) == 6


@pytest.mark.parametrize(
    ("preparation", "least", "most"),
    [
        ([{"name": "CenterSpatialCrop", "roi_size": [8, 9]}], [1, 1], [8, 9]),
        (
            [{"name": "SpatialPad", "spatial_size": [20, 4]}, {"name": "CenterSpatialCrop", "roi_size": [8, 9]}],
            [8, 4],
            [8, 9],
        ),
        ([{"name": "Resize", "spatial_size": [8, 8]}, {"name": "CropForeground"}], [1, 1], [8, 8]),
        ([{"name": "Resize", "spatial_size": [8, 8]}, {"name": "SpatialPad", "spatial_size": [4, 10]}], [8, 10], [8, 10]),
        ([{"name": "ResizeWithPadOrCrop", "spatial_size": [7, 8]}, {"name": "ScaleIntensity"}], [7, 8], [7, 8]),
    ],
)
def test_sizes_are_followed(preparation, least, most):
    """What is known of an image's size before any image is there."""
    assert size_after(images(PHOTOGRAPHS, preparation=preparation)) == (least, most)


@pytest.mark.parametrize(
    ("yaml", "code", "words"),
    [
        ("preparation: [{name: Orientationd}]", "Y-VALUE", "did you mean 'Orientation'?"),
        ("preparation: [{axcodes: RAS}]", "Y-MISSING", "add 'preparation.0.name'"),
        ("preparation: [{name: Orientation, axcodes: RRS}]", "Y-VALUE", "one of L and R"),
        ("preparation: [{name: Spacing, pixdim: [1, 0.001]}]", "Y-VALUE", "greater than or equal to 0.05"),
        ("preparation: [{name: Spacing, pixdim: [1]}]", "Y-VALUE", "2 to 3 numbers"),
        ("preparation: [{name: Spacing, pixdims: [1, 1], pixdim: [1, 1]}]", "Y-KEY", "did you mean 'pixdim'?"),
        ("preparation: [{name: Resize, spatial_size: [4096, 4096, 4096]}]", "Y-VALUE", "a size has at most"),
        ("preparation: [{name: ScaleIntensityRange, a_min: 5, a_max: 5}]", "Y-VALUE", "the first is below the second"),
        ("preparation: [{name: ScaleIntensity, minv: 1, maxv: 0}]", "Y-VALUE", "the first is below the second"),
        ("preparation: [{name: NormalizeIntensity, mean: [0.5]}]", "Y-VALUE", "given both"),
        ("preparation: [{name: LoadImage}]", "Y-VALUE", "It is one of: Orientation"),
        ("preparation: []\naugmentation: [{name: RandFlip, spatial_axis: 0}]", "Y-MISSING", "probability"),
        (
            "preparation: []\naugmentation: [{name: RandFlip, spatial_axis: 3, probability: 1}]",
            "Y-VALUE",
            "It is one of: 0, 1, 2",
        ),
        ("preparation: []\naugmentation: [{name: RandAffine, probability: 1}]", "Y-VALUE", "at least one of degrees"),
        ("preparation: []\naugmentation: [{name: RandZoom, min_zoom: 2, probability: 1}]", "Y-VALUE", "below the second"),
        ("preparation: []\naugmentation: [{name: RandCropByPosNegLabel, pos: 0, neg: 0}]", "Y-VALUE", "above 0"),
        ("preparation: []\naugmentation: [{name: RandRotate90, spatial_axes: [1, 1], probability: 1}]", "Y-VALUE", "different"),
    ],
)
def test_what_the_allow_list_refuses(yaml, code, words):
    """One clear message each, with its line."""
    with pytest.raises(Refused) as caught:
        parse(Images, parse_text(f"{yaml}\nwindow: [8, 8]\n", "study.yaml"))
    assert caught.value.codes == (code,)
    assert words in str(caught.value)
    assert "study.yaml, line" in caught.value.problems[0].place


def test_a_hospital_reads_a_line_for_each():
    """In order, in words, with every number that decides what the network sees."""
    assert images(VOLUMES).describe() == (
        "turn the axes to RAS",
        "resample to 1 × 1 × 2 mm (bilinear)",
        "scale intensities -1000 to 400 to 0 to 1, what lies outside clipped",
        "fill up with 0 to at least 96 × 96 × 32",
        "in training, take a part of the window's size around a random pixel, which 50% of times is one of the mask's classes",
        "in training, mirror axis 2, with probability 0.5",
        "the network sees 96 × 96 × 32, grey",
    )


def kinds(union: Any) -> list[type]:
    """The transforms of an allow-list."""
    return list(get_args(get_args(union)[0]))


def test_every_transform_has_words_of_its_own():
    """One line, printable, and no two alike."""
    needed = {
        "Spacing": {"pixdim": [1, 1]}, "ScaleIntensityRange": {"a_min": 0, "a_max": 1}, "Resize": {"spatial_size": [8, 8]},
        "ScaleIntensityRangePercentiles": {"lower": 1, "upper": 99}, "ResizeWithPadOrCrop": {"spatial_size": [8, 8]},
        "CenterSpatialCrop": {"roi_size": [8, 8]}, "SpatialPad": {"spatial_size": [8, 8]}, "RandFlip": {"spatial_axis": 0},
        "RandRotate": {"degrees": [5]}, "RandAffine": {"scale": [0.1, 0.1]}, "RandScaleIntensity": {"factors": 0.1},
        "RandShiftIntensity": {"offsets": 0.1},
    }  # fmt: skip
    said = set()
    for kind in [*kinds(Preparation), *kinds(Augmentation)]:
        probability = {"probability": 0.25} if "probability" in kind.model_fields else {}
        value = kind.model_validate_json(json.dumps({**needed.get(kind.__name__, {}), **probability}))
        assert value.name == kind.__name__
        words = value.describe()
        assert words.isprintable()
        assert ("with probability 0.25" in words) == bool(probability)
        said.add(words)
    assert len(said) == 25
