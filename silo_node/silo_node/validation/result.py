"""What a check answers: findings and counts for the hospital, a report for the outside, and the records that may be used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, get_args

import polars as pl

from silo_node.sources.faults import UnreadableError
from silo_node.sources.places import Place
from silo_node.sources.rows import held
from silo_node.sources.tables import Unit
from silo_node.validation.findings import Finding, Level
from silo_node.validation.overlaps import Overlap
from silo_node.validation.profiles import FieldProfile
from silo_node.validation.records import Records, Typed
from wardround.contract.model import Contract
from wardround.contract.synthetic.texts import all_synthetic, bears_mark
from wardround.errors import Problem, Refused
from wardround.messages.data_report import AnyCode, CountedFinding, DataReport, FindingCode, ImageCode, make_report

LOOKED_AT_FIRST = 100
"""Records whose patient keys are looked at first: of real ones, ten in a row bear the mark once in 2^40 tables."""

RECORD_FAULTS = frozenset({"T-RAGGED", "T-TYPE", "T-DATEFMT", "T-ALLNULL", "T-PHI-ID"})
"""Faults of whole tables that count records, not columns."""


@dataclass(frozen=True)
class Valid:
    """The records that obey a schema. A table that is not held is read again for them.

    Attributes:
        typed: all records.
        chosen: which of them.
    """

    typed: Typed
    chosen: pl.Series

    @property
    def height(self) -> int:
        """How many there are."""
        return int(self.chosen.sum())

    @cached_property
    def frame(self) -> pl.DataFrame:
        """All their fields, in the contract's order.

        Raises:
            Refused: T-FILE, when the file of a table that is not held cannot be read again.
        """
        with _refused():
            return self.typed.frame(self.chosen)

    def parts(self, name: str) -> Iterator[pl.Series]:
        """Give a field of theirs, in parts."""
        return self.typed.parts(name, self.chosen)

    def first(self, name: str, count: int) -> pl.Series:
        """Give a field of those among the table's first records."""
        block = next(self.typed.records.blocks([name]))[name].head(count)
        return block.filter(self.chosen.head(len(block)))


@contextmanager
def _refused() -> Iterator[None]:
    try:
        yield
    except UnreadableError as error:
        fault = error.fault
        raise Refused([Problem(fault.code, "the source's file", fault.rule, fault.finding, fault.next_step)]) from None


def nothing_valid(schema: Mapping[str, pl.DataType]) -> Valid:
    """Give the records of a table that could not be read."""
    records = Records(held(pl.DataFrame()), {name: pl.lit(None, dtype=kind) for name, kind in schema.items()})
    return Valid(Typed(tuple(schema), records), pl.Series([], dtype=pl.Boolean))


@dataclass(frozen=True)
class CheckResult:
    """The result of one check. Only ``outgoing`` may leave the hospital.

    Attributes:
        contract: the schema that was asked for.
        findings: everything that is wrong, errors first.
        found: records in the table; 0 when it could not be read.
        quarantined: records set aside.
        quarantined_by_code: how many records for each code; a record may count for several.
        quarantined_places: their line or row numbers.
        unit: what ``quarantined_places`` counts.
        records: the records that obey the schema, read when they are asked for (``valid``).
        passed: whether they may be used.
        outgoing: the report that may leave.
        overlaps: how many records each set of causes sets aside.
        profiles: what the values of each field look like; only where they were asked for.
    """

    contract: Contract
    findings: tuple[Finding, ...]
    found: int
    quarantined: int
    quarantined_by_code: Mapping[str, int]
    quarantined_places: tuple[Place, ...]
    unit: Unit
    records: Valid
    passed: bool
    outgoing: DataReport
    overlaps: tuple[Overlap, ...] = ()
    profiles: tuple[FieldProfile, ...] = ()

    @property
    def valid(self) -> pl.DataFrame:
        """The records that obey the schema, in schema form and the contract's order; holds patient data."""
        return self.records.frame

    @property
    def synthetic(self) -> bool:
        """Whether the valid records are no patients': every patient key bears the mark of records that were made up."""
        name = self.contract.patient_key
        if name not in self.records.typed.names:
            return False
        with _refused():
            first = self.records.first(name, LOOKED_AT_FIRST).drop_nulls()
            if not all(bears_mark(key) for key in first):  # nearly always: then all the others need not be told apart
                return False
            return all_synthetic(key for part in self.records.parts(name) for key in part.drop_nulls().unique())


