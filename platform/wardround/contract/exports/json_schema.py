"""JSON Schema (draft 2020-12): of schema files, for editors; and of one record of a schema, for programs."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any, Final

from wardround.canonical import model_json
from wardround.contract import imaging, units
from wardround.contract.model import (
    Category,
    CheckSetting,
    Concept,
    Constraints,
    Contract,
    ContractField,
    Limits,
    Longitudinal,
    Missing,
    MissingMark,
    Plausible,
    Reference,
    Rule,
    Source,
    WrongUnit,
)

if TYPE_CHECKING:
    from pydantic import BaseModel

    from wardround.canonical import Json
    from wardround.contract.library import Kind

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
NAMESPACE: Final = "wardround:"
"""Stands before the keys that are ours and that no standard knows."""

_PARTS: Final[tuple[type[BaseModel], ...]] = (
    *(Category, CheckSetting, Concept, Constraints, Contract, ContractField, Limits, Longitudinal, Missing, MissingMark),
    *(Plausible, Reference, Rule, Source, WrongUnit),
)
_PARTS_OF_IMAGES: Final[tuple[type[BaseModel], ...]] = (
    *(imaging.Geometry, imaging.ImagingContract, imaging.Intensity, imaging.Label, imaging.Privacy, imaging.Protocol),
    *(imaging.Range, imaging.TableLink, imaging.Tags, Source),
)
_ATTRIBUTE: Final = re.compile(r"(?m)^    (\w+): (.+(?:\n {8,}.+)*)")


def editor_schema(kind: Kind = "table") -> dict[str, Json]:
    """Give the JSON Schema of schema files of a kind, for completion in editors: keys, types, allowed words, what each key means.

    It knows the shape only; whether keys, limits and rules fit each other is what ``wardround schema check`` looks at.
    """
    whole, parts = (Contract, _PARTS) if kind == "table" else (imaging.ImagingContract, _PARTS_OF_IMAGES)
    found: dict[str, Any] = whole.model_json_schema(by_alias=True)
    definitions: dict[str, Any] = {**found["$defs"], whole.__name__: found}
    for part in parts:
        _describe(part, definitions[part.__name__])
    if kind == "table":
        definitions[ContractField.__name__]["properties"]["unit"] |= {"enum": [*units.table(), None]}
        return {"$schema": DIALECT, "$id": "urn:wardround:schema-file", **found, "title": "Schema file of Wardround"}
    name = "urn:wardround:schema-file-of-images"
    return {"$schema": DIALECT, "$id": name, **found, "title": "Schema file of images of Wardround"}


def _describe(part: type[BaseModel], definition: dict[str, Any]) -> None:
    """Move what a class says of its attributes to the properties that they are in files."""
    words = inspect.cleandoc(part.__doc__ or "")
    head, _, attributes = words.partition("\nAttributes:\n")
    definition["description"] = _plain(head)
    for name, text in _ATTRIBUTE.findall(attributes):
        definition["properties"][part.model_fields[name].alias or name]["description"] = _plain(text)


def _plain(text: str) -> str:
    return " ".join(text.replace("``", "").split())


def record_schema(contract: Contract) -> dict[str, Json]:
    """Give the JSON Schema of one record: an object with the fields as keys; a missing value is null, or no key.

    What speaks of several fields or records (rules, keys, shares) has no words in JSON Schema and stands under a key of ours.
    """
    properties: dict[str, Json] = {field.name: _property(contract, field) for field in contract.fields}
    required: list[Json] = [field.name for field in contract.fields if field.required]
    return {
        "$schema": DIALECT,
        "$id": f"urn:wardround:schema:{contract.id}:{contract.version}",
        "title": contract.title,
        "description": contract.description or contract.row_grain,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": contract.fields_match == "superset",
        f"{NAMESPACE}contract": beside(contract),
    }


def beside(contract: Contract) -> dict[str, Json]:
    """Give what of a contract as a whole has no counterpart elsewhere, as it stands in the contract."""
    whole = model_json(contract)
    keys = ("id", "version", "status", "sources", "row_grain", "patientKey", "rules", "longitudinal", "checks", "limits")
    hashes: dict[str, Json] = {"contract_hash": contract.contract_hash(), "encoding_hash": contract.encoding_hash()}
    return {key: whole[key] for key in keys} | hashes


def beside_field(field: ContractField) -> dict[str, Json]:
    """Give what of a field has no counterpart elsewhere and is not what it would be if nothing were said."""
    whole = model_json(field)
    keys = ("unit", "concept", "plausible", "code_system", "free_text", "investigative", "reference", "privacy")
    usual = model_json(ContractField(name=field.name, type=field.type, unit=field.unit))
    found = {
        key: whole[key] for key in keys if whole[key] != usual[key] or (key in ("unit", "privacy") and whole[key] is not None)
    }
    if field.missing.max_fraction < 1:
        found["max_missing_fraction"] = field.missing.max_fraction
    return found


def _property(contract: Contract, field: ContractField) -> dict[str, Json]:
    limits = field.constraints
    found: dict[str, Json] = {"type": {"date": "string"}.get(field.type, field.type)}
    if field.type == "date":
        found["format"] = "date"
    if field.values:
        found["enum"] = list(field.values)
    if limits.pattern is not None:
        found["pattern"] = whole(limits.pattern)
    numeric = field.type in ("integer", "number")
    written: dict[str, Json] = {
        "title": field.title,
        "description": field.description,
        "minLength": limits.min_length,
        "maxLength": limits.max_length,
        "minimum": limits.minimum if numeric else None,
        "maximum": limits.maximum if numeric else None,
    }
    found |= {key: value for key, value in written.items() if value is not None}
    more: dict[str, Json] = {}
    if not numeric and (limits.minimum is not None or limits.maximum is not None):
        more = {"minimum": limits.minimum, "maximum": limits.maximum}  # JSON Schema has no limits of dates
    if not field.required:
        found["type"] = [found["type"], "null"]
        if field.values:
            found["enum"] = [*field.values, None]
    labels: list[Json] = [model_json(category) for category in field.categories]
    marks: list[Json] = list(contract.missing_marks(field.name))
    extra = {**beside_field(field), **more, "missing_marks": marks, **({"categories": labels} if labels else {})}
    return {**found, f"{NAMESPACE}field": extra}


def whole(pattern: str) -> str:
    """Give a pattern that matches the whole text, for readers that look for it anywhere in the text."""
    bare = pattern.removeprefix("^").removesuffix("$")
    simple = "|" not in bare and not bare.endswith("\\")
    return f"^{bare}$" if simple else f"^(?:{pattern})$"
