"""Synthetic records, held against the real check: nothing is found, or exactly what was asked for."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from silo_node.configuration import load_site
from silo_node.mapping.cells import SCHEMA_TYPES
from silo_node.validation.check import CheckResult, check
from wardround.contract import rules
from wardround.contract.library import available, find
from wardround.contract.library import check as check_contract
from wardround.contract.model import Contract
from wardround.contract.rules import Cell
from wardround.contract.synthetic import faults
from wardround.contract.synthetic.faults import ALONE, CODES, Spoiled, spoiled
from wardround.contract.synthetic.records import synthesise
from wardround.contract.synthetic.sheet import sheet_of
from wardround.errors import Refused

SHIPPED = [listing.name for listing in available()]
OF_FIELDS = ("T-PHI-TEXT", "T-CODEVER", "T-DATEFMT", "T-TZ", "T-FUTURE", "T-UNIT", "T-UNITMIX")
"""Faults of fields that none of these has: dates, codes of a terminology, texts without a form, and numbers with a reference
of which all, or an ordinary part, keep their limits in a wrong unit, so that nothing else is found; see
test_catalogue_cells.py and test_catalogue_units.py. Whole columns in a wrong unit are found all the same, beside values
out of their range: test_shipped_units.py."""
BETWEEN_RECORDS = ("T-VARYING", "T-OVERLAP", "T-DUPROW", "T-DATESHIFT")
"""They have one record a patient, no dates and no quasi-identifiers; see test_catalogue_records.py."""
UNTOUCHED = (*OF_FIELDS, *BETWEEN_RECORDS)
IMPOSSIBLE = {
    "breast.cytology@1.0.0": (*UNTOUCHED, "T-INTFRAC", "T-BOOL", "T-DRIFT"),
    "chest.findings@1.0.0": (*UNTOUCHED, "T-DRIFT"),
    "dermoscopy.images@1.0.0": (*UNTOUCHED, "T-DRIFT"),
    "heart.disease@1.0.0": (*UNTOUCHED, "T-DRIFT"),
    "heart.disease@1.1.0": UNTOUCHED,
    "icu.mortality@1.0.0": (*UNTOUCHED, "T-DRIFT"),
    "icu.mortality@1.1.0": (*UNTOUCHED, "T-DRIFT"),
    "mr.sequences@1.0.0": (*UNTOUCHED, "T-INTFRAC", "T-BOOL", "T-DRIFT"),
    "kidney.chronic@1.0.0": UNTOUCHED,
    "kidney.chronic@1.1.0": UNTOUCHED,
    "oncology.survival@1.0.0": (*UNTOUCHED, "T-BOOL", "T-DRIFT"),
    "osteoporosis.fracture@1.0.0": UNTOUCHED,
    "pancreatitis.ercp@1.0.0": UNTOUCHED,
}
"""Of each shipped schema, the faults that its records cannot have; the refusal says why."""
BESIDE = {("dermoscopy.images@1.0.0", "T-DUPKEY", "path")}
"""Findings that come with a fault: a record that stands twice has all that stands once in a table twice."""
NARROW = ("chest.", "dermoscopy.", "mr.", "oncology.", "osteoporosis.", "pancreatitis.")
WIDE = [name for name in SHIPPED if not name.startswith(NARROW)]
"""Those with fields enough for every fault that needs a column of its own, and a reference if it can drift."""
TOLERANCE = 0.04
"""Of shares, where rules narrow what is drawn for a field."""
TOGETHER = tuple(code for code in CODES if code not in ALONE)


def checked(contract: Contract, data: bytes, folder: Path, max_fraction: float = 1.0) -> CheckResult:
    """Check a file in shared form, as a hospital that keeps its records so."""
    (folder / "records.csv").write_bytes(data)
    mapping = {"source": "table", "columns": {name: name for name in contract.names}}
    content = {
        "site": "north",
        "name": "North",
        "sources": {"table": {"format": "csv", "path": "records.csv"}},
        "schemas": {contract.id: mapping},
    }
    (folder / "site.yaml").write_text(json.dumps(content))
    return check(load_site(folder / "site.yaml"), contract, max_fraction=max_fraction)


def found(result: CheckResult) -> list[tuple[str, str | None]]:
    return [(each.code, each.field or each.rule) for each in result.findings]


def in_parquet(contract: Contract, data: bytes, folder: Path, *, typed: bool) -> CheckResult:
    """Check the same records in Parquet: all of them texts, or each field in a column of its type where its cells allow it."""
    frame = pl.read_csv(data, infer_schema=False)
    if typed:
        casts = {field.name: frame[field.name].cast(SCHEMA_TYPES[field.type], strict=False) for field in contract.fields}
        # a mark for missing that is no value of the type keeps its column one of texts
        fitting = [each for name, each in casts.items() if each.null_count() == frame[name].null_count()]
        frame = frame.with_columns(fitting)
    frame.write_parquet(folder / "records.parquet")
    mapping = {"source": "table", "columns": {name: name for name in contract.names}}
    content = {
        "site": "north",
        "name": "North",
        "sources": {"table": {"format": "parquet", "path": "records.parquet"}},
        "schemas": {contract.id: mapping},
    }
    (folder / "site.yaml").write_text(json.dumps(content))
    return check(load_site(folder / "site.yaml"), contract)


SIZES = (10, 57, 1000, 90, 120, 200, *[200] * 14)
"""Records of the clean tables of each schema, by seed."""


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize(("seed", "count"), list(enumerate(SIZES, 1)))
def test_nothing_is_found_in_clean_records(name: str, seed: int, count: int, tmp_path: Path) -> None:
    """Forty tables of every shipped schema: twenty seeds as CSV and as Parquet, of texts and of types in turn."""
    contract = find(name)
    data = sheet_of(contract, synthesise(contract, count, seed)).encoded()
    for result in (checked(contract, data, tmp_path, 0.0), in_parquet(contract, data, tmp_path, typed=seed % 2 == 0)):
        assert found(result) == []
        assert (result.passed, result.found, result.quarantined) == (True, count, 0)


@pytest.fixture
def _made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The records before their faults are the same for every fault: they are made once for each schema."""
    monkeypatch.setattr(faults, "synthesise", lambda *asked, **how: [dict(each) for each in whole(*asked, **how)])


