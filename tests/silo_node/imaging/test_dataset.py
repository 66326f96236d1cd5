"""Examples of images: the same bits whatever is kept in memory and whoever asks, nothing on disk, no name in an error."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from errno import ENOMEM
from typing import Any

import numpy as np
import pytest
import torch

from silo_node.dicom.pixels import UndecodableError
from silo_node.imaging.dataset import ImageExamples
from silo_node.training.examples import UnfitExampleError, UnpreparedExampleError
from wardround.errors import Broken
from wardround.study.images import Images

RANDOM = (
    {"name": "RandFlip", "spatial_axis": 0, "probability": 0.5},
    {"name": "RandZoom", "probability": 0.7},
    {"name": "RandGaussianNoise", "probability": 0.7},
)
WINDOW = (8, 8)
SIZE = 6
UNLIMITED = 2**40
ONE = 8 * 8 * 4
"""Bytes of a prepared image."""


@dataclass(frozen=True)
class Draw:
    """A training's seed and epoch."""

    seed: int = 11
    epoch: int = 1


def images(**changed: Any) -> Images:
    """Images as a study file gives them."""
    sized = [{"name": "Resize", "spatial_size": WINDOW}, {"name": "ScaleIntensity"}]
    whole = {"preparation": sized, "augmentation": RANDOM, "window": WINDOW, **changed}
    return Images.model_validate_json(json.dumps(whole))


def array(index: int) -> np.ndarray:
    """An image of its own size."""
    return np.random.default_rng(index).normal(100, 20, (10 + index, 12)).astype(np.float32)


class Loading:
    """Loads images that are made up, and counts."""

    def __init__(self, *, masks: bool = False) -> None:
        self.masks, self.asked = masks, [0] * SIZE

    def __call__(self, index: int) -> Any:
        self.asked[index] += 1
        whole = array(index)
        return whole, np.diag([0.5, 2.0, 1, 1]), (whole > 110).astype(np.uint8) if self.masks else None


def classified(load: Any = None, *, cache_bytes: int = UNLIMITED, labels: Any = None, **changed: Any) -> ImageExamples:
    """Images with a label each."""
    chosen = np.arange(SIZE) % 2 == 0 if labels is None else labels
    return ImageExamples(load or Loading(), SIZE, images(**changed), 2, labels=chosen, cache_bytes=cache_bytes)


def segmented(load: Any = None, *, cache_bytes: int = UNLIMITED, **changed: Any) -> ImageExamples:
    """Images with a mask each, of which training sees parts."""
    window = {
        "window": [6, 6],
        "preparation": [{"name": "ScaleIntensity"}],
        "augmentation": ({"name": "RandSpatialCrop"}, *RANDOM),
    }
    value = images(**window | changed)
    return ImageExamples(load or Loading(masks=True), SIZE, value, 2, labels=None, cache_bytes=cache_bytes)


def bits(examples: ImageExamples, indexes: list[int], draw: Draw | None) -> list[bytes]:
    """Inputs and targets of each."""
    inputs, targets = examples.batch(np.array(indexes), draw)
    return [one.numpy().tobytes() + other.numpy().tobytes() for one, other in zip(inputs, targets, strict=True)]


EVERY = list(range(SIZE))


def test_what_a_batch_is():
    """Plain tensors, channels first, of the window's size."""
    inputs, targets = classified().batch(np.array([4, 1]), None)
    assert (type(inputs), inputs.dtype, tuple(inputs.shape)) == (torch.Tensor, torch.float32, (2, 1, *WINDOW))
    assert (targets.dtype, targets.tolist()) == (torch.float32, [1.0, 0.0])
    inputs, targets = segmented().batch(np.array([4, 1]), Draw())
    assert (type(inputs), inputs.dtype, tuple(inputs.shape)) == (torch.Tensor, torch.float32, (2, 1, 6, 6))
    assert (type(targets), targets.dtype, tuple(targets.shape)) == (torch.Tensor, torch.int64, (2, 6, 6))


def test_several_classes():
    """Numbers of classes stay numbers."""
    _, targets = classified(labels=np.array([2, 0, 1, 2, 0, 1])).batch(np.array([0, 2]), None)
    assert (targets.dtype, targets.tolist()) == (torch.int64, [2, 1])


def test_a_whole_image():
    """What a window slides over: all of it, with its mask and its spacing, and nothing random."""
    examples = segmented()
    image, mask = examples.whole(3)
    assert (tuple(image.shape), image.dtype) == ((1, 13, 12), torch.float32)
    assert np.array_equal(mask, array(3) > 110)
    assert mask.dtype == torch.int64
    assert examples.spacing(3) == (0.5, 2.0)
    resized = segmented(preparation=[{"name": "Resize", "spatial_size": [26, 4]}])
    assert resized.spacing(3) == (0.25, 6.0)
    image.zero_()
    assert examples.whole(3)[0].any()


