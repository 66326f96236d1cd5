"""NIfTI-1 and NIfTI-2 in one file, compressed or not: headers by nibabel, voxels by ourselves: nothing inflates unasked."""

from __future__ import annotations

import io
import itertools
import math
import zlib
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any, BinaryIO, Final, TypeAlias, cast

import nibabel
import numpy as np

from silo_node.dicom import paths
from silo_node.dicom.volume import Volume
from silo_node.imaging.file_header import Affine, FileError, FileHeader

_Raw: TypeAlias = Any
"""A header of nibabel, which has no types."""

MOST_VOXELS: Final = 2**29
"""Of a volume: 2 GiB as float32."""

LARGEST_START: Final = 1024**2
"""Bytes before the voxels."""

_READ: Final = 1024**2
_GZIP: Final = b"\x1f\x8b"
_SQUARE: Final = 1e-3
"""How far axes may be from square to each other, as the cosine between them."""
_APART: Final = 0.25
"""How far sform and qform may put a corner apart, as a share of a voxel: quaternions in 32 bits are off by less."""


def look(file: BinaryIO, _size: int) -> FileHeader:
    """Read the header of a volume.

    Raises:
        FileError: D-FORMAT, D-HEADER, D-BOMB, D-NOPLANE, D-ORIENT, D-TILT.
    """
    return _look(_Inflated(file))[1]


def load(file: BinaryIO, _size: int) -> Volume:
    """Read a volume.

    Raises:
        FileError: as ``look``, and D-DECODE.
    """
    stream = _Inflated(file)
    raw, header = _look(stream)
    slope, intercept = raw.get_slope_inter()
    kind = raw.get_data_dtype()
    wanted = math.prod(header.shape) * kind.itemsize
    stream.read(raw.get_data_offset() - stream.told)
    data = stream.read(wanted)
    if len(data) < wanted:
        raise FileError("D-DECODE")
    stored = np.frombuffer(data, kind).reshape(header.shape, order="F")
    if slope is None or (slope, intercept or 0.0) == (1.0, 0.0):
        found = stored.astype(np.float32, order="C")
    else:
        found = (stored.astype(np.float64) * slope + (intercept or 0.0)).astype(np.float32, order="C")
    if not np.isfinite(found).all():
        raise FileError("D-DECODE")
    return Volume(found, np.eye(4) if header.affine is None else np.array(header.affine))


class _Inflated:
    """A file from its beginning on, inflated if it is compressed, and no further than it is asked for."""

    def __init__(self, file: BinaryIO) -> None:
        self._parts = _parts(file)
        self._left = b""
        self.told = 0

    def read(self, size: int) -> bytes:
        """Give so many bytes; fewer at the end."""
        found = io.BytesIO()
        while found.tell() < size:
            if not self._left:
                self._left = next(self._parts, b"")
                if not self._left:
                    break
            wanted = size - found.tell()
            found.write(self._left[:wanted])
            self._left = self._left[wanted:]
        self.told += found.tell()
        return found.getvalue()


def _parts(file: BinaryIO) -> Iterator[bytes]:
    data = file.read(_READ)
    if not data.startswith(_GZIP):
        while data:
            yield data
            data = file.read(_READ)
        return
    inflator = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        while data and not inflator.eof:
            if found := inflator.decompress(data, _READ):
                yield found
            data = inflator.unconsumed_tail or file.read(_READ)
    except zlib.error:
        raise FileError("D-DECODE") from None


def _look(stream: _Inflated) -> tuple[_Raw, FileHeader]:
    try:
        raw, head = _header(stream)
        shape = tuple(int(size) for size in raw.get_data_shape())
        kind = raw.get_data_dtype()
        offset = raw.get_data_offset()
        numbers = raw.get_slope_inter()
        unit = raw.get_xyzt_units()[0]
        placed = int(raw["qform_code"]) > 0 or int(raw["sform_code"]) > 0
        affine = raw.get_best_affine()
        agree = _agree(raw, shape)
    except FileError:
        raise
    except Exception:  # noqa: BLE001  (nibabel and numpy raise almost anything on damaged headers)
        raise FileError("D-HEADER") from None
    while len(shape) > 2 and shape[-1] == 1:  # noqa: PLR2004  (axes of a plane image)
        shape = shape[:-1]
    if len(shape) not in (2, 3) or kind.kind not in "iuf" or unit not in ("mm", "unknown"):
        raise FileError("D-FORMAT")
    if min(shape) < 1 or not head <= offset or not all(math.isfinite(each) for each in numbers if each is not None):
        raise FileError("D-HEADER")
    if math.prod(shape) > MOST_VOXELS or offset > LARGEST_START:
        raise FileError("D-BOMB")
    _refuse_place(affine, placed=placed, agree=agree)
    rows = cast("Affine", tuple(tuple(float(each) for each in row) for row in affine))
    return raw, FileHeader(shape, 1, f"nifti {kind.str}", rows, _tells(raw, stream, head, offset))


def _header(stream: _Inflated) -> tuple[_Raw, int]:
    start = stream.read(4)
    kinds = {348: nibabel.Nifti1Header, 540: nibabel.Nifti2Header}
    for length in (int.from_bytes(start, "little"), int.from_bytes(start, "big")):
        if length in kinds:
            kind: Any = kinds[length]
            raw = kind(start + stream.read(length - 4), check=True)
            if bytes(raw["magic"])[:3] not in (b"n+1", b"n+2"):
                raise FileError("D-FORMAT")
            return raw, length
    raise FileError("D-FORMAT")


def _refuse_place(affine: np.ndarray[Any, np.dtype[Any]], *, placed: bool, agree: bool) -> None:
    if not placed:
        raise FileError("D-NOPLANE")
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or lengths.min() <= 0 or not agree:
        raise FileError("D-ORIENT")
    between = (affine[:3, :3] / lengths).T @ (affine[:3, :3] / lengths) - np.eye(3)
    if np.abs(between).max() > _SQUARE:
        raise FileError("D-TILT")


def _agree(raw: _Raw, shape: tuple[int, ...]) -> bool:
    """Say whether both ways in which a header may place its voxels put them at the same places, where it has both."""
    if not (int(raw["qform_code"]) > 0 and int(raw["sform_code"]) > 0):
        return True
    sform, qform = raw.get_sform(), raw.get_qform()
    ends = [(0, size - 1) for size in (*shape, 1, 1)[:3]]
    corners = np.array([(*corner, 1) for corner in itertools.product(*ends)])
    apart = np.linalg.norm((corners @ (sform - qform).T)[:, :3], axis=1).max()
    return bool(apart <= _APART * np.linalg.norm(sform[:3, :3], axis=0).min())


def _tells(raw: _Raw, stream: _Inflated, head: int, offset: int) -> bool:
    """Say whether texts or extensions of a header may say who, where or when."""
    extended = stream.read(4)[:1].strip(b"\0") != b"" if offset >= head + 4 else False
    texts = [_text(raw, name) for name in ("aux_file", "db_name") if name in raw]
    described = _text(raw, "descrip").replace("/", " ")
    return extended or any(texts) or bool(described and paths.looks(PurePath(described), (), ()))


def _text(raw: _Raw, name: str) -> str:
    return bytes(raw[name]).strip(b"\0 ").decode("latin-1")
