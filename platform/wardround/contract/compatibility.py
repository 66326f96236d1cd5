"""What changed between two versions of a schema, and how much of a change it is for models and for records.

Every difference has a class, in the words of semantic versioning:

* ``major``: a record, a table or a site file that was in order may be so no longer, or the same text or number now means
  something else, to people or to a model. Whatever moves the codes of a model's inputs is major: a new category too.
* ``minor``: all that was in order still is and means the same; more is accepted, or more is said.
* ``patch``: words.

Where it cannot be told whether something became stricter (another pattern, another rule), it is taken as stricter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import IntEnum

from wardround.contract.imaging import ImagingContract
from wardround.contract.model import CheckSetting, Contract, ContractField, Longitudinal, MissingMark, Reference, Rule
from wardround.contract.rules import parse, unparse
from wardround.errors import Problem


class Grade(IntEnum):
    """How much a difference is; its name in small letters is its class."""

    PATCH = 1
    MINOR = 2
    MAJOR = 3

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Change:
    """One difference: where it is, and what it is in plain words."""

    grade: Grade
    where: str
    what: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two versions of one schema and all that differs, the largest first."""

    old: Contract | ImagingContract
    new: Contract | ImagingContract
    changes: tuple[Change, ...]

    @property
    def grade(self) -> Grade | None:
        """The class of the largest change; None when nothing changed."""
        return max((change.grade for change in self.changes), default=None)

    @property
    def required_version(self) -> str:
        """The smallest version that the changes allow."""
        return required_version(self.old.version, self.grade)

    @property
    def same_encoding(self) -> bool | None:
        """Whether a model sees the same in both tables; None of images, whose encoding has no hash."""
        if isinstance(self.old, Contract) and isinstance(self.new, Contract):
            return self.old.encoding_hash() == self.new.encoding_hash()
        return None

    def problems(self) -> list[Problem]:
        """Give S-COMPAT when the new version's number is too small for what changed."""
        if version_key(self.new.version) >= version_key(self.required_version):
            return []
        if version_key(self.new.version) < version_key(self.old.version):
            finding = f"the second one, {self.new.version}, is older than the first, {self.old.version}"
            next_step = "name the older version first"
        else:
            finding = f"since {self.old.version} there is a {self.grade} change ({self.changes[0].where}: {self.changes[0].what})"
            next_step = f"give it the version {self.required_version} or a later one, or take the change back"
        rule = "The number of a version says how much changed for records and models"
        return [Problem("S-COMPAT", f"{self.new.id} {self.new.version}", rule, finding, next_step)]


def version_key(version: str) -> tuple[int, ...]:
    """Give what versions are ordered by."""
    return tuple(int(part) for part in version.split("."))


def required_version(old: str, grade: Grade | None) -> str:
    """Give the smallest version that may follow.

    Below 1.0.0 nothing is promised yet: a major change raises the second number, all others the third.
    """
    major, minor, patch = version_key(old)
    if grade is None:
        return old
    if major == 0:
        return f"0.{minor + 1}.0" if grade is Grade.MAJOR else f"0.{minor}.{patch + 1}"
    match grade:
        case Grade.MAJOR:
            return f"{major + 1}.0.0"
        case Grade.MINOR:
            return f"{major}.{minor + 1}.0"
        case _:
            return f"{major}.{minor}.{patch + 1}"


def compare(old: Contract, new: Contract) -> Comparison:
    """Compare two versions of a schema, of the same id."""
    found = [*_schema(old, new), *_fields(old, new), *_rules(old.rules, new.rules)]
    found += [*_longitudinal(old.longitudinal, new.longitudinal), *_checks(old.checks, new.checks)]
    if not found and old.contract_hash() != new.model_copy(update={"version": old.version}).contract_hash():
        found.append(Change(Grade.PATCH, "schema", "the same parts stand in another order, or are written differently"))
    return Comparison(old, new, tuple(sorted(found, key=lambda change: -change.grade)))


# ------------------------------------------------------------------------------------------------- the whole schema


