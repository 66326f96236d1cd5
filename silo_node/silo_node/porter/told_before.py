"""What left this hospital of its records, so that no two tellings can be subtracted from one another.

    journal/reports.json          the reports of checks that left, over all studies
    journal/distributions.json    what left of each field of each schema, over all studies

Two reports of almost the same records differ by few: each alone shows no small count, their difference is one. So the later one
leaves without counts then. Each study divides the records anew, and records change: of one field two distributions over nearly
the same records would differ by a few of them, or hide different cells. So a field that was told is told again only where nothing
small follows from both. A report is held against the distributions before it, and a distribution against every report.

Two schemas over one table are held against each other, too, and two fields that are one local column.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field

from silo_node.porter.distribution_rules import beside_report, report_beside
from silo_node.porter.memory import JOURNAL
from silo_node.porter.told_file import Tellings, ToldFile
from wardround.contract.model import Contract
from wardround.messages.data_report import DataReport, differ_by_few, without_counts
from wardround.messages.distribution import FieldDistribution, follows_by_few, scale_of, withheld
from wardround.values import SchemaId, Sha256, Value

REPORTS, DISTRIBUTIONS = "reports.json", "distributions.json"

MOST_REPORTS = 500
"""Different reports of one hospital, over all schemas and studies: one a week for ten years, and about a megabyte."""

MOST_FIELDS = 20_000
"""Different distributions of one field each; some ten megabytes."""


class ToldField(Value):
    """A field that was shown: of which schema, on which cells."""

    schema_id: SchemaId
    scale: Sha256
    told: FieldDistribution


class _Reports(Tellings[DataReport]):
    told: tuple[DataReport, ...] = Field(default=(), alias="reports")


class _Fields(Tellings[ToldField]):
    told: tuple[ToldField, ...] = Field(default=(), alias="fields")


def _unknown(_schema: str) -> None:
    """Know no schema: then any two may be of one table."""


@dataclass(frozen=True)
class Origins:
    """Where a hospital's schemas come from, by its site file.

    Attributes:
        table: gives the files behind a schema; None where nobody knows, or it is no file.
        columns: gives the local column of each field of a schema.
    """

    table: Callable[[str], frozenset[str] | None] = _unknown
    columns: Callable[[str], dict[str, str]] = field(default=lambda _schema: {})

    def one_table(self, one: str, other: str) -> bool:
        """Say whether two schemas can be of the same records."""
        first, second = self.table(one), self.table(other)
        return one == other or first is None or second is None or not first.isdisjoint(second)

    def one_field(self, one: tuple[str, str], other: tuple[str, str]) -> bool:
        """Say whether two fields, each with its schema, can be of the same values."""
        if not self.one_table(one[0], other[0]):
            return False
        columns = [self.columns(schema).get(name) for schema, name in (one, other)]
        return one[1] == other[1] or (columns[0] is not None and columns[0] == columns[1])


NOWHERE = Origins()


class ToldBefore:
    """What one hospital has told of its records."""

    def __init__(self, folder: Path, origins: Origins = NOWHERE) -> None:
        """Take the hospital's directory, and where its schemas come from."""
        self._reports: ToldFile[DataReport] = ToldFile(folder / JOURNAL / REPORTS, _Reports, MOST_REPORTS)
        self._fields: ToldFile[ToldField] = ToldFile(folder / JOURNAL / DISTRIBUTIONS, _Fields, MOST_FIELDS)
        self._origins = origins

    def report_weighed(self, report: DataReport, small_cell: int) -> DataReport:
        """Give a report as it may leave after what left before; without counts where that is too much or cannot be read."""
        reports, fields = self._reports.read(), self._fields.read()
        if reports is None or fields is None or not self._reports.takes(report, reports):
            return without_counts(report)
        of_these = [each for each in reports if self._origins.one_table(each.schema_id, report.schema_id)]
        told = [each.told for each in fields if self._origins.one_table(each.schema_id, report.schema_id)]
        few = any(differ_by_few(each, report, small_cell) for each in of_these) or report_beside(report, told, small_cell)
        return without_counts(report) if few else report

    def fields_weighed(
        self, fields: tuple[FieldDistribution, ...], contract: Contract, small_cell: int
    ) -> tuple[FieldDistribution, ...]:
        """Give the fields as they may leave after what left before; none where that is too much or cannot be read."""
        reports, told = self._reports.read(), self._fields.read()
        if reports is None or told is None:
            return tuple(withheld(each.field, "told") for each in fields)
        for report in reports:
            if self._origins.one_table(report.schema_id, contract.id):
                fields = beside_report(fields, report, contract, small_cell)
        return tuple(
            withheld(each.field, "told") if self._follows(_entry(each, contract), told, small_cell) else each for each in fields
        )

    def remember(self, report: DataReport | None) -> None:
        """Write a report down that is about to leave.

        Raises:
            Refused: O-WRITE when the disk does not take it; then it may not leave.
        """
        self._reports.add(() if report is None else (report,))

    def remember_fields(self, fields: tuple[FieldDistribution, ...], contract: Contract) -> None:
        """Write down what is shown of fields, and about to leave.

        Raises:
            Refused: O-WRITE as above.
        """
        self._fields.add(_entry(each, contract) for each in fields if each.withheld is None)

    def _follows(self, new: ToldField, told: tuple[ToldField, ...], small_cell: int) -> bool:
        """Say whether something small can follow from a field and what was told of it; other cells are never told, nor is
        what finds no room in the file.
        """
        if new.told.withheld is not None:
            return False
        name = (new.schema_id, new.told.field)
        before = [old for old in told if self._origins.one_field((old.schema_id, old.told.field), name)]
        if not self._fields.takes(new, told):
            return True
        return any(old.scale != new.scale or follows_by_few(old.told, new.told, small_cell) for old in before)


def _entry(told: FieldDistribution, contract: Contract) -> ToldField:
    return ToldField(schema_id=contract.id, scale=scale_of(contract, told.field).scale_digest(), told=told)
