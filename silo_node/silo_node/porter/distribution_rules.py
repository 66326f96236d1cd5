"""Hold distributions against the hospital's smallest cell, whatever the trainer made of it; for the egress gate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from silo_node.work import Done
from wardround.contract.model import Contract
from wardround.ledger.entries import BlockedPart
from wardround.messages.data_report import DataReport, ShownCell, subset_sums
from wardround.messages.distribution import (
    FieldDistribution,
    is_possible,
    present_in,
    scale_of,
    shows_few,
    told_fields,
    withheld,
)
from wardround.messages.round import StatisticsResult
from wardround.study.bundle import Bundle

_COUNT = "result.distributions.fields.*.groups.*.count"
_FIELD = "result.distributions.fields.*.field"


def distribution_faults(done: Done, bundle: Bundle, small_cell: int) -> tuple[BlockedPart, ...]:
    """Say what of a result's distributions may not leave: a small cell, or what is none of so many training records."""
    result = done.result
    if not isinstance(result, StatisticsResult) or result.distributions is None:
        return ()
    return tuple(dict.fromkeys(_faults(done.records, result, bundle, small_cell)))


def _faults(records: int, result: StatisticsResult, bundle: Bundle, small_cell: int) -> Iterator[BlockedPart]:
    fields = () if result.distributions is None else result.distributions.fields
    if tuple(each.field for each in fields) != told_fields(bundle.study):
        yield BlockedPart(why="number", place=_FIELD)
        return
    present = present_in(bundle.study, {sums.field: sums.records for sums in result.sums}, records)
    for each in fields:
        if not is_possible(each, scale_of(bundle.contract, each.field), records, present.get(each.field)):
            yield BlockedPart(why="range", place=_COUNT)
        if shows_few(each, small_cell):
            yield BlockedPart(why="small_cell", place=_COUNT)


def beside_report(
    fields: tuple[FieldDistribution, ...], report: DataReport, contract: Contract, small_cell: int
) -> tuple[FieldDistribution, ...]:
    """Give the fields that may leave beside the report of the check.

    A finding counts over all valid records, a distribution over those for training: where the two counts differ by few, those
    few are among the others.
    """
    found = _found(report)
    return tuple(
        withheld(each.field, "few")
        if _differs_by_few(each, found.get(each.field, []), small_cell, numeric=scale_of(contract, each.field).numeric)
        else each
        for each in fields
    )


def report_beside(report: DataReport, told: Iterable[FieldDistribution], small_cell: int) -> bool:
    """Say whether a finding of a report differs by few from what was told of its field before.

    On which cells that was is not known any more: each field is taken for a number.
    """
    found = _found(report)
    return any(_differs_by_few(each, found.get(each.field, []), small_cell, numeric=True) for each in told)


def _found(report: DataReport) -> dict[str, list[int]]:
    """Give the shown counts of a report's findings, and what several of a field can be together, by the field."""
    counts: dict[str, list[int]] = {}
    for finding in report.findings:
        if finding.field is not None and isinstance(finding.records, ShownCell):
            counts.setdefault(finding.field, []).append(finding.records.count)
    return {name: [each for each in subset_sums(some) if each] for name, some in counts.items()}


def _differs_by_few(told: FieldDistribution, found: list[int], small_cell: int, *, numeric: bool) -> bool:
    missing = max((cell for group in told.groups for cell in group.cells), default=0)
    outside = {0, missing - 1} if numeric else set()
    counts = [group.count for group in told.groups]
    counts.append(sum(group.count for group in told.groups if outside.issuperset(group.cells)))
    return any(0 < abs(records - count) < small_cell for records in found for count in counts)
