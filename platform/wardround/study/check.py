"""Whether a study and its schema fit: every problem at once, with the line where the study file is at hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from wardround.contract import rules
from wardround.contract.imaging import ImagingContract
from wardround.contract.library import find_any, table_or_implied
from wardround.contract.model import Contract
from wardround.errors import Problem, Refused, raise_all
from wardround.strict_yaml import Document, Location, load, nearest, parse
from wardround.study import images, labels, losses, networks
from wardround.study.inputs import shape_of
from wardround.study.kind import predicted
from wardround.study.model import Study, TargetKind

METRICS: Final[Mapping[TargetKind, tuple[str, ...]]] = MappingProxyType(
    {
        "binary": ("auroc", "loss"),
        "classes": ("auroc", "loss"),
        "labels": ("auroc", "loss"),
        "number": ("r2", "rmse", "mae"),
        "mask": ("dice", "loss"),
    }
)
"""Which metric may choose the weights, by what is predicted."""
_WRONG_METRIC: Final[Mapping[str, str]] = MappingProxyType(
    {
        "auroc": "{what} no AUROC",
        "dice": "only masks have a Dice",
        "loss": "{what} an RMSE in the contract's unit; its loss is the square of it on another scale",
        **dict.fromkeys(("mae", "rmse", "r2"), "only numbers have errors in a unit, and an R²"),
    }
)
LEAST_TRAINED: Final = 0.5
"""Of a number, the share of the patients that trains at least: sums of two studies' evaluations are then hardly ever of nearly
the same records, since sides are drawn (decision 60)."""
LEAST_CLASSES: Final = 3
"""Of a target that names no value to look for: of two, one is looked for."""


class _Places:
    """Where problems are: lines of the study file, or just the study's name."""

    def __init__(self, study: Study, document: Document | None) -> None:
        self._name = study.name
        self._document = document

    def __call__(self, *location: str | int) -> str:
        if self._document is None:
            return ".".join([self._name, *(str(part) for part in location)])
        found: Location = location
        return self._document.place(found)


class Loaded(NamedTuple):
    """A study file, and the schema that it names.

    Attributes:
        study: what is asked.
        contract: of the records; where the study names a contract of images, the table contract that belongs to it.
        imaging: of the images; None where the study reads none.
    """

    study: Study
    contract: Contract
    imaging: ImagingContract | None


def load_study(path: Path, schema_path: tuple[Path, ...] = ()) -> Loaded:
    """Read a study file, find its schema and check that they fit.

    Raises:
        Refused: any Y-, S- or P- code; all problems of one stage at once.
    """
    document = load(path)
    study = parse(Study, document)
    named = find_any(f"{study.data_schema.id}@{study.data_schema.version}", schema_path)
    contract, imaging = (table_or_implied(named, schema_path), named) if isinstance(named, ImagingContract) else (named, None)
    raise_all(problems(study, contract, imaging, document))
    return Loaded(study, contract, imaging)


def problems(
    study: Study, contract: Contract, imaging: ImagingContract | None = None, document: Document | None = None
) -> list[Problem]:
    """Say everything that does not fit between a study and its contracts."""
    place = _Places(study, document)
    found: list[Problem] = []
    chosen, named = study.data_schema, contract if imaging is None else imaging
    if (chosen.id, chosen.version) != (named.id, named.version):
        found.append(
            Problem(
                "P-SCHEMA",
                place("schema"),
                "A study is for exactly one version of a schema",
                f"the study is for {chosen.id} {chosen.version}, the schema is {named.id} {named.version}",
                "name the version that the hospitals have, or ask for the study to be written anew for it",
            )
        )
    if (imaging is None) != (study.images is None):
        found.append(_other_kind(imaging, place))
        return found
    untrained = labels.problems_of(study.target, contract, imaging, lambda *at: place("target", *at))
    found += untrained or _target(study, contract, imaging, place)
    for index, name in enumerate(study.features):
        found += _feature(name, contract, place("features", index))
    found += _images(study, imaging, place)
    if imaging is None or study.images is None or len(study.images.window) == imaging.geometry.dimensions:
        found += networks.problems_of(study.network, place("network"), shape_of(study, contract, imaging))
    if not untrained:  # else there is no loss and no metric that would fit
        found += losses.problems_of(study.training.loss, study.target.kind, place("training", "loss"))
        found += _metric(study, predicted(study, contract).kind, place)
    found += _cohort(study, contract, place)
    return found + _sense(study, place)


