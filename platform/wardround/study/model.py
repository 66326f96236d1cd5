"""The study as a value: everything that decides the result, and nothing that could run code.

Networks, losses and optimisers are names of an allow-list (``wardround.models``) with typed arguments. One changed
setting is another study: its ``study_hash`` differs and every hospital is asked again.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import AfterValidator, SerializerFunctionWrapHandler, StringConstraints, model_serializer, model_validator
from pydantic import Field as Setting

from wardround.study.images import Images
from wardround.values import FieldName, Fraction, Growing, SchemaId, Slug, Value, Version, printable

Text = Annotated[str, StringConstraints(min_length=1, max_length=2000), AfterValidator(printable)]
Strategy: TypeAlias = Literal["fedavg"]
"""How the hospitals' changes become one."""
Normalisation: TypeAlias = Literal["group", "batch", "instance"]
"""What follows the convolutions of a network: over groups of channels, over the batch, or over each channel of one example."""
PositiveCount = Annotated[int, Setting(ge=1, lt=2**53)]
Argument = Annotated[
    bool | int | float | str | tuple[int, ...] | tuple[float, ...] | tuple[str, ...], Setting(union_mode="left_to_right")
]


class SchemaChoice(Value):
    """The shared schema, and exactly one version of it, that the study's records obey."""

    id: SchemaId
    version: Version


class Cohort(Value):
    """Which of the valid records take part: those for which the rule is true (``wardround.contract.rules``)."""

    where: Text | None = None


ClassName = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(printable)]
TargetKind: TypeAlias = Literal["binary", "classes", "labels", "number", "mask"]
"""One of two (one score), one of several (a score for each), several labels (likewise), a number, or a class for each voxel."""
LEAST_LABELS = 2


class Label(Value):
    """One of several labels: a coded field of two categories, and the one that is looked for."""

    field: FieldName
    positive: ClassName


class Target(Growing):
    """What the model predicts.

    Attributes:
        field: a coded field; with ``positive``, whether it has that value; without, which of its values it has. Or a number.
        positive: the value that is looked for.
        number: whether the field's number is predicted.
        labels: several fields at once, each with the value that is looked for, in the order of the model's outputs.
        mask: classes of the imaging contract's masks, in the order of the model's channels after the background.
    """

    young: ClassVar[frozenset[str]] = frozenset({"labels", "mask", "number"})

    field: FieldName | None = None
    positive: ClassName | None = None
    number: bool = False
    labels: Annotated[tuple[Label, ...], Setting(max_length=100)] = ()
    mask: Annotated[tuple[ClassName, ...], Setting(max_length=100)] = ()

    @model_validator(mode="after")
    def _one_thing(self) -> Target:
        several = bool(self.mask or self.labels)
        if (self.field is None) != several or (self.mask and self.labels) or (several and self.positive is not None):
            msg = "a target is a field, with or without the value that is looked for, or several labels, or classes of masks"
            raise ValueError(msg)
        if self.number and (several or self.positive is not None):
            msg = "a number is predicted as it is: leave 'positive', 'labels' and 'mask' out, or 'number'"
            raise ValueError(msg)
        if len(set(self.mask)) != len(self.mask):
            msg = "a class stands twice"
            raise ValueError(msg)
        if self.labels and len(self.labels) < LEAST_LABELS:
            msg = "of several labels there are two or more; of one, write its field and positive, without 'labels'"
            raise ValueError(msg)
        if len({label.field for label in self.labels}) != len(self.labels):
            msg = "a field stands twice among the labels"
            raise ValueError(msg)
        return self

    @property
    def kind(self) -> TargetKind:
        """What a prediction is."""
        if self.mask:
            return "mask"
        if self.labels:
            return "labels"
        if self.number:
            return "number"
        return "classes" if self.positive is None else "binary"

    @property
    def fields(self) -> tuple[FieldName, ...]:
        """The fields of records that it is made of; none of masks."""
        return tuple(label.field for label in self.labels) if self.field is None else (self.field,)

    def looked_for(self, field: str) -> str | None:
        """Give the value that is looked for in a field; None where it is none of the target's, or no one value is."""
        sought = {label.field: label.positive for label in self.labels}
        return self.positive if field == self.field else sought.get(field)

    @property
    def words(self) -> str:
        """What is predicted, in words."""
        if self.mask:
            return f"which voxels are {', '.join(self.mask)}"
        if self.labels:
            return f"several labels ({', '.join(f'{label.field} is {label.positive}' for label in self.labels)})"
        if self.number:
            return f"the number {self.field}"
        return f"which {self.field}" if self.positive is None else f"{self.field} is {self.positive}"


