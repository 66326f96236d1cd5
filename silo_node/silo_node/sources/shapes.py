"""What the cells of one text column look like, counted: numbers, dates, marks for missing, codes. Nothing is decided here.

A shape holds cells, so that a draft of the site file can name local codes; whatever is told of it in words is made of
counts and shares.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from math import isfinite
from typing import Literal

import numpy as np
from numpy.typing import NDArray

MOST_DISTINCT = 50
"""A column with more distinct texts holds no code list."""

TEXT_MARKS = frozenset(
    {"?", ".", "-", "--", "---", "*", "na", "n/a", "n.a.", "n.a", "#n/a", "nan", "null", "none", "nil", "nd", "n.d.", "unk"}
    | {"unknown", "missing", "not available", "not done", "not recorded", "#null!", "#value!", "#wert!", "#nv"}
    | {"k.a.", "k. a.", "keine angabe", "unbekannt", "fehlt", "leer", "inconnu", "non renseigné", "nr", "desconocido", "s/d"}
)
"""Texts that often mean missing, in small letters."""

NUMBER_MARKS = frozenset({"-1", "-7", "-8", "-9", "-77", "-88", "-99", "-777", "-888", "-999", "-9999", "99", "999", "9999"})
"""Numbers that often mean missing: only where no value of the field can be."""

SEPARATORS = ("-", ".", "/", " ", "")
_ORDERS = (("%Y", "%m", "%d"), ("%d", "%m", "%Y"), ("%m", "%d", "%Y"))
DATE_FORMATS = tuple(separator.join(order) for order in _ORDERS for separator in SEPARATORS)
"""Year first is year, month, day (ISO 8601); with the year last, both orders of day and month are in use."""
_DATE_TEXT = re.compile(r"[0-9]{1,4}([-./ ])[0-9]{1,2}\1[0-9]{1,4}|[0-9]{8}")

_WHOLE = re.compile(r"[-+]?[0-9]+")
_POINT = re.compile(r"[-+]?[0-9]*\.[0-9]+(?:[eE][-+]?[0-9]+)?")
_COMMA = re.compile(r"[-+]?[0-9]*,[0-9]+(?:[eE][-+]?[0-9]+)?")
_EITHER = re.compile(r"[-+]?[1-9][0-9]{0,2}[.,][0-9]{3}")
_GROUPED = re.compile(
    r"[-+]?[0-9]{1,3}(?:(?:,[0-9]{3})+\.[0-9]+|(?:\.[0-9]{3})+,[0-9]+|(?:,[0-9]{3}){2,}|(?:\.[0-9]{3}){2,}"
    r"|(?:[ '\u00a0\u202f][0-9]{3})+(?:[.,][0-9]+)?)"
)

Decimal = Literal[".", ","]


@dataclass(frozen=True, eq=False)
class Numbers:
    """Different numbers of a column, ``(n_numbers,)``, and how often each stands."""

    values: NDArray[np.float64]
    times: NDArray[np.int64]

    @property
    def cells(self) -> int:
        """How many cells they are."""
        return int(self.times.sum())

    def without(self, some: Iterable[float]) -> Numbers:
        """Leave some numbers out."""
        kept = ~np.isin(self.values, list(some))
        return Numbers(self.values[kept], self.times[kept])

    def share(self, holds: NDArray[np.bool_]) -> float:
        """Give the share of cells for which something holds; 0 when there are none."""
        return int(self.times[holds].sum()) / self.cells if self.cells else 0.0


@dataclass(frozen=True)
class Shape:
    """One column.

    Attributes:
        counts: text and how often it stands, empty cells left out.
        empty: how many cells are empty.
    """

    counts: Mapping[str, int] = field(repr=False)
    empty: int

    @cached_property
    def marks(self) -> dict[str, int]:
        """Texts that often mean missing and stand here."""
        return {text: times for text, times in self.counts.items() if text.strip().lower() in TEXT_MARKS}

    @cached_property
    def values(self) -> dict[str, int]:
        """The cells that are neither empty nor such a text."""
        return {text: times for text, times in self.counts.items() if text not in self.marks}

    @cached_property
    def filled(self) -> int:
        """How many cells that is."""
        return sum(self.values.values())

    @property
    def cells(self) -> int:
        """All cells, empty ones included."""
        return sum(self.counts.values()) + self.empty

    @cached_property
    def whole(self) -> int:
        """Cells that are whole numbers."""
        return self._matching(_WHOLE)

    @cached_property
    def points(self) -> int:
        """Cells that are numbers with a decimal point, or with one group of three digits after a point."""
        return self._matching(_POINT)

    @cached_property
    def commas(self) -> int:
        """Cells that are numbers with a decimal comma, or with one group of three digits after a comma."""
        return self._matching(_COMMA)

    @cached_property
    def either(self) -> tuple[int, int]:
        """How many of ``points`` and of ``commas`` could as well be whole numbers with a mark for thousands."""
        found = [(text, times) for text, times in self.values.items() if _EITHER.fullmatch(text)]
        return sum(times for text, times in found if "." in text), sum(times for text, times in found if "," in text)

    @cached_property
    def grouped(self) -> int:
        """Cells that are numbers with marks for thousands, beyond doubt."""
        return self._matching(_GROUPED)

    @property
    def numeric(self) -> bool:
        """Whether most cells are numbers of some kind."""
        return self.filled > 0 and self.whole + self.points + self.commas + self.grouped >= 0.8 * self.filled

    @cached_property
    def date_formats(self) -> tuple[str, ...]:
        """The date formats that fit every cell; none when the cells are no dates, two when day and month may be either."""
        if not self.values or not all(_DATE_TEXT.fullmatch(text) for text in self.values):
            return ()
        return tuple(form for form in DATE_FORMATS if all(_is_date(text, form) for text in self.values))

    def numbers(self, decimal: Decimal) -> Numbers:
        """Give the cells that are numbers with this decimal mark, and how often each stands."""
        return self._with_points if decimal == "." else self._with_commas

    @cached_property
    def _with_points(self) -> Numbers:
        return self._read(_POINT)

    @cached_property
    def _with_commas(self) -> Numbers:
        return self._read(_COMMA)

    def _read(self, pattern: re.Pattern[str]) -> Numbers:
        found = [
            (number, times)
            for text, times in self.values.items()
            if (_WHOLE.fullmatch(text) or pattern.fullmatch(text)) and isfinite(number := float(text.replace(",", ".")))
        ]
        return Numbers(np.array([number for number, _ in found], float), np.array([times for _, times in found], np.int64))

    def _matching(self, pattern: re.Pattern[str]) -> int:
        return sum(times for text, times in self.values.items() if pattern.fullmatch(text))


def shape(cells: Iterable[str]) -> Shape:
    """Count the cells of a column."""
    counts = Counter(cells)
    return Shape({text: times for text, times in counts.items() if text}, counts[""])


def _is_date(text: str, form: str) -> bool:
    # strptime takes one digit for two, which the reader of a check does not
    if len(text) != len(form) + form.count("%Y") * 2:
        return False
    try:
        datetime.strptime(text, form)  # noqa: DTZ007  (a day has no zone)
    except ValueError:
        return False
    return True


def decimal_mark(shapes: Iterable[Shape]) -> tuple[Decimal | None, str]:
    """Give the decimal mark of a table's numbers and why; None where the cells leave it open."""
    numeric = [each for each in shapes if each.numeric]
    points, commas = sum(each.points for each in numeric), sum(each.commas for each in numeric)
    dots, marks = (sum(each.either[at] for each in numeric) for at in (0, 1))
    if not commas:
        return ".", f"{points} numbers with a decimal point" if points else "no number with a fraction"
    if not points:
        if marks == commas:
            return None, f"{commas} numbers with a comma before three digits: fractions or thousands"
        return ",", f"{commas} numbers with a decimal comma"
    if commas == marks and points > dots:
        return ".", f"{points} numbers with a decimal point; {commas} with a comma before three digits"
    if points == dots and commas > marks:
        return ",", f"{commas} numbers with a decimal comma; {points} with a point before three digits"
    return None, f"{points} numbers with a point and {commas} with a comma"
