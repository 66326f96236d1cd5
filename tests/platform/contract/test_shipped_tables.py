"""The shipped example tables are what they say: good ones keep their contract, bad ones break it in exactly one way.
The contracts accept the real records that they were written for.

The judge below is a second reading of the contract, cell by cell in plain Python; it shares no code with the engine.
"""

import csv
import math
import re
from collections import Counter
from importlib.resources import files
from pathlib import Path

import pytest

from wardround.contract import analytes, library, rules, units
from wardround.strict_yaml import load

TABLES = Path(str(files("wardround_schemas"))) / "examples"
FOLDERS = sorted(path for path in TABLES.glob("*/*") if path.is_dir())
GOOD = sorted(TABLES.glob("*/*/good/*.csv"))
BAD = sorted(TABLES.glob("*/*/bad/*.csv"))
EVERY_CONTRACT = {
    *("T-TYPE", "T-NONFINITE", "T-RANGE", "T-PLAUS", "T-ENUM", "T-PATTERN", "T-NULL", "T-MISSLIM", "T-ALLNULL"),
    *("T-RULE", "T-DUPKEY", "T-MISSCOL", "T-EXTRACOL", "T-RAGGED", "T-EMPTY", "T-FEW", "T-NOHEADER", "T-HDRDUP"),
    *("T-DELIM", "T-ENCODING"),
}


def _name(path):
    return "/".join(path.parts[-4:])


def _contract(path):
    return library.find(f"{path.parents[2].name}@{path.parents[1].name}")


def _expected(path):
    return load(path.parent / "expected.yaml").data


def _cell(field, text):
    """Give (value, code): the code says why there is no value."""
    if field.type == "string":
        if field.categories and text not in field.values:
            return text, "T-ENUM"
        if field.constraints.pattern and not re.fullmatch(field.constraints.pattern, text):
            return text, "T-PATTERN"
        return text, None
    try:
        number = float(text)
    except ValueError:
        return None, "T-TYPE"
    if not math.isfinite(number):
        return None, "T-NONFINITE"
    if field.type == "integer" and not number.is_integer():
        return None, "T-INTFRAC"
    if not field.constraints.minimum <= number <= field.constraints.maximum:
        return None, "T-RANGE"
    return number, None


def _file_findings(contract, path):
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        return [("T-ENCODING", None, ())], []
    lines = list(csv.reader(text.splitlines()))
    header, rows = lines[0], [(number, row) for number, row in enumerate(lines[1:], 2)]
    if not set(header) & set(contract.names):
        return [("T-DELIM" if ";" in text else "T-NOHEADER", None, ())], []
    if len(header) != len(set(header)):
        return [("T-HDRDUP", next(name for name, n in Counter(header).items() if n > 1), ())], []
    found = [("T-MISSCOL", name, ()) for name in contract.names if name not in header]
    found += [("T-EXTRACOL", None, ()) for name in header if name not in contract.names]
    if not rows:
        return [("T-EMPTY", None, ())], []
    if ragged := tuple(number for number, row in rows if len(row) != len(header)):
        found.append(("T-RAGGED", None, ragged))
    return found, [(number, dict(zip(header, row, strict=True))) for number, row in rows if len(row) == len(header)]


def _column_findings(contract, field, records, values):
    codes: dict[str, list[int]] = {}
    absent = 0
    for number, row in records:
        text = row.get(field.name, "")
        if text in contract.missing_marks(field.name):
            absent += 1
            if field.required:
                codes.setdefault("T-NULL", []).append(number)
            values[number][field.name] = None
            continue
        values[number][field.name], code = _cell(field, text)
        if code:
            codes.setdefault(code, []).append(number)
        elif field.plausible and not field.plausible.low <= values[number][field.name] <= field.plausible.high:
            codes.setdefault("T-PLAUS", []).append(number)
    if field.plausible and len(codes.get("T-PLAUS", [])) <= field.plausible.max_outside * len(records):
        codes.pop("T-PLAUS", None)
    found = [(code, field.name, tuple(numbers)) for code, numbers in codes.items()]
    if not field.required and absent > field.missing.max_fraction * len(records):
        found.append(("T-ALLNULL" if absent == len(records) else "T-MISSLIM", field.name, ()))
    return found