def whole(contract: Contract, count: int, seed: int, *, enough: bool) -> list[dict[str, Cell]]:
    asked = (contract.contract_hash(), count, seed, enough)
    if asked not in MADE:
        MADE[asked] = synthesise(contract, count, seed, enough=enough)
    return MADE[asked]


MADE: dict[tuple[str, int, int, bool], list[dict[str, Cell]]] = {}


@pytest.mark.usefixtures("_made_once")
@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("code", CODES)
def test_a_fault_is_found_alone_where_it_was_made(name: str, code: str, tmp_path: Path) -> None:
    """One finding: the code, its field or rule, and its lines; what a schema's records cannot have is refused."""
    contract = find(name)
    if code in IMPOSSIBLE[name]:
        with pytest.raises(Refused, match="S-SYNTH"):
            spoiled(contract, 200, 5, {code: None})
        return
    made = spoiled(contract, 200, 5, {code: None})
    result = checked(contract, made.sheet.encoded(), tmp_path)
    (each,) = made.made
    (finding,) = [one for one in result.findings if (name, one.code, one.field) not in BESIDE]
    assert finding.code == each.code == code
    assert (finding.field, finding.rule) == (each.field, each.rule)
    if each.lines:
        assert finding.lines == each.lines[: len(finding.lines)]
        assert finding.count == len(each.lines)


def codes_found(contract: Contract, made: Spoiled, folder: Path) -> set[str]:
    return {code for code, _ in found(checked(contract, made.sheet.encoded(), folder))}


@pytest.mark.parametrize("name", WIDE)
def test_all_faults_that_go_together_are_found_together(name: str, tmp_path: Path) -> None:
    """Nothing hides anything, and nothing else appears."""
    contract = find(name)
    wanted = {code for code in TOGETHER if code != "T-FEW" and code not in IMPOSSIBLE[name]}
    assert codes_found(contract, spoiled(contract, 400, 1, dict.fromkeys(wanted)), tmp_path) == wanted


def test_a_study_without_room_sets_too_many_aside(tmp_path: Path) -> None:
    """T-QUARANTINE follows by itself where no record may be set aside, and from nothing else."""
    contract = find("heart.disease")
    made = spoiled(contract, 100, 1, {"T-RANGE": 2})
    assert {code for code, _ in found(checked(contract, made.sheet.encoded(), tmp_path, 0.0))} == {"T-RANGE", "T-QUARANTINE"}


