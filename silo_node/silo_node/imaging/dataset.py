"""Images as examples of training: loaded, prepared, kept in memory as far as that goes, and changed at random.

Nothing of a patient's image is written anywhere: MONAI's ``PersistentDataset`` and ``CacheNTransDataset`` keep theirs on disk,
so neither is used. What is kept is a *fixed set*: the first examples that were asked for and fit into the limit stay, the others
are made again each time. An epoch asks for every example once, in an order of its own. With room for half of them, a fixed set is
asked for every second one that it has; a cache that throws out what was longest unused finds every seventh (of a share ``f`` it
finds ``f + (1 − f) ln(1 − f)``).
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from silo_node.dicom.pixels import UndecodableError
from silo_node.imaging.loaded import Loaded
from silo_node.imaging.transforms import Prepared, UnpreparableError, augment, prepare
from silo_node.training.encode import Labels, as_targets
from silo_node.training.examples import Draw, UnfitExampleError, UnpreparedExampleError
from silo_node.training.memory import give_back, is_out_of_memory
from wardround.errors import Broken
from wardround.study.images import Images

Load: TypeAlias = Callable[[int], Loaded]


class ImageExamples:
    """Images, with a label each, or with a mask each (see ``silo_node.training.examples`` for what the loop asks of them)."""

    def __init__(
        self,
        load: Load,
        size: int,
        images: Images,
        dimensions: int,
        *,
        labels: Labels | None,
        cache_bytes: int,
    ) -> None:
        """Load nothing yet.

        Args:
            load: gives an example by its number; what it raises for one that cannot be read is ``UndecodableError``,
                ``OSError`` or ``ValueError``, and none of their words goes on.
            size: how many examples there are.
            images: what the study asks of images.
            dimensions: of the images, 2 or 3.
            labels: of each example, as ``silo_node.training.encode.labels_of`` gives them; None for masks.
            cache_bytes: how much memory prepared examples may take.
        """
        if labels is not None and len(labels) != size:
            raise Broken("as many labels as examples")
        self._load, self._size, self._images, self._dimensions = load, size, images, dimensions
        self._targets = None if labels is None else as_targets(labels)
        self._cache = _Cache(cache_bytes)
        self._spacings: dict[int, tuple[float, ...]] = {}

    @property
    def size(self) -> int:
        """The number of examples."""
        return self._size

    @property
    def cached_bytes(self) -> int:
        """How much memory the prepared examples take that are kept."""
        return self._cache.bytes

    @property
    def cached(self) -> int:
        """How many prepared examples are kept."""
        return len(self._cache)

    def digest(self) -> str:
        """Give the SHA-256 of all prepared examples and their targets. It stays in the hospital: a digest can be guessed.

        Raises:
            UnfitExampleError: an example cannot be loaded or prepared.
        """
        whole = hashlib.sha256(repr(self._size).encode())
        for index in range(self._size):
            made = self._prepared(index)
            whole.update(repr((tuple(made.image.shape), made.spacing)).encode())
            whole.update(made.image.numpy().data)
            if made.mask is not None:
                whole.update(np.ascontiguousarray(made.mask.numpy(), dtype=np.int64).data)
        if self._targets is not None:
            whole.update(repr(self._targets.dtype).encode())
            whole.update(self._targets.numpy().data)
        return whole.hexdigest()

    def batch(self, indexes: NDArray[np.int64], draw: Draw | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Give some examples, in this order.

        Args:
            indexes: of shape ``(n,)``.
            draw: for augmentation; None in evaluation, where nothing is random.

        Returns:
            Inputs, float32 ``(n, channels, *window)``, and targets: float32 ``(n,)`` of zeros and ones or of a
            number, float32 ``(n, labels)`` of several labels, int64 ``(n,)`` of classes, or int64 ``(n, *window)`` of masks.

        Raises:
            UnfitExampleError: an example cannot be loaded or prepared.
            Broken: without ``draw``, masked images that are not of the window's size: they are evaluated whole.
        """
        made = [self._made(int(index), draw) for index in indexes]
        inputs = torch.stack([image for image, _ in made])
        if self._targets is not None:
            return inputs, self._targets[torch.from_numpy(np.asarray(indexes, dtype=np.int64))]
        return inputs, torch.stack([_masked(mask).to(torch.int64) for _, mask in made])

    def whole(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Give a prepared image, float32 ``(channels, *spatial)``, and its mask, int64 ``(*spatial)``; nothing is random.

        Raises:
            UnfitExampleError: the example cannot be loaded or prepared.
        """
        made = self._prepared(index)
        return made.image.clone(), _masked(made.mask).to(torch.int64)

    def spacing(self, index: int) -> tuple[float, ...]:
        """Give the millimetres between pixels of a prepared image along each axis; 1 where images do not say.

        Raises:
            UnfitExampleError: the example cannot be loaded or prepared.
        """
        if index not in self._spacings:
            self._prepared(index)
        return self._spacings[index]

    def unprepared(self) -> int:
        """Count the examples that cannot be prepared: each is looked at."""
        count = 0
        for index in range(self._size):
            try:
                self._prepared(index)
            except UnpreparedExampleError:
                count += 1
            except UnfitExampleError:
                pass  # another one by now: what is asked is how many this preparation refuses
        return count

    def give_way(self) -> bool:
        """Let go of half of what is kept; says whether there was anything. What is not kept is made anew each time."""
        return self._cache.halve()

    def _made(self, index: int, draw: Draw | None) -> tuple[torch.Tensor, torch.Tensor | None]:
        made = self._prepared(index)
        image, mask = (made.image, made.mask) if draw is None else augment(self._images, made, index, draw)
        if tuple(image.shape[1:]) != self._images.window:
            raise Broken("an example that is not of the window's size")
        return image, mask

    def _prepared(self, index: int) -> Prepared:
        """Give a prepared example, from memory or made anew; the caller changes none of it.

        Where there is no memory to make one, those that are kept give way.
        """
        found = self._cache.get(index)
        while found is None:
            found = self._prepare_if_there_is_room(index)
            if found is not None:
                self._spacings[index] = found.spacing
                self._cache.offer(index, found)
        return found

    def _prepare_if_there_is_room(self, index: int) -> Prepared | None:
        """Make an example anew; None where there was no memory for it, and there is more now."""
        try:
            return self._prepare(index)
        except (MemoryError, RuntimeError, OSError) as error:
            if not is_out_of_memory(error) or not self.give_way():
                raise
        give_back()  # not within the clause: the error's trace holds what was made so far
        return None

    def _prepare(self, index: int) -> Prepared:
        finding, error = "it is not there any more, or does not decode", UnfitExampleError
        try:
            array, affine, mask = self._load(index)
        except (UndecodableError, OSError, ValueError) as raised:
            if is_out_of_memory(raised):
                raise
            loaded = None
        else:
            loaded = array, affine, mask
        if loaded is not None and self._targets is None and loaded[2] is None:
            loaded, finding = None, "it has no mask"
        if loaded is not None:
            array, affine, mask = loaded
            try:
                return prepare(self._images, self._dimensions, array, affine, mask if self._targets is None else None)
            except UnpreparableError as refused:
                finding, error = refused.finding, UnpreparedExampleError
        # not within the except clause: what the loader raised may name a file, and would go along as the context
        raise error(index, finding)


def _masked(mask: torch.Tensor | None) -> torch.Tensor:
    if mask is None:
        raise Broken("a mask is asked for, and the target is a label")
    return mask


class _Cache:
    """Prepared examples in memory, up to a limit: what is in stays in."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: dict[int, Prepared] = {}
        self._lock = threading.Lock()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, index: int) -> Prepared | None:
        return self._kept.get(index)

    def offer(self, index: int, made: Prepared) -> None:
        size = _size(made)
        with self._lock:
            if index not in self._kept and self.bytes + size <= self._limit:
                self._kept[index] = made
                self.bytes += size

    def halve(self) -> bool:
        """Keep at most half of what is kept now; what came last goes first."""
        with self._lock:
            self._limit, before = self.bytes // 2, len(self._kept)
            while self.bytes > self._limit:
                self.bytes -= _size(self._kept.popitem()[1])
            return len(self._kept) < before


def _size(made: Prepared) -> int:
    return made.image.nbytes + (0 if made.mask is None else made.mask.nbytes)
