"""Write the parts of the documentation that are made from the code, so that nobody pastes them by hand.

    python docs/generate.py            write them (``make docs``)
    python docs/generate.py --check    say which are not current, with exit status 1 if any is

``reference/commands.md`` is made whole, from the commands that are installed. In other pages, what stands between
``<!-- generated: NAME -->`` and ``<!-- end of generated -->`` is made anew.
"""  # noqa: INP001  (a script, not a package)

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, get_args

import click

from wardround import values
from wardround.console import cli
from wardround.study.images import Images
from wardround.study.model import Network, Study
from wardround.study.networks import NETWORKS, arguments_of, weight_count
from wardround.study.random_transforms import Augmentation
from wardround.study.shape import Shape
from wardround.study.transforms import Preparation

DOCS = Path(__file__).resolve().parent
COMMANDS = DOCS / "reference" / "commands.md"
PART = re.compile(r"(<!-- generated: ([a-z-]+) -->\n)(.*?)(<!-- end of generated -->)", re.DOTALL)
ATTRIBUTE = re.compile(r"^    (\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)
ABSENT = "(needs the Python module"

COMMANDS_HEAD = """\
# Commands

This page is made from the commands themselves (`make docs`); a test fails when it is not current.

`wardround` shows the commands that are installed. A hospital that has no coordinator code has no coordinator commands.

| exit status | meaning |
|---|---|
| 0 | done; what was checked is in order |
| 1 | what was checked is not in order; a study that failed |
| 2 | wrong usage, or a file or setting that is not in order |
| 3 | a study that ended with a result from part of its hospitals |
| 130 | stopped with Ctrl-C |

Every refusal has a [code](errors.md), a place, a rule, a finding and a next step. With `--format json`, a command that
reports prints one JSON object on standard output, and problems are printed there as `{"problems": [...]}`. A mistake in
the command line itself (an unknown option, a missing argument) is always printed as text on standard error.
"""


# ------------------------------------------------------------------------------------------------------------- commands


def commands_page() -> str:
    """Give the page of every command, in alphabetical order."""
    parts = [COMMANDS_HEAD]
    for words, command in _walk(("wardround",), cli):
        parts.append(_command(words, command))
    return "\n".join(parts)


def _walk(words: tuple[str, ...], group: click.Group) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group, info_name=" ".join(words))
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        yield (*words, name), command
        if isinstance(command, click.Group):
            yield from _walk((*words, name), command)


def _command(words: tuple[str, ...], command: click.Command) -> str:
    name = " ".join(words)
    text = (command.help or "").split("\f")[0]
    if text.startswith(ABSENT):
        sys.exit(f"{name} cannot be described: {text}")
    if isinstance(command, click.Group):
        return f"## {name}\n\n{_prose(text)}\n"
    context = click.Context(command, info_name=name)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    lines = [f"{'#' * len(words)} {name}", "", f"`{usage}`", "", _prose(text)]
    options = [_option(parameter, context) for parameter in command.params if isinstance(parameter, click.Option)]
    if options:
        lines += ["", "| option | default | meaning |", "|---|---|---|", *options]
    return "\n".join(lines) + "\n"


def _prose(text: str) -> str:
    paragraphs = re.split(r"\n\s*\n", text.replace("\b", "").strip())
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _option(option: click.Option, context: click.Context) -> str:
    value = "" if option.is_flag else f" {option.make_metavar(context)}"
    name = f"`{', '.join((*option.opts, *option.secondary_opts))}{value}`".replace("|", "\\|")
    if option.required:
        default = "(required)"
    elif option.is_flag or option.multiple or not isinstance(option.default, str | int | float):
        default = ""
    else:
        default = f"`{option.default}`"
    often = "; may stand several times" if option.multiple and "several times" not in (option.help or "") else ""
    return f"| {name} | {default} | {_cell(option.help or '')}{often} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).rstrip(".").replace("|", "\\|")


# ------------------------------------------------------------------------------------------------------------ the study

Schema = dict[str, Any]

TYPES = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "`true` or `false`",
    "array": "list",
    "object": "keys",
}
PATTERNS = {
    values.Slug: "a short name: `a`–`z`, `0`–`9`, `-`, `_`, a letter first, at most 63",
    values.FieldName: "a field's name: `a`–`z`, `0`–`9`, `_`, a letter first, at most 63",
    values.SchemaId: "lower case words joined by dots",
    values.Version: "`MAJOR.MINOR.PATCH`",
}
"""What the patterns of short texts mean, in words."""