def _images(study: Study, imaging: ImagingContract | None, place: _Places) -> list[Problem]:
    if study.images is None or imaging is None:
        return []
    dense, spaced = study.target.kind == "mask", imaging.format in ("dicom", "nifti")
    return images.problems_of(study.images, imaging.geometry.dimensions, dense, lambda *at: place("images", *at), spaced=spaced)


def _other_kind(imaging: ImagingContract | None, place: _Places) -> Problem:
    finding, next_step = "it names a contract of images, and reads features of a table", "leave 'features' out, and give 'images'"
    if imaging is None:
        finding, next_step = "it says how images are prepared, and names a contract of tables", "name a contract of images"
    return Problem("P-SCHEMA", place("schema"), "A study reads what its schema is about", finding, next_step)


def _unknown_field(name: str, contract: Contract, place: str) -> Problem:
    guess = nearest(name, contract.names)
    return Problem(
        "P-FIELD",
        place,
        f"Fields are those of {contract.id} {contract.version}",
        f"it has no field {name!r}",
        f"did you mean {guess!r}?" if guess else f"see: wardround schema show {contract.id}",
    )


def _target(study: Study, contract: Contract, imaging: ImagingContract | None, place: _Places) -> list[Problem]:
    name = study.target.field
    if study.target.labels:
        return list(_labels(study, contract, place))
    if name is None:
        return list(_masks(study, imaging, place))
    if name not in contract.names:
        return [_unknown_field(name, contract, place("target", "field"))]
    if study.target.number:
        return _number(contract, name, place("target", "field"))
    values = contract.field(name).values
    if labels.is_number(contract.field(name)):
        rule, finding = "Whether a number is predicted stands in the study", f"{name!r} is a number, and no field of codes"
        return [Problem("P-FIELD", place("target", "field"), rule, finding, "write number: true below it, and loss: mse")]
    if study.target.positive is None and len(values) < LEAST_CLASSES:
        finding = f"{name!r} has {len(values)} categories"
        next_step = "give 'positive', the value that is looked for" if values else "choose a coded field as target"
        rule = f"A target without a positive value has {LEAST_CLASSES} classes or more"
        return [Problem("P-FIELD", place("target", "field"), rule, finding, next_step)]
    if study.target.positive is not None and study.target.positive not in values:
        return [
            Problem(
                "P-FIELD",
                place("target", "positive"),
                "The positive class is one of the target's categories",
                f"{name!r} has no category {study.target.positive!r}",
                f"choose one of: {', '.join(values)}" if values else "choose a coded field as target",
            )
        ]
    return []


def _labels(study: Study, contract: Contract, place: _Places) -> Iterator[Problem]:
    """Each of several labels is a yes or a no of its own: a field of two categories that identifies nobody."""
    rule = "Each of several labels is a field of two categories, and identifies nobody"
    for index, label in enumerate(study.target.labels):
        at = place("target", "labels", index, "field")
        if label.field not in contract.names:
            yield _unknown_field(label.field, contract, at)
            continue
        values = contract.field(label.field).values
        if len(values) != labels.TWO:
            what = f"has {len(values)} categories" if values else "is no coded field"
            step = "predict it in a study of its own" if values else "leave it out"
            yield Problem("P-FIELD", at, rule, f"{label.field!r} {what}", step)
        elif _identifies(contract, label.field):
            finding = f"{label.field!r} identifies people ({contract.field(label.field).privacy})"
            yield Problem("P-FIELD", at, rule, finding, f"leave {label.field!r} out")
        elif label.positive not in values:
            yield Problem(
                "P-FIELD",
                place("target", "labels", index, "positive"),
                "The value that is looked for is one of the label's categories",
                f"{label.field!r} has no category {label.positive!r}",
                f"choose one of: {', '.join(values)}",
            )


def _number(contract: Contract, name: str, place: str) -> list[Problem]:
    """A number that is predicted has a range: its errors are counted in parts of it, and training is on its scale."""
    field, known = contract.field(name), labels.numbers(contract)
    others = f"choose one of: {', '.join(known)}" if known else f"see: wardround schema show {contract.id}"
    if not labels.is_number(field):
        finding = f"{name!r} is no number"
    elif _identifies(contract, name):
        finding = f"{name!r} identifies people ({field.privacy})"
    elif None in (field.constraints.minimum, field.constraints.maximum):
        finding = f"{name!r} has no minimum and maximum"
        others = f"declare both in a new version of the schema{f', or {others}' if known else ''}"
    elif field.constraints.minimum == field.constraints.maximum:
        finding = f"{name!r} has one value only"
    else:
        return []
    return [Problem("P-FIELD", place, "A number that is predicted has a range, and identifies nobody", finding, others)]


