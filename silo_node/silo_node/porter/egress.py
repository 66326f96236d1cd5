"""Hold an outgoing result against the egress manifest: what the manifest does not name does not leave.

A result is taken apart into its single values. Each has a place that the manifest names for this kind of visit, is of the kind
that stands there, within its range or of its words, and no more of them are there than the manifest says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
from pydantic import BaseModel, TypeAdapter, ValidationError

from silo_node.porter.manifest import EgressManifest, Figure, Integers, LargeIntegers, Tensor, Values, Words
from silo_node.work import Done, NotDone
from wardround.canonical import Json
from wardround.ledger.entries import BlockedPart
from wardround.messages.data_report import DataReport
from wardround.messages.round import Purpose, Result, StatisticsResult
from wardround.study.bundle import Bundle
from wardround.study.kind import fits, predicted
from wardround.weights.packing import Vector

_RESULT: TypeAdapter[Result] = TypeAdapter(Result)
MOST_PARTS = 100
"""Parts of a result that a ledger's entry names at most."""


def beyond(done: Done, purpose: Purpose, manifest: EgressManifest) -> tuple[BlockedPart, ...]:
    """Say what of a result the manifest does not let out; nothing if all of it may leave."""
    visit = manifest.visit(purpose)
    if not _is_closed(done.result, _RESULT) or done.result.purpose != purpose:
        return (BlockedPart(why="kind"),)
    result = done.result.model_dump(mode="json", by_alias=True, exclude={"purpose"})
    parts = list(_beyond({"records": done.records, "result": result}, visit.figures))
    if not _are_tensors(done.change, visit.tensors):
        parts.append(BlockedPart(why="tensors"))
    return _once(parts)


def of_another_kind(done: Done, bundle: Bundle) -> tuple[BlockedPart, ...]:
    """Say that an evaluation is none that the study's target has: of another kind, or of another number of classes."""
    if isinstance(done.result, StatisticsResult) or done.result.evaluation.counts is None:
        return ()
    right = fits(done.result.evaluation.counts, predicted(bundle.study, bundle.contract))
    return () if right else (BlockedPart(why="kind"),)


def beyond_a_code(refused: NotDone, purpose: Purpose, manifest: EgressManifest) -> tuple[BlockedPart, ...]:
    """Say what goes with the code of a refusal and may not."""
    report = refused.report
    if report is not None and not _is_closed(report, TypeAdapter(DataReport)):
        return (BlockedPart(why="kind"),)
    found: dict[str, Json] = {
        "report": None if report is None else report.model_dump(mode="json", by_alias=True),
        "exponents": None if refused.exponents is None else list(refused.exponents),
    }
    return _once(_beyond(found, manifest.with_code(refused.code, purpose)))


def _is_closed(value: object, reader: TypeAdapter[Result] | TypeAdapter[DataReport]) -> bool:
    """Say whether a value is exactly one of the closed types, all through: it reads back as itself, and holds nothing beside."""
    if not isinstance(value, BaseModel):
        return False
    try:
        again = reader.validate_json(value.model_dump_json(by_alias=True, warnings=False))
    except (ValidationError, ValueError, TypeError, AttributeError):  # a value that was put together by hand
        return False
    return again == value and not _holds_more(value)


def _holds_more(value: object) -> bool:
    """Say whether a model, or one inside it, has an attribute that its type does not have."""
    if isinstance(value, BaseModel):
        held = vars(value)
        return held.keys() != type(value).model_fields.keys() or any(_holds_more(each) for each in held.values())
    return isinstance(value, tuple) and any(_holds_more(each) for each in value)


def _beyond(content: dict[str, Json], figures: Iterable[Figure]) -> Iterator[BlockedPart]:
    """Find the values that no figure names, or that are none of those at their place."""
    named = {each.place: each for figure in figures for each in figure.values}
    seen: Counter[str] = Counter()
    words: Counter[tuple[str, str]] = Counter()
    for place, value in _leaves(content):
        known = named.get(place)
        if value is None:
            continue  # withheld, or not there
        if known is None:
            yield BlockedPart(why="unnamed")  # its place may be anything: it is not written down
            continue
        seen[place] += 1
        words[place, str(value)] += 1
        if not _belongs(value, known):
            yield BlockedPart(why="word" if isinstance(known, Words) else "range", place=place)
        elif seen[place] > known.numbers or (isinstance(known, Words) and known.once and words[place, str(value)] > 1):
            yield BlockedPart(why="number", place=place)


def _leaves(value: Json, place: str = "") -> Iterator[tuple[str, Json]]:
    """Give every single value with its place."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _leaves(each, f"{place}.{key}" if place else key)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _leaves(each, f"{place}.*")
    else:
        yield place, value


def _belongs(value: Json, known: Values) -> bool:
    """Say whether a value is one of those that may stand at a place; true is no 1 here."""
    match known:
        case Integers():
            return type(value) is int and known.least <= value <= known.most
        case LargeIntegers():
            return isinstance(value, str) and value.isascii() and value.isdigit() and int(value) < 1 << known.bits
        case Words():
            return isinstance(value, str) and value in known.words
    return isinstance(value, bool)


def _are_tensors(change: Vector | None, tensors: tuple[Tensor, ...]) -> bool:
    """Say whether a change is exactly these tensors, packed one after the other."""
    if change is None or not tensors:
        return change is None and not tensors
    size = sum(int(np.prod(tensor.shape, dtype=np.int64)) for tensor in tensors)
    return change.dtype == np.float32 and change.shape == (size,) and change.nbytes == sum(tensor.bytes for tensor in tensors)


def _once(parts: Iterable[BlockedPart]) -> tuple[BlockedPart, ...]:
    return tuple(dict.fromkeys(parts))[:MOST_PARTS]
