"""``wardround silo check`` as its users have it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from clinic_on_disk import CLINIC, make_site, rows
from clinic_study import write_study

from wardround.console import run


@dataclass(frozen=True)
class Answer:
    status: int
    out: str
    err: str


@pytest.fixture
def schemas(tmp_path: Path) -> Path:
    folder = tmp_path / "schemas" / "tables" / "test.clinic"
    folder.mkdir(parents=True)
    (folder / "1.2.0.yaml").write_text(json.dumps(CLINIC))
    return tmp_path / "schemas"


def check(capsys: pytest.CaptureFixture[str], folder: Path, schemas: Path, *words: object) -> Answer:
    arguments = ["silo", "check", "--site", folder / "site.yaml", "--schema-path", schemas, *words]
    capsys.readouterr()
    status = run([str(word) for word in arguments])
    output = capsys.readouterr()
    return Answer(status, output.out, output.err)


def test_in_order_is_zero(tmp_path: Path, schemas: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Clean records: exit status 0, the figures, and where the local report is."""
    make_site(tmp_path, rows())
    answer = check(capsys, tmp_path, schemas, "--schema", "test.clinic")
    assert (answer.status, answer.err) == (0, "")
    assert "test.clinic 1.2.0: in order. 12 records found, 0 set aside, 12 valid." in answer.out
    assert "reports/check-test.clinic-1.2.0.json" in answer.out
    assert (tmp_path / "reports" / "check-test.clinic-1.2.0.json").is_file()


def test_not_in_order_is_one(tmp_path: Path, schemas: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every finding with code, field, line, shape and next step; exit status 1."""
    make_site(tmp_path, rows((3, "Puls", "schnell"), (5, "Geschlecht", "?")))
    answer = check(capsys, tmp_path, schemas, "--schema", "test.clinic")
    assert answer.status == 1
    for words in ("T-TYPE", "pulse", "lines 5", "aaaaaa", "T-MAP", "sex", "lines 7", "T-QUARANTINE", "Next:", "not in order"):
        assert words in answer.out
    assert "schnell" not in answer.out


def test_json_is_for_programs(tmp_path: Path, schemas: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One object with findings, counts and what would leave."""
    make_site(tmp_path, rows((3, "Puls", "schnell")))
    answer = check(capsys, tmp_path, schemas, "--schema", "test.clinic", "--format", "json")
    report = json.loads(answer.out)
    assert answer.status == 1
    assert [(each["code"], each["at"]) for each in report["findings"]] == [("T-TYPE", [5]), ("T-QUARANTINE", [])]
    assert report["records"] == {"found": 12, "quarantined": 1, "valid": 11}
    assert report["outgoing"]["quarantined"] == {"withheld": True}
    assert report["local_report"] == "reports/check-test.clinic-1.2.0.json"


def test_a_study_checks_what_it_declares_by_its_own_limit(
    tmp_path: Path, schemas: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fields that the study does not read are not looked at, and its quarantine limit counts."""
    make_site(tmp_path, rows((3, "Puls", "x"), (5, "Geschlecht", "?")))
    lenient = write_study(tmp_path, quarantine={"max_fraction": 0.1})
    answer = check(capsys, tmp_path, schemas, "--study", lenient, "--format", "json")
    assert answer.status == 0
    assert [each["code"] for each in json.loads(answer.out)["findings"]] == ["T-TYPE"]
    assert (tmp_path / "reports" / "check-test.clinic-1.2.0-pulse-study.json").is_file()
    assert check(capsys, tmp_path, schemas, "--study", write_study(tmp_path)).status == 1


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), "X-USAGE"),
        (("--schema", "test.clinic", "--study", "study.yaml"), "X-USAGE"),
        (("--schema", "test.clinik"), "S-UNKNOWN"),
        (("--schema", "test.clinic@9.9.9"), "S-VERSION"),
        (("--schema", "heart.disease"), "M-SCHEMA"),
        (("--study", "absent.yaml"), "Y-FILE"),
    ],
)
def test_wrong_questions_are_two(
    tmp_path: Path, schemas: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: str
) -> None:
    """Neither or both, an unknown schema or version, no mapping, no study: exit status 2, nothing written."""
    make_site(tmp_path, rows())
    answer = check(capsys, tmp_path, schemas, *words)
    assert answer.status == 2
    assert code in answer.err
    assert not (tmp_path / "reports").exists()


def test_a_missing_site_file_is_two(tmp_path: Path, schemas: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Y-FILE."""
    answer = check(capsys, tmp_path, schemas, "--schema", "test.clinic")
    assert (answer.status, "Y-FILE" in answer.err) == (2, True)
