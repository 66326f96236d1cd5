"""The process that tries to decode pixels and masks: started by ``silo_node.dicom.decoding``, told which on standard input.

For each line, what is asked and the path of a file, a line comes back: a code, or nothing where nothing is wrong.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, get_args

from pydantic import TypeAdapter

from silo_node.dicom.burned_in import looks_like_text
from silo_node.dicom.child import serve
from silo_node.dicom.instance import Instance
from silo_node.dicom.pixels import UndecodableError, decode
from silo_node.dicom.segmentation import Fault, MaskError, Target, label_map


@dataclass(frozen=True, slots=True)
class _Mask:
    """A segmentation that is asked about: what it has to lie on, and what its segments may be."""

    on: Target
    classes: dict[str, str]
    names: dict[str, str]


ANSWERS: Final[dict[bytes, Fault | None]] = {b"": None, **{fault.encode(): fault for fault in get_args(Fault)}}
"""What is answered of a mask."""

_INSTANCE: Final = TypeAdapter(Instance)
_MASK: Final = TypeAdapter(_Mask)
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
        return b"D-DECODE"
    frame = pixels if instance.pixels.frames == 1 else pixels[len(pixels) // 2]
    return b"D-BURNED" if looks_like_text(frame) else b""


def _of_mask(path: Path, body: bytes) -> bytes:
    asked = _MASK.validate_json(body)
    try:
        label_map(asked.on, path.parent, path.name, asked.classes, asked.names)
    except MaskError as fault:
        return fault.code.encode()
    return b""


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
