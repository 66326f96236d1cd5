"""A common normalisation from the hospitals' exact sums: the same digits on every machine."""

from __future__ import annotations

import math
from collections.abc import Iterable

from wardround.contract.model import Contract
from wardround.errors import Problem, raise_all
from wardround.messages.data_report import WithheldCell
from wardround.messages.distribution import is_possible, present_in, scale_of, told_fields
from wardround.messages.round import FieldSums, StatisticsResult
from wardround.study.bundle import Bundle
from wardround.study.encoding import SMALLEST_DEVIATION, Encoding, bounds, encoding_by, numeric_features
from wardround.study.model import Study
from wardround.weights.fixed_point import STATISTICS_STEPS


def sums_possible(result: StatisticsResult, records: int, bundle: Bundle) -> bool:
    """Say whether a hospital's sums can be sums of so many records of this study at all."""
    numeric = numeric_features(bundle.contract, bundle.study)
    names = [sums.field for sums in result.sums]
    if len(set(names)) != len(names) or not set(names) <= set(numeric):
        return False
    return _sizes_possible(result, records) and all(_possible(sums, records) for sums in result.sums)


def distributions_possible(result: StatisticsResult, records: int, bundle: Bundle) -> bool:
    """Say whether a hospital's distributions, if it tells any, are those that the study asks for, of so many records."""
    if result.distributions is None:
        return True
    fields = result.distributions.fields
    if not bundle.study.statistics.distributions or tuple(each.field for each in fields) != told_fields(bundle.study):
        return False
    present = present_in(bundle.study, {sums.field: sums.records for sums in result.sums}, records)
    return all(is_possible(each, scale_of(bundle.contract, each.field), records, present.get(each.field)) for each in fields)


def _sizes_possible(result: StatisticsResult, records: int) -> bool:
    """Training, validation and test records are among the valid ones, as far as those are shown."""
    valid = result.report.valid
    split = records + (result.validation or 0) + (result.test or 0)
    return result.report.passed and (isinstance(valid, WithheldCell) or split <= valid.count)


def _possible(sums: FieldSums, records: int) -> bool:
    total, squares = int(sums.total), int(sums.squares)
    if not sums.records:
        return total == squares == 0
    if sums.records > records or total > sums.records * STATISTICS_STEPS:
        return False
    # Cauchy-Schwarz, with one unit of rounding for sums that were scaled to hide a small cell
    return (total - 1) ** 2 <= (
        squares + 1
    ) * sums.records and squares <= total * STATISTICS_STEPS + sums.records * STATISTICS_STEPS


def make_encoding(study: Study, contract: Contract, results: Iterable[StatisticsResult]) -> Encoding:
    """Make the study's encoding from the counted hospitals' sums.

    Raises:
        Refused: C-STATISTICS, naming every numeric feature for which no hospital has values to show.
    """
    sums = [each for result in results for each in result.sums]
    moments: dict[str, tuple[float, float]] = {}
    problems: list[Problem] = []
    for name in numeric_features(contract, study):
        own = [each for each in sums if each.field == name]
        if sum(each.records for each in own):
            moments[name] = _moments(own, *bounds(contract, name))
        else:
            problems.append(_no_values(study, name))
    raise_all(problems)
    return encoding_by(contract, study, moments)


def _moments(sums: list[FieldSums], low: float, high: float) -> tuple[float, float]:
    """Give mean and standard deviation; integers until the last divisions."""
    records = sum(each.records for each in sums)
    total = sum(int(each.total) for each in sums)
    squares = sum(int(each.squares) for each in sums)
    unit = (high - low) / STATISTICS_STEPS
    mean = low + (total / records) * unit
    variance = max(squares * records - total * total, 0) / (records * records)
    deviation = math.sqrt(variance) * unit
    if deviation < SMALLEST_DEVIATION * (high - low):
        deviation = 1.0
    return mean + 0.0, deviation  # + 0.0 turns a negative zero, which has no canonical form, into zero


def _no_values(study: Study, name: str) -> Problem:
    return Problem(
        "C-STATISTICS",
        f"{study.name}.features.{name}",
        "Every numeric feature needs values at one hospital at least",
        "no hospital has enough values of it to share their sum",
        f"leave {name!r} out of the features",
    )
