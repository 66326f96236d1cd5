"""The elements of a file at every depth, as far as they are wanted: what an object says in its sequences.

Read as ``silo_node.dicom.privacy`` reads: the plain case in bytes, all else by pydicom without conversion of values, both within
limits of size, depth and number. Each item is a header of its own, so that ``silo_node.dicom.values`` reads its values.
"""

from __future__ import annotations

import os
from collections.abc import Container
from dataclasses import dataclass, field
from pathlib import Path

from silo_node.dicom.elements import ITEM, MOST_ELEMENTS, Odd, Short, TooMuch
from silo_node.dicom.header import (
    FIRST_READ,
    LARGEST_HEADER,
    META_TAGS,
    Header,
    UnreadableHeader,
    converted,
    foreign,
    foreign_pixels,
    plain_elements,
    plain_pixels,
    plain_start,
)
from silo_node.dicom.privacy import each_element
from silo_node.dicom.tags import CHARACTER_SET, TRANSFER_SYNTAX


@dataclass(slots=True)
class Tree:
    """A data set, or an item of a sequence.

    Attributes:
        little: whether its numbers are little endian.
        values: by tag, the bytes of the wanted elements.
        items: by tag, what is in the wanted sequences.
    """

    little: bool
    values: dict[int, bytes] = field(default_factory=dict)
    items: dict[int, list[Tree]] = field(default_factory=dict)

    @property
    def header(self) -> Header:
        """Its values, to be read by ``silo_node.dicom.values``."""
        return Header("", self.values, self.little, None, 0)

    def under(self, tag: int) -> list[Tree]:
        """Give the items of a sequence; none where it is not there."""
        return self.items.get(tag, [])

    def only(self, tag: int) -> Tree | None:
        """Give the item of a sequence that has just one."""
        found = self.under(tag)
        return found[0] if len(found) == 1 else None


class _Growing:
    """Takes one element after the other and puts it where it belongs."""

    def __init__(self, wanted: Container[int], *, little: bool) -> None:
        self.root = Tree(little)
        self._wanted = wanted
        self._inside: list[Tree | None] = [self.root]
        self._sequences: list[list[Tree] | None] = [None]
        self._left = MOST_ELEMENTS

    def element(self, tag: int, vr: bytes, value: bytes, depth: int) -> None:
        """Take one element.

        Raises:
            TooMuch: there are more than any real object has.
        """
        self._left -= 1
        if self._left < 0:
            raise TooMuch
        if tag == ITEM:
            self._item(depth)
            return
        inside = self._inside[depth]
        wanted = inside is not None and tag in self._wanted
        if vr == b"SQ":
            del self._sequences[depth:]
            items: list[Tree] = []
            self._sequences.append(items if wanted else None)
            if inside is not None and wanted:  # of a tag that stands twice the last counts, as everywhere
                inside.values.pop(tag, None)
                inside.items[tag] = items
        elif inside is not None and wanted:
            inside.items.pop(tag, None)
            inside.values[tag] = value

    def _item(self, depth: int) -> None:
        sequence = self._sequences[depth - 1]
        del self._inside[depth:]
        if sequence is None:
            self._inside.append(None)
            return
        script = self.root.values.get(CHARACTER_SET)
        sequence.append(Tree(self.root.little, {} if script is None else {CHARACTER_SET: script}))
        self._inside.append(sequence[-1])


def read_tree(path: Path, wanted: Container[int]) -> Tree:
    """Read what is wanted of a file, up to its pixel data.

    Args:
        path: the file.
        wanted: tags of elements and of the sequences that they are in, at any depth.

    Raises:
        UnreadableHeader: it cannot be read.
        OSError: the file cannot.
    """
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        data = file.read(FIRST_READ)
        while True:
            try:
                return _plain(data, size, wanted)
            except Short:
                if len(data) >= min(size, LARGEST_HEADER):
                    break
            except Odd:
                break
            except TooMuch:
                raise UnreadableHeader("D-BOMB") from None
            data += file.read(15 * len(data))
        with foreign(file, data, size, META_TAGS, defer=None) as read:
            foreign_pixels(read)
            growing = _Growing(wanted, little=read.little)
            each_element(growing, read.dataset, read.file, 0)
            return growing.root


def _plain(data: bytes, size: int, wanted: Container[int]) -> Tree:
    at, syntax = plain_start(data, {TRANSFER_SYNTAX}, {})
    growing = _Growing(wanted, little=True)

    def visit(tag: int, vr: bytes, begin: int, end: int, depth: int) -> None:
        if vr == b"UN" and tag in wanted:
            raise Odd  # a sequence may hide in it
        value = data[begin:end] if tag in wanted else b""
        if tag == CHARACTER_SET:
            if depth or vr != b"CS":
                raise Odd  # pydicom converts it, and may fail to
            value = converted(data[begin:end])
        growing.element(tag, vr, value, depth)

    at = plain_elements(data, at, syntax, visit)
    if at == len(data) < size:
        raise Short
    plain_pixels(data, at, size, syntax)
    return growing.root
