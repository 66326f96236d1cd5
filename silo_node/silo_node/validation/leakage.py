"""Features that give a study's target away (T-LEAK): equal to it, or an encoding of it.

What is looked at are the records with a target, of both classes. A feature leaks when it tells the class of every record,
with at most one in a thousand of the smaller class wrong:

* a number, when its correlation with the class is above 0.999, or when one threshold parts the classes without a mistake;
* a code, or a whole number with few values, when each value stands for one class; missing is a value here, too;
* any feature, when whether it is missing stands for the class.

Small hospitals are no alarm: the class of every record must be so unlikely to come out by chance that fewer than one in
2**40 ways to deal the classes to the records would do. Where a value tells the class and the class tells the value, the
feature is the target under another name; that is an error, the rest a warning.

Of a target that is a number, a feature leaks when it explains it: a number, when their correlation is above 0.999; a code, when
the means of its values do as well as that, and at least ten records stand behind each on average. It is the target under another
name when it is the same number in every record.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from wardround.contract.model import Contract

LEAST_OF_A_CLASS: Final = 10
LEAST_CORRELATION: Final = 0.999
LEAST_ON_A_LINE: Final = 20
"""Fewer records than this may lie on a line by chance, in rounded numbers."""
MISTAKES: Final = 1000
"""One record of the smaller class in so many may be told wrongly."""
LEAST_BITS: Final = 40.0
"""Of 2**40 ways to deal the classes, one may make a feature that tells nothing look as if it told the class."""
FEW_VALUES: Final = 20
"""Whole numbers with no more different values than this are looked at as codes are."""

_CLASS = "the class"


@dataclass(frozen=True)
class Leak:
    """A feature that gives the target away; ``same``: it is the target under another name."""

    field: str
    same: bool


def leaks(records: pl.DataFrame, contract: Contract, features: Sequence[str], target: str, looked_for: str) -> Iterator[Leak]:
    """Give the features that leak.

    Args:
        records: those with a target, in schema form.
        contract: says what a feature is.
        features: of the study.
        target: the field that is predicted.
        looked_for: the value of it that counts as positive.
    """
    positive = records[target] == looked_for
    for name in features:
        field, column = contract.field(name), records[name]
        of_codes = bool(field.values) or (field.type == "integer" and column.n_unique() <= FEW_VALUES)
        told = _by_value(column, positive) if of_codes else None
        if told is None and field.type in ("integer", "number"):
            told = _by_number(column, positive)
        if told is None:
            told = _by_value(column.is_null(), positive)
        if told is not None:
            yield Leak(name, told)


def leaks_of_number(records: pl.DataFrame, contract: Contract, features: Sequence[str], target: str) -> Iterator[Leak]:
    """Give the features that leak a number.

    Args:
        records: those with a target, in schema form.
        contract: says what a feature is.
        features: of the study.
        target: the field that is predicted.
    """
    number = records[target].cast(pl.Float64)
    for name in features:
        column = records[name]
        told = _by_means(column, number) if contract.field(name).values else _by_line(column.cast(pl.Float64), number)
        if told is not None:
            yield Leak(name, told)


def _by_line(column: pl.Series, number: pl.Series) -> bool | None:
    """Say whether a number explains another: True when it is the same one, None when it does not."""
    known = column.is_not_null()
    values, numbers = column.filter(known).to_numpy(), number.filter(known).to_numpy()
    if len(values) < LEAST_ON_A_LINE or abs(_correlation(values, numbers)) <= LEAST_CORRELATION:
        return None
    return bool((values == numbers).all() and known.all())


def _by_means(column: pl.Series, number: pl.Series) -> bool | None:
    """Say whether codes explain a number by the mean of each; a code is never the number itself."""
    table = pl.DataFrame({"value": column, "number": number})
    if table.height < LEAST_OF_A_CLASS * table["value"].n_unique():
        return None
    left = table.select(((pl.col("number") - pl.col("number").mean().over("value")) ** 2).sum()).item()
    whole = table.select(((pl.col("number") - pl.col("number").mean()) ** 2).sum()).item()
    return False if left < (1 - LEAST_CORRELATION**2) * whole else None


def _by_value(column: pl.Series, positive: pl.Series) -> bool | None:
    """Say whether each value stands for one class: True when each class has one value as well, None when it does not."""
    table = pl.DataFrame({"value": column, _CLASS: positive})
    counts = table.group_by("value").agg(ill=pl.col(_CLASS).sum(), well=(~pl.col(_CLASS)).sum())
    ill, well = int(positive.sum()), int((~positive).sum())
    wrong = int(counts.select(pl.min_horizontal("ill", "well").sum()).item())
    if not _telling(ill, well, counts.height, wrong):
        return None
    of_class = [int(counts[name].gt(counts[other]).sum()) for name, other in (("ill", "well"), ("well", "ill"))]
    return of_class == [1, 1] and wrong == 0


def _by_number(column: pl.Series, positive: pl.Series) -> bool | None:
    """Say whether a number tells the class: True when it has one value for each class, None when it does not tell."""
    known = column.is_not_null()
    values = column.filter(known).cast(pl.Float64).to_numpy()
    classes = positive.filter(known).to_numpy()
    ill, well = int(classes.sum()), int((~classes).sum())
    if not _telling(ill, well, 2, 0):
        return None
    of_ill, of_well = values[classes], values[~classes]
    parted = of_ill.min() > of_well.max() or of_ill.max() < of_well.min()
    if not parted and abs(_correlation(values, classes)) <= LEAST_CORRELATION:
        return None
    return bool(parted and of_ill.min() == of_ill.max() and of_well.min() == of_well.max() and known.all())


def _correlation(values: np.ndarray, classes: np.ndarray) -> float:
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        found = float(np.corrcoef(values, classes.astype(np.float64))[0, 1])
    return found if math.isfinite(found) else 0.0


def _telling(ill: int, well: int, values: int, wrong: int) -> bool:
    """Say whether it is no chance that so many values tell the class of so many records, but for so many wrong ones."""
    smaller = min(ill, well)
    if smaller < LEAST_OF_A_CLASS or wrong * MISTAKES > smaller:
        return False
    records = ill + well
    # Each value stands for one of two classes, and the wrong ones are some of the records: at least so many ways are as good.
    as_good = values + _log2_ways(records, wrong) + math.log2(wrong + 1)
    return _log2_ways(records, ill) - as_good >= LEAST_BITS


def _log2_ways(of: int, chosen: int) -> float:
    """Give the binary logarithm of the number of ways to choose so many."""
    return (math.lgamma(of + 1) - math.lgamma(chosen + 1) - math.lgamma(of - chosen + 1)) / math.log(2)