class Network(Value):
    """An allow-listed network and its arguments; sizes of input and output follow from the features and the target.

    Attributes:
        normalisation: of a network for images. The key is younger than the first studies, so that its default is no part of
            the canonical form, and their hashes are what they were (decision 47).
    """

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,62}$")]
    arguments: dict[str, Argument] = Setting(default_factory=dict)
    normalisation: Normalisation = "group"

    @model_serializer(mode="wrap")
    def _without_young_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        form: dict[str, object] = handler(self)
        if self.normalisation == "group":
            form.pop("normalisation", None)
        return form


class Optimiser(Value):
    """The optimiser of local training. Its state starts anew in every round: nothing leaks from round to round."""

    name: Literal["sgd", "adam"] = "sgd"
    learning_rate: Annotated[float, Setting(gt=0, le=100)]
    momentum: Annotated[float, Setting(ge=0, lt=1)] = 0.0
    weight_decay: Annotated[float, Setting(ge=0, le=1)] = 0.0

    @model_validator(mode="after")
    def _fits(self) -> Optimiser:
        if self.momentum and self.name != "sgd":
            msg = "momentum belongs to sgd"
            raise ValueError(msg)
        return self


Loss: TypeAlias = Literal[
    "binary_cross_entropy", "cross_entropy", "focal", "dice", "dice_cross_entropy", "generalised_dice", "mse"
]
"""What training makes small; which one fits which target: ``wardround.study.losses``."""
Precision: TypeAlias = Literal["float32", "mixed"]
"""In which numbers a network is computed in training."""


class Training(Growing):
    """What each hospital does in a round.

    ``batch_size: null`` means one batch of all records (full-batch steps).

    Attributes:
        focal_gamma: of the focal loss, how little examples count that are already right; None: 2.
        precision: ``mixed`` computes layers in bfloat16 where torch holds it safe; weights, sums of gradients and all that
            leaves stay float32. Evaluation is always in float32.
    """

    young: ClassVar[frozenset[str]] = frozenset({"focal_gamma", "precision"})

    loss: Loss = "binary_cross_entropy"
    focal_gamma: Annotated[float, Setting(ge=1, le=10)] | None = None
    optimiser: Optimiser
    local_epochs: Annotated[int, Setting(ge=1, le=1000)] = 1
    batch_size: Annotated[int, Setting(ge=1, le=1_000_000)] | None = 32
    precision: Precision = "float32"

    @model_validator(mode="after")
    def _fits(self) -> Training:
        if self.focal_gamma is not None and self.loss != "focal":
            msg = "focal_gamma belongs to the focal loss"
            raise ValueError(msg)
        return self


class Split(Value):
    """Shares of patients for training, validation (chooses the model) and test (read once, at the end).

    A patient is on one side only; the side follows from the study and the patient key, not from the order of rows.
    """

    train: Annotated[float, Setting(gt=0, le=1)] = 0.7
    validation: Annotated[float, Setting(gt=0, lt=1)] = 0.15
    test: Annotated[float, Setting(ge=0, lt=1)] = 0.15

    @model_validator(mode="after")
    def _whole(self) -> Split:
        if abs(self.train + self.validation + self.test - 1.0) > 1e-9:  # noqa: PLR2004  (decimal fractions do not add exactly)
            msg = "train, validation and test must add up to 1"
            raise ValueError(msg)
        return self


class Rounds(Value):
    """How many rounds at most, how long one may take, and what becomes of one in which too few hospitals counted.

    Attributes:
        retries: how often such a round is repeated; then it has failed.
        max_failed_rounds: how many rounds may fail, and be passed over with the weights as they were, before the study fails.
        maximum_change_norm: the largest L2 norm of a hospital's change of weights, held by every hospital's gate and by the
            centre; so no round moves the weights further, and each hospital refuses weights that moved further. None: no limit.
    """

    maximum: Annotated[int, Setting(ge=1, le=100_000)]
    deadline_seconds: Annotated[float, Setting(gt=0, le=7 * 24 * 3600)] = 600.0
    retries: Annotated[int, Setting(ge=0, le=100)] = 2
    max_failed_rounds: Annotated[int, Setting(ge=0, le=100_000)] = 0
    maximum_change_norm: Annotated[float, Setting(gt=0, le=1e30)] | None = None


