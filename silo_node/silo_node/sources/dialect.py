"""What a delimited text looks like: its encoding, delimiter, quotes, line ends, and whether its first line names columns.

Looked at are the first bytes only, and any bytes have an answer. An answer is for people and for drafts of the site file:
no check ever reads a table by it.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from charset_normalizer import from_bytes

from silo_node.sources.shapes import Shape, shape

SNIFFED_BYTES = 4 * 2**20
"""How much of a file is looked at."""
SNIFFED_RECORDS = 20_000
"""How many of its records."""
SCORED_RECORDS = 300
"""How many of these tell delimiters and quotes apart."""
SCORED_CHARACTERS = 2**18
"""And how much of the text, at most."""
MOST_COLUMNS = 20_000
"""What is wider is no table of a hospital."""
MOST_ABOVE = 100
"""Lines that may stand above a table; where there are more, it is another kind of file."""
STATISTICS_BYTES = 64 * 2**10
"""How many bytes of lines that are not ASCII tell 8-bit encodings apart."""

DELIMITERS = (",", ";", "\t", "|", "^", "~")
QUOTES = ('"', "'")

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LIKELY = (
    "cp1252", "latin_1", "iso8859_15", "cp1250", "iso8859_2", "cp1251", "koi8_r", "cp1253", "cp1254", "mac_roman", "cp850",
    "cp437", "gb18030", "shift_jis", "big5", "euc_kr", "euc_jp",
)  # fmt: skip
"""Encodings in which hospitals export, likelier ones first."""
_USUAL = frozenset("äöüßÄÖÜéèêëàâçîïôûùœÉÈÀÇñáíóúüÑÁÍÓÚ¿¡åæøÅÆØãõÃÕµ°²³€§±×–—’‘“”…·«»ąćęłńśźżŁŚŻčďěňřšťůžČŘŠŽőűășțşğıİ \xa0")
"""Letters and signs that stand in clinical tables of European languages, beside ASCII."""
_NAMES = {"latin_1": "latin-1"}


@dataclass(frozen=True, slots=True)
class Encoding:
    """The encoding that a text seems to be in.

    Attributes:
        name: as Python knows it; ``None`` when it is no text.
        confidence: from 0 to 1.
        how: what it was seen by.
        others: encodings that read these bytes as another, hardly less likely text.
    """

    name: str | None
    confidence: float
    how: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dialect:
    """What a text looks like.

    Attributes:
        encoding: see ``Encoding``.
        delimiter: ``None`` when there is a single column, or no table at all.
        quote: ``None`` when quotes are ordinary characters here.
        line_ends: between records.
        header: whether the first record names the columns; ``None`` when it may or may not.
        records: the records that were looked at, the first included.
        width: cells of most records.
        fitting: share of records with so many cells.
        above: lines before the first record that are no part of the table: empty, a title, ``sep=;``.
        whole: whether the file was looked at to its end.
    """

    encoding: Encoding
    delimiter: str | None
    quote: str | None
    line_ends: Literal["LF", "CRLF", "CR", "mixed", "none"]
    header: bool | None
    records: tuple[tuple[str, ...], ...] = field(repr=False)
    width: int
    fitting: float
    above: int
    whole: bool

    def shapes(self, *, header: bool) -> tuple[Shape, ...]:
        """Give the shape of each column, from the records that have all cells; the first is one of them or the header."""
        fitting = [record for record in self.records[1 if header else 0 :] if len(record) == self.width]
        return tuple(shape(column) for column in zip(*fitting, strict=True)) if fitting else ()


def read_head(path: Path) -> tuple[bytes, bool]:
    """Read the first bytes of a file, and say whether they are all."""
    with path.open("rb") as file:
        raw = file.read(SNIFFED_BYTES + 1)
    return raw[:SNIFFED_BYTES], len(raw) <= SNIFFED_BYTES


def sniff(raw: bytes, *, whole: bool = True) -> Dialect:
    """Say what the first bytes of a file look like."""
    encoding = encoding_of(raw, whole=whole)
    text = decode(raw, encoding.name or "latin-1").replace("\0", "")
    delimiter, quote = _marks(text)
    above, header = 0, None
    found: tuple[tuple[str, ...], ...] = ()
    for padded in (True, False):
        above = _above(text, delimiter, quote, padded=padded)
        found = records(below(text, above), delimiter, quote, whole=whole)
        header = _header(found, _width(found)[0]) if encoding.name else None
        if header or not above:
            break  # else what has one cell may be a record of which no more is known
    width, fitting = _width(found)
    if width > MOST_COLUMNS:
        return Dialect(encoding, None, '"', _line_ends(text), None, (), 0, 0.0, 0, whole)
    return Dialect(encoding, delimiter, quote, _line_ends(text), header, found, width, fitting, above, whole)


def below(text: str, lines: int) -> str:
    """Give a text without its first lines."""
    rest = io.StringIO(text, newline="")
    for _ in range(lines):
        rest.readline()
    return rest.read() if lines else text


def _above(text: str, delimiter: str | None, quote: str | None, *, padded: bool) -> int:
    """Count the lines above the first of the table: empty ones, those with one cell, and ``padded`` ones with few of many."""
    if delimiter is None:
        return 0
    text = text[:SCORED_CHARACTERS]
    width, _ = _width(_split(text, delimiter, quote, SCORED_RECORDS, whole=False))
    few = max(1, width // 2) if padded else 1
    for lines, line in zip(range(MOST_ABOVE + 1), io.StringIO(text, newline=""), strict=False):
        cells = next(iter(_parsed(line, delimiter, quote, 1)), ())
        if sum(map(bool, cells)) > few or (len(cells) == width and not padded):
            return lines
    return 0


# ------------------------------------------------------------------------------------------------------------ encoding


def encoding_of(raw: bytes, *, whole: bool = True) -> Encoding:
    """Say which encoding some bytes are in."""
    raw = raw[:SNIFFED_BYTES]
    for mark, name in _BYTE_ORDER_MARKS:
        if raw.startswith(mark):
            return Encoding(name, 1.0, "a byte order mark")
    if b"\0" in raw:
        return _wide(raw)
    if raw.isascii():
        return Encoding("utf-8", 1.0, "ASCII only")
    try:
        codecs.getincrementaldecoder("utf-8")().decode(raw, final=whole)
    except UnicodeDecodeError:
        return _eight_bit(raw)
    return Encoding("utf-8", 0.99, "valid UTF-8 beyond ASCII")


def _wide(raw: bytes) -> Encoding:
    """Text in two bytes a character has a zero in every other place."""
    places = [raw[at::2].count(0) / max(1, len(raw[at::2])) for at in (0, 1)]
    for at, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        if places[at] > 0.7 and places[1 - at] < 0.1:  # noqa: PLR2004
            return Encoding(name, 0.9, "zero bytes in every other place")
    return Encoding(None, 0.0, "zero bytes, as no text has them")


def _eight_bit(raw: bytes) -> Encoding:
    """Tell 8-bit and Asian encodings apart by what the bytes beyond ASCII would be."""
    lines = [line for line in raw.splitlines() if not line.isascii()]
    sample = b"\n".join(lines)[:STATISTICS_BYTES]
    matches = from_bytes(sample, cp_isolation=list(_LIKELY))
    read: dict[str, tuple[float, float]] = {}
    texts: dict[str, str] = {}
    for match in matches:
        for name in sorted({match.encoding, *match.could_be_from_charset}, key=_rank):
            texts[name] = decode(sample, name)
            read[name] = (_usual(texts[name]), 1 - match.percent_chaos / 100)
    if not read:
        return Encoding(None, 0.0, "no text encoding fits")
    order = sorted(read, key=lambda name: (-_score(*read[name]), _rank(name)))
    best = order[0]
    others = [name for name in order[1:] if texts[name] != texts[best] and _score(*read[name]) >= _score(*read[best]) - 0.15]
    confidence = min(0.95, _score(*read[best])) * (0.6 if others else 1.0)
    return Encoding(_named(best), round(confidence, 2), "the letters that it gives", tuple(_named(name) for name in others[:2]))


def _rank(name: str) -> int:
    return _LIKELY.index(name) if name in _LIKELY else len(_LIKELY)


def _named(name: str) -> str:
    return _NAMES.get(name, name.replace("_", "-"))


def _usual(text: str) -> float:
    beyond = [character for character in text if not character.isascii()]
    return sum(character in _USUAL for character in beyond) / len(beyond) if beyond else 0.0


def _score(usual: float, orderly: float) -> float:
    return 0.75 * usual + 0.25 * orderly


def decode(raw: bytes, encoding: str) -> str:
    """Decode bytes that may end within a character, whatever they are."""
    return codecs.getincrementaldecoder(encoding)(errors="replace").decode(raw, final=False).removeprefix("\ufeff")


# ------------------------------------------------------------------------------------------------ delimiter and quotes


def records(text: str, delimiter: str | None, quote: str | None, *, whole: bool = True) -> tuple[tuple[str, ...], ...]:
    """Take the first records of a text apart; empty lines are none."""
    return tuple(_split(text, delimiter, quote, SNIFFED_RECORDS, whole=whole))


def _split(text: str, delimiter: str | None, quote: str | None, most: int, *, whole: bool) -> list[tuple[str, ...]]:
    found = _parsed(text, delimiter, quote, most + 1)
    return found[:most] if whole or len(found) > most else found[:-1]  # the last one is cut


def _parsed(text: str, delimiter: str | None, quote: str | None, most: int) -> list[tuple[str, ...]]:
    if delimiter is None:
        lines = io.StringIO(text, newline=None)
        return [(line,) for line in (next(lines, "").rstrip("\n") for _ in range(most)) if line]
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        quotechar=quote,
        quoting=csv.QUOTE_NONE if quote is None else csv.QUOTE_MINIMAL,
    )
    found: list[tuple[str, ...]] = []
    try:
        for record in reader:
            if record:
                found.append(tuple(record))
            if len(found) >= most:
                break
    except csv.Error:  # a cell without end
        return found
    return found


def _marks(text: str) -> tuple[str | None, str | None]:
    """Choose the delimiter and quote under which the text is most like a table."""
    whole, text = len(text) <= SCORED_CHARACTERS, text[:SCORED_CHARACTERS]
    quotes = [*(quote for quote in QUOTES if quote in text), None]
    scores = {
        (delimiter, quote): _table_score(_split(text, delimiter, quote, SCORED_RECORDS, whole=whole), delimiter, quote)
        for delimiter in DELIMITERS
        if delimiter in text
        for quote in quotes
    }
    best = max(scores, key=lambda marks: scores[marks], default=None)
    if best is None or scores[best] <= 0:
        return None, '"'
    delimiter, quote = best
    return delimiter, '"' if quote is None and not any(each in text for each in QUOTES) else quote


def _table_score(found: Sequence[tuple[str, ...]], delimiter: str, quote: str | None) -> float:
    """A table has one width of at least two cells, and no cell that holds another table's marks."""
    width, fitting = _width(found)
    if width < 2:  # noqa: PLR2004
        return 0.0
    cells = [cell for record in found[:100] for cell in record]
    odd = sum(_odd(cell, delimiter, quote) for cell in cells) / len(cells)
    return fitting**2 * (1 - odd)


