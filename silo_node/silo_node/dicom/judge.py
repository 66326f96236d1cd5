"""Judges what may identify people, element by element, whoever reads them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePath
from typing import Final, NamedTuple

from silo_node.dicom import paths
from silo_node.dicom.basic_profile import Profile, profile
from silo_node.dicom.dummies import is_dummy, is_empty, is_uid
from silo_node.dicom.elements import ITEM, ITEMS, TooMuch
from silo_node.dicom.header import PREAMBLE, REPEATED_GROUPS, text_of
from silo_node.dicom.tags import (
    BODY_PART,
    BURNED_IN,
    IDENTITY_REMOVED,
    IMAGE_TYPE,
    METHOD,
    METHOD_CODES,
    MODALITY,
    PATIENT_ID,
    RECOGNIZABLE,
    SOP_CLASS,
)
from silo_node.dicom.traces import Code, Place, Trace

MOST_TRACES: Final = 10_000
"""Things of one file that are told apart; a file with more is a bomb."""

NEEDED_META: Final = frozenset({0x00020000, 0x00020001, 0x00020002, 0x00020003, 0x00020010, 0x00020012, 0x00020013})
"""Elements of group 2 that reading needs or that name a program. The others name stations or hold private information."""

SECONDARY_CAPTURES: Final = "1.2.840.10008.5.1.4.1.1.7"
"""SOP Class of secondary captures; those of their multi-frame kinds begin with it and a dot."""

OFTEN_WITH_TEXT: Final = frozenset({"US", "SC", "XA", "ES", "OT"})
"""Modalities whose devices burn text into images."""

WITH_FACES: Final = frozenset({"CT", "MR"})
"""Modalities of volumes from which a face can be drawn."""

OF_HEADS: Final = frozenset(
    {"HEAD", "HEADNECK", "BRAIN", "SKULL", "FACE", "ORBIT", "EYE", "EAR", "NOSE", "SINUS", "JAW", "MAXILLA"}
    | {"ZYGOMA", "WHOLEBODY"}
)
"""Values of Body Part Examined (PS3.16 annex L) of images that hold a face, or much of one."""

PATIENT_NAME, BIRTH_DATE, ACCESSION_NUMBER = 0x00100010, 0x00100030, 0x00080050
PRIVATE: Final = 0x00010000
"""The bit of a tag that makes its group odd."""

DATA: Final = 0x00030000
"""Tags below are of commands and of what is before a data set; in one they are out of place, and nothing lists them."""

_FACTS: Final = frozenset(
    {SOP_CLASS, MODALITY, IMAGE_TYPE, BODY_PART, BURNED_IN, RECOGNIZABLE, IDENTITY_REMOVED, METHOD, METHOD_CODES}
    | {PATIENT_NAME, PATIENT_ID, BIRTH_DATE, ACCESSION_NUMBER}
)
_OVERLAYS: Final = 0x60
_OVERLAY_BITS: Final = 0x0100
_TIFF_HEADS: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


class PrivateName(NamedTuple):
    """A private attribute that a site knows to be safe (PS3.15 E.3.10).

    Attributes:
        creator: who defined it, as it stands in the file.
        group: its group.
        element: the two digits that are not those of its block.
    """

    creator: str
    group: int
    element: int


@dataclass(frozen=True)
class Rules:
    """What files are held against.

    Attributes:
        profile: the edition of the table.
        kept: tags of listed attributes that a contract needs and the site's policy lets stand.
        safe: private attributes that may stand.
        pseudonym: what the site's pseudonyms look like, in PatientID and PatientName; ``None``: those must be dummies.
    """

    profile: Profile = field(default_factory=profile)
    kept: frozenset[int] = frozenset()
    safe: frozenset[PrivateName] = frozenset()
    pseudonym: re.Pattern[str] | None = None

    @cached_property
    def actions(self) -> dict[int, str]:
        """What the profile does to each listed attribute that must not stand."""
        return {tag: row.action for tag, row in self.profile.single.items() if tag not in self.kept}

    @cached_property
    def watched(self) -> frozenset[int]:
        """The tags that are judged by themselves, without a look at their group."""
        return frozenset(self.actions) | _FACTS | {ITEM}

    def action(self, tag: int) -> str | None:
        """Give what the profile does to an attribute; ``None`` where it may stand."""
        if tag >> 24 in REPEATED_GROUPS:
            row = self.profile.of(tag)
            return None if row is None or tag in self.kept else row.action
        return self.actions.get(tag)


class _Unfinished(NamedTuple):
    """A sequence that is being read and says something by what is in it.

    Attributes:
        depth: in how many sequences it is.
        tag: its own.
        needs_value: whether it counts once something in it is no dummy; else once it has an item.
        uids_pass: whether UIDs in it are no values.
    """

    depth: int
    tag: int
    needs_value: bool
    uids_pass: bool = False


class Judge:
    """Looks at one element after the other, in their order, and keeps what was found."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.traces: set[Trace] = set()
        self.unfinished: list[_Unfinished] = []
        self._facts: dict[int, bytes] = {}
        self._creators: dict[int, dict[int, str]] = {}
        self._has_pixels = False
        self._is_behind = False

    def preamble(self, data: bytes) -> None:
        """Look at the first 128 bytes of the file."""
        head = data[: PREAMBLE - 4]
        if head.strip(b"\0"):
            self.traces.add(Trace("D-PREAMBLE", "image" if head[:4] in _TIFF_HEADS else "file"))

    def meta(self, elements: dict[int, bytes]) -> None:
        """Look at the elements of group 2."""
        self.traces.update(
            Trace("D-PHI", "meta", tag)
            for tag, value in elements.items()
            if tag not in self.rules.kept
            and not (is_uid(value) if self.rules.action(tag) == "U" else tag in NEEDED_META or is_dummy(b"", value))
        )

    def pixels(self) -> None:
        """Note that the file has pixel data, and that what follows is behind it."""
        self._has_pixels = self._is_behind = True

    def unreadable_behind(self) -> None:
        """Note that what is behind the last element cannot be read."""
        self.traces.add(Trace("D-TRAILING", "file"))

    def element(self, tag: int, vr: bytes, value: bytes, depth: int) -> None:
        """Look at an element, or at the beginning of an item; a sequence has no value of its own.

        Raises:
            TooMuch: more was found than any real file has.
        """
        while self.unfinished and self.unfinished[-1].depth >= depth:
            self.unfinished.pop()
        if tag == ITEM:
            self._item(depth)
        elif vr == b"SQ":
            self._sequence(tag, depth)
        else:
            self._value(tag, vr, value, depth)

    def _item(self, depth: int) -> None:
        self._creators[depth] = {}
        if self.unfinished:
            sequence = self.unfinished[-1]
            if sequence.tag == METHOD_CODES:
                self._facts[METHOD_CODES] = ITEMS
            elif not sequence.needs_value and sequence.depth == depth - 1:
                self._found(_code(sequence.tag), sequence.tag, sequence.depth)

    def _sequence(self, tag: int, depth: int) -> None:
        if tag & PRIVATE:
            if not self._is_safe(tag, depth):
                self.unfinished.append(_Unfinished(depth, tag, needs_value=False))
        elif tag == METHOD_CODES:
            if depth == 0:
                self.unfinished.append(_Unfinished(depth, tag, needs_value=False))
        else:
            action = self.rules.action(tag)
            if action is not None:
                self.unfinished.append(_Unfinished(depth, tag, needs_value=True, uids_pass="U" in action or "D" in action))

    def _value(self, tag: int, vr: bytes, value: bytes, depth: int) -> None:
        if self.unfinished and not is_dummy(vr, value):
            for sequence in self.unfinished:
                if sequence.needs_value and not (sequence.uids_pass and vr == b"UI" and is_uid(value)):
                    self._found(_code(sequence.tag), sequence.tag, sequence.depth)
        if tag & PRIVATE:
            self._private(tag, vr, value, depth)
            return
        if depth == 0 and tag in _FACTS and not self._is_behind:
            self._facts[tag] = value
        if tag >> 24 == _OVERLAYS and tag & 0xFFFF == _OVERLAY_BITS and value.strip(b"\0") not in (b"", b"\1"):
            self._found("D-OVERLAY", tag, depth)
        action = self.rules.action(tag)
        if action is None and tag < DATA and tag not in NEEDED_META | self.rules.kept:
            action = "X"
        if action is not None and self._identifies(tag, vr, value, action):
            self._found(_code(tag), tag, depth)

    def _identifies(self, tag: int, vr: bytes, value: bytes, action: str) -> bool:
        if is_dummy(vr, value):
            return False
        if action == "U" or vr == b"UI":
            return not (("U" in action or "D" in action) and is_uid(value))
        return not (tag in (PATIENT_ID, PATIENT_NAME) and self._is_pseudonym(value))

    def _is_pseudonym(self, value: bytes) -> bool:
        return self.rules.pseudonym is not None and self.rules.pseudonym.fullmatch(text_of(value)) is not None

    def _private(self, tag: int, vr: bytes, value: bytes, depth: int) -> None:
        if self.rules.safe and _is_creator(tag):
            self._creators.setdefault(depth, {})[tag] = text_of(value)
        if not is_empty(vr, value) and not self._is_safe(tag, depth):
            self._found("D-PRIVATE", tag, depth)

    def _is_safe(self, tag: int, depth: int) -> bool:
        if not self.rules.safe:
            return False
        creators = self._creators.get(depth, {})
        if _is_creator(tag):
            return any(name.creator == creators.get(tag) and name.group == tag >> 16 for name in self.rules.safe)
        creator = creators.get(tag & 0xFFFF0000 | (tag & 0xFF00) >> 8)
        return creator is not None and PrivateName(creator, tag >> 16, tag & 0xFF) in self.rules.safe

    def _found(self, code: Code, tag: int, depth: int) -> None:
        place: Place = "nested" if depth else "after" if self._is_behind else "top"
        self.traces.add(Trace(code, place, tag))
        if len(self.traces) > MOST_TRACES:
            raise TooMuch

    def conclude(self, name: PurePath) -> None:
        """Say what needs the whole file: whether it says how it was de-identified, its image, its path."""
        facts = {tag: text_of(value) for tag, value in self._facts.items()}
        said_how = facts.get(METHOD) or facts.get(METHOD_CODES)
        if facts.get(IDENTITY_REMOVED, "").upper() != "YES" or not said_how:
            self.traces.add(Trace("D-METHOD", "file"))
        burned_in = facts.get(BURNED_IN, "").upper()
        if burned_in == "YES":
            self.traces.add(Trace("D-BURNED", "declared"))
        elif self._has_pixels and burned_in != "NO" and _often_has_text(facts):
            self.traces.add(Trace("D-BURNED", "suspected"))
        recognizable = facts.get(RECOGNIZABLE, "").upper()
        if recognizable == "YES":
            self.traces.add(Trace("D-FACE", "declared"))
        elif self._has_pixels and recognizable != "NO" and _may_show_a_face(facts):
            self.traces.add(Trace("D-FACE", "suspected"))
        names = self._real(PATIENT_NAME, b"PN")
        numbers = [*self._real(PATIENT_ID, b"LO"), *self._real(BIRTH_DATE, b"DA"), *self._real(ACCESSION_NUMBER, b"SH")]
        self.traces.update(Trace("D-PATH", place) for place in paths.looks(name, names, numbers))

    def _real(self, tag: int, vr: bytes) -> list[str]:
        """Give the value of a fact, unless it is none, a dummy or a pseudonym."""
        value = self._facts.get(tag, b"")
        if is_dummy(vr, value) or self._is_pseudonym(value):
            return []
        return [value.decode("utf-8", "replace").strip(" \0")]


def _code(tag: int) -> Code:
    if tag & PRIVATE:
        return "D-PRIVATE"
    return "D-OVERLAY" if tag >> 24 in REPEATED_GROUPS else "D-PHI"


def _is_creator(tag: int) -> bool:
    return 0x10 <= tag & 0xFFFF <= 0xFF  # noqa: PLR2004  (PS3.5 7.8.1)


def _may_show_a_face(facts: dict[int, str]) -> bool:
    return facts.get(MODALITY, "").upper() in WITH_FACES and facts.get(BODY_PART, "").upper() in OF_HEADS


def _often_has_text(facts: dict[int, str]) -> bool:
    sop_class = facts.get(SOP_CLASS, "")
    is_capture = sop_class == SECONDARY_CAPTURES or sop_class.startswith(SECONDARY_CAPTURES + ".")
    kinds = [kind.strip().upper() for kind in facts.get(IMAGE_TYPE, "").split("\\")[:2]]
    return is_capture or "SECONDARY" in kinds or facts.get(MODALITY, "").upper() in OFTEN_WITH_TEXT