class CheckFailed(Refused):
    """Records that may not be used; ``outgoing`` is all that the outside may learn of it."""

    def __init__(self, result: CheckResult) -> None:
        """Take the failed check."""
        place = f"{result.contract.id} {result.contract.version}"
        errors = [finding for finding in result.findings if finding.severity == "error"]
        super().__init__(
            Problem(each.code, _place(place, each), each.expectation, each.finding, each.next_step) for each in errors
        )
        self.result = result
        self.outgoing = result.outgoing


def _place(schema: str, finding: Finding) -> str:
    name = finding.field or finding.rule
    return schema if name is None else f"{schema}, {name}"


def with_findings(result: CheckResult, later: Sequence[Finding], small_cell: int) -> CheckResult:
    """Give the same check with findings that came up later, on its table as a whole; an error among them fails it."""
    passed = result.passed and all(finding.severity != "error" for finding in later)
    findings = tuple(sorted((*result.findings, *later), key=lambda finding: finding.severity))  # errors before warnings
    report = outgoing_report(
        result.contract, findings, found=result.found, quarantined=result.quarantined, passed=passed, small_cell=small_cell
    )
    return replace(result, findings=findings, passed=passed, outgoing=report)


def late_finding(
    code: str,
    result: CheckResult,
    count: int,
    words: tuple[str, str, str],
    *,
    field: str | None = None,
    level: Level = "table",
    severity: Literal["error", "warning"] = "error",
) -> Finding:
    """Make a finding that came up after a check, on its records as a whole.

    Args:
        code: of the catalogue.
        result: the check.
        count: records concerned.
        words: what should hold, what was found instead, what to do next.
        field: the shared field, when it is about one.
        level: what it is about.
        severity: as of every finding.
    """
    expectation, finding, next_step = words
    return Finding(
        code=code,
        severity=severity,
        level=level,
        field=field,
        rule=None,
        count=count,
        of=result.found,
        lines=(),
        unit=result.unit,
        shapes=(),
        expectation=expectation,
        finding=finding,
        next_step=next_step,
    )


def said_to_be_synthetic(result: CheckResult, small_cell: int) -> CheckResult:
    """Give the same check with T-SYNTHETIC where its records were made up, for the hospital and in the report that leaves."""
    if not result.synthetic:
        return result
    words = (
        "Records are of patients",
        "every patient key bears the mark of wardround schema synthesise",
        "nothing in a trial; in a study with patients, name the hospital's own export in the site file",
    )
    finding = late_finding("T-SYNTHETIC", result, result.found - result.quarantined, words, severity="warning")
    return with_findings(result, [finding], small_cell)


def outgoing_report(
    contract: Contract, findings: Sequence[Finding], *, found: int, quarantined: int, passed: bool, small_cell: int
) -> DataReport:
    """Make the report that may leave from findings and true counts."""
    counted = [
        CountedFinding(
            code=_CODES[finding.code],
            severity=finding.severity,
            field=finding.field,
            rule=finding.rule,
            records=finding.count if _counts_records(finding) else None,
            sets_aside=(finding.level == "record" and finding.severity == "error") or finding.code == "T-RAGGED",
            explained=finding.explained,
        )
        for finding in findings
    ]
    return make_report(contract, found=found, quarantined=quarantined, passed=passed, findings=counted, small_cell=small_cell)


def _counts_records(finding: Finding) -> bool:
    if finding.code in ("T-FEW", "T-QUARANTINE", "T-LABEL"):
        return False  # said by the report's own counts
    return finding.level != "table" or finding.code in RECORD_FAULTS


_CODES: dict[str, AnyCode] = {code: code for kind in (FindingCode, ImageCode) for code in get_args(kind)}
