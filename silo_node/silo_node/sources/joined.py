"""Tables joined into one: each row of a base, with columns taken from the rows of further tables that have its key.

What is taken depends on the cells alone, not on the order of rows, but where a site file says that the later row counts.
A row that cannot be judged (a time that is none, a number that is none, two answers at the same time) is a fault, never
left out unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import polars as pl

from silo_node.source_settings import FurtherTable, JoinedSource, Taken
from silo_node.sources.aggregate import Candidates, take
from silo_node.sources.cells import missing_in, moments, texts
from silo_node.sources.faults import Fault, UnreadableError
from silo_node.sources.header import Wanted
from silo_node.sources.places import Place, listed
from silo_node.sources.read import Read
from silo_node.sources.rows import held


@dataclass
class _Base:
    """The base, its keys, and the times that rows are held against."""

    read: Read
    keys: pl.Series
    times: dict[str, pl.Series]
    faults: list[Fault] = field(default_factory=list)


def join(source: JoinedSource, wanted: Wanted, read: Callable[[str, Wanted], Read], decimal: Callable[[str, str], str]) -> Read:
    """Read a base and its further tables, and put one row each together.

    Args:
        source: what the site file says.
        wanted: the columns that are asked for.
        read: reads columns of a source.
        decimal: gives the decimal mark of a source's column.

    Raises:
        UnreadableError: T-MISSCOL, T-DUPKEY, what ``read`` raises.
    """
    asked = set(wanted.fields.values())
    needed = {
        name: {column: taken for column, taken in table.columns.items() if column in asked}
        for name, table in source.tables.items()
    }
    base = _read_base(source, wanted, needed.values(), read)
    frame = base.read.frame.select(column for column in base.read.frame.columns if column in asked)
    if not frame.width:
        frame = pl.DataFrame(height=base.read.frame.height)
    for name, table in source.tables.items():
        if needed[name] or table.required:
            frame = frame.with_columns(_add(base, name, table, needed[name], read, decimal))
    header = (*base.read.header, *(column for table in source.tables.values() for column in table.columns))
    return replace(base.read, rows=held(frame), header=header, faults=(*base.read.faults, *base.faults))


# ---------------------------------------------------------------------------------------------------------------- base


def _read_base(
    source: JoinedSource, wanted: Wanted, needed: Iterable[dict[str, Taken]], read: Callable[[str, Wanted], Read]
) -> _Base:
    made = {column for table in source.tables.values() for column in table.columns}
    times = dict.fromkeys(time for columns in needed for taken in columns.values() for time in taken.base_times)
    own = [column for column in wanted.fields.values() if column not in made]
    found = _columns(source.base, (*own, source.key, *times), (source.key, *times), read)
    base = _Base(found, missing_in(texts(found.frame[source.key]), source.missing), {})
    _unique(base)
    for name in times:
        read_times = moments(found.frame[name], source.date_format, source.missing)
        base.times[name] = read_times.values
        if read_times.bad.any():
            base.faults.append(_bad(source.base, "cells that rows are held against are no dates", _places(found, read_times.bad)))
    return base


def _unique(base: _Base) -> None:
    twice = base.keys.is_duplicated() & base.keys.is_not_null()
    if twice.any():
        places = _places(base.read, twice)
        fault = Fault(
            "T-DUPKEY",
            "The key of a join's base is different in each row",
            f"{len(places)} rows share their key with another: {base.read.unit}s {listed(places)}",
            "correct the base, or name another 'key'",
            count=len(places),
        )
        raise UnreadableError(fault)
    if base.keys.null_count():
        places = _places(base.read, base.keys.is_null())
        base.faults.append(_bad(None, "rows of the base have no key", places))


# ------------------------------------------------------------------------------------------------------ further tables


def _add(
    base: _Base,
    name: str,
    table: FurtherTable,
    needed: dict[str, Taken],
    read: Callable[[str, Wanted], Read],
    decimal: Callable[[str, str], str],
) -> list[pl.Series]:
    """Give the columns that one further table adds; what is wrong with it is added to the base's faults."""
    key = table.key or base.keys.name
    timed = table.time if any(taken.by_time for taken in needed.values()) else None
    columns = [key, *([] if timed is None else [timed])]
    for taken in needed.values():
        columns += [*([] if taken.column is None else [taken.column]), *taken.where]
    found = _columns(name, columns, columns, read)
    base.faults += [_of_table(name, fault, found) for fault in found.faults]
    keys = missing_in(texts(found.frame[key]), table.missing)
    owners = _owners(base.keys, keys)
    _keys(base, name, table, found, owners)
    times = None
    if timed is not None:
        read_times = moments(found.frame[timed], table.date_format, table.missing)
        times = read_times.values
        base.faults += _times(name, found, read_times.bad, read_times.values.is_null() & ~read_times.bad & owners.is_not_null())
    candidates = Candidates(found.frame, owners, times, base.times, base.keys, table.missing, table.ties)
    added: list[pl.Series] = []
    for column, taken in needed.items():
        answer = take(candidates, taken, decimal(name, taken.column or key))
        added.append(answer.values.alias(column))
        for code, words, rows in answer.wrong:
            base.faults.append(_bad(name, words, _places(found, rows), code=code))
    return added


