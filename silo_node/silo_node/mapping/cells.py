"""One column's cells as polars expressions: local text or type in, the schema's type out.

Nothing is stripped or mended silently. A cell is missing (a declared mark, or no value), or it gives a value, or it is
bad: it holds something that is no value of the field. ``value`` is null for missing and bad cells; ``bad`` tells them
apart. ``quick`` does the same for clean columns at a fraction of the cost, with a doubt that sends the column to the
full way.

A table under work holds local columns as ``local:<name>`` and shared ones under their field's name, which has no colon.
``value`` and ``quick.value`` read local columns only; ``bad`` and ``kinds`` read both.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, time
from functools import lru_cache

import polars as pl

from silo_node.days import as_text, of_text, within
from silo_node.mapping import listed
from silo_node.mapping.facts import Facts
from silo_node.mapping.iso_days import iso_days
from silo_node.mapping.resolve import FieldMapping

LOCAL = "local:"
"""What local columns' names begin with in a table under work."""

EXACT_INTEGER_LIMIT = 2**53
"""Whole numbers below this magnitude are exact in 64-bit floating point, and in every JSON reader."""

WHOLE_TOLERANCE = 1e-9
"""How far, relatively, a converted whole number may be from one because of rounding in the conversion."""

ISO_DATE = "%Y-%m-%d"

_MIDNIGHT = r" 00:00:00(?:\.0+)?$"
"""What polars writes of a moment at midnight after its day."""

SCHEMA_TYPES: dict[str, pl.DataType] = {
    "string": pl.String(),
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "date": pl.Date(),
}


@dataclass(frozen=True)
class Quick:
    """A cheaper way for clean columns.

    Attributes:
        value: equals the full way's value wherever ``doubt`` is false.
        doubt: one truth value for the column, over the table of facts.
    """

    value: pl.Expr
    doubt: pl.Expr


@dataclass(frozen=True)
class Cells:
    """How the cells of one column are read.

    Attributes:
        value: the shared value, null where missing or bad.
        bad: whether a cell is bad; ``None`` when no cell of this type can be.
        kinds: code of the finding and when it applies to a bad cell; the first that applies counts.
        text: the local cell as text, for its shape.
        quick: see ``Quick``.
    """

    value: pl.Expr
    bad: pl.Expr | None
    kinds: tuple[tuple[str, pl.Expr], ...]
    text: pl.Expr
    quick: Quick | None = None


def compile_cells(mapping: FieldMapping, dtype: pl.DataType, facts: Facts) -> Cells | None:
    """Give the expressions for one column of a local type; ``None`` when the type cannot hold the field at all."""
    if mapping.column is None:
        raise ValueError(mapping.field.name)
    local = pl.col(LOCAL + mapping.column)
    kind = mapping.field.type
    if dtype == pl.Null:  # no cell of the column holds anything
        return Cells(local.cast(SCHEMA_TYPES[kind]), None, (), local.cast(pl.String))
    if kind == "string":
        text = _as_text(local, dtype)
        if text is None:
            return None
        cells = _text_cells(mapping, text, facts, from_text=dtype == pl.String)
        return _exact(mapping, cells, local) if dtype.is_float() and mapping.codes is None else cells
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        text = local.cast(pl.String)
        if kind == "date":
            return _date_from_text(mapping, text, facts)
        return _number_from_text(mapping, text, facts)
    if kind == "date":
        return _date_from_type(mapping, local, dtype, facts)
    if dtype.is_numeric() and dtype != pl.Int128:
        return _number_from_type(mapping, local, dtype, facts)
    return None


# --------------------------------------------------------------------------------------------------- text and codes


