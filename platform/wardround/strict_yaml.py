"""YAML as people believe it works.

A YAML 1.2 core subset: mappings, sequences, text, decimal numbers, ``true``/``false``/``null``. What readers understand
differently is refused instead of guessed: ``NO`` and ``yes`` (truth values in YAML 1.1), ``010`` (8 in YAML 1.1),
``0x1F``, ``1_000``, ``.nan``, ``-0.0``, and numbers that JSON does not hold exactly (2^53 and more) or at all; so are
keys that stand twice, anchors, aliases, tags, merge keys and further documents. Dates and times of day stay text. Keys
are always text. Each error names the line.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from wardround.canonical import EXACT_INTEGER_LIMIT
from wardround.errors import Broken, Problem, Refused, raise_all, refuse

if TYPE_CHECKING:
    from wardround.canonical import Json

MAXIMUM_BYTES = 4 * 1024 * 1024
MAXIMUM_DEPTH = 40

_LONGEST_INTEGER = 100
"""Digits that are looked at: enough to see that a number is too large."""

Location: TypeAlias = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)

_DECIMAL_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_DECIMAL_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]*)?(\.[0-9]*)?([eE][-+]?[0-9]+)?")
_OTHER_TRUTH_WORDS = frozenset({"yes", "no", "on", "off", "y", "n"})
_ODD_NUMBER = re.compile(
    r"[-+]?((0[0-9_]+(\.[0-9_]*)?|[0-9][0-9_]*_[0-9_.]*)(e[-+]?[0-9]+)?|0[xob][0-9a-f_]+|\.inf|\.nan)", re.IGNORECASE
)
_MERGE_KEY = "<<"
_OTHER_LINE_BREAKS = ("\x85", "\u2028", "\u2029")
"""Line breaks in YAML 1.1, ordinary characters in YAML 1.2."""
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TRUTHS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


@dataclass(frozen=True)
class Document:
    """A parsed file: plain JSON data and the line on which each part begins."""

    name: str
    data: Json
    lines: Mapping[Location, int]

    def place(self, location: Location) -> str:
        """Give ``name, line N`` of the nearest part that the file holds."""
        while location and location not in self.lines:
            location = location[:-1]
        return f"{self.name}, line {self.lines.get(location, 1)}"


class _Reader:
    """Turns PyYAML's nodes into plain data and gathers every problem on the way."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: dict[Location, int] = {}
        self.problems: list[Problem] = []

    def read(self, node: yaml.Node, location: Location) -> Json:
        self.lines.setdefault(location, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, location)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(child, (*location, index)) for index, child in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, location: Location) -> dict[str, Json]:
        found: dict[str, Json] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(self._problem(key_node, "Y-SYNTAX", "a key that is not a word", "keys are text"))
                continue
            key = self._key(key_node)
            line = key_node.start_mark.line + 1
            if key in found:
                first = self.lines[(*location, key)]
                self.problems.append(
                    Problem(
                        "Y-DUPKEY",
                        f"{self.name}, line {line}",
                        "A key may stand once",
                        f"the key {key!r} stands again; it stands first on line {first}",
                        "remove one of the two",
                    )
                )
                continue
            self.lines[(*location, key)] = line
            found[key] = self.read(value_node, (*location, key))
        return found

    def _key(self, node: yaml.ScalarNode) -> str:
        if node.style is None:
            self._refuse_surprises(node)
            if node.value == _MERGE_KEY:
                self.problems.append(self._problem(node, "Y-SYNTAX", "a merge key (<<)", "files hold plain values"))
        self._refuse_half_characters(node)
        return str(node.value)

    def _refuse_half_characters(self, node: yaml.ScalarNode) -> None:
        """Refuse half a character (a lone surrogate, which an escape can write): no UTF-8 holds it."""
        if any("\ud800" <= character <= "\udfff" for character in node.value):
            raise Refused([self._problem(node, "Y-SYNTAX", "an escape for half a character", "text is Unicode")])

    def _scalar(self, node: yaml.Node) -> Json:
        if not isinstance(node, yaml.ScalarNode):
            msg = f"a YAML node that is neither mapping, sequence nor scalar: {type(node).__name__}"
            raise Broken(msg)
        text = str(node.value)
        self._refuse_half_characters(node)
        if node.style is not None:  # quoted, or a block: text as it stands
            return text
        if self._refuse_surprises(node):
            return text
        if text in _NULLS:
            return None
        if text in _TRUTHS:
            return _TRUTHS[text]
        if _DECIMAL_INTEGER.fullmatch(text):
            return self._exact(node, int(text[:_LONGEST_INTEGER]))
        if _DECIMAL_NUMBER.fullmatch(text) and any(character.isdigit() for character in text.lower().split("e")[0]):
            return self._exact(node, float(text))
        return text

    def _exact(self, node: yaml.ScalarNode, number: float) -> int | float:
        """Give the number back; refuse it when the JSON that it becomes would not hold it."""
        if isinstance(number, int):
            finding = "a whole number of 2^53 or more" if abs(number) >= EXACT_INTEGER_LIMIT else None
        elif number == 0:
            finding = "a negative zero" if math.copysign(1.0, number) < 0 else None
        else:
            finding = None if math.isfinite(number) else "a number too large for 64-bit floating point"
        if finding is not None:
            self.problems.append(
                Problem(
                    "Y-SURPRISE",
                    f"{self.name}, line {node.start_mark.line + 1}",
                    "Numbers are those that every reader holds alike",
                    f"found {finding}",
                    "write it in quotes if it is a name or an identifier, else write another number",
                )
            )
        return number

    def _refuse_surprises(self, node: yaml.Node) -> bool:
        text = str(node.value)
        if text.lower() in _OTHER_TRUTH_WORDS or _ODD_NUMBER.fullmatch(text):
            meaning = f"write it in quotes, {text!r}, if text is meant; write true, false or a plain decimal number if not"
            self.problems.append(
                Problem(
                    "Y-SURPRISE",
                    f"{self.name}, line {node.start_mark.line + 1}",
                    "Words that YAML readers understand differently must be quoted",
                    f"the unquoted word {text!r} means different things to different YAML readers",
                    meaning,
                )
            )
            return True
        return False

    def _problem(self, node: yaml.Node, code: str, finding: str, rule: str) -> Problem:
        return Problem(
            code,
            f"{self.name}, line {node.start_mark.line + 1}",
            rule[0].upper() + rule[1:],
            finding,
            "see docs/reference/yaml.md for the YAML that Wardround reads",
        )


