"""Segmentations of slices that were written by ``slices_on_disk``, by pydicom alone, in any disguise."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.pixels.utils import pack_bits
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

SEGMENTATION = UID("1.2.840.10008.5.1.4.1.1.66.4")
Drawn = tuple[int, int, np.ndarray]
"""A segment's number, the slice's place in the list, and pixels ``(rows, columns)``."""


def item(**elements: Any) -> Dataset:
    """Make an item; one that is a data set becomes a sequence of one."""
    made = Dataset()
    for keyword, value in elements.items():
        setattr(made, keyword, [value] if isinstance(value, Dataset) else value)
    return made


def code(meaning: str) -> Dataset:
    """Make a code."""
    return item(CodeValue=meaning.upper()[:16], CodingSchemeDesignator="99TEST", CodeMeaning=meaning)


def frame(image: Dataset, segment: int | None, *, sources: bool = True, places: bool = True, **changed: Any) -> Dataset:
    """Make what is said of a frame; ``changed``: position, orientation, spacing, source."""
    made = item()
    if segment is not None:
        made.SegmentIdentificationSequence = [item(ReferencedSegmentNumber=segment)]
    if sources:
        uid = changed.get("source", image.SOPInstanceUID)
        source = item(ReferencedSOPClassUID=CTImageStorage, ReferencedSOPInstanceUID=uid)
        made.DerivationImageSequence = [item(SourceImageSequence=source)]
    if places:
        made.PlanePositionSequence = [item(ImagePositionPatient=changed.get("position", image.ImagePositionPatient))]
        orientation = changed.get("orientation", image.ImageOrientationPatient)
        made.PlaneOrientationSequence = [item(ImageOrientationPatient=orientation)]
        made.PixelMeasuresSequence = [item(PixelSpacing=changed.get("spacing", image.PixelSpacing))]
    return made


def segmentation(
    images: Sequence[Dataset],
    drawn: Sequence[Drawn],
    *,
    segments: Mapping[int, tuple[str, str]] | None = None,
    kind: str = "BINARY",
    listed: bool = True,
    of_frames: Mapping[str, Any] | None = None,
    **changed: Any,
) -> FileDataset:
    """Make a segmentation of images.

    Args:
        images: their headers.
        drawn: the frames.
        segments: number to label and meaning of the type.
        kind: BINARY, FRACTIONAL or LABELMAP.
        listed: whether the object lists the series and images that it refers to.
        of_frames: see ``frame``.
        changed: elements by keyword.
    """
    first, uid = images[0], f"{images[0].SeriesInstanceUID}.777"
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = changed.pop("syntax", ExplicitVRLittleEndian)
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = SEGMENTATION, uid
    made = FileDataset("", {}, preamble=bytes(128), file_meta=meta)
    made.SOPClassUID, made.SOPInstanceUID, made.Modality, made.ImageType = SEGMENTATION, uid, "SEG", ["DERIVED", "PRIMARY"]
    made.StudyInstanceUID, made.SeriesInstanceUID = first.StudyInstanceUID, f"{uid}.1"
    made.PatientID, made.FrameOfReferenceUID = first.PatientID, first.FrameOfReferenceUID
    if listed:
        references = [item(ReferencedSOPClassUID=CTImageStorage, ReferencedSOPInstanceUID=one.SOPInstanceUID) for one in images]
        made.ReferencedSeriesSequence = [item(SeriesInstanceUID=first.SeriesInstanceUID, ReferencedInstanceSequence=references)]
    made.SegmentationType = kind
    made.SegmentSequence = [
        item(SegmentNumber=number, SegmentLabel=label, SegmentedPropertyTypeCodeSequence=code(meaning))
        for number, (label, meaning) in (segments or {1: ("Lesion", "Lesion")}).items()
    ]
    pixels = np.stack([each for _, _, each in drawn])
    bits = 1 if kind == "BINARY" else 8
    made.NumberOfFrames, made.Rows, made.Columns = pixels.shape
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PixelRepresentation = 1, "MONOCHROME2", 0
    made.BitsAllocated, made.BitsStored, made.HighBit = bits, bits, bits - 1
    made.PixelData = pack_bits(pixels.astype(np.uint8)) if bits == 1 else pixels.astype(np.uint8).tobytes()
    if len(made.PixelData) % 2:
        made.PixelData += b"\0"
    made["PixelData"].VR = "OB"
    labels = kind == "LABELMAP"
    made.PerFrameFunctionalGroupsSequence = [
        frame(images[at], None if labels else number, **(of_frames or {})) for number, at, _ in drawn
    ]
    for keyword, value in changed.items():
        if value is None:
            delattr(made, keyword)
        else:
            setattr(made, keyword, value)
    return made


def write_segmentation_of(paths: Sequence[Path], path: Path, drawn: Sequence[Drawn] | None = None, **changed: Any) -> Path:
    """Write a segmentation of files; unless something is drawn, of one pixel of the first."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is wrong on purpose
        images = [pydicom.dcmread(each, stop_before_pixels=True) for each in paths]
        if drawn is None:
            pixels = np.zeros((images[0].Rows, images[0].Columns), np.uint8)
            pixels[0, 0] = 1
            drawn = [(1, 0, pixels)]
        pydicom.dcmwrite(path, segmentation(images, drawn, **changed), enforce_file_format=True)
    return path
