"""A sheet of a workbook (Office Open XML, ECMA-376), by openpyxl's parser: each cell by its own type, none of them guessed.

A workbook is a zip of XML, so what it would unpack to is looked at before anything is unpacked. Then cells are taken one
after the other; rows and columns that are not there take no memory, whatever numbers the others have.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from openpyxl import load_workbook
from openpyxl.worksheet._reader import FORMULA_TAG, VALUE_TAG, WorkSheetParser

from silo_node.extraction.gathered import BLOCK_ROWS, MOST_COLUMNS, Gathered, file_fault, only_coded_faults, too_much
from silo_node.source_settings import LARGEST_SHEET_ROW, ExcelSource
from silo_node.sources.faults import Fault, UnreadableError

MIB = 2**20
MOST_PARTS = 10_000
MOST_UNPACKED_BYTES = 2048 * MIB
MOST_OF_TEXTS_BYTES = 512 * MIB
MOST_OF_OTHERS_BYTES = 64 * MIB
HEAD_BYTES = 4096
OLD_CONTAINER = b"\xd0\xcf\x11\xe0"
"""How files begin that are an old workbook (.xls) or one with a password."""
NO_RESULT = "#FORMULA!"
"""What stands in the place of a formula's result that is not stored; no program writes it."""


def gather(table: Gathered, path: Path, source: ExcelSource, number: int = 1, of: int = 1) -> None:
    """Read one sheet.

    Raises:
        UnreadableError: T-FILE, T-SIZE, T-NOHEADER, T-HDRDUP, T-PARTS.
    """
    with only_coded_faults(), warnings.catch_warnings(), path.open("rb") as file:
        warnings.simplefilter("ignore")  # openpyxl's may name what stands in the file
        _look_at_archive(file)
        book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
        try:
            _gather(table, _sheet(book, source), source.header, number, of)
        finally:
            book.close()


def _look_at_archive(file: BinaryIO) -> None:
    """Refuse what is no workbook, or would unpack to more than one of honest size."""
    if file.read(len(OLD_CONTAINER)) == OLD_CONTAINER:
        raise UnreadableError(file_fault("it is an old workbook (.xls), or has a password; save it as .xlsx without one"))
    with zipfile.ZipFile(file) as archive:
        parts = archive.infolist()
        if len(parts) > MOST_PARTS or sum(part.file_size for part in parts) > MOST_UNPACKED_BYTES:
            raise UnreadableError(too_much("the workbook would unpack to more than 2 GiB, or to more than 10,000 parts"))
        for part in parts:
            most = _most(part.filename)
            if part.file_size > most:
                raise UnreadableError(too_much(f"a part of the workbook would unpack to more than {most // MIB} MiB"))
            if part.filename.endswith((".xml", ".rels")):
                with archive.open(part) as opened:
                    if b"<!DOCTYPE" in opened.read(HEAD_BYTES):
                        raise UnreadableError(file_fault("its XML declares a document type, which no workbook does"))


def _most(name: str) -> int:
    if name.startswith("xl/worksheets/"):
        return MOST_UNPACKED_BYTES
    return MOST_OF_TEXTS_BYTES if name.lower() == "xl/sharedstrings.xml" else MOST_OF_OTHERS_BYTES


def _sheet(book: Any, source: ExcelSource) -> Any:  # noqa: ANN401  (openpyxl has no types)
    sheets = {sheet.title: sheet for sheet in book.worksheets}
    if source.sheet is None and len(sheets) == 1:
        return next(iter(sheets.values()))
    found = sheets.get(source.sheet)
    if found is None:
        what = (
            "and the site file names none of them" if source.sheet is None else "and none has the name that the site file gives"
        )
        finding = f"the workbook has {len(sheets)} sheets, {what}"
        raise UnreadableError(
            Fault(
                "T-FILE",
                "The sheet that is read is named, where there are several",
                finding,
                "give the sheet's name under 'sheet'",
            )
        )
    return found


