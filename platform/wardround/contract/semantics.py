"""What a contract's shape cannot say: units that exist, rules that read, limits that agree. All problems, with lines."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date

from wardround.contract import analytes, rules, severities, slips, units
from wardround.contract.model import CheckSetting, Contract, ContractField, Reference, Rule
from wardround.contract.names_of_people import holds_names
from wardround.errors import Problem, Refused
from wardround.strict_yaml import Document, Location, nearest


def problems(contract: Contract, document: Document) -> list[Problem]:
    """Give everything that is wrong with a well-formed contract; ``document`` gives the lines."""
    return list(_Check(contract, document).all())


class _Check:
    """One look at one contract; each method looks at one kind of promise."""

    def __init__(self, contract: Contract, document: Document) -> None:
        self.contract = contract
        self.document = document
        self.names = set(contract.names)

    def all(self) -> Iterator[Problem]:
        yield from self._names()
        yield from self._keys()
        for index, field in enumerate(self.contract.fields):
            yield from self._field(field, ("fields", index))
        for index, rule in enumerate(self.contract.rules):
            yield from self._rule(rule, ("rules", index))
        yield from self._named_elsewhere()
        for index, setting in enumerate(self.contract.checks):
            yield from self._setting(setting, index)
        limits = self.contract.limits
        if limits.min_patients > limits.min_records:
            yield self._problem(
                "S-RANGE",
                ("limits", "min_patients"),
                "No hospital has more patients than records",
                "min_patients is above min_records",
                "lower min_patients or raise min_records",
            )

    def _problem(self, code: str, location: Location, rule: str, finding: str, next_step: str) -> Problem:
        return Problem(code, self.document.place(location), rule, finding, next_step)

    # --------------------------------------------------------------------------------------------- names and keys

    def _names(self) -> Iterator[Problem]:
        seen: set[str] = set()
        for index, name in enumerate(self.contract.names):
            place = ("fields", index, "name")
            if name in seen:
                yield self._problem(
                    "S-FIELD", place, "A field's name stands once", f"the field {name!r} stands again", "rename one"
                )
            if name in rules.KEYWORDS:
                rule = "Words of the rule grammar name no field"
                yield self._problem("S-FIELD", place, rule, f"the field is called {name!r}", "rename it")
            seen.add(name)

    def _keys(self) -> Iterator[Problem]:
        contract = self.contract
        for index, name in enumerate(contract.primary_key):
            yield from self._key(name, ("primaryKey", index))
            if contract.primary_key.count(name) > 1 and contract.primary_key.index(name) != index:
                rule = "A primary key names each field once"
                yield self._problem("S-FIELD", ("primaryKey", index), rule, f"{name!r} stands again", "remove one")
        yield from self._key(contract.patient_key, ("patientKey",))
        if contract.patient_key in self.names:
            patient = contract.field(contract.patient_key)
            if patient.privacy != "pseudonym" or patient.type != "string":
                yield self._problem(
                    "S-FIELD",
                    ("patientKey",),
                    "The patient key is a text of the privacy class pseudonym",
                    f"the field {patient.name!r} has type {patient.type} and privacy {patient.privacy}",
                    "give that field type: string and privacy: pseudonym",
                )
        if len(contract.primary_key) == 1 and contract.primary_key[0] in self.names:
            only = contract.field(contract.primary_key[0])
            if only.privacy == "none":
                yield self._problem(
                    "S-FIELD",
                    ("primaryKey",),
                    "What alone identifies a record may never be a feature",
                    f"the field {only.name!r} has privacy none",
                    "give that field privacy: pseudonym",
                )

    def _key(self, name: str, location: Location) -> Iterator[Problem]:
        if name not in self.names:
            guess = nearest(name, self.names)
            yield self._problem(
                "S-FIELD",
                location,
                "Keys name fields of the schema",
                f"the schema has no field {name!r}",
                f"did you mean {guess!r}?" if guess else "name one of its fields",
            )
        elif not self.contract.field(name).required:
            yield self._problem(
                "S-FIELD",
                location,
                "A key is never missing",
                f"the field {name!r} is a key and not required",
                "give that field constraints: {required: true}",
            )

    def _named_elsewhere(self) -> Iterator[Problem]:
        """Fields that the contract names beside its keys and rules are fields, of the type that is meant."""
        longitudinal = self.contract.longitudinal
        dates: list[tuple[str | int, ...]] = []
        if longitudinal.time is not None:
            dates.append(("longitudinal", "time", longitudinal.time))
        dates += [("longitudinal", "no_overlap", name) for name in longitudinal.no_overlap or ()]
        others: list[tuple[str | int, ...]] = [("longitudinal", "constant", name) for name in longitudinal.constant]
        others += [("checks", index, name) for index, check in enumerate(self.contract.checks) for name in check.fields]
        for *location, name in (*dates, *others):
            if name not in self.names:
                guess = nearest(str(name), self.names)
                next_step = f"did you mean {guess!r}?" if guess else "name one of its fields"
                wanted = "What holds between records, and checks, name fields of the schema"
                yield self._problem("S-FIELD", tuple(location), wanted, f"the schema has no field {name!r}", next_step)
        for *location, name in dates:
            if name in self.names and self.contract.field(str(name)).type != "date":
                wanted = "Times of records are dates"
                finding = f"the field {name!r} has type {self.contract.field(str(name)).type}"
                yield self._problem("S-FIELD", tuple(location), wanted, finding, "name a field of type date")

    # ----------------------------------------------------------------------------------------------------- checks

    def _setting(self, setting: CheckSetting, index: int) -> Iterator[Problem]:
        """What a contract says of a finding is said of one that it may weigh, once, and says something."""
        code, place = setting.code, ("checks", index)
        if code not in severities.known_codes():
            guess = nearest(code, severities.known_codes())
            next_step = f"did you mean {guess!r}?" if guess else "see docs/reference/errors.md for the codes of records"
            yield self._problem("S-CHECK", place, "Checks name codes of findings", f"there is no code {code!r}", next_step)
            return
        fixed = severities.why_fixed(code)
        if fixed is not None:
            yield self._problem("S-CHECK", place, "Some findings are always as severe", f"{code} is one of them", fixed)
        if (setting.severity, setting.max_fraction) == (None, None):
            finding = f"that of {code} gives neither severity nor max_fraction"
            yield self._problem("S-CHECK", place, "A setting changes something", finding, "give one of the two, or remove it")
        if setting.max_fraction is not None and code in severities.OWN_SHARE:
            finding, next_step = f"{code} has none here", severities.OWN_SHARE[code]
            yield self._problem("S-CHECK", place, "A share of records belongs to findings on records", finding, next_step)
        reach = severities.reach(self.contract, code)
        for name in setting.fields:
            if name in self.names and name not in reach:
                finding = f"{code} is never about {name!r}"
                next_step = f"name one of: {', '.join(sorted(reach))}" if reach else "remove 'fields'"
                yield self._problem("S-CHECK", place, "A setting names fields that its finding can be about", finding, next_step)
        for other in self.contract.checks[:index]:
            both = set(other.fields) & set(setting.fields)
            if other.code == code and (both or not (other.fields or setting.fields)):
                about = f" of {min(both)!r}" if both else ""
                finding = f"{code}{about} is set again"
                yield self._problem("S-CHECK", place, "One kind of finding is set once", finding, "remove one of the two")

    # ----------------------------------------------------------------------------------------------------- fields

    def _field(self, field: ContractField, location: Location) -> Iterator[Problem]:
        if field.type == "string" and not field.values and not field.free_text and field.privacy != "direct":
            yield from self._called_names(field, location)
        if field.unit is not None:
            problem = units.unknown(field.unit, self.document.place((*location, "unit")))
            if problem is not None:
                yield problem
            else:
                yield from self._analyte(field, field.unit, location)
        for key, rule, finding, next_step in _contradictions(field, self.contract.missing_marks(field.name)):
            yield self._problem("S-RANGE", (*location, *key), f"{rule} (field {field.name})", finding, next_step)

    def _called_names(self, field: ContractField, location: Location) -> Iterator[Problem]:
        """Names of people are asked for on purpose only: by a field that says that they identify."""
        if holds_names(field.name):
            yield self._problem(
                "S-FIELD",
                (*location, "name"),
                "A field that is called by names of people identifies directly",
                f"the field {field.name!r} has privacy {field.privacy}",
                "remove it: no model may see it; or give it privacy: direct; or rename it if it holds no names of people",
            )

    def _analyte(self, field: ContractField, unit: str, location: Location) -> Iterator[Problem]:
        """The substance is known and can be given in the field's unit; wrong units are units, with the factors they have."""
        if field.analyte is not None:
            place = self.document.place((*location, "analyte"))
            problem = analytes.unknown(field.analyte, place) or analytes.misfit(field.analyte, unit, place)
            if problem is not None:
                yield problem
                return
        for index, wrong in enumerate(field.reference.wrong_units if field.reference is not None else ()):
            yield from slips.objections(field, wrong, self.document.place((*location, "reference", "wrong_units", index)))

    # ------------------------------------------------------------------------------------------------------ rules

    def _rule(self, rule: Rule, location: Location) -> Iterator[Problem]:
        ids = [each.id for each in self.contract.rules]
        if ids.index(rule.id) != location[1]:
            wanted = "A rule's id stands once"
            yield self._problem("S-RULE", (*location, "id"), wanted, f"the rule {rule.id!r} stands again", "rename one")
        if rule.severity == "error" and rule.max_fraction > 0:
            yield self._problem(
                "S-RULE",
                (*location, "max_fraction"),
                "Every record that breaks a rule of severity error is set aside; a share belongs to warnings",
                f"the rule {rule.id!r} is an error and allows a share",
                "remove max_fraction, or write severity: warning",
            )
        place = f"{self.document.place((*location, 'check'))}, rule {rule.id}"
        try:
            expression = rules.parse(rule.check, place)
        except Refused as refused:
            yield from refused.problems
            return
        yield from rules.check_types(expression, self.contract, place)


