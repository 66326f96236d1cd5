"""A site file's mapping held against a contract: every problem at once, or a frozen mapping that needs no more questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from silo_node.configuration import Column, SchemaMapping, Site, TableSource, decimal_mark, joining_columns
from silo_node.mapping.exceptions import exception_problems
from silo_node.source_settings import FolderSource
from wardround.contract import analytes
from wardround.contract.model import Contract, ContractField
from wardround.errors import Problem, Refused, raise_all
from wardround.strict_yaml import nearest


@dataclass(frozen=True, slots=True)
class FieldMapping:
    """One shared field and the local column that it comes from.

    Attributes:
        field: the contract's field.
        column: the local column; ``None`` when the hospital does not have an optional field.
        factor: shared value = local value × factor + offset.
        offset: see ``factor``; in the contract's unit.
        codes: local code and shared value; ``None`` when local codes are the shared ones.
        date_format: of local dates; ``None`` for ISO dates.
        marks: local texts that mean missing.
        decimal: the decimal mark of local numbers in text.
    """

    field: ContractField
    column: str | None
    factor: float = 1.0
    offset: float = 0.0
    codes: tuple[tuple[str, str], ...] | None = None
    date_format: str | None = None
    marks: tuple[str, ...] = ()
    decimal: str = "."

    @property
    def converts(self) -> bool:
        """Whether numbers change on the way."""
        return (self.factor, self.offset) != (1.0, 0.0)


@dataclass(frozen=True)
class TableMapping:
    """How one source becomes one shared table.

    Attributes:
        contract: the shared schema.
        source_name: the source's key in the site file.
        source: where and how the records lie.
        fields: the fields to read, in the contract's order.
        known: every local column that the site file maps or ignores.
    """

    contract: Contract
    source_name: str
    source: TableSource
    fields: tuple[FieldMapping, ...]
    known: frozenset[str]


def resolve(site: Site, contract: Contract, fields: Sequence[str] | None = None) -> TableMapping:
    """Hold the site's mapping against a contract.

    Args:
        site: the hospital.
        contract: the schema to map to.
        fields: the fields that are needed beside the keys; all of the contract when not given.

    Raises:
        Refused: M-SCHEMA, M-IMAGES, M-FIELD, M-UNMAPPED, M-UNIT, M-CODE, M-EXCEPTION, Y-VALUE; all of them at once.
    """
    mapping = site.file.schemas.get(contract.id)
    if mapping is None:
        raise Refused([_no_mapping(site, contract)])
    source = site.file.sources[mapping.source]
    if isinstance(source, FolderSource):
        raise Refused([_no_table(site, contract, mapping)])
    names = needed_fields(contract, fields)
    problems = [*_unknown_fields(site, contract, mapping), *exception_problems(site, contract, mapping)]
    found = [_Field(site, contract, mapping, contract.field(name)) for name in names]
    mapped = tuple(each.mapped() for each in found)
    raise_all([*problems, *(problem for each in found for problem in each.problems)])
    known = frozenset(_columns(mapping)) | frozenset(mapping.ignore) | joining_columns(source)
    return TableMapping(contract, mapping.source, source, mapped, known)


def needed_fields(contract: Contract, fields: Sequence[str] | None) -> tuple[str, ...]:
    """Give the asked fields and the keys, in the contract's order; all fields when none are asked for."""
    if fields is None:
        return contract.names
    wanted = {*fields, *contract.primary_key, contract.patient_key}
    return tuple(name for name in contract.names if name in wanted)


def identifying_fields(contract: Contract) -> frozenset[str]:
    """Give the fields without which a record cannot be used at all: its keys."""
    return frozenset((*contract.primary_key, contract.patient_key))


def _columns(mapping: SchemaMapping) -> list[str]:
    return [column.column for name in mapping.columns if (column := mapping.column(name)) is not None]


def _no_mapping(site: Site, contract: Contract) -> Problem:
    guess = nearest(contract.id, site.file.schemas)
    return Problem(
        "M-SCHEMA",
        site.document.place(("schemas",)),
        "The site file maps the schema that is asked for",
        f"it has no mapping for {contract.id}",
        f"did you mean {contract.id!r} where it says {guess!r}?"
        if guess
        else f"add {contract.id!r} under 'schemas'; wardround silo map drafts it from a file",
    )


def _no_table(site: Site, contract: Contract, mapping: SchemaMapping) -> Problem:
    return Problem(
        "M-IMAGES",
        site.document.place(("schemas", contract.id, "source")),
        "The records of a schema of tables are in a table",
        f"{contract.id} is a schema of tables, and its source {mapping.source!r} is a folder of images",
        "name a table as its source; a folder of images is checked with a schema of images",
    )


