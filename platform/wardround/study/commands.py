"""``wardround study``: write a study file, check it, build the bundle that hospitals approve."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path

import click

from wardround.canonical import model_json
from wardround.console import LazyGroup, format_option, print_json, say
from wardround.contract.imaging import ImagingContract
from wardround.contract.library import find_any, table_or_implied
from wardround.contract.model import Contract, ContractField
from wardround.errors import raise_all, refuse
from wardround.files import write_new
from wardround.study import labels
from wardround.study.author_commands import author, sign
from wardround.study.check import load_study
from wardround.study.encoding import input_width
from wardround.study.model import LEAST_LABELS, Label, Target
from wardround.study.proposal import fill

STUDY_COMMANDS = "wardround.study_commands"
TEMPLATE = "template.yaml"
COLUMN = 29
"""Where remarks stand in the file."""
REMARK = re.compile(r"^( *[^# ][^#]*?) +(# .*)$")
LISTED = "    - {"
_LOSS = "loss: binary_cross_entropy # or focal; of images others, too\n  focal_gamma: null          # of the focal loss alone"
_TWO = 2
EVENTS = frozenset(
    {"1", "yes", "y", "true", "t", "positive", "pos", "present", "detected", "event", "case", "disease", "ill", "abnormal"}
    | {"dead", "died", "deceased", "death", "malignant", "invasive", "metastatic", "progression", "progressed", "readmitted"}
    | {"relapse", "relapsed", "recurrence", "recurred"}
)
"""What categories are called, in small letters, that say that something happened or is there."""
NO_EVENTS = frozenset(
    {"0", "no", "n", "false", "f", "negative", "neg", "absent", "none", "not_detected", "no_event", "control", "healthy", "well"}
    | {"normal", "alive", "survived", "censored", "benign"}
)
"""And those that say that it did not, or is not."""

schema_path_option = click.option(
    "--schema-path",
    "schema_path",
    multiple=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="A further folder of schemas; may stand several times.",
)


@click.group(cls=LazyGroup, entry_group=STUDY_COMMANDS)
def study() -> None:
    """Write, check, build and sign studies."""


study.add_command(author)
study.add_command(sign)


@study.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--schema", "schema", default="breast.cytology", show_default=True, help="The shared schema to start from.")
@click.option("--target", "target_name", help="The field to predict, coded or a number; needed where several are coded.")
@click.option("--positive", help="The target's value to predict; needed where no value is called as an event is, such as yes.")
@schema_path_option
def new(file: Path, schema: str, target_name: str | None, positive: str | None, schema_path: tuple[Path, ...]) -> None:
    """Write a study FILE to start from, with every setting explained; never overwrites.

    Of images, it predicts what their schema has as a label: masks, a field of its table, or several at once.
    """
    named = find_any(schema, schema_path)
    imaging = named if isinstance(named, ImagingContract) else None
    contract = table_or_implied(named, schema_path) if isinstance(named, ImagingContract) else named
    target = _target(contract, imaging, target_name, positive)
    learning = _template("table" if imaging is None else "images")
    learning = _of_table(learning, contract, target) if imaging is None else fill(learning, imaging, target)
    text = _template().replace("@learning@\n", learning)
    for word, value in {
        "@schema@": named.id,
        "@version@": named.version,
        "@deadline@": "600" if imaging is None else "3600",
        "@metric@": _metric(target),
    }.items():
        text = text.replace(word, value)
    try:
        write_new(file, _aligned(text).encode())
    except FileExistsError:
        raise refuse(
            "O-EXISTS", str(file), "Files are never overwritten", "there is a file already", "choose another name"
        ) from None
    say(f"Wrote {file}. Edit it, then run: wardround study check {file}")
    if target.positive is None:
        unit = f", in the schema's unit {contract.field(target.field).unit}" if target.number and target.field is not None else ""
        say(f"It predicts {target.words}{unit}.")
        return
    others = ", ".join(value for value in contract.field(str(target.field)).values if value != target.positive)
    say(f"It predicts whether {target.words}; set target.positive if you mean another one ({others}).")


def _template(part: str = "") -> str:
    name = f"template_{part}.yaml" if part else TEMPLATE
    return (files("wardround.study") / name).read_text(encoding="utf-8")


def _aligned(text: str) -> str:
    """Put the remarks of settings below each other; transforms have a column of their own."""
    lines = [line if line.startswith(LISTED) else re.sub(REMARK, _set_apart, line) for line in text.split("\n")]
    return "\n".join(lines)


def _set_apart(found: re.Match[str]) -> str:
    return f"{found[1]:<{COLUMN}}{found[2]}" if len(found[1]) < COLUMN - 1 else f"{found[1]}  {found[2]}"


def _of_table(template: str, contract: Contract, target: Target) -> str:
    keys = {*contract.primary_key, contract.patient_key, target.field}
    features = [f.name for f in contract.fields if f.name not in keys and f.privacy == "none" and f.type != "date"]
    for word, value in {
        "@target@": str(target.field),
        "@asked@": "number: true" if target.number else f"positive: {json.dumps(target.positive, ensure_ascii=False)}",
        "@loss@": "loss: mse" if target.number else _LOSS,
        "@features@": "\n".join(f"  - {name}" for name in features),
    }.items():
        template = template.replace(word, value)
    return template


def _metric(target: Target) -> str:
    """Give the line of the metric by which rounds are compared."""
    if target.kind == "number":
        return "metric: r2                 # r2; or rmse or mae, which are in the schema's unit, as minimum_change then is"
    if target.kind == "mask":
        return "metric: dice               # dice or loss, pooled over hospitals"
    return "metric: loss               # loss (ranking and calibration) or auroc (ranking alone), pooled over hospitals"


def _target(contract: Contract, imaging: ImagingContract | None, name: str | None, positive: str | None) -> Target:
    """Choose what is predicted: what was named, else what images are labelled with, else the one field that can be."""
    if imaging is None or name is not None:
        return _asked(contract, _field(contract, name), positive)
    if imaging.label.kind == "mask":
        if positive is not None:
            finding = "--positive was given, and no --target"
            raise refuse("P-FIELD", imaging.id, "Masks have classes and no positive value", finding, "leave --positive out")
        return Target(mask=tuple(imaging.label.classes.values()))
    if imaging.label.kind == "multi_label":
        fields = [contract.field(each) for each in imaging.label.fields]
        second = {each.name: each.values[1] if positive is None else _positive(contract, each, positive) for each in fields}
        sought = tuple(Label(field=name, positive=value) for name, value in second.items())
        if len(sought) < LEAST_LABELS:
            return Target(field=sought[0].field, positive=sought[0].positive)
        return Target(labels=sought)
    field = contract.field(imaging.label.fields[0])
    if imaging.label.kind == "regression":
        return _asked(contract, _field(contract, field.name), positive)
    raise_all(labels.problems_of(Target(field=field.name), contract, imaging, lambda *_: imaging.id))
    several = len(field.values) > _TWO and positive is None
    return Target(field=field.name, positive=None if several else _positive(contract, field, positive))


def _asked(contract: Contract, field: ContractField, positive: str | None) -> Target:
    """Ask for one value of a coded field, or for the number of another."""
    if not labels.is_number(field):
        return Target(field=field.name, positive=_positive(contract, field, positive))
    if positive is not None:
        rule, finding = "A positive value is one of a coded field", f"{field.name!r} is a number, and is predicted as it is"
        raise refuse("P-FIELD", contract.id, rule, finding, "leave --positive out")
    return Target(field=field.name, number=True)


def _field(contract: Contract, name: str | None) -> ContractField:
    """Choose the field to predict; never a guess among several."""
    coded = {field.name: field for field in contract.fields if field.values and field.privacy == "none"}
    if name is None and len(coded) == 1:
        return next(iter(coded.values()))
    known = {**coded, **{each: contract.field(each) for each in labels.numbers(contract)}}
    if name in known:
        return known[name]
    raise refuse(
        "P-FIELD",
        contract.id,
        "A study predicts a coded field, or a number with limits",
        "the schema has several and none was named" if name is None else f"{name!r} is not one of them",
        f"name one with --target: {', '.join(known)}" if known else "choose another schema with --schema",
    )


def _positive(contract: Contract, target: ContractField, named: str | None) -> str:
    """Choose the value that counts as positive: the named one, the one that is called as an event is, or the opposite of none."""
    events = [value for value in target.values if value.lower() in EVENTS]
    others = [value for value in target.values if value.lower() not in NO_EVENTS]
    if named in target.values:
        return str(named)
    for found in (events, others):
        if named is None and len(found) == 1:
            return found[0]
    raise refuse(
        "P-FIELD",
        contract.id,
        "A study predicts one value of its target",
        f"which value of {target.name!r} is meant cannot be told" if named is None else f"{target.name!r} has no value {named!r}",
        f"name one with --positive: {', '.join(target.values)}",
    )


@study.command()
@click.argument("file", type=click.Path(path_type=Path))
@schema_path_option
@format_option
def check(file: Path, schema_path: tuple[Path, ...], form: str) -> None:
    """Check a study FILE against its schema: every problem at once, with its line."""
    found, contract, imaging = load_study(file, schema_path)
    if form == "json":
        print_json({"in_order": True, "study": model_json(found), "contract_hash": (imaging or contract).contract_hash()})
        return
    reads = f"{len(found.features)} features of {contract.id} {contract.version} ({input_width(contract, found.features)} inputs)"
    if imaging is not None and found.images is not None:
        seen = " by ".join(str(size) for size in found.images.window)
        reads = f"images of {imaging.id} {imaging.version} (the network sees {seen})"
    say(
        f"{found.name} {found.version} is in order: {reads}, {found.network.name}, "
        f"at most {found.rounds.maximum} rounds, {found.silos.minimum} hospitals at least."
    )