def _schema(old: Contract, new: Contract) -> Iterator[Change]:
    where = "schema"
    if old.status != new.status:
        yield Change(Grade.PATCH, where, f"status from {old.status} to {new.status}")
    yield from texts(where, old, new, ("title", "description"))
    if old.sources != new.sources:
        yield Change(Grade.PATCH, where, "other sources")
    if old.row_grain != new.row_grain:
        yield Change(Grade.MAJOR, where, "row_grain says something else, so a row may be another thing")
    if set(old.primary_key) != set(new.primary_key):
        yield Change(Grade.MAJOR, where, f"primaryKey from {_listed(old.primary_key)} to {_listed(new.primary_key)}")
    if old.patient_key != new.patient_key:
        yield Change(Grade.MAJOR, where, f"patientKey from {old.patient_key} to {new.patient_key}")
    if old.fields_match != new.fields_match:
        grade = Grade.MINOR if new.fields_match == "superset" else Grade.MAJOR
        yield Change(grade, where, f"fieldsMatch from {old.fields_match} to {new.fields_match}")
    everywhere = [field for field in new.fields if field.name in old.names]
    yield from _marks(where, "missingValues", old.missing_values, new.missing_values, everywhere)
    for key in ("min_records", "min_patients"):
        yield from bound(where, f"limits.{key}", getattr(old.limits, key), getattr(new.limits, key), lower=True)


def _fields(old: Contract, new: Contract) -> Iterator[Change]:
    for name in old.names:
        if name not in new.names:
            yield Change(Grade.MAJOR, f"field {name}", "removed")
    for field in new.fields:
        if field.name not in old.names:
            yield _added(field)
    kept = [name for name in old.names if name in new.names]
    if kept != [name for name in new.names if name in old.names]:
        yield Change(Grade.MAJOR, "schema", "the fields stand in another order")
    for name in kept:
        yield from _field(old.field(name), new.field(name))


def _added(field: ContractField) -> Change:
    """A site file that does not map a field still fits if the field is optional and may be missing altogether."""
    where = f"field {field.name}"
    if field.required:
        return Change(Grade.MAJOR, where, "added, and required: no record had it")
    if field.missing.max_fraction < 1:
        return Change(Grade.MAJOR, where, "added, optional, but a hospital that never recorded it is not in order")
    return Change(Grade.MINOR, where, "added, optional")


# ----------------------------------------------------------------------------------------------------------- a field


def _field(old: ContractField, new: ContractField) -> Iterator[Change]:
    where = f"field {old.name}"
    yield from texts(where, old, new, ("title", "description"))
    for key in ("type", "unit", "privacy"):
        before, after = getattr(old, key), getattr(new, key)
        if before != after:
            yield Change(Grade.MAJOR, where, f"{key} from {word(before)} to {word(after)}")
    yield from _meaning(where, "concept", old.concept, new.concept)
    yield from _analyte(where, old.analyte, new.analyte)
    if old.code_system != new.code_system:
        grade = Grade.MINOR if new.code_system is None else Grade.MAJOR
        yield Change(grade, where, f"code_system from {word(old.code_system)} to {word(new.code_system)}")
    for key in ("free_text", "investigative"):
        before, after = getattr(old, key), getattr(new, key)
        if before != after:
            yield Change(Grade.MINOR if after else Grade.MAJOR, where, f"{key} from {word(before)} to {word(after)}")
    yield from _categories(where, old, new)
    if old.type == new.type:  # the limits of another type are not comparable
        yield from _constraints(where, old, new)
        yield from _plausible(where, old, new)
    yield from _missing(where, old, new)
    yield from _reference(where, old.reference, new.reference)


def _analyte(where: str, old: str | None, new: str | None) -> Iterator[Change]:
    """Whose analyte is named takes more units than before; site files may need those units, or their factors, from then on."""
    if old != new:
        yield Change(Grade.MINOR if old is None else Grade.MAJOR, where, f"analyte from {word(old)} to {word(new)}")


def _constraints(where: str, old: ContractField, new: ContractField) -> Iterator[Change]:
    before, after = old.constraints, new.constraints
    if before.required != after.required:
        what = "required: records without it are set aside" if after.required else "no longer required: a model may miss it"
        yield Change(Grade.MAJOR, where, what)
    if before.unique != after.unique:
        yield Change(Grade.MAJOR if after.unique else Grade.MINOR, where, "unique" if after.unique else "no longer unique")
    if before.pattern != after.pattern:
        grade = Grade.MINOR if after.pattern is None else Grade.MAJOR
        yield Change(grade, where, f"pattern from {word(before.pattern)} to {word(after.pattern)}")
    yield from bound(where, "minLength", before.min_length, after.min_length, lower=True)
    yield from bound(where, "maxLength", before.max_length, after.max_length, lower=False)
    yield from bound(where, "minimum", before.minimum, after.minimum, lower=True)
    yield from bound(where, "maximum", before.maximum, after.maximum, lower=False)


