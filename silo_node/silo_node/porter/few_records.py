"""Too few records behind a result's numbers, by the hospital's policy: behind each of them, and behind their differences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wardround.ledger.entries import BlockedPart
from wardround.messages.data_report import DataReport, ShownCell
from wardround.messages.round import StatisticsResult
from wardround.metrics.labels import LabelCounts, without_few

if TYPE_CHECKING:
    from silo_node.policy import Policy
    from silo_node.work import Done
    from wardround.messages.round import Task

SMALL: Final = BlockedPart(why="small_cell")


def too_few(task: Task, done: Done, policy: Policy) -> tuple[BlockedPart, ...]:
    """Say where too few records stand behind a result's numbers, by the policy."""
    if done.records < policy.least_records:
        return (BlockedPart(why="minimum_records", place="records"),)
    if task.records not in (None, done.records):
        return ()  # refused as such: those records are none that anybody waits for
    if isinstance(done.result, StatisticsResult):
        return (SMALL,) if _shows_few_of(done, done.result, policy) else ()
    counts = done.result.evaluation.counts
    if isinstance(counts, LabelCounts) and without_few(counts, policy.smallest_metrics, policy.small_cell) != counts:
        return (SMALL,)  # which label it is would say something of it
    few = counts is not None and counts.records < policy.smallest_metrics
    return (BlockedPart(why="metrics_minimum"),) if few else ()


def _shows_few_of(done: Done, result: StatisticsResult, policy: Policy) -> bool:
    counts = [size for size in (result.validation, result.test) if size is not None]
    for sums in result.sums:
        counts += (sums.records, done.records - sums.records)
    counts += _left_out(done.records, result)
    return any(0 < count < policy.small_cell for count in counts) or shows_few(result.report, policy)


def shows_few(report: DataReport, policy: Policy) -> bool:
    """Say whether a report shows a small count."""
    cells = (report.found, report.quarantined, report.valid, *(finding.records for finding in report.findings))
    return any(0 < cell.count < policy.small_cell for cell in cells if isinstance(cell, ShownCell))


def _left_out(records: int, result: StatisticsResult) -> list[int]:
    """Give how many valid records are in neither part that is named, for every choice of parts, as far as it can be computed."""
    report = result.report
    valid = [report.valid.count] if isinstance(report.valid, ShownCell) else []
    if isinstance(report.found, ShownCell) and isinstance(report.quarantined, ShownCell):
        valid.append(report.found.count - report.quarantined.count)
    named = {0, result.validation or 0, result.test or 0, (result.validation or 0) + (result.test or 0)}
    return [count - records - part for count in valid for part in named]
