"""The local report of a check: what the hospital reads to mend its records. It stays inside; see ``docs/reference/site.md``.

Line numbers, codes, counts and shapes, never a value, header or path; readable by its owner only; the same bytes when
the same records are checked again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from silo_node.configuration import Site
from silo_node.sources.places import Place
from silo_node.sources.tables import Unit
from silo_node.validation.findings import Finding
from silo_node.validation.overlaps import Repair, first_repairs
from silo_node.validation.profiles import FieldProfile, hard_limits
from silo_node.validation.result import CheckResult
from wardround.canonical import model_json
from wardround.contract.model import Contract
from wardround.files import write_atomic
from wardround.messages.data_report import DataReport

if TYPE_CHECKING:
    from wardround.canonical import Json

FORMAT = 2
"""Of the local report; 2 has ``fix_first`` and ``fields``, and its findings stand worst first."""
OWNER_ONLY = 0o600
CONSEQUENCES = frozenset({"T-QUARANTINE", "T-FEW"})
"""Findings that fail the check because of others: they stand after them, and nothing is repaired in them."""

Standing = Literal["fails the check", "sets records aside", "fails the check in consequence", "warning"]
STANDINGS: tuple[Standing, ...] = get_args(Standing)
"""What a finding does, worst first."""


@dataclass(frozen=True)
class LocalReport:
    """What a check told the hospital: everything of its result but the records.

    Attributes:
        findings: worst first.
        fix_first: the few repairs that free most records.
        profiles: what the values of each field look like.
    """

    contract: Contract
    findings: tuple[Finding, ...]
    found: int
    quarantined: int
    quarantined_by_code: Mapping[str, int]
    quarantined_places: tuple[Place, ...]
    unit: Unit
    passed: bool
    synthetic: bool
    outgoing: DataReport
    fix_first: tuple[Repair, ...]
    profiles: tuple[FieldProfile, ...]

    @property
    def valid(self) -> int:
        """How many records may be used."""
        return self.found - self.quarantined


def local_report(result: CheckResult) -> LocalReport:
    """Give what a check's result tells the hospital."""
    return LocalReport(
        contract=result.contract,
        findings=worst_first(result.findings),
        found=result.found,
        quarantined=result.quarantined,
        quarantined_by_code=dict(result.quarantined_by_code),
        quarantined_places=result.quarantined_places,
        unit=result.unit,
        passed=result.passed,
        synthetic=result.synthetic,
        outgoing=result.outgoing,
        fix_first=first_repairs(result.overlaps),
        profiles=result.profiles,
    )


def standing(finding: Finding) -> Standing:
    """Say what a finding does."""
    if finding.severity != "error":
        return "warning"
    if finding.code in CONSEQUENCES:
        return "fails the check in consequence"
    return "sets records aside" if finding.level == "record" else "fails the check"


def worst_first(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Order findings by what they do: what fails the check in the order in which it was found, the rest by their counts."""

    def place(finding: Finding) -> tuple[int, int, str, str]:
        what = standing(finding)
        if what in ("fails the check", "fails the check in consequence"):
            return STANDINGS.index(what), 0, "", ""
        return STANDINGS.index(what), -finding.count, finding.code, finding.field or finding.rule or ""

    return tuple(sorted(findings, key=place))


def report_name(result: CheckResult | LocalReport, study: str | None = None) -> str:
    """Give the file name of a check's local report."""
    return file_name(result.contract, study, "json")


def file_name(contract: Contract, study: str | None, suffix: str) -> str:
    """Give the name of a file about the checks of a schema, for a study or for none."""
    ending = "" if study is None else f"-{study}"
    return f"check-{contract.id}-{contract.version}{ending}.{suffix}"


def as_json(result: CheckResult | LocalReport) -> dict[str, Json]:
    """Give a result as plain JSON for people and programs inside the hospital."""
    report = result if isinstance(result, LocalReport) else local_report(result)
    return {
        "kind": "local-check-report",
        "format": FORMAT,
        "schema": {"id": report.contract.id, "version": report.contract.version, "hash": report.contract.contract_hash()},
        "passed": report.passed,
        "synthetic": report.synthetic,
        "records": {"found": report.found, "quarantined": report.quarantined, "valid": report.valid},
        "quarantined_by_code": dict(report.quarantined_by_code),
        "findings": [_finding(finding) for finding in report.findings],
        "fix_first": [_repair(repair) for repair in report.fix_first],
        "fields": [_profile(profile, report.contract) for profile in report.profiles],
        "outgoing": model_json(report.outgoing),
    }


def write_local(site: Site, result: CheckResult | LocalReport, study: str | None = None) -> Path:
    """Write the local report, with every quarantined line, and give its path.

    Raises:
        Refused: O-WRITE.
    """
    path = site.make_directory("reports") / report_name(result, study)
    report = as_json(result) | {"quarantined": {"unit": result.unit, "at": list(result.quarantined_places)}}
    write_atomic(path, json.dumps(report, indent=2, sort_keys=True).encode() + b"\n", OWNER_ONLY)
    return path


def _finding(finding: Finding) -> dict[str, Json]:
    return {
        "code": finding.code,
        "severity": finding.severity,
        "level": finding.level,
        "field": finding.field,
        "rule": finding.rule,
        "count": finding.count,
        "of": finding.of,
        "unit": finding.unit,
        "at": list(finding.lines),
        "shapes": [{"shape": shape.text, "count": shape.count} for shape in finding.shapes],
        "expectation": finding.expectation,
        "finding": finding.finding,
        "next_step": finding.next_step,
        "explained": finding.explained,
    }


def _repair(repair: Repair) -> dict[str, Json]:
    cause, counts = repair.cause, {"records": repair.records, "frees": repair.frees, "left": repair.left}
    return {"code": cause.code, "place": cause.place, **counts}


def _profile(profile: FieldProfile, contract: Contract) -> dict[str, Json]:
    field = contract.field(profile.field)
    shown: dict[str, Json] = {"field": profile.field, "values": profile.values, "missing": profile.missing, "kind": profile.kind}
    if profile.kind == "categories":
        counts: dict[str, Json] = dict(zip(field.values, profile.counts, strict=True))
        return {**shown, "counts": counts, "unlisted": profile.unlisted}
    if profile.kind in ("numbers", "dates"):
        low, high = hard_limits(field)
        return {
            **shown,
            "edges": [_edge(edge, profile) for edge in profile.edges],
            "counts": list(profile.counts),
            "below": profile.below,
            "above": profile.above,
            "too_low": profile.too_low if isfinite(low) else None,
            "too_high": profile.too_high if isfinite(high) else None,
        }
    return shown


def _edge(edge: float, profile: FieldProfile) -> Json:
    return date.fromordinal(int(edge)).isoformat() if profile.kind == "dates" else edge
