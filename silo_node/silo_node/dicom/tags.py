"""The elements of a header that a verdict needs, by their numbers in the data dictionary (PS3.6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

MEDIA_CLASS: Final = 0x00020002
TRANSFER_SYNTAX: Final = 0x00020010
SOURCE_TITLE: Final = 0x00020016
CHARACTER_SET: Final = 0x00080005
IMAGE_TYPE: Final = 0x00080008
SOP_CLASS: Final = 0x00080016
SOP_INSTANCE: Final = 0x00080018
MODALITY: Final = 0x00080060
PRESENTATION_INTENT: Final = 0x00080068
PATIENT_ID: Final = 0x00100020
IDENTITY_REMOVED: Final = 0x00120062
METHOD: Final = 0x00120063
METHOD_CODES: Final = 0x00120064
BODY_PART: Final = 0x00180015
SLICE_THICKNESS: Final = 0x00180050
PEAK_KILOVOLTAGE: Final = 0x00180060
FIELD_STRENGTH: Final = 0x00180087
GANTRY_TILT: Final = 0x00181120
IMAGER_SPACING: Final = 0x00181164
KERNEL: Final = 0x00181210
VIEW: Final = 0x00185101
STUDY: Final = 0x0020000D
SERIES: Final = 0x0020000E
SERIES_NUMBER: Final = 0x00200011
ACQUISITION_NUMBER: Final = 0x00200012
INSTANCE_NUMBER: Final = 0x00200013
POSITION: Final = 0x00200032
ORIENTATION: Final = 0x00200037
FRAME_OF_REFERENCE: Final = 0x00200052
LATERALITY: Final = 0x00200060
TEMPORAL_POSITION: Final = 0x00200100
SAMPLES: Final = 0x00280002
PHOTOMETRIC: Final = 0x00280004
PLANAR: Final = 0x00280006
FRAMES: Final = 0x00280008
ROWS: Final = 0x00280010
COLUMNS: Final = 0x00280011
PIXEL_SPACING: Final = 0x00280030
BITS_ALLOCATED: Final = 0x00280100
BITS_STORED: Final = 0x00280101
HIGH_BIT: Final = 0x00280102
SIGNED: Final = 0x00280103
BURNED_IN: Final = 0x00280301
RECOGNIZABLE: Final = 0x00280302
INTERCEPT: Final = 0x00281052
SLOPE: Final = 0x00281053
RESCALE_TYPE: Final = 0x00281054
LOSSY: Final = 0x00282110
MODALITY_LUT: Final = 0x00283000
SHARED_GROUPS: Final = 0x52009229
FRAME_GROUPS: Final = 0x52009230

CONTRAST: Final[Mapping[int, bytes]] = {
    0x00180010: b"LO",
    0x00180012: b"SQ",
    0x00180014: b"SQ",
    0x00181040: b"LO",
    0x00181041: b"DS",
    0x00181042: b"TM",
    0x00181043: b"TM",
    0x00181044: b"DS",
    0x00181046: b"DS",
    0x00181047: b"DS",
    0x00181048: b"CS",
    0x00181049: b"DS",
}
"""The elements of the Contrast/Bolus Module (PS3.3 C.7.6.4), with their value representations."""

HEADER_TAGS: Final = frozenset(
    CONTRAST.keys() | {value for name, value in vars().items() if name.isupper() and isinstance(value, int)}
)
"""All of them."""

SEQUENCES: Final = frozenset(
    {METHOD_CODES, MODALITY_LUT, SHARED_GROUPS, FRAME_GROUPS, *(tag for tag, vr in CONTRAST.items() if vr == b"SQ")}
)
"""Those that hold items."""
