"""Whether a study and its schema fit: every problem at once, with the line where the study file is at hand."""

from __future__ import annotations

from pathlib import Path

from wardround.contract import rules
from wardround.contract.library import find
from wardround.contract.model import Contract
from wardround.errors import Problem, Refused, raise_all
from wardround.strict_yaml import Document, Location, load, nearest, parse
from wardround.study import networks
from wardround.study.encoding import input_width
from wardround.study.kind import TargetKind, predicted
from wardround.study.model import Study


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


def load_study(path: Path, schema_path: tuple[Path, ...] = ()) -> tuple[Study, Contract]:
    """Read a study file, find its schema and check that they fit.

    Raises:
        Refused: any Y-, S- or P- code; all problems of one stage at once.
    """
    document = load(path)
    study = parse(Study, document)
    contract = find(f"{study.data_schema.id}@{study.data_schema.version}", schema_path)
    raise_all(problems(study, contract, document))
    return study, contract


def problems(study: Study, contract: Contract, document: Document | None = None) -> list[Problem]:
    """Say everything that does not fit between a study and a contract."""
    place = _Places(study, document)
    found: list[Problem] = []
    chosen = study.data_schema
    if (chosen.id, chosen.version) != (contract.id, contract.version):
        found.append(
            Problem(
                "P-SCHEMA",
                place("schema"),
                "A study is for exactly one version of a schema",
                f"the study is for {chosen.id} {chosen.version}, the schema is {contract.id} {contract.version}",
                "name the version that the hospitals have, or ask for the study to be written anew for it",
            )
        )
    found += _target(study, contract, place)
    for index, name in enumerate(study.features):
        found += _feature(name, contract, place("features", index))
    known = tuple(name for name in study.features if name in contract.names)
    found += networks.problems_of(study.network, place("network"), input_width(contract, known))
    found += _cohort(study, contract, place)
    found += _metric(study, predicted(study, contract).kind, place)
    return found + _sense(study, place)


def _unknown_field(name: str, contract: Contract, place: str) -> Problem:
    guess = nearest(name, contract.names)
    return Problem(
        "P-FIELD",
        place,
        f"Fields are those of {contract.id} {contract.version}",
        f"it has no field {name!r}",
        f"did you mean {guess!r}?" if guess else f"see: wardround schema show {contract.id}",
    )


def _target(study: Study, contract: Contract, place: _Places) -> list[Problem]:
    name = study.target.field
    if name not in contract.names:
        return [_unknown_field(name, contract, place("target", "field"))]
    values = contract.field(name).values
    if study.target.positive not in values:
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
    """Dice is of masks, and AUROC of records that are of one class or another."""
    metric = study.convergence.metric
    if metric == "loss" or (metric == "dice") == (kind == "mask"):
        return []
    return [
        Problem(
            "P-RANGE",
            place("convergence", "metric"),
            "The metric that chooses the weights is one that the study's target has",
            "masks have no AUROC" if metric == "auroc" else "only masks have a Dice",
            f"choose one of: {'dice' if metric == 'auroc' else 'auroc'}, loss",
        )
    ]


def _sense(study: Study, place: _Places) -> list[Problem]:
    """Settings that each hold alone, but not together."""
    found: list[Problem] = []
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
