"""Dates that are written in another way than declared, times of several zones, and days that have not come yet."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import polars as pl

from silo_node.days import of_text
from silo_node.mapping.cells import ISO_DATE
from silo_node.mapping.facts import Facts
from silo_node.validation import sentinels
from silo_node.validation.causes import Cause, Failed, Kind, by_kind, matching, note, nowhere
from silo_node.validation.constraints import Check
from wardround.contract.model import Contract, ContractField

FORMATS = (
    "%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d",
    "%d%b%Y", "%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y", "%Y-%d-%m",
    "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%d %H:%M",
    "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S",
)  # fmt: skip
"""Ways in which hospitals write days, with years of four digits; those with a time of day, where it is midnight.
A blank in a format is read from nothing, too: what has none comes first."""
FIRST_SERIAL, LAST_SERIAL = 10_000, 60_000
"""Days since the end of 1899 as spreadsheets count them, from 1927 to 2064; other numbers of five digits are no such days."""

EARLIEST_ZONE = timedelta(hours=14)
"""How far the first zone on Earth is ahead of UTC."""

_NO_DAY = r"(?:0000-00-00|0001-01-01)(?:[T ]00:00(?::00(?:\.0+)?)?)?|00[./-]00[./-]0000|01[./-]01[./-]0001"
"""What databases hold for a day that is not known, in a column that takes no nothing."""
_TWO_DIGIT_YEAR = r"[0-9]{1,2}[./-][0-9]{1,2}[./-][0-9]{2}|[0-9]{1,2}[ -]?[A-Za-z]{3}[ -]?[0-9]{2}"
_SERIAL = r"[1-6][0-9]{4}(?:\.[0-9]+)?"
_TIME = r"[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?"
_DATE_TIME = rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}{_TIME} ?(?:Z|UTC|GMT|[A-Z]{{3,4}}|[+-][0-9]{{2}}(?::?[0-9]{{2}})?)?"
_ZONE = rf"\A[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}{_TIME} ?(.*)\z"
_OTHER_KINDS = (
    Kind(
        "of no year from 1000 to 9999",
        r"-?[0-9]+ (?:days|(?:milli|micro|nano)seconds) since 1970-01-01|0[0-9]{3}-[0-9]{2}-[0-9]{2}.*",
        "correct the days, or leave the cells of unknown ones empty",
    ),
    Kind("with a time of day", rf".*{_TIME}.*", "export the day alone"),
    Kind(
        "without the day", r"[0-9]{4}(?:-(?:[0-9]{2}|-|UN)(?:-(?:-|UN)?)?)?", "declare what stands for an unknown day as missing"
    ),
    Kind("a mark for missing", r"(?i)n/?a|nan|null|none|unk(?:nown)?|\.|-+|\?+|#n/a", "declare the mark under 'missing'"),
)


def latest_today() -> date:
    """Give the day that it is where the sun rises first: no record of anywhere is dated after it by right."""
    return (datetime.now(UTC) + EARLIEST_ZONE).date()


def checks(_: Contract, field: ContractField, facts: Facts, today: date) -> Iterator[Check]:
    """Give the check that no day has yet to come, where the contract does not say itself how late a day may be."""
    first = field.constraints.minimum
    if field.type != "date" or field.constraints.maximum is not None:
        return
    if first is not None and date.fromisoformat(str(first)) > today:
        return
    yield Check(
        code="T-FUTURE",
        severity="warning",
        level="share",
        fields=(field.name,),
        broken=pl.col(field.name) > today,
        suspicion=(facts.most(field.name) > today).fill_null(value=False),
        expectation=f"{field.name} is not after the day of the check",
        next_step="correct the dates (years of two digits and swapped days become such), or ask for a maximum in the schema",
    )


def causes(failed: Failed) -> Iterator[Cause]:
    """Say which cells of a date field are times of several zones, and which are dates in another form than declared."""
    zones = _mixed_zones(failed)
    if zones is not None:
        yield zones
    no_day = matching(failed.cells, _NO_DAY)
    yield Cause("T-SENTINEL", no_day, sentinels.expectation(failed.mapping.field), sentinels.IMPOSSIBLE_STEP)
    declared = failed.mapping.date_format or ISO_DATE
    kinds = {
        "with a two-digit year": matching(failed.cells, _TWO_DIGIT_YEAR),
        "numbers of days of a spreadsheet": _serial(failed.cells),
    }
    others: dict[str, pl.Series] = {}
    left = ~(kinds["with a two-digit year"] | kinds["numbers of days of a spreadsheet"])
    for form in FORMATS:
        if form != declared:
            others[form] = _written(failed.cells, form)
    for form in sorted(others, key=lambda each: (-int(others[each].sum()), FORMATS.index(each))):
        kinds[f"as {form}"] = others[form] & left
        left = left & ~others[form]
    found = [(words, int(where.sum())) for words, where in kinds.items() if where.any()]
    where = nowhere(failed.cells)
    for each in kinds.values():
        where = where | each
    yield Cause("T-DATEFMT", where, next_step=_next_step(failed, declared, found), note=note(found, int(where.sum())))
    where = where | no_day
    rest = failed.cells.filter(~where)
    other = by_kind("T-TYPE", rest, _OTHER_KINDS)
    if other is not None:
        yield Cause("T-TYPE", ~where, next_step=other.next_step, note=other.note)


def _mixed_zones(failed: Failed) -> Cause | None:
    """Give the times of day, when they are of several zones, or some of one and some of none."""
    times = matching(failed.cells, _DATE_TIME)
    zones = failed.cells.filter(times).str.extract(_ZONE).str.replace(r"\A(?:Z|UTC|GMT|[+-]00:?(?:00)?)\z", "Z").unique()
    if len(zones) < 2:  # noqa: PLR2004  (one zone is no mixture)
        return None
    next_step = (
        "export days as the hospital's calendar has them, without time and zone: around midnight another zone is another day"
    )
    field = failed.mapping.field.name
    return Cause(
        "T-TZ", times, f"{field} holds days, or at least times of one zone", next_step, f"{len(zones)} ways to give a zone"
    )


def _serial(cells: pl.Series) -> pl.Series:
    numbers = cells.cast(pl.Float64, strict=False)
    return matching(cells, _SERIAL) & numbers.is_between(FIRST_SERIAL, LAST_SERIAL).fill_null(value=False)


def _written(cells: pl.Series, form: str) -> pl.Series:
    """Say which cells are days of four-digit years in a form."""
    return cells.to_frame("cell").select(of_text(pl.col("cell"), form).is_not_null()).to_series()


def _next_step(failed: Failed, declared: str, found: list[tuple[str, int]]) -> str:
    """Say what to do: declare the other form when the whole column has it, else export one form."""
    if len(found) == 1 and failed.sound == 0 and found[0][0].startswith("as %"):
        return f"declare date_format: {found[0][0].removeprefix('as ')!r} for this column in the site file"
    steps = [f"export all dates as {declared}, with years of four digits"]
    swapped = _swapped(declared)
    if swapped is not None and any(words == f"as {swapped}" for words, _ in found):
        steps.append("days and months are swapped in some cells, so those that can be read either way may be wrong too")
    return "; ".join(steps)


def _swapped(form: str) -> str | None:
    """Give the form with day and month swapped, when both are numbers."""
    if "%d" not in form or "%m" not in form:
        return None
    return form.replace("%d", "\0").replace("%m", "%d").replace("\0", "%m")
