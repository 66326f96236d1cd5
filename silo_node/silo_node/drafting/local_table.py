"""A hospital's table as the draft needs it: its columns' shapes, and what the site file would have to say of the file."""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from silo_node.configuration import CsvSource, ParquetSource, Site
from silo_node.days import as_text
from silo_node.draft_marks import QUESTION
from silo_node.source_settings import ExtractedSource, FolderSource
from silo_node.sources.dialect import SNIFFED_RECORDS, Dialect, below, decode, read_head, records, sniff
from silo_node.sources.faults import UnreadableError
from silo_node.sources.shapes import Decimal, Shape, decimal_mark, shape
from silo_node.sources.signatures import foreign
from silo_node.sources.snapshot import RESERVED
from silo_node.sources.tables import only_coded_faults
from silo_node.sources.unheard import unheard
from wardround.canonical import Json
from wardround.errors import Refused, refuse

FIRST_LINE = "first-line"
"""Said in place of names: the first line holds them."""
_WORDS = {",": "','", ";": "';'", "\t": "a tab", "|": "'|'", "^": "'^'", "~": "'~'", None: "none: one column"}


@dataclass(frozen=True)
class LocalTable:
    """A table that was looked at.

    Attributes:
        key: the source's key in the site file.
        new: what the site file would say of it; ``None`` when it says so already.
        columns: local column → its shape, in the table's order.
        decimal: the decimal mark of its numbers.
        records: how many were looked at, and whether these are all.
        notes: what a person should know of the file, in words.
    """

    key: str
    new: dict[str, Json] | None
    columns: dict[str, Shape]
    decimal: Decimal
    records: int
    whole: bool
    notes: tuple[str, ...]


@unheard
def look(site: Site, key: str | None, path: Path | None, header: str | None) -> LocalTable:
    """Look at a source that the site file declares, or at a file that it does not know yet.

    Raises:
        Refused: X-USAGE, M-SOURCE, T-FILE, T-ENCODING, T-NOHEADER, T-HDRDUP, T-DELIM, T-EMPTY.
    """
    key = _declared(site, key, path)
    try:
        with only_coded_faults():
            if key is None:
                if path is None:
                    raise _which(site)
                return _new(site, path, header)
            source = site.file.sources[key]
            if header is not None:
                raise _usage(
                    "A source that the site file declares says there how it is read",
                    "--header was given",
                    "add 'header' to the source",
                )
            if isinstance(source, CsvSource):
                return _declared_text(site, key, source)
            if isinstance(source, ParquetSource):
                return LocalTable(key, None, *_parquet(_first(site, key)), ())
            if isinstance(source, ExtractedSource):
                return LocalTable(key, None, *_parquet(_snapshot(site, key)), ())
    except UnreadableError as error:
        fault = error.fault
        raise refuse(fault.code, key or "--file", fault.rule, fault.finding, fault.next_step) from None
    if isinstance(source, FolderSource):
        raise refuse(
            "M-IMAGES",
            site.document.place(("sources", key)),
            "A mapping is proposed for a table",
            f"the source {key!r} is a folder of images",
            f"name it under 'schemas' beside a schema of images, as {{source: {key}}}; it has no columns",
        )
    raise refuse(
        "M-SOURCE",
        site.document.place(("sources", key)),
        "A mapping is proposed for one table, as it stands in a file or a snapshot",
        f"the source {key!r} is joined from several",
        "write its mapping by hand",
    )


def _declared(site: Site, key: str | None, path: Path | None) -> str | None:
    """Give the declared source that is meant; ``None`` for a file that the site file does not know."""
    sources = site.file.sources
    if key is not None and path is not None:
        raise _usage("A source or a file is mapped", "both --source and --file were given", "give one of the two")
    if path is not None:
        for name in sources:
            if path.resolve() in {each.resolve() for each in site.original_paths(name)}:
                return name
        return None
    if key not in (None, *sources):
        raise refuse(
            "M-SOURCE",
            "--source",
            "It is a key under 'sources'",
            "there is none of this name",
            f"use one of: {', '.join(sources)}",
        )
    return key if key is not None or len(sources) != 1 else next(iter(sources))


def _which(site: Site) -> Refused:
    finding = f"the site file has {len(site.file.sources)} sources"
    return _usage("One table is mapped", finding, "name the file with --file, or one of the sources with --source")


