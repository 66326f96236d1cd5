"""What changed between two versions of a contract of images, and how much of a change it is for models and for images.

The classes are those of ``compatibility``. A model learned from images of certain kinds (modality, view, plane, photometric
interpretation): another kind, more or fewer, is another input to it, as another category of a table is. Ranges of numbers and
ways of storing the same pixels are limits: wider is minor, narrower is major.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from wardround.contract.compatibility import Change, Comparison, Grade, bound, compare, texts, version_key, word
from wardround.contract.imaging import ImagingContract, Protocol, Range, TableLink
from wardround.contract.model import Contract
from wardround.errors import refuse

_KINDS = ("modalities", "sop_classes", "views", "photometric", "image_types", "no_image_types", "contrast")
"""What of a protocol makes an image another kind of image."""
_LIMITS = ("transfer_syntaxes", "body_parts")
"""What only limits: how the same pixels are stored, and what is a warning at most."""


def compare_any(old: Contract | ImagingContract, new: Contract | ImagingContract, command: str) -> Comparison:
    """Compare two versions of a contract of either kind.

    Raises:
        Refused: X-USAGE for two of different ids or kinds; ``command`` stands in the message.
    """
    if old.id == new.id:
        if isinstance(old, Contract) and isinstance(new, Contract):
            return compare(old, new)
        if isinstance(old, ImagingContract) and isinstance(new, ImagingContract):
            return compare_images(old, new)
    names = f"{old.id} and {new.id} are two" if old.id != new.id else f"{old.id} is of two kinds"
    raise refuse("X-USAGE", command, "Versions of one schema are compared", names, "name two versions of one")


def compare_images(old: ImagingContract, new: ImagingContract) -> Comparison:
    """Compare two versions of a contract of images, of the same id."""
    found = [*_whole(old, new), *_protocol(old.protocol, new.protocol), *_geometry(old, new), *_contents(old, new)]
    found += [*_label(old, new), *_table(old.table, new.table)]
    if not found and old.contract_hash() != new.model_copy(update={"version": old.version}).contract_hash():
        found.append(Change(Grade.PATCH, "schema", "the same parts stand in another order, or are written differently"))
    return Comparison(old, new, tuple(sorted(found, key=lambda change: -change.grade)))


def _whole(old: ImagingContract, new: ImagingContract) -> Iterator[Change]:
    where = "schema"
    if old.status != new.status:
        yield Change(Grade.PATCH, where, f"status from {old.status} to {new.status}")
    yield from texts(where, old, new, ("title", "description"))
    if old.sources != new.sources:
        yield Change(Grade.PATCH, where, "other sources")
    for key in ("format", "example"):
        yield from _other(where, key, getattr(old, key), getattr(new, key))
    yield from _other(where, "patientKey", old.patient_key, new.patient_key)
    yield from bound(where, "minimum_examples", old.minimum_examples, new.minimum_examples, lower=True)


def _protocol(old: Protocol | None, new: Protocol | None) -> Iterator[Change]:
    if old is None or new is None:
        return  # another format, which is said
    where = "protocol"
    for key in _KINDS:
        before, after = getattr(old, key), getattr(new, key)
        if (set(before) != set(after)) if isinstance(before, tuple) else before != after:
            yield Change(Grade.MAJOR, where, f"{key} from {_all(before)} to {_all(after)}")
    for key in _LIMITS:
        yield from _allowed(where, key, getattr(old, key), getattr(new, key))
    yield from _range(where, "bits_stored", old.bits_stored, new.bits_stored)


def _geometry(old: ImagingContract, new: ImagingContract) -> Iterator[Change]:
    where, before, after = "geometry", old.geometry, new.geometry
    for key in ("dimensions", "plane"):
        yield from _other(where, key, getattr(before, key), getattr(after, key))
    for key in ("rows", "columns", "pixel_spacing", "slice_step", "slice_thickness", "slices"):
        yield from _range(where, key, getattr(before, key), getattr(after, key))
    yield from bound(where, "step_tolerance", before.step_tolerance, after.step_tolerance, lower=False)


def _contents(old: ImagingContract, new: ImagingContract) -> Iterator[Change]:
    """Intensity, tags, privacy: what is asked for beyond the protocol."""
    yield from _other("intensity", "unit", old.intensity.unit, new.intensity.unit)
    yield from _range("intensity", "possible", old.intensity.possible, new.intensity.possible)
    for key in ("required", "forbidden"):
        before, after = getattr(old.tags, key), getattr(new.tags, key)
        if added := [name for name in after if name not in before]:
            yield Change(Grade.MAJOR, "tags", f"{key} from now on: {', '.join(added)}")
        if removed := [name for name in before if name not in after]:
            yield Change(Grade.MINOR, "tags", f"no longer {key}: {', '.join(removed)}")
    yield from _other("privacy", "profile", old.privacy.profile, new.privacy.profile)
    if old.privacy.declared != new.privacy.declared:
        grade = Grade.MAJOR if new.privacy.declared else Grade.MINOR
        yield Change(grade, "privacy", f"declared from {word(old.privacy.declared)} to {word(new.privacy.declared)}")
    if old.privacy.burned_in != new.privacy.burned_in:
        grade = Grade.MAJOR if new.privacy.burned_in == "refuse" else Grade.MINOR
        yield Change(grade, "privacy", f"burned_in from {old.privacy.burned_in} to {new.privacy.burned_in}")


def _label(old: ImagingContract, new: ImagingContract) -> Iterator[Change]:
    """What is predicted, and in which order, is what a model gives."""
    for key in ("kind", "fields", "format", "path"):
        yield from _other("label", key, getattr(old.label, key), getattr(new.label, key))
    before, after = old.label.classes, new.label.classes
    for number in dict.fromkeys([*before, *after]):
        if before.get(number) != after.get(number):
            yield Change(Grade.MAJOR, "label", f"class {number} from {word(before.get(number))} to {word(after.get(number))}")
    if old.label.empty != new.label.empty:
        grade = Grade.MAJOR if new.label.empty == "refused" else Grade.MINOR
        yield Change(grade, "label", f"empty from {old.label.empty} to {new.label.empty}")


def _table(old: TableLink | None, new: TableLink | None) -> Iterator[Change]:
    if old is None or new is None:
        if old is not new:
            yield Change(Grade.MAJOR, "table", "added" if old is None else "dropped")
        return
    for key in ("id", "grain", "keys", "path"):
        yield from _other("table", key, getattr(old, key), getattr(new, key))
    if old.id == new.id and old.version != new.version:
        yield Change(_step(old.version, new.version), "table", f"version from {old.version} to {new.version}")


def _step(old: str, new: str) -> Grade:
    """Give the class of a step from one version of the table contract to another, by its number."""
    before, after = version_key(old), version_key(new)
    if after < before or after[0] != before[0] or (after[0] == 0 and after[1] != before[1]):
        return Grade.MAJOR
    return Grade.MINOR if after[:2] != before[:2] else Grade.PATCH


def _other(where: str, key: str, old: object, new: object) -> Iterator[Change]:
    if old != new:
        yield Change(Grade.MAJOR, where, f"{key} from {_all(old)} to {_all(new)}")


def _allowed(where: str, key: str, old: Sequence[str], new: Sequence[str]) -> Iterator[Change]:
    """Compare lists of what is allowed; an empty one allows everything."""
    if set(old) != set(new):
        stricter = bool(new) and (not old or not set(old) <= set(new))
        yield Change(Grade.MAJOR if stricter else Grade.MINOR, where, f"{key} from {_all(old)} to {_all(new)}")


def _range(where: str, key: str, old: Range | None, new: Range | None) -> Iterator[Change]:
    if old is None or new is None:
        if old is not new:
            yield Change(Grade.MINOR if new is None else Grade.MAJOR, where, f"{key} " + ("dropped" if new is None else "added"))
        return
    yield from bound(where, f"{key}.low", old.low, new.low, lower=True)
    yield from bound(where, f"{key}.high", old.high, new.high, lower=False)


def _all(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {part}" for key, part in value.items()) or "none"
    return "any" if value == () else word(value)
