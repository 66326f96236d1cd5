"""What the contract asks of values, as checks: an exact mask of the records that break it, and a cheap suspicion.

The suspicion is one truth value for the whole table and is never false when a record breaks the check, so that clean
tables pay for a minimum and a maximum instead of a mask.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import reduce
from operator import or_
from typing import Literal

import numpy as np
import polars as pl

from silo_node.mapping import listed
from silo_node.mapping.facts import Facts
from silo_node.mapping.listed import SHORT_LIST
from silo_node.mapping.resolve import identifying_fields
from silo_node.validation.expressions import RuleCompiler
from silo_node.validation.findings import Level
from silo_node.validation.patterns import Pattern
from wardround.contract import rules
from wardround.contract.model import Contract, ContractField, Rule


@dataclass(frozen=True)
class Check:
    """One thing that the contract asks.

    Attributes:
        code: of the finding.
        severity: of the finding.
        level: ``record`` sets the breaking records aside; ``share`` only counts them.
        fields: the fields that it reads; a record with a bad cell in one of them is not judged.
        broken: whether a record breaks it; null where that is unknown.
        suspicion: one truth value for the table, over its facts; when false no record breaks it.
        expectation: what should hold, for people.
        next_step: what the hospital can do.
        rule: the contract's id of a cross-field rule.
        limit: the share that may break it; ``None`` when none may.
        stage: ``value`` checks judge a value by itself; ``context`` checks leave out records whose values failed those;
            ``table`` checks hold records against each other, and such values are missing to them.
        about: the field that a finding names, where the check reads several.
        whole: whether ``broken`` is told from all records at once, not from each by itself, as ``table`` checks are anyway.
        alike: a number that records have in common with those with which they may break it; by the record alone.
    """

    code: str
    severity: Literal["error", "warning"]
    level: Level
    fields: tuple[str, ...]
    broken: pl.Expr
    suspicion: pl.Expr
    expectation: str
    next_step: str
    rule: str | None = None
    limit: float | None = None
    stage: Literal["value", "context", "table"] = "value"
    about: str | None = None
    whole: bool = False
    alike: pl.Expr | None = None

    @property
    def sets_aside(self) -> bool:
        """Whether the records that break it are set aside."""
        return self.level == "record" and self.severity == "error"

    @property
    def subject(self) -> str | None:
        """The field that a finding names, where it is about one."""
        if self.about is not None or self.rule is not None:
            return self.about
        return self.fields[0] if len(self.fields) == 1 else None


def value_checks(contract: Contract, field: ContractField, facts: Facts, *, mapped_codes: bool) -> Iterator[Check]:
    """Give the checks on one field's values.

    Args:
        contract: the schema.
        field: one of its fields.
        facts: where the suspicions ask.
        mapped_codes: whether local codes were mapped, so that every value is one of the field's by construction.
    """
    column = pl.col(field.name)
    if field.required or field.name in identifying_fields(contract):
        absent = facts.nulls(field.name) > 0
        yield _check("T-NULL", field, column.is_null(), absent, "is required", "fill it in, or leave the record out")
    yield from _range(field, column, facts)
    if field.values and not mapped_codes:
        outside = ~_one_of(column, field.values)
        suspicion = listed.others(field.name, field.values, facts) if listed.told(field.values) else facts.any(outside.any())
        text = f"holds one of: {', '.join(field.values)}"
        yield _check("T-ENUM", field, outside, suspicion, text, "map local codes under 'codes' in the site file")
    yield from _text(field, column, facts)
    if field.constraints.unique and contract.primary_key != (field.name,):
        yield duplicates((field.name,), "holds a value only once", facts)


def context_checks(contract: Contract, field: ContractField, facts: Facts) -> Iterator[Check]:
    """Give the checks of shares on one field: implausible values, and missing ones."""
    column = pl.col(field.name)
    if field.plausible is not None:
        low, high = field.plausible.low, field.plausible.high
        yield Check(
            code="T-PLAUS",
            severity="error",
            level="share",
            fields=(field.name,),
            broken=~column.is_between(low, high),
            suspicion=_outside(field.name, low, high, facts),
            expectation=f"At most {field.plausible.max_outside:.2%} of {field.name} lie outside {low} to {high} {field.unit}",
            next_step="look for another unit, or a mark for missing that is not declared",
            limit=field.plausible.max_outside,
            stage="context",
        )
    limit = field.missing.max_fraction
    if not field.required and field.name not in identifying_fields(contract) and limit < 1.0:
        yield Check(
            code="T-MISSLIM",
            severity="error",
            level="share",
            fields=(field.name,),
            broken=column.is_null(),
            suspicion=facts.nulls(field.name) > limit * facts.records,
            expectation=f"At most {limit:.2%} of {field.name} are missing",
            next_step="complete the values, or ask for a study that does not need this field",
            limit=limit,
        )


def duplicates(names: tuple[str, ...], text: str, facts: Facts) -> Check:
    """Give the check that no two records have the same values in these fields; records with a missing one are not judged."""
    columns = [pl.col(name) for name in names]
    complete = pl.all_horizontal(column.is_not_null() for column in columns)
    key = columns[0] if len(columns) == 1 else pl.struct(columns)
    return Check(
        code="T-DUPKEY",
        severity="error",
        level="record",
        fields=names,
        broken=key.is_duplicated() & complete,
        suspicion=facts.whole(key.hash(), repeats),
        expectation=f"{', '.join(names)} {text}",
        next_step="remove or correct the records that stand twice",
        whole=True,
        alike=key.hash(),
    )


def repeats(hashes: pl.Series) -> bool:
    """Say whether a key may stand twice, by whether its hash does: two alike stand side by side when they are sorted.

    NumPy 2 sorts a million of them in half the time that polars takes to count the different ones.
    """
    ordered = np.sort(hashes.to_numpy())
    return bool((ordered[1:] == ordered[:-1]).any())


def _one_of(column: pl.Expr, values: tuple[str, ...]) -> pl.Expr:
    """Whether a value is in a list; a short one is searched by comparing with each."""
    if len(values) > SHORT_LIST:
        return column.is_in(list(values))
    return reduce(or_, (column == value for value in values))


def rule_check(contract: Contract, rule: Rule, expression: rules.Expression, facts: Facts) -> Check:
    """Give the check of a cross-field rule, which was read before."""
    broken = ~RuleCompiler(contract).truth(expression)
    return Check(
        code="T-RULE",
        severity=rule.severity,
        level="record" if rule.severity == "error" else "share",
        fields=tuple(sorted(rules.fields(expression))),
        broken=broken,
        suspicion=facts.any(broken.any()),
        expectation=f"{rule.id}: {rule.check}",
        next_step="correct the values, or their mapping, in these records",
        rule=rule.id,
        limit=None if rule.severity == "error" else rule.max_fraction,
        stage="context",
    )


def _check(code: str, field: ContractField, broken: pl.Expr, suspicion: pl.Expr, text: str, next_step: str) -> Check:
    return Check(
        code=code,
        severity="error",
        level="record",
        fields=(field.name,),
        broken=broken,
        suspicion=suspicion,
        expectation=f"{field.name} {text}",
        next_step=next_step,
    )


def _range(field: ContractField, column: pl.Expr, facts: Facts) -> Iterator[Check]:
    low, high = field.constraints.minimum, field.constraints.maximum
    if (low, high) == (None, None):
        return
    least = date.fromisoformat(low) if isinstance(low, str) else low
    most = date.fromisoformat(high) if isinstance(high, str) else high
    outside = pl.lit(value=False)
    if least is not None:
        outside = outside | (column < least)
    if most is not None:
        outside = outside | (column > most)
    words = " and ".join([*([f"at least {low}"] if low is not None else []), *([f"at most {high}"] if high is not None else [])])
    text = f"is {words}" + (f" ({field.unit})" if field.unit else "")
    next_step = "correct the values; map marks for missing under 'missing', and the unit under 'unit', in the site file"
    yield _check("T-RANGE", field, outside, _outside(field.name, least, most, facts), text, next_step)


def _outside(name: str, low: float | date | None, high: float | date | None, facts: Facts) -> pl.Expr:
    found = pl.lit(value=False)
    if low is not None:
        found = found | (facts.least(name) < low).fill_null(value=False)
    if high is not None:
        found = found | (facts.most(name) > high).fill_null(value=False)
    return found


def _text(field: ContractField, column: pl.Expr, facts: Facts) -> Iterator[Check]:
    limits = field.constraints
    next_step = "export the values in the schema's form; an id is text, with its leading zeros"
    if limits.pattern is not None:
        pattern = Pattern(limits.pattern)
        suspicion = facts.any(pattern.suspicion(column))
        yield _check("T-PATTERN", field, ~pattern.matches(column), suspicion, f"matches {limits.pattern}", next_step)
    if (limits.min_length, limits.max_length) != (None, None):
        least = limits.min_length or 0
        length = column.str.len_chars()
        broken = length < least
        words = f"has {least} or more characters"
        if limits.max_length is not None:
            broken = broken | (length > limits.max_length)
            words = f"has {least} to {limits.max_length} characters"
        yield _check("T-PATTERN", field, broken, facts.any(broken.any()), words, next_step)