_Contradiction = tuple[Location, str, str, str]


def _contradictions(field: ContractField, marks: tuple[str, ...]) -> Iterator[_Contradiction]:
    """Give where a field's own limits contradict each other: (keys, rule, finding, next step)."""
    if field.type in ("integer", "number"):
        yield from _numeric(field, marks)
    if field.type == "date":
        yield from _dated(field)
    limits = field.constraints
    if limits.min_length is not None and limits.max_length is not None and limits.min_length > limits.max_length:
        yield ("constraints", "minLength"), "minLength is at most maxLength", "minLength is above maxLength", "swap them"
    for mark in sorted(set(marks) & set(field.values)):
        yield (
            ("categories",),
            "A text means a code or missing, not both",
            f"{mark!r} is both a category and a mark for missing",
            "rename the category or drop the mark",
        )
    if field.required and 0 < field.missing.max_fraction < 1:  # 1 is what stands there when nothing was written
        yield (
            ("missing",),
            "A required value is never missing",
            "the field is required and allows a share of missing values",
            "remove required: true, or write max_fraction: 0",
        )


def _numeric(field: ContractField, marks: tuple[str, ...]) -> Iterator[_Contradiction]:
    low, high = field.constraints.minimum, field.constraints.maximum
    if isinstance(low, str) or isinstance(high, str):
        return  # refused by the model
    if low is None or high is None:
        if field.privacy == "none":
            yield (
                ("constraints",),
                "A number that a model may see is bounded on both sides: federated statistics are bounded by it",
                "minimum or maximum is absent",
                "give the values outside of which it is impossible",
            )
        return
    if field.type == "integer" and not (float(low).is_integer() and float(high).is_integer()):
        yield ("constraints",), "Limits of whole numbers are whole", "a limit has a fraction", "round it outwards"
    if low == high:
        yield ("constraints",), "minimum is below maximum", "they are equal: the field could hold one value", "widen them"
    plausible = field.plausible
    if plausible is not None and not low <= plausible.low < plausible.high <= high:
        yield (
            ("plausible",),
            "The plausible range lies inside the possible one",
            "the plausible range reaches outside minimum to maximum",
            "narrow the plausible range or widen the constraints",
        )
    if field.reference is not None:
        yield from _referred(field, field.reference, low, high)
    for mark in marks:
        value = _as_number(mark)
        if value is not None and low <= value <= high:
            yield (
                ("missing",),
                "A number means itself or missing, not both",
                f"the mark {mark!r} lies between minimum and maximum",
                "choose limits that exclude the mark, or another mark",
            )


def _referred(field: ContractField, reference: Reference, low: float, high: float) -> Iterator[_Contradiction]:
    """What nearly all patients have is neither impossible nor implausible, and whole where the field is."""
    values = list(reference.quantiles.values())
    if field.plausible is not None:
        low, high = field.plausible.low, field.plausible.high
    if any(not low <= value <= high for value in values):
        yield (
            ("reference",),
            "The reference's quantiles lie inside the plausible range, or inside minimum to maximum where there is none",
            "one lies outside: values that many patients have would be findings",
            "look up the figures again, or widen the range",
        )
    elif field.type == "integer" and values and math.ceil(values[0]) > math.floor(values[-1]):
        yield (
            ("reference",),
            "There is a whole number between the quantiles of a field of whole numbers",
            "there is none: no record could be as the reference says",
            "look up the figures again, or write type: number",
        )


def _dated(field: ContractField) -> Iterator[_Contradiction]:
    for key in ("minimum", "maximum"):
        limit = getattr(field.constraints, key)
        if limit is not None and not _is_date(str(limit)):
            yield ("constraints", key), "Limits of dates are written YYYY-MM-DD", f"{key} is no such date", "correct it"


def _as_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
