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
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

import numpy as np
import polars as pl
from polars.exceptions import PolarsError

from silo_node.configuration import CsvSource
from silo_node.sources import dialect, layout, rows
from silo_node.sources.faults import Fault, UnreadableError
from silo_node.sources.header import LONGEST_NAME, Wanted, plain
from silo_node.sources.places import Place, Places
from silo_node.sources.read import Read
from silo_node.sources.signatures import foreign
from silo_node.sources.streamed_text import (
    BYTE_ORDER_MARK,
    DIRECT_ENCODINGS,
    ONE_BYTE,
    WIDE,
    Block,
    NotStreamedError,
    Text,
    looked_through,
    stray,
)

OTHER_DELIMITERS = (";", ",", "\t", "|", "^", "~")
SEVERAL = 20
"""Up to one row in so many, the lines of some rows are read by themselves."""
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
    """Read the wanted columns of a text table; of a large one, whenever they are asked for.

    Raises:
        UnreadableError: T-ENCODING, T-EMPTY, T-DELIM, T-NOHEADER, T-RAGGED; T-FILE later, when it is changed meanwhile.
    """
    if path.stat().st_size * rows.TIMES_TEXT > rows.HELD_BYTES:
        try:
            return _read_in_blocks(path, source, wanted)
        except NotStreamedError:
            pass  # it is read as a whole, to be said what is wrong with it
    raw, signs = _utf8(path.read_bytes(), source)
    if _SOMETHING.search(raw) is None:
        raise UnreadableError(Fault("T-EMPTY", "A table holds records", "the file is empty", "export the records again"))
    header, header_lines = _columns(raw, source, wanted)
    text = _cells(raw, signs, source, header, header_lines, wanted)
    if text.found == 0:
        raise UnreadableError(_no_record())
    present = {column: header.index(column) for column in wanted.fields.values() if column in header}
    frame = text.frame.select(pl.col(f"column_{at + 1}").alias(column) for column, at in present.items())
    if not present:
        frame = pl.DataFrame(height=text.frame.height)

    lines = cache(lambda: layout.line_starts(raw))

    def texts(columns: Sequence[str], some: pl.Series | None) -> pl.DataFrame:
        places = {f"column_{present[column] + 1}": column for column in columns}
        part, skipped = raw, header_lines
        if some is not None and len(some) * SEVERAL <= text.found and len(lines()) == text.found + header_lines + 1:
            part, skipped, some = _only(raw, lines(), some.to_numpy() + header_lines), 0, None
        again = _parse(part, source, len(header), skipped, strict=True, only=list(places))
        return (again if some is None else again[some]).select(pl.col(place).alias(column) for place, column in places.items())

    again = texts if text.typed else None
    return Read(rows.held(frame), tuple(header), text.found, text.records, "line", text.places, text.faults, again)


def _read_in_blocks(path: Path, source: CsvSource, wanted: Wanted) -> Read:
    """Read a text that is too large to be held, all of it as text.

    Raises:
        NotStreamedError: it cannot be read so, or has a fault that takes the whole text to be told.
        UnreadableError: as ``read``.
    """
    looked_through(path, source.encoding)
    head = Text(path, source.encoding, source.delimiter, source.quote, 0).head(dialect.SNIFFED_BYTES + 1)
    head = head[layout.after_lines(head, source.skip_lines) :]
    if _SOMETHING.search(head) is None:
        raise NotStreamedError
    header, header_lines = _columns(head, source, wanted)
    present = {column: header.index(column) for column in wanted.fields.values() if column in header}
    places = {f"column_{at + 1}": column for column, at in present.items()}

    def parse(raw: bytes, columns: Sequence[str]) -> pl.DataFrame:
        return _parse(raw, source, len(header), 0, strict=False, only=columns)

    def cells(raw: bytes, columns: Sequence[str]) -> pl.DataFrame:
        wanted = {place: column for place, column in places.items() if column in columns}
        return parse(raw, list(wanted)).select(pl.col(place).alias(column) for place, column in wanted.items())

    text = Text(path, source.encoding, source.delimiter, source.quote, len(header))
    above = source.skip_lines + header_lines
    blocks = text.blocks(head[: layout.after_lines(head, header_lines)], above, parse)
    begins = np.cumsum([0, *(block.records for block in blocks)])
    found = int(begins[-1])
    if found == 0:
        raise UnreadableError(_no_record())
    broken = np.concatenate([block.broken + begin for block, begin in zip(blocks, begins[:-1], strict=True)])
    records = pl.Series(np.delete(np.arange(found), broken)) if len(broken) else None
    faults = (
        (_ragged(broken, decimal_commas=source.delimiter == "," and all(block.over for block in blocks)),) if len(broken) else ()
    )
    schema = {column: pl.String() for column in present}
    streamed = rows.streamed(schema, found - len(broken), text.read(above, blocks, cells))
    return Read(streamed, tuple(header), found, records, "line", _lines_of(blocks, begins), faults)


