"""An answer from before stands only for exactly the same question about exactly the same bytes."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from clinic_on_disk import CLINIC, COLUMNS, load_contract, make_site, rows
from clinic_study import make_study

from silo_node.configuration import Site, load_site
from silo_node.local_report import earlier
from silo_node.local_report.question import Question
from silo_node.validation.reports import LocalReport, as_json, local_report
from wardround.contract.library import find_imaging
from wardround.contract.model import Contract

DAY = "2026-11-27"


def asked(site: Site, question: Question, day: str = DAY) -> LocalReport | None:
    return earlier.recall(site, question, earlier.basis_of(site, question, day))


def answered(site: Site, question: Question) -> LocalReport:
    """Check, and keep the answer."""
    basis = earlier.basis_of(site, question, DAY)
    report = local_report(question.answer(site, profiled=True))
    site.make_directory("reports")
    earlier.keep(site, question, basis, DAY, report)
    return report


def kept(site: Site) -> Path:
    return next((site.folder / "reports").glob("*.answer"))


def test_the_same_question_has_the_same_answer(tmp_path: Path, clinic: Contract) -> None:
    """Every part of it, so that the report is the same to the byte; for its owner only."""
    site, question = make_site(tmp_path, rows((0, "Puls", "x"), (1, "Geschlecht", "?"))), Question(clinic)
    assert asked(site, question) is None
    report = answered(site, question)
    again = asked(site, question)
    assert again == report
    assert as_json(again) == as_json(report)
    assert kept(site).stat().st_mode & 0o777 == 0o600


def test_a_file_that_was_swapped_is_found_out(tmp_path: Path, clinic: Contract) -> None:
    """Changed in place and given its old size, time and inode: only its content tells, and it is what is looked at."""
    site, question = make_site(tmp_path, rows()), Question(clinic)
    answered(site, question)
    path = tmp_path / "records.csv"
    was = path.stat()
    with path.open("r+b") as file:
        content = file.read()
        file.seek(content.index(b";61;") + 1)
        file.write(b"xx")
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    now = path.stat()
    assert (now.st_size, now.st_mtime_ns, now.st_ino) == (was.st_size, was.st_mtime_ns, was.st_ino)
    assert asked(site, question) is None
    assert not question.answer(site).passed


def test_an_answer_about_a_file_that_changed_meanwhile_is_not_kept(tmp_path: Path, clinic: Contract) -> None:
    site, question = make_site(tmp_path, rows()), Question(clinic)
    report = answered(site, question)
    basis = earlier.basis_of(site, question, DAY)
    (tmp_path / "records.csv").write_text(rows((0, "Puls", "x")))
    earlier.keep(site, question, basis, DAY, report)
    assert not list((tmp_path / "reports").glob("*.answer"))


CHANGES: dict[str, Callable[[Path], Site]] = {
    "a mapping": lambda folder: make_site(folder, rows(), columns={**COLUMNS, "radius": "Radius_cm"}),
    "a mark for missing": lambda folder: make_site(folder, rows(), missing=["-7"]),
    "a dialect": lambda folder: make_site(folder, rows(), dialect={"delimiter": ";", "decimal": ".", "quote": "'"}),
    "the threshold": lambda folder: make_site(folder, rows(), small_cell=20),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_the_answer_depends_on_asks_anew(tmp_path: Path, clinic: Contract, change: str) -> None:
    question = Question(clinic)
    answered(make_site(tmp_path, rows()), question)
    assert asked(make_site(tmp_path, rows()), question) is not None
    assert asked(CHANGES[change](tmp_path), question) is None


def test_another_contract_study_day_or_code_asks_anew(tmp_path: Path, clinic: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    site, question = make_site(tmp_path, rows()), Question(clinic)
    answered(site, question)
    assert asked(site, Question(load_contract({**CLINIC, "limits": {"min_records": 2}}, tmp_path))) is None
    assert asked(site, question, day="2026-11-28") is None
    study = make_study(tmp_path)
    answered(site, Question(clinic, study))
    assert asked(site, Question(clinic, study)) is not None
    assert asked(site, Question(clinic, make_study(tmp_path, quarantine={"max_fraction": 0.1}))) is None
    assert asked(site, Question(clinic, study, "1" * 64)) is None
    assert asked(site, question) is not None
    monkeypatch.setattr(earlier, "code_digest", lambda _: "other code")
    assert asked(site, question) is None


def test_what_no_check_reads_does_not_ask_anew(tmp_path: Path, clinic: Contract) -> None:
    """The hospital's name for people is in no finding."""
    site, question = make_site(tmp_path, rows()), Question(clinic)
    answered(site, question)
    site.path.write_text(site.path.read_text().replace("Northern Infirmary", "Another Name"))
    assert asked(load_site(site.path), question) is not None


@pytest.mark.parametrize(
    "spoil", [lambda data: data[:-20], lambda data: data.replace(b"12", b"13"), lambda _: b"", lambda _: b"\xff"]
)
def test_a_spoilt_answer_is_none(tmp_path: Path, clinic: Contract, spoil: Callable[[bytes], bytes]) -> None:
    """Cut off or changed: the records are checked anew."""
    site, question = make_site(tmp_path, rows()), Question(clinic)
    answered(site, question)
    kept(site).write_bytes(spoil(kept(site).read_bytes()))
    assert asked(site, question) is None


def test_a_study_of_images_is_asked_each_time(tmp_path: Path, clinic: Contract) -> None:
    """Its folder may have changed while the table that belongs to it has not: an answer from before would be of other images."""
    site, question = make_site(tmp_path, rows()), Question(clinic)
    assert earlier.basis_of(site, question, DAY) is not None
    assert earlier.basis_of(site, replace(question, imaging=find_imaging("ct.lesion")), DAY) is None


def test_a_file_that_cannot_be_read_has_no_answer(tmp_path: Path, clinic: Contract) -> None:
    """Nothing is recalled and nothing kept for it."""
    site, question = make_site(tmp_path, rows()), Question(clinic)
    (tmp_path / "records.csv").unlink()
    assert earlier.basis_of(site, question, DAY) is None
    answered(site, question)
    assert not list((tmp_path / "reports").glob("*.answer"))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [((27, 9, 59), (27, 10, 0), False), ((27, 23, 59), (28, 0, 0), False), ((27, 10, 30), (27, 10, 31), True)],
)
def test_an_answer_ends_with_the_day(one: tuple[int, int, int], other: tuple[int, int, int], *, same: bool) -> None:
    """In UTC, and where the day begins first: at ten in the morning UTC. A check may go by either, or by the day here."""
    first, then = (earlier.day_of(datetime(2026, 11, *each, tzinfo=UTC)) for each in (one, other))
    assert (first == then) is same
