"""How a folder of images is to be checked."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Asked:
    """How a folder is checked.

    Attributes:
        max_fraction: the share of examples that may be set aside, and of DICOM files that may be damaged.
        pixels: whether all images are decoded, and not one of each series and transfer syntax.
        anew: whether every header is read, even of files that have not changed.
    """

    max_fraction: float = 0.0
    pixels: bool = False
    anew: bool = False
