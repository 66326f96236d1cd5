"""Where the records of a delimited text begin, and whether each has the right number of cells.

Works on the raw bytes (UTF-8), vectorised and in blocks, by RFC 4180: a cell is quoted as a whole or not at all, a quote
inside is doubled, and delimiters and line ends inside quotes belong to the cell. In such a text the number of quotes
before a structural mark is even, which is all that this module needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Positions: TypeAlias = NDArray[np.int64]

BLOCK_BYTES = 1 << 20
LOOK_BYTES = 1 << 17
"""Bytes that are looked at at a time: they stay in the processor's cache from one look to the next."""
NEWLINE = 10
RETURN = 13
DOUBLE_QUOTE = 34
BLANKS = b" \t"
"""White space that a reader of numbers passes over."""


@dataclass(frozen=True)
class Layout:
    """The records of a text, header included, in the order of the file.

    Attributes:
        lines: physical line on which each record begins, from 1; ``(n_records,)``.
        delimiters: structural delimiters in each record; ``(n_records,)``.
        blank: whether the record is an empty line; ``(n_records,)``.
        irregular: physical line of the first quote or carriage return that stands where none may; ``None`` when all is well.
    """

    lines: Positions
    delimiters: Positions
    blank: NDArray[np.bool_]
    irregular: int | None


@dataclass(frozen=True)
class Signs:
    """Which signs stand in a text.

    Attributes:
        ascii: whether all are ASCII.
        nul: whether one is NUL.
        plain: whether none is a tab, a carriage return, a blank or a double quote; not said of a text with other control signs.
        delimiters: how many are the delimiter.
    """

    ascii: bool
    nul: bool
    plain: bool
    delimiters: int


def signs(raw: bytes, delimiter: int) -> Signs:
    """Look at every byte once."""
    data = np.frombuffer(raw, np.uint8)
    above = np.empty(min(LOOK_BYTES, len(data)), np.uint8)
    least, least_above, delimiters, only_ascii = 0xFF, 0xFF, 0, True
    for start in range(0, len(data), LOOK_BYTES):
        block = data[start : start + LOOK_BYTES]
        lowest = int(block.view(np.int8).min())
        if lowest < 0:  # what is not ASCII has the highest bit
            only_ascii, lowest = False, int(block.min())
        least = min(least, lowest)
        delimiters += int(np.count_nonzero(block == delimiter))
        # Line feeds, and what is below, wrap to the greatest numbers: the least one is that of the least sign above them.
        least_above = min(least_above, int(np.subtract(block, NEWLINE + 1, out=above[: len(block)]).min()))
    plain = least >= NEWLINE and least_above > DOUBLE_QUOTE - (NEWLINE + 1)
    return Signs(ascii=only_ascii, nul=least == 0, plain=plain, delimiters=delimiters)


def blank_begins(raw: bytes, delimiter: int) -> bool:
    """Say whether a cell of a text without quotes begins with a blank."""
    blanks = [mark for mark in BLANKS if mark != delimiter and bytes([mark]) in raw]
    if not blanks:
        return False
    data = np.frombuffer(raw, np.uint8)
    for start in range(0, len(data), BLOCK_BYTES):
        # One byte more, so that each stands in a block together with the one before it.
        block = data[max(start - 1, 0) : start + BLOCK_BYTES]
        before = (block[:-1] == delimiter) | (block[:-1] == NEWLINE)
        if any(bool((before & (block[1:] == mark)).any()) for mark in blanks):
            return True
    return int(data[0]) in blanks


def regular(raw: bytes, delimiter: int, columns: int) -> int | None:
    """Count the lines of a text without quotes, if each has so many cells, two at least; ``None`` when one has not.

    A carriage return before each line end is no cell; one elsewhere is not regular.
    """
    data = np.frombuffer(raw, np.uint8)
    ends, marks = np.flatnonzero(data == NEWLINE), np.flatnonzero(data == delimiter)
    if not raw.endswith(b"\n"):
        ends = np.append(ends, len(data))
    if columns < 2 or len(marks) != len(ends) * (columns - 1):  # noqa: PLR2004  (one cell has no delimiter)
        return None
    if b"\r" in raw and raw.count(b"\r") != raw.count(b"\r\n"):
        return None
    within = marks.reshape(len(ends), columns - 1)
    fits = bool((within[:, -1] < ends).all()) and bool((within[1:, 0] > ends[:-1]).all())
    return len(ends) if fits else None


