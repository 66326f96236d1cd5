"""Examples and rows: one fit example a row, or a code; no count is short on either side, and no patient is on both sides."""

from __future__ import annotations

from collections import Counter

import polars as pl
import pytest
from lesion_contract import LESION

from silo_node.dicom.index import Index
from silo_node.imaging.join import examples_by_key, join
from silo_node.imaging.judge import judge
from silo_node.imaging.keyed import Keyed, with_rows
from wardround.contract.imaging import ImagingContract, TableLink

CONTRACT = ImagingContract.model_validate(LESION)
KEYS = {"patient": "pid", "study": "study", "series": "series"}


def link(grain="series", *further):
    names = {grain: KEYS[grain], **{each: KEYS[each] for each in further}}
    return TableLink(id="t.rows", version="1.0.0", grain=grain, keys=names)


def rows(*of, **columns):
    """Rows for series by their numbers; ``columns`` are other values of a column, by number."""
    plain = {
        "series": lambda number: f"1.2.3.{number}",
        "study": lambda number: f"1.2.3.{number}.9",
        "pid": lambda number: f"P{number}",
        "owner": lambda number: f"t{number}",
    }
    return pl.DataFrame(
        {name: [columns.get(name, {}).get(number, value(number)) for number in of] for name, value in plain.items()},
        schema=dict.fromkeys(plain, pl.String),
    )


@pytest.fixture
def series(write_slice):
    def written(number, patient=None, uid=None, study=None, **changed):
        uid = uid or f"1.2.3.{number}"
        for at in range(4):
            where = {"StudyInstanceUID": study or f"1.2.3.{number}.9", "SeriesInstanceUID": uid, "BodyPartExamined": "CHEST"}
            write_slice(at, name=f"{uid}-{at}", PatientID=patient or f"P{number}", **where, **changed)

    return written


@pytest.fixture
def joined(export, tmp_path):
    def made(table, on, refused=0):
        index = Index(tmp_path / "index.sqlite", export)
        index.update()
        judgement = judge(index.entries(), CONTRACT)
        found = join(judgement, on, table, "owner", refused, in_order=not refused)
        images = sum(len(example.stack.slices) for example in found.examples)
        assert found.files == sum(found.other.values()) + images, "every file is of an example, or left out by a code"
        return found

    return made


def test_each_row_and_each_example_is_accounted_for(series, joined):
    """Without an image, of no row, set aside for itself, refused by the table's own check, used."""
    series(1)
    series(2, RescaleSlope=0)
    series(3)
    found = joined(rows(1, 2, 4), link(), refused=2)
    assert [example.codes for example in found.examples] == [(), ("D-RESCALE",)]
    assert (found.other, found.first["D-NOROW"]) == ({"D-NOROW": 4}, ("1.2.3.3-0",))
    told = found.rows
    assert told is not None
    assert (told.found, told.refused, told.without, told.with_several, told.used) == (5, 2, 1, 0, 1)


def test_which_of_several_is_meant_is_not_guessed(series, joined):
    """A patient with two series that are fit is ambiguous; of one that is fit and one that is not, it is the first."""
    series(1, patient="P1", study="1.2.3.1.9")
    series(2, patient="P1", study="1.2.3.1.9")
    series(3, patient="P3", study="1.2.3.3.9")
    series(4, patient="P3", study="1.2.3.3.9", RescaleSlope=0)
    for grain, table in (("patient", rows(1, 3)), ("study", rows(1, 3))):
        found = joined(table, link(grain))
        assert Counter(example.codes for example in found.examples) == {("D-SEVERAL",): 2, (): 1, ("D-RESCALE",): 1}
        assert found.rows is not None
        assert (found.rows.used, found.rows.with_several, found.rows.without) == (1, 1, 0)


def test_one_patient_of_the_archive_is_not_two_of_the_table(series, joined):
    """Their images would be on both sides of the split; that one of the table has two Patient IDs is no fault."""
    series(1, patient="P1")
    series(2, patient="P1")
    series(3)
    series(4)
    found = joined(rows(1, 2, 3, 4, owner={3: "t3", 4: "t3"}), link())
    assert [example.codes for example in found.examples] == [("D-PATIENT",), ("D-PATIENT",), (), ()]
    assert found.rows is not None
    assert found.rows.used == 2


def test_further_keys_of_a_row_are_those_of_its_image(series, joined):
    """Else the row may be another patient's: a table that was sorted by one column only looks like that."""
    for number in (1, 2, 3):
        series(number)
    table = rows(1, 2, 3, pid={1: "P2"}, study={2: "1.2.3.1.9"})
    found = joined(table, link("series", "patient", "study"))
    assert [example.codes for example in found.examples] == [("D-PATIENT",), ("D-JOIN",), ()]
    assert [example.codes for example in joined(table, link()).examples] == [(), (), ()], "keys that the contract does not name"


def test_a_study_uses_what_the_check_finds(series, export, tmp_path):
    """The same examples, by the same codes."""
    for number in (1, 2, 3):
        series(number)
    index = Index(tmp_path / "index.sqlite", export)
    index.update()
    by_key = examples_by_key(judge(index.entries(), CONTRACT), "series")
    keyed = Keyed("series", dict.fromkeys(by_key.fit), by_key.aside, by_key.patients, by_key=by_key)
    found = with_rows(keyed, link("series", "patient"), rows(1, 2, 3, pid={1: "P2"}), "owner")
    assert (list(found.fit), dict(found.aside)) == (["1.2.3.2", "1.2.3.3"], {"1.2.3.1": ("D-PATIENT",)})


def test_a_table_without_rows(series, joined):
    """It could not be read, or is empty: no example has a row."""
    series(1)
    found = joined(rows(), link())
    assert (found.examples, found.images, found.other) == ((), 0, {"D-NOROW": 4})


def test_examples_by_key(series, export, tmp_path):
    """What training uses: one example for a key, or the codes that say why there is none."""
    series(1)
    series(2, RescaleSlope=0)
    index = Index(tmp_path / "index.sqlite", export)
    index.update()
    found = examples_by_key(judge(index.entries(), CONTRACT), "patient")
    assert (list(found.fit), dict(found.aside)) == (["P1"], {"P2": ("D-RESCALE",)})
    assert found.patients == {"P1": "P1", "P2": "P2"}
    by_image = examples_by_key(judge(index.entries(), CONTRACT), "image")
    assert list(by_image.fit) == [found.fit["P1"].stack.slices[0].sop_instance]
