"""One column taken from the rows of a further table, for each row of a base."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import numpy as np
import polars as pl

from silo_node.source_settings import Taken
from silo_node.sources.cells import missing_in, numbers, texts

OWNER, CELL, TEXT, TIME, ROW = "owner", "cell", "text", "time", "row"


@dataclass(frozen=True)
class Candidates:
    """The rows of a further table.

    Attributes:
        frame: their columns; ``(n_rows, n_columns)``.
        owners: the row of the base that each belongs to, or null; ``(n_rows,)``.
        times: when each was; ``None`` when no column asks.
        base_times: the base's times, by column; each ``(n_base,)``.
        base_keys: null where a row of the base can have none; ``(n_base,)``.
        missing: texts that mean missing.
        ties: what rows of the same time mean.
    """

    frame: pl.DataFrame
    owners: pl.Series
    times: pl.Series | None
    base_times: Mapping[str, pl.Series]
    base_keys: pl.Series
    missing: tuple[str, ...]
    ties: Literal["error", "last_row"]


@dataclass(frozen=True)
class Answer:
    """What was taken.

    Attributes:
        values: ``(n_base,)``, null where there is nothing to take.
        wrong: code, words and rows of the further table that could not be judged.
    """

    values: pl.Series
    wrong: tuple[tuple[str, str, pl.Series], ...] = ()


def take(rows: Candidates, taken: Taken, decimal: str) -> Answer:
    """Take one column."""
    chosen = _chosen(rows, taken)
    unknown = _unknown(rows, taken)
    if taken.column is not None:
        text = missing_in(texts(rows.frame[taken.column]), rows.missing)
        filled = chosen & text.is_not_null()
    else:
        text, filled = None, chosen
    if taken.take == "count":
        counted = np.bincount(_owned(rows, filled), minlength=len(rows.base_keys))
        return Answer(_unless(unknown, pl.Series(counted, dtype=pl.Int64)))
    if taken.take == "any":
        counted = np.bincount(_owned(rows, filled), minlength=len(rows.base_keys))
        return Answer(_unless(unknown, pl.Series(counted > 0)))
    assert taken.column is not None  # noqa: S101  (the site file's own rule)
    assert text is not None  # noqa: S101
    if taken.take in ("last", "first"):
        return _extreme(rows, taken, filled, text)
    return _of_numbers(rows, taken, filled, decimal)


def _chosen(rows: Candidates, taken: Taken) -> pl.Series:
    """Say which rows count: those of a base row, with the texts and within the times that are asked for."""
    chosen = rows.owners.is_not_null()
    for column, allowed in taken.where.items():
        chosen &= texts(rows.frame[column]).is_in(list(allowed)).fill_null(value=False)
    if rows.times is None:
        return chosen
    if taken.by_time:
        chosen &= rows.times.is_not_null()
    limits = pl.DataFrame({OWNER: rows.owners, TIME: rows.times})
    own = {name: pl.DataFrame({"at": times})["at"].gather(rows.owners) for name, times in rows.base_times.items()}
    for name in taken.base_times:
        limits = limits.with_columns(own[name].alias(f"base {name}"))
    time = pl.col(TIME)
    conditions = [
        *([] if taken.before is None else [time < pl.col(f"base {taken.before}")]),
        *([] if taken.until is None else [time <= pl.col(f"base {taken.until}")]),
        *([] if taken.after is None else [time > pl.col(f"base {taken.after}")]),
        *([] if taken.since is None else [time >= pl.col(f"base {taken.since}")]),
    ]
    if taken.of is not None and taken.within_days is not None:
        conditions.append((time - pl.col(f"base {taken.of}")).abs() <= timedelta(days=taken.within_days))
    for condition in conditions:
        chosen &= limits.select(condition.fill_null(value=False)).to_series()
    return chosen


def _unknown(rows: Candidates, taken: Taken) -> pl.Series:
    """Say for which rows of the base nothing can be said: those without a key, or without a time that rows are held against."""
    unknown = rows.base_keys.is_null()
    for name in taken.base_times:
        unknown |= rows.base_times[name].is_null()
    return unknown


def _unless(unknown: pl.Series, values: pl.Series) -> pl.Series:
    frame = pl.DataFrame({"unknown": unknown, "values": values})
    return frame.select(pl.when(~pl.col("unknown")).then("values")).to_series()


def _owned(rows: Candidates, mask: pl.Series) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return rows.owners.filter(mask).to_numpy().astype(np.int64)


def _extreme(rows: Candidates, taken: Taken, filled: pl.Series, text: pl.Series) -> Answer:
    """Take the cell of the last or first time; of several rows of that time, the same cell, or the later row's."""
    assert rows.times is not None  # noqa: S101  (the site file's own rule)
    assert taken.column is not None  # noqa: S101
    frame = pl.DataFrame({OWNER: rows.owners, TIME: rows.times, TEXT: text, CELL: rows.frame[taken.column]}).with_row_index(ROW)
    best = pl.col(TIME).max() if taken.take == "last" else pl.col(TIME).min()
    tied = frame.filter(filled).filter(pl.col(TIME) == best.over(OWNER))
    wrong: tuple[tuple[str, str, pl.Series], ...] = ()
    if rows.ties == "error":
        differ = tied.filter(pl.col(TEXT).n_unique().over(OWNER) > 1)
        if differ.height:
            marked = frame[ROW].is_in(differ[ROW].implode())
            wrong = (("T-TIE", "rows are of the same time as another of their key, and differ", marked),)
    picked = tied.group_by(OWNER).agg(pl.col(CELL).sort_by(ROW).last())
    base = pl.DataFrame({OWNER: pl.Series(range(len(rows.base_keys)), dtype=pl.Int64)})
    return Answer(base.join(picked, on=OWNER, how="left", maintain_order="left")[CELL], wrong)


def _of_numbers(rows: Candidates, taken: Taken, filled: pl.Series, decimal: str) -> Answer:
    """Take the mean, the least or the greatest of numbers; sums in the order of the numbers, so that rows may come in any."""
    assert taken.column is not None  # noqa: S101  (the site file's own rule)
    column = rows.frame[taken.column]
    if taken.take != "mean" and column.dtype.is_temporal():
        values, bad = column, pl.Series([False]).new_from_index(0, len(column))
    else:
        cells = numbers(column, decimal, rows.missing)
        values, bad = cells.values, cells.bad & filled
    wrong = (("T-JOIN", "cells are no numbers", bad),) if bad.any() else ()
    frame = pl.DataFrame({OWNER: rows.owners, CELL: values}).filter(filled & ~bad).drop_nulls().sort(OWNER, CELL)
    base = pl.DataFrame({OWNER: pl.Series(range(len(rows.base_keys)), dtype=pl.Int64)})
    if taken.take != "mean":
        least = pl.col(CELL).min() if taken.take == "min" else pl.col(CELL).max()
        picked = frame.group_by(OWNER).agg(least)
        return Answer(base.join(picked, on=OWNER, how="left", maintain_order="left")[CELL], wrong)
    owners = frame[OWNER].to_numpy().astype(np.int64)
    sums = np.bincount(owners, weights=frame[CELL].to_numpy(), minlength=base.height)
    counted = np.bincount(owners, minlength=base.height)
    means = np.divide(sums, counted, out=np.full(base.height, np.nan), where=counted > 0)
    return Answer(pl.Series(means).fill_nan(None), wrong)
