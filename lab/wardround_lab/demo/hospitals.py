"""Four made-up hospitals that hold real patients.

The 569 records are the Wisconsin diagnostic breast cancer data (W. N. Street, W. H. Wolberg, O. L. Mangasarian, 1993;
CC BY 4.0), as scikit-learn ships them: real fine needle aspirates of real patients. Who lies in which hospital is made
up: the records are dealt to four hospitals of unequal size and unequal share of malignant tumours, the same on every
machine, and written as each would have them, in its own language, units, codes and file format. One hospital
gets a few impossible records on top, which no patient has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
from sklearn.datasets import load_breast_cancer

from wardround.contract.library import find
from wardround.contract.model import Contract
from wardround_lab.site_files import SHARES, LocalColumn, LocalForm, write_site

SCHEMA = "breast.cytology@1.0.0"
DEAL_SEED = 1993
"""Which record goes to which hospital, and which cells are blank; the year of the data's paper."""
PLACE_DIGITS = 16
"""Hexadecimal digits of a patient's pseudonym, as the schema wants."""

MEASURES = (
    "radius",
    "texture",
    "perimeter",
    "area",
    "smoothness",
    "compactness",
    "concavity",
    "concave_points",
    "symmetry",
    "fractal_dimension",
)
STATISTICS = ("mean", "se", "worst")
"""The source's columns are the measures' means, then their standard errors, then their worst values."""
FEATURES = tuple(f"{measure}_{statistic}" for statistic, measure in product(STATISTICS, MEASURES))
LENGTHS = ("radius", "perimeter")
AREAS = ("area",)


@dataclass(frozen=True)
class Hospital:
    """A made-up hospital.

    Attributes:
        records: how many of the 569 it gets; ``malignant``: how many of them are malignant.
        form: how it keeps its records.
        gaps: field → how many of its values are lost.
        impossible: whether it has a few impossible records on top.
    """

    records: int
    malignant: int
    form: LocalForm
    gaps: Mapping[str, int]
    impossible: bool = False


def _columns(
    keys: tuple[str, str, str],
    measures: tuple[str, ...],
    pattern: str,
    statistics: tuple[str, str, str],
    codes: tuple[str, str],
    units: tuple[str, str],
) -> dict[str, LocalColumn]:
    """Give the local columns: names of sample, patient and diagnosis; of measures and statistics by a pattern."""
    columns = {
        "sample_id": LocalColumn(keys[0]),
        "patient_key": LocalColumn(keys[1]),
        "diagnosis": LocalColumn(keys[2], codes={"benign": codes[0], "malignant": codes[1]}),
    }
    for (statistic, local_statistic), (measure, local_measure) in product(
        zip(STATISTICS, statistics, strict=True), zip(MEASURES, measures, strict=True)
    ):
        unit = units[0] if measure in LENGTHS else units[1] if measure in AREAS else None
        name = pattern.format(measure=local_measure, statistic=local_statistic)
        columns[f"{measure}_{statistic}"] = LocalColumn(name, unit=unit)
    return columns


HOSPITALS = (
    Hospital(
        records=256,
        malignant=72,
        impossible=True,
        gaps={"texture_se": 7, "symmetry_worst": 12},
        form=LocalForm(
            site="eastmere",
            name="Eastmere General Hospital",
            path="cytology_export.csv",
            missing="NA",
            extra={"scanner": "A2"},
            columns=_columns(
                ("Specimen No", "Patient Pseudonym", "Dx"),
                (
                    "Radius",
                    "Texture",
                    "Perimeter",
                    "Area",
                    "Smoothness",
                    "Compactness",
                    "Concavity",
                    "Concave Pts",
                    "Symmetry",
                    "Fractal Dim",
                ),
                "{measure} ({statistic})",
                ("mean", "SE", "worst"),
                ("B", "M"),
                ("um", "um2"),
            ),
        ),
    ),
    Hospital(
        records=171,
        malignant=86,
        gaps={"fractal_dimension_worst": 5, "smoothness_se": 14},
        form=LocalForm(
            site="birkental",
            name="Klinikum Birkental",
            path="Zytologie.csv",
            delimiter=";",
            decimal=",",
            encoding="latin-1",
            missing="k. A.",
            line_end="\r\n",
            extra={"Bemerkung": ""},
            columns=_columns(
                ("Probennummer", "Pseudonym", "Befund"),
                (
                    "Radius",
                    "Textur",
                    "Umfang",
                    "Fläche",
                    "Glätte",
                    "Kompaktheit",
                    "Konkavität",
                    "Einbuchtungen",
                    "Symmetrie",
                    "Fraktale_Dimension",
                ),
                "{measure}_{statistic}",
                ("Mittel", "SE", "Maximum"),
                ("gutartig", "bösartig"),
                ("mm", "mm2"),
            ),
        ),
    ),
    Hospital(
        records=97,
        malignant=39,
        gaps={"concavity_worst": 4},
        form=LocalForm(
            site="sainte-aubane",
            name="Hôpital Sainte-Aubane",
            path="cytologie.parquet",
            missing="-9",
            columns=_columns(
                ("prelevement", "patient", "malin"),
                (
                    "rayon",
                    "texture",
                    "perimetre",
                    "aire",
                    "regularite",
                    "compacite",
                    "concavite",
                    "points_concaves",
                    "symetrie",
                    "dimension_fractale",
                ),
                "{measure}_{statistic}",
                ("moyenne", "erreur", "pire"),
                ("0", "1"),
                ("cm", "cm2"),
            ),
        ),
    ),
    Hospital(
        records=45,
        malignant=15,
        gaps={"compactness_se": 2},
        form=LocalForm(
            site="montaspro",
            name="Ospedale di Montaspro",
            path="agoaspirati.tsv",
            delimiter="\t",
            columns=_columns(
                ("campione", "paziente", "esito"),
                (
                    "raggio",
                    "tessitura",
                    "perimetro",
                    "area",
                    "levigatezza",
                    "compattezza",
                    "concavita",
                    "punti_concavi",
                    "simmetria",
                    "dim_frattale",
                ),
                "{statistic}.{measure}",
                ("media", "err", "max"),
                ("1", "2"),
                ("um", "mm2"),
            ),
            policy={
                "metrics_minimum": (
                    5,
                    "our own decision: metrics of 5 or more validation or test records may leave (default: 11)",
                )
            },
        ),
    ),
)
"""Largest first: 45, 30, 17 and 8 per cent of the records; 28, 50, 40 and 33 per cent of them malignant."""


