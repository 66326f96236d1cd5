"""What exactly may leave a hospital under an approval, derived from the study's bundle alone.

The approval signs its digest, the review prints it, and the gate lets out nothing else: tensor by tensor, figure by figure.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from wardround.canonical import digest, model_json
from wardround.messages.confidential import encrypted_size
from wardround.messages.round import Purpose
from wardround.metrics.pooled import BINS, LOSS_LIMIT
from wardround.study.bundle import Bundle
from wardround.values import Count, FieldName, Sha256, Value
from wardround.weights.packing import WIRE

FigureName: TypeAlias = Literal[
    "training records",
    "validation records",
    "test records",
    "outgoing report of the check",
    "values of a feature: how many, their sum, the sum of their squares",
    "mean training loss",
    "histogram of scores by class, and summed loss",
]


class Figure(Value):
    """A figure that leaves besides the weights.

    Attributes:
        fields: the features it is about, where it is about some.
        numbers: how many numbers it is.
        most: the largest value, where there is one besides the hospital's own counts.
        withheld_below: whether the hospital's policy withholds it where few records stand behind it.
    """

    name: FigureName
    fields: tuple[FieldName, ...] = ()
    numbers: Count
    most: float | None = None
    withheld_below: bool = True


class Tensor(Value):
    """A tensor of the change of weights: float32."""

    name: Annotated[str, Field(max_length=500)]
    shape: tuple[Count, ...]
    bytes: Count


class Leaving(Value):
    """What one kind of visit lets out, and how often at most."""

    purpose: Purpose
    times: Count
    figures: tuple[Figure, ...]
    tensors: tuple[Tensor, ...] = ()
    bytes_on_the_wire: Count = 0
    """Of the change of weights, encrypted to the centre."""


class EgressManifest(Value):
    """Everything that may leave under an approval of a study."""

    study_hash: Sha256
    visits: tuple[Leaving, ...]

    @property
    def releases(self) -> int:
        """The most results that may leave."""
        return sum(visit.times for visit in self.visits)

    def egress_digest(self) -> str:
        """Give the digest that an approval signs."""
        return digest("egress", 1, model_json(self))


_SCORES = Figure(name="histogram of scores by class, and summed loss", numbers=2 * BINS + 1)


def egress_manifest(bundle: Bundle) -> EgressManifest:
    """Give what may leave for a study."""
    contract, study = bundle.contract, bundle.study
    numeric = tuple(name for name in study.features if not contract.field(name).values)
    counts: tuple[FigureName, ...] = ("training records", "validation records", "test records")
    statistics = (
        *(Figure(name=name, numbers=1) for name in counts),
        Figure(
            name="values of a feature: how many, their sum, the sum of their squares", fields=numeric, numbers=3 * len(numeric)
        ),
        Figure(name="outgoing report of the check", numbers=0),
    )
    training = (Figure(name="mean training loss", numbers=1, most=LOSS_LIMIT, withheld_below=False), _SCORES)
    tensors = tuple(
        Tensor(name=tensor.name, shape=tensor.shape, bytes=tensor.size * WIRE.itemsize) for tensor in bundle.manifest.tensors
    )
    wire = encrypted_size(bundle.manifest.byte_count)
    return EgressManifest(
        study_hash=bundle.study_hash,
        visits=(
            Leaving(purpose="statistics", times=1, figures=statistics),
            Leaving(purpose="round", times=study.rounds.maximum, figures=training, tensors=tensors, bytes_on_the_wire=wire),
            Leaving(purpose="closing", times=1, figures=(_SCORES,)),
            Leaving(purpose="test", times=1, figures=(_SCORES,)),
        ),
    )
