"""``wardround silo changed``: what is planted between an approval and now is said, at the hospital, and nowhere else."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import logging
import shutil
from collections.abc import Callable

import pytest
from hospitals_on_disk import Answer, Hospital, Ready, deal, prepare

from silo_node.changed.picture import FOLDER, recall
from silo_node.configuration import load_site
from silo_node.training.trainer import Trainer
from silo_node.work import Work
from wardround.console import run
from wardround.study.bundle import read_bundle

Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def approved(tmp_path_factory) -> Ready:
    """Prepare hospitals that have approved a study, once."""

    def command(*words: object) -> Answer:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = run([str(word) for word in words])
        return Answer(status, out.getvalue(), err.getvalue())

    folder = tmp_path_factory.mktemp("approved")
    return prepare(command, folder, deal(folder, (240, 60)))


@pytest.fixture
def ready(approved, tmp_path) -> Ready:
    """Give a copy of them."""
    folder = shutil.copytree(approved.folder, tmp_path / "ready")
    hospitals = [Hospital(folder / each.folder.name) for each in approved.hospitals]
    return Ready(folder, hospitals, folder / approved.bundle.name, folder / "centre")


def edit(hospital: Hospital, change: Callable[[Rows], Rows]) -> None:
    """Change a hospital's table."""
    with hospital.table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows = change(rows)
    with hospital.table.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0]])
        writer.writeheader()
        writer.writerows(rows)


def changed(wardround, ready, *words):
    return wardround("silo", "changed", "trial", "--site", ready.hospitals[0].site, *words)


def found(wardround, ready) -> dict:
    answer = changed(wardround, ready, "--format", "json")
    assert answer.status == 1, answer.err
    return answer.json()["change"]


def field(change: dict, name: str) -> dict:
    return next(each for each in change["fields"] if each["field"] == name)


def times(name: str, factor: float) -> Callable[[Rows], Rows]:
    return lambda rows: [{**row, name: repr(float(row[name]) * factor)} for row in rows]


def test_the_records_of_the_approval_are_said_to_be_so(ready, wardround):
    """Exit status 0, whatever the order of the rows; nothing is written."""
    edit(ready.hospitals[0], lambda rows: rows[::-1])
    answer = changed(wardround, ready)
    assert answer.status == 0, answer.err
    assert "are those of the approval" in answer.out
    assert not list(ready.hospitals[0].folder.glob("reports/changed-*"))


def test_records_that_came_and_went_and_were_edited_are_counted(ready, wardround):
    """By their keys and contents, exactly: 30 gone, 20 new, 7 edited; so is the table."""

    def change(rows: Rows) -> Rows:
        new = [
            {**row, "sample_id": f"n{number}", "patient_key": f"{number:016x}"} for number, row in enumerate(rows[30:50], 9000)
        ]
        edited = [{**row, "radius_mean": repr(float(row["radius_mean"]) + 0.01)} for row in rows[30:37]]
        return [*edited, *rows[37:], *new]

    edit(ready.hospitals[0], change)
    told = found(wardround, ready)
    assert (told["added"], told["removed"], told["edited"]) == (20, 30, 7)
    assert (told["before"]["found"], told["now"]["found"]) == (240, 230)
    assert (told["before"]["records"], told["now"]["records"]) == (240, 230)
    assert {each["level"] for each in told["fields"]} == {"as before"}
    assert "240 records of the study before, 230 now: 20 new, 30 gone, 7 with other content" in changed(wardround, ready).out


def test_a_field_that_moved_is_said_and_stands_first(ready, wardround):
    """In figures, in words, and in the exit status."""
    edit(ready.hospitals[0], times("texture_mean", 1.2))
    assert field(found(wardround, ready), "texture_mean")["level"] == "large"
    text = changed(wardround, ready).out
    assert "texture_mean: The values are distributed" in text
    assert "1 of 7 fields have moved, 1 of them largely" in text
    assert text.index("texture_mean") < text.index("radius_mean")


def test_patients_of_another_kind_are_said(ready, wardround):
    """More of the positive ones: the target has moved, and what goes with it."""
    edit(ready.hospitals[0], lambda rows: [row for n, row in enumerate(rows) if row["diagnosis"] == "malignant" or n % 4 == 0])
    moved = field(found(wardround, ready), "diagnosis")
    assert moved["positive"] > moved["positive_before"] + 0.25
    assert moved["level"] == "large"


