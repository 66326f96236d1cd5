"""The parts of MONAI that Wardround uses, imported without the packages that MONAI would take along if they were there.

``import monai`` imports all of MONAI, and of its optional packages all that are installed. Those below are used by nothing that
stands here, and cost more than MONAI itself, in every process that trains. So they are out of sight while MONAI is imported, and
only then: whoever asks for them afterwards gets them. MONAI then also runs the same code wherever it is installed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch  # noqa: F401  (before MONAI, with everything in sight)

OUT_OF_SIGHT = ("ignite", "matplotlib", "pandas", "requests", "scipy", "sklearn")
"""Engines, plots, tables, downloads, filters, statistics: optional to MONAI, and slow to import."""


@contextmanager
def _out_of_sight() -> Iterator[None]:
    """Let Python find none of these packages, but for those that are imported already."""
    hidden = [name for name in OUT_OF_SIGHT if name not in sys.modules]
    absent: dict[str, Any] = dict.fromkeys(hidden)
    sys.modules.update(absent)  # None is Python's own word for a module that is not to be found
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


with _out_of_sight():
    from monai import losses, transforms
    from monai.bundle import ConfigParser
    from monai.data import MetaTensor
    from monai.inferers import SlidingWindowInferer
    from monai.networks import nets

__all__ = ["ConfigParser", "MetaTensor", "SlidingWindowInferer", "losses", "nets", "transforms"]
