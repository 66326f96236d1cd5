"""What holds between the records of one patient: fields that never change (T-VARYING), stays that do not overlap (T-OVERLAP)."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from silo_node.mapping.facts import Facts
from silo_node.validation.constraints import Check
from wardround.contract.model import Contract

_ROW, _PATIENT, _VALUE, _START, _END = "row", "patient", "value", "start", "end"


def patients_records(contract: Contract, names: set[str], facts: Facts) -> Iterator[Check]:
    """Give the checks of ``longitudinal`` whose fields can be read; none where a patient has one record only."""
    patient, longitudinal = contract.patient_key, contract.longitudinal
    if patient not in names or contract.primary_key == (patient,):
        return
    for name in longitudinal.constant:
        if name in names:
            yield _varying(patient, name, facts)
    stay = longitudinal.no_overlap
    if stay is not None and names.issuperset(stay):
        yield _overlapping(patient, *stay, facts)


def _varying(patient: str, name: str, facts: Facts) -> Check:
    """All records of the patient are concerned: none is known to be the right one. A missing value is no other value."""
    columns = pl.struct(pl.col(patient).alias(_PATIENT), pl.col(name).alias(_VALUE))
    return Check(
        code="T-VARYING",
        severity="error",
        level="record",
        fields=(patient, name),
        broken=columns.map_batches(varying, return_dtype=pl.Boolean),
        suspicion=facts.whole(columns, lambda records: bool(varying(records).any())),
        expectation=f"{name} is the same in all records of a patient",
        next_step="correct the value, or the patient's pseudonym, in these records",
        stage="table",
        about=name,
    )


def _overlapping(patient: str, start: str, end: str, facts: Facts) -> Check:
    """A stay may begin on the day on which another ends; one that ends before it begins, or that lacks a day, is not judged."""
    columns = pl.struct(pl.col(patient).alias(_PATIENT), pl.col(start).alias(_START), pl.col(end).alias(_END))
    return Check(
        code="T-OVERLAP",
        severity="error",
        level="record",
        fields=(patient, start, end),
        broken=columns.map_batches(overlapping, return_dtype=pl.Boolean),
        suspicion=facts.whole(columns, lambda stays: bool(overlapping(stays).any())),
        expectation=f"Stays of a patient, from {start} to {end}, do not overlap",
        next_step="correct the days, or the patient's pseudonym, in these records",
        stage="table",
        about=start,
    )


def varying(records: pl.Series) -> pl.Series:
    """Say which records are of patients whose value varies; ``records`` holds patient and value."""
    value, patient = pl.col(_VALUE), pl.col(_PATIENT)
    varies = (value.min().over(patient) != value.max().over(patient)) & patient.is_not_null()
    return records.struct.unnest().select(varies).to_series()


def overlapping(stays: pl.Series) -> pl.Series:
    """Say which stays overlap another one of their patient; ``stays`` holds patient, start and end."""
    table = stays.struct.unnest().with_row_index(_ROW)
    start, end = pl.col(_START), pl.col(_END)
    ordered = table.filter((start <= end) & pl.col(_PATIENT).is_not_null()).sort(_PATIENT, _START, _END)
    # In this order a stay overlaps an earlier one if it begins before the last day so far, and a later one if the next does
    before, after = end.cum_max().shift(1).over(_PATIENT), start.shift(-1).over(_PATIENT)
    hits = ordered.filter((start < before) | (after < end))[_ROW]
    return pl.Series([False]).new_from_index(0, len(stays)).scatter(hits, True)  # noqa: FBT003  (polars')
