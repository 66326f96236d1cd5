"""Sufficient statistics of a model that predicts a number: sums of its errors, and of the number itself, as exact integers.

Everything is counted in 2**-16 of the range that the contract gives the number, so that neither unit nor range stands in the
counts, and sums over hospitals are those of all records in one place. An error is the prediction less the value. Errors above
and below are summed apart: their difference is the sum of errors, their sum that of absolute errors, and no counts can be
written in which the one is larger than the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, PlainSerializer, StringConstraints, TypeAdapter, ValidationInfo, model_validator

from wardround.errors import Broken
from wardround.values import Count, Value

STEPS = 2**16
"""The range of the number, in units."""
ERROR_LIMIT = 4
"""An error is counted as at most so many times the range, so that the sums of 2**33 records have a bound."""
MOST_ERROR = ERROR_LIMIT * STEPS
SQUARES_BITS = 96
"""No sum of squares needs more: 36 bits of an error, 33 of the records of a hospital, and the hospitals."""
CHUNK = 2**20
"""So many squares of ``MOST_ERROR`` stay below 2**63."""


_Digits = Annotated[str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,28})$")]


_READ_DIGITS: TypeAdapter[str] = TypeAdapter(_Digits)


def _of_digits(value: object, info: ValidationInfo) -> object:
    """Read decimal digits, as which the integer stands in JSON: numbers are exact below 2**53 only there."""
    if info.mode != "json":
        return value
    return int(_READ_DIGITS.validate_python(value))


SumOfSquares = Annotated[
    int,
    Field(ge=0, lt=2**SQUARES_BITS),
    BeforeValidator(_of_digits, json_schema_input_type=_Digits),
    PlainSerializer(str, return_type=str, when_used="json"),
]
"""An integer that may be too large for a JSON number, and stands there as its decimal digits."""


class NumberCounts(Value):
    """Sufficient statistics of predicted numbers, on some records; the unit is 2**-16 of the contract's range.

    Attributes:
        over: sum of the errors of predictions above the value.
        under: the same of those below it, without its sign.
        squares: sum of the squares of all errors.
        target: sum of the values above the low end of the range; ``target_squares``: of their squares.
    """

    records: Count
    over: Count
    under: Count
    squares: SumOfSquares
    target: Count
    target_squares: SumOfSquares

    @model_validator(mode="after")
    def _possible(self) -> NumberCounts:
        held = _are_sums(self.over + self.under, self.squares, self.records, MOST_ERROR) and _are_sums(
            self.target, self.target_squares, self.records, STEPS
        )
        if not held:
            msg = "sums that contradict each other"
            raise ValueError(msg)
        return self


def _are_sums(total: int, squares: int, records: int, most: int) -> bool:
    """Say whether these can be the sum, and the sum of squares, of so many integers from 0 to ``most``."""
    return total <= squares <= most * total and total * total <= records * squares and total <= records * most


def count_numbers(predicted: NDArray[np.floating], values: NDArray[np.floating]) -> NumberCounts:
    """Count some records' predictions; both of shape ``(n_records,)``, on a scale from -1 to 1 for the ends of the range.

    Raises:
        Broken: when a prediction is not finite, or a value is outside of the range; the caller refuses such a model before.
    """
    if predicted.shape != values.shape or not np.isfinite(predicted).all():
        msg = "predictions that are not finite cannot be counted"
        raise Broken(msg)
    truth = _in_units(values.astype(np.float64))
    if ((truth < 0) | (truth > STEPS)).any():
        msg = "values outside of the contract's range reached the evaluation"
        raise Broken(msg)
    errors = np.clip(_in_units(predicted.astype(np.float64)) - truth, -MOST_ERROR, MOST_ERROR).astype(np.int64)
    known = truth.astype(np.int64)
    return NumberCounts(
        records=len(known),
        over=int(errors[errors > 0].sum()),
        under=-int(errors[errors < 0].sum()),
        squares=sum(int(np.square(part).sum()) for part in _parts(errors)),
        target=int(known.sum()),
        target_squares=sum(int(np.square(part).sum()) for part in _parts(known)),
    )


def _in_units(scaled: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.rint((scaled + 1.0) * (STEPS / 2))
    return found


def _parts(numbers: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    return (numbers[start : start + CHUNK] for start in range(0, len(numbers), CHUNK))


def mean_error(counts: NumberCounts) -> float | None:
    """Give the mean error (bias), as a share of the range."""
    return (counts.over - counts.under) / (counts.records * STEPS) if counts.records else None


def mean_absolute_error(counts: NumberCounts) -> float | None:
    """Give the mean absolute error, as a share of the range."""
    return (counts.over + counts.under) / (counts.records * STEPS) if counts.records else None


def mean_squared_error(counts: NumberCounts) -> float | None:
    """Give the mean squared error, as a share of the squared range."""
    return counts.squares / (counts.records * STEPS**2) if counts.records else None


def root_mean_squared_error(counts: NumberCounts) -> float | None:
    """Give its root, as a share of the range."""
    found = mean_squared_error(counts)
    return None if found is None else sqrt(found)


def determination(counts: NumberCounts) -> float | None:
    """Give R²: one less the squared errors' share of the squared distances from these records' own mean.

    Integers until the division. None where all values are the same: then there is nothing to explain.
    """
    scatter = counts.records * counts.target_squares - counts.target * counts.target
    return 1.0 - counts.records * counts.squares / scatter if scatter else None