def test_the_page_stands_alone_and_is_private(ready, wardround):
    """No script, nothing from outside, a chart a field; page, JSON and what the approval keeps are the owner's."""
    edit(ready.hospitals[0], times("area_mean", 1.3))
    assert changed(wardround, ready).status == 1
    folder = ready.hospitals[0].folder
    page, report = folder / "reports" / "changed-trial-1.0.0.html", folder / "reports" / "changed-trial-1.0.0.json"
    text = page.read_text()
    assert "<script" not in text
    assert "http" not in text
    assert text.count("<svg") == 7
    assert json.loads(report.read_text())["kind"] == "records-changed"
    kept = list((folder / FOLDER).iterdir())
    assert {path.suffix for path in kept} == {".json", ".records"}
    assert [path for path in (page, report, *kept) if path.stat().st_mode & 0o077] == []


def test_no_record_lies_in_what_the_approval_keeps(ready):
    """Counts and keyed digests only: no key of a record, none of its values."""
    hospital = ready.hospitals[0]
    kept = b"".join(path.read_bytes() for path in (hospital.folder / FOLDER).iterdir())
    with hospital.table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    for row in rows:
        assert not [cell for cell in row.values() if len(cell) > 5 and cell != "benign" and cell.encode() in kept]


def test_records_that_cannot_take_part_are_said_by_their_codes(ready, wardround):
    """As in the review."""
    ready.hospitals[0].table.unlink()
    answer = changed(wardround, ready, "--format", "json")
    assert answer.status == 1
    assert answer.json()["codes"] == ["T-FILE"]


def approve(wardround, ready, *words):
    person = ("--approver", "Dr A", "--role", "officer")
    return wardround("silo", "approve", ready.bundle, "--site", ready.hospitals[0].site, *person, *words)


def test_a_new_approval_is_of_the_records_of_now(ready, wardround):
    """The review says where to look; after the approval the records are those that were approved, and one picture is kept."""
    edit(ready.hospitals[0], times("area_mean", 1.3))
    review = wardround("silo", "review", ready.bundle, "--site", ready.hospitals[0].site, "--no-example")
    assert "wardround silo changed trial-1.0.0" in review.out
    answer = approve(wardround, ready)
    assert answer.status == 0, answer.err
    assert changed(wardround, ready).status == 0
    assert len(list((ready.hospitals[0].folder / FOLDER).glob("*.json"))) == 1


def test_without_a_picture_there_is_nothing_to_say(ready, wardround):
    """Approved without reading, or the file is damaged: it says what helps."""
    edit(ready.hospitals[0], times("area_mean", 1.3))
    (head,) = (ready.hospitals[0].folder / FOLDER).glob("*.json")
    head.write_text("{")
    answer = changed(wardround, ready)
    assert answer.status == 2
    assert "approve the study again" in answer.err
    assert approve(wardround, ready, "--no-records").status == 0
    assert "--no-records" in changed(wardround, ready).err
    assert not list((ready.hospitals[0].folder / FOLDER).iterdir()), "else the trainer would take them for those of this approval"


def test_lost_digests_lose_the_single_counts_only(ready, wardround):
    """How each field moved is said all the same."""
    edit(ready.hospitals[0], times("area_mean", 1.3))
    (members,) = (ready.hospitals[0].folder / FOLDER).glob("*.records")
    members.write_bytes(members.read_bytes()[:-5])
    told = found(wardround, ready)
    assert told["added"] is None
    assert field(told, "area_mean")["level"] != "as before"
    assert "which came and went is not known" in changed(wardround, ready).out


def test_the_trainer_says_it_in_the_hospitals_own_log(ready, caplog):
    """Once, when it has read records that are not those of the approval; and nothing of records that are."""
    hospital, bundle = ready.hospitals[0], read_bundle(ready.bundle)

    def visit() -> list[str]:
        caplog.clear()
        site = load_site(hospital.folder / "site.yaml")
        trainer = Trainer(site)
        trainer._desk(Work(bundle, None, None, site.policy()), site.policy())
        trainer._desk(Work(bundle, None, None, site.policy()), site.policy())
        return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]

    assert visit() == []
    edit(hospital, times("area_mean", 1.3))
    said = visit()
    assert sum("are not those of its approval" in line for line in said) == 1
    assert any("240 new, 0 gone" in line or "240 with other content" in line for line in said)
    assert any("area_mean: The values are distributed largely otherwise" in line for line in said)


def test_a_picture_of_a_study_is_of_no_other(ready):
    """It goes by the whole study hash."""
    bundle, folder = read_bundle(ready.bundle), ready.hospitals[0].folder
    assert recall(folder, bundle.study_hash) is not None
    assert recall(folder, "0" * 64) is None
