"""``wardround study``: write a study file, check it, build the bundle that hospitals approve."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import click

from wardround.canonical import model_json
from wardround.console import LazyGroup, format_option, print_json, say
from wardround.contract.library import find
from wardround.contract.model import Contract, ContractField
from wardround.errors import refuse
from wardround.files import write_new
from wardround.study import labels
from wardround.study.author_commands import author, sign
from wardround.study.check import load_study
from wardround.study.encoding import input_width

STUDY_COMMANDS = "wardround.study_commands"
TEMPLATE = "template.yaml"
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
    """Write a study FILE to start from, with every setting explained; never overwrites."""
    contract = find(schema, schema_path)
    target = _target(contract, target_name)
    words = _number(target, positive) if labels.is_number(target) else _class(_positive(contract, target, positive))
    keys = {*contract.primary_key, contract.patient_key, target.name}
    features = [f.name for f in contract.fields if f.name not in keys and f.privacy == "none" and f.type != "date"]
    text = (files("wardround.study") / TEMPLATE).read_text(encoding="utf-8")
    for word, value in {
        "@schema@": contract.id,
        "@version@": contract.version,
        "@target@": target.name,
        **words,
        "@features@": "\n".join(f"  - {name}" for name in features),
    }.items():
        text = text.replace(word, value)
    try:
        write_new(file, text.encode())
    except FileExistsError:
        raise refuse(
            "O-EXISTS", str(file), "Files are never overwritten", "there is a file already", "choose another name"
        ) from None
    say(f"Wrote {file}. Edit it, then run: wardround study check {file}")
    if labels.is_number(target):
        say(f"It predicts the number {target.name}, in its unit {target.unit}.")
        return
    positive = _positive(contract, target, positive)
    others = ", ".join(value for value in target.values if value != positive)
    say(f"It predicts whether {target.name} is {positive}; set target.positive if you mean another one ({others}).")


def _class(positive: str) -> dict[str, str]:
    """Give what stands in the template where one value is looked for."""
    return {
        "@asked@": f"  positive: {json.dumps(positive, ensure_ascii=False)}",
        "@loss@": "  loss: binary_cross_entropy # or focal; of images others, too\n"
        "  focal_gamma: null          # of the focal loss alone",
        "@metric@": "  metric: loss               # loss (ranking and calibration) or auroc (ranking alone), "
        "pooled over hospitals; of masks also dice",
    }


def _number(target: ContractField, positive: str | None) -> dict[str, str]:
    """Give what stands in the template where a number is predicted."""
    if positive is not None:
        raise refuse(
            "P-FIELD",
            target.name,
            "A positive value is one of a coded field",
            f"{target.name!r} is a number, and is predicted as it is",
            "leave --positive out",
        )
    return {
        "@asked@": "  number: true               # the number itself, in the schema's unit",
        "@loss@": "  loss: mse                  # the mean squared error, the one of numbers",
        "@metric@": "  metric: r2                 # r2; or rmse or mae in the schema's unit, as minimum_change then is, "
        "pooled over hospitals",
    }


def _target(contract: Contract, name: str | None) -> ContractField:
    """Choose the field to predict; never a guess among several."""
    coded = {field.name: field for field in contract.fields if field.values and field.privacy == "none"}
    if name is None and len(coded) == 1:
        return next(iter(coded.values()))
    known = {**coded, **{number: contract.field(number) for number in labels.numbers(contract)}}
    if name in known:
        return known[name]
    raise refuse(
        "P-FIELD",
        contract.id,
        "A study predicts a coded field, or a number with a range",
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
