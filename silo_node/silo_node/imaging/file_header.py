"""What the header of an image says that is no DICOM, and why it cannot be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Trouble: TypeAlias = Literal[
    "D-PATHNAME", "D-NOFILE", "D-FILE", "D-FORMAT", "D-HEADER", "D-BOMB", "D-DECODE", "D-NOPLANE", "D-ORIENT", "D-TILT"
]
MaskTrouble: TypeAlias = Literal["D-MASKFILE", "D-MASKFIT", "D-MASKCLASS"]

Row4: TypeAlias = tuple[float, float, float, float]
Affine: TypeAlias = tuple[Row4, Row4, Row4, Row4]


class FileError(Exception):
    """A file is no image that can be used; ``code`` says why, and nothing says what stands there."""

    def __init__(self, code: Trouble | MaskTrouble) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class FileHeader:
    """What a file says of its image.

    Attributes:
        shape: ``(columns, rows)`` or ``(columns, rows, slices)``, as it is loaded: turned as EXIF says.
        samples: of a pixel: 1 grey, 3 colours.
        kind: what its decoder is told by: images of one kind decode alike.
        affine: as ``Stack`` has it; ``None`` of pictures.
        telling: whether its metadata may say who, where or when.
    """

    shape: tuple[int, ...]
    samples: int
    kind: str
    affine: Affine | None
    telling: bool
