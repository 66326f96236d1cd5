"""The records that are held against a contract: local columns, and the shared ones that are made from them.

Whatever is asked of them is asked in one of four ways: aggregates, masks by the record alone, judgements that need some
columns of all records, and cells of the records of a mask. Records of a table that is held answer from one frame.
Records of a larger one answer block by block, and no more than ``KEPT_BYTES`` of what was asked for is kept at a time: the
file is read again for the rest. The answers are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from silo_node.mapping.cells import LOCAL
from silo_node.mapping.facts import Facts
from silo_node.sources.read import Texts
from silo_node.sources.rows import Rows

KEPT_BYTES = 192 * 2**20
"""What is kept of all records at a time, of a table that is not held; more where one question asks for more."""


@dataclass(frozen=True)
class Seen:
    """The cells of one field in the records of a mask.

    Attributes:
        mask: which records.
        texts: the local cells as text.
        values: the shared values.
        there: how many records of the table have a value.
    """

    mask: pl.Series
    texts: pl.Series
    values: pl.Series
    there: int

    def within(self, mask: pl.Series) -> Seen:
        """Give those of fewer records: ``mask`` is a part of the cells' own."""
        chosen = mask.filter(self.mask)
        return Seen(mask, self.texts.filter(chosen), self.values.filter(chosen), self.there)


