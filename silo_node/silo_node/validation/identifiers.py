"""Identifiers that a spreadsheet or a float took for numbers: leading zeros, digits or exactness are lost."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

import polars as pl

from silo_node.mapping.cells import EXACT_INTEGER_LIMIT
from silo_node.mapping.facts import Facts
from silo_node.mapping.resolve import identifying_fields
from silo_node.validation.causes import Cause, Failed, matching, nowhere
from silo_node.validation.constraints import Check
from silo_node.validation.patterns import Pattern
from wardround.contract.model import Contract, ContractField

LONGEST_IDENTIFIER = 40
"""Digits up to which leading zeros are tried."""
DIGITS_OF_A_FLOAT = 15
"""Significant digits that every 64-bit float holds; a spreadsheet shows six."""

_SCIENTIFIC = r"[+-]?[0-9]+(?:[.,][0-9]+)?[eE][+-]?[0-9]+"
_WRITTEN_BY_A_PROGRAM = r"[0-9](?:[.,][0-9]+)?[eE]\+[0-9]+"
"""What no identifier is by chance: spreadsheets and programs write the sign of the exponent, and one digit before the point."""
_WHOLE_FLOAT = r"[0-9]{16,}[.,]0*"
_DIGITS = r"[0-9]+"
_AS_TEXT = "export the identifiers as text (in a spreadsheet: format the column as text before the values come in)"
NEXT_STEPS = {
    "T-LEADZERO": f"{_AS_TEXT}, with their leading zeros; zeros are not put back, since a shorter id could be another one",
    "T-SCI": f"{_AS_TEXT}; the digits that are not shown are lost, so go back to the source",
    "T-BIGINT": f"{_AS_TEXT}; above 2**53 a float changed their last digits, so go back to the source",
}
EXPECTATIONS = {
    "T-LEADZERO": "{name} holds identifiers with their leading zeros",
    "T-SCI": "{name} holds no identifiers in scientific notation",
    "T-BIGINT": "{name} holds no identifiers that were a float, which is exact up to 2**53 only",
}


def is_identifier(contract: Contract, field: ContractField) -> bool:
    """Say whether a field holds identifiers: it is a key, or a pseudonym."""
    return field.type == "string" and (field.name in identifying_fields(contract) or field.privacy == "pseudonym")


def expectation(code: str, field: ContractField) -> str:
    """Say what should hold of a field's identifiers."""
    return EXPECTATIONS[code].format(name=field.name)


def checks(contract: Contract, field: ContractField, facts: Facts) -> Iterator[Check]:
    """Give the check of identifiers without a pattern; those with one break it."""
    if is_identifier(contract, field) and field.constraints.pattern is None and not field.values:
        column = pl.col(field.name)
        yield Check(
            code="T-SCI",
            severity="error",
            level="record",
            fields=(field.name,),
            broken=column.str.contains(rf"\A{_WRITTEN_BY_A_PROGRAM}\z"),
            suspicion=facts.any(column.str.contains("+", literal=True).any()),
            expectation=expectation("T-SCI", field),
            next_step=NEXT_STEPS["T-SCI"],
        )


def causes(failed: Failed) -> Iterator[Cause]:
    """Say which texts that break a pattern, or are in scientific notation, are what number."""
    field, cells = failed.mapping.field, failed.cells
    scientific = matching(cells, _SCIENTIFIC)
    found = {"T-BIGINT": _through_a_float(cells, scientific), "T-SCI": scientific}
    if failed.code == "T-PATTERN":
        found["T-LEADZERO"] = _zeros_lost(field, cells)
    for code, where in found.items():
        yield Cause(code, where, expectation(code, field), NEXT_STEPS[code])


def _through_a_float(cells: pl.Series, scientific: pl.Series) -> pl.Series:
    mantissa = cells.str.replace(r"[eE].*\z", "").str.replace_all(r"[^0-9]", "")
    exact = scientific & (mantissa.str.len_bytes() >= DIGITS_OF_A_FLOAT)
    numbers = cells.str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
    return (exact | matching(cells, _WHOLE_FLOAT)) & (numbers.abs() >= EXACT_INTEGER_LIMIT).fill_null(value=False)


def _zeros_lost(field: ContractField, cells: pl.Series) -> pl.Series:
    """Say which cells are digits that fit with zeros before them, and are too short without."""
    least, most = _lengths(field)
    short = cells.filter(matching(cells, _DIGITS)).unique()
    fit = nowhere(short)
    for length in range(max(least, 2), min(most, LONGEST_IDENTIFIER) + 1):
        padded = short.str.zfill(length)
        fit = fit | ((short.str.len_bytes() < length) & _fits(field, padded))
    return cells.is_in(short.filter(fit).to_list()).fill_null(value=False)


def _lengths(field: ContractField) -> tuple[int, int]:
    limits = field.constraints
    least, most = limits.min_length or 0, limits.max_length or LONGEST_IDENTIFIER
    if limits.pattern is not None:
        narrowest, widest = importlib.import_module("re._parser").parse(limits.pattern).getwidth()
        least, most = max(least, int(narrowest)), min(most, int(widest))
    return least, most


def _fits(field: ContractField, texts: pl.Series) -> pl.Series:
    limits, text = field.constraints, pl.col("text")
    length = text.str.len_chars()
    fits = length >= (limits.min_length or 0)
    if limits.max_length is not None:
        fits = fits & (length <= limits.max_length)
    if limits.pattern is not None:
        fits = fits & Pattern(limits.pattern).matches(text)
    return texts.to_frame("text").select(fits.alias("fits")).to_series()
