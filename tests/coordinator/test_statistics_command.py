"""``coordinator statistics``: what the hospitals told, from the journal of a study that waits before its first round."""

from __future__ import annotations

from contextlib import closing, suppress

import pytest
from paper_hospitals import Onlooker, PaperGrid, PaperHospital
from studies_on_paper import paper
from told_wards import TO_CM_H2O, result_of, ward

from coordinator.journal.journal import DiskJournal
from coordinator.rounds.conductor import Conductor, TrainingHeld
from coordinator.studies import submit
from wardround.messages.round import Result, StatisticsResult, Task

SITES = ("alpha", "beta", "gamma")
STUDY = paper(SITES, statistics={"distributions": True})


class Telling(PaperHospital):
    """A hospital that tells how its records are distributed; beta counts in another unit, gamma's policy forbids it."""

    def _result(self, task: Task) -> Result:
        found = super()._result(task)
        if not isinstance(found, StatisticsResult):
            return found
        records = ward(len(self.site), self.records, factor=TO_CM_H2O if self.site == "beta" else 1.0)
        return result_of(STUDY, records, share=None if self.site == "gamma" else "coordinator")


@pytest.fixture
def centre(tmp_path):
    """Give a centre whose study has been told its statistics."""
    folder = submit(tmp_path, STUDY.bundle)
    grid = PaperGrid([Telling(STUDY, site, 240) for site in SITES])
    with closing(DiskJournal(folder.path, STUDY.bundle)) as journal, suppress(TrainingHeld):
        Conductor(STUDY.bundle, STUDY.key, grid, Onlooker(), journal, training_held=lambda: True).run()
    return tmp_path


def test_it_shows_what_came_before_training(centre, wardround):
    """A line for each field and hospital, a wrong unit by name and in the exit status, withheld as withheld, and a page."""
    answer = wardround("coordinator", "statistics", "trial", "--dir", centre)
    assert answer.status == 1, answer.err
    assert "unit?!" in answer.out
    assert "cm[H2O]" in answer.out
    assert answer.out.count("withheld: its policy") == 4
    (page,) = centre.glob("studies/*/comparability.html")
    assert page.stat().st_mode & 0o077 == 0, "for the coordinator"
    assert "a wrong unit is suspected" in page.read_text()


def test_as_json_it_is_the_report(centre, wardround):
    """With every hospital that told, for the coordinator."""
    report = wardround("coordinator", "statistics", "trial", "--dir", centre, "--format", "json").json()
    assert report["for_whom"] == "coordinator"
    assert [field["field"] for field in report["fields"]] == ["disease", "age", "pressure", "pain"]
    hidden = {site["site"]: site["hidden"] for site in report["fields"][0]["sites"]}
    assert hidden == {"alpha": None, "beta": None, "gamma": "policy"}


def test_before_the_first_visit_there_is_nothing(tmp_path, wardround):
    """It says so, and writes nothing."""
    folder = submit(tmp_path, STUDY.bundle)
    answer = wardround("coordinator", "statistics", "trial", "--dir", tmp_path)
    assert answer.status == 2
    assert "X-USAGE" in answer.err
    assert not (folder.path / "comparability.html").exists()


def test_a_study_that_does_not_ask_has_none(tmp_path, wardround):
    """It says which key is missing."""
    submit(tmp_path, paper(SITES).bundle)
    answer = wardround("coordinator", "statistics", "trial", "--dir", tmp_path)
    assert answer.status == 2
    assert "statistics.distributions" in answer.err
