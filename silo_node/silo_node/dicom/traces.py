"""What is said of files that may identify people: what kind of thing, at which tag, in how many files; never what stands there.

A private tag and a tag of a curve are numbers that a file chooses. They help whoever mends the de-identifier, so they are
named inside the hospital; what leaves it names codes only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from pydicom.datadict import keyword_for_tag

from silo_node.dicom.basic_profile import Profile
from wardround.values import Value

Code: TypeAlias = Literal[
    "D-PHI", "D-PRIVATE", "D-OVERLAY", "D-METHOD", "D-BURNED", "D-FACE", "D-PATH", "D-PREAMBLE", "D-TRAILING"
]
"""What may identify people. The order is that of a report."""

Place: TypeAlias = Literal[
    "meta",  # in group 2, before the data set
    "top",  # in the data set itself
    "nested",  # in a sequence
    "after",  # behind the pixel data
    "declared",  # the file itself says so
    "suspected",  # its kind makes it likely
    "pixels",  # its pixels look like it
    "value",  # a value of the file stands in its path
    "name",  # what looks like a name
    "date",  # what looks like a date
    "number",  # what looks like a number of a person
    "file",  # the file as a whole
    "image",  # a TIFF that begins before the DICOM data
]
"""Where, or on what ground."""


class Trace(NamedTuple):
    """One thing in one file that may identify a person.

    Attributes:
        code: what kind of thing.
        place: where it is, or on what ground it is said.
        tag: of the attribute, where it is one.
    """

    code: Code
    place: Place
    tag: int | None = None


Traces: TypeAlias = frozenset[Trace]
"""All that was found in one file; empty where nothing was."""

REMEDY: Final[dict[Code, str]] = {
    "D-PHI": "let the de-identifier empty or replace these attributes, in sequences too",
    "D-PRIVATE": "let the de-identifier remove all private attributes",
    "D-OVERLAY": "let the de-identifier remove overlays and curves",
    "D-METHOD": "let the de-identifier say what it did: PatientIdentityRemoved YES, and DeidentificationMethod or its codes",
    "D-BURNED": "look at these images; where no text is in them, set BurnedInAnnotation to NO",
    "D-FACE": "have faces removed from head scans; where none can be recognised, set RecognizableVisualFeatures to NO",
    "D-PATH": "name files and folders by pseudonyms or UIDs",
    "D-PREAMBLE": "write 128 zero bytes at the beginning of the file",
    "D-TRAILING": "remove what follows the last element of the file",
}
"""What helps, by code."""

_MUST: Final = {"X": "be absent or empty", "Z": "be empty", "D": "hold a dummy", "U": "hold a UID"}
_WHERE: Final[dict[Place, str]] = {
    "nested": ", in a sequence,",
    "after": ", behind the pixel data,",
    "meta": ", before the data set,",
}
_SAID: Final[dict[tuple[Code, Place], str]] = {
    ("D-METHOD", "file"): "PatientIdentityRemoved must be YES, and a DeidentificationMethod or its codes must say how",
    ("D-BURNED", "declared"): "BurnedInAnnotation says that text is burned into the image",
    (
        "D-BURNED",
        "suspected",
    ): "the image is of a kind that often has text burned in, and BurnedInAnnotation is not NO",
    ("D-BURNED", "pixels"): "the pixels look as if a line of text were burned into the image",
    ("D-FACE", "declared"): "RecognizableVisualFeatures says that a face can be recognised",
    ("D-FACE", "suspected"): "it is a CT or MR image of the head or the whole body, and RecognizableVisualFeatures is not NO",
    ("D-PATH", "value"): "the name of the file or of a folder holds the patient's name, number, birth date or accession number",
    ("D-PATH", "name"): "the name of the file or of a folder looks like a person's name",
    ("D-PATH", "date"): "the name of the file or of a folder holds what looks like a date",
    ("D-PATH", "number"): "the name of the file or of a folder holds what looks like a person's number",
    ("D-PREAMBLE", "file"): "the 128 bytes at the beginning of the file must be zero",
    ("D-PREAMBLE", "image"): "the file begins as a TIFF image, which can hold what the DICOM data does not",
    ("D-TRAILING", "file"): "bytes follow the last element, and are no elements",
}


class Count(Value):
    """How many files one thing was found in.

    Attributes:
        code: what kind of thing.
        place: where it is, or on what ground it is said.
        tag: of the attribute as ``(gggg,eeee)``, where it is one.
        keyword: its name, where the standard gives it one.
        rule: the whole finding in words, without the number of files.
        files: how many files.
    """

    code: Code
    place: Place
    tag: str | None
    keyword: str | None
    rule: str
    files: int


class Summary(Value):
    """What may identify people in many files.

    Attributes:
        profile: the profile that they were held against.
        files: how many files were looked at.
        clean: how many had nothing.
        counts: what was found, by code, tag and place.
    """

    profile: str
    files: int
    clean: int
    counts: tuple[Count, ...]

    def lines(self) -> list[str]:
        """Say each in a line: ``D-PHI attribute (0010,0010) PatientName must be empty under basic-2026c: 40 files``."""
        return [f"{count.code} {count.rule}: {count.files} {'file' if count.files == 1 else 'files'}" for count in self.counts]


def summed(found: Iterable[Traces], profile: Profile) -> Summary:
    """Count in how many files each thing was found."""
    files = clean = 0
    counts: Counter[Trace] = Counter()
    for traces in found:
        files += 1
        clean += not traces
        counts.update(traces)
    order = get_args(Code)
    ranked = sorted(counts.items(), key=lambda item: (order.index(item[0].code), item[0].tag or 0, item[0].place))
    return Summary(
        profile=profile.name, files=files, clean=clean, counts=tuple(_count(trace, number, profile) for trace, number in ranked)
    )


def _count(trace: Trace, files: int, profile: Profile) -> Count:
    tag = None if trace.tag is None else f"({trace.tag >> 16:04X},{trace.tag & 0xFFFF:04X})"
    keyword = _keyword(trace.tag, profile)
    return Count(
        code=trace.code, place=trace.place, tag=tag, keyword=keyword, rule=_rule(trace, tag, keyword, profile), files=files
    )


def _keyword(tag: int | None, profile: Profile) -> str | None:
    """Give an attribute's name from the profile or the data dictionary; never one that a file chose."""
    row = None if tag is None else profile.of(tag)
    return row.keyword if row is not None else (keyword_for_tag(tag) if tag is not None else "") or None


def _rule(trace: Trace, tag: str | None, keyword: str | None, profile: Profile) -> str:
    if tag is None or trace.tag is None:
        return _SAID[trace.code, trace.place]
    where = _WHERE.get(trace.place, "")
    if trace.code == "D-PRIVATE":
        return f"private attribute {tag}{where} must be absent under {profile.name}"
    row = profile.of(trace.tag)
    if trace.code == "D-OVERLAY" and row is None:
        return f"an overlay, at {tag}{where} lies in the bits of the pixel data"
    must = _MUST["X" if row is None else row.action[0]]
    return f"attribute {' '.join(filter(None, [tag, keyword]))}{where} must {must} under {profile.name}"
