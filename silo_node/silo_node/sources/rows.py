"""The records of a table: held, or read again in blocks whenever columns of them are asked for.

A table of hospital size is held. One of many millions of records would take several gigabytes: it stays in its file, and
whoever needs columns of it reads them block by block, in the order of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import polars as pl

HELD_BYTES = 384 * 2**20
"""A table whose wanted columns take no more than this is held: about two million records of twenty fields."""
BLOCK_BYTES = 32 * 2**20
"""About what a block of a larger table takes."""
TIMES_TEXT = 2
"""How many times the size of a text file its columns take, about."""
TEXT_BYTES = 32
"""What a cell of text takes, about: sixteen bytes, and its signs where they are more than twelve."""

Blocks: TypeAlias = Callable[[Sequence[str]], Iterator[pl.DataFrame]]
"""Reads some columns, by their names; the frames have the table's records in order."""


@dataclass(frozen=True)
class Rows:
    """Some columns of a table's records.

    Attributes:
        schema: their local names and types, in order.
        height: how many records.
        held: the columns, where they are held.
        blocks: reads columns of a table that is not.
    """

    schema: Mapping[str, pl.DataType]
    height: int
    held: pl.DataFrame | None
    blocks: Blocks

    @property
    def frame(self) -> pl.DataFrame:
        """All columns of all records, read if need be."""
        return self.held if self.held is not None else pl.concat(self.blocks(list(self.schema)))

    def column(self, name: str) -> pl.Series:
        """Give one column of all records, read if need be."""
        return pl.concat(block[name] for block in self.blocks([name]))


def held(frame: pl.DataFrame) -> Rows:
    """Give a frame as rows that are held."""

    def blocks(columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        yield frame.select(columns) if columns else pl.DataFrame(height=frame.height)

    return Rows(MappingProxyType(dict(frame.schema)), frame.height, frame, blocks)


def streamed(schema: Mapping[str, pl.DataType], height: int, blocks: Blocks) -> Rows:
    """Give rows that are read when they are asked for."""
    return Rows(MappingProxyType(dict(schema)), height, None, blocks)


def one_after_the_other(parts: Sequence[Rows]) -> Rows:
    """Give the rows of several tables with the same columns as those of one; held, if all of them together are small."""
    schema, height = parts[0].schema, sum(part.height for part in parts)

    def blocks(columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        for part in parts:
            yield from part.blocks(columns)

    if all(part.held is not None for part in parts) and height * record_bytes(schema) <= HELD_BYTES:
        return held(pl.concat(blocks(list(schema))) if schema else pl.DataFrame(height=height))
    return streamed(schema, height, blocks)


def record_bytes(schema: Mapping[str, pl.DataType]) -> int:
    """Give what a record of some columns takes, about."""
    return max(1, sum(TEXT_BYTES if kind in (pl.String, pl.Binary) else 4 if kind == pl.Date else 8 for kind in schema.values()))