def _usage(rule: str, finding: str, step: str) -> Refused:
    return refuse("X-USAGE", "wardround silo map", rule, finding, step)


# ------------------------------------------------------------------------------------------------------------ new files


def _new(site: Site, path: Path, header: str | None) -> LocalTable:
    if not path.is_file():
        raise refuse(
            "T-FILE", "--file", "The file must exist and be readable", "it is not there, or is no file", "check its path"
        )
    key = _key(path, site)
    told = _relative(site, path)
    if path.suffix.lower() in (".parquet", ".pq"):
        return LocalTable(key, {"format": "parquet", "path": told}, *_parquet(path), ())
    raw, whole = read_head(path)
    if (other := foreign(raw)) is not None:
        raise refuse("T-ENCODING", "--file", "A table is a text", f"the file is {other[0]}", other[1])
    seen = sniff(raw, whole=whole)
    _refuse_no_table(seen)
    names = _named(seen, header)
    columns = _columns(names or seen.records[0], seen.shapes(header=names is None))
    decimal, why = decimal_mark(columns.values())
    new: dict[str, Json] = {"format": "csv", "path": told}
    if seen.delimiter not in (",", None):
        new["delimiter"] = seen.delimiter
    if decimal != ".":
        new["decimal"] = QUESTION if decimal is None else decimal
    if seen.encoding.name not in ("utf-8", None):
        new["encoding"] = seen.encoding.name
    if seen.quote != '"':
        new["quote"] = seen.quote
    if seen.above:
        new["skip_lines"] = seen.above
    if names is not None:
        new["header"] = list(names)
    count = len(seen.records) - (names is None)
    return LocalTable(
        key, new, columns, decimal or ".", count, whole and len(seen.records) < SNIFFED_RECORDS, _notes(seen, why, columns)
    )


def _refuse_no_table(seen: Dialect) -> None:
    if seen.encoding.name is None:
        rule, finding = "A table is a text", f"the file holds {seen.encoding.how}"
        raise refuse("T-ENCODING", "--file", rule, finding, "export the records as CSV in UTF-8, or as Parquet")
    if len(seen.records) < 2 and seen.header is not False:  # noqa: PLR2004
        raise refuse(
            "T-EMPTY", "--file", "A table holds a header line and records", "it has no record", "export the records again"
        )


def _named(seen: Dialect, header: str | None) -> tuple[str, ...] | None:
    """Give the names that a person gave the columns; ``None`` when the first line holds them."""
    if header == FIRST_LINE:
        return None
    if header is None:
        if seen.header:
            return None
        why = "the first line looks like a record" if seen.header is False else "the first line may hold names, or a record"
        first = "" if seen.header is False else f"say --header {FIRST_LINE} if it holds the names; else "
        raise refuse(
            "T-NOHEADER",
            "--file",
            "The first line names the columns, or a person does",
            f"{why}; most lines have {seen.width} cells",
            f"{first}name the {seen.width} columns in order, --header NAME,NAME,..., or export them with a header line",
        )
    names = tuple(next(csv.reader([header]), []))
    if len(names) != seen.width or "" in names or len(set(names)) != len(names):
        finding = f"--header gives {len(names)} names, and most lines have {seen.width} cells"
        raise _usage("Each column has a name of its own", finding, "give one name for each column, in their order")
    if seen.header or seen.records[0] == names:
        finding = "the first line looks like names already"
        raise _usage("--header is for files without a header line", finding, "leave --header out")
    return names


def _columns(names: Sequence[str], shapes: Sequence[Shape]) -> dict[str, Shape]:
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        finding = f"{len(twice)} names stand more than once"
        raise refuse("T-HDRDUP", "--file", "A column name may stand once in the header", finding, "rename or remove one of them")
    if not shapes:
        raise refuse(
            "T-EMPTY", "--file", "A table holds a header line and records", "it has no record", "export the records again"
        )
    if len(names) != len(shapes):
        finding = f"the first line has {len(names)} cells, and most others {len(shapes)}"
        step = "take away what stands above the header line, or quote cells that hold the delimiter"
        raise refuse("T-RAGGED", "--file", "Every line has as many cells as the header", finding, step)
    return dict(zip(names, shapes, strict=True))


