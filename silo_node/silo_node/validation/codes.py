"""Codes of a terminology that cannot be codes of it, and what they are instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import polars as pl

from silo_node.mapping.facts import Facts
from silo_node.validation.causes import Cause, Failed, Kind, by_kind, different
from silo_node.validation.constraints import Check
from wardround.contract.code_systems import ICD_9_CM, ICD_10_CM, is_code
from wardround.contract.model import CodeSystem, Contract, ContractField

_NO_DOT = Kind("without the dot", r"[A-Z][0-9][0-9A-Z][0-9A-Z]{1,4}", "write the dot after the third sign")
_OLD = Kind(
    "in the form of ICD-9", ICD_9_CM, "map the column in which the codes of the declared system are; ICD-9 is another one"
)
_NEW = Kind("in the form of ICD-10", ICD_10_CM, "map the column with the ICD-9-CM codes; ICD-10 is another system")
_KINDS: Mapping[CodeSystem, tuple[Kind, ...]] = {
    "LOINC": (
        Kind("with a wrong check digit", r"[1-9][0-9]{0,6}-[0-9]", "correct the codes: their last digit does not belong to them"),
        Kind("without the check digit", r"[1-9][0-9]{0,6}", "write the check digit: a spreadsheet may have taken it off"),
    ),
    "SNOMED CT": (
        Kind("through a float", r"[0-9.]+[eE]\+?[0-9]+|[0-9]+\.0", "export the codes as text"),
        Kind(
            "with a wrong check digit, or of no concept",
            r"[1-9][0-9]{5,17}",
            "correct the codes: an SCTID beyond 2**53 that was a number has other last digits; descriptions are no concepts",
        ),
    ),
    "ICD-10": (_OLD, _NO_DOT, Kind("in the form of ICD-10-CM", ICD_10_CM, "ask for a schema with code_system: ICD-10-CM")),
    "ICD-10-CM": (_OLD, _NO_DOT),
    "ICD-9-CM": (
        Kind("without the dot", r"[0-9]{4,5}|V[0-9]{3,4}|E[0-9]{4}", "write the dot after the third sign (E codes: the fourth)"),
        _NEW,
        Kind("without leading zeros", r"[0-9]{1,2}(?:\.[0-9]{1,2})?", "export the codes as text, with their leading zeros"),
    ),
    "RxNorm": (Kind("through a float", r"[0-9]+\.0", "export the codes as text"),),
    "ATC": (),
    "UCUM": (),
}


def checks(_: Contract, field: ContractField, facts: Facts) -> Iterator[Check]:
    """Give the check of a field's codes, each different code judged once."""
    system = field.code_system
    if system is None:
        return

    def wrong(codes: pl.Series) -> pl.Series:
        return different(codes, lambda code: not is_code(system, code))

    def any_wrong(codes: pl.Series) -> pl.Series:
        return pl.Series([not all(is_code(system, code) for code in codes.drop_nulls().unique())])

    column = pl.col(field.name)
    yield Check(
        code="T-CODEVER",
        severity="error",
        level="record",
        fields=(field.name,),
        broken=column.map_batches(wrong, return_dtype=pl.Boolean),
        suspicion=facts.any(column.map_batches(any_wrong, return_dtype=pl.Boolean, returns_scalar=True)),
        expectation=f"{field.name} holds codes of {system}, with their dots and check digits",
        next_step=f"export codes of {system}, as text",
    )


def _in_capitals(system: CodeSystem, code: str) -> bool:
    return system != "UCUM" and is_code(system, code.strip().upper())


def causes(failed: Failed) -> Iterator[Cause]:
    """Name white space and small letters, then what is wrong with the form of the others."""
    system = failed.mapping.field.code_system
    if system is None:
        return
    other = different(failed.cells, lambda code: is_code(system, code.strip()) or _in_capitals(system, code))
    yield Cause("T-CASE", other, next_step="export the codes without white space around them, in capital letters")
    named = by_kind("T-CODEVER", failed.cells.filter(~other), _KINDS[system])
    if named is not None:
        yield Cause("T-CODEVER", ~other, next_step=named.next_step, note=named.note)
