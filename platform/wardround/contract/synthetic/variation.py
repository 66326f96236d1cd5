"""How one made-up hospital differs from another: where its patients lie, how far apart, how many are positive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from wardround.contract import rules


@dataclass(frozen=True)
class Prevalence:
    """A share of the records that have one value of a field, from 0 to 1: label skew. Missing values are left out."""

    field: str
    value: str
    share: float

    def allows(self, record: Mapping[str, rules.Cell], *, positive: bool) -> bool:
        """Say whether a record has the value, or has it not; one that does not say is allowed."""
        value = record[self.field]
        return value is None or (value == self.value) == positive


@dataclass(frozen=True)
class Variation:
    """What of a hospital's records is otherwise than the contract's figures say; they obey the contract all the same.

    Attributes:
        shift: how much higher numbers and dates lie than they would, from -1 to 1: by a standard deviation or so at the ends.
        scale: how far they lie from the middle of theirs, as a part of the usual: above 0, up to 1.
        missing: how many times as often an optional value is missing; what the contract allows is kept.
        prevalence: of a coded field. Which of two records is likelier to have the value does not depend on it.
    """

    shift: float = 0.0
    scale: float = 1.0
    missing: float = 1.0
    prevalence: Prevalence | None = None

    def place(self, where: float) -> float:
        """Move a place in a range, both from 0 to 1; what lay higher lies higher still."""
        near = 0.5 + (where - 0.5) * self.scale
        return near + self.shift * near * (1 - near)


USUAL: Final = Variation()
"""As the contract says."""
