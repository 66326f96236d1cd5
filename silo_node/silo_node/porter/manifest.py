"""What exactly may leave a hospital under an approval, derived from the study's bundle alone.

The approval signs its digest, the review prints it, and the gate (``silo_node.porter.egress``) lets out nothing else: tensor
by tensor, figure by figure, each value at a place that is named here, within its range, of its words.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import Field

from wardround.canonical import EXACT_INTEGER_LIMIT, digest, model_json
from wardround.contract.model import Contract
from wardround.contract.severities import Reason
from wardround.messages.confidential import encrypted_size
from wardround.messages.data_report import FindingCode, ImageCode
from wardround.messages.distribution import Withholding, scale_of, told_fields
from wardround.messages.round import LARGEST_EXPONENT, FiguresFor, Purpose, SiloCode
from wardround.metrics.pooled import BINS, LOSS_LIMIT, LOSS_UNIT, RegionCounts
from wardround.metrics.regression import MOST_ERROR, STEPS
from wardround.study.bundle import Bundle
from wardround.study.encoding import numeric_features
from wardround.study.kind import Predicted, predicted
from wardround.study.model import Study
from wardround.values import Count, FieldName, Sha256, Value
from wardround.weights.fixed_point import RECORD_LIMIT, STATISTICS_STEPS
from wardround.weights.packing import WIRE

FigureName: TypeAlias = Literal[
    "training records",
    "validation records",
    "test records",
    "outgoing report of the check",
    "values of a feature: how many, their sum, the sum of their squares",
    "mean training loss",
    "histogram of scores by class, and summed loss",
    "records by their class and the predicted one, histograms of scores for each class, and summed loss",
    "voxels that overlap, Dice and surface distances of each class, summed over examples, and summed loss",
    "records, and for each label histograms of its scores by class, and its summed loss",
    "sums of errors above and below, of their squares, of the predicted number, and of its squares",
    "exponents that hold the change of each tensor",
    "distribution of a field: records in its bins or categories and missing, small cells together with others only",
]
MOST_RECORDS = RECORD_LIMIT - 1
SEVERITIES = ("error", "warning")


class Integers(Value):
    """Whole numbers from ``least`` to ``most`` at one place of a result.

    Attributes:
        place: keys joined by dots; ``*`` is each entry of a list.
        numbers: how many there are at most.
    """

    kind: Literal["integers"] = "integers"
    place: str
    numbers: Count
    least: int = 0
    most: int


class LargeIntegers(Value):
    """Whole numbers from 0 to below two to the power of ``bits``, in decimal digits."""

    kind: Literal["large integers"] = "large integers"
    place: str
    numbers: Count
    bits: Count


class Words(Value):
    """Words out of a closed list; ``once``: each of them at most one time."""

    kind: Literal["words"] = "words"
    place: str
    numbers: Count
    words: tuple[str, ...]
    once: bool = False


class Flags(Value):
    """Yes or no."""

    kind: Literal["flags"] = "flags"
    place: str
    numbers: Count


Values: TypeAlias = Annotated[Integers | LargeIntegers | Words | Flags, Field(discriminator="kind")]


class Figure(Value):
    """A figure that leaves besides the weights.

    Attributes:
        fields: the features it is about, where it is about some.
        values: every value of it.
        withheld_below: whether the hospital's policy withholds it where few records stand behind it; then nothing stands there.
    """

    name: FigureName
    fields: tuple[FieldName, ...] = ()
    values: tuple[Values, ...]
    withheld_below: bool = True

    @property
    def numbers(self) -> int:
        """How many numbers it is at most."""
        return sum(each.numbers for each in self.values if isinstance(each, Integers | LargeIntegers))


class Tensor(Value):
    """A tensor of the change of weights."""

    name: Annotated[str, Field(max_length=500)]
    dtype: Literal["float32"] = "float32"
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

    @property
    def tensor_bytes(self) -> int:
        """The bytes of one change of weights."""
        return sum(tensor.bytes for tensor in self.tensors)


class Refusing(Value):
    """What goes with the code of a refusal that has one of these codes, for these purposes."""

    codes: tuple[SiloCode, ...]
    purposes: tuple[Purpose, ...]
    figures: tuple[Figure, ...]


class EgressManifest(Value):
    """Everything that may leave under an approval of a study.

    Attributes:
        refusals: what may go with a code; a code that is not here leaves alone.
        most_bytes: of changes of weights, under one approval, before they are encrypted.
    """

    study_hash: Sha256
    visits: tuple[Leaving, ...]
    refusals: tuple[Refusing, ...]
    most_bytes: Count

    @property
    def releases(self) -> int:
        """The most results that may leave."""
        return sum(visit.times for visit in self.visits)

    def visit(self, purpose: Purpose) -> Leaving:
        """Give what a kind of visit lets out."""
        return next(visit for visit in self.visits if visit.purpose == purpose)

    def with_code(self, code: SiloCode, purpose: Purpose) -> tuple[Figure, ...]:
        """Give what may go with the code of a refusal."""
        found = [each.figures for each in self.refusals if code in each.codes and purpose in each.purposes]
        return tuple(figure for figures in found for figure in figures)

    def egress_digest(self) -> str:
        """Give the digest that an approval signs."""
        return digest("egress", 2, model_json(self))


def _count(name: FigureName, place: str) -> Figure:
    return Figure(name=name, values=(Integers(place=place, numbers=1, most=MOST_RECORDS),))


_TRAINING = _count("training records", "records").model_copy(update={"withheld_below": False})
_SCORES = Figure(
    name="histogram of scores by class, and summed loss",
    values=(
        Integers(place="result.evaluation.counts.positives.*", numbers=BINS, most=MOST_RECORDS),
        Integers(place="result.evaluation.counts.negatives.*", numbers=BINS, most=MOST_RECORDS),
        Integers(place="result.evaluation.counts.loss_units", numbers=1, most=EXACT_INTEGER_LIMIT - 1),
    ),
)
_COUNTS = "result.evaluation.counts"


def _scores_of(what: Predicted) -> Figure:
    """What an evaluation tells, by what the study predicts."""
    loss, size = _SCORES.values[-1], len(what.classes)
    match what.kind:
        case "binary":
            return _SCORES
        case "classes":
            return Figure(
                name="records by their class and the predicted one, histograms of scores for each class, and summed loss",
                values=(
                    Integers(place=f"{_COUNTS}.confusion.*.*", numbers=size * size, most=MOST_RECORDS),
                    Integers(place=f"{_COUNTS}.positives.*.*", numbers=size * BINS, most=MOST_RECORDS),
                    Integers(place=f"{_COUNTS}.negatives.*.*", numbers=size * BINS, most=MOST_RECORDS),
                    loss,
                ),
            )
        case "labels":
            return Figure(
                name="records, and for each label histograms of its scores by class, and its summed loss",
                fields=what.classes,
                values=(
                    Integers(place=f"{_COUNTS}.records", numbers=1, most=MOST_RECORDS),
                    Integers(place=f"{_COUNTS}.labels.*.positives.*", numbers=size * BINS, most=MOST_RECORDS),
                    Integers(place=f"{_COUNTS}.labels.*.negatives.*", numbers=size * BINS, most=MOST_RECORDS),
                    Integers(place=f"{_COUNTS}.labels.*.loss_units", numbers=size, most=EXACT_INTEGER_LIMIT - 1),
                ),
            )
        case "number":
            return Figure(
                name="sums of errors above and below, of their squares, of the predicted number, and of its squares",
                values=(
                    Integers(place=f"{_COUNTS}.records", numbers=1, most=MOST_RECORDS),
                    *(
                        Integers(place=f"{_COUNTS}.{name}", numbers=1, most=EXACT_INTEGER_LIMIT - 1)
                        for name in ("over", "under", "target")
                    ),
                    LargeIntegers(place=f"{_COUNTS}.squares", numbers=1, bits=_bits(MOST_ERROR)),
                    LargeIntegers(place=f"{_COUNTS}.target_squares", numbers=1, bits=_bits(STEPS)),
                ),
            )
        case "mask":
            examples = ("present", "matched")
            sums = tuple(name for name in RegionCounts.model_fields if name not in examples)
            return Figure(
                name="voxels that overlap, Dice and surface distances of each class, summed over examples, and summed loss",
                values=(
                    Integers(place=f"{_COUNTS}.records", numbers=1, most=MOST_RECORDS),
                    *(Integers(place=f"{_COUNTS}.regions.*.{name}", numbers=size, most=MOST_RECORDS) for name in examples),
                    *(Integers(place=f"{_COUNTS}.regions.*.{name}", numbers=size, most=EXACT_INTEGER_LIMIT - 1) for name in sums),
                    loss,
                ),
            )


def _bits(most: int) -> int:
    """Give how many bits hold the sum of the squares of so many integers as a hospital has records, each up to ``most``."""
    return (MOST_RECORDS * most * most).bit_length()


_LOSS = Figure(
    name="mean training loss",
    values=(Integers(place="result.training_loss_units", numbers=1, most=round(LOSS_LIMIT / LOSS_UNIT)),),
    withheld_below=False,
)


def _sums(numeric: tuple[FieldName, ...]) -> Figure:
    """Sums of values in steps of the field's range: none is larger than a step for each record, squared for the squares."""
    size, record_bits, step_bits = len(numeric), MOST_RECORDS.bit_length(), STATISTICS_STEPS.bit_length()
    return Figure(
        name="values of a feature: how many, their sum, the sum of their squares",
        fields=numeric,
        values=(
            Words(place="result.sums.*.field", numbers=size, words=numeric, once=True),
            Integers(place="result.sums.*.records", numbers=size, most=MOST_RECORDS),
            LargeIntegers(place="result.sums.*.total", numbers=size, bits=record_bits + step_bits),
            LargeIntegers(place="result.sums.*.squares", numbers=size, bits=record_bits + 2 * step_bits),
        ),
    )