def _refuse_events(text: str, name: str) -> None:
    """Refuse anchors, aliases, tags, further documents and deep nesting before any node is built: all can explode."""
    documents = depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        finding = None
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            finding = "an anchor or alias (& or *)"
        elif getattr(event, "tag", None) is not None:
            finding = "a tag (!)"
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            finding = "a second document" if documents > 1 else None
        elif isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            finding = f"lists or mappings more than {MAXIMUM_DEPTH} deep" if depth > MAXIMUM_DEPTH else None
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if finding is not None:
            raise refuse(
                "Y-SYNTAX",
                f"{name}, line {_line(event.start_mark)}",
                "Files hold one document of plain values",
                f"found {finding}",
                "write the value out; quote text that begins with & * or !",
            )


def parse_text(text: str, name: str) -> Document:
    """Parse YAML text; ``name`` stands in messages.

    Raises:
        Refused: Y-SYNTAX, Y-SURPRISE, Y-DUPKEY; all surprises and double keys of the file at once.
    """
    if len(text) > MAXIMUM_BYTES:
        raise refuse("Y-SYNTAX", name, f"Files hold at most {MAXIMUM_BYTES} characters", "the file is larger", "split it")
    for line_break in _OTHER_LINE_BREAKS:
        if line_break in text:
            line = text[: text.index(line_break)].count("\n") + 1
            place, finding = f"{name}, line {line}", "a line break that only some YAML readers see (NEL, LS or PS)"
            raise refuse("Y-SYNTAX", place, "Lines end with a plain line feed", finding, "replace the invisible character")
    try:
        _refuse_events(text, name)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = _line(error.problem_mark or error.context_mark)
        raise refuse(
            "Y-SYNTAX",
            f"{name}, line {line}",
            "The file must be YAML",
            "the YAML cannot be read here",
            "look for a missing colon, quote or bracket, a tab, or wrong indentation on this line or the one before",
        ) from None
    except (yaml.YAMLError, ValueError, OverflowError):  # the last two: an escape beyond Unicode, such as "\\U00110000"
        raise refuse(
            "Y-SYNTAX", name, "The file must be YAML", "a character that YAML does not allow", "save it as plain UTF-8"
        ) from None
    reader = _Reader(name)
    data: Json = {} if node is None else reader.read(node, ())
    raise_all(reader.problems)
    return Document(name, data, reader.lines)


