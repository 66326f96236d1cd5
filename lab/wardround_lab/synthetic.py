"""Synthetic hospitals for any shared schema: records that obey it, a truth that can be learned, and differences on purpose.

A record's numbers come from correlated normal latents, stretched over each field's plausible range; codes are drawn
evenly; optional fields lose a few values; records that break a rule of the schema are drawn again. The target follows a
logistic truth that all hospitals share. What differs is each hospital's share of positives (label skew) and, if asked,
the mean of its latents (covariate shift). It serves tests, and a data scientist who tries a study before any hospital
has been asked; figures on such records say nothing about patients.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from silo_node.mapping.cells import SCHEMA_TYPES
from silo_node.validation.expressions import RuleCompiler
from wardround.contract import rules
from wardround.contract.model import Contract, ContractField
from wardround.errors import Broken, refuse
from wardround.study.encoding import bounds
from wardround.study.model import Target
from wardround.values import Slug
from wardround_lab.site_files import SHARES, LocalColumn, LocalForm, write_site

COMMON_SHARE = 0.75
"""How much of a latent's variance a record's numbers have in common; high, so that rules between fields often hold."""
SPREAD = 6.0
"""A plausible range spans so many standard deviations of the latent."""
EFFECT = 2.5
"""Standard deviation of the truth's score, in logits: an AUROC of about 0.9."""
MISSING_SHARE = 0.04
"""Share of values that an optional field loses, or half of what the schema allows, if that is less."""
MOST_DRAWS = 400
"""How often records are drawn before the schema's rules are called too narrow for random records."""
FIRST_DAY, DAYS = date(2000, 1, 1), 7300


@dataclass(frozen=True)
class SyntheticHospital:
    """One hospital to make.

    Attributes:
        records: how many it holds.
        prevalence: its share of positives, on average over draws.
        shift: added to the mean of its latents, in standard deviations.
        parquet: whether it keeps a Parquet file; else a CSV.
    """

    site: Slug
    records: int
    prevalence: float = 0.5
    shift: float = 0.0
    parquet: bool = False


def make_synthetic(
    folder: Path, contract: Contract, target: Target, hospitals: Sequence[SyntheticHospital], seed: int
) -> tuple[Path, ...]:
    """Write synthetic hospitals, each in its own folder; gives the paths of their ``site.yaml``."""
    return tuple(
        write_site(folder / each.site, _form(each, contract), contract, draw(contract, target, each, seed)) for each in hospitals
    )


def _form(hospital: SyntheticHospital, contract: Contract) -> LocalForm:
    return LocalForm(
        site=hospital.site,
        name=f"Synthetic hospital {hospital.site}",
        path="records.parquet" if hospital.parquet else "records.csv",
        columns={name: LocalColumn(f"L_{name}") for name in contract.names},
        policy=SHARES,
    )


def draw(contract: Contract, target: Target, hospital: SyntheticHospital, seed: int) -> pl.DataFrame:
    """Draw a hospital's records in schema form; the same arguments give the same records.

    Raises:
        Refused: S-RULE when random records all but never obey the schema's rules; S-FIELD for a text field whose pattern
            no made-up text fits.
    """
    random = np.random.default_rng([seed, *hospital.site.encode()])
    kept: list[pl.DataFrame] = []
    total = 0
    for number in range(MOST_DRAWS):
        drawn = _records(contract, hospital, random, start=number * hospital.records)
        drawn = drawn.filter(_obeys(contract))
        kept.append(drawn)
        total += drawn.height
        if total >= hospital.records:
            records = pl.concat(kept).head(hospital.records)
            return _with_target(records, contract, target, hospital, seed, random)
    raise refuse(
        "S-RULE",
        f"{contract.id} {contract.version}",
        "Random records obey the schema's rules now and then",
        f"{total} of {MOST_DRAWS * hospital.records} did",
        "use records of your own for this schema",
    )


def _obeys(contract: Contract) -> pl.Expr:
    compiler = RuleCompiler(contract)
    kept = pl.lit(value=True)
    for rule in contract.rules:
        kept = kept & compiler.truth(rules.parse(rule.check, rule.id)).fill_null(value=True)
    return kept


def _records(contract: Contract, hospital: SyntheticHospital, random: np.random.Generator, start: int) -> pl.DataFrame:
    count = hospital.records
    common = random.standard_normal(count)
    columns: dict[str, pl.Series] = {}
    for field in contract.fields:
        own = random.standard_normal(count)
        latent = np.sqrt(COMMON_SHARE) * common + np.sqrt(1 - COMMON_SHARE) * own + hospital.shift
        column = _values(contract, field, latent, random, f"{hospital.site}/{field.name}", start)
        columns[field.name] = _with_gaps(column, field, random)
    return pl.DataFrame(columns)


