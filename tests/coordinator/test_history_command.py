"""The history of a study for people and for programs: found by any of its names, read beside a running centre or without."""

import json

import pytest
from lives import live
from paper_visits import hospitals, in_round, refusing
from studies_on_paper import paper

from coordinator.journal.entries import ENTRY
from coordinator.journal.journal import FILE, FOLDER, DiskJournal, read_entries
from coordinator.studies import folders, submit

STUDY = paper()
HASH = STUDY.bundle.study_hash


@pytest.fixture
def centre(tmp_path, wardround):
    """Give a centre with one study that has ended, in its second life."""
    folder = tmp_path / "centre"
    assert wardround("coordinator", "init", folder, "--name", "The centre").status == 0
    path = submit(folder, STUDY.bundle).path
    asked = hospitals(spoil=in_round(2, refusing))
    live(path, STUDY, asked, 12)
    live(path, STUDY, asked)
    return folder


def test_one_line_for_each_visit(centre, wardround):
    """People read who counted with how many records, who did not and its code, the weights, and how it ended."""
    answer = wardround("coordinator", "history", "trial", "--dir", centre)
    assert answer.status == 0, answer
    head, titles, *lines = answer.out.splitlines()
    assert head == f"trial 1.0.0  {HASH[:12]}"
    assert titles.split()[:4] == ["visit", "attempt", "seconds", "loss"]
    visits = lines[:6]
    assert [line.split()[0] for line in visits] == ["statistics", "round", "round", "round", "closing", "test"]
    assert "3: alpha 120, beta 60, gamma 45" in visits[1]
    assert "1 ×" in visits[1]
    assert visits[2].split("  ")[-1].strip() == "beta H-FAILED"
    assert "2: alpha 120, gamma 45  " in visits[2]
    (record,) = [
        e.record for e in read_entries(next(folders(centre)).path / FOLDER) if e.event == "closed" and e.record.round == 1
    ]
    assert record.stepped[:12] in visits[1]
    assert record.stepped[:12] in visits[2], "the weights after a round are those that the next one sends"
    assert lines[6].startswith("It ended: partial (2 of 3 hospitals in 1 of 6 visits). 6 visits,")
    assert lines[6].endswith("at least 2 hospitals; failed rounds: 0.")
    assert lines[7].endswith("conductors that died in a visit: 1.")
    assert len(lines) == 8


def test_json_holds_every_line(centre, wardround):
    """Programs get each entry as it stands, the visits, and the summary."""
    told = wardround("coordinator", "history", "trial", "--dir", centre, "--format", "json").json()
    entries = [ENTRY.validate_json(json.dumps(entry)) for entry in told["entries"]]
    assert entries == read_entries(next(folders(centre)).path / FOLDER)
    assert told["summary"]["lines"] == len(entries)
    assert told["summary"]["ended"]["status"] == "partial"
    assert len(told["visits"]) == told["summary"]["visits"] == 6


def test_a_study_goes_by_its_names(centre, wardround):
    """Its name, NAME-VERSION, or the beginning of its hash, if that is one study; else a code with the nearest name."""
    for word in ("trial", "trial-1.0.0", HASH, HASH[:5]):
        assert wardround("coordinator", "history", word, "--dir", centre).status == 0
    submit(centre, paper(version="1.1.0").bundle)
    for word, said in (("trail", "did you mean trial"), ("trial", "2 studies go by it"), ("", "no such study"), ("zz", "status")):
        answer = wardround("coordinator", "history", word, "--dir", centre)
        assert answer.status == 2
        assert "X-STUDY" in answer.err
        assert said in answer.err
    new = wardround("coordinator", "history", "trial-1.1.0", "--dir", centre)
    assert (new.status, new.out.splitlines()[1].strip()) == (0, "Its journal has no line yet.")


def test_it_is_read_while_a_conductor_has_it_open(centre, wardround):
    """No lock is taken: a running centre is not disturbed, and does not disturb."""
    journal = DiskJournal(next(folders(centre)).path, STUDY.bundle)
    try:
        assert wardround("coordinator", "history", "trial", "--dir", centre).status == 0
    finally:
        journal.close()


def test_a_changed_line_is_named(centre, wardround):
    """An edited journal is told by its line, with exit status 1, and nothing of it is shown."""
    path = next(folders(centre)).path / FOLDER / FILE
    lines = path.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b'"attempt":0', b'"attempt":1')
    path.write_bytes(b"".join(lines))
    answer = wardround("coordinator", "history", "trial", "--dir", centre)
    assert (answer.status, answer.out) == (1, "")
    assert f"L-BROKEN {FILE}, line 4" in answer.err