def bound(where: str, key: str, old: float | str | None, new: float | str | None, *, lower: bool) -> Iterator[Change]:
    """Compare a limit: a lower one that rises is stricter, an upper one that falls."""
    if old == new:
        return
    if old is None or new is None:
        yield Change(Grade.MINOR if new is None else Grade.MAJOR, where, f"{key} from {word(old)} to {word(new)}")
        return
    stricter = _above(new, old) if lower else _above(old, new)
    yield Change(Grade.MAJOR if stricter else Grade.MINOR, where, f"{key} from {old} to {new}")


def _above(left: float | str, right: float | str) -> bool:
    """Say whether a limit is above another; of one type both, as limits of one field are."""
    if isinstance(left, str) or isinstance(right, str):
        return str(left) > str(right)
    return left > right


def _plausible(where: str, old: ContractField, new: ContractField) -> Iterator[Change]:
    before, after = old.plausible, new.plausible
    if before == after:
        return
    if before is None or after is None:
        yield Change(
            Grade.MINOR if after is None else Grade.MAJOR, where, "plausible " + ("dropped" if after is None else "added")
        )
        return
    yield from bound(where, "plausible.low", before.low, after.low, lower=True)
    yield from bound(where, "plausible.high", before.high, after.high, lower=False)
    yield from bound(where, "plausible.max_outside", before.max_outside, after.max_outside, lower=False)


def _categories(where: str, old: ContractField, new: ContractField) -> Iterator[Change]:
    """Codes become positions: whatever moves one is another encoding."""
    if added := [value for value in new.values if value not in old.values]:
        yield Change(Grade.MAJOR, where, f"categories added: {_listed(added)}")
    if removed := [value for value in old.values if value not in new.values]:
        yield Change(Grade.MAJOR, where, f"categories removed: {_listed(removed)}")
    kept = [value for value in old.values if value in new.values]
    if kept != [value for value in new.values if value in old.values]:
        yield Change(Grade.MAJOR, where, "the categories stand in another order")
    before = {category.value: category for category in old.categories}
    for category in new.categories:
        if category.value in before:
            yield from texts(f"{where}, {category.value}", before[category.value], category, ("label",))
            yield from _meaning(f"{where}, {category.value}", "concept", before[category.value].concept, category.concept)


def _missing(where: str, old: ContractField, new: ContractField) -> Iterator[Change]:
    before, after = old.missing, new.missing
    if before.max_fraction != after.max_fraction and not (old.required and new.required):
        yield from bound(where, "missing.max_fraction", before.max_fraction, after.max_fraction, lower=False)
    yield from _marks(where, "missing.labels", before.labels, after.labels, [new])


def _marks(
    where: str, key: str, old: Sequence[MissingMark], new: Sequence[MissingMark], fields: Sequence[ContractField]
) -> Iterator[Change]:
    """A new mark is major where the text could have been a value; one that is dropped leaves cells that nobody understands."""
    before, after = {mark.value: mark.label for mark in old}, {mark.value: mark.label for mark in new}
    for mark, label in after.items():
        if mark not in before:
            meant = next((field.name for field in fields if _could_be_a_value(mark, field)), None)
            grade = Grade.MINOR if meant is None else Grade.MAJOR
            finding = "" if meant is None else f", which could have been a value of {meant}"
            yield Change(grade, where, f"{key}: {mark!r} now means missing{finding}")
        elif before[mark] != label:
            yield Change(Grade.PATCH, where, f"{key}: another label for {mark!r}")
    for mark in before:
        if mark not in after:
            yield Change(Grade.MAJOR, where, f"{key}: {mark!r} no longer means missing")


def _could_be_a_value(mark: str, field: ContractField) -> bool:
    """Say whether a text could be a value; a mark is never a category, nor a number within the limits (S-RANGE)."""
    if field.type == "date":
        try:
            return date.fromisoformat(mark).isoformat() == mark
        except ValueError:
            return False
    if field.type != "string" or field.categories or not mark:
        return False
    return field.constraints.pattern is None or re.fullmatch(field.constraints.pattern, mark) is not None


def _reference(where: str, old: Reference | None, new: Reference | None) -> Iterator[Change]:
    """Figures that find slips and drift and never set a record aside: others find others."""
    if old is None and new is not None:
        yield Change(Grade.MINOR, where, "reference figures added")
    elif old is not None and new is None:
        yield Change(Grade.MINOR, where, "reference figures dropped")
    elif old is not None and new is not None and old != new:
        words = old.model_copy(update={"source": new.source}) == new
        yield Change(
            Grade.PATCH if words else Grade.MINOR, where, "reference: " + ("another source" if words else "other figures")
        )