def _as_text(local: pl.Expr, dtype: pl.DataType) -> pl.Expr | None:
    """Give a typed column as text: ids without ``.0``, truth values as ``true`` and ``false``, dates as ISO dates."""
    if dtype == pl.String:
        return local
    if dtype in (pl.Date, pl.Datetime):
        return as_text(local, dtype)
    if dtype.is_integer() or dtype.is_decimal() or dtype in (pl.Boolean, pl.Categorical, pl.Enum):
        return local.cast(pl.String)
    if dtype.is_float():
        wide = local.cast(pl.Float64)
        whole = (wide == wide.round()) & (wide.abs() < EXACT_INTEGER_LIMIT)
        return pl.when(whole).then(wide.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(wide.cast(pl.String))
    return None


def _marked(text: pl.Expr, marks: tuple[str, ...]) -> pl.Expr:
    """Whether a cell means missing."""
    found = text.is_null()
    for mark in marks:
        found = found | _is(text, mark)
    return found.fill_null(value=True)


def _is(text: pl.Expr, mark: str) -> pl.Expr:
    """Whether a cell is a mark; for the empty one, lengths are cheaper than texts."""
    return text == mark if mark else text.str.len_bytes() == 0


def _missing(text: pl.Expr, marks: tuple[str, ...]) -> pl.Expr:
    """How many cells mean missing, when no mark stands twice."""
    return text.is_null().sum() + pl.sum_horizontal([pl.lit(0), *(_is(text, mark).sum() for mark in marks)])


def _text_cells(mapping: FieldMapping, text: pl.Expr, facts: Facts, *, from_text: bool) -> Cells:
    marks = mapping.marks
    if mapping.codes is None:
        value = text if not marks else pl.when(_marked(text, marks)).then(None).otherwise(text)
        quick = None
        if marks and from_text and mapping.field.required:
            if listed.told(mapping.field.values, marks):
                quick = Quick(text, listed.marked(mapping.field.name, mapping.field.values, marks, facts))
            else:
                quick = Quick(text, facts.any(pl.any_horizontal(_is(text, mark).any() for mark in marks)))
        return Cells(value, None, (), text, quick)
    old, new = zip(*mapping.codes, strict=True) if mapping.codes else ((), ())
    value = text.replace_strict(pl.Series(old, dtype=pl.String), pl.Series(new, dtype=pl.String), default=None)
    return Cells(value, _bad(mapping, _marked(text, marks)), (("T-MAP", pl.lit(value=True)),), text)


def _exact(mapping: FieldMapping, cells: Cells, local: pl.Expr) -> Cells:
    """Take no text from floats beyond those that hold every whole number: their last digits are made up."""
    number = local.cast(pl.Float64)
    lost = (number.is_finite() & (number.abs() >= EXACT_INTEGER_LIMIT)).fill_null(value=False)
    value = pl.when(~lost).then(cells.value)
    return Cells(value, lost & ~_marked(cells.text, mapping.marks), (("T-BIGINT", pl.lit(value=True)),), cells.text)


def _bad(mapping: FieldMapping, marked: pl.Expr) -> pl.Expr:
    return ~marked & pl.col(mapping.field.name).is_null()


# ------------------------------------------------------------------------------------------------------------ numbers


def _plain_number(text: pl.Expr, decimal: str) -> pl.Expr:
    """Read decimal numbers; with a decimal comma a point is no number (it could be a thousands mark)."""
    if decimal == ",":
        point = text.str.contains(".", literal=True)
        text = pl.when(point).then(None).otherwise(text.str.replace(",", ".", literal=True))
    return text.cast(pl.Float64, strict=False)


@lru_cache
def _numeric_marks(marks: tuple[str, ...], decimal: str) -> tuple[str, ...]:
    """Give the marks that could be read as numbers; the others are no number anyway."""
    series = pl.Series("mark", marks, dtype=pl.String)
    readable = pl.select(_plain_number(pl.lit(series), decimal).is_not_null()).to_series()
    return tuple(mark for mark, number in zip(marks, readable, strict=True) if number)


def _converted(mapping: FieldMapping, number: pl.Expr) -> pl.Expr:
    return number * mapping.factor + mapping.offset if mapping.converts else number


def _whole(number: pl.Expr, *, converted: bool) -> pl.Expr:
    """Give whole numbers as integers, null for others."""
    nearest = number.round()
    slack = WHOLE_TOLERANCE * pl.max_horizontal(nearest.abs(), 1.0)
    near = (number - nearest).abs() <= slack if converted else number == nearest
    return pl.when(near & (nearest.abs() < EXACT_INTEGER_LIMIT)).then(nearest.cast(pl.Int64, strict=False))


def _number_from_text(mapping: FieldMapping, text: pl.Expr, facts: Facts) -> Cells:
    read = _plain_number(text, mapping.decimal)
    marked = _marked(text, mapping.marks)
    masks = _numeric_marks(mapping.marks, mapping.decimal)
    number = pl.when(~marked & read.is_finite()).then(_converted(mapping, read))
    number = pl.when(number.is_finite()).then(number)
    kinds = (("T-TYPE", read.is_null()), ("T-NONFINITE", number.is_null()))
    name = mapping.field.name
    lost = facts.nulls(name) != facts.count(_missing(text, mapping.marks))
    if mapping.field.type == "number":
        quick = None if masks else Quick(_converted(mapping, read), lost | ~facts.total(name).is_finite())
        return Cells(number, _bad(mapping, marked), kinds, text, quick)
    value = _whole(number, converted=mapping.converts)
    quick = None
    if not masks and not mapping.converts:
        quick = Quick(text.cast(pl.Int64, strict=False), lost | _too_large(name, facts))
    return Cells(value, _bad(mapping, marked), (*kinds, *_not_whole(number)), text, quick)


def _too_large(name: str, facts: Facts) -> pl.Expr:
    """Whether a column holds a whole number that is not exact everywhere; one truth value."""
    large = (facts.most(name) >= EXACT_INTEGER_LIMIT) | (facts.least(name) <= -EXACT_INTEGER_LIMIT)
    return large.fill_null(value=False)


def _not_whole(number: pl.Expr) -> tuple[tuple[str, pl.Expr], ...]:
    return ("T-TYPE", number.abs() >= EXACT_INTEGER_LIMIT), ("T-INTFRAC", pl.lit(value=True))


def _number_from_type(mapping: FieldMapping, local: pl.Expr, dtype: pl.DataType, facts: Facts) -> Cells:
    text = _as_text(local, dtype)
    assert text is not None  # noqa: S101  (numbers have a text)
    marked = _typed_marks(local, mapping.marks, dtype)
    read = local.cast(pl.Float64)
    number = pl.when(~marked & read.is_finite()).then(_converted(mapping, read))
    number = pl.when(number.is_finite()).then(number)
    masks = _typed_numeric_marks(mapping.marks)
    quick = None
    kinds: tuple[tuple[str, pl.Expr], ...] = (("T-NONFINITE", number.is_null()),)
    if mapping.field.type == "number":
        if not masks:
            quick = Quick(_converted(mapping, read), ~facts.total(mapping.field.name).is_finite())
        return Cells(number, _bad(mapping, marked), kinds, text, quick)
    if dtype.is_integer() and dtype != pl.UInt64 and not mapping.converts and not masks:
        quick = Quick(local.cast(pl.Int64), _too_large(mapping.field.name, facts))
    value = _whole(number, converted=mapping.converts)
    return Cells(value, _bad(mapping, marked), (*kinds, *_not_whole(number)), text, quick)


@lru_cache
def _typed_numeric_marks(marks: tuple[str, ...]) -> tuple[float, ...]:
    found = pl.Series("mark", marks, dtype=pl.String).cast(pl.Float64, strict=False).drop_nulls()
    return tuple(found.to_list())


def _typed_marks(local: pl.Expr, marks: tuple[str, ...], dtype: pl.DataType) -> pl.Expr:
    found = local.is_null()
    for mark in _typed_numeric_marks(marks):
        if mark != mark:  # noqa: PLR0124  (NaN, which equals nothing)
            if dtype.is_float():
                found = found | local.is_nan()
        else:
            found = found | (local.cast(pl.Float64) == mark)
    return found.fill_null(value=True)


# -------------------------------------------------------------------------------------------------------------- dates


def _date_from_text(mapping: FieldMapping, text: pl.Expr, facts: Facts) -> Cells:
    marked, name, form = _marked(text, mapping.marks), mapping.field.name, mapping.date_format
    read = text.map_batches(iso_days, return_dtype=pl.Date) if form is None else of_text(text, form)
    quick = Quick(read, facts.nulls(name) != facts.count(_missing(text, mapping.marks)))
    return Cells(pl.when(~marked).then(read), _bad(mapping, marked), (("T-TYPE", pl.lit(value=True)),), text, quick)


def _date_from_type(mapping: FieldMapping, local: pl.Expr, dtype: pl.DataType, facts: Facts) -> Cells | None:
    """Read days, moments at midnight, and digits. Among days, a mark for missing is a day, written as ISO dates are."""
    if dtype.is_integer() and dtype != pl.Int128:  # 20210105 has the digits that a text has
        return _date_from_text(mapping, local.cast(pl.String), facts)
    if dtype not in (pl.Date, pl.Datetime):
        return None
    text, day, marked = as_text(local, dtype), within(local, dtype), local.is_null()
    marks = _day_marks(mapping.marks)
    if marks:
        marked = marked | within(local, dtype, date.min, date.max).dt.date().is_in(list(marks)).fill_null(value=False)
    if dtype == pl.Datetime:
        text = text.str.replace(_MIDNIGHT, "")
        day = within(pl.when(day.dt.time() == time(0)).then(day.dt.date()), pl.Date())  # by the clock of its own zone
    missing = facts.count(local.null_count())
    quick = None if marks else Quick(day, facts.nulls(mapping.field.name) != missing)
    return Cells(pl.when(~marked).then(day), _bad(mapping, marked), (("T-TYPE", pl.lit(value=True)),), text, quick)


@lru_cache
def _day_marks(marks: tuple[str, ...]) -> tuple[date, ...]:
    found = pl.Series("mark", marks, dtype=pl.String).str.to_date(ISO_DATE, strict=False, exact=True).drop_nulls()
    return tuple(day for day in found.to_list() if day is not None)