class Convergence(Value):
    """Stop when the pooled validation metric has not improved by ``minimum_change`` for ``patience`` rounds.

    The same metric chooses the released weights. ``loss`` also minds calibration; ``auroc`` minds ranking alone, and
    reaches its ceiling while probabilities are still far off; of several labels both are means over labels. ``dice`` is of
    masks: the mean over classes of the mean Dice of the examples. ``mae``, ``rmse`` and ``r2`` are of a number. The first two
    improve as they fall; they, and what they change
    by, are in the contract's unit.
    """

    metric: Literal["auroc", "dice", "loss", "mae", "rmse", "r2"] = "loss"
    patience: Annotated[int, Setting(ge=1, le=100_000)] = 10
    minimum_change: Annotated[float, Setting(ge=0, le=1e9)] = 0.001

    @model_validator(mode="after")
    def _change_fits(self) -> Convergence:
        if self.minimum_change > 1 and self.metric not in ("mae", "rmse"):
            msg = f"{self.metric} changes by less than 1: minimum_change is at most 1"
            raise ValueError(msg)
        return self


class Silos(Value):
    """Which hospitals a round needs to count.

    Attributes:
        minimum: hospitals that must answer, else the round fails.
        required: sites that must be among them.
        minimum_records: training records that those who answered must hold together.
        minimum_validation: validation records below which a hospital's metrics are not used.
        max_weight_share: the largest share of a round's records that one hospital may have, else the round fails.
    """

    minimum: Annotated[int, Setting(ge=1, le=10_000)]
    required: tuple[Slug, ...] = ()
    minimum_records: PositiveCount = 1
    minimum_validation: PositiveCount = 1
    max_weight_share: Annotated[float, Setting(gt=0, le=1)] = 1.0

    @model_validator(mode="after")
    def _distinct(self) -> Silos:
        if len(set(self.required)) != len(self.required):
            msg = "a required site stands twice"
            raise ValueError(msg)
        return self


class Quarantine(Value):
    """The share of a hospital's records that may break the schema and be set aside; above it the hospital is refused."""

    max_fraction: Fraction = 0.02


class Statistics(Value):
    """What hospitals tell of their training records before the first round, besides what the scale needs.

    Attributes:
        distributions: histograms of the features on the schema's bins, counts of categories and of missing values, and how
            often the target has each class; under each hospital's small-cell rule, and only if its policy lets them out.
    """

    distributions: bool = False


class Study(Growing):
    """What is asked of the hospitals. Identity: ``name``, ``version`` and the ``study_hash`` of the bundle made from it.

    Attributes:
        features: fields of the table that the model reads; none where it reads images.
        images: how images become what the network sees; None where the schema is of tables.
    """

    young: ClassVar[frozenset[str]] = frozenset({"images"})

    name: Slug
    version: Version
    title: Text
    question: Text
    author: Text
    data_schema: SchemaChoice = Setting(alias="schema")
    cohort: Cohort = Cohort()
    target: Target
    features: tuple[FieldName, ...] = ()
    images: Images | None = None
    network: Network
    training: Training
    seed: Annotated[int, Setting(ge=0, lt=2**53)]
    split: Split = Split()
    strategy: Strategy = "fedavg"
    rounds: Rounds
    convergence: Convergence = Convergence()
    silos: Silos
    quarantine: Quarantine = Quarantine()
    statistics: Statistics = Statistics()

    @model_validator(mode="after")
    def _features_once(self) -> Study:
        if len(set(self.features)) != len(self.features):
            msg = "a feature stands twice"
            raise ValueError(msg)
        if not set(self.target.fields).isdisjoint(self.features):
            msg = "the target may not be a feature"
            raise ValueError(msg)
        if bool(self.features) == (self.images is not None):
            msg = "a study reads features of a table, or images, one of the two"
            raise ValueError(msg)
        if self.images is None and self.target.mask:
            msg = "masks are masks of images: give 'images'"
            raise ValueError(msg)
        return self
