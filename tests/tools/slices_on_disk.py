"""Slices of a CT, written by pydicom, in any disguise."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

STUDY, SERIES = "1.2.826.0.1.3680043.10.1.1", "1.2.826.0.1.3680043.10.1.1.1"


def ct_slice(number: int, at: tuple[float, float, float], pixels: np.ndarray, **changed: Any) -> FileDataset:
    """Make a slice of a CT: ``pixels`` ``(rows, columns)``; ``changed`` are elements by keyword, None takes one away."""
    uid = UID(f"{changed.get('SeriesInstanceUID', SERIES)}.{number}")
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = changed.pop("syntax", ExplicitVRLittleEndian)
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, uid
    made = FileDataset("", {}, preamble=bytes(128), file_meta=meta)
    made.SOPClassUID, made.SOPInstanceUID = CTImageStorage, uid
    made.StudyInstanceUID, made.SeriesInstanceUID = STUDY, SERIES
    made.FrameOfReferenceUID, made.Modality, made.PatientID = f"{STUDY}.9", "CT", "P1"
    made.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    made.InstanceNumber = number
    made.ImagePositionPatient = list(at)
    made.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    made.PixelSpacing, made.SliceThickness = [0.7, 0.5], 2.5
    made.Rows, made.Columns = pixels.shape
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 16, 15
    made.PixelRepresentation = int(pixels.dtype == np.int16)
    made.RescaleSlope, made.RescaleIntercept = 1, -1024
    made.PixelData = pixels.tobytes()
    for keyword, value in changed.items():
        if value is None:
            delattr(made, keyword)
        else:
            setattr(made, keyword, value)
    return made


class Export:
    """An export folder that slices are written into."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)

    def __call__(
        self, number: int, *, name: str | None = None, at: tuple[float, float, float] | None = None, **changed: Any
    ) -> Path:
        """Write a slice; its number is its pixels' value, and its place, unless they are given."""
        pixels = changed.pop("pixels", np.full((6, 4), number, np.int16))
        path = self.folder / (name or f"{number:03}.dcm")
        path.parent.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is wrong on purpose
            made = ct_slice(number, (0.0, 0.0, 2.5 * number) if at is None else at, pixels, **changed)
            pydicom.dcmwrite(path, made, enforce_file_format=True)
        return path