UNITS = {
    "training.focal_gamma": "exponent of the focal loss; `null`: 2",
    "network.normalisation": "of networks for images",
    "training.optimiser.learning_rate": "step",
    "training.local_epochs": "passes over the records in a round",
    "training.batch_size": "records; `null`: all in one batch",
    "split.train": "share of patients",
    "split.validation": "share of patients",
    "split.test": "share of patients",
    "rounds.maximum": "rounds",
    "rounds.deadline_seconds": "seconds for a visit",
    "rounds.retries": "repeats of a visit",
    "rounds.max_failed_rounds": "rounds that may fail and be passed over",
    "rounds.maximum_change_norm": "L2 norm of a hospital's change of weights in a round; `null`: no limit",
    "convergence.patience": "rounds",
    "convergence.minimum_change": "AUROC, Dice, or nats of loss",
    "silos.minimum": "hospitals",
    "silos.required": "site names",
    "silos.minimum_records": "training records of all who counted",
    "silos.minimum_validation": "validation records of one hospital",
    "silos.max_weight_share": "the largest share of a round's records at one hospital",
    "quarantine.max_fraction": "share of a hospital's records",
}
"""What the numbers of a study count."""

TRANSFORM_UNITS = {
    "pixdim": "mm",
    "spatial_size": "pixels",
    "roi_size": "pixels",
    "margin": "pixels",
    "translate": "pixels",
    "sigma": "pixels",
    "degrees": "degrees",
    "probability": "share of examples",
    "max_k": "quarter turns",
    "spatial_axis": "axis",
    "spatial_axes": "axes",
    "scale": "share",
    "shear": "factor",
    "min_zoom": "factor",
    "max_zoom": "factor",
    "zoom_range": "factor",
    "factors": "share",
    "gamma": "power",
    "lower": "percentile",
    "upper": "percentile",
} | dict.fromkeys(
    ("a_min", "a_max", "b_min", "b_max", "minv", "maxv", "mean", "deviation", "value", "threshold", "std", "offsets"), "intensity"
)
"""What the numbers of a transform count."""

WORDS = {get_args(kind)[1].pattern: text for kind, text in PATTERNS.items()}

BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
    "minItems": "{} or more entries",
    "minLength": "{} or more characters",
    "maxLength": "at most {} characters",
    "maxItems": "at most {} entries",
    "pattern": "matches `{}`",
}


def study_table() -> str:
    """Give the table of every key of a study file."""
    return _table(Study.model_json_schema(by_alias=True), UNITS, "unit")


def network_table() -> str:
    """Give the table of all networks, and for each the table of its arguments."""
    rows = ["| network | takes | gives | windows | weights: table or 2D | 3D |", "|---|---|---|---|---|---|"]
    rows += [f"| `{name}` | {' | '.join(_served(Network(name=name)))} |" for name in NETWORKS]
    parts = [
        f"#### {name}\n\n{_table(model.model_json_schema(), _meanings(model), 'meaning')}" for name, model in NETWORKS.items()
    ]
    return "\n".join(["\n".join(rows), "", *parts])


def images_table() -> str:
    """Give the table of what a study says of images."""
    units = {"window": "pixels or voxels along each axis", "overlap": "share of a window", "channels": "colours"}
    return _table(Images.model_json_schema(), units, "unit")


def transforms_list(allowed: object) -> str:
    """Give every transform of an allow-list: what it does, its arguments, and what they mean."""
    return "\n".join(_transform(kind) for kind in get_args(get_args(allowed)[0]))


def _transform(kind: type[values.Value]) -> str:
    what, _, attributes = (inspect.getdoc(kind) or "").replace("``", "`").partition("\n\nAttributes:\n")
    schema = kind.model_json_schema()
    schema["properties"].pop("name")  # the heading
    parts = [f"### {kind.__name__}", _prose(what)]
    if schema["properties"]:
        parts.append(_table(schema, TRANSFORM_UNITS, "unit").rstrip())
    meanings = re.split(r"\n(?=    \S)", attributes.rstrip()) if attributes else []
    if meanings:
        parts.append("\n".join(f"- {_meaning(each)}" for each in meanings))
    return "\n\n".join(parts) + "\n"


def _meaning(attribute: str) -> str:
    names, _, text = " ".join(attribute.split()).partition(": ")
    return f"{', '.join(f'`{name}`' for name in names.split(', '))}: {text}"


def _served(network: Network) -> tuple[str, str, str, str, str]:
    """Say what a network with its default arguments takes and gives, and how many weights it has for one input and one output."""
    known = arguments_of(network)
    if known.DIMENSIONS == (0,):
        return "a row of a table", "one vector", "", f"{weight_count(network, Shape.of_table(1)):,}", ""
    gives = "one vector for each voxel" if known.DENSE else "one vector"
    windows = f"multiples of {known.step}" if known.DENSE else f"{known.step} or more"
    shapes = [Shape(dimensions=number, inputs=1, window=(known.step,) * number, dense=known.DENSE) for number in known.DIMENSIONS]
    flat, deep = (f"{weight_count(network, shape):,}" for shape in shapes)
    return "an image of 2 or 3 dimensions", gives, windows, flat, deep


