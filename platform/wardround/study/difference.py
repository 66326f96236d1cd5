"""What changed between two study bundles, place by place: what a person looks at who approved the one and is asked for the other.

Everything that decides the study hash is compared, who signed as the author, and the versions of the packages that made the
bundle. Entries of a
list that have a name of their own (fields, rules, hospitals, tensors) are compared by it, other lists as one value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from wardround import PROTOCOL
from wardround.canonical import Json, canonical_bytes, model_json, sha256
from wardround.contract.library import AnyContract
from wardround.study.bundle import ALGORITHMS, Bundle
from wardround.weights.packing import as_wire

NAMES = ("site", "name", "id")
"""What names an entry of a list, the first that all entries have."""


@dataclass(frozen=True)
class Difference:
    """One place at which two bundles differ.

    Attributes:
        place: dotted path, such as ``study.rounds.maximum``, ``contract.fields.age.unit`` or ``roster.silos.west``.
        before, after: the values there; None stands for JSON's null, and for a place that the other bundle does not have.
    """

    place: str
    change: Literal["changed", "added", "removed"]
    before: Json
    after: Json

    def as_json(self) -> dict[str, Json]:
        """Give the difference for programs."""
        return {"place": self.place, "change": self.change, "before": self.before, "after": self.after}


def differences(before: Bundle, after: Bundle) -> list[Difference]:
    """Give all places at which two bundles differ, in the order of their paths; none when their study hashes are the same.

    (The author's signature and the versions of packages are no part of the hash: they may differ between bundles of one study.)
    """
    return list(_compare("", _document(before), _document(after)))


def contract_differences(before: AnyContract, after: AnyContract) -> list[Difference]:
    """Give all places at which two contracts differ, as ``differences`` does."""
    return list(_compare("contract", model_json(before), model_json(after)))


def _document(bundle: Bundle) -> dict[str, Json]:
    return {
        "algorithms": ALGORITHMS,
        "author": None if bundle.author is None else model_json(bundle.author),
        "contract": model_json(bundle.contract),
        "imaging": None if bundle.imaging is None else model_json(bundle.imaging),
        "initial_weights": sha256(as_wire(bundle.weights)),
        "packages": dict(bundle.versions.packages),
        "protocol": PROTOCOL,
        "roster": model_json(bundle.roster),
        "study": model_json(bundle.study),
        "tensors": model_json(bundle.manifest)["tensors"],
    }


def _compare(place: str, before: Json, after: Json) -> Iterator[Difference]:
    old, new = _parts(before), _parts(after)
    if old is None or new is None:
        if canonical_bytes(before) != canonical_bytes(after):  # as bytes: 1 is not true, and 0 is not false
            yield Difference(place, "changed", before, after)
        return
    found = [each for name in sorted({*old, *new}) for each in _at(f"{place}.{name}" if place else name, name, old, new)]
    if not found and list(old) != list(new) and isinstance(before, list):
        found = [Difference(place, "changed", list(old), list(new))]  # the same entries in another order
    yield from found


def _at(place: str, name: str, old: dict[str, Json], new: dict[str, Json]) -> Iterator[Difference]:
    if name not in new:
        yield Difference(place, "removed", old[name], None)
    elif name not in old:
        yield Difference(place, "added", None, new[name])
    else:
        yield from _compare(place, old[name], new[name])


def _parts(value: Json) -> dict[str, Json] | None:
    """Give what a value is made of, by name; None for what is compared whole."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, list):
        return None
    entries = [each for each in value if isinstance(each, dict)]
    for key in NAMES:
        names = [str(each[key]) for each in entries if key in each]
        if value and len(names) == len(value) and len(set(names)) == len(names):
            return dict(zip(names, value, strict=True))
    return None
