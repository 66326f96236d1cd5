"""Two pictures of records held against each other: what is planted is found and named, and what is even is not."""

from __future__ import annotations

import polars as pl
import pytest
from studies_on_paper import contract, paper
from told_wards import TO_CM_H2O, ward

from silo_node.changed import words
from silo_node.changed.compare import Change, compare
from silo_node.changed.picture import Taken, take
from silo_node.cohort import Cohort, Counts
from silo_node.data_key import new_data_key
from wardround.comparison import PSI_LOOK, psi
from wardround.directory import KEYS

PAPER = paper()
SIZE = 300


@pytest.fixture
def folder(tmp_path):
    (tmp_path / KEYS).mkdir()
    new_data_key(tmp_path / KEYS)
    return tmp_path


def taken(folder, records: pl.DataFrame, data: str = "a") -> Taken:
    keyed = records.with_columns(record_id=pl.int_range(records.height).cast(pl.String), patient_key=pl.lit("p"))
    parts = (keyed[:180], keyed[180:240], keyed[240:])
    cohort = Cohort(*parts, Counts(records.height + 5, 5, 0, 0, *(part.height for part in parts)), None, "")
    return take(folder, cohort, contract(), PAPER.bundle.study, PAPER.bundle.study_hash, data * 64)


def changed(folder, now: pl.DataFrame) -> Change:
    return compare(PAPER.bundle, taken(folder, ward(1, SIZE)), taken(folder, now, "b"))


def at(change: Change, name: str):
    return next(each for each in change.fields if each.field == name)


@pytest.mark.parametrize(
    ("planted", "field", "said"),
    [
        ({"factor": TO_CM_H2O}, "pressure", "as if the values were in cm[H2O] now and not in mm[Hg]"),
        ({"age": 75}, "age", "The mean has gone up by 1."),
        ({"age": 75}, "age", "distributed largely otherwise"),
        ({"missing": 0.5}, "pressure", "Missing: 0 % before, 48 %"),
        ({"sick": 0.8}, "disease", "Positive: 4"),
    ],
)
def test_what_is_planted_is_found_and_named(folder, planted, field, said):
    """In its field, as large, and that field stands first."""
    change = changed(folder, ward(1, SIZE, **planted))
    assert said in " ".join(at(change, field).words)
    assert at(change, field).level == "large"
    assert change.worst_first[0].field == field
    assert "noticeably" not in words.verdict(change)


def test_the_same_again_has_not_moved(folder):
    """No index, no word, no record."""
    change = changed(folder, ward(1, SIZE))
    assert {(each.level, each.psi, each.words) for each in change.fields} == {("as before", 0.0, ())}
    assert (change.added, change.removed, change.edited) == (0, 0, 0)
    assert words.verdict(change) == "No field has moved noticeably."


def test_a_few_more_of_the_same_patients_have_not_moved(folder):
    """Thirty more: counted, and no field is remarked."""
    change = changed(folder, pl.concat([ward(1, SIZE), ward(2, 30)]))
    assert (change.added, change.removed, change.edited) == (30, 0, 0)
    assert {each.level for each in change.fields} == {"as before"}


def test_a_field_without_any_value_has_no_figures(folder):
    """Neither then nor now; it is missing, and that is all."""
    empty = ward(1, SIZE).with_columns(pressure=pl.lit(None, pl.Float64))
    moved = at(changed(folder, empty), "pressure")
    assert (moved.psi, moved.difference, moved.unit) == (None, None, None)
    assert moved.words == ("Missing: 0 % before, 100 % now.",)


def test_a_hospital_without_keys_knows_no_single_record(tmp_path):
    """There the digests could be found by trying."""
    assert taken(tmp_path, ward(1, SIZE)).members is None


def test_a_band_alone_would_single_people_out():
    """Why no band of the change leaves (decision 39): forty records, twenty in each class, were told; thirty come, none goes, as
    the centre sees by the number of training records. Told that the field moved moderately it would know that fewer than eleven
    of the thirty are of one class: a small cell, though every count behind the band is large.
    """
    moved = [more for more in range(31) if psi([20 + more, 50 - more], [20, 20]) >= PSI_LOOK]
    assert moved
    assert max(min(more, 30 - more) for more in moved) < 11
    assert len(moved) < 31 / 2, "and the band stable says the opposite"