@pytest.mark.parametrize("make", [classified, segmented])
@pytest.mark.parametrize("draw", [Draw(), Draw(epoch=2)])
def test_the_cache_changes_no_bit(make, draw):
    """All kept, some kept, none kept, asked for the first or the third time, alone or together, in any order, by any thread."""
    expected = bits(make(), EVERY, draw)
    for cache_bytes in (0, 3 * ONE, UNLIMITED):
        examples = make(cache_bytes=cache_bytes)
        for _ in range(2):
            assert bits(examples, EVERY, draw) == expected
        assert bits(examples, EVERY[::-1], draw) == expected[::-1]
        assert [bits(examples, [index], draw)[0] for index in (5, 0, 3)] == [expected[index] for index in (5, 0, 3)]
    examples = make(cache_bytes=3 * ONE)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda index: bits(examples, [index], draw)[0], EVERY * 4)) == expected * 4


def test_another_epoch_is_another_draw():
    """And evaluation draws nothing."""
    examples = classified()
    first = bits(examples, EVERY, Draw())
    assert bits(examples, EVERY, Draw(epoch=2)) != first
    assert bits(examples, EVERY, Draw(seed=12)) != first
    assert bits(examples, EVERY, None) == bits(classified(augmentation=[]), EVERY, Draw())


@pytest.mark.parametrize("make", [classified, segmented])
def test_the_limit_of_memory(make):
    """Bytes are counted, with those of masks; what is in stays in, so each epoch finds as many."""
    load = Loading(masks=make is segmented)
    sizes = [(image.nbytes + (mask.numel() if make is segmented else 0)) for image, mask in _prepared(make)]
    limit = sum(sizes[:3]) + 10
    examples = make(load, cache_bytes=limit)
    for epoch in range(1, 4):
        examples.batch(np.array(EVERY), Draw(epoch=epoch))
    assert examples.cached == 3
    assert examples.cached_bytes == sum(sizes[:3]) <= limit
    assert load.asked == [1, 1, 1, 3, 3, 3]
    assert sum(_held(examples)) == examples.cached_bytes


def _prepared(make: Any) -> list[tuple[torch.Tensor, Any]]:
    examples = make()
    return [
        (examples.whole(index) if make is segmented else (examples.batch(np.array([index]), None)[0], None)) for index in EVERY
    ]


def _held(examples: ImageExamples) -> list[int]:
    """Bytes of the memory that kept tensors keep alive, which a view of a larger tensor would not show."""
    kept = examples._cache._kept.values()
    return [each.untyped_storage().nbytes() for made in kept for each in (made.image, made.mask) if each is not None]


def test_what_is_cut_keeps_no_more_alive():
    """The middle of a large image is kept as the middle, not as a view of the whole."""
    examples = segmented(preparation=[{"name": "CenterSpatialCrop", "roi_size": [6, 6]}])
    examples.batch(np.array(EVERY), Draw())
    assert sum(_held(examples)) == examples.cached_bytes == SIZE * 36 * (4 + 1)


