"""Twenty ways in which a hospital's column comes in a wrong unit, with made-up distributions of the right one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

SHARES = {"p05": 0.05, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95}


@dataclass(frozen=True)
class Case:
    """A laboratory value or measure, and the unit that it comes in.

    Attributes:
        unit: the schema's; ``wrong``: the column's, as a finding names it (one of those that come to the same).
        factor: with ``offset``: what stands in the column = right value × factor + offset.
        median, spread: of the right values; the spread is that of their logarithms.
        below: the right values are ``below`` less such numbers, which have the median and spread.
    """

    name: str
    unit: str
    wrong: str
    factor: float
    median: float
    spread: float
    analyte: str | None = None
    offset: float = 0.0
    below: float | None = None

    @property
    def field(self) -> dict[str, Any]:
        """Give the field of a contract, with this distribution's quantiles as its reference."""
        normal = NormalDist()
        values = {name: self._made(math.exp(self.spread * normal.inv_cdf(share))) for name, share in SHARES.items()}
        quantiles = {name: round(value, 6) for name, value in zip(SHARES, sorted(values.values()), strict=True)}
        analyte = {} if self.analyte is None else {"analyte": self.analyte}
        reference = {"source": "made up for tests", **quantiles}
        limits = {"minimum": 0, "maximum": 1e9}
        return {
            "name": self.name,
            "type": "number",
            "unit": self.unit,
            **analyte,
            "constraints": limits,
            "reference": reference,
        }

    @property
    def times(self) -> float:
        """How many times the right value the median of the column is."""
        right = self._made(1.0)
        return (right * self.factor + self.offset) / right

    @property
    def relative_spread(self) -> float:
        """The spread of the right values' logarithms."""
        return self.spread if self.below is None else self.spread * self.median / (self.below - self.median)

    def _made(self, times: float) -> float:
        return self.median * times if self.below is None else self.below - self.median * times

    def right(
        self, random: np.random.Generator, count: int, *, shift: float = 1.0, wider: float = 1.0
    ) -> npt.NDArray[np.float64]:
        """Draw right values; ``shift`` times the median, ``wider`` times the spread."""
        drawn = np.exp(random.normal(0.0, self.spread * wider, count))
        values = self.median * drawn if self.below is None else self.below - self.median * drawn
        return values * shift

    def slipped(self, right: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Give what stands in the column for right values."""
        return right * self.factor + self.offset


CASES = (
    Case("glucose", "mmol/L", "mg/dL", 18.0156, 6.1, 0.35, "glucose"),
    Case("creatinine", "umol/L", "mg/dL", 1 / 88.402, 80, 0.40, "creatinine"),
    Case("haemoglobin", "g/L", "g/dL", 0.1, 135, 0.15, "haemoglobin"),
    Case("haemoglobin_us", "g/dL", "mmol/L", 0.62058, 13.5, 0.15, "haemoglobin"),
    Case("cholesterol", "mmol/L", "mg/dL", 38.6664, 5.0, 0.22, "cholesterol"),
    Case("calcium", "mmol/L", "mg/dL", 4.0078, 2.3, 0.06, "calcium"),
    Case("hba1c", "%", "mmol/mol", 10.93135, 5.9, 0.17, "hba1c", offset=-23.52427),
    Case("temperature", "Cel", "[degF]", 1.8, 36.8, 0.015, offset=32.0),
    Case("height", "cm", "[in_i]", 1 / 2.54, 170, 0.055),
    Case("height_m", "cm", "m", 0.01, 170, 0.055),
    Case("oxygen_saturation", "%", "1", 0.01, 3.0, 0.5, below=100.0),
    Case("oxygen_fraction", "%", "1", 0.01, 38, 0.40),
    Case("age", "a", "mo", 12.0, 62, 0.30),
    Case("leukocytes", "10*9/L", "/uL", 1000.0, 7.5, 0.40),
    Case("bilirubin", "umol/L", "mg/dL", 1 / 17.104, 12, 0.60, "bilirubin"),
    Case("lactate", "mmol/L", "mg/dL", 9.0078, 1.6, 0.55, "lactate"),
    Case("urea", "mmol/L", "mg/dL of urea_nitrogen", 2.8014, 5.8, 0.50, "urea"),
    Case("crp", "mg/L", "mg/dL", 0.1, 6.0, 1.0, "crp"),
    Case("troponin", "ng/L", "ng/mL", 0.001, 9.0, 1.2, "troponin"),
    Case("weight", "kg", "[lb_av]", 2.204623, 76, 0.20),
)
"""Those of which a hard range misses a third: haemoglobin in mmol/L, urea nitrogen, CRP, troponin, pounds and more."""

LABORATORY: dict[str, Any] = {
    "kind": "table",
    "id": "test.laboratory",
    "version": "1.0.0",
    "status": "draft",
    "title": "Laboratory values that exist in tests only",
    "row_grain": "one row per patient",
    "primaryKey": ["patient_key"],
    "patientKey": "patient_key",
    "fields": [
        {
            "name": "patient_key",
            "type": "string",
            "privacy": "pseudonym",
            "constraints": {"required": True, "pattern": "^[0-9a-f]{16}$"},
        },
        {
            "name": "glucose",
            "type": "number",
            "unit": "mmol/L",
            "analyte": "glucose",
            "constraints": {"minimum": 0.5, "maximum": 600},
            "reference": {"source": "made up", "p05": 4.2, "p25": 5.2, "median": 6.1, "p75": 7.9, "p95": 13.0},
        },
        {
            "name": "urea",
            "type": "number",
            "unit": "mmol/L",
            "analyte": "urea",
            "constraints": {"minimum": 0.1, "maximum": 300},
            "reference": {
                "source": "made up",
                "p05": 2.6,
                "median": 5.8,
                "p95": 13.0,
                "wrong_units": [{"unit": "mg/dL", "factor": 2.8}],
            },
        },
        {
            "name": "temperature",
            "type": "number",
            "unit": "Cel",
            "constraints": {"minimum": 25, "maximum": 120},
            "reference": {"source": "made up", "p05": 36.1, "median": 36.8, "p95": 38.4},
        },
        {
            "name": "weight",
            "type": "number",
            "unit": "kg",
            "constraints": {"minimum": 2, "maximum": 600},
            "missing": {"max_fraction": 0.1},
            "reference": {"source": "made up", "p05": 55, "p25": 66, "median": 76, "p75": 87, "p95": 106},
        },
        {
            "name": "base_excess",
            "type": "number",
            "unit": "mmol/L",
            "constraints": {"minimum": -40, "maximum": 40},
            "reference": {"source": "made up", "p05": -6, "median": -0.5, "p95": 4},
        },
        {
            "name": "smoking",
            "type": "string",
            "categories": [{"value": "never"}, {"value": "former"}, {"value": "current"}],
            "reference": {"source": "made up", "shares": {"never": 0.5, "former": 0.3, "current": 0.2}},
        },
    ],
}
"""A contract with references, for synthetic records and for checks."""