# -------------------------------------------------------------------------------- rules, records of a patient, checks


def _rules(old: Sequence[Rule], new: Sequence[Rule]) -> Iterator[Change]:
    """A rule that sets records aside is a limit; one that only warns is a word to people."""
    before, after = {rule.id: rule for rule in old}, {rule.id: rule for rule in new}
    for name, rule in before.items():
        if name not in after:
            yield Change(Grade.MINOR, f"rule {name}", "removed")
        else:
            yield from _rule(f"rule {name}", rule, after[name])
    for name, rule in after.items():
        if name not in before:
            yield Change(_grade_of_rule(rule), f"rule {name}", f"added ({rule.severity})")


def _grade_of_rule(rule: Rule) -> Grade:
    return Grade.MAJOR if rule.severity == "error" else Grade.MINOR


def _rule(where: str, old: Rule, new: Rule) -> Iterator[Change]:
    yield from texts(where, old, new, ("description",))
    if unparse(parse(old.check)) != unparse(parse(new.check)):
        yield Change(_grade_of_rule(new), where, f"check from {old.check} to {new.check}")
    if old.severity != new.severity:
        yield Change(_grade_of_rule(new), where, f"severity from {old.severity} to {new.severity}")
    if old.max_fraction != new.max_fraction:
        yield Change(Grade.MINOR, where, f"max_fraction from {old.max_fraction} to {new.max_fraction}")


def _longitudinal(old: Longitudinal, new: Longitudinal) -> Iterator[Change]:
    for key in ("time", "no_overlap"):
        before, after = getattr(old, key), getattr(new, key)
        if before != after:
            grade = Grade.MINOR if after is None else Grade.MAJOR
            yield Change(grade, "longitudinal", f"{key} from {word(before)} to {word(after)}")
    if added := [name for name in new.constant if name not in old.constant]:
        yield Change(Grade.MAJOR, "longitudinal", f"constant from now on: {_listed(added)}")
    if removed := [name for name in old.constant if name not in new.constant]:
        yield Change(Grade.MINOR, "longitudinal", f"no longer constant: {_listed(removed)}")


_Setting = tuple[str | None, float | None]


def _settings(checks: Sequence[CheckSetting]) -> Mapping[tuple[str, str], _Setting]:
    found: dict[tuple[str, str], _Setting] = {}
    for check in checks:
        for field in check.fields or ("",):
            found[check.code, field] = (check.severity, check.max_fraction)
    return found


def _checks(old: Sequence[CheckSetting], new: Sequence[CheckSetting]) -> Iterator[Change]:
    """What the catalogue says is stricter than a warning and than a share, and less strict than an error."""
    before, after = _settings(old), _settings(new)
    nothing: _Setting = (None, None)
    for key in dict.fromkeys([*before, *after]):
        code, field = key
        where = f"check {code}" + (f" of {field}" if field else "")
        (old_severity, old_share), (new_severity, new_share) = before.get(key, nothing), after.get(key, nothing)
        if old_severity != new_severity:
            stricter = _STRICTNESS[new_severity] > _STRICTNESS[old_severity]
            what = f"severity from {word(old_severity)} to {word(new_severity)}"
            yield Change(Grade.MAJOR if stricter else Grade.MINOR, where, what)
        if old_share != new_share:
            known = old_share is not None and new_share is not None
            looser = known and (new_share or 0) > (old_share or 0)
            what = f"max_fraction from {word(old_share)} to {word(new_share)}"
            yield Change(Grade.MINOR if looser else Grade.MAJOR, where, what)


_STRICTNESS: Mapping[str | None, int] = {"warning": 0, None: 1, "error": 2}


# ------------------------------------------------------------------------------------------------------------- words


def texts(where: str, old: object, new: object, keys: Sequence[str]) -> Iterator[Change]:
    """Compare words for people."""
    for key in keys:
        if getattr(old, key) != getattr(new, key):
            yield Change(Grade.PATCH, where, f"another {key}")


def _meaning(where: str, key: str, old: object | None, new: object | None) -> Iterator[Change]:
    """A code of a terminology: naming it, or no longer naming it, are words; another one is another meaning."""
    if old != new:
        named = old is None or new is None
        what = f"{key} " + ("named" if old is None else "no longer named" if new is None else "is another one")
        yield Change(Grade.PATCH if named else Grade.MAJOR, where, what)


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words)


def word(value: object) -> str:
    """Write a setting as in the file."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return _listed([str(part) for part in value])
    return str(value)
