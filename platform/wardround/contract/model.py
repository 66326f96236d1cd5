"""The data contract as a value.

The field vocabulary is that of Frictionless Table Schema v2 (``constraints``, ``categories``, ``missingValues``,
``primaryKey``, ``fieldsMatch``), with what clinical data needs beside it: UCUM units, plausible ranges with a share
limit, limits of missing values, privacy classes, a patient key and cross-field rules.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, StringConstraints, model_validator
from pydantic import Field as Setting

from wardround.canonical import EXACT_INTEGER_LIMIT, Json, digest, model_json
from wardround.values import Count, FieldName, Fraction, SchemaId, Slug, Value, Version, printable

ExactInteger = Annotated[int, Setting(gt=-EXACT_INTEGER_LIMIT, lt=EXACT_INTEGER_LIMIT)]
Number = Annotated[ExactInteger | float, Setting(union_mode="left_to_right"), AfterValidator(lambda value: value + 0)]
"""A limit: an integer that JSON holds exactly, or a finite number. Negative zero (which has no canonical form) is zero."""
Text = Annotated[str, StringConstraints(max_length=2000), AfterValidator(printable)]
Words = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(printable)]


class Concept(Value):
    """A code of a terminology that a field or category stands for, as text (``LOINC``, ``15074-8``)."""

    system: Words
    code: Words


class Category(Value):
    """One allowed value of a coded field, with its label for people."""

    value: Words
    label: Words | None = None
    concept: Concept | None = None


class MissingMark(Value):
    """A text that stands for a missing value, and what kind of missing it is."""

    value: Annotated[str, StringConstraints(max_length=100)]
    label: Words


class Constraints(Value):
    """What every value must obey; a record that does not is set aside (quarantined).

    ``minimum`` and ``maximum`` are inclusive, in the field's unit; for dates they are ISO dates.
    """

    required: bool = False
    unique: bool = False
    pattern: Text | None = None
    min_length: Count | None = Setting(default=None, alias="minLength")
    max_length: Count | None = Setting(default=None, alias="maxLength")
    minimum: Number | Text | None = None
    maximum: Number | Text | None = None


class Plausible(Value):
    """Values outside ``low``..``high`` are possible but rare: at most the share ``max_outside`` of a hospital's records."""

    low: Number
    high: Number
    max_outside: Fraction = 0.01

    @model_validator(mode="after")
    def _ordered(self) -> Plausible:
        if not self.low < self.high:
            msg = "low must be less than high"
            raise ValueError(msg)
        return self


class Missing(Value):
    """How many values of a field may be missing at a hospital, and the marks that mean missing in shared form."""

    max_fraction: Fraction = 1.0
    labels: tuple[MissingMark, ...] = ()


class WrongUnit(Value):
    """A unit in which hospitals are known to export a field by mistake.

    Attributes:
        unit: its UCUM code.
        factor: how many times the right number a number in that unit is: 18.016 for a glucose in mg/dL where mmol/L is meant.
    """

    unit: Words
    factor: Annotated[float, Setting(gt=0)]


class Reference(Value):
    """What the values of a field look like among the patients that the contract is for: published figures, no hospital's own.

    They find wrong units and drift, and give synthetic records their shape; they never set a record aside.

    Attributes:
        source: where the figures come from.
        p05: the value below which 5 % of the patients lie, in the field's unit; ``p25`` to ``p95`` likewise.
        shares: for coded fields, how often each category is found, in all 1.
        wrong_units: units in which the field is known to come by mistake, beside those that units.yaml and the analyte give.
    """

    source: Text
    p05: Number | None = None
    p25: Number | None = None
    median: Number | None = None
    p75: Number | None = None
    p95: Number | None = None
    shares: dict[Words, Fraction] = Setting(default_factory=dict)
    wrong_units: tuple[WrongUnit, ...] = ()

    @property
    def quantiles(self) -> dict[float, float]:
        """The quantiles that are given, by their share, ascending."""
        given = {0.05: self.p05, 0.25: self.p25, 0.5: self.median, 0.75: self.p75, 0.95: self.p95}
        return {share: float(value) for share, value in given.items() if value is not None}

    @model_validator(mode="after")
    def _ordered(self) -> Reference:
        values = list(self.quantiles.values())
        if values != sorted(values):
            msg = "quantiles ascend from p05 to p95"
            raise ValueError(msg)
        return self


CodeSystem = Literal["LOINC", "SNOMED CT", "ICD-10", "ICD-10-CM", "ICD-9-CM", "RxNorm", "ATC", "UCUM"]
"""Terminologies whose codes have a form, or a check digit, that can be held against a column without their content."""


