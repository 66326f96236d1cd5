"""Synthetic records as a CSV in shared form: the schema's own names, units, codes and missing marks."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from wardround.contract import rules
from wardround.contract.model import Contract

DELIMITER = ","
NO_UTF8 = b"\xff"
"""A byte that no UTF-8 text holds."""


@dataclass
class Sheet:
    """A table on its way into a file.

    Attributes:
        header: the columns' names; ``cells``: the records' texts, each as long as the header unless it was cut on purpose.
        has_header: whether the file begins with the names.
        broken_bytes: whether the file holds a byte that is not UTF-8.
    """

    header: list[str]
    cells: list[list[str]]
    delimiter: str = DELIMITER
    has_header: bool = True
    broken_bytes: bool = field(default=False)

    def encoded(self) -> bytes:
        """Give the file's bytes."""
        stream = io.StringIO()
        writer = csv.writer(stream, delimiter=self.delimiter, lineterminator="\n")
        writer.writerows([self.header] if self.has_header else [])
        writer.writerows(self.cells)
        return stream.getvalue().encode() + (NO_UTF8 + b"\n" if self.broken_bytes else b"")


def sheet_of(contract: Contract, records: Sequence[dict[str, rules.Cell]]) -> Sheet:
    """Write records in the contract's order of fields."""
    missing = {name: next(iter(contract.missing_marks(name)), "") for name in contract.names}
    return Sheet(list(contract.names), [[cell(record[name], missing[name]) for name in contract.names] for record in records])


def in_shared_form(contract: Contract, records: Iterable[dict[str, rules.Cell]]) -> bytes:
    """Give the bytes of ``sheet_of``'s file; of very many records no more than their text is held."""
    missing = [(name, next(iter(contract.missing_marks(name)), "")) for name in contract.names]
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=DELIMITER, lineterminator="\n")
    writer.writerow(contract.names)
    writer.writerows([cell(record[name], mark) for name, mark in missing] for record in records)
    return stream.getvalue().encode()


def cell(value: rules.Cell, missing: str) -> str:
    """Write one value: plain digits for numbers, so that people can read them, and reading gives the same number."""
    if value is None:
        return missing
    if isinstance(value, date):
        return value.isoformat()
    return format(Decimal(repr(value)), "f") if isinstance(value, float) else str(value)
