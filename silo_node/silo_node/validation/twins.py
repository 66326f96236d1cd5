"""The same patient under two ids (T-DUPROW): every quasi-identifier and every value the same, the patient another.

A value that both lack is the same (most patients have no day of death), but at least one quasi-identifier is known.

Two patients may be alike by chance where a table tells little of each. How many such pairs there would be follows from
the table itself: from the pairs that are alike in all but one field, times how often two records agree in that field. Twins
are told only where there are a hundred times as many.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from silo_node.mapping.facts import Facts
from silo_node.validation.constraints import Check, repeats
from wardround.contract.model import Contract

LEAST_FIELDS: Final = 5
"""Fields with more than one value that have to be the same in both records."""

MORE_THAN_CHANCE: Final = 100.0
"""How many times as many pairs there are as chance would make, at the least."""

_PATIENT = "the patient"
_GROUPINGS: Final = (["group"], ["group", "patient"])


def twins(contract: Contract, names: set[str], facts: Facts) -> Iterator[Check]:
    """Give the check, where the contract has quasi-identifiers and all of them can be read."""
    keys = {*contract.primary_key, contract.patient_key}
    told = [each for each in contract.fields if each.name not in keys and not each.investigative]
    compared = [each for each in told if each.privacy not in ("direct", "pseudonym")]
    telling = tuple(each.name for each in compared if each.privacy == "quasi")
    values = tuple(each.name for each in compared if each.name in names)
    if not telling or not names.issuperset((*telling, contract.patient_key)) or len(values) < LEAST_FIELDS:
        return
    columns = pl.struct(pl.col(contract.patient_key).alias(_PATIENT), *values)

    def found(records: pl.Series) -> pl.Series:
        return twin_records(records, telling)

    yield Check(
        code="T-DUPROW",
        severity="warning",
        level="record",
        fields=(contract.patient_key, *values),
        broken=columns.map_batches(found, return_dtype=pl.Boolean),
        suspicion=facts.whole(pl.struct(values).hash(), repeats),
        expectation="No patient stands under two pseudonyms, with the same quasi-identifiers and values",
        next_step="look whether the records are of one patient, and give them one pseudonym",
        stage="table",
    )


def twin_records(records: pl.Series, telling: tuple[str, ...]) -> pl.Series:
    """Say which records are alike in everything but their patient; ``telling`` are the quasi-identifiers among the fields."""
    table = records.struct.unnest()
    values = [name for name in table.columns if name != _PATIENT]
    known = pl.col(_PATIENT).is_not_null() & pl.any_horizontal(pl.col(name).is_not_null() for name in telling)
    alike = (pl.col(_PATIENT).drop_nulls().n_unique().over(values) > 1) & known
    found = table.select(alike.alias("alike")).to_series()
    if not found.any() or sum(table[name].n_unique() > 1 for name in values) < LEAST_FIELDS:
        return found & False
    return found if _more_than_chance(table.filter(known), values) else found & False


def _more_than_chance(table: pl.DataFrame, values: list[str]) -> bool:
    """Say whether more records of two patients are alike in all fields than those alike in all but one let expect."""
    hashes = [table[name].hash(seed).to_numpy() for seed, name in enumerate(values)]
    nothing = np.zeros(table.height, dtype=np.uint64)
    whole = nothing
    for each in hashes:
        whole = whole + each  # wraps, and so gives back the sum of the others when one is taken off
    alike, pairs, expected = _of_two_patients(table, whole), _of_two_patients(table, nothing), 0.0
    for each in hashes:
        agree = (_of_two_patients(table, each) - alike) / pairs
        if agree < 1:
            expected = max(expected, (_of_two_patients(table, whole - each) - alike) * agree / (1 - agree))
    return alike >= MORE_THAN_CHANCE * expected


def _of_two_patients(table: pl.DataFrame, group: NDArray[np.uint64]) -> int:
    grouped = pl.DataFrame({"group": group, "patient": table[_PATIENT]})
    squares = [grouped.group_by(by).len().select(pl.col("len").cast(pl.Int64).pow(2).sum()).item() for by in _GROUPINGS]
    return (int(squares[0]) - int(squares[1])) // 2
