r"""One canonical form, one digest.

RFC 8785 (JSON Canonicalization Scheme) over plain JSON values, with NaN, infinities and negative zero refused; SHA-256
over ``wardround/<kind>/<version>\0`` and the canonical bytes, so that a digest of one kind never equals another's.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING, TypeAlias, Union

import rfc8785

from wardround.errors import Broken

if TYPE_CHECKING:
    from pydantic import BaseModel

Json: TypeAlias = Union[bool, int, float, str, "list[Json]", "tuple[Json, ...]", "dict[str, Json]", None]
"""A plain JSON value."""

EXACT_INTEGER_LIMIT = 2**53
"""JSON readers hold integers exactly below this magnitude (RFC 8785, section 3.2.2.3)."""


def _check(value: object, place: str) -> None:
    if isinstance(value, float):
        if not math.isfinite(value):
            msg = f"a number that is not finite has no canonical form, at {place}"
            raise Broken(msg)
        if value == 0.0 and math.copysign(1.0, value) < 0:
            msg = f"negative zero has no canonical form here, at {place}"
            raise Broken(msg)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check(item, f"{place}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _check(item, f"{place}[{index}]")


def canonical_bytes(value: object) -> bytes:
    """Give the RFC 8785 bytes of a plain JSON value.

    Raises:
        Broken: for NaN, infinities, negative zero, integers of 2^53 and more, and values that JSON does not have.
    """
    _check(value, "$")
    try:
        return rfc8785.dumps(value)  # type: ignore[arg-type]
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        msg = f"no canonical form: {type(error).__name__}"
        raise Broken(msg) from None


def model_json(model: BaseModel) -> dict[str, Json]:
    """Give a model as plain JSON with its defaults filled in, by its public (alias) names."""
    dumped: dict[str, Json] = model.model_dump(mode="json", by_alias=True)
    return dumped


def model_bytes(model: BaseModel) -> bytes:
    """Give a model's canonical bytes."""
    return canonical_bytes(model_json(model))


def digest(kind: str, version: int, value: object) -> str:
    """Give the SHA-256 (64 hexadecimal digits) of a plain JSON value of this kind and version."""
    return digest_bytes(kind, version, canonical_bytes(value))


def digest_bytes(kind: str, version: int, data: bytes) -> str:
    """Give the SHA-256 of bytes of this kind and version."""
    return hashlib.sha256(f"wardround/{kind}/{version}\0".encode() + data).hexdigest()


def sha256(data: bytes | memoryview) -> str:
    """Give the plain SHA-256 of bytes, as ``sha256sum`` prints it."""
    return hashlib.sha256(data).hexdigest()


def read_json(data: bytes) -> Json:
    """Read JSON as the canonical form writes it: its numbers of 2^53 and more were no integers.

    Raises:
        ValueError, RecursionError: when it is no JSON that can be read.
    """
    value: Json = json.loads(data, parse_int=_whole)
    return value


def _whole(digits: str) -> int | float:
    """Read whole-number digits as the canonical form writes them: an integer, or a number of 2^53 and more."""
    number = int(digits)
    return number if abs(number) < EXACT_INTEGER_LIMIT else float(number)


def is_canonical(data: bytes) -> bool:
    """Say whether these bytes are exactly the canonical form of the JSON that they hold."""
    try:
        return canonical_bytes(read_json(data)) == data
    except (ValueError, OverflowError, RecursionError, Broken):
        return False
