"""Movements: the bits that MONAI's transforms of the same names make from the same draws, without MONAI's tensors."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from silo_node.imaging.movements import MOVEMENTS, Seen
from silo_node.imaging.transforms import IMAGE, MASK, Prepared, augment, generator
from silo_node.training.examples import Draw
from wardround.models.from_monai import MetaTensor
from wardround.models.from_monai import transforms as monai
from wardround.study.images import Images

INDEX = 3
KEYS = (IMAGE, MASK)


def of_monai(each: dict[str, Any], window: tuple[int, ...]) -> Any:
    """MONAI's own transform."""
    odds = each.get("probability", 1.0)
    match each["name"]:
        case "RandFlip":
            return monai.RandFlipd(KEYS, odds, each["spatial_axis"])
        case "RandRotate90":
            return monai.RandRotate90d(KEYS, odds, each["max_k"], tuple(each["spatial_axes"]))
        case "RandSpatialCrop":
            return monai.RandSpatialCropd(KEYS, window, random_size=False)
        case "RandGaussianNoise":
            return monai.RandGaussianNoised(IMAGE, odds, 0.0, each["std"])
    return monai.RandCropByPosNegLabeld(KEYS, MASK, window, each["pos"], each["neg"])


def by_monai(whole: Prepared, some: list[dict[str, Any]], window: tuple[int, ...], draw: Draw) -> tuple[np.ndarray, np.ndarray]:
    """An example as MONAI alone changes it, each transform with the generator that is its own."""
    assert whole.mask is not None
    sample: Any = {IMAGE: MetaTensor(whole.image.clone()), MASK: MetaTensor(whole.mask[None].float())}
    for place, each in enumerate(some):
        step = of_monai(each, window)
        step.set_random_state(state=generator(draw.seed, draw.epoch, INDEX, place))
        made = step(sample)
        sample = made[0] if isinstance(made, list) else made
    return sample[IMAGE].numpy(), sample[MASK].numpy()[0]


@st.composite
def cases(draw: st.DrawFn) -> tuple[Prepared, list[dict[str, Any]], tuple[int, ...]]:
    """An example with its mask, some movements of it in any order, one of MONAI's own among them at times, and a window."""
    dimensions = draw(st.sampled_from([2, 3]))
    shape = tuple(draw(st.integers(4, 9)) for _ in range(dimensions))
    least = min(shape)
    window = tuple(draw(st.integers(1, least)) for _ in shape)
    axes = st.integers(0, dimensions - 1)
    odds = st.sampled_from([0.3, 0.5, 1.0])
    turns: Any = st.fixed_dictionaries(
        {
            "name": st.just("RandRotate90"),
            "probability": odds,
            "max_k": st.integers(1, 3),
            "spatial_axes": st.permutations(range(dimensions)).map(lambda found: found[:2]),
        }
    )
    flips: Any = st.fixed_dictionaries({"name": st.just("RandFlip"), "probability": odds, "spatial_axis": axes})
    noise: Any = st.fixed_dictionaries({"name": st.just("RandGaussianNoise"), "probability": odds, "std": st.just(0.3)})
    some = draw(st.lists(st.one_of(turns, flips, noise), max_size=4))
    share = st.sampled_from([0.0, 1.0, 2.0])
    pos, neg = draw(st.tuples(share, share).filter(any))
    crops = ({"name": "RandSpatialCrop"}, {"name": "RandCropByPosNegLabel", "pos": pos, "neg": neg})
    some.insert(draw(st.integers(0, len(some))), draw(st.sampled_from(crops)))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    mask = (random.random(shape) < draw(st.sampled_from([0.1, 0.5, 0.9]))) * random.integers(1, 4, shape)
    mask.flat[0], mask.flat[-1] = 0, 1  # both kinds: of one kind MONAI warns, and cuts elsewhere
    image = torch.from_numpy(random.normal(size=(draw(st.integers(1, 2)), *shape)).astype(np.float32))
    whole = Prepared(image, torch.from_numpy(mask.astype(np.uint8)), (1.0,) * dimensions, np.eye(4))
    return whole, some, window


@settings(max_examples=200, deadline=None)
@given(cases(), st.integers(0, 2**62), st.integers(1, 1000))
def test_the_bits_are_those_of_monai(case, seed, epoch):
    """Whatever is drawn and in which order, images and masks are what MONAI makes of them."""
    whole, some, window = case
    kept = whole.image.clone()
    value = Images.model_validate_json(json.dumps({"preparation": [], "augmentation": some, "window": window, "channels": 1}))
    image, mask = augment(value, whole, INDEX, Draw(seed, epoch))
    there, truth = by_monai(whole, some, window, Draw(seed, epoch))
    assert mask is not None
    assert image.numpy().shape == there.shape
    assert image.numpy().tobytes() == np.ascontiguousarray(there).tobytes()
    assert np.array_equal(mask.numpy(), truth)
    assert torch.equal(whole.image, kept)


@pytest.mark.parametrize("name", ["RandSpatialCrop", "RandCropByPosNegLabel"])
def test_an_image_below_the_window_is_cut_to_what_there_is(name):
    """The caller finds that it is not of the window's size; nothing is wrapped around."""
    value = Images.model_validate_json(
        json.dumps({"preparation": [], "augmentation": [{"name": name}], "window": [4, 4], "channels": 1})
    )
    [each] = value.augmentation
    mask = torch.tensor([[0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0]])
    move = MOVEMENTS[type(each)](each, np.random.RandomState(1), Seen((2, 6), mask, (4, 4)))
    assert move(mask[None]).shape == (1, 2, 4)
