r"""An envelope as one run of bytes, for a file: what was made to be sent must be sent again bit by bit after a death.

{"arrays":[4096],"body_key":"…","message":812,"signature":"…"}\n     canonical JSON: the sizes, and the two short texts
message, arrays                                                      as they are, one after another
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, ValidationError

from wardround.canonical import is_canonical, model_bytes
from wardround.messages.envelope import MAXIMUM_ARRAYS, MAXIMUM_MESSAGE_BYTES, Envelope, in_memory
from wardround.values import Count, Value

LONGEST_HEAD = 4096
LONGEST_KEY = 1024


class _Head(Value):
    message: Annotated[int, Field(ge=0, le=MAXIMUM_MESSAGE_BYTES)]
    signature: Annotated[str, Field(max_length=LONGEST_KEY)]
    body_key: Annotated[str, Field(max_length=LONGEST_KEY)]
    arrays: Annotated[tuple[Count, ...], Field(max_length=MAXIMUM_ARRAYS)]


def store(envelope: Envelope) -> bytes:
    """Give an envelope's bytes; the same envelope gives the same ones."""
    head = _Head(
        message=len(envelope.message),
        signature=envelope.signature,
        body_key=envelope.body_key,
        arrays=tuple(len(array) for array in envelope.arrays),
    )
    return b"".join((model_bytes(head), b"\n", envelope.message, *(in_memory(array) for array in envelope.arrays)))


def restore(data: bytes) -> Envelope | None:
    """Read an envelope; None when the bytes are not exactly those of one."""
    end = data.find(b"\n", 0, LONGEST_HEAD)
    if end < 0 or not is_canonical(data[:end]):
        return None
    try:
        head = _Head.model_validate_json(data[:end])
    except ValidationError:
        return None
    parts, start = [], end + 1
    for size in (head.message, *head.arrays):
        parts.append(data[start : start + size])
        start += size
    if start != len(data):
        return None
    return Envelope(message=parts[0], signature=head.signature, arrays=tuple(parts[1:]), body_key=head.body_key)