def _lines_of(blocks: Sequence[Block], begins: layout.Positions) -> Places:
    def places(records: Sequence[int]) -> list[Place]:
        found: list[Place] = []
        for record in records:
            at = int(np.searchsorted(begins, record, side="right")) - 1
            block, within = blocks[at], int(record) - int(begins[at])
            found.append(block.first + within if block.lines is None else int(block.lines[within]))
        return found

    return places


def _only(raw: bytes, starts: layout.Positions, lines: layout.Positions) -> bytes:
    """Give some lines of a text, each with its end."""
    return b"".join(raw[start:end] for start, end in zip(starts[lines].tolist(), starts[lines + 1].tolist(), strict=True))


# ----------------------------------------------------------------------------------------------------- bytes to UTF-8


def _utf8(raw: bytes, source: CsvSource) -> tuple[bytes, layout.Signs]:
    """Give the text below the lines that are skipped, as UTF-8 with line feeds at the ends of lines.

    Raises:
        UnreadableError: T-ENCODING, with the place in the file of what is not in its encoding.
    """
    encoding, delimiter, text, above = source.encoding, ord(source.delimiter), raw, 0
    try:
        if encoding in DIRECT_ENCODINGS:
            text = raw.removeprefix(BYTE_ORDER_MARK)
        else:
            _refuse_other(raw, encoding)
            text = raw.decode(encoding).removeprefix("\ufeff").encode("utf-8")
        if source.skip_lines:
            above = layout.after_lines(text, source.skip_lines)
            text = text[above:]
        signs = layout.signs(text, delimiter)
        if encoding in DIRECT_ENCODINGS and not signs.ascii:
            text.decode("utf-8")
    except UnicodeError as error:
        bad = [getattr(error, "start", 0), *([text.find(b"\0")] if encoding in DIRECT_ENCODINGS and b"\0" in text else [])]
        raise UnreadableError(_encoding_fault(raw, encoding, min(bad) + above)) from None
    if signs.nul:
        raise UnreadableError(_encoding_fault(raw, encoding, text.find(b"\0") + above))
    if b"\n" not in text:
        text = text.replace(b"\r", b"\n")
    return text, signs


def _refuse_other(raw: bytes, encoding: str) -> None:
    """Refuse bytes that can be decoded as declared, and are another encoding beyond doubt.

    An encoding of one byte a character reads UTF-8 as two or three odd characters for each letter; text in one that is by
    chance UTF-8 wherever it is not ASCII does not occur. Text in two or four bytes a character has zeros at least in its line
    ends and delimiters.
    """
    if encoding.startswith(WIDE) and len(raw) > _LONGEST_MARK and b"\0" not in raw:
        raise UnreadableError(_encoding_fault(raw, encoding, 0))
    if encoding.startswith(ONE_BYTE) and not raw.isascii():
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


def _columns(raw: bytes, source: CsvSource, wanted: Wanted) -> tuple[list[str], int]:
    """Give the names of the columns, and how many physical lines the header takes."""
    header, header_lines = _header(raw, source)
    if source.header is None:
        _recognise(header, source, wanted, raw)
        return header, header_lines
    if tuple(header) == source.header:
        raise UnreadableError(_named_twice())
    return list(source.header), 0


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
            raise UnreadableError(_no_header(len(wanted.fields), raw, source.skip_lines))