def test_a_whole_hospital_is_made_and_known_as_synthetic(wardround, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its site file maps the table as it is, and the check says that these are no patients; of real records it does not."""
    monkeypatch.chdir(tmp_path)
    made = wardround("schema", "synthesise", "heart.disease", "-n", "40", "--site", "made-up", "--format", "json")
    assert made.json()["files"] == ["made-up/synthetic-heart.disease-1.1.0.csv", "made-up/site.yaml"]
    before = (tmp_path / "made-up" / "site.yaml").read_bytes()
    again = wardround("schema", "synthesise", "heart.disease", "-n", "50", "--site", "made-up")
    assert (again.status, (tmp_path / "made-up" / "site.yaml").read_bytes()) == (2, before)
    check_it = ("silo", "check", "--site", "made-up/site.yaml", "--schema", "heart.disease")
    answer = wardround(*check_it)
    assert answer.status == 0
    assert "40 records found, 0 set aside" in answer.out
    assert "SYNTHETIC, NO PATIENTS" in answer.out
    assert wardround(*check_it, "--format", "json").json()["synthetic"] is True
    contract = find("heart.disease")
    data = sheet_of(contract, synthesise(contract, 40)).encoded()
    lines = data.decode().splitlines()
    patient = lines[1].split(",")[1]
    assert not checked(contract, data.replace(patient.encode(), b"0123456789abcdef"), tmp_path).synthetic


# ----------------------------------------------------------------------------------------------------- any contract


QUANTILES = {"p05": 0.1, "p25": 0.3, "median": 0.5, "p75": 0.7, "p95": 0.9}
"""Where in a range they lie."""


@st.composite
def fields(draw: st.DrawFn, number: int) -> dict[str, Any]:
    kind = draw(st.sampled_from(["code", "integer", "number", "date", "text"]))
    required = draw(st.booleans())
    field: dict[str, Any] = {"name": f"f{number}", "constraints": {"required": required}}
    if not required:
        field["missing"] = {"max_fraction": draw(st.sampled_from([0.0, 0.05, 0.3, 1.0]))}
        if draw(st.booleans()):
            field["missing"]["labels"] = [{"value": "lost", "label": "lost"}]
    limits = field["constraints"]
    if kind == "code":
        values = draw(st.lists(st.sampled_from(["a", "b", "c d", 'e"f', "g,h", "ü"]), min_size=1, max_size=4, unique=True))
        if len(values) > 1 and draw(st.booleans()):
            each = round(0.9 / len(values), 3)
            shares = dict.fromkeys(values, each) | {values[0]: round(1 - each * (len(values) - 1), 3)}
            field["reference"] = {"source": "made up", "shares": shares}
        return {**field, "type": "string", "categories": [{"value": value} for value in values]}
    if kind == "date":
        if draw(st.booleans()):
            limits["minimum"] = draw(st.dates(min_value=date(1900, 1, 1))).isoformat()
        return {**field, "type": "date", "privacy": "quasi"}
    if kind == "text":
        limits["pattern"] = draw(st.sampled_from(["[0-9]{4}", "(ab|c+)-\\d", "[^x]{2,5}", "\\w+", "^A.(?=b)b$"]))
        return {**field, "type": "string", "privacy": "quasi"}
    low = draw(st.integers(-1000, 1000))
    high = low + draw(st.integers(4, 10**6))
    limits |= {"minimum": low, "maximum": high}
    if draw(st.booleans()):
        field["plausible"] = {"low": low + 1, "high": high - 1, "max_outside": draw(st.sampled_from([0.0, 0.01, 0.2]))}
    if low >= 0 and draw(st.booleans()):
        moved = draw(st.sampled_from([-0.05, 0.0, 0.05, 0.2]))  # some reach out of the range: those are refused
        kept = draw(st.sets(st.sampled_from(tuple(QUANTILES)), min_size=1))
        given = {name: low + (high - low) * (QUANTILES[name] + moved) for name in sorted(kept)}
        field["reference"] = {"source": "made up", **given}
    return {**field, "type": kind, "unit": "1"}


@st.composite
def contracts(draw: st.DrawFn) -> Contract:
    """A contract of a few fields, keys of one or two, and rules between numbers and about missing values."""
    own = [draw(fields(number)) for number in range(draw(st.integers(1, 5)))]
    keys = [
        {
            "name": "patient",
            "type": "string",
            "privacy": "pseudonym",
            "constraints": {"required": True, "pattern": "[0-9a-f]{8}"},
        },
        {"name": "visit", "type": "integer", "unit": "1", "constraints": {"required": True, "minimum": 0, "maximum": 999}},
    ]
    numbers = [field["name"] for field in own if field["type"] in ("integer", "number")]
    optional = [field["name"] for field in own if not field["constraints"]["required"]]
    rules = []
    if len(numbers) > 1 and draw(st.booleans()):
        check_text = f"{numbers[0]} * 2 <= {numbers[1]} + 9000"
        rules.append({"id": "ordered", "check": check_text, "severity": "warning", "max_fraction": 0.1})
    if len(optional) > 1 and draw(st.booleans()):
        rules.append({"id": "pair", "check": f"{optional[1]} is missing or {optional[0]} is not missing"})
    least = draw(st.integers(1, 20))
    contract = Contract.model_validate_json(
        json.dumps(
            {
                "kind": "table",
                "id": "test.generated",
                "version": "1.0.0",
                "status": "draft",
                "title": "Generated",
                "row_grain": "one row per visit",
                "primaryKey": draw(st.sampled_from([["patient"], ["patient", "visit"], ["visit", "patient"]])),
                "patientKey": "patient",
                "fields": [*keys, *own],
                "rules": rules,
                "limits": {"min_records": least, "min_patients": draw(st.integers(1, least))},
            }
        )
    )
    try:
        check_contract(contract, "generated")
    except Refused:
        assume(False)
    return contract


@pytest.mark.parametrize("name", SHIPPED)
def test_records_are_distributed_as_the_reference_says(name: str) -> None:
    """Quantiles to 0.04 of their shares, in spite of rules; shares of codes, and of patients with several records, to chance."""
    contract, count = find(name), 3000
    records = synthesise(contract, count, 3)
    for field in contract.fields:
        values = [each[field.name] for each in records if each[field.name] is not None]
        reference = field.reference
        assert len(values) >= (1 - field.missing.max_fraction) * count
        for share, quantile in {} if reference is None else reference.quantiles.items():
            below = sum(float(str(value)) < quantile for value in values) / len(values)
            within = sum(float(str(value)) <= quantile for value in values) / len(values)
            assert below - TOLERANCE <= share <= within + TOLERANCE, (field.name, share)
        counted = Counter(values)
        for value, share in {} if reference is None else reference.shares.items():
            assert abs(counted[value] / len(values) - share) < 4 * (share * (1 - share) / len(values)) ** 0.5, (field.name, value)
    visits = Counter(each[contract.patient_key] for each in records)
    assert len(visits) == pytest.approx(0.85 * count, abs=4 * (0.15 * 0.85 * count) ** 0.5)
    assert max(visits.values()) < 10


ANY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


@ANY
@given(contract=contracts(), seed=st.integers(0, 2**53 - 1), more=st.integers(0, 60))
def test_any_contract_is_obeyed(contract: Contract, seed: int, more: int) -> None:
    """Whatever a contract asks, the check finds nothing; a rule that next to no record can keep is refused by its name."""
    try:
        data = sheet_of(contract, synthesise(contract, contract.limits.min_records + more, seed)).encoded()
    except Refused as refused:
        assert refused.codes == ("S-SYNTH",)  # noqa: PT017
        assert "rule ordered" in str(refused)  # noqa: PT017
        assume(False)
    with TemporaryDirectory() as folder:
        result = checked(contract, data, Path(folder), 0.0)
    # What a rule leaves of a field may be far from its reference: the rule is kept, and nobody promised both.
    narrowed = {name for rule in contract.rules for name in rules.fields(rules.parse(rule.check, rule.id))}
    assert [each for each in found(result) if each[0] != "T-DRIFT" or each[1] not in narrowed] == []


@ANY
@given(contract=contracts(), seed=st.integers(0, 1000), wanted=st.sets(st.sampled_from(TOGETHER), min_size=1, max_size=4))
def test_any_contract_is_broken_as_asked(contract: Contract, seed: int, wanted: set[str]) -> None:
    """Exactly the wanted codes are found; what a contract's records cannot have is refused, by name."""
    try:
        made = spoiled(contract, 120, seed, dict.fromkeys(wanted))
    except Refused as refused:
        assert refused.codes == ("S-SYNTH",)  # noqa: PT017
        assert any(words in str(refused) for words in (*wanted, "rule ordered"))  # noqa: PT017
        return
    with TemporaryDirectory() as folder:
        assert codes_found(contract, made, Path(folder)) == wanted
