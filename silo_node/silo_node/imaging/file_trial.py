"""Files of images decoded in a process of its own: started by ``FileTrial``, told which on standard input.

For each line, what is asked of which file, a line comes back: a code, or nothing where nothing is wrong.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

from pydantic import TypeAdapter

from silo_node.dicom.child import MEMORY_BYTES, Child, serve
from silo_node.dicom.segmentation import EMPTY
from silo_node.imaging.file_header import FileError, FileHeader
from silo_node.imaging.files import Format, load, load_mask
from wardround.contract.imaging import Range

SECONDS_A_FILE: Final = 30.0
"""That decoding one may take: a volume of 512 slices takes some seconds."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked of a file.

    Attributes:
        folder: as hexadecimal bytes.
        possible: values that it may have; of an image.
        classes: of a mask, with the image that it lies on.
    """

    folder: str
    name: str
    form: Format
    possible: Range | None = None
    classes: dict[str, str] | None = None
    on: FileHeader | None = None


_ASKED: Final = TypeAdapter(_Asked)


class FileTrial:
    """One process that decodes, and the next one when that is gone."""

    def __init__(self, folder: Path, memory_bytes: int = MEMORY_BYTES, seconds: float = SECONDS_A_FILE) -> None:
        """Begin; no process is started before there is a file."""
        self._folder = os.fsencode(folder.absolute()).hex()
        self._seconds = seconds
        self._child = Child("silo_node.imaging.file_trial", memory_bytes)

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the process."""
        self._child.__exit__(kind, error, trace)

    def image_fault(self, name: str, form: Format, possible: Range | None) -> str | None:
        """Decode an image; give what is wrong with it."""
        return self._ask(_Asked(self._folder, name, form, possible))

    def mask_fault(self, name: str, form: Literal["nifti", "png"], classes: Mapping[str, str], on: FileHeader) -> str | None:
        """Read the mask of an image; give why it is none."""
        return self._ask(_Asked(self._folder, name, form, classes=dict(classes), on=on))

    def _ask(self, asked: _Asked) -> str | None:
        answer = self._child.ask(_ASKED.dump_json(asked) + b"\n", self._seconds)
        return answer.decode().strip() or None if answer else "D-CRASH"


def _answer(line: bytes) -> bytes:
    asked = _ASKED.validate_json(line)
    folder = Path(os.fsdecode(bytes.fromhex(asked.folder)))
    try:
        if asked.classes is not None and asked.on is not None and asked.form != "jpeg":
            mask = load_mask(folder, asked.name, asked.form, asked.classes, asked.on)
            return b"\n" if mask.any() else f"{EMPTY}\n".encode()
        pixels = load(folder, asked.name, asked.form).array
    except FileError as fault:
        return fault.code.encode() + b"\n"
    possible = asked.possible
    is_within = possible is None or (possible.low <= float(pixels.min()) and float(pixels.max()) <= possible.high)
    return b"\n" if is_within else b"D-INTENSITY\n"


if __name__ == "__main__":
    serve(int(sys.argv[1]), _answer)
