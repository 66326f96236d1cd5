"""Summed losses as integers, in units of 2**-20 nats."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wardround.errors import Broken

LOSS_UNIT = 2.0**-20
"""The summed loss is counted in units of 2**-20 nats."""
LOSS_LIMIT = 1000.0
"""A record's loss is counted as at most this, so that the sum of 2**22 records fits 53 bits."""
MOST_LOSS_UNITS = round(LOSS_LIMIT / LOSS_UNIT)


def loss_units(losses: NDArray[np.floating]) -> int:
    """Add up the losses of some records, each to half a unit.

    Raises:
        Broken: when one is not finite; the caller refuses such a model before.
    """
    if not np.isfinite(losses).all():
        msg = "losses that are not finite cannot be counted"
        raise Broken(msg)
    return int(np.rint(np.minimum(losses.astype(np.float64), LOSS_LIMIT) / LOSS_UNIT).astype(np.int64).sum())


def possible(units: int, records: int) -> None:
    """Hold a summed loss against the number of its records; ``ValueError`` above what they can have."""
    if units > records * MOST_LOSS_UNITS:
        msg = "a summed loss above what the records can have"
        raise ValueError(msg)
