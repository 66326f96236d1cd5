"""Which attributes identify people: table E.1-1 of DICOM PS3.15, Annex E, as data with its edition.

The tables lie in the schemas package, ``dicom/basic-<edition>.csv``. The standard is published several times a year; a new
edition is a new file, and a contract names the one that it means.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final, Literal, TypeAlias, cast, get_args

Action: TypeAlias = Literal["D", "Z", "X", "U", "Z/D", "X/Z", "X/D", "X/Z/D", "X/Z/U*"]
"""What the basic profile does to an attribute: X removes it, Z empties it, D puts a dummy there, U another UID."""

NEWEST: Final = "basic-2026c"
"""The profile that is used where none is named."""

_FIELDS = ["tag", "keyword", "vr", "action"]
_TAG = re.compile(r"[0-9A-Fx]{8}")


@dataclass(frozen=True, slots=True)
class Attribute:
    """One row of the table.

    Attributes:
        tag: eight hexadecimal digits; x stands for any.
        keyword: of the data dictionary, PS3.6.
        vr: its value representation; empty where it is not known.
        action: what the profile does to it.
    """

    tag: str
    keyword: str
    vr: str
    action: Action


@dataclass(frozen=True, slots=True)
class Repeated:
    """A row of repeating groups.

    Attributes:
        mask: the bits of a tag that count.
        bits: what they are.
        row: the row.
    """

    mask: int
    bits: int
    row: Attribute


@dataclass(frozen=True, slots=True)
class Profile:
    """One edition of the table.

    Attributes:
        name: such as ``basic-2026c``.
        single: the rows of one tag each, by tag.
        repeated: those of repeating groups.
    """

    name: str
    single: Mapping[int, Attribute]
    repeated: tuple[Repeated, ...]

    def of(self, tag: int) -> Attribute | None:
        """Give the row of a tag, if there is one."""
        return self.single.get(tag) or next((one.row for one in self.repeated if tag & one.mask == one.bits), None)


@cache
def profile(name: str = NEWEST) -> Profile:
    """Load a profile that is shipped.

    Raises:
        KeyError: there is none of this name.
    """
    if name not in editions():
        raise KeyError(name)
    lines = files("wardround_schemas").joinpath("dicom", f"{name}.csv").read_text(encoding="utf-8").splitlines()
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    if rows.fieldnames != _FIELDS:
        raise ValueError(_FIELDS)
    attributes = [_attribute(row) for row in rows]
    single = {int(row.tag, 16): row for row in attributes if "x" not in row.tag}
    return Profile(name, single, tuple(_repeated(row) for row in attributes if "x" in row.tag))


def editions() -> frozenset[str]:
    """Give the names of the profiles that are shipped."""
    there = files("wardround_schemas").joinpath("dicom").iterdir()
    return frozenset(file.name.removesuffix(".csv") for file in there if file.name.endswith(".csv"))


def _attribute(row: Mapping[str, str]) -> Attribute:
    if not _TAG.fullmatch(row["tag"]) or row["action"] not in get_args(Action):
        raise ValueError(row)
    return Attribute(row["tag"], row["keyword"], row["vr"], cast("Action", row["action"]))


def _repeated(row: Attribute) -> Repeated:
    return Repeated(int(re.sub("[^x]", "F", row.tag).replace("x", "0"), 16), int(row.tag.replace("x", "0"), 16), row)