def _masks(study: Study, imaging: ImagingContract | None, place: _Places) -> Iterator[Problem]:
    known = [] if imaging is None else list(imaging.label.classes.values())
    for index, name in enumerate(study.target.mask):
        if name not in known:
            guess = nearest(name, known)
            next_step = f"choose of: {', '.join(known)}" if known else "name a contract whose label is a mask"
            yield Problem(
                "P-FIELD",
                place("target", "mask", index),
                "Classes are those of the contract's masks",
                f"there is no class {name!r}",
                f"did you mean {guess!r}?" if guess else next_step,
            )


def _identifies(contract: Contract, name: str) -> bool:
    return contract.field(name).privacy != "none" or name in (*contract.primary_key, contract.patient_key)


def _feature(name: str, contract: Contract, place: str) -> list[Problem]:
    if name not in contract.names:
        return [_unknown_field(name, contract, place)]
    field = contract.field(name)
    numeric = field.type in ("integer", "number")
    finding = None
    if _identifies(contract, name):
        finding = f"{name!r} identifies people ({field.privacy})"
    elif not numeric and not field.values:
        finding = f"{name!r} is neither a number nor a coded field"
    elif numeric and field.plausible is None and None in (field.constraints.minimum, field.constraints.maximum):
        finding = f"{name!r} has no bounded range, which the federated statistics need"
    if finding is None:
        return []
    return [Problem("P-FIELD", place, "Features are numbers with a range, or coded fields", finding, f"leave {name!r} out")]


def _cohort(study: Study, contract: Contract, place: _Places) -> list[Problem]:
    if study.cohort.where is None:
        return []
    where = place("cohort", "where")
    try:
        expression = rules.parse(study.cohort.where, where)
    except Refused as error:
        return [Problem("P-RULE", where, p.rule, p.finding, p.next_step) for p in error.problems]
    found = [Problem("P-RULE", where, p.rule, p.finding, p.next_step) for p in rules.check_types(expression, contract, where)]
    return found + [
        Problem(
            "P-RULE",
            where,
            "A cohort is a group, never a person: its rule reads no field that identifies people",
            f"the rule reads {name!r}",
            "choose the cohort by clinical fields",
        )
        for name in sorted(rules.fields(expression))
        if name in contract.names and _identifies(contract, name)
    ]


def _metric(study: Study, kind: TargetKind, place: _Places) -> list[Problem]:
    """Dice is of masks, AUROC of records that are of one class or another; errors of a number are said in its unit, or as R²."""
    metric, fitting = study.convergence.metric, METRICS[kind]
    if metric in fitting:
        return []
    return [
        Problem(
            "P-RANGE",
            place("convergence", "metric"),
            "The metric that chooses the weights is one that the study's target has",
            _WRONG_METRIC[metric].format(what="masks have" if kind == "mask" else "a number has"),
            f"choose one of: {', '.join(fitting)}",
        )
    ]


def _sense(study: Study, place: _Places) -> list[Problem]:
    """Settings that each hold alone, but not together."""
    found: list[Problem] = []
    if study.statistics.distributions and not (study.target.fields or study.features):
        found.append(
            Problem(
                "P-RANGE",
                place("statistics", "distributions"),
                "Distributions are of fields of records",
                "the study reads none: it predicts masks of images",
                "set distributions to false",
            )
        )
    if study.target.number and study.split.train < LEAST_TRAINED:
        found.append(
            Problem(
                "P-RANGE",
                place("split", "train"),
                "Where a number is predicted, at least half of the patients train: evaluations tell sums over the others",
                f"{study.split.train:g} of them do",
                f"set train to {LEAST_TRAINED:g} or more",
            )
        )
    if len(study.silos.required) > study.silos.minimum:
        found.append(
            Problem(
                "P-RANGE",
                place("silos", "minimum"),
                "At least the required hospitals must answer",
                f"{len(study.silos.required)} hospitals are required, but the minimum is {study.silos.minimum}",
                f"set minimum to {len(study.silos.required)} or more",
            )
        )
    return found
