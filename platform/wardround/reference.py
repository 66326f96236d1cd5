"""Reference numbers: what two people quote to each other about a failure, without saying anything about it.

    ABCD-EFGH       40 random bits; nothing of a record, a path or an error is in them

Whatever is written into a log while a reference holds carries it, and so does the refusal that leaves: the full text stays
where it happened, and is found there by the number. A reference is made before anything goes wrong, by a process that holds
no records; nobody who does may choose one, or 40 bits of a record could leave with every refusal.
"""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Annotated, TypeAlias

from pydantic import StringConstraints

Reference: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Z2-7]{4}-[A-Z2-7]{4}$")]
"""Eight characters of base 32 (RFC 4648, section 6): no 0, 1, 8 or 9 to be mistaken for a letter on the telephone."""

BYTES = 5
_FORM = re.compile(r"([A-Z2-7]{4})[- ]?([A-Z2-7]{4})")
_CURRENT: ContextVar[str | None] = ContextVar("reference", default=None)


def new_reference() -> Reference:
    """Make a reference from the operating system's randomness."""
    text = base64.b32encode(secrets.token_bytes(BYTES)).decode()
    return f"{text[:4]}-{text[4:]}"


def read_reference(text: str) -> Reference | None:
    """Read a reference as a person types it, in small letters or without its dash; None when it is none."""
    found = _FORM.fullmatch(text.strip().upper())
    return None if found is None else f"{found[1]}-{found[2]}"


def current_reference() -> Reference | None:
    """Give the reference that holds now in this thread; None outside of any."""
    return _CURRENT.get()


@contextmanager
def referred(reference: Reference | None) -> Iterator[None]:
    """Let a reference hold for as long as this lasts, in this thread; None for no reference."""
    token = _CURRENT.set(reference)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def refer_to(reference: Reference | None) -> None:
    """From here on another reference holds, until the ``referred`` around this ends: what is done was begun under it."""
    _CURRENT.set(reference)


def with_reference(text: str, reference: Reference | None) -> str:
    """Give a code as people read it: with its reference, where it has one."""
    return text if reference is None else f"{text}, reference {reference}"
