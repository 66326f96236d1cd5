"""``coordinator statistics``: what the hospitals told, from the journal of a study that waits before its first round."""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import dataclass, field

import pytest
from paper_hospitals import Onlooker, PaperGrid, PaperHospital
from studies_on_paper import paper
from told_wards import TO_CM_H2O, result_of, ward

from coordinator.journal.journal import DiskJournal
from coordinator.rounds.conductor import Conductor, Surroundings, TrainingHeld
from coordinator.studies import submit
from wardround.messages.round import Result, StatisticsResult, Task

SITES = ("alpha", "beta", "gamma")
STUDY = paper(SITES, statistics={"distributions": True})


@dataclass
class Telling(PaperHospital):
    """A hospital that tells how its records are distributed; gamma's policy forbids it. ``planted``: its records."""

    planted: dict[str, float] = field(default_factory=dict)

    def _result(self, task: Task) -> Result:
        found = super()._result(task)
        if not isinstance(found, StatisticsResult):
            return found
        records = ward(len(self.site), self.records, **self.planted)
        return result_of(self.paper, records, share=None if self.site == "gamma" else "coordinator")


def told(centre, study, **planted: dict[str, float]) -> None:
    """Submit a study, and have its hospitals tell their statistics."""
    folder = submit(centre, study.bundle)
    grid = PaperGrid([Telling(study, site, 240, planted=planted.get(site, {})) for site in SITES])
    with closing(DiskJournal(folder.path, study.bundle)) as journal, suppress(TrainingHeld):
        Conductor(study.bundle, study.key, grid, Onlooker(), journal, Surroundings(training_held=lambda: True)).run()


@pytest.fixture
def centre(tmp_path):
    """Give a centre whose study has been told its statistics."""
    told(tmp_path, STUDY, beta={"factor": TO_CM_H2O})
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
    assert [each["field"] for each in report["fields"]] == ["disease", "age", "pressure", "pain"]
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


def test_a_hospital_that_told_before_is_held_against_itself(tmp_path, wardround):
    """Fields that moved since an earlier study of this centre are said, worst first; what is withheld is in no comparison."""
    told(tmp_path, STUDY)
    later = paper(SITES, version="1.1.0", statistics={"distributions": True})
    told(tmp_path, later, alpha={"missing": 0.5}, beta={"factor": TO_CM_H2O})
    first = wardround("coordinator", "statistics", "trial-1.0.0", "--dir", tmp_path, "--format", "json").json()
    assert first["since"] == [], "nothing was told before it"
    answer = wardround("coordinator", "statistics", "trial-1.1.0", "--dir", tmp_path)
    assert answer.status == 1, answer.err
    assert "Told before, by 2 hospitals: 8 fields, of which 2 have moved." in answer.out
    assert "alpha, pressure, since trial 1.0.0: Missing: 0 % before, " in answer.out
    assert "beta, pressure, since trial 1.0.0: The mean was 125" in answer.out
    report = wardround("coordinator", "statistics", "trial-1.1.0", "--dir", tmp_path, "--format", "json").json()
    assert [(each["site"], each["field"]) for each in report["since"][:2]] == [("beta", "pressure"), ("alpha", "pressure")]
    assert {each["site"] for each in report["since"]} == {"alpha", "beta"}
    (page,) = tmp_path.glob(f"studies/{later.bundle.study_hash}/comparability.html")
    assert "Since earlier studies" in page.read_text()


@pytest.mark.parametrize("change", [{"cohort": {"where": "age >= 40"}}, {"statistics": {"distributions": False}}])
def test_what_is_not_of_the_same_records_is_not_compared(tmp_path, wardround, change):
    """Another rule of who is in is another question; a study that did not ask was told nothing."""
    earlier = paper(SITES, **{"version": "0.9.0", "statistics": {"distributions": True}, **change})
    told(tmp_path, earlier)
    told(tmp_path, STUDY)
    report = wardround("coordinator", "statistics", "trial-1.0.0", "--dir", tmp_path, "--format", "json").json()
    assert report["since"] == []