class Records:
    """A table under work."""

    def __init__(self, rows: Rows, values: Mapping[str, pl.Expr], texts: Texts | None = None) -> None:
        """Take local rows, how each shared column is made from them, and what gives local numbers of a held text as text."""
        self._texts = texts
        self.height = rows.height
        self.schema = dict(rows.schema)
        self._rows = rows
        self._values = dict(values)
        self._table = None if rows.held is None else _local(rows.held).with_columns(self._named())

    def _named(self, names: Iterable[str] | None = None) -> list[pl.Expr]:
        return [self._values[name].alias(name) for name in (self._values if names is None else names)]

    def put(self, values: Mapping[str, pl.Expr], local: pl.DataFrame | None = None) -> None:
        """Make some shared columns in another way, some of them from other local cells of a table that is held."""
        self._values |= values
        if local is not None:
            self.schema |= dict(local.schema)
        if self._table is not None:
            table = self._table if local is None else self._table.with_columns(_local(local))
            self._table = table.with_columns(self._named(values))

    # ------------------------------------------------------------------------------------------------------- questions

    def answer(self, facts: Facts) -> pl.DataFrame:
        """Give the one-row table of answers."""
        if self._table is not None:
            # At once: a lazy plan of so many aggregates costs more to improve than it saves.
            return self._table.select(facts.asked)
        kept = {name: question.kept for name, question in facts.asked_of_all.items()}
        judges = {name: question.judge for name, question in facts.asked_of_all.items()}
        parts: list[pl.DataFrame] = []
        judged: dict[str, bool] = {}
        for at, names in enumerate(self._packed(kept) or [[]]):
            asked = facts.asked_of_parts if at == 0 else []
            found: dict[str, list[pl.Series]] = {name: [] for name in names}
            for block in self._blocks([*asked, *(kept[name] for name in names)]):
                if asked:
                    parts.append(block.select(asked))
                for name in names:
                    found[name].append(_column(block, kept[name]))
            for name in names:
                judged[name] = judges[name](pl.concat(found.pop(name)))
        answers = pl.concat(parts).select(facts.together)
        return answers.with_columns(pl.lit(truth).alias(name) for name, truth in judged.items())

    def masks(self, asked: Mapping[str, pl.Expr]) -> dict[str, pl.Series]:
        """Say for which records a truth value holds that each has by itself; unknown is no."""
        truths = [truth.fill_null(value=False).alias(name) for name, truth in asked.items()]
        if not truths:
            return {}
        if self._table is not None:
            return self._table.select(_every(), *truths).drop("").to_dict()
        parts = [block.select(_every(), *truths).drop("") for block in self._blocks(truths)]
        return pl.concat(parts, rechunk=True).to_dict()

    def judge(
        self, asked: Mapping[str, tuple[pl.Expr, pl.Expr | None]], unknown: Mapping[str, pl.Series] | None = None
    ) -> dict[str, pl.Series]:
        """Say for which records a truth value holds that is told from all of them; unknown is no.

        Args:
            asked: the truth values, each with a number that records have in common with those that matter for them.
            unknown: values that are missing to the judgement.
        """
        hidden = {} if unknown is None else unknown
        if self._table is not None:
            return _judged(_without(self._table, hidden), {name: truth for name, (truth, _) in asked.items()}) if asked else {}
        found: dict[str, pl.Series] = {}
        for name, (truth, alike) in asked.items():
            roots = list(dict.fromkeys(truth.meta.root_names()))
            if alike is None or not hidden.keys().isdisjoint(roots):
                table = self._frame([pl.col(root) for root in roots])
                found |= _judged(_without(table, {root: mask for root, mask in hidden.items() if root in roots}), {name: truth})
            else:
                some = _repeated(self._frame([alike.alias(name)])[name])
                judged = _judged(self._frame([pl.col(root) for root in roots], some), {name: truth})[name]
                found[name] = _scattered(some, judged)
        return found

    def cells(self, asked: Mapping[str, tuple[pl.Expr, str, pl.Series]]) -> Iterator[tuple[str, Seen]]:
        """Give the cells of the records of masks: each the local text, the field and the mask, by names of the caller's.

        As many as may be kept are read at a time, in the order in which they are asked for.
        """
        if self._table is not None:
            for key, (text, name, mask) in asked.items():
                known = self._table.height - self._table[name].null_count()
                yield key, Seen(mask, self._text(self._table, text, mask), self._table[name].filter(mask), known)
            return
        weights = {key: 48 * int(mask.sum()) for key, (_, _, mask) in asked.items()}
        for keys in _packs(weights):
            parts: dict[str, list[pl.DataFrame]] = {key: [] for key in keys}
            there, start = dict.fromkeys(keys, 0), 0
            for block in self._blocks(each for key in keys for each in (asked[key][0], pl.col(asked[key][1]))):
                for key in keys:
                    text, name, mask = asked[key]
                    there[key] += block.height - block[name].null_count()
                    part = mask.slice(start, block.height)
                    if part.any() or not parts[key]:
                        parts[key].append(block.filter(part).select(text.alias("text"), pl.col(name).alias("value")))
                start += block.height
            for key in keys:
                some = pl.concat(parts.pop(key))
                yield key, Seen(asked[key][2], some["text"], some["value"], there[key])

    def _text(self, table: pl.DataFrame, text: pl.Expr, mask: pl.Series) -> pl.Series:
        """Give a local column of a held table as text, as it stands in the file where it was read as numbers."""
        (root,) = set(text.meta.root_names())
        column = root.removeprefix(LOCAL)
        if self._texts is not None and self.schema[column].is_numeric():
            return self._texts([column], mask.arg_true()).to_series().alias("text")
        return table.select(root).filter(mask).select(text.alias("text")).to_series()

    def columns(self, names: Sequence[str]) -> Iterator[pl.Series]:
        """Give shared columns as wholes, one after the other."""
        if self._table is not None:
            yield from (self._table[name] for name in names)
            return
        columns = {name: pl.col(name) for name in names}
        for some in self._packed(columns):
            table = self._frame([columns[name] for name in some])
            for name in some:
                yield table.drop_in_place(name)

    def frame(self, names: Sequence[str], chosen: pl.Series | None = None) -> pl.DataFrame:
        """Give shared columns of all records, or of those of a mask."""
        if self._table is not None:
            table = self._table.select(names)
            return table if chosen is None else table.filter(chosen)
        return self._frame([pl.col(name) for name in names], chosen)

    def blocks(self, names: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Give shared columns block by block; those of a table that is held are one block."""
        if self._table is not None:
            yield self._table.select(names)
            return
        yield from (block.select(names) for block in self._blocks([pl.col(name) for name in names]))

    def let_go(self, names: Sequence[str]) -> None:
        """Keep nothing but some shared columns; of a table that is not held, nothing is kept anyway."""
        if self._table is not None:
            self._table = self._table.select(names)

    # ---------------------------------------------------------------------------------------------------------- blocks

    def _blocks(self, asked: Iterable[pl.Expr]) -> Iterator[pl.DataFrame]:
        """Give the columns that some expressions read, block by block."""
        roots = dict.fromkeys(root for each in asked for root in each.meta.root_names())
        shared = [root for root in roots if root in self._values]
        local = {root for root in roots if root not in self._values}
        local |= {root for name in shared for root in self._values[name].meta.root_names()}
        wanted = [name for name in self.schema if LOCAL + name in local]
        for block in self._rows.blocks(wanted):
            yield _local(block).with_columns(self._named(shared))

    def _frame(self, asked: Sequence[pl.Expr], chosen: pl.Series | None = None) -> pl.DataFrame:
        """Give some values of all records, or of those of a mask."""
        parts, start = list[pl.DataFrame](), 0
        for block in self._blocks(asked):
            part = block if chosen is None else block.filter(chosen.slice(start, block.height))
            parts.append(part.select(_every(), *asked).drop(""))
            start += block.height
        return pl.concat(parts)

    def _packed(self, kept: Mapping[str, pl.Expr]) -> list[list[str]]:
        """Say which of some values are kept at a time, by what those of the first block take."""
        first = next(self._blocks(kept.values()), None) if kept else None
        if first is None or not first.height:
            return [list(kept)] if kept else []
        times = self.height / first.height
        return _packs({name: int(_column(first, each).estimated_size() * times) for name, each in kept.items()})


def _local(frame: pl.DataFrame) -> pl.DataFrame:
    """Give local columns their names in a table under work; renamed without any, a table would lose its height."""
    return frame.rename(lambda name: LOCAL + name) if frame.width else frame


def _every() -> pl.Expr:
    """Give something of every record, so that a constant beside it gets as many."""
    return pl.repeat(0, pl.len(), dtype=pl.Int8).alias("")


def _column(table: pl.DataFrame, kept: pl.Expr) -> pl.Series:
    return table.select(kept.alias("kept")).to_series()


def _without(table: pl.DataFrame, hidden: Mapping[str, pl.Series]) -> pl.DataFrame:
    return table.with_columns(
        pl.when(pl.lit(mask)).then(None).otherwise(pl.col(name)).alias(name) for name, mask in hidden.items()
    )


def _judged(table: pl.DataFrame, asked: Mapping[str, pl.Expr]) -> dict[str, pl.Series]:
    return table.select(truth.fill_null(value=False).alias(name) for name, truth in asked.items()).to_dict()


def _repeated(hashes: pl.Series) -> pl.Series:
    """Say which hashes stand several times; by sorting, which takes less than a table of all of them."""
    ordered = np.sort(hashes.to_numpy())
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    return hashes.is_in(pl.Series(twice, dtype=hashes.dtype).implode())


def _scattered(some: pl.Series, judged: pl.Series) -> pl.Series:
    found = np.zeros(len(some), dtype=np.bool_)
    found[some.to_numpy()] = judged.to_numpy()
    return pl.Series(found)


def _packs(weights: Mapping[str, int]) -> list[list[str]]:
    """Put what follows each other together, as long as it may be kept at a time."""
    packs: list[list[str]] = []
    left = 0
    for name, weight in weights.items():
        if not packs or weight > left:
            packs.append([])
            left = KEPT_BYTES
        packs[-1].append(name)
        left -= weight
    return packs


@dataclass(frozen=True)
class Typed:
    """The fields of all records in schema form, to be read: a table that is not held is read when it is asked for.

    Attributes:
        names: the fields, in the contract's order.
        records: where their columns are.
        lost: values that are missing from now on, by field.
    """

    names: tuple[str, ...]
    records: Records
    lost: Mapping[str, pl.Series] = field(default_factory=dict)

    @property
    def height(self) -> int:
        """How many records there are."""
        return self.records.height

    def parts(self, name: str, chosen: pl.Series) -> Iterator[pl.Series]:
        """Give a field of the records of a mask, in parts."""
        start = 0
        for block in self.records.blocks([name]):
            part = block[name]
            lost = {name: self.lost[name].slice(start, len(part))} if name in self.lost else {}
            yield _without(part.to_frame(), lost).to_series().filter(chosen.slice(start, len(part)))
            start += len(part)

    def frame(self, chosen: pl.Series) -> pl.DataFrame:
        """Give all fields of the records of a mask."""
        if chosen.all():
            return _without(self.records.frame(self.names), self.lost)
        return _without(self.records.frame(self.names, chosen), {name: mask.filter(chosen) for name, mask in self.lost.items()})
