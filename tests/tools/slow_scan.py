"""The oracle of the scan for what identifies people: every element that pydicom can convert, by its converted value."""

from __future__ import annotations

import struct
import warnings

import pydicom

DATES = ("00010101", "19000101")
WORDS = {
    "ANONYMIZED",
    "ANONYMISED",
    "ANONYMOUS",
    "ANON",
    "REMOVED",
    "REDACTED",
    "UNKNOWN",
    "NONE",
    "DEIDENTIFIED",
    "MASKED",
    "NULL",
}
UIDS = set("0123456789.")


def slow_scan(path, profile):
    """Give code and tag of all that stands where the profile wants nothing to stand; pydicom reads the whole file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path)
        found = set()
        _walk(dataset, profile, found)
    return found


def _walk(dataset, profile, found):
    for key in list(dataset.keys()):
        tag = int(key)
        try:
            element = dataset[key]
        except NotImplementedError:  # of a VR that nobody knows
            assert profile.of(tag) is None
            assert not key.is_private
            continue
        if element.VR == "SQ":
            if element.tag.is_private:
                if len(element.value):
                    found.add(("D-PRIVATE", tag))
            else:
                row = profile.of(tag)
                if row is not None and any(_speaks(leaf, row.action) for item in element.value for leaf in item.iterall()):
                    found.add(("D-PHI", tag))
            for item in element.value:
                _walk(item, profile, found)
        elif element.tag.is_private:
            if not _is_empty(element):
                found.add(("D-PRIVATE", tag))
        else:
            _single(element, tag, profile, found)


def _single(element, tag, profile, found):
    if tag >> 24 == 0x60 and tag & 0xFFFF == 0x0100 and element.value not in (1, None):
        found.add(("D-OVERLAY", tag))
    row = profile.of(tag)
    if row is not None and not _is_dummy(element):
        if (row.action == "U" or element.VR == "UI") and set("U" + "D") & set(row.action) and _is_uid(element):
            return
        found.add(("D-OVERLAY" if "x" in row.tag else "D-PHI", tag))


def _speaks(leaf, action):
    if leaf.VR == "SQ" or _is_dummy(leaf):
        return False
    return not (leaf.VR == "UI" and _is_uid(leaf) and set("UD") & set(action))


def _parts(element):
    value = element.value
    if value is None:
        return []
    return list(value) if isinstance(value, (list, pydicom.multival.MultiValue)) else [value]


def _is_empty(element):
    parts = _parts(element)
    return not parts if element.VR in ("IS", "DS") else all(_blank(part) for part in parts)


def _blank(part):
    if isinstance(part, bytes):
        return not part.strip(b" \0")
    if isinstance(part, float):
        return struct.pack("<d", part) == bytes(8)
    return part == 0 if isinstance(part, int) else not str(part).strip(" \0")


def _is_uid(element):
    return all(set(str(part).strip(" \0")) <= UIDS for part in _parts(element))


def _is_dummy(element):
    return all(_says_nothing(element.VR, part) for part in _parts(element))


def _says_nothing(vr, part):
    if _blank(part) and not isinstance(part, str):
        return True
    text = (part.decode("latin-1") if isinstance(part, bytes) else str(part)).strip(" \0")
    if not text:
        return True
    if vr == "DA":
        return text in DATES
    if vr == "DT":
        return text[:8] in DATES and not set(text[8:]) - set("01.+-")
    if vr == "TM":
        return not set(text) - set("0:.")
    if vr in ("IS", "DS"):
        return not set(text) - set("0.+-")
    if vr == "AS":
        return text[:3] == "000"
    return all(word in WORDS for word in text.upper().replace("^", " ").replace("=", " ").replace("-", "").split())
