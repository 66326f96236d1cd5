"""Weights by their digest: on disk where a study must outlive its conductor, in memory where it need not."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import numpy as np

from wardround.canonical import sha256
from wardround.errors import Refused, refuse
from wardround.files import write_atomic
from wardround.messages.envelope import Array, digests
from wardround.messages.filed import FiledArray
from wardround.weights.packing import WIRE, Vector, as_wire

SUFFIX = ".weights"


class Shelf(Protocol):
    """Holds the weights that a study still needs: the ones under way, and the best so far."""

    def put(self, weights: Vector) -> str:
        """Keep weights; gives their digest, once they are kept."""
        ...

    def get(self, digest: str) -> Vector:
        """Give weights that were kept; they cannot be written to."""
        ...

    def take(self, digest: str) -> Vector:
        """Give weights that were kept, as a copy of the caller's own, who may write to it."""
        ...

    def body(self, digest: str) -> Array:
        """Give weights that were kept as the bytes that travel."""
        ...

    def keep_only(self, digests: Collection[str]) -> None:
        """Drop all others."""
        ...


class MemoryShelf:
    """A shelf that ends with the process."""

    def __init__(self) -> None:
        """Begin empty."""
        self._kept: dict[str, Vector] = {}

    def put(self, weights: Vector) -> str:
        """Keep weights; gives their digest."""
        digest = sha256(as_wire(weights))
        self._kept[digest] = weights
        return digest

    def get(self, digest: str) -> Vector:
        """Give weights that were kept."""
        return self._kept[digest]

    def take(self, digest: str) -> Vector:
        """Give a copy of weights that were kept."""
        return self._kept[digest].copy()

    def body(self, digest: str) -> Array:
        """Give weights that were kept as the bytes that travel, without a copy."""
        return as_wire(self._kept[digest])

    def keep_only(self, digests: Collection[str]) -> None:
        """Drop all others."""
        self._kept = {digest: weights for digest, weights in self._kept.items() if digest in digests}


class DiskShelf:
    """A folder with one file for each weights, named by their digest."""

    def __init__(self, folder: Path) -> None:
        """Take the folder; it is made when it is needed."""
        self._folder = folder

    def put(self, weights: Vector) -> str:
        """Keep weights; gives their digest, once they are on disk.

        Raises:
            Refused: O-WRITE.
        """
        data = as_wire(weights)
        digest = sha256(data)
        if not self._holds(digest):
            write_atomic(self._path(digest), data, mode=0o600)
        return digest

    def get(self, digest: str) -> Vector:
        """Give weights that were kept.

        Raises:
            Refused: J-WEIGHTS when the file is missing or is not what its name says.
        """
        weights = self.take(digest)
        weights.flags.writeable = False
        return weights

    def take(self, digest: str) -> Vector:
        """Give a copy of weights that were kept, as ``get``."""
        try:
            weights = np.fromfile(self._path(digest), dtype=WIRE).astype(np.float32, copy=False)
        except OSError:
            raise self._lost(digest) from None
        if sha256(as_wire(weights)) != digest:
            raise self._lost(digest)
        return weights

    def body(self, digest: str) -> Array:
        """Give weights that were kept as the bytes that travel; they stay on the disk, verified, also when they are dropped."""
        try:
            array = FiledArray.of(self._path(digest))
        except OSError:
            raise self._lost(digest) from None
        if digests((array,)) != (digest,):
            raise self._lost(digest)
        return array

    def _lost(self, digest: str) -> Refused:
        return refuse(
            "J-WEIGHTS",
            f"{self._folder.name}/{digest[:12]}{SUFFIX}",
            "The weights that a journal names lie beside it, whole",
            "the file is missing or was changed",
            "restore the study's folder from a backup; without these weights the study cannot go on",
        )

    def keep_only(self, digests: Collection[str]) -> None:
        """Drop all others, and what a write left that was killed; what cannot be dropped now is dropped another time."""
        wanted = {f"{digest}{SUFFIX}" for digest in digests}
        for path in self._folder.glob("*"):
            if path.name not in wanted:
                with suppress(OSError):
                    path.unlink()

    def _holds(self, digest: str) -> bool:
        try:
            self.get(digest)
        except Refused:
            return False
        return True

    def _path(self, digest: str) -> Path:
        return self._folder / f"{digest}{SUFFIX}"
