"""What local texts look like: marks for missing, numbers with the other decimal mark, dates in another order."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations

import polars as pl

from silo_node.days import of_text
from silo_node.mapping.cells import ISO_DATE
from wardround.canonical import Json

LAST_OF_FOUR_DIGITS = 0xFFFF
"""The last character that an escape of four digits can name."""

MISSING_WORDS = frozenset({"", "na", "n/a", "n.a.", "n. a.", "nan", "null", "#n/a", "<na>", "-", "--", "?", ".", "k.a.", "k. a."})
"""Words for missing, in small letters and without spaces around; none is a code of anything."""
MORE_MISSING_WORDS = frozenset(
    {"none", "missing", "unknown", "unk", "not done", "not available", "n.d.", "nd", "nil", "unbekannt"}
)
"""Words that mean missing where a number or a date should stand; as a code they may mean something."""

SENTINEL = re.compile(r"[+-]?([789])\1*([.,]0+)?|-1([.,]0+)?|0([.,]0+)?")
"""Numbers that are written for missing: -9, 99, 999, -77, 8888, -1, 0. Only where they are impossible."""
SENTINEL_DAYS = frozenset({"1800-01-01", "1899-12-30", "1899-12-31", "1900-01-01", "1901-01-01", "9999-12-31", "2099-12-31"})
"""Days that are written for missing, as ISO dates."""

DATE_MARKS = ("-", ".", "/", " ")
DATE_FORMATS = (
    *("%Y%m%d", "%d%b%Y"),
    *(mark.join(order) for mark in DATE_MARKS for order in permutations(("%d", "%m", "%Y")) if order[1] != "%Y"),
    *("%d-%b-%Y", "%d %b %Y", "%b %d, %Y"),
    *("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%d %H:%M"),
    *(f"{day} {clock}" for day in ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y") for clock in ("%H:%M", "%H:%M:%S")),
)


def means_missing(text: str, *, coded: bool) -> bool:
    """Whether a text is a word for missing."""
    word = plain(text)
    return word in MISSING_WORDS or (not coded and word in MORE_MISSING_WORDS)


def quoted(value: Json) -> str:
    """Give a value as JSON that is YAML too, on one line: whatever is not printable in its texts is escaped."""
    text = json.dumps(value, ensure_ascii=False)
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(ord(each)) for each in text)


def _escaped(point: int) -> str:
    return f"\\u{point:04x}" if point <= LAST_OF_FOUR_DIGITS else f"\\U{point:08x}"


def many(number: int, word: str) -> str:
    """Give a number with its word."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def plain(text: str) -> str:
    """Give a text in small letters, its spaces single and none around."""
    return " ".join(text.split()).casefold()


def is_sentinel(text: str, date_format: str | None = None) -> bool:
    """Whether an impossible number or day is one that is written for missing."""
    if SENTINEL.fullmatch(text.strip()):
        return True
    read = pl.select(of_text(pl.lit(text), date_format or ISO_DATE)).item()
    return read is not None and read.isoformat() in SENTINEL_DAYS


@dataclass(frozen=True)
class DateReading:
    """How many of a column's texts a format reads as days."""

    date_format: str
    reads: int


def date_readings(texts: pl.Series, formats: Sequence[str] = DATE_FORMATS) -> tuple[DateReading, ...]:
    """Give the formats that read any of these texts, the one that reads most first; of those that read the same days, one."""
    found: list[DateReading] = []
    readings: list[pl.Series] = []
    text = pl.col("text")
    for date_format in formats:
        alike = text.str.contains(" ", literal=True) == (" " in date_format)  # polars reads a blank from nothing, too
        days = texts.to_frame("text").select(pl.when(alike).then(of_text(text, date_format))).to_series()
        if days.count() and not any(days.equals(other) for other in readings):
            readings.append(days)
            found.append(DateReading(date_format, days.count()))
    return tuple(sorted(found, key=lambda each: (-each.reads, each.date_format)))


@dataclass(frozen=True)
class DecimalCount:
    """How many texts of number columns are numbers with one decimal mark only."""

    points: int = 0
    commas: int = 0
    thousands: int = 0


def decimals(columns: Iterable[pl.Series]) -> DecimalCount:
    """Count numbers with a decimal point, with a comma, and those of the latter whose comma may part thousands."""
    points = commas = thousands = 0
    for texts in columns:
        points += int(texts.str.contains(r"^\s*[+-]?[0-9]+\.[0-9]+\s*$").sum())
        commas += int(texts.str.contains(r"^\s*[+-]?[0-9]+,[0-9]+\s*$").sum())
        thousands += int(texts.str.contains(r"^\s*[+-]?[1-9][0-9]{0,2},[0-9]{3}\s*$").sum())
    return DecimalCount(points, commas, thousands)
