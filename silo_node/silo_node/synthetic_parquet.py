"""Synthetic records as a Parquet file: ``wardround schema synthesise`` finds this by its entry point ``wardround.table_writers``.

The platform makes the records as text and knows no tables; here the text becomes columns of types, as an export would have
them: a field's own type where every cell is a value of it or missing, and text where one is not.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import polars as pl

from silo_node.mapping.cells import ISO_DATE
from wardround.contract.model import Contract

WHOLE, PLAIN, DAY = r"^-?[0-9]{1,18}$", r"^-?[0-9]+(\.[0-9]+)?$", r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"


def parquet(table: bytes, contract: Contract, metadata: Mapping[str, str]) -> bytes:
    """Write a table in shared form as a Parquet file.

    Args:
        table: a CSV in UTF-8 with a header line and commas.
        contract: names the columns' types; further columns are text.
        metadata: what the file says of itself, as its key-value metadata.
    """
    texts = pl.read_csv(table, infer_schema=False, empty_string_is_null=False)
    columns = [_typed(column, contract) if column.name in contract.names else column for column in texts.iter_columns()]
    stream = io.BytesIO()
    pl.DataFrame(columns).write_parquet(stream, metadata=dict(metadata))
    return stream.getvalue()


def _typed(texts: pl.Series, contract: Contract) -> pl.Series:
    there = _without(texts, contract.missing_marks(texts.name))
    kind = contract.field(texts.name).type
    if kind == "integer" and _all(there, WHOLE):
        return there.cast(pl.Int64)
    if kind in ("integer", "number") and _all(there, PLAIN):
        return there.cast(pl.Float64)
    if kind == "date" and _all(there, DAY):
        days = there.str.to_date(ISO_DATE, strict=False)
        return days if days.null_count() == there.null_count() else _without(texts, ("",))
    return _without(texts, ("",))  # other marks for missing stay as they are written


def _without(texts: pl.Series, marks: Sequence[str]) -> pl.Series:
    """Give texts with nothing where one of these stands."""
    column = pl.col(texts.name)
    return texts.to_frame().select(pl.when(column.is_in(list(marks))).then(None).otherwise(column).alias(texts.name)).to_series()


def _all(texts: pl.Series, pattern: str) -> bool:
    return bool(texts.drop_nulls().str.contains(pattern).all())
