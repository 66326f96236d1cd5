"""The process that tries to decode pixels and masks: started by ``silo_node.dicom.decoding``, told which on standard input.

For each line, what is asked and the path of a file, a line comes back: of an image what its pixels are; of a mask a code, or
nothing where it is one.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from silo_node.dicom.burned_in import looks_like_text
from silo_node.dicom.child import serve
from silo_node.dicom.instance import Instance
from silo_node.dicom.pixels import UndecodableError, decode
from silo_node.dicom.segmentation import EMPTY, Fault, MaskError, Target, label_map

Code: TypeAlias = Literal["D-DECODE", "D-CRASH", "D-BURNED"]
"""Pixels do not decode; they ended their decoder, or kept it too long; they look as if text were burned in."""


@dataclass(frozen=True, slots=True)
class Look:
    """What the pixels of one file are.

    Attributes:
        code: what is wrong with them; ``None`` where nothing is.
        lowest: of their values, after slope and intercept of one that is grey; ``None`` where they do not decode, or one is no
            number of 32 bits, as which they are learned from.
        highest: likewise.
        digest: of all of them; the same for the same pixels.
    """

    code: Code | None = None
    lowest: float | None = None
    highest: float | None = None
    digest: str = ""

    @property
    def decodes(self) -> bool:
        """Whether there are pixels."""
        return bool(self.digest)


@dataclass(frozen=True, slots=True)
class _Mask:
    """A segmentation that is asked about: what it has to lie on, and what its segments may be."""

    on: Target
    classes: dict[str, str]
    names: dict[str, str]


ANSWERS: Final[dict[bytes, Fault | None]] = {b"": None, **{fault.encode(): fault for fault in get_args(Fault)}}
"""What is answered of a mask."""

LARGEST: Final = float(np.finfo(np.float32).max)
"""A value that an image is learned from has 32 bits: beyond, it becomes infinite."""

_INSTANCE: Final = TypeAdapter(Instance)
_MASK: Final = TypeAdapter(_Mask)
LOOK: Final = TypeAdapter(Look)
_IMAGE_ASKED, _MASK_ASKED = b"image", b"mask"


def main(memory_bytes: int) -> None:
    """Answer until standard input ends."""
    serve(memory_bytes, _answer)


def _answer(line: bytes) -> bytes:
    what, name, body = line.split(b" ", 2)
    path = Path(os.fsdecode(bytes.fromhex(name.decode())))
    return (_of_mask(path, body) if what == _MASK_ASKED else _of_image(path, body)) + b"\n"


def _of_image(path: Path, body: bytes) -> bytes:
    instance = _INSTANCE.validate_json(body)
    try:
        pixels = decode(path, instance)
    except (UndecodableError, OSError):
        return LOOK.dump_json(Look("D-DECODE"))
    frame = pixels if instance.pixels.frames == 1 else pixels[len(pixels) // 2]
    code: Code | None = "D-BURNED" if looks_like_text(frame) else None
    lowest, highest = _ends(pixels, instance)
    digest = hashlib.blake2b(np.ascontiguousarray(pixels).view(np.uint8).data, digest_size=16).hexdigest()
    return LOOK.dump_json(Look(code, lowest, highest, digest))


def _ends(pixels: NDArray[Any], instance: Instance) -> tuple[float | None, float | None]:
    """Give the lowest and the highest value, after slope and intercept of what is grey; none where one is no number."""
    ends = [float(pixels.min()), float(pixels.max())]
    if pixels.ndim == (2 if instance.pixels.frames == 1 else 3):  # grey
        ends = sorted(each * (1.0 if instance.slope is None else instance.slope) + (instance.intercept or 0.0) for each in ends)
    return (ends[0], ends[1]) if all(abs(each) <= LARGEST for each in ends) else (None, None)


def _of_mask(path: Path, body: bytes) -> bytes:
    asked = _MASK.validate_json(body)
    try:
        found = label_map(asked.on, path.parent, path.name, asked.classes, asked.names)
    except MaskError as fault:
        return fault.code.encode()
    return b"" if found.any() else EMPTY.encode()


def question(folder: Path, instance: Instance) -> bytes:
    """Give the line that asks for one image; names of files may be any bytes."""
    return _line(_IMAGE_ASKED, folder / instance.file, _INSTANCE.dump_json(replace(instance, file="")))


def mask_question(folder: Path, on: Target, file: str, classes: Mapping[str, str], names: Mapping[str, str]) -> bytes:
    """Give the line that asks for one mask."""
    return _line(_MASK_ASKED, folder / file, _MASK.dump_json(_Mask(on, dict(classes), dict(names))))


def _line(what: bytes, path: Path, body: bytes) -> bytes:
    return b" ".join((what, os.fsencode(path).hex().encode(), body)) + b"\n"


if __name__ == "__main__":
    main(int(sys.argv[1]))