def _findings(contract, path):
    found, records = _file_findings(contract, path)
    if not records:
        return found
    values = {number: {} for number, _ in records}
    here = set(records[0][1])
    for field in contract.fields:
        if field.name in here:
            found += _column_findings(contract, field, records, values)
    for rule in contract.rules:
        tree = rules.parse(rule.check)
        if rules.fields(tree) <= here:
            broken = tuple(number for number, _ in records if rules.evaluate(tree, values[number]) is False)
            if len(broken) > rule.max_fraction * len(records):
                found.append(("T-RULE", rule.id, broken))
    (key,) = contract.primary_key
    times = Counter(row[key] for _, row in records)
    if twice := tuple(number for number, row in records if times[row[key]] > 1):
        found.append(("T-DUPKEY", key, twice))
    patients = {row[contract.patient_key] for _, row in records}
    if len(records) < contract.limits.min_records or len(patients) < contract.limits.min_patients:
        found.append(("T-FEW", None, ()))
    return found


@pytest.mark.parametrize("path", GOOD, ids=_name)
def test_a_good_table_keeps_its_contract(path):
    """What we ship as an example of good data has nothing wrong with it."""
    assert _findings(_contract(path), path) == []


@pytest.mark.parametrize("path", BAD, ids=_name)
def test_a_bad_table_breaks_its_contract_in_the_one_way_it_says(path):
    """Each bad table has the one code, place and rows that expected.yaml gives, and nothing else wrong."""
    entry = _expected(path)[path.name]
    where = entry.get("field") or entry.get("rule")
    assert _findings(_contract(path), path) == [(entry["code"], where, tuple(entry["rows"]))]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.parent.name)
def test_every_bad_table_is_expected_and_every_kind_is_there(folder):
    """expected.yaml names exactly the files beside it, with known keys, and each contract shows every kind of fault."""
    expected = load(folder / "bad" / "expected.yaml").data
    assert sorted(expected) == sorted(path.name for path in (folder / "bad").glob("*.csv"))
    for entry in expected.values():
        assert set(entry) <= {"code", "field", "rule", "rows"}
        assert entry["rows"] == sorted(entry["rows"])
    contract = library.find(f"{folder.parent.name}@{folder.name}")
    integers = {"T-INTFRAC"} if any(field.type == "integer" for field in contract.fields) else set()
    assert {entry["code"] for entry in expected.values()} == EVERY_CONTRACT | integers


def _check_digit(body):
    """The last digit of a LOINC code: that which makes the sum of ISO/IEC 7812 a multiple of ten."""
    total = 0
    for place, digit in enumerate(reversed([int(character) for character in body])):
        doubled = digit * 2 if place % 2 == 0 else digit
        total += doubled - 9 if doubled > 9 else doubled
    return -total % 10


def test_every_code_of_loinc_has_its_check_digit():
    """A slip in a code is another code, or none."""
    concepts = [field.concept for listing in library.available() for field in library.find(listing.name).fields if field.concept]
    codes = {concept.code for concept in concepts if concept.system == "LOINC"}
    assert len(codes) > 15
    for code in codes:
        body, _, digit = code.partition("-")
        assert _check_digit(body) == int(digit), code


NEWEST = {listing.id: library.find(listing.name) for listing in library.available()}
CONCENTRATIONS = {analytes.MASS, analytes.AMOUNT, analytes.CHARGE}
MEASURED = [(contract.id, field.name) for contract in NEWEST.values() for field in contract.fields if field.analyte]


def test_every_concentration_names_its_analyte():
    """In the newest version of each schema: no hospital has to look up the factor of a substance."""
    measured = [
        (contract.id, field.name)
        for contract in NEWEST.values()
        for field in contract.fields
        if field.unit in units.table() and units.table()[field.unit].dimension in CONCENTRATIONS
    ]
    assert measured == MEASURED
    assert len(MEASURED) == 13


@pytest.mark.parametrize(("schema", "name"), MEASURED)
def test_a_field_takes_every_unit_of_its_analyte(schema, name):
    """By one factor that is not zero; a mass that may be of two things (urea and its nitrogen) says of which."""
    field = NEWEST[schema].field(name)
    analyte = analytes.table()[field.analyte]
    codes = [unit.code for unit in units.table().values() if unit.dimension in analyte.dimensions]
    assert len(codes) > 15
    assert field.unit in codes
    for code in codes:
        for same in analytes.siblings(analyte):
            found = analytes.conversion(code, field.unit, wanted=field.analyte, measured=same.name)
            assert found.offset == 0
            assert found.factor > 0
    there = analytes.conversion("mmol/L", field.unit, wanted=field.analyte)
    assert there(1.0) == pytest.approx(MMOL_PER_LITRE[field.analyte], rel=2e-3)


