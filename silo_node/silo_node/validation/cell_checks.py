"""What is looked for in cells beyond the contract's own limits, and why cells that break those limits may do so."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from silo_node.mapping.facts import Facts
from silo_node.mapping.resolve import FieldMapping
from silo_node.validation import codes, dates, identifiers, numerals, personal, sentinels, texts
from silo_node.validation.causes import Cause, Failed
from silo_node.validation.constraints import Check
from wardround.contract.model import Contract

SPECIFIC = ("T-PHI-ID", "T-CODEVER", "T-SCI")
"""Codes of checks whose cells need no other finding: what breaks a pattern, too, breaks it for this reason."""


def specific_checks(contract: Contract, mapping: FieldMapping, facts: Facts) -> Iterator[Check]:
    """Give the checks that come before the contract's own: whoever finds a cell first names what is wrong with it."""
    field = mapping.field
    if personal.called_names(mapping):
        yield personal.column_check(mapping, facts)
    else:
        yield from personal.checks(contract, field, facts)
    yield from codes.checks(contract, field, facts)
    yield from identifiers.checks(contract, field, facts)


def further_checks(contract: Contract, mapping: FieldMapping, facts: Facts, today: date) -> Iterator[Check]:
    """Give the checks that come after the contract's own, of values that keep it."""
    field = mapping.field
    yield from texts.checks(contract, field, facts)
    yield from dates.checks(contract, field, facts, today)
    yield from sentinels.checks(mapping, facts)


def causes(contract: Contract, failed: Failed) -> Iterator[Cause]:
    """Say why cells that break a check do so, the most specific reason first; nothing where it cannot be told."""
    field = failed.mapping.field
    match failed.code:
        case "T-PATTERN":
            yield from personal.causes(failed, identifier=identifiers.is_identifier(contract, field))
            yield from identifiers.causes(failed)
        case "T-SCI":
            yield from identifiers.causes(failed)
        case "T-ENUM" | "T-MAP":
            yield from texts.causes(failed)
            yield from personal.causes(failed, identifier=False)
        case "T-CODEVER":
            yield from codes.causes(failed)
        case "T-RANGE" | "T-PLAUS":
            yield from sentinels.causes(failed)
        case "T-TYPE" if field.type == "date":
            yield from dates.causes(failed)
        case "T-TYPE":
            yield from numerals.causes(failed)