def _odd(cell: str, delimiter: str, quote: str | None) -> float:
    if quote is None and len(cell) > 1 and cell[0] == cell[-1] and cell[0] in QUOTES:
        return 1.0
    if quote == "'" and '"' in cell:
        return 1.0
    return float(any(mark in cell for mark in ";\t|" if mark != delimiter))


def _width(found: Sequence[Sequence[str]]) -> tuple[int, float]:
    """Give the number of cells that most records have, and their share."""
    if not found:
        return 0, 0.0
    widths = Counter(len(record) for record in found)
    width = max(widths, key=lambda each: (widths[each], each))
    return width, widths[width] / len(found)


def _line_ends(text: str) -> Literal["LF", "CRLF", "CR", "mixed", "none"]:
    pairs = text.count("\r\n")
    feeds, returns = text.count("\n") - pairs, text.count("\r") - pairs
    kinds = [name for name, times in (("CRLF", pairs), ("LF", feeds), ("CR", returns)) if times]
    if not kinds:
        return "none"
    if len(kinds) > 1:
        return "mixed"
    return "CRLF" if pairs else "LF" if feeds else "CR"


# -------------------------------------------------------------------------------------------------------------- header


def _header(found: Sequence[tuple[str, ...]], width: int) -> bool | None:
    """Say whether the first record names the columns."""
    if len(found) < 2 or width == 0:  # noqa: PLR2004
        return None
    first = found[0]
    if len(first) != width or "" in first or len(set(first)) != len(first):
        return False if len(first) == width and _like_records(first) else None
    if _like_records(first):
        return False
    columns = [shape(column) for column in zip(*(each for each in found[1:] if len(each) == width), strict=True)]
    if not columns:
        return None
    apart = sum(each.numeric or bool(each.date_formats) for each in columns)
    new = sum(name not in each.counts for name, each in zip(first, columns, strict=True))
    if any(_value_like(name) for name in first):
        return None
    if apart:
        return True
    # all of it is text: names are none of the texts below, where these repeat
    repeated = [0 < len(each.counts) <= each.cells // 2 for each in columns]
    return True if new == width and any(repeated) else None


def _value_like(cell: str) -> bool:
    seen = shape([cell])
    return seen.numeric or bool(seen.date_formats)


def _like_records(first: Sequence[str]) -> bool:
    """Whether a fourth of the cells or more are numbers or dates, as names are not."""
    return sum(_value_like(cell) for cell in first) >= max(1, len(first) / 4)
