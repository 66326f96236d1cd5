"""What the words of a name mean: small letters without accents, taken apart, and led back to English (``words.yaml``)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache, lru_cache
from importlib.resources import files

from wardround.contract import units
from wardround.strict_yaml import parse, parse_text
from wardround.values import Value

LONGEST_FORM = 4
"""Words of a name that may make one form together."""
SHORTEST_HALF = 3
"""Letters of a form that stands within a longer word."""
CLOSE = 0.84
"""From this ratio on, two long words are one word, written otherwise."""
SHORTEST_STEM = 4
"""Letters by which an abbreviation is known."""

_STOP = frozenset(
    {"of", "the", "and", "a", "an", "in", "at", "by", "or", "to", "for"}
    | {"der", "die", "das", "des", "von", "im", "am", "und", "le", "la", "les", "de", "du", "el", "los", "y", "en"}
)
_CAMEL = re.compile(r"(?<=[a-zäöü])(?=[A-ZÄÖÜ])|(?<=[A-Za-z])(?=[0-9])|(?<=[0-9])(?=[A-Za-z])")
_BRACKETS = re.compile(r"[\[(]([^\])]{1,20})[\])]")
_UMLAUTS = {"ä": "ae", "ö": "oe", "ü": "ue"}


class _Table(Value):
    names: dict[str, tuple[str, ...]]
    codes: dict[str, tuple[str, ...]]
    units: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class _Forms:
    """Local form → English words, one form to several meanings."""

    names: Mapping[str, tuple[tuple[str, ...], ...]]
    codes: Mapping[str, frozenset[str]]


def plain(text: str) -> str:
    """Give a text in small letters, without accents."""
    letters = unicodedata.normalize("NFKD", text.replace("ß", "ss").replace("µ", "u").lower())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def split(text: str) -> tuple[str, ...]:
    """Take a name apart into plain words."""
    return tuple(word for word in re.split(r"[^a-z0-9+]+", plain(_CAMEL.sub(" ", text))) if word and word not in _STOP)


def joined(text: str) -> str:
    """Give a name's letters and digits alone."""
    return re.sub(r"[^a-z0-9+]+", "", plain(text))


@cache
def _table() -> _Table:
    text = files("silo_node.drafting").joinpath("words.yaml").read_text(encoding="utf-8")
    return parse(_Table, parse_text(text, "words.yaml"))


@cache
def _forms() -> _Forms:
    table = _table()
    names: dict[str, list[tuple[str, ...]]] = {}
    codes: dict[str, set[str]] = {}
    for meaning, forms in table.names.items():
        for form in (meaning, *forms):
            for written in _written(form):
                names.setdefault(written, []).append(tuple(meaning.split()))
    for meaning, forms in table.codes.items():
        for form in (meaning, *forms):
            for written in _written(form):
                codes.setdefault(written, set()).add(meaning)
    return _Forms(
        {form: tuple(dict.fromkeys(found)) for form, found in names.items()},
        {form: frozenset(found) for form, found in codes.items()},
    )


def _written(form: str) -> set[str]:
    spelt = form
    for letter, pair in _UMLAUTS.items():
        spelt = spelt.replace(letter, pair)
    return {joined(form), joined(spelt)}


@lru_cache(maxsize=2**12)
def meanings(words: tuple[str, ...]) -> tuple[frozenset[str], ...]:
    """Lead words back to English: for each place, all that it may mean.

    The longest forms count; a word that is not known means itself.
    """
    found: list[frozenset[str]] = []
    at = 0
    while at < len(words):
        for length in range(min(LONGEST_FORM, len(words) - at), 0, -1):
            readings = _forms().names.get("".join(words[at : at + length]))
            if readings:
                # of a form with two meanings of several words, one place holds the words of both
                found.extend(_places(readings, words[at] if length == 1 else None))
                at += length
                break
        else:
            halves = _halves(words[at])
            found.extend(meanings(halves) if halves else [frozenset({words[at]})])
            at += 1
    return tuple(found)


def _halves(word: str) -> tuple[str, str] | None:
    """Part a word that is two known forms written as one: momfrac is mom and frac."""
    for cut in range(len(word) - SHORTEST_HALF, SHORTEST_HALF - 1, -1):
        if word[:cut] in _forms().names and word[cut:] in _forms().names:
            return word[:cut], word[cut:]
    return None


def _places(readings: tuple[tuple[str, ...], ...], itself: str | None) -> list[frozenset[str]]:
    longest = max(len(each) for each in readings)
    if longest == 1:
        words = {each[0] for each in readings}
        return [frozenset(words | {itself} if itself else words)]
    return [frozenset(each[at] for each in readings if at < len(each)) for at in range(longest)]


@lru_cache(maxsize=2**16)
def same(left: str, right: str) -> float:
    """Say how surely two words are one: 1 when equal, less for a stem or a slip of the pen, 0 else."""
    if left == right:
        return 1.0
    short, long = sorted((left, right), key=len)
    if len(short) >= SHORTEST_STEM and long.startswith(short):
        return 0.85
    if len(short) > SHORTEST_STEM and SequenceMatcher(None, left, right).ratio() >= CLOSE:
        return 0.8
    return 0.0


def code_meanings(text: str) -> frozenset[str]:
    """Give what a local code may mean; nothing when it is in no list."""
    return _forms().codes.get(joined(text) or plain(text.strip()), frozenset())


# --------------------------------------------------------------------------------------------------------------- units


@cache
def _spellings() -> Mapping[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for unit in units.table().values():
        for written in (unit.code, *unit.written):
            found.setdefault(_unit_form(written), []).append(unit.code)
    for code, forms in _table().units.items():
        for written in forms:
            found.setdefault(_unit_form(written), []).append(code)
    return {form: tuple(dict.fromkeys(codes)) for form, codes in found.items()}


def _unit_form(text: str) -> str:
    return re.sub(r"[\[\]\s_.]", "", plain(text))


def named_units(name: str) -> tuple[str, tuple[str, ...]]:
    """Give a name without the unit that it ends with, and the codes of the units that this may be."""
    bracket = _BRACKETS.search(name)
    if bracket is not None and (codes := _spellings().get(_unit_form(bracket[1]))):
        return (name[: bracket.start()] + name[bracket.end() :]).strip(), codes
    words = re.split(r"[_\s]+", name)
    for length in (2, 1):
        tail = words[-length:]
        if len(words) <= length:
            continue
        for form in ("/".join(tail), "".join(tail)):
            codes = _spellings().get(_unit_form(form)) or _without_slash().get(_unit_form(form))
            if codes and len(_unit_form(form)) > 1:
                return " ".join(words[:-length]), codes
    return name, ()


@cache
def _without_slash() -> Mapping[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for form, codes in _spellings().items():
        if "/" in form:
            found.setdefault(form.replace("/", ""), []).extend(codes)
    return {form: tuple(codes) for form, codes in found.items()}