def after_lines(raw: bytes, lines: int) -> int:
    """Give where a text goes on after its first lines; they end with carriage returns where no line feed stands in all of it."""
    mark, at = b"\n" if b"\n" in raw else b"\r", 0
    for _ in range(lines):
        at = raw.find(mark, at) + 1
        if not at:
            return len(raw)
    return at


def line_starts(raw: bytes) -> Positions:
    """Give where each physical line begins, and where the last one ends; ``(n_lines + 1,)``."""
    ends = _positions(np.frombuffer(raw, np.uint8), NEWLINE) + 1
    return np.concatenate([np.zeros(1, np.int64), ends, *([np.array([len(raw)])] if not raw.endswith(b"\n") else [])])


def scan(raw: bytes, delimiter: int, quote: int | None) -> Layout:
    """Find the records of a text."""
    data = np.frombuffer(raw, np.uint8)
    quotes = _quotes(data, quote)
    newlines, delimiters = _structure(data, delimiter, quotes)
    ends = newlines
    if len(data) and data[-1] != NEWLINE:
        ends = np.append(newlines, len(data))
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1] + 1]) if len(ends) else np.zeros(0, np.int64)
    all_newlines = newlines if not len(quotes) else _positions(data, NEWLINE)
    lines = np.searchsorted(all_newlines, starts) + 1
    cells = np.searchsorted(delimiters, ends) - np.searchsorted(delimiters, starts)
    lengths = ends - starts
    returns = (lengths == 1) & (data[np.minimum(starts, max(len(data) - 1, 0))] == RETURN) if len(ends) else lengths == 1
    irregular = _irregular(data, delimiter, quotes)
    line = None if irregular is None else int(np.searchsorted(all_newlines, irregular)) + 1
    return Layout(lines, cells, (lengths == 0) | returns, line)


def _positions(data: NDArray[np.uint8], mark: int) -> Positions:
    found = [np.flatnonzero(data[start : start + BLOCK_BYTES] == mark) + start for start in range(0, len(data), BLOCK_BYTES)]
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def _quotes(data: NDArray[np.uint8], quote: int | None) -> Positions:
    return np.zeros(0, np.int64) if quote is None else _positions(data, quote)


def _structure(data: NDArray[np.uint8], delimiter: int, quotes: Positions) -> tuple[Positions, Positions]:
    """Give the line ends and delimiters that stand outside quotes: those with an even number of quotes before them."""
    newlines, delimiters = _positions(data, NEWLINE), _positions(data, delimiter)
    if len(quotes):
        newlines = newlines[np.searchsorted(quotes, newlines) % 2 == 0]
        delimiters = delimiters[np.searchsorted(quotes, delimiters) % 2 == 0]
    return newlines, delimiters


def _irregular(data: NDArray[np.uint8], delimiter: int, quotes: Positions) -> int | None:
    """Give the position of the first mark that no regular text has, if there is one."""
    found = [*_stray_quote(data, delimiter, quotes), *_stray_return(data, quotes)]
    return min(found) if found else None


def _stray_quote(data: NDArray[np.uint8], delimiter: int, quotes: Positions) -> list[int]:
    """An opening quote follows a delimiter, a line end, the beginning, or a closing quote; a closing one mirrors that."""
    found: list[int] = []
    if not len(quotes):
        return found
    if len(quotes) % 2:
        found.append(int(quotes[-1]))
        quotes = quotes[:-1]
    opening, closing = quotes[::2], quotes[1::2]
    padded = np.concatenate([np.array([NEWLINE], np.uint8), data, np.array([NEWLINE], np.uint8)])
    before, after = padded[opening], padded[closing + 2]
    doubled = np.zeros(len(opening), bool)
    doubled[1:] = opening[1:] == closing[:-1] + 1
    wrong = ~((before == delimiter) | (before == NEWLINE) | doubled)
    found += [int(position) for position in opening[wrong][:1]]
    reopened = np.zeros(len(closing), bool)
    reopened[:-1] = doubled[1:]
    wrong = ~((after == delimiter) | (after == NEWLINE) | (after == RETURN) | reopened)
    found += [int(position) for position in closing[wrong][:1]]
    return found


def _stray_return(data: NDArray[np.uint8], quotes: Positions) -> list[int]:
    """A carriage return outside quotes stands before a line end only."""
    returns = _positions(data, RETURN)
    if not len(returns):
        return []
    following = data[np.minimum(returns + 1, len(data) - 1)]
    stray = returns[(following != NEWLINE) & (returns != len(data) - 1)]
    if len(quotes):
        stray = stray[np.searchsorted(quotes, stray) % 2 == 0]
    return [int(position) for position in stray[:1]]
