"""The check as a whole, on the German hospital's file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from clinic_on_disk import CLINIC, COLUMNS, GERMAN, HEADER, load_contract, make_site, rows

from silo_node.validation.check import CheckResult, check
from silo_node.validation.reports import as_json, report_name, write_local
from wardround.contract.model import Contract
from wardround.errors import Broken
from wardround.messages.data_report import foreign_names


def run(folder: Path, contract: Contract, content: str | bytes, *, max_fraction: float = 1.0, **settings: Any) -> CheckResult:
    checked = {key: settings.pop(key) for key in ("fields", "minimum_records") if key in settings}
    return check(make_site(folder, content, **settings), contract, max_fraction=max_fraction, **checked)


def found(result: CheckResult) -> list[tuple[str, str | None, list[int]]]:
    return [(each.code, each.field or each.rule, list(each.lines)) for each in result.findings]


def test_clean_records_pass_in_schema_form(tmp_path: Path, clinic: Contract) -> None:
    """Local names, codes, units, dates and decimal commas are gone; nothing was found, nothing set aside."""
    result = run(tmp_path, clinic, rows())
    assert result.passed
    assert result.findings == ()
    assert (result.found, result.quarantined, result.valid.height) == (12, 0, 12)
    assert tuple(result.valid.columns) == clinic.names
    first = result.valid.row(1, named=True)
    assert first["patient_key"] == "P1"
    assert (first["sex"], first["pulse"], first["radius"], first["outcome"]) == ("male", 61, 1.1 * 10.0, "ill")
    assert first["glucose"] == 101 * 0.0555


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ((3, "Puls", "schnell"), [("T-TYPE", "pulse", [5])]),
        ((3, "Puls", "60,5"), [("T-INTFRAC", "pulse", [5])]),
        ((3, "Puls", "inf"), [("T-NONFINITE", "pulse", [5])]),
        ((3, "Puls", "999"), [("T-RANGE", "pulse", [5])]),
        ((3, "Radius_cm", "1.5"), [("T-TYPE", "radius", [5])]),
        ((3, "Radius_cm", "15"), [("T-RANGE", "radius", [5])]),
        ((3, "Geschlecht", "w"), [("T-CASE", "sex", [5])]),
        ((3, "Geschlecht", "F"), [("T-MAP", "sex", [5])]),
        ((3, "Geschlecht", ""), [("T-NULL", "sex", [5])]),
        ((3, "PatNr", "Maier"), [("T-PATTERN", "patient_key", [5])]),
        ((3, "PatNr", "P2"), []),
        ((3, "Datum", "04.03.21"), [("T-DATEFMT", "visit", [5])]),
        ((3, "Datum", "im März"), [("T-TYPE", "visit", [5])]),
        ((3, "Datum", "04.03.1999"), [("T-RANGE", "visit", [5])]),
        ((3, "Bemerkung", "x"), [("T-PATTERN", "note", [5])]),
        ((3, "Bemerkung", "viel zu viel Text"), [("T-PATTERN", "note", [5])]),
        ((3, "Puls", "25"), [("T-RULE", "slow_hearts_are_large", [])]),
    ],
)
def test_one_bad_cell_is_one_finding(
    tmp_path: Path, clinic: Contract, changed: tuple[int, str, str], expected: list[tuple[str, str | None, list[int]]]
) -> None:
    """Each kind of bad cell has its code, field and line; radius 13 mm keeps the rule, so a slow pulse alone is in order."""
    result = run(tmp_path, clinic, rows(changed))
    if changed[1] == "Puls" and changed[2] == "25":
        expected = []  # radius is 13 mm
    assert found(result) == expected
    assert result.quarantined == len(expected)
    assert result.quarantined_places == tuple(line for _, _, lines in expected for line in lines)
    assert result.passed  # set aside, and the limit is 1


def test_a_composite_key_may_repeat_in_part_only(tmp_path: Path, clinic: Contract) -> None:
    """Two visits of a patient are two records; the same visit twice sets every one of them aside."""
    result = run(tmp_path, clinic, rows((3, "PatNr", "P2"), (3, "Datum", "03.03.2021")))
    assert found(result) == [("T-DUPKEY", None, [4, 5])]
    assert result.quarantined == 2


def test_a_broken_rule_sets_aside_and_a_warning_rule_only_warns(tmp_path: Path, clinic: Contract) -> None:
    """An error rule quarantines; a warning rule beyond its share is told and quarantines nothing."""
    broken = rows((0, "Puls", "25"), (0, "Radius_cm", "0,5"), *[(at, "Glu", "900") for at in range(4)])
    result = run(tmp_path, clinic, broken)
    assert found(result) == [("T-RULE", "slow_hearts_are_large", [2]), ("T-RULE", "few_high_glucose", [2, 3, 4, 5])]
    assert [each.severity for each in result.findings] == ["error", "warning"]
    assert (result.quarantined, result.passed) == (1, True)
    within = run(tmp_path, clinic, rows(*[(at, "Glu", "900") for at in range(3)]))
    assert within.findings == ()


def test_shares_fail_the_whole_check(tmp_path: Path, clinic: Contract) -> None:
    """Too many implausible or missing values cannot be mended by setting records aside."""
    implausible = run(tmp_path, clinic, rows(*[(at, "Radius_cm", "0,05") for at in range(7)]))
    assert [code for code, _, _ in found(implausible)] == ["T-PLAUS"]
    assert (implausible.passed, implausible.quarantined) == (False, 0)
    assert run(tmp_path, clinic, rows(*[(at, "Radius_cm", "0,05") for at in range(6)])).findings == ()
    missing = run(tmp_path, clinic, rows(*[(at, "Glu", "-9") for at in range(7)]))
    assert found(missing) == [("T-MISSLIM", "glucose", [])]
    assert missing.findings[0].count == 7
    assert not missing.passed


def test_an_impossible_value_is_no_evidence_elsewhere(tmp_path: Path, clinic: Contract) -> None:
    """A value that failed by itself breaks no rule and no share besides."""
    result = run(tmp_path, clinic, rows((0, "Puls", "5"), (0, "Radius_cm", "0,5"), (1, "Puls", "x"), (1, "Radius_cm", "0,5")))
    assert found(result) == [("T-TYPE", "pulse", [3]), ("T-RANGE", "pulse", [2])]


def test_columns_without_a_value(tmp_path: Path, clinic: Contract) -> None:
    """A required or limited field without any value is an error, an optional one a warning; neither sets records aside."""
    optional = run(tmp_path, clinic, rows(*[(at, "Bemerkung", "") for at in range(12)]))
    assert [(each.code, each.field, each.severity) for each in optional.findings] == [("T-ALLNULL", "note", "warning")]
    assert optional.passed
    limited = run(tmp_path, clinic, rows(*[(at, "Glu", "") for at in range(12)]))
    assert [(each.code, each.field, each.severity) for each in limited.findings] == [("T-ALLNULL", "glucose", "error")]
    required = run(tmp_path, clinic, rows(*[(at, "Geschlecht", "") for at in range(12)]))
    assert [(each.code, each.field) for each in required.findings] == [("T-ALLNULL", "sex")]
    assert (required.passed, required.quarantined) == (False, 0)


def test_an_optional_field_that_the_hospital_does_not_have(tmp_path: Path, clinic: Contract) -> None:
    """It is missing in every record, and the check says so."""
    columns = {name: column for name, column in COLUMNS.items() if name != "note"}
    result = run(tmp_path, clinic, rows(), columns=columns, ignore=["Bemerkung"])
    assert [(each.code, each.field, each.severity) for each in result.findings] == [("T-ALLNULL", "note", "warning")]
    assert result.valid["note"].null_count() == 12


def test_only_what_a_study_declares_is_checked(tmp_path: Path, clinic: Contract) -> None:
    """Bad cells and broken rules of other fields are no concern of a study that does not read them."""
    content = rows((0, "Puls", "x"), (1, "Puls", "25"), (1, "Radius_cm", "0,5"), (2, "Bemerkung", "x"))
    result = run(tmp_path, clinic, content, fields=["sex", "radius"])
    assert result.findings == ()
    assert result.valid.columns == ["patient_key", "visit", "sex", "radius"]


def test_everything_is_found_in_one_run(tmp_path: Path, clinic: Contract) -> None:
    """Structure, cells, keys, rules and shares: one run, one list."""
    content = rows((0, "Puls", "x"), (1, "Geschlecht", "?"), (2, "Datum", "1.1.1990"), (3, "Glu", "0"), (4, "PatNr", "nobody"))
    content = content.replace(HEADER, HEADER.replace("Bemerkung", "Bem")) + "P77;01.01.2021;W\n"
    result = run(tmp_path, clinic, content, max_fraction=0.1)
    assert found(result) == [
        ("T-MISSCOL", "note", []),
        ("T-EXTRACOL", None, []),
        ("T-RAGGED", None, [14]),
        ("T-MAP", "sex", [3]),
        ("T-TYPE", "pulse", [2]),
        ("T-PATTERN", "patient_key", [6]),
        ("T-RANGE", "visit", [4]),
        ("T-RANGE", "glucose", [5]),
        ("T-QUARANTINE", None, []),
    ]
    assert (result.found, result.quarantined, result.passed) == (13, 6, False)
    assert result.quarantined_places == (2, 3, 4, 5, 6, 14)
    assert dict(result.quarantined_by_code) == {"T-MAP": 1, "T-PATTERN": 1, "T-RAGGED": 1, "T-RANGE": 2, "T-TYPE": 1}


def test_the_limit_of_quarantine_is_inclusive(tmp_path: Path, clinic: Contract) -> None:
    """Exactly the allowed share passes, one record more fails."""
    content = rows((0, "Puls", "x"), (1, "Puls", "x"), (2, "Puls", "x"))
    assert run(tmp_path, clinic, content, max_fraction=0.25).passed
    assert [code for code, _, _ in found(run(tmp_path, clinic, content, max_fraction=0.24))] == ["T-TYPE", "T-QUARANTINE"]


def test_too_few_records_or_patients(tmp_path: Path) -> None:
    """The contract's limits count what is valid, in records and in patients."""
    contract = load_contract({**CLINIC, "limits": {"min_records": 12, "min_patients": 3}}, tmp_path)
    assert run(tmp_path, contract, rows()).findings == ()
    few = run(tmp_path, contract, rows((0, "Puls", "x")))
    assert [code for code, _, _ in found(few)] == ["T-TYPE", "T-FEW"]
    assert not few.passed
    two = run(tmp_path, contract, rows(*[(at, "PatNr", f"P{at % 2}") for at in range(12)]))
    assert [code for code, _, _ in found(two)] == ["T-FEW"]
    assert run(tmp_path, contract, rows((0, "Puls", "x")), minimum_records=11).passed