def _notes(seen: Dialect, decimal: str, columns: dict[str, Shape]) -> tuple[str, ...]:
    encoding = f"encoding {seen.encoding.name} ({seen.encoding.confidence:.0%}: {seen.encoding.how})"
    if seen.encoding.others:
        encoding += f"; {' or '.join(seen.encoding.others)} would give other letters: look at one in an editor"
    notes = [encoding, f"delimiter {_WORDS[seen.delimiter]}; {decimal}"]
    if seen.above:
        notes.append(f"{seen.above} line(s) above the header are no part of the table: look whether that is right")
    if seen.fitting < 1:
        notes.append(f"{1 - seen.fitting:.1%} of the lines have another number of cells than {seen.width}: T-RAGGED in a check")
    if grouped := sum(each.grouped > 0 for each in columns.values()):
        notes.append(f"{grouped} columns hold numbers with marks for thousands, which no check reads: export them without")
    return tuple(notes)


def _key(path: Path, site: Site) -> str:
    base = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-") or "table"
    base = (base if base[0].isalpha() else f"table-{base}")[:50]
    found, number = base, 1
    while found in site.file.sources:
        number += 1
        found = f"{base}-{number}"
    return found


def _relative(site: Site, path: Path) -> str:
    """Give a path as the site file has it: below its folder, or else from the root."""
    folder, whole = site.folder.resolve(), path.resolve()
    return os.path.relpath(whole, folder) if whole.is_relative_to(folder) else str(whole)


# ----------------------------------------------------------------------------------------------------- declared sources


def _first(site: Site, key: str) -> Path:
    """Give the first of a source's files: all of them have its columns."""
    paths = site.original_paths(key)
    if not paths or not paths[0].is_file():
        raise refuse(
            "T-FILE", key, "The source's file must exist and be readable", "it is not there, or is no file", "check its path"
        )
    return paths[0]


def _snapshot(site: Site, key: str) -> Path:
    """Give the snapshot of a source that another program wrote."""
    path = site.extract_path(key)
    if not path.is_file():
        rule = "A source of another format is read from its snapshot"
        raise refuse("T-FILE", key, rule, "there is none yet", f"run: wardround silo extract {key}")
    return path


def _declared_text(site: Site, key: str, source: CsvSource) -> LocalTable:
    path = _first(site, key)
    raw, whole = read_head(path)
    seen = sniff(raw, whole=whole)
    text = below(decode(raw, source.encoding), source.skip_lines)
    found = records(text, source.delimiter, source.quote, whole=whole)
    if len(found) < (1 if source.header else 2):
        raise refuse("T-EMPTY", key, "A table holds a header line and records", "it has no record", "export the records again")
    names = source.header or found[0]
    if len(names) == 1 and seen.width > 1:
        finding = f"one column found; the delimiter looks like {_WORDS[seen.delimiter]}"
        step = f"set the source's delimiter to {_WORDS[seen.delimiter]} in the site file"
        raise refuse("T-DELIM", key, "A table has the delimiter that the site file declares", finding, step)
    rows = [row for row in found[0 if source.header else 1 :] if len(row) == len(names)]
    shapes = [shape(column) for column in zip(*rows, strict=True)] if rows else [shape(()) for _ in names]
    columns = _columns(names, shapes)
    return LocalTable(key, None, columns, source.decimal, len(rows), whole and len(found) < SNIFFED_RECORDS, ())


def _parquet(path: Path) -> tuple[dict[str, Shape], Decimal, int, bool]:
    """Give the columns of a Parquet file as the texts that a check would take them for."""
    scan = pl.scan_parquet(path, glob=False, hive_partitioning=False)
    height = scan.select(pl.len()).collect().item()
    frame = scan.head(SNIFFED_RECORDS).collect()
    # the columns in which a snapshot says where each record came from are no columns of the hospital's
    columns = {column.name: shape(_texts(column)) for column in frame if not column.name.startswith(RESERVED)}
    return columns, ".", frame.height, height == frame.height


def _texts(column: pl.Series) -> list[str]:
    if column.dtype.is_nested() or column.dtype == pl.Binary:
        return [""] * len(column)
    if column.dtype.is_float():
        values = column.cast(pl.Float64).to_list()
        return ["" if value is None else f"{value:.15g}" for value in values]
    if column.dtype in (pl.Date, pl.Datetime):
        column = column.to_frame().select(as_text(pl.col(column.name), column.dtype)).to_series()
    return ["" if text is None else text for text in column.cast(pl.String, strict=False).to_list()]
