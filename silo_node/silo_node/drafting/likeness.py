"""How alike a local column's name is to what a schema says of a field: its name, title and description."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from math import sqrt
from typing import TypeAlias

from silo_node.drafting.words import joined, meanings, named_units, same, split
from wardround.contract.model import Contract, ContractField

Places: TypeAlias = tuple[frozenset[str], ...]
"""The words of a name, each with all that it may mean."""

UNKNOWN_WEIGHT = 0.6
"""What a word counts that no field of the schema has."""
COVERED = 0.55
"""How much it counts that the column's words are the field's, against that the field's are the column's."""
SPELLING_CLOSE = 0.85
"""From this ratio on, two whole names are likely to be one."""
DESCRIBED = 0.5
"""How much a match with the description counts, against one with name or title."""


@dataclass(frozen=True)
class Named:
    """A local column's name, taken apart.

    Attributes:
        name: as the table has it.
        letters: its letters and digits alone.
        places: its words, without the unit that it ends with.
        units: codes of the units that it may name.
    """

    name: str
    letters: str
    places: Places
    units: tuple[str, ...]


def take_apart(name: str) -> Named:
    """Take a column's name apart."""
    base, units = named_units(name)
    return Named(name, joined(base), meanings(split(base)), units)


@dataclass(frozen=True)
class Known:
    """What a schema says of its fields, as words; ``weights``: rare words tell fields apart, common ones do not."""

    variants: Mapping[str, tuple[Places, ...]]
    described: Mapping[str, frozenset[str]]
    weights: Mapping[str, float]

    def likeness(self, column: Named, field: ContractField) -> tuple[float, str]:
        """Give how alike a name is to a field, from 0 to 1, and why in words."""
        letters = joined(field.name)
        if column.letters == letters:
            return 1.0, "the name is the field's"
        best = max((self._overlap(column.places, variant) for variant in self.variants[field.name]), default=0.0)
        spelling = SequenceMatcher(None, column.letters, letters).ratio()
        if spelling >= SPELLING_CLOSE and spelling * 0.9 > best:
            return spelling * 0.9, "the name is spelt almost like the field's"
        words = self.described[field.name]
        described = DESCRIBED * self._share(column.places, [frozenset({word}) for word in words]) if words else 0.0
        if described > best:
            return described, "the field's description has the words of the name"
        return best, "the name says what the field is" if best >= 0.99 else "the name has words of the field"  # noqa: PLR2004

    def _overlap(self, column: Places, field: Places) -> float:
        covered, wanted = self._share(column, field), self._share(field, column)
        return COVERED * covered + (1 - COVERED) * wanted if covered else 0.0

    def _share(self, words: Sequence[frozenset[str]], among: Sequence[frozenset[str]]) -> float:
        """Give the share of some words, by weight, that stand among others."""
        total = found = 0.0
        for place in words:
            weight = max(self.weights.get(word, UNKNOWN_WEIGHT) for word in place)
            total += weight
            found += weight * max((same(left, right) for other in among for left in place for right in other), default=0.0)
        return found / total if total else 0.0


def know(contract: Contract) -> Known:
    """Take apart what a schema says of its fields."""
    variants = {field.name: _variants(field, contract) for field in contract.fields}
    described = {
        field.name: frozenset(word for place in meanings(split(field.description or "")) for word in place)
        for field in contract.fields
    }
    fields_with = Counter(
        word for each in variants.values() for word in {word for places in each for place in places for word in place}
    )
    return Known(variants, described, {word: 1 / sqrt(times) for word, times in fields_with.items()})


def _variants(field: ContractField, contract: Contract) -> tuple[Places, ...]:
    texts = [field.name, *([field.title] if field.title else [])]
    if field.name == contract.patient_key:
        texts += ["patient", "patient id", "patient pseudonym", "pseudonym"]
    elif contract.primary_key == (field.name,):
        texts += ["id", "record id"]
    found = (meanings(split(text)) for text in texts)
    return tuple(dict.fromkeys(places for places in found if places))
