"""Tables of SAS, Stata and SPSS, by ReadStat (pyreadstat): codes as they are stored, never their labels.

Missing values of the program are missing. Dates are converted by the column's own format, exactly; what is no day of ours
stays the number that is stored. Weeks, months, quarters and times of day stay numbers.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyreadstat

from silo_node.extraction.gathered import Gathered, file_fault, only_coded_faults, wrong_encoding
from silo_node.source_settings import SasSource, SpssSource, StataSource
from silo_node.sources.faults import UnreadableError

XPORT = b"HEADER RECORD*******LIB"
SAS7BDAT = bytes.fromhex("c2ea8160b31411cfbd92080009c7318c181f1011")
SAS7BDAT_AT = 12
SPSS = (b"$FL2", b"$FL3")
STATA = b"<stata_dta>"
OLD_STATA = range(102, 116)
"""The first byte of Stata's files before version 13: their format's number."""
HEAD_BYTES = 64

_SAS_DATES = re.compile(
    r"(?:DATE|(?:DDMMYY|MMDDYY|YYMMDD)[BCDNPS]?|E8601DA|B8601DA|IS8601DA|WEEKDATE|WEEKDATX|JULIAN|MINGUO|NENGO)(?:[0-9]+)?(?:\.[0-9]*)?"
)
_SAS_MOMENTS = re.compile(r"(?:DATETIME|E8601DT|B8601DT|IS8601DT|DATEAMPM|MDYAMPM)(?:[0-9]+)?(?:\.[0-9]*)?")
_SPSS_MOMENTS = re.compile(r"(?:DATE|ADATE|EDATE|JDATE|SDATE|DATETIME|YMDHMS)(?:[0-9]+)?(?:\.[0-9]*)?")
_SAS_BEGIN, _SPSS_BEGIN = date(1960, 1, 1), date(1582, 10, 14)
FIRST, LAST = datetime(1000, 1, 1), datetime(9999, 12, 31, 23, 59, 59)  # noqa: DTZ001  (exports have no zone)


def gather(table: Gathered, path: Path, source: SasSource | StataSource | SpssSource, number: int = 1, of: int = 1) -> None:
    """Read one file.

    Raises:
        UnreadableError: T-FILE, T-ENCODING, T-SIZE, T-HDRDUP, T-PARTS.
    """
    with only_coded_faults(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cells, about = _read(path, source)
        names = list(about.column_names)
        table.begin(names, number, of)
        if len(cells) != len(names) or len({len(column) for column in cells.values()}) > 1:
            raise UnreadableError(file_fault("its columns are not of one length"))
        formats = about.original_variable_types
        columns = [_converted(cells[name], _conversion(source, formats.get(name))) for name in names]
        table.add(columns, number, range(1, len(columns[0]) + 1))


def _read(path: Path, source: SasSource | StataSource | SpssSource) -> tuple[dict[str, list[Any]], Any]:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    settings: dict[str, Any] = {"output_format": "dict", "disable_datetime_conversion": True, "encoding": source.encoding}
    reader: Callable[..., tuple[dict[str, list[Any]], Any]] | None = None
    if isinstance(source, SasSource):
        if head.startswith(XPORT):
            reader = pyreadstat.read_xport
        elif head[SAS7BDAT_AT:].startswith(SAS7BDAT):
            reader = pyreadstat.read_sas7bdat
    elif isinstance(source, StataSource):
        if head.startswith(STATA) or (head and head[0] in OLD_STATA):
            reader = pyreadstat.read_dta
    elif head.startswith(SPSS):
        reader = pyreadstat.read_sav
        settings["user_missing"] = source.user_missing == "values"
    if reader is None:
        raise UnreadableError(file_fault(f"it does not begin as a file of {source.format} does"))
    try:
        return reader(str(path), **settings)
    except (pyreadstat.ReadstatError, pyreadstat.PyreadstatError) as error:
        if "encoding" in str(error) or "convert" in str(error):  # ReadStat's own words; none of them is repeated
            raise UnreadableError(wrong_encoding()) from None
        raise


def _conversion(source: SasSource | StataSource | SpssSource, form: str | None) -> Callable[[float], datetime] | None:
    """Give how the numbers of a column become moments; nothing when they are numbers."""
    form = form or ""
    if isinstance(source, StataSource):
        if form.startswith("%tc"):
            return lambda stored: _since(_SAS_BEGIN, timedelta(milliseconds=stored))
        return (lambda stored: _since(_SAS_BEGIN, timedelta(days=stored))) if re.match(r"%-?(?:td|d)", form) else None
    if isinstance(source, SpssSource):
        return (lambda stored: _since(_SPSS_BEGIN, timedelta(seconds=stored))) if _SPSS_MOMENTS.fullmatch(form) else None
    if _SAS_DATES.fullmatch(form):
        return lambda stored: _since(_SAS_BEGIN, timedelta(days=stored))
    return (lambda stored: _since(_SAS_BEGIN, timedelta(seconds=stored))) if _SAS_MOMENTS.fullmatch(form) else None


def _since(begin: date, passed: timedelta) -> datetime:
    return datetime(begin.year, begin.month, begin.day) + passed  # noqa: DTZ001


def _converted(cells: list[Any], convert: Callable[[float], datetime] | None) -> list[Any]:
    if convert is None:
        return cells
    return [_moment(cell, convert) if isinstance(cell, int | float) else cell for cell in cells]


def _moment(stored: float, convert: Callable[[float], datetime]) -> datetime | float:
    try:
        found = convert(stored)
    except (OverflowError, ValueError):
        return stored
    return found if FIRST <= found <= LAST else stored
