"""From masks to findings: who is set aside, what is counted, and whether the records may be used."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import polars as pl

from silo_node.configuration import Site
from silo_node.mapping import TableMapping
from silo_node.mapping.cells import SCHEMA_TYPES
from silo_node.sources.faults import Fault
from silo_node.sources.places import Place, in_order
from silo_node.sources.tables import Table, Unit
from silo_node.validation.engine import Broken, Outcome
from silo_node.validation.explained import explained
from silo_node.validation.findings import SAMPLE_LINES, Finding, shapes
from silo_node.validation.overlaps import overlaps
from silo_node.validation.result import CheckResult, Valid, nothing_valid, outgoing_report
from silo_node.validation.severity import weighed, weighed_fault

MOST_SHAPED_CELLS = 10_000
"""Cells whose shapes are counted for one finding."""

UNLISTED = frozenset({"T-MISSLIM", "T-CONST"})
"""Findings on a column, whose records nobody would look at one by one."""

ENOUGH_TO_LOOK_AT = 10
"""Records for each wanted patient among which there usually are enough."""


def unreadable(site: Site, mapping: TableMapping, fault: Fault) -> CheckResult:
    """Give the result for a table that could not be read at all."""
    finding = _from_fault(fault, 0, "line", ())
    empty = nothing_valid({each.field.name: SCHEMA_TYPES[each.field.type] for each in mapping.fields})
    small_cell = site.policy().small_cell
    report = outgoing_report(mapping.contract, [finding], found=0, quarantined=0, passed=False, small_cell=small_cell)
    return CheckResult(mapping.contract, (finding,), 0, 0, MappingProxyType({}), (), "line", empty, passed=False, outgoing=report)


class Judgement:
    """From masks to findings: who is set aside, what is counted, whether it may pass."""

    def __init__(self, site: Site, mapping: TableMapping, table: Table, outcome: Outcome) -> None:
        self.site = site
        self.mapping = mapping
        self.table = table
        self.outcome = outcome = weighed(outcome, mapping.contract)
        self.aside = self._aside()
        self.valid = Valid(outcome.typed, ~self.aside)
        self.quarantined = table.found - self.valid.height

    def result(self, max_fraction: float, minimum_records: int | None) -> CheckResult:
        """Give the result by the limits of a study, or of the contract."""
        faults = [weighed_fault(fault, self.mapping.contract) for fault in (*self.table.faults, *self.outcome.faults)]
        findings = [_from_fault(fault, self.table.found, self.table.unit, self._places(fault.records)) for fault in faults]
        findings += [self._finding(broken) for broken in self.outcome.broken]
        findings += self._limits(max_fraction, minimum_records)
        findings = explained(findings, self.site, self.mapping.contract)
        findings.sort(key=lambda finding: finding.severity)  # errors before warnings
        fatal = [finding for finding in findings if finding.severity == "error" and finding.level != "record"]
        passed = not fatal
        places = self.table.places(self._records(self.aside))
        ragged = self._places(tuple(record for fault in faults for record in fault.records))
        return CheckResult(
            contract=self.mapping.contract,
            findings=tuple(findings),
            found=self.table.found,
            quarantined=self.quarantined,
            quarantined_by_code=MappingProxyType(self._by_code()),
            quarantined_places=in_order((*places, *ragged)),
            unit=self.table.unit,
            records=self.valid,
            passed=passed,
            outgoing=outgoing_report(
                self.mapping.contract,
                findings,
                found=self.table.found,
                quarantined=self.quarantined,
                passed=passed,
                small_cell=self.site.policy().small_cell,
            ),
            overlaps=overlaps(self.outcome.broken, self.table.faults),
        )

    def _aside(self) -> pl.Series:
        aside = pl.Series([False]).new_from_index(0, self.outcome.typed.height)
        for broken in self.outcome.broken:
            if broken.check.sets_aside:
                aside = aside | broken.mask
        return aside

    def _records(self, mask: pl.Series, most: int | None = None) -> list[int]:
        """Give the positions in the file of the rows of a mask."""
        rows = mask.arg_true()
        rows = rows if most is None else rows.head(most)
        found = rows if self.table.records is None else self.table.records.gather(rows)
        return [int(record) for record in found]

    def _places(self, records: Sequence[int]) -> tuple[Place, ...]:
        return tuple(self.table.places(records))

    def _finding(self, broken: Broken) -> Finding:
        check = broken.check
        count = int(broken.mask.sum())
        share = "" if check.limit is None else f", {count / len(broken.mask):.2%}"
        return Finding(
            code=check.code,
            severity=check.severity,
            level=check.level,
            field=check.subject,
            rule=check.rule,
            count=count,
            of=self.table.found,
            lines=() if check.code in UNLISTED else self._places(self._records(broken.mask, SAMPLE_LINES)),
            unit=self.table.unit,
            shapes=() if broken.cells is None else shapes(broken.cells.head(MOST_SHAPED_CELLS)),
            expectation=check.expectation,
            finding=f"{count} of {self.table.found} records break this{share}" + (f": {broken.note}" if broken.note else ""),
            next_step=check.next_step,
        )

    def _by_code(self) -> dict[str, int]:
        masks: dict[str, pl.Series] = {}
        for broken in self.outcome.broken:
            code = broken.check.code
            if broken.check.sets_aside:
                masks[code] = masks[code] | broken.mask if code in masks else broken.mask
        counts = {code: int(mask.sum()) for code, mask in masks.items()}
        for fault in self.table.faults:
            if fault.records:
                counts[fault.code] = len(fault.records)
        return dict(sorted(counts.items()))

    def _limits(self, max_fraction: float, minimum_records: int | None) -> list[Finding]:
        limits = self.mapping.contract.limits
        least = limits.min_records if minimum_records is None else minimum_records
        found: list[Finding] = []
        if self.quarantined > max_fraction * self.table.found:
            found.append(
                self._limit(
                    "T-QUARANTINE",
                    self.quarantined,
                    f"At most {max_fraction:.2%} of the records are set aside" if max_fraction else "No record is set aside",
                    f"{self.quarantined} of {self.table.found} are",
                    "correct the records or the mapping; the other findings say where",
                )
            )
        patients = self._patients(limits.min_patients)
        if self.valid.height < least:
            found.append(
                self._limit(
                    "T-FEW",
                    self.valid.height,
                    f"At least {least} valid records are needed",
                    f"{self.valid.height} are there",
                    "export more records, or do not take part",
                )
            )
        elif patients < limits.min_patients:
            found.append(
                self._limit(
                    "T-FEW",
                    patients,
                    f"At least {limits.min_patients} patients are needed",
                    f"{patients} are there",
                    "export more patients, or do not take part",
                )
            )
        return found

    def _patients(self, enough: int) -> int:
        """Count patients, at least up to the number that is enough."""
        seen, step = pl.Series(dtype=pl.String), ENOUGH_TO_LOOK_AT * max(enough, 100)
        for keys in self.valid.parts(self.mapping.contract.patient_key):
            for start in range(0, len(keys), step):
                seen = pl.concat([seen, keys.slice(start, step)]).unique()
                if len(seen) >= enough:
                    return len(seen)
        return len(seen)

    def _limit(self, code: str, count: int, expectation: str, finding: str, next_step: str) -> Finding:
        return Finding(
            code,
            "error",
            "share" if code == "T-QUARANTINE" else "table",
            None,
            None,
            count,
            self.table.found,
            (),
            self.table.unit,
            (),
            expectation,
            finding,
            next_step,
        )


def _from_fault(fault: Fault, found: int, unit: Unit, places: tuple[Place, ...]) -> Finding:
    return Finding(
        code=fault.code,
        severity="warning" if fault.warning else "error",
        level="table",
        field=fault.field,
        rule=None,
        count=fault.count,
        of=found,
        lines=(places or fault.lines)[:SAMPLE_LINES],
        unit=unit,
        shapes=(),
        expectation=fault.rule,
        finding=fault.finding,
        next_step=fault.next_step,
    )
