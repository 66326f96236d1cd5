"""Text of a site file, added to without touching what a person wrote: every byte of theirs stays, comments included."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

import yaml

from wardround.canonical import Json
from wardround.errors import Broken, Refused, refuse
from wardround.strict_yaml import Location, parse_text

NOTE = "#~ "
"""What a draft's own comments begin with, so that confirming takes them away and no others."""
LONGEST_LINE = 130

_PLAIN = re.compile(r"[^\W\d_][\w.%°/+-]*(?: [\w.%°/+-]+)*")
_SHORT = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}
_TRAILING_NOTE = re.compile(r"[ ]+#~ [^\n]*$", re.MULTILINE)
_LINE_NOTE = re.compile(r"^[ ]*#~ [^\n]*\n", re.MULTILINE)


def scalar(text: str) -> str:
    """Write a text so that the strict reader gives the same text back."""
    if _PLAIN.fullmatch(text) and text.isprintable() and _reads_as_text(text):
        return text
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    if character in _SHORT:
        return _SHORT[character]
    return f"\\U{ord(character):08x}"


def _reads_as_text(text: str) -> bool:
    if text.lower() in {"yes", "no", "on", "off", "y", "n", "true", "false", "null", "e"}:
        return False
    return not re.fullmatch(r"[-+]?[0-9.]+(e[-+]?[0-9]+)?", text, re.IGNORECASE)


def flow(value: Json) -> str:
    """Write a value on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key)}: {flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(flow(each) for each in value) + "]"
    return scalar(value) if isinstance(value, str) else json.dumps(value)


def entry(key: str, value: Json, notes: Sequence[str] = ()) -> list[str]:
    """Write a key and its value on one line, with notes beside it, or above it where they are too long."""
    line = f"{scalar(key)}: {flow(value)}"
    told = "; ".join(notes)
    if not told:
        return [line]
    beside = f"{line}  {NOTE}{told}"
    return [beside] if len(beside) <= LONGEST_LINE else [f"{NOTE}{each}" for each in notes] + [line]


def indented(lines: Sequence[str], by: int = 2) -> list[str]:
    """Move lines to the right."""
    return [" " * by + line for line in lines]


def without_notes(text: str) -> str:
    """Take a draft's own comments away."""
    return _TRAILING_NOTE.sub("", _LINE_NOTE.sub("", text))


def add(text: str, location: Location, lines: Sequence[str], name: str) -> str:
    """Add entries at the end of a mapping.

    Args:
        text: the file.
        location: of the mapping in it.
        lines: the entries, not indented.
        name: of the file, for messages.

    Raises:
        Refused: Y-SYNTAX where the mapping is written in braces with comments in between, or stands within braces.
    """
    for depth in range(len(location)):
        around = _find(text, location[:depth])
        if isinstance(around, yaml.MappingNode) and around.flow_style:
            raise _in_braces(around, location[:depth], name)
    node = _find(text, location)
    if not isinstance(node, yaml.MappingNode):
        msg = f"no mapping at {location}"
        raise Broken(msg)
    if not node.flow_style:
        margin = node.value[0][0].start_mark.column
        return _insert_after_line(text, _end(node), indented(lines, margin))
    start, end = node.start_mark.index, node.end_mark.index
    if "#" in text[start:end]:
        raise _in_braces(node, location, name)
    margin = _margin(text, start) + 2
    kept = [f"{text[key.start_mark.index : key.end_mark.index]}: {_one_line(text, value)}" for key, value in node.value]
    rest = text[end:].partition("\n")[0]
    head = text[:start].rstrip(" ") + rest
    body = text[end + len(rest) :]
    block = "\n".join(indented([*kept, *lines], margin))
    return f"{head}\n{block}{body or chr(10)}"


def _in_braces(node: yaml.MappingNode, location: Location, name: str) -> Refused:
    what = repr(".".join(map(str, location))) if location else "all of it"
    return refuse(
        "Y-SYNTAX",
        f"{name}, line {node.start_mark.line + 1}",
        "Entries can be added where each stands on a line of its own",
        f"{what} stands in braces",
        "write each entry on a line of its own, without the braces",
    )


def _one_line(text: str, node: yaml.Node) -> str:
    return " ".join(text[node.start_mark.index : node.end_mark.index].split("\n"))


def _find(text: str, location: Location) -> yaml.Node | None:
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    for part in location:
        if not isinstance(node, yaml.MappingNode):
            return None
        node = next((value for key, value in node.value if key.value == part), None)
    return node


def _end(node: yaml.Node) -> int:
    """Give where the last thing of a node ends, without the comments that follow."""
    if isinstance(node, yaml.MappingNode) and not node.flow_style and node.value:
        return _end(node.value[-1][1])
    if isinstance(node, yaml.SequenceNode) and not node.flow_style and node.value:
        return _end(node.value[-1])
    return int(node.end_mark.index)


def _insert_after_line(text: str, at: int, lines: Sequence[str]) -> str:
    if at and text[at - 1] == "\n":  # a block of text ends with its line
        at -= 1
    line_end = text.find("\n", at)
    if line_end < 0:
        return text + "\n" + "\n".join(lines) + "\n"
    return text[: line_end + 1] + "\n".join(lines) + "\n" + text[line_end + 1 :]


def _margin(text: str, at: int) -> int:
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return len(line) - len(line.lstrip(" "))


def put_first(text: str, lines: Sequence[str]) -> str:
    """Put lines before the first key of a file that is a block mapping."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    start = node.start_mark.index if node is not None else 0
    return text[:start] + "\n".join(lines) + "\n" + text[start:]


def same(text: str, wanted: Mapping[str, Json], name: str) -> bool:
    """Whether a text holds exactly these data."""
    return parse_text(text, name).data == wanted