def _report(bundle: Bundle, at: str) -> Figure:
    """The report of the check: names and codes of the schema and the catalogue, and counts."""
    contract = bundle.contract
    codes = get_args(FindingCode) + (() if bundle.imaging is None else get_args(ImageCode))
    fields, rules = contract.names, tuple(rule.id for rule in contract.rules)
    most = len(SEVERITIES) * len(codes) * (len(fields) + len(rules) + 1)
    one: dict[str, tuple[str, ...]] = {
        "kind": ("data-report",),
        "schema_id": (contract.id,),
        "schema_version": (contract.version,),
        "contract_hash": (contract.contract_hash(),),
    }
    many: dict[str, tuple[str, ...]] = {"code": codes, "severity": SEVERITIES, "field": fields, "rule": rules}
    many["explained"] = get_args(Reason)
    counts = [(f"{at}.{name}", 1) for name in ("found", "quarantined", "valid")] + [(f"{at}.findings.*.records", most)]
    return Figure(
        name="outgoing report of the check",
        values=(
            *(Words(place=f"{at}.{name}", numbers=1, words=words) for name, words in one.items()),
            Integers(place=f"{at}.format", numbers=1, least=1, most=1),
            Flags(place=f"{at}.passed", numbers=1),
            *(Words(place=f"{at}.findings.*.{name}", numbers=most, words=words) for name, words in many.items()),
            *(Integers(place=f"{place}.count", numbers=size, most=MOST_RECORDS) for place, size in counts),
            *(Flags(place=f"{place}.withheld", numbers=size) for place, size in counts),
        ),
    )


