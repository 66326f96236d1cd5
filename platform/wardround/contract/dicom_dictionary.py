"""The data dictionary of DICOM (PS3.6), as far as contracts name it: elements by keyword, and unique identifiers.

It lies as data in ``wardround_schemas/dicom``: nothing here reads images.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from wardround.errors import Problem
from wardround.strict_yaml import nearest

EDITION: Final = "2024c"
"""The edition of PS3.6 that is held; both files say it, too."""

CLASS: Final = "class"
SYNTAX: Final = "syntax"
"""The two kinds of identifiers that contracts name: SOP classes, transfer syntaxes."""


FIRST_GROUP, PIXEL_GROUP = 0x0008, 0x7FE0
"""Groups between which a header's elements lie: those before are of the file, with the pixel data they end."""


@dataclass(frozen=True, slots=True)
class Element:
    """An element: its tag (``00180050``; an ``x`` is any digit of a repeating group), its value representation, its keyword."""

    tag: str
    representation: str
    keyword: str

    @property
    def number(self) -> int:
        """The tag as a number; of a repeating group, that of the first one."""
        return int(self.tag.replace("x", "0"), 16)

    @property
    def in_headers(self) -> bool:
        """Whether it is looked for in headers: in the data set before the pixel data; of repeating ones, curves and overlays."""
        return FIRST_GROUP <= self.number >> 16 < PIXEL_GROUP and ("x" not in self.tag or self.tag[:4] in ("50xx", "60xx"))

    @property
    def written(self) -> str:
        """The tag as people write it: ``(0018,0050)``."""
        return f"({self.tag[:4]},{self.tag[4:]})"


@cache
def elements() -> Mapping[str, Element]:
    """Give every element by its keyword."""
    found = (Element(*line.split(" ")) for line in _lines("elements.txt"))
    return {element.keyword: element for element in found}


@cache
def names(kind: str) -> Mapping[str, str]:
    """Give the identifiers of a kind, and what each is called."""
    rows = (line.split(" ", 2) for line in _lines("uids.txt"))
    return {uid: name for uid, which, name in rows if which == kind}


def _lines(name: str) -> Iterator[str]:
    text = files("wardround_schemas").joinpath("dicom", name).read_text(encoding="utf-8")
    return (line for line in text.splitlines() if not line.startswith("#"))


def unknown_keyword(keyword: str, place: str) -> Problem | None:
    """Give the problem with a keyword that no element has."""
    if keyword in elements():
        return None
    guess = nearest(keyword, elements())
    rule = f"Tags are named by the keywords of the data dictionary (PS3.6 {EDITION})"
    next_step = f"did you mean {guess!r}?" if guess else "look the keyword up in PS3.6; private elements have none"
    return Problem("S-DICOM", place, rule, f"no element has the keyword {keyword!r}", next_step)


def numbers(keywords: Iterable[str]) -> dict[str, int]:
    """Give the tags of elements by their keywords; -1, which is none, for a keyword that no element has."""
    return {keyword: elements()[keyword].number if keyword in elements() else -1 for keyword in keywords}


def unlooked_keyword(keyword: str, place: str) -> Problem | None:
    """Give the problem with a keyword that no element of a data set before its pixel data has."""
    element = elements().get(keyword)
    if element is None or element.in_headers:
        return unknown_keyword(keyword, place)
    rule = "Tags are looked at in the data set, up to the pixel data"
    return Problem("S-DICOM", place, rule, f"{keyword} {element.written} is not there", "leave it out")


def unknown_uid(uid: str, kind: str, place: str) -> Problem | None:
    """Give the problem with an identifier that is none of its kind."""
    if uid in names(kind):
        return None
    what, other = ("SOP class", SYNTAX) if kind == CLASS else ("transfer syntax", CLASS)
    if uid in names(other):
        finding, next_step = f"{uid} is {names(other)[uid]}", f"name a {what}"
    else:
        guess = nearest(uid, names(kind))
        finding = f"no {what} has the identifier {uid}"
        next_step = f"did you mean {guess} ({names(kind)[guess]})?" if guess else "look it up in PS3.6, annex A"
    return Problem("S-DICOM", place, f"A {what} is one of PS3.6 {EDITION}, annex A", finding, next_step)
