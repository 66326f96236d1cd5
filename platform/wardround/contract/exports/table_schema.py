"""A contract as a Frictionless Table Schema, version 2 (https://datapackage.org/standard/table-schema)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wardround.canonical import model_json
from wardround.contract.exports.json_schema import NAMESPACE, beside, beside_field, whole
from wardround.contract.model import Contract, ContractField

if TYPE_CHECKING:
    from wardround.canonical import Json

PROFILE: Final = "https://datapackage.org/profiles/2.0/tableschema.json"

FIELDS_MATCH: Final = {"exact": "equal", "superset": "subset"}
"""Our words and theirs. Columns are found by name (their ``exact`` means by position); where a table may have further columns,
Table Schema calls the schema a subset of the table."""


def table_schema(contract: Contract) -> dict[str, Json]:
    """Give the Table Schema of a contract in shared form; what it has no words for stands under keys of our own."""
    fields: list[Json] = [_field(contract, field) for field in contract.fields]
    missing: list[Json] = [model_json(mark) for mark in contract.missing_values]
    return {
        "$schema": PROFILE,
        "fields": fields,
        "fieldsMatch": FIELDS_MATCH[contract.fields_match],
        "missingValues": missing,
        "primaryKey": list(contract.primary_key),
        f"{NAMESPACE}contract": {"title": contract.title, "description": contract.description, **beside(contract)},
    }


def _field(contract: Contract, field: ContractField) -> dict[str, Json]:
    found: dict[str, Json] = {"name": field.name, "type": field.type}
    if field.title is not None:
        found["title"] = field.title
    if field.description is not None:
        found["description"] = field.description
    if field.categories:
        found["categories"] = [_category(category.value, category.label) for category in field.categories]
    if constraints := _constraints(field):
        found["constraints"] = constraints
    if field.missing.labels:  # a field's own marks take the place of the table's, there
        labels = {mark.value: mark.label for mark in (*field.missing.labels, *contract.missing_values)}
        found["missingValues"] = [{"value": mark, "label": labels[mark]} for mark in contract.missing_marks(field.name)]
    concepts: dict[str, Json] = {
        category.value: model_json(category.concept) for category in field.categories if category.concept is not None
    }
    extra = {**beside_field(field), **({"category_concepts": concepts} if concepts else {})}
    return {**found, f"{NAMESPACE}field": extra}


def _category(value: str, label: str | None) -> dict[str, Json]:
    return {"value": value} if label is None else {"value": value, "label": label}


def _constraints(field: ContractField) -> dict[str, Json]:
    limits = model_json(field.constraints)
    if limits["pattern"] is not None:
        limits["pattern"] = whole(str(limits["pattern"]))
    return {key: value for key, value in limits.items() if value is not None and value is not False}
