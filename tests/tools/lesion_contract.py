"""A contract of images that the slices of ``slices_on_disk`` fit."""

from __future__ import annotations

from typing import Any

LESION: dict[str, Any] = {
    "kind": "imaging",
    "id": "ct.lesion",
    "version": "1.0.0",
    "status": "draft",
    "title": "Lesions in CT",
    "example": "series",
    "protocol": {"modalities": ("CT",), "body_parts": ("CHEST",), "bits_stored": {"low": 12, "high": 16}},
    "geometry": {
        "dimensions": 3,
        "plane": "axial",
        "rows": {"low": 6, "high": 6},
        "pixel_spacing": {"low": 0.4, "high": 1.0},
        "slice_step": {"low": 1.0, "high": 5.0},
        "slices": {"low": 4, "high": 10},
    },
    "intensity": {"unit": "HU"},
    "label": {"kind": "mask", "format": "dicom-seg", "classes": {"1": "lesion"}},
}
