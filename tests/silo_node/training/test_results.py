"""Results outlive the trainer and the plan of the sum: nothing is trained twice, nothing damaged is used."""

import logging
from dataclasses import replace

import pytest
from paper_records import done, planned, real_paper, rows, work, write_site

from silo_node.training import trainer as trainer_module
from silo_node.training.durable import Durable
from silo_node.training.results import Shelf
from silo_node.training.trainer import Trainer
from silo_node.training_state import read_training_state
from silo_node.work import NotDone
from wardround.errors import Refused
from wardround.weights.packing import to_bytes

PAPER = real_paper()
RECORDS = rows(200)


@pytest.fixture
def trainings(monkeypatch):
    """Count how often something is trained."""
    counted = []
    honest = trainer_module.train

    def train(*arguments):
        counted.append(1)
        return honest(*arguments)

    monkeypatch.setattr(trainer_module, "train", train)
    return counted


def test_the_same_work_is_trained_once(tmp_path, trainings):
    """Under every plan of the sum it is one training: the same change, refused by a narrow plan and given under a wide one."""
    one = Trainer(write_site(tmp_path, RECORDS))
    count = done(one.perform(work(PAPER, "statistics"))).records
    first = work(PAPER, "round", records=count)
    given = done(one.perform(first))
    refused = one.perform(planned(first, (-140,) * len(PAPER.bundle.manifest.tensors)))
    assert isinstance(refused, NotDone)
    assert refused.code == "H-RANGE"
    again = done(one.perform(planned(first, refused.exponents)))
    assert to_bytes(again.change) == to_bytes(given.change)
    assert again.result == given.result
    assert len(trainings) == 1
    one.perform(work(PAPER, "round", 2, records=count))
    assert len(trainings) == 2


def test_a_kept_result_is_held_against_the_task(tmp_path, trainings):
    """A task that names another record count gets H-CHANGED, though the work was done."""
    one = Trainer(write_site(tmp_path, RECORDS))
    count = done(one.perform(work(PAPER, "statistics"))).records
    one.perform(work(PAPER, "round", records=count))
    assert one.perform(work(PAPER, "round", records=count + 1)) == NotDone("H-CHANGED")
    assert len(trainings) == 1


def test_a_new_trainer_gives_a_result_from_disk(tmp_path, trainings):
    """After a death the result of the last round is on disk: not trained again, the same bytes, under any plan."""
    site = write_site(tmp_path, RECORDS)
    count = done(Trainer(site).perform(work(PAPER, "statistics"))).records
    durable = Durable(tmp_path / "journal", tmp_path)
    asked = work(PAPER, "round", records=count)
    given = done(Trainer(site, durable=durable).perform(asked))
    (site.folder / "records.csv").unlink()  # nothing but the file in the journal can be the source
    fresh = Trainer(site, durable=durable)
    again = done(fresh.perform(asked))
    assert (to_bytes(again.change), again.result, again.records) == (to_bytes(given.change), given.result, given.records)
    assert fresh.perform(planned(asked, (-140,) * len(PAPER.bundle.manifest.tensors))).code == "H-RANGE"
    assert len(trainings) == 1
    state = read_training_state(tmp_path)
    assert (state.phase, state.percent, state.work) == ("done", 100, asked.task.core.work_id())


def test_a_result_that_cannot_be_written_is_not_told(tmp_path, trainings):
    """With no room on the disk the work fails rather than being told; with room again it is not trained again."""
    site = write_site(tmp_path, RECORDS)
    count = done(Trainer(site).perform(work(PAPER, "statistics"))).records
    journal = tmp_path / "journal"
    journal.write_text("in the way")
    one = Trainer(site, durable=Durable(journal, tmp_path))
    with pytest.raises(Refused, match="O-WRITE"):
        one.perform(work(PAPER, "round", records=count))
    journal.unlink()
    assert done(one.perform(work(PAPER, "round", records=count))).change is not None
    assert len(trainings) == 1


@pytest.mark.parametrize("at", [0, 10, 60, -40, -1])
def test_a_damaged_result_is_dropped(tmp_path, trainings, caplog, at):
    """One changed byte anywhere in a kept result, and it is dropped, said in the log, and the work is done again."""
    site = write_site(tmp_path, RECORDS)
    count = done(Trainer(site).perform(work(PAPER, "statistics"))).records
    durable = Durable(tmp_path / "journal", tmp_path)
    asked = work(PAPER, "round", records=count)
    given = done(Trainer(site, durable=durable).perform(asked))
    path = tmp_path / "journal" / asked.task.study_hash / "result"
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    again = done(Trainer(site, durable=durable).perform(asked))
    assert to_bytes(again.change) == to_bytes(given.change)
    assert len(trainings) == 2
    assert "damaged or foreign" in caplog.text


def test_a_foreign_result_is_dropped(tmp_path, trainings, caplog):
    """A whole file of another hospital, or of another study, is not used."""
    site = write_site(tmp_path, RECORDS)
    count = done(Trainer(site).perform(work(PAPER, "statistics"))).records
    asked = work(PAPER, "round", records=count)
    made = done(Trainer(site).perform(asked))
    for number, (name, study) in enumerate((("south", asked.task.study_hash), ("north", "0" * 64))):
        journal = tmp_path / f"journal{number}"
        foreign = Shelf(name, journal, logging.getLogger("test"))
        other = replace(asked, task=asked.task.model_copy(update={"study_hash": study}))
        foreign.keep(other, made)
        (journal / study).rename(journal / asked.task.study_hash) if study != asked.task.study_hash else None
        trainings.clear()
        assert done(Trainer(site, durable=Durable(journal, tmp_path)).perform(asked)).result == made.result
        assert len(trainings) == 1
    assert caplog.text.count("damaged or foreign") == 2


def test_what_is_kept_is_private(tmp_path):
    """Results lie in the journal, readable by their owner only."""
    site = write_site(tmp_path, RECORDS)
    count = done(Trainer(site).perform(work(PAPER, "statistics"))).records
    asked = work(PAPER, "round", records=count)
    Trainer(site, durable=Durable(tmp_path / "journal", tmp_path)).perform(asked)
    folder = tmp_path / "journal" / asked.task.study_hash
    assert [path.name for path in folder.iterdir()] == ["result"]
    assert (folder / "result").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_result_on_disk_is_let_go_of_when_other_work_begins(tmp_path):
    """A change of weights is as large as the weights: with its file on disk, it is not held while the next round trains."""
    site = write_site(tmp_path, RECORDS)
    count = done(Trainer(site).perform(work(PAPER, "statistics"))).records
    asked = work(PAPER, "round", records=count)
    shelf = Shelf("north", tmp_path / "journal", logging.getLogger("test"))
    made = done(Trainer(site).perform(asked))
    shelf.keep(asked, made)
    assert shelf.find(asked) is made
    assert shelf.find(work(PAPER, "round", 2, records=count)) is None
    again = shelf.find(asked)
    assert again is not None
    assert again is not made
    assert to_bytes(again.change) == to_bytes(made.change)
