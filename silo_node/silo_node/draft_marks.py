"""What makes a site file a draft: the key ``draft``, and questions that wait for a person's answer."""

from __future__ import annotations

from collections.abc import Iterator

from wardround.canonical import Json
from wardround.errors import Problem, raise_all
from wardround.strict_yaml import Document, Location

QUESTION = "???"
"""Stands in a draft where a person has to answer."""
DRAFT_KEY = "draft"
DRAFT_SUFFIX = ".draft.yaml"

_CONFIRM = "answer the questions, look the file through, and run: wardround silo map --confirm"


def questions(document: Document) -> list[Problem]:
    """Give a problem for each question of a draft that waits for its answer; one for all codes of a field."""
    found = (
        Problem(
            "M-DRAFT",
            document.place(location),
            f"A person answers every {QUESTION} of a draft",
            _what(location),
            f"put the answer in place of {QUESTION}; the comment beside it says what is known",
        )
        for location in _waiting(document.data, ())
    )
    return list(dict.fromkeys(found))


def refuse_draft(document: Document) -> None:
    """Refuse a site file that is a draft.

    Raises:
        Refused: M-DRAFT, for the key and for each question.
    """
    problems = questions(document)
    if isinstance(document.data, dict) and DRAFT_KEY in document.data:
        rule, finding = "Records are read by a site file that a person has confirmed", "this file is a draft"
        problems.insert(0, Problem("M-DRAFT", document.place((DRAFT_KEY,)), rule, finding, _CONFIRM))
    raise_all(problems)


def _waiting(data: Json, location: Location) -> Iterator[Location]:
    if isinstance(data, dict):
        for key, value in data.items():
            yield from _waiting(value, (*location, key))
    elif isinstance(data, list):
        for at, value in enumerate(data):
            yield from _waiting(value, (*location, at))
    elif data == QUESTION:
        yield location


def _what(location: Location) -> str:
    """Name the question by the keys of the file, never by a local code."""
    if "columns" in location:
        at = location.index("columns") + 1
        field, key = location[at], location[at + 1] if len(location) > at + 1 else "column"
        words = f"the {str(key).replace('_', ' ')} of {field!r}"
        return f"what local codes of {field!r} mean is not said yet" if key == "codes" else f"{words} waits for an answer"
    return f"{'.'.join(str(part) for part in location)!r} waits for an answer"
