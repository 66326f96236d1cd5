"""The distributions that left this hospital, so that no two of them can be subtracted from one another.

    journal/distributions.json    what left of each field of each schema, over all studies; readable by the hospital only

Each study divides the records anew, and records change: of one field two tellings over nearly the same records would differ by
a few of them, or hide different cells. So a field that was told is told again only where nothing small follows from both. A
hospital tells the distributions of a schema once, and then as they are until its records are clearly others.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from silo_node.porter.memory import JOURNAL
from wardround.canonical import canonical_bytes, model_json
from wardround.contract.model import Contract
from wardround.files import remove_leftovers, write_atomic
from wardround.messages.distribution import FieldDistribution, follows_by_few, scale_of, withheld
from wardround.values import SchemaId, Sha256, Value

FILE = "distributions.json"


class ToldField(Value):
    """A field that was shown: of which schema, on which cells."""

    schema_id: SchemaId
    scale: Sha256
    told: FieldDistribution


class _Told(Value):
    """Everything that left, each different telling once."""

    format: int = 1
    fields: tuple[ToldField, ...] = ()


class ToldDistributions:
    """What one hospital has told of its fields."""

    def __init__(self, folder: Path) -> None:
        """Take the hospital's directory; it has one porter at a time, which alone writes here."""
        self._path = folder / JOURNAL / FILE

    def weighed(
        self, fields: tuple[FieldDistribution, ...], contract: Contract, small_cell: int
    ) -> tuple[FieldDistribution, ...]:
        """Give the fields as they may leave after those that left before; none where those cannot be read."""
        told = self._read()
        return tuple(
            withheld(each.field, "told") if told is None or _follows(each, contract, told, small_cell) else each
            for each in fields
        )

    def remember(self, fields: tuple[FieldDistribution, ...], contract: Contract) -> None:
        """Write down what is about to leave; nothing where the file cannot be read: then nothing shown leaves.

        Raises:
            Refused: O-WRITE when the disk does not take it; then it may not leave.
        """
        told = self._read()
        if told is None:
            return
        new = [
            entry for entry in (_entry(each, contract) for each in fields if each.withheld is None) if entry not in told.fields
        ]
        if new:
            remove_leftovers(self._path)
            written = told.model_copy(update={"fields": (*told.fields, *new)})
            write_atomic(self._path, canonical_bytes(model_json(written)), mode=0o600)

    def _read(self) -> _Told | None:
        try:
            return _Told.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return _Told()
        except (OSError, ValidationError):
            return None


def _entry(told: FieldDistribution, contract: Contract) -> ToldField:
    return ToldField(schema_id=contract.id, scale=scale_of(contract, told.field).scale_digest(), told=told)


def _follows(each: FieldDistribution, contract: Contract, told: _Told, small_cell: int) -> bool:
    """Say whether something small can follow from a field and what was told of it; other cells are never told."""
    if each.withheld is not None:
        return False
    new = _entry(each, contract)
    before = [old for old in told.fields if (old.schema_id, old.told.field) == (new.schema_id, each.field)]
    return any(old.scale != new.scale or follows_by_few(old.told, each, small_cell) for old in before)