def _owners(base: pl.Series, keys: pl.Series) -> pl.Series:
    """Give the row of the base that each row of a further table belongs to; null when there is none."""
    index = pl.DataFrame({"key": base, "owner": pl.Series(range(len(base)), dtype=pl.Int64)}).drop_nulls("key")
    return pl.DataFrame({"key": keys}).join(index, on="key", how="left", maintain_order="left")["owner"]


def _keys(base: _Base, name: str, table: FurtherTable, found: Read, owners: pl.Series) -> None:
    if owners.null_count():
        places = _places(found, owners.is_null())
        base.faults.append(
            Fault(
                "T-FK",
                "Each row of a further table has its row in the base",
                f"table {name!r}: {len(places)} of {found.found} rows have none: {found.unit}s {listed(places)}",
                "export both tables of the same patients, or say 'orphans: left_out' if others are expected in it",
                count=len(places),
                warning=table.orphans == "left_out",
            )
        )
    if table.required:
        without = ~pl.Series(range(len(base.keys)), dtype=pl.Int64).is_in(owners.drop_nulls().implode())
        if without.any():
            places = _places(base.read, without)
            base.faults.append(
                Fault(
                    "T-FK",
                    "Each row of the base has a row in a table that is required",
                    f"table {name!r}: {len(places)} of {len(base.keys)} rows of the base have none",
                    "export both tables of the same patients, or remove 'required'",
                    count=len(places),
                    lines=tuple(places),
                )
            )


def _times(name: str, found: Read, bad: pl.Series, without: pl.Series) -> list[Fault]:
    faults: list[Fault] = []
    if bad.any():
        faults.append(_bad(name, "times are no dates of the declared format", _places(found, bad)))
    if without.any():
        fault = _bad(name, "rows have no time, and are taken by none that asks for it", _places(found, without))
        faults.append(replace(fault, warning=True))
    return faults


# --------------------------------------------------------------------------------------------------------------- words


def _columns(name: str, columns: Iterable[str], needed: Iterable[str], read: Callable[[str, Wanted], Read]) -> Read:
    """Read columns of a source that a join is made of.

    Raises:
        UnreadableError: T-MISSCOL when one of the needed is absent; T-HDRDUP when it stands twice.
    """
    asked = dict.fromkeys(columns)
    try:
        found = read(name, Wanted({column: column for column in asked}, frozenset(asked), (), exact=False))
    except UnreadableError as error:
        raise UnreadableError(replace(error.fault, finding=f"table {name!r}: {error.fault.finding}")) from None
    for column in dict.fromkeys(needed):
        times = found.header.count(column)
        if times != 1:
            finding = "a column that the join names is absent" if times == 0 else "a column that the join names stands twice"
            rule, step = "Every column that a join names is in its table, once", "correct the site file, or export the column"
            raise UnreadableError(
                Fault("T-MISSCOL" if times == 0 else "T-HDRDUP", rule, f"table {name!r}: {finding}", step, count=1)
            )
    return found


def _of_table(name: str, fault: Fault, found: Read) -> Fault:
    """Give a further table's fault as one of the join: its records are none of the base's."""
    places = tuple(found.places(fault.records)) if fault.records else fault.lines
    words = f"table {name!r}: {fault.finding}{f', {found.unit}s {listed(places)}' if fault.records else ''}"
    return replace(fault, code="T-JOIN" if fault.records else fault.code, finding=words, records=(), lines=())


def _places(found: Read, rows: pl.Series) -> list[Place]:
    at = rows.arg_true()
    return found.places([int(record) for record in (at if found.records is None else found.records.gather(at))])


def _bad(name: str | None, words: str, places: list[Place], *, code: str = "T-JOIN") -> Fault:
    table = "" if name is None else f"table {name!r}: "
    rules = {
        "T-JOIN": "What a join takes can be read: keys, times, and the numbers of a mean, min or max",
        "T-TIE": "Of two rows of the same time, one counts",
    }
    steps = {
        "T-JOIN": "correct the rows, list marks for missing under 'missing', or give the right 'date_format'",
        "T-TIE": "export times to the minute, narrow 'where', or say 'ties: last_row'",
    }
    return Fault(code, rules[code], f"{table}{len(places)} {words}: {listed(places)}", steps[code], count=len(places))
