"""What the names of a file and its folders may say about a person.

One rule is certain: a value of the file itself stands in its path. The others are guesses, and are said to be:

- a *date*: a day from 1900 to 2099, year first or year last, alone or followed by a time of day;
- a *number*: 6 to 12 digits of their own that do not begin with two zeros, as a counter does, and are no date;
- a *name*: words joined by ``^`` or by a comma and a space; or a name of two words of letters, both capitalised, of
  which neither is a word that exports use.

UIDs, digests and UUIDs are none of these.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import PurePath
from typing import Final

from silo_node.dicom.traces import Place

SHORTEST_WORD: Final = 3
"""Characters of a value that is looked for as a word of its own; shorter ones occur everywhere."""

SHORTEST_PART: Final = 6
"""Characters of a value that is looked for within words."""

_LETTERS = re.compile(r"[^\W\d_]+")
_UID = re.compile(r"(?<![0-9.])[0-9]+(\.[0-9]+){4,}")
_DIGEST = re.compile(r"(?<![0-9a-z])([0-9a-f]{16,}|[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12})(?![0-9a-z])", re.IGNORECASE)
_TIME = r"(?:[0-9]{4}(?:[0-9]{2})?)?(?![0-9])"
_DATE = re.compile(
    rf"(?<![0-9])(?:19|20)[0-9]{{2}}([-_. ]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12][0-9]|3[01]){_TIME}"
    rf"|(?<![0-9])(?:0[1-9]|[12][0-9]|3[01])([-_. ]?)(?:0[1-9]|1[0-2])\2(?:19|20)[0-9]{{2}}(?![0-9])"
)
_NUMBER = re.compile(r"(?<![0-9])(?!00)[0-9]{6,12}(?![0-9])")
_JOINED = re.compile(r"[^\W\d_]{2,}(?:\^|, ?)[^\W\d_]{2,}")
_TWO_WORDS = re.compile(r"([^\W\d_]{3,})[-_ ]([^\W\d_]{3,})(?:[-_ ]?[0-9]{1,4})?")
_EXPORT_WORDS = frozenset(
    """abdomen adc ante anterior arterial axial baseline body bone brain breast cardiac case center centre chest cohort contrast
    control cor coronal cta data dataset delayed derived dicom dicomdir diffusion dose dwi dynamic echo enhanced exam exp
    export fat first flair follow followup frame head heart hip image images import int kidney knee lateral left liver
    localizer lung mask mra native neck new non nonenh number one original part patient pelvis perfusion phantom phase pilot
    plain planning portal post posterior pre primary private prostate raw recon reconstruction reference registration report
    right sag sagittal sample scan scout screening second secondary seg segmentation sequence series session shoulder single
    site slice slices small soft source spine stack standard structure study subject subtraction supine temporal test thin
    thorax three tissue topogram train trans transversal truncated two unknown valid vascular venous view visit volume
    weighted with without xray""".split()  # noqa: SIM905  (words, not a list of 150 strings)
)


def looks(name: PurePath, names: Iterable[str], numbers: Iterable[str]) -> set[Place]:
    """Say on what grounds a path may name a person.

    Args:
        name: the path, within the folder that was exported.
        names: of the patient, as they stand in the file, those that are no dummies.
        numbers: the patient's number, birth date and accession number, likewise.
    """
    found = {*_guesses(name.parent), *_of_part(name.stem)}
    if any(_is_named(value, name) for value in names) or any(_is_numbered(value, name) for value in numbers):
        found.add("value")
    return found


@lru_cache(maxsize=4096)
def _guesses(folder: PurePath) -> frozenset[Place]:
    return frozenset(place for part in folder.parts for place in _of_part(part))


def _of_part(part: str) -> Iterable[Place]:
    left = _DIGEST.sub(" ", _UID.sub(" ", part))
    without_dates = _DATE.sub(" ", left)
    if without_dates != left:
        yield "date"
    if _NUMBER.search(without_dates):
        yield "number"
    if _JOINED.search(left) or _is_two_names(left):
        yield "name"


def _is_two_names(part: str) -> bool:
    found = _TWO_WORDS.fullmatch(part)
    if found is None:
        return False
    words = found.groups()
    capitalised = all(word.istitle() for word in words) or all(word.isupper() for word in words)
    return capitalised and not _EXPORT_WORDS.intersection(word.lower() for word in words)


def _is_named(value: str, name: PurePath) -> bool:
    """Whether a word of a person's name is a word of a path."""
    words = {word.casefold() for word in _LETTERS.findall(value) if len(word) >= SHORTEST_WORD}
    return bool(words) and not words.isdisjoint(word.casefold() for word in _LETTERS.findall(name.as_posix()))


def _is_numbered(value: str, name: PurePath) -> bool:
    """Whether a number, or what serves as one, stands in a path: on its own, or, if it is long, anywhere in a name."""
    path, value = name.as_posix().casefold(), value.casefold()
    if len(value) >= SHORTEST_WORD and _stands_alone(value, path):
        return True
    joined = _joined(value)
    return len(joined) >= SHORTEST_PART and any(joined in _joined(_UID.sub("", part)) for part in path.split("/"))


def _stands_alone(value: str, path: str) -> bool:
    at = path.find(value)
    while at >= 0:
        if not path[at - 1 : at].isalnum() and not path[at + len(value) : at + len(value) + 1].isalnum():
            return True
        at = path.find(value, at + 1)
    return False


def _joined(text: str) -> str:
    return "".join(filter(str.isalnum, text))