def make_hospitals(folder: Path) -> tuple[Path, ...]:
    """Write the four hospitals, each in its own folder; gives the paths of their ``site.yaml``, largest first."""
    contract = find(SCHEMA)
    everybody = wisconsin_records(contract)
    return tuple(
        write_site(folder / hospital.form.site, _sharing(hospital.form), contract, _with_impossible(hospital, records, contract))
        for hospital, records in zip(HOSPITALS, deal(everybody), strict=True)
    )


def _sharing(form: LocalForm) -> LocalForm:
    """Let everybody see the figures: the patients are real, the hospital is not."""
    return replace(form, policy={**form.policy, **SHARES})


def wisconsin_records(contract: Contract) -> pl.DataFrame:
    """Give the 569 records in schema form and the source's order; the pseudonyms are ours."""
    source = load_breast_cancer()
    benign = list(source.target_names).index("benign")
    numbers = {name: source.data[:, index] for index, name in enumerate(FEATURES)}
    records = pl.DataFrame(
        {
            "sample_id": [f"W-{row + 1:04d}" for row in range(len(source.target))],
            "patient_key": [_pseudonym(f"record {row}") for row in range(len(source.target))],
            "diagnosis": ["benign" if target == benign else "malignant" for target in source.target],
            **numbers,
        }
    )
    return records.select(contract.names)


def _pseudonym(text: str) -> str:
    return hashlib.sha256(f"wisconsin/{text}".encode()).hexdigest()[:PLACE_DIGITS]


def deal(records: pl.DataFrame) -> tuple[pl.DataFrame, ...]:
    """Deal the records to the four hospitals: each once, in the sizes and shares of ``HOSPITALS``, and lose some cells."""
    random = np.random.default_rng(DEAL_SEED)
    malignant = (records["diagnosis"] == "malignant").to_numpy()
    stacks = {kind: random.permutation(np.flatnonzero(malignant == kind)) for kind in (True, False)}
    hands: list[pl.DataFrame] = []
    for hospital in HOSPITALS:
        wanted = {True: hospital.malignant, False: hospital.records - hospital.malignant}
        rows = np.concatenate([stacks[kind][:count] for kind, count in wanted.items()])
        stacks = {kind: stacks[kind][count:] for kind, count in wanted.items()}
        hands.append(_with_gaps(records[random.permutation(rows)], hospital.gaps, random))
    return tuple(hands)


def _with_gaps(records: pl.DataFrame, gaps: Mapping[str, int], random: np.random.Generator) -> pl.DataFrame:
    for name, count in gaps.items():
        rows = random.choice(records.height, size=count, replace=False)
        lost = pl.Series(np.isin(np.arange(records.height), rows))
        records = records.with_columns(pl.when(lost).then(None).otherwise(pl.col(name)).alias(name))
    return records


def _with_impossible(hospital: Hospital, records: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """Add records that no patient can have: a slipped point, a lost sign, a worst value below the mean, no diagnosis."""
    if not hospital.impossible:
        return records
    changes: tuple[pl.Expr, ...] = (
        -pl.col("radius_mean"),
        pl.col("perimeter_worst") / 10,
        pl.col("texture_mean") * 10,
        (pl.col("area_mean") / 2).alias("area_worst"),
        pl.lit(None, dtype=pl.String).alias("diagnosis"),
    )
    names = [f"X-{number + 1:04d}" for number in range(len(changes))]
    made = [
        records[number : number + 1].with_columns(
            change, pl.lit(name).alias("sample_id"), pl.lit(_pseudonym(name)).alias("patient_key")
        )
        for number, (change, name) in enumerate(zip(changes, names, strict=True))
    ]
    return pl.concat([records, *made]).select(contract.names)
