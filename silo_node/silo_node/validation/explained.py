"""Findings that a hospital has explained (``exceptions`` in the site file): they are told with their reason and fail nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime

from silo_node.configuration import ExplainedException, Site
from silo_node.validation.findings import Finding
from wardround.contract.model import Contract


def explained(findings: Iterable[Finding], site: Site, contract: Contract) -> list[Finding]:
    """Give findings with the hospital's reasons; one whose exception has ended says so, and counts in full."""
    mapping = site.file.schemas.get(contract.id)
    exceptions = () if mapping is None else mapping.exceptions
    return [_explained(finding, exceptions, today()) for finding in findings]


def today() -> date:
    """Give the day at the hospital."""
    return datetime.now(tz=UTC).astimezone().date()


def _explained(finding: Finding, exceptions: tuple[ExplainedException, ...], day: date) -> Finding:
    about = (finding.code, finding.field, finding.rule)
    exception = next((each for each in exceptions if (each.code, each.field, each.rule) == about), None)
    if exception is None or finding.level == "record":
        return finding
    if exception.counts(day):
        return replace(finding, severity="warning", explained=exception.reason)
    return replace(finding, next_step=f"{finding.next_step}; the exception in the site file ended on {exception.until}")
