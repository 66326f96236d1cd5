"""Synthetic hospitals for any shared schema: the contract's own synthetic records, kept as hospitals keep theirs.

The records are those of ``wardround schema synthesise``; all hospitals share the invented relation that a model can learn.
What differs is each hospital's size, its share of positives (label skew), where its patients lie and how far apart
(covariate shift), and how much is missing. It serves tests and benchmarks; figures on such records say nothing about
patients.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from silo_node.mapping.cells import SCHEMA_TYPES
from wardround.contract.model import Contract
from wardround.contract.synthetic.records import synthesise
from wardround.contract.synthetic.variation import Prevalence, Variation
from wardround.errors import Broken
from wardround.study.model import Target
from wardround.values import Slug
from wardround_lab.site_files import SHARES, LocalColumn, LocalForm, write_site

SEED_BYTES = 6
"""Of a hospital's seed: below 2**53, as seeds of synthetic records are."""


@dataclass(frozen=True)
class SyntheticHospital:
    """One hospital to make.

    Attributes:
        records: how many it holds.
        prevalence: its share of positives, on average over draws.
        shift: how much higher its patients' numbers lie, from -1 to 1: by about a standard deviation at the ends.
        scale: how far apart they lie, as a part of the usual.
        missing: how many times as often an optional value is missing.
        parquet: whether it keeps a Parquet file; else a CSV.
    """

    site: Slug
    records: int
    prevalence: float = 0.5
    shift: float = 0.0
    scale: float = 1.0
    missing: float = 1.0
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
        Refused: S-SYNTH for a rule that made-up records all but never keep; X-USAGE for a number of records that cannot be.
    """
    if target.field is None or target.positive is None:
        msg = "made-up records have a target with two sides"
        raise Broken(msg)
    variation = Variation(
        shift=hospital.shift,
        scale=hospital.scale,
        missing=hospital.missing,
        prevalence=Prevalence(target.field, target.positive, hospital.prevalence),
    )
    records = synthesise(contract, hospital.records, _seed(seed, hospital.site), variation=variation)
    return pl.DataFrame(records, schema={field.name: SCHEMA_TYPES[field.type] for field in contract.fields})


def _seed(seed: int, site: Slug) -> int:
    """Give each hospital a seed of its own."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{site}".encode()).digest()[:SEED_BYTES], "big")