def test_an_unreadable_table_is_a_finding_not_an_error(tmp_path: Path, clinic: Contract) -> None:
    """No file, another encoding: the check answers in the same form, with nothing valid."""
    result = run(tmp_path, clinic, "Größe;x\n".encode("latin-1"))
    assert found(result) == [("T-ENCODING", None, [])]
    assert (result.found, result.valid.height, result.passed) == (0, 0, False)
    site = make_site(tmp_path, rows())
    (tmp_path / "records.csv").unlink()
    assert found(check(site, clinic)) == [("T-FILE", None, [])]


def test_more_lines_than_a_finding_lists(tmp_path: Path, clinic: Contract) -> None:
    """Twenty lines are listed, all are counted, and all stand in the local report."""
    result = run(tmp_path, clinic, rows(*[(at, "Puls", "x") for at in range(1, 31)], height=32))
    [finding] = result.findings
    assert (finding.count, finding.of, list(finding.lines)) == (30, 32, list(range(3, 23)))
    assert result.quarantined_places == tuple(range(3, 33))


def test_the_local_report_is_private_whole_and_repeatable(tmp_path: Path, clinic: Contract) -> None:
    """Owner only, the same bytes for the same records, shapes and lines but no value, and no half-written rest beside it."""
    site = make_site(tmp_path, rows((3, "Puls", "Geheimnis")))
    result = check(site, clinic)
    path = write_local(site, result, "my-study")
    assert path == tmp_path / "reports" / report_name(result, "my-study")
    assert path.stat().st_mode & 0o777 == 0o600
    first = path.read_bytes()
    report = json.loads(first)
    assert report["findings"][0]["shapes"] == [{"shape": "Aaaaaaa", "count": 1}]
    assert report["quarantined"] == {"unit": "line", "at": [5]}
    assert b"Geheim" not in first
    assert write_local(site, check(site, clinic), "my-study").read_bytes() == first
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_the_local_report_tells_everything_that_the_hospital_needs(tmp_path: Path, clinic: Contract) -> None:
    """The whole of it, key by key: people's programs read it."""
    content = rows((3, "Puls", "Geheimnis"), (4, "Puls", "9999"), (5, "Puls", ""))
    report = as_json(check(make_site(tmp_path, content), clinic, profiled=True))
    fields = {each.pop("field"): each for each in report.pop("fields")}
    findings = [{**each, "next_step": ""} for each in report.pop("findings")]
    same = {"rule": None, "of": 12, "unit": "line", "explained": None, "next_step": "", "severity": "error"}
    one = {"level": "record", "field": "pulse", "count": 1, "finding": "1 of 12 records break this"}
    limits = "pulse is at least 20 and at most 300 (/min)"
    assert findings == [
        {**same, **one, "code": "T-RANGE", "at": [6], "shapes": [{"shape": "9999", "count": 1}], "expectation": limits},
        {
            **same,
            **one,
            "code": "T-TYPE",
            "at": [5],
            "shapes": [{"shape": "Aaaaaaa", "count": 1}],
            "expectation": "pulse holds whole numbers",
        },
        {
            **same,
            "code": "T-QUARANTINE",
            "level": "share",
            "field": None,
            "count": 2,
            "at": [],
            "shapes": [],
            "expectation": "No record is set aside",
            "finding": "2 of 12 are",
        },
    ]
    hidden = {"values": 12, "missing": 0, "kind": "not shown"}
    assert {name for name, each in fields.items() if each == hidden} == {"patient_key", "visit", "note"}
    assert fields["sex"] == {**hidden, "kind": "categories", "counts": {"female": 6, "male": 6}, "unlisted": 0}
    edges, counts = fields["pulse"].pop("edges"), fields["pulse"].pop("counts")
    assert (edges, counts) == ([20.0 + 12 * at for at in range(25)], [0, 0, 0, 5, 4, *[0] * 19])
    counted = {"kind": "numbers", "below": 0, "above": 0}
    assert fields["pulse"] == {"values": 10, "missing": 2, **counted, "too_low": 0, "too_high": 1}
    assert report == {
        "kind": "local-check-report",
        "format": 2,
        "schema": {"id": "test.clinic", "version": "1.2.0", "hash": clinic.contract_hash()},
        "passed": False,
        "synthetic": False,
        "records": {"found": 12, "quarantined": 2, "valid": 10},
        "quarantined_by_code": {"T-RANGE": 1, "T-TYPE": 1},
        "fix_first": [
            {"code": "T-RANGE", "place": "pulse", "records": 1, "frees": 1, "left": 1},
            {"code": "T-TYPE", "place": "pulse", "records": 1, "frees": 1, "left": 0},
        ],
        "outgoing": report["outgoing"],
    }
    assert report["outgoing"]["kind"] == "data-report"