def _values(
    contract: Contract, field: ContractField, latent: NDArray[np.float64], random: np.random.Generator, name: str, start: int
) -> pl.Series:
    kind = SCHEMA_TYPES[field.type]
    if field.values:
        return pl.Series(random.choice(field.values, size=len(latent)).tolist(), dtype=kind)
    if field.type == "date":
        days = random.integers(DAYS, size=len(latent)).tolist()
        return pl.Series([FIRST_DAY + timedelta(days=day) for day in days], dtype=kind)
    if field.type == "string":
        return pl.Series([_text(field, f"{name}/{start + row}") for row in range(len(latent))], dtype=kind)
    low, high = bounds(contract, field.name)
    numbers = np.clip((low + high) / 2 + latent * (high - low) / SPREAD, low, high)
    if field.type == "integer":
        return pl.Series(np.clip(np.rint(numbers), np.ceil(low), np.floor(high)).astype(np.int64), dtype=kind)
    digits = max(0, 5 - int(np.floor(np.log10(high - low))))
    return pl.Series(np.clip(np.round(numbers, digits), low, high), dtype=kind)


def _text(field: ContractField, seed: str) -> str:
    """Make up a text: sixteen hexadecimal digits, or decimal ones where the field's pattern wants these."""
    digest = hashlib.sha256(seed.encode()).hexdigest()
    pattern = re.compile(field.constraints.pattern or ".*")
    for text in (digest[:16], str(int(digest[:12], 16)), digest[:8], digest):
        if pattern.fullmatch(text):
            return text
    raise refuse(
        "S-FIELD",
        field.name,
        "A text field's pattern fits hexadecimal or decimal digits, so that values can be made up",
        "no made-up text fits",
        "use records of your own for this schema",
    )


def _with_gaps(column: pl.Series, field: ContractField, random: np.random.Generator) -> pl.Series:
    if field.required or field.privacy == "pseudonym":
        return column
    share = min(MISSING_SHARE, field.missing.max_fraction / 2)
    lost = pl.Series(random.random(len(column)) < share)
    return pl.select(pl.when(lost).then(None).otherwise(column)).to_series().cast(column.dtype)


# ------------------------------------------------------------------------------------------------------------ the truth


def _with_target(
    records: pl.DataFrame,
    contract: Contract,
    target: Target,
    hospital: SyntheticHospital,
    seed: int,
    random: np.random.Generator,
) -> pl.DataFrame:
    """Draw the target: the truth's score, and the intercept that gives the hospital its share of positives."""
    scores = truth(records, contract, target, seed)
    chance = 1 / (1 + np.exp(-(scores + _intercept(scores, hospital.prevalence))))
    positive = pl.Series(random.random(records.height) < chance)
    others = [value for value in contract.field(target.field).values if value != target.positive]
    if not others:
        msg = f"the target {target.field} has no second value"
        raise Broken(msg)
    negatives = pl.Series(random.choice(others, size=records.height).tolist(), dtype=pl.String)
    column = pl.when(positive).then(pl.lit(target.positive)).otherwise(negatives).alias(target.field)
    return records.with_columns(column).select(contract.names)


def truth(records: pl.DataFrame, contract: Contract, target: Target, seed: int) -> NDArray[np.float64]:
    """Give each record's score in logits, before the hospital's intercept; ``(n_records,)``. The same at every hospital."""
    random = np.random.default_rng([seed, 0])
    total = np.zeros(records.height)
    terms = 0.0
    for field in contract.fields:
        if field.name == target.field or field.privacy != "none" or not (field.values or field.type in ("integer", "number")):
            continue
        if field.values:
            effects = dict(zip(field.values, random.standard_normal(len(field.values)), strict=True))
            total += records[field.name].replace_strict(effects, default=0.0, return_dtype=pl.Float64).to_numpy()
        else:
            low, high = bounds(contract, field.name)
            latent = (records[field.name].cast(pl.Float64).to_numpy() - (low + high) / 2) * SPREAD / (high - low)
            total += np.nan_to_num(latent) * random.standard_normal()
        terms += 1
    scaled: NDArray[np.float64] = total * (EFFECT / np.sqrt(max(terms, 1.0)))
    return scaled


def _intercept(scores: NDArray[np.float64], prevalence: float) -> float:
    """Find the intercept for which the mean chance is the prevalence, by halving."""
    low, high = -50.0, 50.0
    for _ in range(60):
        middle = (low + high) / 2
        if float(np.mean(1 / (1 + np.exp(-(scores + middle))))) < prevalence:
            low = middle
        else:
            high = middle
    return (low + high) / 2