def _no_header(columns: int, raw: bytes = b"", skipped: int = 0) -> Fault:
    step = "add a header line with the names that the site file maps, or correct those names"
    seen = dialect.sniff(raw[: dialect.SNIFFED_BYTES], whole=len(raw) <= dialect.SNIFFED_BYTES)
    if seen.above:
        step = f"{seen.above} line(s) above the table are no part of it: add 'skip_lines: {skipped + seen.above}' to the source"
    elif seen.header is False:
        step = "it looks like a record: name the columns in order under the source's 'header', or export a header line"
    return Fault("T-NOHEADER", "The first line names the columns", f"the first line matches 0 of {columns} mapped columns", step)


def _no_record() -> Fault:
    return Fault("T-EMPTY", "A table holds records", "it has a header line but no record", "export the records again")


def _named_twice() -> Fault:
    return Fault(
        "T-HDRDUP",
        "A column name may stand once in the header",
        "the first line of the file holds the very names that the site file gives under 'header'",
        "take 'header' out of the source",
    )


# --------------------------------------------------------------------------------------------------------------- cells


def _cells(
    raw: bytes, signs: layout.Signs, source: CsvSource, header: Sequence[str], header_lines: int, wanted: Wanted
) -> DelimitedText:
    """Read all cells; the fast way when the structure is plainly right, else with every record looked at."""
    unquoted = source.quote is None or (signs.plain and source.quote == '"') or source.quote.encode() not in raw
    returns = not signs.plain and b"\r" in raw and raw.count(b"\r") != raw.count(b"\r\n")
    if unquoted and not returns and len(header) > 1:
        numbers = {
            f"column_{header.index(column) + 1}": kind for column, kind in wanted.numbers.items() if header.count(column) == 1
        }
        # The reader of numbers passes over blanks before one; with none there, it takes the very cells that a cast takes.
        typed = bool(numbers) and (signs.plain or not layout.blank_begins(raw, ord(source.delimiter)))
        for types in [numbers, {}] if typed else [{}]:
            try:
                # Every line that is too long is refused here; with the right number of delimiters, none is too short.
                frame = _parse(raw, source, len(header), header_lines, strict=True, types=types)
            except PolarsError:
                continue
            if signs.delimiters == (frame.height + header_lines) * (len(header) - 1):
                places = _line_after(source.skip_lines + header_lines)
                return DelimitedText(frame, frame.height, None, places, (), typed=bool(types))
            break
    return _with_layout(raw, source, len(header), header_lines, first=0 if source.header is not None else 1)


def _line_after(header_lines: int) -> Places:
    return lambda records: [record + header_lines + 1 for record in records]


def _with_layout(raw: bytes, source: CsvSource, columns: int, header_lines: int, *, first: int) -> DelimitedText:
    found = layout.scan(raw, ord(source.delimiter), None if source.quote is None else ord(source.quote))
    if found.irregular is not None:
        raise UnreadableError(stray(found.irregular + source.skip_lines))
    kept = ~found.blank[first:]
    lines = found.lines[first:][kept] + source.skip_lines
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
    over = bool((found.delimiters[first:][kept] > columns - 1).all())
    faults = (_ragged(np.flatnonzero(broken), decimal_commas=source.delimiter == "," and over),) if broken.any() else ()
    return DelimitedText(frame, len(lines), records, lambda wanted: [int(lines[record]) for record in wanted], faults)


_COMMAS = "if numbers have a decimal comma, export the table with another delimiter; else quote cells that hold a comma"


def _ragged(records: layout.Positions, *, decimal_commas: bool) -> Fault:
    return Fault(
        "T-RAGGED",
        "Every line has as many cells as the header",
        f"{len(records)} lines have fewer or more cells than the header",
        _COMMAS if decimal_commas else "quote cells that hold the delimiter, and export the table again",
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
