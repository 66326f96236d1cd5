"""Delimited text that is too large to be held: looked through once, and read again in blocks of whole records.

The text is never in memory as a whole. The first reading finds where records begin, by the same rules as that of a text that
is held (``silo_node.sources.layout``), and says the same of it; what is kept of a regular text is how long its blocks are.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from silo_node.sources import layout, rows
from silo_node.sources.faults import Fault, UnreadableError, changed

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
DIRECT_ENCODINGS = frozenset({"utf-8", "utf-8-sig"})
ONE_BYTE = ("iso8859", "cp125", "cp437", "cp85", "cp86", "koi8", "mac-")
"""How the names of encodings begin that read any bytes, or nearly any, as some text."""
WIDE = ("utf-16", "utf-32")
PIECE_BYTES = 4 * 2**20
"""Bytes that are read from the file at a time."""
LONGEST_RECORD = 64 * 2**20
"""Bytes within which a record has to end: else its quotes do not."""

Parse = Callable[[bytes, Sequence[str]], pl.DataFrame]
"""Reads some columns of a block of records."""


class NotStreamedError(Exception):
    """A text that has to be held to be read, or to say what is wrong with it."""


@dataclass(frozen=True)
class Block:
    """Whole records that follow each other.

    Attributes:
        length: bytes, as UTF-8.
        first: the line of the first record.
        records: how many, those with a wrong number of cells included, empty lines left out.
        lines: the line on which each of them begins; ``None`` when each has the next line.
        kept: which lines that the reader sees are records with the right number of cells; ``None`` when all are.
        broken: which of the records have another number, by their place in the block.
        over: whether all of them have more.
    """

    length: int
    first: int
    records: int
    lines: layout.Positions | None
    kept: pl.Series | None
    broken: layout.Positions
    over: bool = False


@dataclass(frozen=True)
class Text:
    """A text and how it is read."""

    path: Path
    encoding: str
    delimiter: str
    quote: str | None
    columns: int

    def blocks(self, header: bytes, header_lines: int, parse: Parse) -> tuple[Block, ...]:
        """Find the records after the header and what stands above it.

        Args:
            header: the lines that the header takes.
            header_lines: how many these are, with those above it.
            parse: reads a block.

        Raises:
            UnreadableError: T-RAGGED, when a quote or carriage return stands where none may.
            NotStreamedError: the quotes do not end, or the reader sees other records.
        """
        found: list[Block] = []
        seen = layout.scan(header, ord(self.delimiter), None if self.quote is None else ord(self.quote))
        if seen.irregular is not None:
            raise UnreadableError(stray(seen.irregular + header_lines - header.count(b"\n")))
        line = 1 + header_lines
        for raw in _records(self._after(header_lines), None if self.quote is None else self.quote.encode()):
            found.append(self._block(raw, line, parse))
            line += raw.count(b"\n")
        return tuple(found)

    def _block(self, raw: bytes, line: int, parse: Parse) -> Block:
        quote = None if self.quote is None or self.quote.encode() not in raw else ord(self.quote)
        none = np.zeros(0, np.int64)
        if quote is None and (count := layout.regular(raw, ord(self.delimiter), self.columns)) is not None:
            return Block(len(raw), line, count, None, None, none)
        seen = layout.scan(raw, ord(self.delimiter), quote)
        if seen.irregular is not None:
            raise UnreadableError(stray(seen.irregular + line - 1))
        kept, wrong = ~seen.blank, seen.delimiters != self.columns - 1
        if parse(raw, ["column_1"]).height != len(kept):
            raise NotStreamedError
        lines = seen.lines[kept] + line - 1
        plain = np.array_equal(lines, np.arange(line, line + len(lines)))
        whole = kept & ~wrong
        mask = None if whole.all() else pl.Series(whole)
        over = bool((seen.delimiters[kept] > self.columns - 1).all())
        return Block(len(raw), line, len(lines), None if plain else lines, mask, np.flatnonzero(wrong[kept]), over)

    def read(self, header_lines: int, blocks: Sequence[Block], parse: Parse) -> rows.Blocks:
        """Give how columns of the records are read again, those with a wrong number of cells left out."""

        def read(columns: Sequence[str]) -> Iterator[pl.DataFrame]:
            stream = _Stream(self._after(header_lines))
            for block in blocks:
                raw = stream.read(block.length)
                frame = parse(raw, columns) if columns else pl.DataFrame(height=_seen(block))
                if (len(raw), frame.height) != (block.length, _seen(block)):
                    raise UnreadableError(changed())
                yield frame if block.kept is None else frame.filter(block.kept)

        return read

    def head(self, least: int) -> bytes:
        """Give the text's beginning: so many bytes at least, if there are as many."""
        found = b""
        for piece in pieces(self.path, self.encoding):
            found += piece
            if len(found) >= least:
                break
        return found

    def _after(self, lines: int) -> Iterator[bytes]:
        """Give the text after its first lines."""
        for piece in pieces(self.path, self.encoding):
            rest = piece
            while lines and rest:
                at = rest.find(b"\n")
                if at < 0:
                    rest = b""
                else:
                    rest, lines = rest[at + 1 :], lines - 1
            if rest:
                yield rest


