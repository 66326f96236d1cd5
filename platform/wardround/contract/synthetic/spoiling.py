"""Records on their way to faults on purpose: which of them, and which columns, are still whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from wardround.contract import rules
from wardround.contract.model import Contract, ContractField
from wardround.contract.synthetic.records import Asked, Record, asked_of, generator, identifying
from wardround.contract.synthetic.sheet import Sheet
from wardround.contract.synthetic.values import FieldValues
from wardround.errors import Refused, refuse

USUAL_ROWS: Final = 3
LARGEST_SHARE: Final = 0.25
"""Of the records are spoiled at most; the others have to keep what the contract asks of whole tables."""


@dataclass(frozen=True)
class Made:
    """One kind of fault that was made.

    Attributes:
        field: the column it is in, or ``rule``: the rule it breaks, where it is about one.
        lines: of the file, for the records concerned (the header is line 1); empty for faults of whole columns and files.
    """

    code: str
    field: str | None = None
    rule: str | None = None
    lines: tuple[int, ...] = ()


def impossible(contract: Contract, code: str, why: str) -> Refused:
    """Say that a fault cannot be made, and why."""
    return refuse(
        "S-SYNTH",
        f"{contract.id} {contract.version}",
        "A fault on purpose is one that records of the schema can have, without any other",
        f"{code} cannot be made: {why}",
        "leave it out, make more records (-n), or choose another schema",
    )


class Work:
    """Records on their way to their faults."""

    def __init__(self, contract: Contract, records: list[Record], seed: int, wanted: Mapping[str, int | None]) -> None:
        self.contract = contract
        self.records = records
        self.wanted = wanted
        self.random = generator(contract, seed, "faults").random
        self.asked = asked_of(contract)
        self.values = {field.name: FieldValues(contract, field) for field in contract.fields}
        self.ruled = {name for each in self.asked for name in fields_of(each)}
        self.owned: set[str] = set()
        self.texts: dict[tuple[int, str], str] = {}
        self.free = list(range(len(records)))
        self.aside: set[int] = set()
        self.cut: set[int] = set()
        self.kept: set[int] = set()
        self.sheet_changes: list[Callable[[Sheet], None]] = []

    def impossible(self, code: str, why: str) -> Refused:
        """Say that a fault cannot be made, and why."""
        return impossible(self.contract, code, why)

    def rows(self, code: str) -> int:
        """Give how many records a fault of single records takes."""
        asked, most = self.wanted[code], int(LARGEST_SHARE * len(self.records)) // len(self.wanted)
        rows = max(1, min(USUAL_ROWS, most)) if asked is None else asked
        if rows > max(1, most):
            raise self.impossible(code, f"{rows} records are more than {max(1, most)} of {len(self.records)}")
        return rows

    def take(self, code: str, number: int) -> list[int]:
        """Take records of their own for a fault that sets them aside."""
        if number > len(self.free):
            raise self.impossible(code, "no record is left for it")
        taken, self.free = self.free[:number], self.free[number:]
        self.aside |= set(taken)
        return taken

    def fields(self, wanted: Callable[[ContractField], bool]) -> Iterator[ContractField]:
        """Give the fields that nobody owns and that fit, those first that no key, no rule and few other faults need."""
        keys = identifying(self.contract)
        found = [field for field in self.contract.fields if field.name not in self.owned and wanted(field)]

        def wanted_elsewhere(field: ContractField) -> tuple[bool, ...]:
            scarce = field.required or bool(field.values) or field.type == "integer"
            return field.name in keys, field.name in self.ruled, scarce

        return iter(sorted(found, key=wanted_elsewhere))

    def one_field(self, code: str, why: str, wanted: Callable[[ContractField], bool]) -> ContractField:
        """Give the first field that fits."""
        found = next(self.fields(wanted), None)
        if found is None:
            raise self.impossible(code, why)
        return found

    def optional(self, field: ContractField) -> bool:
        """Say whether values of a field may be missing."""
        return not field.required and field.name not in identifying(self.contract) and bool(self.values[field.name].marks)

    def broken(self, record: Record) -> list[str]:
        """Name the rules that a record breaks."""
        return [each.name for each in self.asked if not each.holds(record)]

    def lines(self, rows: list[int]) -> tuple[int, ...]:
        """Give the lines of some records in the file."""
        return tuple(sorted(row + 2 for row in rows))

    def cells(self, code: str, field: ContractField, text: str | Callable[[int], str]) -> Made:
        """Put texts into a field of some records."""
        rows = self.take(code, self.rows(code))
        for row in rows:
            self.texts[row, field.name] = text if isinstance(text, str) else text(row)
        return Made(code, field=field.name, lines=self.lines(rows))

    def no_mark(self, field: ContractField, *texts: str) -> str:
        """Give the first text that does not mean missing."""
        marks = self.values[field.name].marks
        return next((text for text in texts if text not in marks), texts[0])

    def repeats(self, field: ContractField) -> bool:
        """Say whether several records may hold the same value."""
        return not field.constraints.unique and field.name not in identifying(self.contract)


def fields_of(asked: Asked) -> frozenset[str]:
    """Give the fields that a statement reads."""
    return rules.fields(asked.expression)
