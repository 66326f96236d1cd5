"""Two real hospitals of the UCI heart disease data through their own site files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from silo_node.configuration import Site, load_site
from silo_node.validation.check import check
from wardround.contract.library import find

NAMES = ("age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalach", "exang", "oldpeak", "slope", "ca", "thal", "num")
CODES = {
    "sex": {1: "male", 0: "female"},
    "cp": {1: "typical_angina", 2: "atypical_angina", 3: "non_anginal_pain", 4: "asymptomatic"},
    "fbs": {1: "above_120", 0: "up_to_120"},
    "restecg": {0: "normal", 1: "st_t_abnormality", 2: "left_ventricular_hypertrophy"},
    "exang": {0: "absent", 1: "present"},
    "slope": {1: "upsloping", 2: "flat", 3: "downsloping"},
    "thal": {3: "normal", 6: "fixed_defect", 7: "reversible_defect"},
}


def _site(folder: Path, test_data: Path, hospital: str, *, decimals: bool) -> Site:
    """Write the hospital's records with the header that the source leaves out, and its site file.

    Cleveland writes codes as decimals (``1.0``), Hungary as whole numbers; both write ``num`` as a whole number.
    """
    source = (test_data / "tabular" / "heart_disease" / f"processed.{hospital}.data").read_text()
    lines = [line for line in source.splitlines() if line]
    keyed = [f"R{at},{hashlib.sha256(f'{hospital} {at}'.encode()).hexdigest()[:16]},{line}" for at, line in enumerate(lines)]
    (folder / "records.csv").write_text("\n".join([",".join(["rid", "pid", *NAMES]), *keyed, ""]))
    columns = ["      record_id: rid", "      patient_key: pid"]
    for name in NAMES[:-1]:
        codes = {f"{code}.0" if decimals else str(code): value for code, value in CODES.get(name, {}).items()}
        listed = ", ".join(f'"{code}": {value}' for code, value in codes.items())
        columns.append(f"      {name}: {{column: {name}, codes: {{{listed}}}}}" if codes else f"      {name}: {name}")
    disease = ", ".join(f'"{stage}": {"present" if stage else "absent"}' for stage in range(5))
    columns.append(f"      disease: {{column: num, codes: {{{disease}}}}}")
    (folder / "site.yaml").write_text(
        f"site: {hospital}\nname: {hospital.title()}\nsources: {{heart: {{format: csv, path: records.csv}}}}\n"
        'schemas:\n  heart.disease:\n    source: heart\n    missing: ["?"]\n    columns:\n' + "\n".join(columns) + "\n"
    )
    return load_site(folder / "site.yaml")


def test_cleveland_is_in_order(tmp_path: Path, test_data: Path) -> None:
    """303 records, whole numbers written as decimals, two thal and four ca missing; nothing to object to."""
    result = check(_site(tmp_path, test_data, "cleveland", decimals=True), find("heart.disease"))
    assert (result.findings, result.found, result.valid.height) == ((), 303, 303)
    assert result.valid["disease"].value_counts().sort("disease").rows() == [("absent", 164), ("present", 139)]
    assert (result.valid["thal"].null_count(), result.valid["ca"].null_count()) == (2, 4)
    assert result.valid["age"].min() == 29
    assert result.valid["oldpeak"].max() == pytest.approx(6.2)


def test_hungary_is_in_order_with_what_it_has(tmp_path: Path, test_data: Path) -> None:
    """294 records with question marks for missing; slope, ca and thal are mostly missing, which the schema allows."""
    result = check(_site(tmp_path, test_data, "hungarian", decimals=False), find("heart.disease"))
    assert (result.findings, result.found, result.valid.height) == ((), 294, 294)
    missing = {name: result.valid[name].null_count() for name in ("slope", "ca", "thal", "chol", "fbs")}
    assert missing == {"slope": 190, "ca": 291, "thal": 266, "chol": 23, "fbs": 8}
    assert result.valid["disease"].value_counts().sort("disease").rows() == [("absent", 188), ("present", 106)]