def _distributions(contract: Contract, study: Study) -> Figure:
    """How many records are in each group of a field's cells; each cell is in one group."""
    names, at = told_fields(study), "result.distributions"
    sizes = [scale_of(contract, name).cells for name in names]
    return Figure(
        name="distribution of a field: records in its bins or categories and missing, small cells together with others only",
        fields=names,
        values=(
            Words(place=f"{at}.share", numbers=1, words=get_args(FiguresFor)),
            Words(place=f"{at}.fields.*.field", numbers=len(names), words=names, once=True),
            Words(place=f"{at}.fields.*.withheld", numbers=len(names), words=get_args(Withholding)),
            Integers(place=f"{at}.fields.*.groups.*.cells.*", numbers=sum(sizes), most=max(sizes) - 1),
            Integers(place=f"{at}.fields.*.groups.*.count", numbers=sum(sizes), most=MOST_RECORDS),
        ),
    )


def _refusals(bundle: Bundle, tensors: int) -> Iterable[Refusing]:
    everywhere: tuple[Purpose, ...] = get_args(Purpose)
    yield Refusing(codes=("H-DATA", "H-FEW"), purposes=everywhere, figures=(_report(bundle, "report"),))
    exponents = Integers(place="exponents.*", numbers=tensors, least=-LARGEST_EXPONENT, most=LARGEST_EXPONENT)
    needed = Figure(name="exponents that hold the change of each tensor", values=(exponents,), withheld_below=False)
    yield Refusing(codes=("H-RANGE",), purposes=("round",), figures=(needed,))


def egress_manifest(bundle: Bundle) -> EgressManifest:
    """Give what may leave for a study."""
    contract, study = bundle.contract, bundle.study
    numeric = numeric_features(contract, study)
    statistics = (
        _TRAINING,
        _count("validation records", "result.validation"),
        _count("test records", "result.test"),
        *((_sums(numeric),) if numeric else ()),
        _report(bundle, "result.report"),
        *((_distributions(contract, study),) if study.statistics.distributions else ()),
    )
    tensors = tuple(
        Tensor(name=tensor.name, shape=tensor.shape, bytes=tensor.size * WIRE.itemsize) for tensor in bundle.manifest.tensors
    )
    scores = _scores_of(predicted(study, contract))
    wire, rounds = encrypted_size(bundle.manifest.byte_count), study.rounds.maximum
    training = Leaving(purpose="round", times=rounds, figures=(_TRAINING, _LOSS, scores), tensors=tensors, bytes_on_the_wire=wire)
    return EgressManifest(
        study_hash=bundle.study_hash,
        visits=(
            Leaving(purpose="statistics", times=1, figures=statistics),
            training,
            Leaving(purpose="closing", times=1, figures=(_TRAINING, scores)),
            Leaving(purpose="test", times=1, figures=(_TRAINING, scores)),
        ),
        refusals=tuple(_refusals(bundle, len(tensors))),
        most_bytes=rounds * training.tensor_bytes,
    )
