"""What MONAI's reader of DICOM takes without a word, and reads wrongly, is refused before it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom

TAGS = (
    "SeriesInstanceUID",
    "InstanceNumber",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "Rows",
    "Columns",
    "PhotometricInterpretation",
    "NumberOfFrames",
)
ASIDE = 1e-3
"""How far slices may lie beside the line of their normal, as a share of the way."""


class RefuseMisread:
    """Refuse what MONAI's ``PydicomReader`` would merge, invent or turn over; nothing is changed.

    It merges the series of a folder into one volume, orders slices by their number and not by their place, takes steps that
    differ for one mean step, takes an image without a place for one at the origin, and does not turn MONOCHROME1 over.

    Attributes:
        step_tolerance: the share by which steps between slices may differ from their median.
        spaced: whether the preparation reads the spacing of plane images.
    """

    def __init__(self, step_tolerance: float, *, spaced: bool) -> None:
        self.step_tolerance, self.spaced = step_tolerance, spaced

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Look at the headers."""
        path = Path(sample["image"])
        files = sorted(each for each in path.glob("*") if each.is_file()) if path.is_dir() else [path]
        headers = [pydicom.dcmread(each, stop_before_pixels=True, specific_tags=list(TAGS)) for each in files]
        found = self._of_each(headers) or (self._of_series(headers) if path.is_dir() else self._of_image(headers[0]))
        if found:
            msg = f"{sample['file']}: {found}"
            raise ValueError(msg)
        return sample

    def _of_each(self, headers: list[Any]) -> str:
        if any(each.get("PhotometricInterpretation") == "MONOCHROME1" for each in headers):
            return "MONOCHROME1, which MONAI's reader does not turn over"
        if any(int(each.get("NumberOfFrames") or 1) > 1 for each in headers):
            return "several frames in one file, whose places MONAI's reader does not read"
        return ""

    def _of_image(self, header: Any) -> str:  # noqa: ANN401  (pydicom's sets have no types)
        placed = header.get("PixelSpacing") and header.get("ImagePositionPatient") and header.get("ImageOrientationPatient")
        return "" if placed or not self.spaced else "no spacing and place, which MONAI's reader would invent"

    def _of_series(self, headers: list[Any]) -> str:
        if len({each.get("SeriesInstanceUID") for each in headers}) > 1:
            return "more than one series in the folder, which MONAI's reader would merge"
        needed = ("InstanceNumber", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
        if len(headers) < 2 or any(each.get(name) is None for each in headers for name in needed):  # noqa: PLR2004  (a volume)
            return "fewer than two slices, or one without number, place, orientation or spacing"
        same = [
            [*each.ImageOrientationPatient, *each.PixelSpacing, each.Rows, each.Columns] for each in headers
        ]  # MONAI's reader takes those of the first slice
        if not np.allclose(np.array(same, dtype=float), np.array(same[0], dtype=float), rtol=0, atol=1e-4):
            return "slices of other sizes, spacings or orientations"
        return self._of_steps(headers)

    def _of_steps(self, headers: list[Any]) -> str:
        ordered = sorted(headers, key=lambda each: int(each.InstanceNumber))
        places = np.array([each.ImagePositionPatient for each in ordered], dtype=float)
        turned = np.array(ordered[0].ImageOrientationPatient, dtype=float)
        normal = np.cross(turned[:3], turned[3:])
        moves = np.diff(places, axis=0)
        steps = moves @ normal
        middle = float(np.median(steps))
        if middle == 0 or np.abs(steps - middle).max() > self.step_tolerance * abs(middle):
            return "slices that are not in the order of their numbers, are missing, or lie at one place"
        if np.linalg.norm(moves - steps[:, None] * normal, axis=1).max() > ASIDE * abs(middle):
            return "slices that are tilted against their normal"
        return ""
