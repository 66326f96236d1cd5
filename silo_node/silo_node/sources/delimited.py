"""Delimited text (CSV) in the dialect that the site file declares: every cell as text, nothing guessed or mended.

Columns of numbers are read as numbers where the caller asks for it, and only where that gives just what their text gives.

Polars reads the cells; the structure is checked beforehand on the raw bytes (``silo_node.sources.layout``), because a
reader would fill short lines with nothing and take the first patient for a header without a word.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import polars as pl
from polars.exceptions import PolarsError

from silo_node.configuration import CsvSource
from silo_node.sources import dialect, layout
from silo_node.sources.faults import Fault, UnreadableError
from silo_node.sources.header import LONGEST_NAME, Wanted, plain
from silo_node.sources.places import Places
from silo_node.sources.read import Read
from silo_node.sources.signatures import foreign

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
DIRECT_ENCODINGS = frozenset({"utf-8", "utf-8-sig"})
OTHER_DELIMITERS = (";", ",", "\t", "|", "^", "~")
_ONE_BYTE = ("iso8859", "cp125", "cp437", "cp85", "cp86", "koi8", "mac-")
"""How the names of encodings begin that read any bytes, or nearly any, as some text."""
_WIDE = ("utf-16", "utf-32")
_LONGEST_MARK = 4
"""Bytes of a byte order mark, at most."""
_SOMETHING = re.compile(rb"[^\r\n \t]")
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
_DELIMITER_WORDS = {"\t": "a tab"}


@dataclass(frozen=True)
class DelimitedText:
    """All cells of a text; see ``silo_node.sources.read.Read``."""

    frame: pl.DataFrame
    found: int
    records: pl.Series | None
    places: Places
    faults: tuple[Fault, ...]
    typed: bool = False


def read(path: Path, source: CsvSource, wanted: Wanted) -> Read:
    """Read the wanted columns of a text table.

    Raises:
        UnreadableError: T-ENCODING, T-EMPTY, T-DELIM, T-NOHEADER, T-RAGGED.
    """
    raw = _utf8(path.read_bytes(), source.encoding)
    if _SOMETHING.search(raw) is None:
        raise UnreadableError(Fault("T-EMPTY", "A table holds records", "the file is empty", "export the records again"))
    header, header_lines = _header(raw, source)
    if source.header is None:
        _recognise(header, source, wanted, raw)
    elif tuple(header) == source.header:
        raise UnreadableError(_named_twice())
    else:
        header, header_lines = list(source.header), 0
    text = _cells(raw, source, header, header_lines, wanted)
    if text.found == 0:
        raise UnreadableError(
            Fault("T-EMPTY", "A table holds records", "it has a header line but no record", "export the records again")
        )
    present = {column: header.index(column) for column in wanted.fields.values() if column in header}
    frame = text.frame.select(pl.col(f"column_{at + 1}").alias(column) for column, at in present.items())
    if not present:
        frame = pl.DataFrame(height=text.frame.height)

    def texts(columns: Sequence[str]) -> pl.DataFrame:
        places = {f"column_{present[column] + 1}": column for column in columns}
        again = _parse(raw, source, len(header), header_lines, strict=True, only=list(places))
        return again.select(pl.col(place).alias(column) for place, column in places.items())

    again = texts if text.typed else None
    return Read(frame, tuple(header), text.found, text.records, "line", text.places, text.faults, again)


# ----------------------------------------------------------------------------------------------------- bytes to UTF-8


def _utf8(raw: bytes, encoding: str) -> bytes:
    """Give the text as UTF-8 with line feeds at the ends of lines, or say where it is not in its encoding."""
    try:
        if encoding in DIRECT_ENCODINGS:
            raw = raw.removeprefix(BYTE_ORDER_MARK)
            if not raw.isascii():
                raw.decode("utf-8")
        else:
            _refuse_other(raw, encoding)
            raw = raw.decode(encoding).removeprefix("\ufeff").encode("utf-8")
    except UnicodeError as error:
        bad = [getattr(error, "start", 0), *([raw.find(b"\0")] if encoding in DIRECT_ENCODINGS and b"\0" in raw else [])]
        raise UnreadableError(_encoding_fault(raw, encoding, min(bad))) from None
    if (first := raw.find(b"\0")) >= 0:
        raise UnreadableError(_encoding_fault(raw, encoding, first))
    if b"\n" not in raw:
        raw = raw.replace(b"\r", b"\n")
    return raw


def _refuse_other(raw: bytes, encoding: str) -> None:
    """Refuse bytes that can be decoded as declared, and are another encoding beyond doubt.

    An encoding of one byte a character reads UTF-8 as two or three odd characters for each letter; text in one that is by
    chance UTF-8 wherever it is not ASCII does not occur. Text in two or four bytes a character has zeros at least in its line
    ends and delimiters.
    """
    if encoding.startswith(_WIDE) and len(raw) > _LONGEST_MARK and b"\0" not in raw:
        raise UnreadableError(_encoding_fault(raw, encoding, 0))
    if encoding.startswith(_ONE_BYTE) and not raw.isascii():
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError:
            return
        raise UnreadableError(_encoding_fault(raw, encoding, _beyond_ascii(raw)))


def _beyond_ascii(raw: bytes) -> int:
    found = _NOT_ASCII.search(raw)
    return 0 if found is None else found.start()


def _encoding_fault(raw: bytes, encoding: str, offset: int) -> Fault:
    seen = dialect.encoding_of(raw, whole=len(raw) <= dialect.SNIFFED_BYTES)
    step = "declare the file's encoding in the site file (such as cp1252 or utf-16), or export it as UTF-8"
    if seen.name is not None and codecs.lookup(seen.name).name != encoding:
        step = f"it looks like {seen.name} ({seen.confidence:.0%} sure): declare that in the site file, or export it as UTF-8"
    finding = f"the file is not {encoding}: the first bad byte is at offset {offset}"
    if (other := foreign(raw)) is not None:
        finding, step = f"the file is {other[0]}", other[1]
    return Fault("T-ENCODING", "A table is in the encoding that the site file declares", finding, step)


# -------------------------------------------------------------------------------------------------------- header line


def _header(raw: bytes, source: CsvSource) -> tuple[list[str], int]:
    """Give the names of the first record, and how many physical lines it takes."""
    with io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8", newline="") as text:
        reader = csv.reader(
            text,
            delimiter=source.delimiter,
            quotechar=source.quote,
            quoting=csv.QUOTE_NONE if source.quote is None else csv.QUOTE_MINIMAL,
        )
        try:
            return next(reader), reader.line_num
        except (csv.Error, StopIteration):
            raise UnreadableError(_no_header(0)) from None


def _recognise(header: Sequence[str], source: CsvSource, wanted: Wanted, raw: bytes) -> None:
    """Refuse a first line that is no header of this table: another delimiter, or records from the first line on."""
    known = {*wanted.fields.values(), *wanted.known}
    matches = len(known & set(header))
    if matches == 0:
        for other in OTHER_DELIMITERS:
            cells = {cell.strip(source.quote or "") for cell in source.delimiter.join(header).split(other)}
            if other != source.delimiter and known & cells:
                words = _DELIMITER_WORDS.get(other, f"'{other}'")
                raise UnreadableError(
                    Fault(
                        "T-DELIM",
                        "A table has the delimiter that the site file declares",
                        f"{len(header)} column(s) found; the delimiter looks like {words}",
                        f"set the source's delimiter to {words} in the site file",
                    )
                )
        columns = {plain(column) for column in wanted.fields.values()}
        alike = len(columns & {plain(name) for name in header if len(name) <= LONGEST_NAME})
        # Names in another case are names: the header's judge says which.
        if 2 * alike < len(columns) or not alike:
            raise UnreadableError(_no_header(len(wanted.fields), raw))


def _no_header(columns: int, raw: bytes = b"") -> Fault:
    step = "add a header line with the names that the site file maps, or correct those names"
    if dialect.sniff(raw[: dialect.SNIFFED_BYTES], whole=len(raw) <= dialect.SNIFFED_BYTES).header is False:
        step = "it looks like a record: name the columns in order under the source's 'header', or export a header line"
    return Fault("T-NOHEADER", "The first line names the columns", f"the first line matches 0 of {columns} mapped columns", step)


def _named_twice() -> Fault:
    return Fault(
        "T-HDRDUP",
        "A column name may stand once in the header",
        "the first line of the file holds the very names that the site file gives under 'header'",
        "take 'header' out of the source",
    )


# --------------------------------------------------------------------------------------------------------------- cells


def _cells(raw: bytes, source: CsvSource, header: Sequence[str], header_lines: int, wanted: Wanted) -> DelimitedText:
    """Read all cells; the fast way when the structure is plainly right, else with every record looked at."""
    unquoted = source.quote is None or source.quote.encode() not in raw
    returns = b"\r" in raw and raw.count(b"\r") != raw.count(b"\r\n")
    if unquoted and not returns and len(header) > 1:
        delimiters = layout.count(raw, ord(source.delimiter))
        numbers = {
            f"column_{header.index(column) + 1}": kind for column, kind in wanted.numbers.items() if header.count(column) == 1
        }
        # The reader of numbers passes over blanks before one; with none there, it takes the very cells that a cast takes.
        typed = bool(numbers) and not layout.blank_begins(raw, ord(source.delimiter))
        for types in [numbers, {}] if typed else [{}]:
            try:
                # Every line that is too long is refused here; with the right number of delimiters, none is too short.
                frame = _parse(raw, source, len(header), header_lines, strict=True, types=types)
            except PolarsError:
                continue
            if delimiters == (frame.height + header_lines) * (len(header) - 1):
                return DelimitedText(frame, frame.height, None, _line_after(header_lines), (), typed=bool(types))
            break
    return _with_layout(raw, source, len(header), header_lines, first=0 if source.header is not None else 1)


def _line_after(header_lines: int) -> Places:
    return lambda records: [record + header_lines + 1 for record in records]


def _with_layout(raw: bytes, source: CsvSource, columns: int, header_lines: int, *, first: int) -> DelimitedText:
    found = layout.scan(raw, ord(source.delimiter), None if source.quote is None else ord(source.quote))
    if found.irregular is not None:
        raise UnreadableError(
            Fault(
                "T-RAGGED",
                "A cell is quoted as a whole or not at all, and a quote inside is doubled",
                f"a quote or carriage return stands where none may, first on line {found.irregular}",
                "export the table again with quoted text cells, or set 'quote: null' if nothing is quoted",
                count=1,
            )
        )
    kept = ~found.blank[first:]
    lines = found.lines[first:][kept]
    broken = (found.delimiters[first:] != columns - 1)[kept]
    frame = _parse(raw, source, columns, header_lines, strict=False)
    if frame.height != len(kept):
        raise UnreadableError(
            Fault(
                "T-RAGGED",
                "Lines, quotes and delimiters give one reading",
                f"{len(kept)} records by their quotes, {frame.height} by the reader",
                "export the table again with quoted text cells",
                count=1,
            )
        )
    whole = kept.copy()
    whole[kept] = ~broken
    frame = frame.filter(pl.Series(whole))
    records = pl.Series(np.flatnonzero(~broken)) if broken.any() else None
    faults: tuple[Fault, ...] = (_ragged(np.flatnonzero(broken)),) if broken.any() else ()
    if source.delimiter == "," and (found.delimiters[first:][kept] > columns - 1).all():
        faults = tuple(replace(fault, next_step=_COMMAS) for fault in faults)
    return DelimitedText(frame, len(lines), records, lambda wanted: [int(lines[record]) for record in wanted], faults)


_COMMAS = "if numbers have a decimal comma, export the table with another delimiter; else quote cells that hold a comma"


def _ragged(records: layout.Positions) -> Fault:
    return Fault(
        "T-RAGGED",
        "Every line has as many cells as the header",
        f"{len(records)} lines have fewer or more cells than the header",
        "quote cells that hold the delimiter, and export the table again",
        count=len(records),
        records=tuple(int(record) for record in records),
    )


def _parse(
    raw: bytes,
    source: CsvSource,
    columns: int,
    header_lines: int,
    *,
    strict: bool,
    types: Mapping[str, pl.DataType] = MappingProxyType({}),
    only: Sequence[str] | None = None,
) -> pl.DataFrame:
    """Read all columns, or ``only`` some, as text but for those that have ``types``."""
    names = [f"column_{at + 1}" for at in range(columns)]
    return pl.read_csv(
        raw,
        has_header=False,
        skip_lines=header_lines,
        schema={name: types.get(name, pl.String()) for name in names},
        columns=only,
        separator=source.delimiter,
        quote_char=source.quote,
        empty_string_is_null=False,
        extra_columns="raise" if strict else "ignore",
        missing_columns="insert",
        raise_if_empty=False,
    )
