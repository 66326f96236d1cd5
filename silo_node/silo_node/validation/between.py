"""The checks that hold records against each other: the stays and constants of a patient, twins, shifted dates, single values."""

from __future__ import annotations

from collections.abc import Iterator

from silo_node.mapping.facts import Facts
from silo_node.validation.constancy import constant_fields
from silo_node.validation.constraints import Check
from silo_node.validation.date_shifts import shifted_dates
from silo_node.validation.longitudinal import patients_records
from silo_node.validation.twins import twins
from wardround.contract.model import Contract


def table_checks(contract: Contract, names: set[str], height: int, facts: Facts) -> Iterator[Check]:
    """Give the checks between records.

    Args:
        contract: the schema.
        names: the fields that can be read.
        height: records in the table.
        facts: where the suspicions ask.
    """
    yield from patients_records(contract, names, facts)
    yield from shifted_dates(contract, names, facts)
    yield from twins(contract, names, facts)
    yield from constant_fields(contract, names, height, facts)