class _Stream:
    """Pieces as a stream, of which any number of bytes is read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._left = pieces, b""

    def read(self, count: int) -> bytes:
        found, length = [self._left], len(self._left)
        while length < count and (piece := next(self._pieces, None)) is not None:
            found.append(piece)
            length += len(piece)
        whole = b"".join(found)
        self._left = whole[count:]
        return whole[:count]


def pieces(path: Path, encoding: str) -> Iterator[bytes]:
    """Give a text in pieces, as UTF-8; a character is in one of them as a whole. It has to be in its encoding."""
    direct = encoding in DIRECT_ENCODINGS
    decode = codecs.getincrementaldecoder("utf-8" if direct else encoding)().decode
    with path.open("rb") as file:
        first = True
        while True:
            raw = file.read(PIECE_BYTES)
            end = len(raw) < PIECE_BYTES
            if direct and not end:
                raw += _rest_of_character(file)
            text = raw if direct else decode(raw, final=end).encode("utf-8")
            if first:
                text, first = text.removeprefix(BYTE_ORDER_MARK), False
            if text:
                yield text
            if end:
                return


def _rest_of_character(file: io.BufferedReader) -> bytes:
    """Give the bytes after a piece that continue its last character."""
    found = b""
    while (following := file.peek(1)[:1]) and following[0] & 0xC0 == 0x80:  # noqa: PLR2004  (how such a byte begins)
        found += file.read(1)
    return found


def looked_through(path: Path, encoding: str) -> None:
    """Look at every byte.

    Raises:
        NotStreamedError: it is not in its encoding, holds zero bytes, or has other line ends than line feeds.
    """
    feeds = False
    try:
        for piece in pieces(path, encoding):
            if encoding in DIRECT_ENCODINGS and not piece.isascii():
                piece.decode("utf-8")
            if b"\0" in piece:
                raise NotStreamedError
            feeds = feeds or b"\n" in piece
    except UnicodeError:
        raise NotStreamedError from None
    if not feeds or _is_another(path, encoding):
        raise NotStreamedError


def _is_another(path: Path, encoding: str) -> bool:
    """Say whether bytes that can be decoded as declared are another encoding beyond doubt (``silo_node.sources.delimited``)."""
    if not encoding.startswith((*ONE_BYTE, *WIDE)):
        return False
    unicode = codecs.getincrementaldecoder("utf-8")()
    beyond_ascii = False
    with path.open("rb") as file:
        while raw := file.read(PIECE_BYTES):
            if encoding.startswith(WIDE):
                return b"\0" not in raw  # of a text that is longer than a piece
            beyond_ascii = beyond_ascii or not raw.isascii()
            try:
                unicode.decode(raw)
            except UnicodeDecodeError:
                return False
    return beyond_ascii


def _records(text: Iterator[bytes], quote: bytes | None) -> Iterator[bytes]:
    """Give a text in blocks that end where records do: at a line end with an even number of quotes before it."""
    left = b""
    for piece in text:
        left += piece
        if len(left) < rows.BLOCK_BYTES // 2:
            continue
        end = _last_end(left, quote)
        if end:
            yield left[:end]
            left = left[end:]
        elif len(left) > LONGEST_RECORD:
            raise NotStreamedError
    if left:
        yield left


def _last_end(raw: bytes, quote: bytes | None) -> int:
    """Give how many bytes of a text are whole records."""
    if quote is None or quote not in raw:
        return raw.rfind(b"\n") + 1
    data = np.frombuffer(raw, np.uint8)
    quotes, ends = np.flatnonzero(data == quote[0]), np.flatnonzero(data == layout.NEWLINE)
    ends = ends[np.searchsorted(quotes, ends) % 2 == 0]
    return int(ends[-1]) + 1 if len(ends) else 0


def _seen(block: Block) -> int:
    return block.records if block.kept is None else len(block.kept)


def stray(line: int) -> Fault:
    """Say that a quote or carriage return stands where none may."""
    return Fault(
        "T-RAGGED",
        "A cell is quoted as a whole or not at all, and a quote inside is doubled",
        f"a quote or carriage return stands where none may, first on line {line}",
        "export the table again with quoted text cells, or set 'quote: null' if nothing is quoted",
        count=1,
    )
