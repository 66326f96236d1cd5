"""What an image is once it is read: apart, so that who only finds and counts images loads no torch and no MONAI."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Loaded: TypeAlias = tuple[NDArray[Any], NDArray[np.float64], NDArray[Any] | None]
"""An array ``(columns, rows[, slices])`` or ``(columns, rows, 3)``, its affine, and its mask where there are masks."""