class Written:
    """Notes what is opened for writing or made, in this process."""

    def __init__(self) -> None:
        self.paths: list[str] | None = None
        sys.addaudithook(self._look)

    def _look(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.paths is None:
            return
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            self.paths.append(str(arguments[0]))
        if event in ("os.mkdir", "os.rename", "os.link", "os.symlink", "tempfile.mkstemp", "tempfile.mkdtemp"):
            self.paths.append(str(arguments[0]))


WRITTEN = Written()


def test_nothing_is_written(tmp_path, monkeypatch):
    """Not while examples are made, digested, kept or made again: no file, no folder, and none in the usual places."""
    monkeypatch.chdir(tmp_path)
    for name in ("TMPDIR", "HOME", "XDG_CACHE_HOME", "MONAI_DATA_DIRECTORY"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    WRITTEN.paths = []
    try:
        for make in (classified, segmented):
            for cache_bytes in (0, 3 * ONE, UNLIMITED):
                examples = make(cache_bytes=cache_bytes)
                examples.digest()
                examples.batch(np.array(EVERY), Draw())
        seen = list(WRITTEN.paths)
        (tmp_path / "shows that the hook looks").write_text("")
    finally:
        looked, WRITTEN.paths = WRITTEN.paths, None
    assert seen == []
    assert looked == [str(tmp_path / "shows that the hook looks")]
    assert [path.name for path in tmp_path.iterdir()] == ["shows that the hook looks"]


def test_a_digest_of_all_that_counts():
    """Pixels, masks, labels and preparation change it; the cache does not."""
    digest = classified().digest()
    assert digest == classified(cache_bytes=0).digest()
    assert len(digest) == 64
    others = [
        classified(labels=np.arange(SIZE) % 3 == 0).digest(),
        classified(labels=np.arange(SIZE) % 2).digest(),
        classified(preparation=[{"name": "Resize", "spatial_size": WINDOW}]).digest(),
        classified(lambda index: (array(index) + 9 * (index == 5) * (array(index) > 110), np.eye(4), None)).digest(),
        segmented().digest(),
        segmented(lambda index: (array(index), np.diag([0.5, 2.0, 1, 1]), (array(index) > 111).astype(np.uint8))).digest(),
        segmented(lambda index: (array(index), np.eye(4), (array(index) > 110).astype(np.uint8))).digest(),
    ]
    assert len({digest, *others}) == 8


@pytest.mark.parametrize("error", [UndecodableError(), OSError(2, "No such file", "/export/SMITH^JOHN.dcm"), ValueError("SMITH")])
def test_what_cannot_be_loaded_names_nobody(error):
    """Neither in its words, nor in what stands behind it; its number is there for the caller."""

    def load(index: int) -> Any:
        raise error

    for ask in (lambda each: each.batch(np.array([2]), Draw()), lambda each: each.spacing(2)):
        with pytest.raises(UnfitExampleError) as caught:
            ask(classified(load))
        assert caught.value.index == 2
        assert str(caught.value) == "an example cannot be used: it is not there any more, or does not decode"
        assert caught.value.__cause__ is caught.value.__context__ is None


def test_what_cannot_be_prepared_says_why():
    """In words of ours."""
    with pytest.raises(UnfitExampleError, match="other axes"):
        classified(lambda _: (np.zeros((3, 3, 3, 3)), np.eye(4), None)).digest()
    with pytest.raises(UnfitExampleError, match="it has no mask"):
        segmented(Loading()).whole(0)


def test_what_cannot_be_prepared_is_told_from_what_changed_and_counted():
    """The files are what they were; each such image is counted, whatever became of the others."""

    def load(index: int) -> Any:
        if index == 0:
            raise OSError
        return np.zeros((4, 4, 4) if index in (2, 4) else (4, 4), np.float32), np.eye(4), None

    examples = classified(load)
    with pytest.raises(UnpreparedExampleError):
        examples.batch(np.array([2]), None)
    with pytest.raises(UnfitExampleError) as caught:
        examples.batch(np.array([0]), None)
    assert not isinstance(caught.value, UnpreparedExampleError)
    assert examples.unprepared() == 2
    assert classified().unprepared() == 0


def test_what_the_caller_got_wrong():
    """A mistake of ours is no hospital's fault."""
    with pytest.raises(Broken, match="as many labels"):
        classified(labels=np.array([True]))
    with pytest.raises(Broken, match="window's size"):
        segmented().batch(np.array([0]), None)
    with pytest.raises(Broken, match="a mask is asked for"):
        classified().whole(0)


def test_masks_are_not_looked_at_for_labels():
    """A folder may hold masks that a study of labels does not ask for."""
    assert bits(classified(Loading(masks=True)), EVERY, Draw()) == bits(classified(), EVERY, Draw())


def full(*_words):
    """A machine that has no memory."""
    raise MemoryError


class Tight(Loading):
    """Images that are loaded only while few others are held."""

    def __init__(self, error: Exception, most: int) -> None:
        super().__init__()
        self.error, self.most, self.examples = error, most, None

    def __call__(self, index: int) -> Any:
        if self.examples is not None and self.examples.cached > self.most:
            raise self.error
        return super().__call__(index)


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory"), OSError(ENOMEM, "")]
)
def test_what_is_kept_gives_way_to_what_is_asked_for(error):
    """Where an image finds no memory, half of the others are let go of, again and again; no bit of any is another."""
    load = Tight(error, most=1)
    examples = classified(load)
    load.examples = examples
    assert examples.digest() == classified().digest()
    assert examples.cached == 1, "no more was kept than let the others be made"
    asked = np.arange(SIZE)
    for drawn in (None, Draw()):
        assert torch.equal(examples.batch(asked, drawn)[0], classified().batch(asked, drawn)[0])


def test_where_nothing_is_kept_nothing_gives_way():
    """No memory for a single image is what it is: not an image that is another than it was."""
    with pytest.raises(MemoryError):
        classified(full).digest()
    assert not classified().give_way()


def test_a_spacing_that_is_known_is_not_prepared_for_again():
    """Evaluation asks for an image, then for its spacing."""
    load = Loading(masks=True)
    examples = segmented(load, cache_bytes=0)
    examples.whole(2)
    assert examples.spacing(2) == (0.5, 2.0)
    assert load.asked[2] == 1
