"""A contract as one page for people: a data dictionary that needs no network, no scripts and no explanation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from wardround import __version__
from wardround.contract import units
from wardround.contract.exports.rule_words import in_words
from wardround.contract.imaging import ImagingContract
from wardround.contract.imaging_words import demands, summary
from wardround.contract.model import CheckSetting, Contract, ContractField, Rule
from wardround.contract.rules import parse, unparse

TEMPLATE = "dictionary.html.j2"
IMAGES_TEMPLATE = "images.html.j2"

PRIVACY = {
    "none": "may be a feature of a model",
    "quasi": "quasi-identifier: no feature of a model",
    "direct": "names a person directly: no feature of a model",
    "pseudonym": "pseudonym: no feature of a model",
}
"""What people read for the classes of privacy."""

TYPES = {"string": "text", "integer": "whole number", "number": "number", "date": "date, YYYY-MM-DD"}
SHARES = {0.05: "5 %", 0.25: "25 %", 0.5: "median", 0.75: "75 %", 0.95: "95 %"}


@dataclass(frozen=True)
class FieldLine:
    """A field as the page shows it.

    Attributes:
        kind: its type in words; ``code list`` for coded fields.
        possible: the limits outside of which a record is set aside.
        facts: what else is to be said, as name and text.
        quantiles: published figures, as name and value.
    """

    field: ContractField
    kind: str
    unit: str
    possible: str
    plausible: str
    missing: str
    facts: tuple[tuple[str, str], ...]
    quantiles: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class RuleLine:
    """A rule as the page shows it."""

    rule: Rule
    words: str
    written: str
    follows: str


def dictionary(contract: Contract) -> str:
    """Render the page; the same contract gives the same text."""
    titles = {field.name: field.title or field.name for field in contract.fields}
    return (
        _environment()
        .get_template(TEMPLATE)
        .render(
            contract=contract,
            fields=[_field(contract, field) for field in contract.fields],
            rules=[_rule(rule, titles) for rule in contract.rules],
            between=_between(contract),
            checks=[_check(check) for check in contract.checks],
            version=__version__,
        )
    )


def image_dictionary(contract: ImagingContract) -> str:
    """Render the page of a contract of images; the same contract gives the same text."""
    template = _environment().get_template(IMAGES_TEMPLATE)
    return template.render(contract=contract, summary=summary(contract), demands=demands(contract), version=__version__)


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("wardround.contract.exports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _field(contract: Contract, field: ContractField) -> FieldLine:
    plausible, reference = field.plausible, field.reference
    unit = "" if field.unit in (None, "1") else str(field.unit)
    quantiles = {} if reference is None else reference.quantiles
    return FieldLine(
        field=field,
        kind="code list" if field.categories else TYPES[field.type],
        unit=unit,
        possible=_possible(field),
        plausible="" if plausible is None else f"{_number(plausible.low)} to {_number(plausible.high)}",
        missing=_missing(field),
        facts=tuple(_facts(contract, field)),
        quantiles=tuple((SHARES[share], _number(value)) for share, value in quantiles.items()),
    )


def _possible(field: ContractField) -> str:
    limits = field.constraints
    found = []
    if limits.minimum is not None and limits.maximum is not None:
        found.append(f"{_number(limits.minimum)} to {_number(limits.maximum)}")
    elif limits.minimum is not None:
        found.append(f"from {_number(limits.minimum)}")
    elif limits.maximum is not None:
        found.append(f"up to {_number(limits.maximum)}")
    if limits.min_length is not None or limits.max_length is not None:
        most = "" if limits.max_length is None else f" to {limits.max_length}"
        found.append(f"{limits.min_length or 0}{most} characters" if most else f"at least {limits.min_length} characters")
    return ", ".join(found)


def _facts(contract: Contract, field: ContractField) -> list[tuple[str, str]]:
    """Give what is to be said of a field, as name and text, in the order of the page."""
    limits = field.constraints
    marks = ", ".join(f"“{mark.value}” ({mark.label})" for mark in field.missing.labels)
    key = "identifies the record" + ("" if len(contract.primary_key) == 1 else ", with other fields")
    concept = field.concept
    found: list[tuple[str, str | None]] = [
        ("Unit", f"{field.unit}: {units.table()[str(field.unit)].name}" if field.unit not in (None, "1") else None),
        ("Possible", _possible(field)),
        ("Plausible", _plausible(field)),
        ("Missing", _missing(field)),
        ("Also means missing", marks),
        ("Key", key if field.name in contract.primary_key else None),
        ("Key", "identifies the patient" if field.name == contract.patient_key else None),
        ("Unique", "no value stands twice" if limits.unique else None),
        ("Pattern", limits.pattern),
        ("Codes of", field.code_system),
        ("Concept", None if concept is None else f"{concept.system} {concept.code}"),
        ("Text", "sentences are expected here" if field.free_text else None),
        ("Investigative", "its checks inform; a bad value is missing from then on" if field.investigative else None),
        ("Privacy", PRIVACY[field.privacy]),
        *_figures(field),
    ]
    return [(name, text) for name, text in found if text]


def _figures(field: ContractField) -> Iterator[tuple[str, str]]:
    if field.reference is None:
        return
    for wrong in field.reference.wrong_units:
        yield "Known wrong unit", f"{wrong.unit}: numbers are {wrong.factor:g} times as large"
    yield "Figures from", field.reference.source


def _missing(field: ContractField) -> str:
    if field.required:
        return "never"
    return "any share" if field.missing.max_fraction == 1 else f"up to {_share(field.missing.max_fraction)}"


def _plausible(field: ContractField) -> str | None:
    plausible = field.plausible
    if plausible is None:
        return None
    low, high = _number(plausible.low), _number(plausible.high)
    return f"{low} to {high}; at most {_share(plausible.max_outside)} of a hospital’s records outside"


def _rule(rule: Rule, titles: dict[str, str]) -> RuleLine:
    tree = parse(rule.check)
    aside = "records that break it are set aside"
    follows = (
        aside if rule.severity == "error" else f"a warning when more than {_share(rule.max_fraction)} of the records break it"
    )
    words = in_words(tree, titles)
    return RuleLine(rule, words[0].upper() + words[1:], unparse(tree), follows)


def _between(contract: Contract) -> list[str]:
    found, longitudinal = [], contract.longitudinal
    if longitudinal.time is not None:
        found.append(f"The records of a patient are ordered by {longitudinal.time}.")
    if longitudinal.constant:
        found.append(f"The same in all records of a patient: {', '.join(longitudinal.constant)}.")
    if longitudinal.no_overlap is not None:
        found.append("Stays of a patient ({} to {}) do not overlap.".format(*longitudinal.no_overlap))
    return found


def _check(check: CheckSetting) -> str:
    where = f" in {', '.join(check.fields)}" if check.fields else ""
    severity = "" if check.severity is None else f" is of severity {check.severity}"
    share = "" if check.max_fraction is None else f" begins where more than {_share(check.max_fraction)} of the records show it"
    return f"{check.code}{where}{severity}{' and' if severity and share else ''}{share}."


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.15g}"


def _share(share: float) -> str:
    return f"{share * 100:.10g} %"
