"""Hospitals that tell how their records are distributed: drawn values, and what a trainer makes of them."""

from __future__ import annotations

import numpy as np
import polars as pl
from paper_hospitals import report
from studies_on_paper import FEATURES, Paper, contract

from silo_node.training.distributions import distributions
from silo_node.training.field_sums import field_sums
from wardround.messages.round import FiguresFor, StatisticsResult

TO_CM_H2O = 1.3595
"""How many centimetres of water a millimetre of mercury is."""


def ward(seed: int, size: int, *, age: float = 60, factor: float = 1.0, missing: float = 0.0, sick: float = 0.4) -> pl.DataFrame:
    """Draw the training records of a hospital: mean age, factor on the pressure, shares of missing pressures and of the sick."""
    random = np.random.default_rng(seed)
    pressure = np.clip(random.normal(125, 16, size) * factor, 40, 300)
    return pl.DataFrame(
        {
            "age": np.clip(random.normal(age, 11, size), 18, 100).astype(np.int64),
            "pressure": pl.Series([None if lost else p for p, lost in zip(pressure, random.random(size) < missing, strict=True)]),
            "pain": random.choice(["none", "some", "much"], size, p=[0.6, 0.3, 0.1]).tolist(),
            "disease": np.where(random.random(size) < sick, "present", "absent").tolist(),
        },
        schema_overrides={"pressure": pl.Float64},
    )


def result_of(
    paper: Paper, records: pl.DataFrame, *, share: FiguresFor | None = "consortium", small: int = 11
) -> StatisticsResult:
    """Give what a hospital answers to the first visit; without a share its policy lets no distribution out."""
    told = None if share is None else distributions(records, contract(), paper.bundle.study, small, share)
    return StatisticsResult(
        validation=30,
        test=30,
        sums=field_sums(records, contract(), FEATURES, small),
        report=report(records.height + 60),
        distributions=told,
    )
