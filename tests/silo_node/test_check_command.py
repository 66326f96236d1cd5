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


def test_the_page_and_the_history_lie_beside_the_report(
    tmp_path: Path, schemas: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every check leaves a page, and a line with the time, which stands nowhere in the report."""
    make_site(tmp_path, rows((3, "Puls", "schnell")))
    answer = check(capsys, tmp_path, schemas, "--schema", "test.clinic")
    assert "open reports/check-test.clinic-1.2.0.html in a browser" in answer.out
    first = (tmp_path / "reports" / "check-test.clinic-1.2.0.json").read_bytes()
    make_site(tmp_path, rows((5, "Geschlecht", "?")))
    answer = check(capsys, tmp_path, schemas, "--schema", "test.clinic")
    assert "new: T-MAP sex; gone: T-TYPE pulse." in answer.out
    make_site(tmp_path, rows((3, "Puls", "schnell")))
    check(capsys, tmp_path, schemas, "--schema", "test.clinic", "--no-cache")
    assert (tmp_path / "reports" / "check-test.clinic-1.2.0.json").read_bytes() == first
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in (tmp_path / "reports").iterdir())
    history = check(capsys, tmp_path, schemas, "--history")
    assert (history.status, len(history.out.splitlines())) == (0, 4)
    kinds = check(capsys, tmp_path, schemas, "--history", "--study", write_study(tmp_path), "--format", "json")
    assert json.loads(kinds.out) == {"checks": []}


def test_unchanged_records_are_not_checked_again(
    tmp_path: Path, schemas: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same answer, which says that it is one; changed records and --no-cache are read."""
    make_site(tmp_path, rows((3, "Puls", "schnell")))
    words = ("--schema", "test.clinic", "--format", "json")
    first = json.loads(check(capsys, tmp_path, schemas, *words).out)
    with monkeypatch.context() as patch:
        patch.setattr("silo_node.validation.engine.run", None)  # whatever reads the records fails
        again = check(capsys, tmp_path, schemas, *words)
        assert (again.status, json.loads(again.out)) == (1, {**first, "cached": True})
        told = check(capsys, tmp_path, schemas, "--schema", "test.clinic").out
        assert "Nothing has changed since an earlier check of today" in told
        assert check(capsys, tmp_path, schemas, *words, "--no-cache").status == 2
    assert json.loads(check(capsys, tmp_path, schemas, *words, "--no-cache").out) == first
    (tmp_path / "records.csv").write_text(rows())
    assert check(capsys, tmp_path, schemas, *words).status == 0


def test_a_study_is_answered_from_before_with_its_own_limits(
    tmp_path: Path, schemas: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is found only after the check, such as a target of one class, is part of the answer."""
    make_site(tmp_path, rows(*[(at, "Befund", "g") for at in range(12)]))
    study = write_study(tmp_path)
    for cached in (False, True):
        answer = json.loads(check(capsys, tmp_path, schemas, "--study", study, "--format", "json").out)
        assert (answer["cached"], [each["code"] for each in answer["findings"]]) == (cached, ["T-LABEL"])
        assert answer["passed"] is False


def test_a_fix_plan_is_written_and_proved(tmp_path: Path, schemas: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0: with the plan the records would be in order. Local texts stand in the file alone."""
    site = make_site(tmp_path, rows((3, "Puls", "-9"), (5, "Geschlecht", "w")))
    before = site.path.read_bytes()
    answer = check(capsys, tmp_path, schemas, "--schema", "test.clinic", "--fix-plan")
    assert answer.status == 0
    assert "the column of sex: frees 1 record" in answer.out
    assert "12 records found, 0 set aside, 12 valid." in answer.out
    assert site.path.read_bytes() == before
    assert '"w": "female"' in (tmp_path / "reports" / "fix-plan.yaml").read_text()
    assert '"w"' not in answer.out
    make_site(tmp_path, rows((3, "Puls", "schnell")))
    answer = check(capsys, tmp_path, schemas, "--schema", "test.clinic", "--fix-plan", "--format", "json")
    plan = json.loads(answer.out)
    assert (answer.status, plan["steps"], plan["after"]["records"]["quarantined"]) == (1, [], 1)
    assert not (tmp_path / "reports" / "history.jsonl").exists()


@pytest.mark.parametrize("words", [("--fix-plan",), ("--history", "--fix-plan"), ("--no-cache",)])
def test_flags_that_ask_for_nothing_are_two(
    tmp_path: Path, schemas: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    make_site(tmp_path, rows())
    answer = check(capsys, tmp_path, schemas, *words)
    assert (answer.status, "X-USAGE" in answer.err) == (2, True)
