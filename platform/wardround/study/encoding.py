"""How records become numbers: the same at every hospital, and part of the release.

Categories come from the contract, in its order (one column each; a missing value is zero in all of them). Numbers are
centred and scaled by mean and standard deviation of the training records of all hospitals; a missing number becomes the
mean (zero after scaling). A field that may be missing has an indicator column, whether or not a hospital misses any.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeAlias, TypeVar

from pydantic import Field, model_validator

from wardround.canonical import digest, model_json
from wardround.contract.model import Contract
from wardround.study.model import Label, Study
from wardround.values import FieldName, Growing, SchemaId, Sha256, Value, Version

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Numbers = TypeVar("Numbers", float, "NDArray[np.float64]")

SMALLEST_DEVIATION = 2.0**-20
"""Standard deviations below this share of the field's range count as no variation: the column is only centred."""


class NumberColumn(Value):
    """A numeric feature: ``(value - mean) / deviation``, and an indicator column if ``may_be_missing``."""

    kind: Literal["number"] = "number"
    field: FieldName
    mean: float
    deviation: Annotated[float, Field(gt=0)]
    may_be_missing: bool

    @property
    def width(self) -> int:
        """The number of input columns."""
        return 2 if self.may_be_missing else 1


class CodeColumn(Value):
    """A coded feature: one column for each of ``values``, and an indicator column if ``may_be_missing``."""

    kind: Literal["code"] = "code"
    field: FieldName
    values: tuple[str, ...]
    may_be_missing: bool

    @property
    def width(self) -> int:
        """The number of input columns."""
        return len(self.values) + (1 if self.may_be_missing else 0)


Column: TypeAlias = Annotated[NumberColumn | CodeColumn, Field(discriminator="kind")]


class Ends(Value):
    """The contract's range of a number that is predicted: a network says -1 for ``low``, and 1 for ``high``.

    The scale of training is the contract's, so that nothing leaves a hospital for it.
    """

    low: float
    high: float

    @model_validator(mode="after")
    def _apart(self) -> Ends:
        if not self.low < self.high:
            msg = "the ends of a range are apart"
            raise ValueError(msg)
        return self

    def scaled(self, values: Numbers) -> Numbers:
        """Give values in the contract's unit on the network's scale."""
        return (values - self.low) * (2.0 / (self.high - self.low)) - 1.0

    def values(self, scaled: Numbers) -> Numbers:
        """Give what a network said in the contract's unit."""
        return (scaled + 1.0) * ((self.high - self.low) / 2.0) + self.low


class Encoding(Growing):
    """The complete recipe from a record in shared form to a network's input vector.

    Attributes:
        target: the field that is predicted; None where masks or several labels are.
        positive: of a target with two sides, the value that is looked for.
        classes: of a target with several, its values in the order of the scores.
        number: of a target that is a number, its range.
        labels: several labels, in the order of the scores.
        columns: none where the network sees images.
    """

    young: ClassVar[frozenset[str]] = frozenset({"classes", "labels", "number"})

    data_schema: SchemaId = Field(alias="schema")
    version: Version
    encoding_hash: Sha256
    target: FieldName | None
    positive: str | None
    classes: tuple[str, ...] = ()
    number: Ends | None = None
    labels: tuple[Label, ...] = ()
    columns: tuple[Column, ...]

    @property
    def width(self) -> int:
        """The length of the input vector."""
        return sum(column.width for column in self.columns)

    def encoding_digest(self) -> str:
        """Give the digest that tasks carry."""
        return digest("encoding", 1, model_json(self))


def input_width(contract: Contract, features: tuple[str, ...]) -> int:
    """Give the length of the input vector; it follows from contract and features alone."""
    return sum(_width(contract, name) for name in features)


def _width(contract: Contract, name: str) -> int:
    field = contract.field(name)
    columns = len(field.values) if field.values else 1
    return columns + (0 if field.required else 1)


def numeric_features(contract: Contract, study: Study) -> tuple[str, ...]:
    """Name the features that are numbers, in the study's order; the others are codes."""
    return tuple(name for name in study.features if not contract.field(name).values)


def classes_of(study: Study, contract: Contract) -> tuple[str, ...]:
    """Give the values of a target with several classes, in the contract's order; none of other targets."""
    field = study.target.field
    return contract.field(field).values if field in contract.names and study.target.kind == "classes" else ()


def ends_of(study: Study, contract: Contract) -> Ends | None:
    """Give the range of a number that is predicted: the contract's minimum and maximum, beyond which no checked record is.

    None of other targets, and where the contract gives no range.
    """
    name = study.target.field
    if not study.target.number or name is None or name not in contract.names:
        return None
    limits = contract.field(name).constraints
    low, high = limits.minimum, limits.maximum
    if low is None or high is None or isinstance(low, str) or isinstance(high, str) or not low < high:
        return None
    return Ends(low=float(low), high=float(high))


def encoding_by(contract: Contract, study: Study, moments: Mapping[str, tuple[float, float]]) -> Encoding:
    """Make a study's encoding from mean and standard deviation of each of its numeric features; all else is the contract's."""

    def column(name: str) -> Column:
        field = contract.field(name)
        if field.values:
            return CodeColumn(field=name, values=field.values, may_be_missing=not field.required)
        mean, deviation = moments[name]
        return NumberColumn(field=name, mean=mean, deviation=deviation, may_be_missing=not field.required)

    return Encoding(
        data_schema=contract.id,
        version=contract.version,
        encoding_hash=contract.encoding_hash(),
        target=study.target.field,
        positive=study.target.positive,
        classes=classes_of(study, contract),
        number=ends_of(study, contract),
        labels=study.target.labels,
        columns=tuple(column(name) for name in study.features),
    )


def bounds(contract: Contract, name: str) -> tuple[float, float]:
    """Give the range within which a numeric field's statistics are counted: its plausible range, else its limits.

    Values outside the plausible range but inside the limits count as the nearest end of it in the statistics.
    """
    field = contract.field(name)
    if field.plausible is not None:
        return float(field.plausible.low), float(field.plausible.high)
    low, high = field.constraints.minimum, field.constraints.maximum
    if low is None or high is None or isinstance(low, str) or isinstance(high, str):
        msg = f"the numeric field {name} has no bounded range"
        raise ValueError(msg)
    return float(low), float(high)