def _meanings(model: type) -> dict[str, str]:
    """Give the meaning of each argument, as the docstrings of a class and of those above it say."""
    found: dict[str, str] = {}
    for each in reversed(model.__mro__):
        _, _, attributes = inspect.cleandoc(each.__doc__ or "").partition("Attributes:\n")
        for name, text in ATTRIBUTE.findall(attributes):
            found[name] = " ".join(text.split()).rstrip(".").replace("``", "`").replace("|", "\\|")
    return found


def _table(schema: Schema, words: Mapping[str, str], head: str) -> str:
    """Give a table of keys; ``words`` has one more cell for some of them, under this head."""
    heads = ("key", "type", head, "range", "default")
    rows = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for key, kind, bounds, default in _rows(schema, schema.get("$defs", {}), ""):
        rows.append(f"| {' | '.join((f'`{key}`', kind, words.get(key, ''), bounds, default))} |")
    return "\n".join(rows) + "\n"


def _rows(schema: Schema, known: dict[str, Schema], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    required = set(schema.get("required", []))
    for name, raw in schema.get("properties", {}).items():
        part = _resolved(raw, known)
        if part.get("properties"):
            yield from _rows(part, known, f"{prefix}{name}.")
            continue
        default = "(required)" if name in required else _value(raw["default"]) if "default" in raw else "none"
        yield f"{prefix}{name}", _type(part, known), _bounds(part, known), default


def _resolved(part: Schema, known: dict[str, Schema]) -> Schema:
    return known[part["$ref"].rsplit("/", 1)[-1]] if "$ref" in part else part


def _items(part: Schema) -> Schema:
    """Give what a list holds; of a list of fixed length, what its first entry is."""
    return dict(part["prefixItems"][0] if "prefixItems" in part else part.get("items", {}))


def _type(part: Schema, known: dict[str, Schema]) -> str:
    if "anyOf" in part:
        kinds = [_type(_resolved(each, known), known) for each in part["anyOf"]]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in part or "const" in part:
        return "one of"
    if part.get("type") == "null":
        return "`null`"
    if "oneOf" in part:
        return "keys"
    if part.get("type") == "array":
        items = _resolved(_items(part), known)
        return f"list of {_type(items, known)}" if items else "list"
    return TYPES.get(str(part.get("type")), "value")


def _bounds(part: Schema, known: dict[str, Schema]) -> str:
    if "enum" in part or "const" in part:
        return ", ".join(f"`{each}`" for each in part.get("enum", [part.get("const")]))
    if part.get("pattern") in WORDS:
        return WORDS[part["pattern"]]
    found = [text.format(_value(part[key], bare=True)) for key, text in BOUNDS.items() if key in part]
    for each in part.get("anyOf", []):
        found += [bound for bound in [_bounds(_resolved(each, known), known)] if bound]
    if "prefixItems" in part:
        found = [f"{len(part['prefixItems'])} entries"]
    if part.get("type") == "array":
        inner = _bounds(_resolved(_items(part), known), known)
        found += [f"each {inner}"] if inner else []
    return ", ".join(found).replace("|", "\\|")


def _value(value: object, *, bare: bool = False) -> str:
    if value is None:
        text = "null"
    elif isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, float) and value.is_integer():
        text = str(int(value))
    elif isinstance(value, list | tuple):
        text = "[" + ", ".join(_value(each, bare=True) for each in value) + "]"
    elif isinstance(value, dict):
        text = "{}" if not value else ", ".join(f"{key}: {_value(each, bare=True)}" for key, each in value.items())
    else:
        text = str(value)
    return text if bare else f"`{text}`"


# ----------------------------------------------------------------------------------------------------------------- pages

PARTS: dict[str, Callable[[], str]] = {
    "study-keys": study_table,
    "network-arguments": network_table,
    "images-keys": images_table,
    "preparation": partial(transforms_list, Preparation),
    "augmentation": partial(transforms_list, Augmentation),
}


def current_pages() -> dict[Path, str]:
    """Give every page that is made, or holds a part that is, as it should be."""
    pages = {COMMANDS: commands_page()}
    for path in sorted(DOCS.rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        if path != COMMANDS and PART.search(text):
            pages[path] = PART.sub(lambda part: f"{part[1]}\n{PARTS[part[2]]()}\n{part[4]}", text)
    return pages


def main(arguments: list[str]) -> int:
    """Write the pages, or say which are not current."""
    stale = [path for path, text in current_pages().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in arguments:
        for path in stale:
            print(f"{path.relative_to(DOCS.parent)} is not current; run: make docs")  # noqa: T201
        return 1 if stale else 0
    pages = current_pages()
    for path in stale:
        path.write_text(pages[path], encoding="utf-8")
        print(f"wrote {path.relative_to(DOCS.parent)}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