def _line(mark: Any) -> int:  # noqa: ANN401  (PyYAML's C and Python marks share no type)
    """Give the line that a mark of PyYAML points to, from 1; 1 where it gives none."""
    return 1 if mark is None else int(mark.line) + 1


def read_text(path: Path) -> str:
    """Read a UTF-8 text file.

    Raises:
        Refused: Y-FILE, Y-ENCODING.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise refuse(
            "Y-FILE", str(path), "The file must exist and be readable", _why_unreadable(error), "check the path and its rights"
        ) from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refuse(
            "Y-ENCODING",
            str(path),
            "Text files are UTF-8",
            f"the first bad byte is at offset {error.start}",
            "save the file as UTF-8",
        ) from None


def _why_unreadable(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, IsADirectoryError):
        return "it is a folder"
    if isinstance(error, PermissionError):
        return "it may not be read"
    return "it cannot be read"


def load(path: Path) -> Document:
    """Read and parse a YAML file."""
    return parse_text(read_text(path), path.name)


def nearest(word: str, words: Iterable[str]) -> str | None:
    """Give the known word that is nearest to a misspelt one, if any is near; one edit away is always near."""
    known = list(words)
    close = [each for each in known if _at_most_one_edit(word, each)]
    matches = difflib.get_close_matches(word, close, n=1, cutoff=0) or difflib.get_close_matches(word, known, n=1)
    return matches[0] if matches else None


def _at_most_one_edit(left: str, right: str) -> bool:
    """Say whether at most one letter more, less or different, or two neighbours swapped, makes one word the other."""
    while left and right and left[0] == right[0]:
        left, right = left[1:], right[1:]
    while left and right and left[-1] == right[-1]:
        left, right = left[:-1], right[:-1]
    return len(left) + len(right) <= 1 or len(left) == len(right) == 1 or (len(left) == 2 and left == right[::-1])  # noqa: PLR2004


_WORDS = ("literal_error", "string_type")
"""What pydantic finds where a mapping stands and a word is wanted."""

_TAGS = {"union_tag_invalid": "literal_error", "union_tag_not_found": "missing"}
"""What is wrong with the key that tells one kind of mapping from another, as the same of any other key."""


def parse(model: type[Model], document: Document) -> Model:
    """Validate a document against a model; every problem at once, each with its line.

    Raises:
        Refused: Y-KEY (with the nearest known key), Y-MISSING, Y-VALUE.
    """
    try:
        return model.model_validate_json(json.dumps(document.data))
    except ValidationError as error:
        raise Refused(_problems(model, document, error)) from None


def _problems(model: type[BaseModel], document: Document, error: ValidationError) -> list[Problem]:
    problems: list[Problem] = []
    if not document.data:
        keys = ", ".join(repr(str(item["loc"][-1])) for item in error.errors(include_input=False, include_url=False))
        return [Problem("Y-MISSING", document.place(()), "Some keys are required", "it holds nothing", f"add {keys}")]
    for item in error.errors(include_input=False, include_url=False):
        kind, message = item["type"], str(item["msg"])
        location = _in_document(tuple(item["loc"]), document.data)
        if kind in _TAGS:  # of mappings that a key tells apart: what is wrong is this key
            location = (*location, str(item["ctx"]["discriminator"]).strip("'"))
            kind, message = _TAGS[kind], str(item["ctx"].get("expected_tags"))
        whole = kind != "missing" and not _is_there(document.data, location)  # of a mapping, seen by a union's branch
        if whole and kind in _WORDS:
            continue  # the branch that wants a word: whoever wrote a mapping meant the other
        problem = _problem(model, document, kind, location[:-1] if whole else location, message)
        if problem not in problems:
            problems.append(problem)
    return problems


def _is_there(data: Json, location: Location) -> bool:
    """Say whether the last part of a location is one of the file."""
    above = _at(data, location[:-1])
    return not location or not isinstance(above, dict) or location[-1] in above


def _in_document(location: Location, data: Json) -> Location:
    """Drop the parts of pydantic's location that name a union's branch instead of a key of the file."""
    kept: list[str | int] = []
    for position, part in enumerate(location):
        last = position == len(location) - 1
        if isinstance(data, dict) and (part in data or last):
            data = data.get(str(part))
            kept.append(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
            kept.append(part)
    return tuple(kept)


def _problem(model: type[BaseModel], document: Document, kind: str, location: Location, message: str) -> Problem:
    dotted = ".".join(str(part) for part in location) or "the file"
    place = document.place(location)
    if kind == "extra_forbidden":
        known = sorted(_known_keys(model, location[:-1]))
        guess = nearest(str(location[-1]), known)
        next_step = f"did you mean {guess!r}?" if guess else f"known keys here: {', '.join(known)}"
        return Problem("Y-KEY", place, "Unknown keys are refused", f"the key {dotted!r} is not known", next_step)
    if kind == "missing":
        return Problem("Y-MISSING", place, "The key is required", f"the key {dotted!r} is absent", f"add {dotted!r}")
    if kind == "literal_error":
        words = re.findall(r"'([^']*)'", message)
        choices = words or re.findall(r"-?[0-9]+", message)
        guess = nearest(str(_at(document.data, location)), words)
        next_step = f"did you mean {guess!r}?" if guess else f"choose one of: {', '.join(choices)}"
        return Problem(
            "Y-VALUE", place, f"It is one of: {', '.join(choices)}", f"the value of {dotted!r} is not accepted", next_step
        )
    rule = message.removeprefix("Value error, ").removeprefix("Assertion failed, ").rstrip(".")
    return Problem("Y-VALUE", place, rule, f"the value of {dotted!r} is not accepted", f"correct {dotted!r}")


def _at(data: Json, location: Location) -> Json:
    for part in location:
        if isinstance(data, dict):
            data = data.get(str(part))
        elif isinstance(data, list) and isinstance(part, int):
            data = data[part]
    return data


def _known_keys(model: type[BaseModel], location: Location) -> set[str]:
    """Give the keys that may stand at a location, over all branches of unions."""
    models: list[type[BaseModel]] = [model]
    for part in location:
        models = [found for each in models for found in _below(each, part)]
    return {field.alias or name for each in models for name, field in each.model_fields.items()}


def _below(model: type[BaseModel], part: str | int) -> list[type[BaseModel]]:
    if isinstance(part, int):
        return [model]  # a list index: the list's models were already taken by its key
    for name, field in model.model_fields.items():
        if part in (name, field.alias):
            return _models_in(field.annotation)
    return [model]  # a key of a mapping: its value models were already taken


def _models_in(annotation: Any) -> list[type[BaseModel]]:  # noqa: ANN401  (annotations are any type form)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Union, UnionType, Annotated) or get_args(annotation):
        return [found for argument in get_args(annotation) for found in _models_in(argument)]
    return []
