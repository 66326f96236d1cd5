"""The local report of a check: what the hospital reads to mend its records. It stays inside; see ``docs/reference/site.md``.

Line numbers, codes, counts and shapes, never a value, header or path; readable by its owner only; the same bytes when
the same records are checked again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from silo_node.configuration import Site
from silo_node.validation.check import CheckResult
from silo_node.validation.findings import Finding
from wardround.canonical import model_json
from wardround.files import write_atomic

if TYPE_CHECKING:
    from wardround.canonical import Json

OWNER_ONLY = 0o600


def report_name(result: CheckResult, study: str | None = None) -> str:
    """Give the file name of a check's local report."""
    ending = "" if study is None else f"-{study}"
    return f"check-{result.contract.id}-{result.contract.version}{ending}.json"


def as_json(result: CheckResult) -> dict[str, Json]:
    """Give a result as plain JSON for people and programs inside the hospital."""
    return {
        "kind": "local-check-report",
        "format": 1,
        "schema": {"id": result.contract.id, "version": result.contract.version, "hash": result.contract.contract_hash()},
        "passed": result.passed,
        "synthetic": result.synthetic,
        "records": {"found": result.found, "quarantined": result.quarantined, "valid": result.found - result.quarantined},
        "quarantined_by_code": dict(result.quarantined_by_code),
        "findings": [_finding(finding) for finding in result.findings],
        "outgoing": model_json(result.outgoing),
    }


def write_local(site: Site, result: CheckResult, study: str | None = None) -> Path:
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