MMOL_PER_LITRE = {
    "glucose": 18.016,
    "urea": 6.006,
    "urea_nitrogen": 2.8014,
    "creatinine": 11.312,
    "sodium": 1,
    "potassium": 1,
    "bicarbonate": 1,
    "haemoglobin": 1.6114,
    "bilirubin": 58.467,
    "cholesterol": 38.665,
}
"""What a millimole per litre is in the unit that the shipped schemas give these in: mg/dL, mmol/L, and g/dL of haemoglobin; as in
print (SI conversion tables of the AMA Manual of Style, of the monomer for haemoglobin)."""


def test_every_shipped_version_has_examples():
    """No contract is published without good and bad examples."""
    assert {(path.parent.name, path.name) for path in FOLDERS} == {
        (listing.id, listing.version) for listing in library.available()
    }
    assert all(list((folder / "good").glob("*.csv")) for folder in FOLDERS)


def _written(path, contract, records):
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, contract.names, lineterminator="\n")
        table.writeheader()
        table.writerows(records)
    return path


def test_breast_cytology_accepts_all_real_records(tmp_path):
    """No limit, plausible range or rule sets aside any of the 569 records of the source."""
    sklearn = pytest.importorskip("sklearn.datasets")
    source = sklearn.load_breast_cancer()
    kinds = {"mean": "mean", "error": "se", "worst": "worst"}

    def shared(name):
        words = name.split()
        kind = next(word for word in words if word in kinds)
        return "_".join([*(word for word in words if word != kind), kinds[kind]])

    columns = [shared(name) for name in source.feature_names]
    records = [
        {
            "sample_id": f"S-{number}",
            "patient_key": f"{number:016x}",
            "diagnosis": str(source.target_names[label]),
            **dict(zip(columns, (repr(float(value)) for value in row), strict=True)),
        }
        for number, (row, label) in enumerate(zip(source.data, source.target, strict=True))
    ]
    contract = library.find("breast.cytology@1.0.0")
    assert len(records) == 569
    assert _findings(contract, _written(tmp_path / "real.csv", contract, records)) == []


HEART_CODES = {
    "sex": {0: "female", 1: "male"},
    "cp": {1: "typical_angina", 2: "atypical_angina", 3: "non_anginal_pain", 4: "asymptomatic"},
    "fbs": {0: "up_to_120", 1: "above_120"},
    "restecg": {0: "normal", 1: "st_t_abnormality", 2: "left_ventricular_hypertrophy"},
    "exang": {0: "absent", 1: "present"},
    "slope": {1: "upsloping", 2: "flat", 3: "downsloping"},
    "thal": {3: "normal", 6: "fixed_defect", 7: "reversible_defect"},
    "disease": {0: "absent", 1: "present", 2: "present", 3: "present", 4: "present"},
}


def test_heart_disease_has_the_quantiles_of_its_source(test_data):
    """The reference figures of 1.1.0 are those of the two hospitals' records together, without what stands for missing."""
    folder = test_data / "tabular" / "heart_disease"
    texts = [(folder / f"processed.{hospital}.data").read_text(encoding="utf-8") for hospital in ("cleveland", "hungarian")]
    rows = [row for text in texts for row in csv.reader(text.splitlines())]
    contract = library.find("heart.disease@1.1.0")
    assert len(rows) == 597
    told = {field.name: field.reference.quantiles for field in contract.fields if field.reference is not None}
    assert list(told) == ["age", "trestbps", "chol", "thalach"]
    for name, quantiles in told.items():
        column = contract.names.index(name) - 2
        values = sorted(float(row[column]) for row in rows if row[column] not in {"?", "0"})
        for share, quantile in quantiles.items():
            at, part = divmod(share * (len(values) - 1), 1)
            low, high = values[int(at)], values[min(int(at) + 1, len(values) - 1)]
            assert quantile == pytest.approx(low + part * (high - low), abs=0.01), (name, share)


@pytest.mark.parametrize(("hospital", "count"), [("cleveland", 303), ("hungarian", 294)])
def test_heart_disease_accepts_all_real_records(hospital, count, test_data, tmp_path):
    """No limit, plausible range or rule sets aside any real record of the two hospitals."""
    contract = library.find("heart.disease@1.0.0")
    text = (test_data / "tabular" / "heart_disease" / f"processed.{hospital}.data").read_text(encoding="utf-8")
    records = []
    for number, row in enumerate(csv.reader(text.splitlines())):
        record = {"record_id": f"R{number}", "patient_key": f"{number:016x}"}
        for name, cell in zip(contract.names[2:], row, strict=True):
            missing = cell == "?"
            record[name] = "" if missing else HEART_CODES[name][float(cell)] if name in HEART_CODES else cell
        records.append(record)
    assert len(records) == count
    assert _findings(contract, _written(tmp_path / "real.csv", contract, records)) == []