def _unknown_fields(site: Site, contract: Contract, mapping: SchemaMapping) -> list[Problem]:
    problems: list[Problem] = []
    for name in mapping.columns:
        if name not in contract.names:
            guess = nearest(name, contract.names)
            problems.append(
                Problem(
                    "M-FIELD",
                    site.document.place(("schemas", contract.id, "columns", name)),
                    f"The keys under 'columns' are fields of {contract.id} {contract.version}",
                    "it has no field of this name",
                    f"did you mean {guess!r}?" if guess else f"see: wardround schema show {contract.id}",
                )
            )
    return problems


class _Field:
    """One field on its way from the site file into the mapping; gathers what is wrong with it."""

    def __init__(
        self,
        site: Site,
        contract: Contract,
        mapping: SchemaMapping,
        field: ContractField,
    ) -> None:
        self.file = site.file
        self.contract = contract
        self.mapping = mapping
        self.field = field
        self.place = site.document.place(("schemas", contract.id, "columns", field.name))
        self.problems: list[Problem] = []

    def mapped(self) -> FieldMapping:
        column = self.mapping.column(self.field.name)
        if column is None:
            self._absent()
            return FieldMapping(self.field, None)
        factor, offset = self._conversion(column)
        return FieldMapping(
            self.field,
            column.column,
            factor=factor,
            offset=offset,
            codes=self._codes(column),
            date_format=self._date_format(column),
            marks=self._marks(column),
            decimal=decimal_mark(self.file, self.mapping.source, column.column),
        )

    def _problem(self, code: str, rule: str, finding: str, next_step: str) -> None:
        self.problems.append(Problem(code, self.place, rule, finding, next_step))

    def _absent(self) -> None:
        if self.field.required or self.field.name in identifying_fields(self.contract):
            self._problem(
                "M-UNMAPPED",
                "Every required field of the schema has a local column",
                f"{self.field.name!r} has no local column",
                f"add {self.field.name!r} under 'columns'",
            )

    def _conversion(self, column: Column) -> tuple[float, float]:
        asked = (column.unit, column.analyte, column.factor, column.offset) != (None, None, None, None)
        if asked and self.field.unit is None:
            self._problem(
                "M-UNIT",
                "Only numbers have a unit, factor or offset",
                f"{self.field.name!r} is a {self.field.type}",
                "remove the unit",
            )
            return 1.0, 0.0
        if (column.unit is not None or column.analyte is not None) and self.field.unit is not None:
            wanted, measured = self.field.analyte, column.analyte
            unit = column.unit or self.field.unit
            try:
                found = analytes.conversion(unit, self.field.unit, self.place, wanted=wanted, measured=measured)
            except Refused as error:
                self.problems.extend(error.problems)
                return 1.0, 0.0
            return found.factor, found.offset
        if column.factor == 0:
            self._problem(
                "M-UNIT", "A factor is not zero", f"that of {self.field.name!r} is", "give the factor of the conversion"
            )
        return (1.0 if column.factor is None else column.factor), (0.0 if column.offset is None else column.offset)

    def _codes(self, column: Column) -> tuple[tuple[str, str], ...] | None:
        if column.codes is None:
            return None
        if not self.field.values:
            self._problem("M-CODE", "Only coded fields have codes", f"{self.field.name!r} has no code list", "remove 'codes'")
            return None
        for code, value in column.codes.items():
            if value not in self.field.values:
                guess = nearest(value, self.field.values)
                self._problem(
                    "M-CODE",
                    f"Local codes map to codes of {self.contract.id} {self.contract.version}",
                    f"code {list(column.codes).index(code) + 1} of {self.field.name!r} maps to none of them",
                    f"did you mean {guess!r}?" if guess else f"choose one of: {', '.join(self.field.values)}",
                )
        return tuple(column.codes.items())

    def _date_format(self, column: Column) -> str | None:
        if column.date_format is not None and self.field.type != "date":
            self._problem(
                "Y-VALUE",
                "Only dates have a date format",
                f"{self.field.name!r} is a {self.field.type}",
                "remove 'date_format'",
            )
        return column.date_format

    def _marks(self, column: Column) -> tuple[str, ...]:
        """Give the texts that mean missing; a text that the hospital maps as a code is no such mark."""
        local = self.mapping.missing if column.missing is None else column.missing
        marks = dict.fromkeys((*self.contract.missing_marks(self.field.name), *local))
        return tuple(mark for mark in marks if mark not in (column.codes or {}))