class _Parser(WorkSheetParser):  # type: ignore[misc]  # openpyxl has no types
    """openpyxl's parser, which also says of a cell whether its formula has no stored result."""

    def parse_cell(self, element: Any) -> dict[str, Any]:  # noqa: ANN401
        cell: dict[str, Any] = super().parse_cell(element)
        # A result that is an empty text is stored as one; where there is no result, there is no value, or an empty one.
        empty_text = element.get("t") == "str" and element.find(VALUE_TAG) is not None
        if cell["value"] is None and not empty_text and element.find(FORMULA_TAG) is not None:
            cell.update(value=NO_RESULT, data_type="f")
        return cell


def _rows(parser: _Parser) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Give the rows that are there, in the order of their numbers."""
    before = 0
    for number, cells in parser.parse():
        if not before < number <= LARGEST_SHEET_ROW or any(not 0 < cell["column"] <= MOST_COLUMNS for cell in cells):
            raise UnreadableError(file_fault("its rows or cells have numbers that no sheet has"))
        before = number
        yield number, [cell for cell in cells if cell["value"] is not None]


def _gather(table: Gathered, sheet: Any, header_row: int, number: int, of: int) -> None:  # noqa: ANN401
    book = sheet.parent
    with book._archive.open(sheet._worksheet_path) as opened:  # noqa: SLF001  (what openpyxl's own reader of rows does)
        parser = _Parser(
            opened,
            sheet._shared_strings,  # noqa: SLF001
            data_only=True,
            epoch=book.epoch,
            date_formats=book._date_formats,  # noqa: SLF001
            timedelta_formats=book._timedelta_formats,  # noqa: SLF001
        )
        rows = _rows(parser)
        width = _begin(table, rows, header_row, number, of)
        last = _records(table, rows, width, number)
    _merged(table, parser, width, header_row, last, number)


def _begin(table: Gathered, rows: Iterator[tuple[int, list[dict[str, Any]]]], header_row: int, number: int, of: int) -> int:
    for at, cells in rows:
        if at < header_row:
            continue
        if at > header_row:
            break
        names = {cell["column"]: str(cell["value"]) for cell in cells if cell["data_type"] not in ("e", "f")}
        width = max(names, default=0)
        table.begin([names.get(column, "") for column in range(1, width + 1)], number, of)
        return width
    raise UnreadableError(
        Fault("T-NOHEADER", "One row of the sheet names the columns", "that row is empty", "give its number under 'header'")
    )


def _records(table: Gathered, rows: Iterator[tuple[int, list[dict[str, Any]]]], width: int, number: int) -> int:
    """Add the records, blank rows left out; gives the last row."""
    columns: list[list[Any]] = [[] for _ in range(width)]
    places: list[int] = []
    last = 0
    for at, cells in rows:
        if not cells:
            continue
        last = at
        if len(places) == BLOCK_ROWS:
            table.add(columns, number, places)
            columns, places = [[] for _ in range(width)], []
        record: list[Any] = [None] * width
        for cell in cells:
            position = cell["column"] - 1
            if position >= width:
                raise UnreadableError(_nameless(at, position))
            record[position] = cell["value"]
            if cell["data_type"] in ("e", "f"):
                table.note(position, "error" if cell["data_type"] == "e" else "formula", number, at)
        for column, value in zip(columns, record, strict=True):
            column.append(value)
        places.append(at)
    if places:
        table.add(columns, number, places)
    return last


def _nameless(row: int, position: int) -> Fault:
    return Fault(
        "T-NOHEADER",
        "Each column has a name",
        f"in row {row} a cell stands at position {position + 1}, right of the last column that has a name",
        "say under 'header' which row holds the names; or name the column, or remove what stands there",
    )


def _merged(table: Gathered, parser: _Parser, width: int, header_row: int, last: int, number: int) -> None:
    """Note cells that are merged over records: all but the first of them lost their value to it."""
    for merged in () if parser.merged_cells is None else parser.merged_cells.mergeCell:
        left, top, right, bottom = merged.bounds
        top, bottom = max(top, header_row + 1), min(bottom, last)
        if top > bottom:
            continue
        for column in range(left, min(right, width) + 1):
            first = top + 1 if column == left else top
            if first <= bottom:
                table.note(column - 1, "merged", number, first, bottom - first + 1)
