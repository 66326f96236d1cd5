"""Hold a study's records of now against those that were approved: how many came and went, and how each field has moved.

Both are held in full, so nothing is withheld and nothing is chance: a difference is there, or it is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

import numpy as np

from silo_node.changed import words
from silo_node.changed.picture import FieldPicture, Members, Picture, Taken
from wardround.comparison import (
    MEAN_LARGE,
    MEAN_LOOK,
    PSI_LARGE,
    PSI_LOOK,
    SHARE_LARGE,
    SHARE_LOOK,
    psi,
    standardised_difference,
    suspected_unit,
)
from wardround.contract.model import Contract
from wardround.messages.distribution import scale_of
from wardround.study.bundle import Bundle
from wardround.values import Count, FieldName, Fraction, Sha256, Value

Level: TypeAlias = Literal["as before", "moderate", "large"]
ORDER: tuple[Level, ...] = ("large", "moderate", "as before")


class FieldChange(Value):
    """How one field has moved.

    Attributes:
        psi: population stability index of the values of now against those before; None where nothing can be compared.
        difference: of the means, in standard deviations; of a number only.
        missing, missing_before: shares of records without a value; ``positive``: with the target's positive value.
        unit: in which the values seem to be now, where it is not the schema's.
        words: what is noticeable, a sentence each.
    """

    field: FieldName
    title: str
    before: FieldPicture
    now: FieldPicture
    level: Level
    psi: float | None = None
    difference: float | None = None
    missing_before: Fraction
    missing: Fraction
    positive_before: Fraction | None = None
    positive: Fraction | None = None
    unit: str | None = None
    words: tuple[str, ...] = ()


class Change(Value):
    """How the records have changed.

    Attributes:
        added, removed: records of which the key is new, or gone; ``edited``: with other content under the same key. None where
            there are too many records for it, or their digests are lost.
    """

    kind: Literal["records-changed"] = "records-changed"
    format: Literal[1] = 1
    study_hash: Sha256
    before: Picture
    now: Picture
    added: Count | None
    removed: Count | None
    edited: Count | None
    fields: tuple[FieldChange, ...]

    @property
    def worst_first(self) -> list[FieldChange]:
        """Give the fields, those that moved most first."""
        return sorted(self.fields, key=lambda each: (each.unit is None, ORDER.index(each.level), -(each.psi or 0.0)))


def compare(bundle: Bundle, before: Taken, now: Taken) -> Change:
    """Compare two pictures of a study's records."""
    old = {each.field: each for each in before.picture.fields}
    fields = [(old[each.field], each) for each in now.picture.fields if each.field in old]
    added, removed, edited = _came_and_went(before.members, now.members)
    return Change(
        study_hash=bundle.study_hash,
        before=before.picture,
        now=now.picture,
        added=added,
        removed=removed,
        edited=edited,
        fields=tuple(_field(bundle, *pair) for pair in fields if pair[0].scale == pair[1].scale),
    )


def _came_and_went(before: Members | None, now: Members | None) -> tuple[int | None, int | None, int | None]:
    if before is None or now is None:
        return None, None, None
    added = np.setdiff1d(now[:, 0], before[:, 0]).size
    removed = np.setdiff1d(before[:, 0], now[:, 0]).size
    _, then, today = np.intersect1d(before[:, 0], now[:, 0], return_indices=True)
    return added, removed, int((before[then, 1] != now[today, 1]).sum())


def _field(bundle: Bundle, before: FieldPicture, now: FieldPicture) -> FieldChange:
    contract, target = bundle.contract, bundle.study.target
    scale = scale_of(contract, now.field)
    held = [(a, b) for a, b in zip(now.counts[:-1], before.counts[:-1], strict=True) if a or b]
    index = psi([a for a, _ in held], [b for _, b in held])
    then, today = before.moments, now.moments
    looked_for = target.looked_for(now.field)
    positive = None if looked_for is None else scale.values.index(looked_for)
    found = FieldChange(
        field=now.field,
        title=contract.field(now.field).title or now.field,
        before=before,
        now=now,
        level="as before",
        psi=index,
        difference=standardised_difference(today, then) if then and today else None,
        missing_before=before.share(-1),
        missing=now.share(-1),
        positive_before=None if positive is None else before.share(positive),
        positive=None if positive is None else now.share(positive),
        unit=suspected_unit(contract.field(now.field), today, then) if then and today else None,
    )
    told = list(_told(found, contract))
    worst = min((level for level, _ in told), key=ORDER.index, default="as before")
    return found.model_copy(update={"level": worst, "words": tuple(text for _, text in told)})


def _told(found: FieldChange, contract: Contract) -> Iterator[tuple[Level, str]]:
    """Say what is noticeable of a field; values in another unit have moved because of it."""
    then, today = found.before.moments, found.now.moments
    if found.unit is not None and then and today:
        yield "large", words.unit(found.unit, contract.field(found.field).unit or "", today.mean / then.mean)
    else:
        if found.psi is not None and (level := _level(found.psi, PSI_LOOK, PSI_LARGE)):
            yield level, words.values(found.psi, level == "large")
        if found.difference is not None and then and today:
            level = _level(abs(found.difference), MEAN_LOOK, MEAN_LARGE)
            if level:
                yield level, words.mean(found.difference, then.mean, today.mean)
    if level := _level(abs(found.missing - found.missing_before), SHARE_LOOK, SHARE_LARGE):
        yield level, words.missing(found.missing_before, found.missing)
    if found.positive is not None and found.positive_before is not None:
        level = _level(abs(found.positive - found.positive_before), SHARE_LOOK, SHARE_LARGE)
        if level:
            yield level, words.positive(found.positive_before, found.positive)


def _level(value: float, look: float, large: float) -> Level | None:
    if value < look:
        return None
    return "large" if value >= large else "moderate"