class ContractField(Value):
    """One column of the shared table.

    Attributes:
        unit: UCUM code, for numbers; ``1`` is the code of a pure number.
        analyte: the substance that is measured, of those in analytes.yaml: what turns its masses and amounts into each other.
        code_system: the terminology of a text field whose values are its codes.
        free_text: whether sentences are expected here; other text columns that hold sentences are a finding.
        investigative: whether the checks of this field only inform: a bad value is counted and missing from then on, and
            neither sets its record aside nor fails the check (PCORnet's investigative data checks).
        reference: published figures on its values.
        privacy: ``direct`` and ``quasi`` identifiers and ``pseudonym`` keys may never be features; ``none`` may.
    """

    name: FieldName
    title: Words | None = None
    description: Text | None = None
    type: Literal["string", "integer", "number", "date"]
    unit: Words | None = None
    analyte: FieldName | None = None
    concept: Concept | None = None
    constraints: Constraints = Constraints()
    categories: tuple[Category, ...] = ()
    plausible: Plausible | None = None
    missing: Missing = Missing()
    code_system: CodeSystem | None = None
    free_text: bool = False
    investigative: bool = False
    reference: Reference | None = None
    privacy: Literal["direct", "quasi", "pseudonym", "none"] = "none"

    @property
    def required(self) -> bool:
        """Whether a record without this value is set aside."""
        return self.constraints.required

    @property
    def values(self) -> tuple[str, ...]:
        """The allowed values of a coded field, in the contract's order; empty for others."""
        return tuple(category.value for category in self.categories)

    @model_validator(mode="after")
    def _consistent(self) -> ContractField:
        if found := self._contradictions():
            raise ValueError("; ".join(dict.fromkeys(found)))
        return self

    def _contradictions(self) -> list[str]:
        numeric = self.type in ("integer", "number")
        limits = self.constraints
        found: list[str] = []
        if self.unit is not None and not numeric:
            found.append("only numbers have a unit")
        if numeric and self.unit is None:
            found.append('a number needs a unit (UCUM; "1" for a pure number)')
        if self.categories and self.type != "string":
            found.append("categories belong to type string (codes are text)")
        if len(set(self.values)) != len(self.values):
            found.append("a category stands twice")
        if self.plausible is not None and not numeric:
            found.append("only numbers have a plausible range")
        if limits.pattern is not None and self.type != "string":
            found.append("only text has a pattern")
        if limits.pattern is not None and not _compiles(limits.pattern):
            found.append("the pattern is not a regular expression")
        for limit in (limits.minimum, limits.maximum):
            if limit is not None and isinstance(limit, str) != (self.type == "date"):
                found.append("limits are numbers for numbers and ISO dates (in quotes) for dates")
            if limit is not None and self.type == "string":
                found.append("text has no minimum or maximum; use minLength, maxLength or pattern")
        if _out_of_order(limits.minimum, limits.maximum):
            found.append("minimum is above maximum")
        return [*found, *self._kind_contradictions(), *self._reference_contradictions(numeric=numeric)]

    def _kind_contradictions(self) -> list[str]:
        found: list[str] = []
        if (self.code_system is not None or self.free_text) and (self.type != "string" or self.categories):
            found.append("only text without categories has a code_system or is free text")
        if self.analyte is not None and self.type not in ("integer", "number"):
            found.append("only numbers are of an analyte")
        if self.investigative and self.required:
            found.append("a required field is not investigative")
        return found

    def _reference_contradictions(self, *, numeric: bool) -> list[str]:
        reference, found = self.reference, list[str]()
        if reference is None:
            return found
        if (reference.quantiles or reference.wrong_units) and not numeric:
            found.append("only numbers have reference quantiles and wrong units")
        if reference.shares and set(reference.shares) != set(self.values):
            found.append("reference shares name every category, and nothing else")
        if reference.shares and abs(sum(reference.shares.values()) - 1) > SHARES_TOLERANCE:
            found.append("reference shares are 1 in all")
        if not (reference.quantiles or reference.shares or reference.wrong_units):
            found.append("a reference holds quantiles, shares or wrong units")
        return found


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def _out_of_order(low: float | str | None, high: float | str | None) -> bool:
    if isinstance(low, str) or isinstance(high, str):
        return isinstance(low, str) and isinstance(high, str) and low > high
    return low is not None and high is not None and low > high


class Rule(Value):
    """A statement about one record, in the grammar of ``wardround.contract.rules``.

    A record whose values the rule needs are missing is not judged. ``error``: every record that breaks it is set aside.
    ``warning``: at most the share ``max_fraction`` may break it; none is set aside.
    """

    id: Slug
    check: Text
    description: Text | None = None
    severity: Literal["error", "warning"] = "error"
    max_fraction: Fraction = 0.0


