"""What a de-identifier leaves in an attribute that names nobody: nothing, or a dummy.

PS3.15 lets a dummy be anything; a program can only know the plain ones. These count, whatever their case and padding:

===============================  ==========================================================================================
any value representation         nothing, zero bytes, and spaces where it is no number
any value representation         words that are all in ``WORDS``, hyphens left out, joined by spaces, ``^``, ``=`` or ``_``
DA                               00010101, 19000101
DT                               one of these dates, then no time, zeros or 010101, a fraction and a zone of zeros
TM                               zeros
AS                               000D, 000W, 000M, 000Y
IS, DS                           zero
UR                               ``http://anonymized.invalid``: the top level domain that no host can have (RFC 2606)
===============================  ==========================================================================================

All else counts as a value: initials, an invented name, a hash, a shifted date. A pseudonym is a value too, unless the site
says what its pseudonyms look like (``silo_node.dicom.judge.Rules``).
"""

from __future__ import annotations

import re
from typing import Final

WORDS: Final = frozenset(
    b"""ANON ANONYMIZED ANONYMISED ANONYMOUS CLEANED DEIDENTIFIED MASKED NONE NULL OBSCURED PSEUDONYMIZED PSEUDONYMISED REDACTED
    REMOVED UNKNOWN WITHHELD""".split()
)
"""Words that say that something was here."""

_JOINTS = bytes.maketrans(b"^=_\\", b"    ")
_DATES = rb"(?:00010101|19000101)"
_FORMS: Final = {
    b"DA": re.compile(_DATES),
    b"DT": re.compile(_DATES + rb"(?:0*|010101)(?:\.0+)?(?:[+-]0000)?"),
    b"TM": re.compile(rb"[0:]+(?:\.0+)?"),
    b"AS": re.compile(rb"000[DWMY]"),
    b"IS": re.compile(rb"[+-]?0+"),
    b"DS": re.compile(rb"[+-]?0+(?:\.0*)?(?:[Ee][+-]?[0-9]+)?"),
    b"UR": re.compile(rb"https?://[a-z]*\.?invalid/?", re.IGNORECASE),
}
_NUMBERS: Final = frozenset(b"AT FD FL OB OD OF OL OV OW SL SS SV UL US UV".split())
_UID = b"0123456789.\\"


def holds(vr: bytes, value: bytes) -> bool:
    """Say whether a value, as it stands in the file, is one: not only padding. The number zero is a value."""
    return (vr[:2] in _NUMBERS and bool(value)) or bool(value.strip(b" \0"))


def is_empty(vr: bytes, value: bytes) -> bool:
    """Say whether a value, as it stands in the file, is none: nothing, zero bytes, or spaces where it is no number."""
    return not value.strip(b"\0" if vr in _NUMBERS else b" \0")


def is_dummy(vr: bytes, value: bytes) -> bool:
    """Say whether a value, as it stands in the file, is none or a dummy."""
    padded, value = value, value.strip(b" \0")
    if not value and (vr not in _NUMBERS or is_empty(vr, padded)):
        return True
    if vr in _NUMBERS:
        return value.upper() in WORDS
    form = _FORMS.get(vr)
    if form is not None and all(form.fullmatch(part.strip()) or not part.strip() for part in value.split(b"\\")):
        return True
    return WORDS.issuperset(value.upper().translate(_JOINTS, b"-").split())


def is_uid(value: bytes) -> bool:
    """Say whether a value consists of UIDs, whoever made them."""
    return not value.strip(b" \0").translate(None, _UID)
