"""Sums of a number over two studies, held against each other: whoever left between them cannot be told (decision 60)."""

from __future__ import annotations

import hashlib

import numpy as np
import polars as pl
from clinic_on_disk import CLINIC, load_contract

from silo_node.cohort import split
from silo_node.policy import Policy
from wardround.contract.model import Contract
from wardround.study.model import Split

PATIENTS = 100
LEFT = "patient 41"
"""Whose record was taken out between two studies."""
SHARES = Split(train=0.6, validation=0.2, test=0.2)
STUDIES = [hashlib.sha256(f"study {at}".encode()).hexdigest() for at in range(200)]


def hospital() -> pl.DataFrame:
    keys = [f"patient {at}" for at in range(PATIENTS)]
    pulses = np.random.default_rng(60).normal(120.0, 20.0, PATIENTS).round()
    return pl.DataFrame({"patient_key": keys, "pulse": pulses})


def validating(records: pl.DataFrame, contract: Contract, study: str) -> pl.DataFrame:
    return split(records.with_columns(visit=pl.int_range(pl.len())), contract, SHARES, study)[1]


def test_the_sums_of_one_study_before_and_after_would_say_the_value(tmp_path):
    """Why the gate tells a study's sums over the same records only: there the difference is the one who left."""
    contract, before = load_contract(CLINIC, tmp_path), hospital()
    after = before.filter(pl.col("patient_key") != LEFT)
    study = next(study for study in STUDIES if LEFT in validating(before, contract, study)["patient_key"])
    told = [validating(records, contract, study)["pulse"].sum() for records in (before, after)]
    assert told[0] - told[1] == before.filter(pl.col("patient_key") == LEFT)["pulse"].item()


def test_the_sums_of_two_studies_say_nothing_of_who_left(tmp_path):
    """Each study draws its own sides, so that between any two of them many others came and went, too."""
    contract, before = load_contract(CLINIC, tmp_path), hospital()
    after = before.filter(pl.col("patient_key") != LEFT)
    value = before.filter(pl.col("patient_key") == LEFT)["pulse"].item()
    earlier = [validating(before, contract, study) for study in STUDIES]
    later = [validating(after, contract, study) for study in reversed(STUDIES)]
    changed, errors = [], []
    for one, other in zip(earlier, later, strict=True):
        changed.append(len({*one["patient_key"]} ^ {*other["patient_key"]}))
        # The best that sums and counts allow: what is over when everybody else is taken for an average patient.
        usual = before["pulse"].mean() * (one.height - other.height - 1)
        errors.append(one["pulse"].sum() - other["pulse"].sum() - usual - value)
    assert min(changed) >= Policy().small_cell
    # To guess the average for everybody is better than that.
    assert np.sqrt(np.mean(np.square(errors))) > 3 * before["pulse"].std()