class Longitudinal(Value):
    """What holds between the records of one patient.

    Attributes:
        time: the date by which a patient's records are ordered.
        constant: fields that never change between a patient's records (sex, year of birth).
        no_overlap: first and last day of a stay; stays of a patient do not overlap, though one may begin on the day on which
            another ends.
    """

    time: FieldName | None = None
    constant: tuple[FieldName, ...] = ()
    no_overlap: tuple[FieldName, FieldName] | None = None


class CheckSetting(Value):
    """How severe a finding of one kind is in this contract, where it differs from what the catalogue says.

    Attributes:
        code: of the finding: T-SENTINEL.
        fields: the fields that this is said of; all when none is named.
        severity: ``error`` fails the check (or sets the record aside, where the finding is about records); ``warning`` informs.
        max_fraction: the share of a hospital's records that may show it before it is a finding at all.
    """

    code: Annotated[str, StringConstraints(pattern=r"^T-[A-Z-]{2,20}$")]
    fields: tuple[FieldName, ...] = ()
    severity: Literal["error", "warning"] | None = None
    max_fraction: Fraction | None = None


class Limits(Value):
    """How many records and patients a hospital needs for this contract to mean anything."""

    min_records: Count = 1
    min_patients: Count = 1


class Source(Value):
    """Where a contract's definitions come from: a paper, a standard, a data set's own page."""

    title: Text
    licence: Words | None = None


SHARES_TOLERANCE = 1e-6
"""How far the reference shares of a field's categories may be from 1 in all, as written decimals."""

_YOUNG = {"longitudinal", "checks"}
_YOUNG_OF_FIELDS = {"analyte", "code_system", "free_text", "investigative", "reference"}
"""Keys that the language of contracts got after the first contracts were published."""


class Contract(Value):
    """A shared schema: ``id`` + ``version`` name it, ``contract_hash`` fixes it, ``encoding_hash`` fixes what a model sees.

    Immutable once published: a changed file is a new version.
    """

    kind: Literal["table"]
    id: SchemaId
    version: Version
    status: Literal["draft", "active", "deprecated"]
    title: Words
    description: Text | None = None
    sources: tuple[Source, ...] = ()
    row_grain: Words
    primary_key: tuple[FieldName, ...] = Setting(alias="primaryKey", min_length=1)
    patient_key: FieldName = Setting(alias="patientKey")
    fields_match: Literal["exact", "superset"] = Setting(default="exact", alias="fieldsMatch")
    missing_values: tuple[MissingMark, ...] = Setting(default=(MissingMark(value="", label="blank"),), alias="missingValues")
    fields: tuple[ContractField, ...] = Setting(min_length=1)
    rules: tuple[Rule, ...] = ()
    longitudinal: Longitudinal = Longitudinal()
    checks: tuple[CheckSetting, ...] = ()
    limits: Limits = Limits()

    @property
    def names(self) -> tuple[str, ...]:
        """The fields' names, in order."""
        return tuple(field.name for field in self.fields)

    def field(self, name: str) -> ContractField:
        """Give a field by name; ``KeyError`` when there is none."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(name)

    def missing_marks(self, name: str) -> tuple[str, ...]:
        """Give every text that means missing for a field in shared form."""
        marks = (*self.missing_values, *self.field(name).missing.labels)
        return tuple(dict.fromkeys(mark.value for mark in marks))

    def contract_hash(self) -> str:
        """Give the digest of the whole contract with its defaults filled in, but for those of keys that are younger than 1.0.

        So a contract that was published before a key existed keeps its hash (``docs/decisions/0026``).
        """
        return digest("contract", 1, _without_young_defaults(self))

    def encoding_hash(self) -> str:
        """Give the digest of what a model sees: ordered names, types, units, requiredness and category order."""
        encoded: list[Json] = [[field.name, field.type, field.unit, field.required, list(field.values)] for field in self.fields]
        return digest("contract-encoding", 1, encoded)


def _without_young_defaults(contract: Contract) -> dict[str, Json]:
    """Give a contract's JSON without the young keys that hold their defaults."""
    whole = model_json(contract)
    fields = [_leave_out(model_json(field), field, _YOUNG_OF_FIELDS) for field in contract.fields]
    return _leave_out({**whole, "fields": list[Json](fields)}, contract, _YOUNG)


def _leave_out(form: dict[str, Json], value: Value, young: set[str]) -> dict[str, Json]:
    defaults = {name: type(value).model_fields[name].get_default(call_default_factory=True) for name in young}
    return {name: part for name, part in form.items() if name not in young or getattr(value, name) != defaults[name]}