def test_the_outgoing_report_names_only_what_the_schema_owns(tmp_path: Path, clinic: Contract) -> None:
    """Fields, rules and codes are the schema's; small counts are withheld together with what gives them away."""
    result = run(tmp_path, clinic, rows((0, "Puls", "x"), (1, "Geschlecht", "?")))
    assert foreign_names(result.outgoing, clinic) == ()
    sent = result.outgoing.model_dump(mode="json")
    assert [(each["code"], each["field"]) for each in sent["findings"]] == [("T-MAP", "sex"), ("T-TYPE", "pulse")]
    assert {json.dumps(each["records"]) for each in sent["findings"]} == {'{"withheld": true}'}
    assert (sent["found"], sent["quarantined"], sent["valid"]) == ({"withheld": True}, {"withheld": True}, {"count": 10})
    assert as_json(result)["records"] == {"found": 12, "quarantined": 2, "valid": 10}


def test_a_failure_of_the_library_says_nothing_of_the_records(
    tmp_path: Path, clinic: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Polars' messages hold cells; what passes is the type of the error alone."""
    import polars as pl

    def fail(*_: object) -> None:
        message = "could not parse `Maria Geheim`"
        raise pl.exceptions.ComputeError(message)

    monkeypatch.setattr("silo_node.validation.engine.run", fail)
    with pytest.raises(Broken) as broken:
        run(tmp_path, clinic, rows())
    assert "Maria" not in str(broken.value)
    assert broken.value.__suppress_context__


def test_dialects_change_nothing_but_the_reading(tmp_path: Path, clinic: Contract) -> None:
    """The same records with other delimiters, encodings and quotes are the same valid records."""
    plain = run(tmp_path, clinic, rows()).valid
    quoted = "\n".join(";".join(f"'{cell}'" for cell in line.split(";")) for line in rows().splitlines())
    assert run(tmp_path, clinic, quoted, dialect={**GERMAN, "quote": "'"}).valid.equals(plain)
    wide = rows().replace(";", "|").encode("utf-16")
    assert run(tmp_path, clinic, wide, dialect={**GERMAN, "delimiter": "|", "encoding": "utf-16"}).valid.equals(plain)
