"""Counts of several labels without records."""

from __future__ import annotations

from studies_on_paper import scores

from wardround.metrics.labels import LabelCounts
from wardround.metrics.scores import ScoreCounts


def sides(positives: int, negatives: int, apart: int = 20) -> ScoreCounts:
    """Give so many records that have a label, and have it not; their scores lie ``apart`` bins apart, mistakes aside."""
    middle = 128
    wrong = positives // 4
    return scores([middle + apart] * (positives - wrong) + [middle - apart - 1] * wrong, [middle - apart] * negatives)


def labels(records: int, *told: ScoreCounts | None) -> LabelCounts:
    """Give the counts of so many records; None for a label that is withheld."""
    return LabelCounts(records=records, labels=told)
