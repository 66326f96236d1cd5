"""From checked records to numbers, by the study's common encoding."""

import numpy as np
import polars as pl
import pytest
import torch
from studies_on_paper import encoding

from silo_node.training.encode import encode
from wardround.errors import Broken
from wardround.study.encoding import Ends
from wardround.study.model import Label

ENCODING = encoding()
AGE, PRESSURE = ENCODING.columns[0], ENCODING.columns[1]


def table(**columns) -> pl.DataFrame:
    base = {"age": [59], "pressure": [170.0], "pain": ["some"], "disease": ["present"], "sex": ["male"]}
    types = {"age": pl.Int64, "pressure": pl.Float64, "pain": pl.String, "disease": pl.String, "sex": pl.String}
    height = max(len(values) for values in columns.values()) if columns else 1
    given = {name: columns.get(name, values * height) for name, values in base.items()}
    return pl.DataFrame({name: pl.Series(values, dtype=types[name]) for name, values in given.items()})


def test_the_columns_stand_in_the_encodings_order():
    """Age; pressure and its indicator; one column for each pain in the contract's order, and its indicator."""
    inputs = encode(table(), ENCODING).inputs
    assert inputs.dtype == np.float32
    assert inputs.shape == (1, ENCODING.width) == (1, 7)
    assert inputs.tolist() == [[0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0]]


def test_numbers_are_centred_and_scaled():
    """(value - mean) / deviation, computed in float64 and stored as float32."""
    values = [18, 59, 100]
    inputs = encode(table(age=values, pressure=[1.1] * 3, pain=["none"] * 3, disease=["absent"] * 3), ENCODING).inputs
    assert inputs[:, 0].tolist() == [np.float32((value - AGE.mean) / AGE.deviation) for value in values]
    assert inputs[0, 1] == np.float32((1.1 - PRESSURE.mean) / PRESSURE.deviation)


def test_a_missing_number_is_the_mean_and_says_so():
    """Zero after scaling, and one in the indicator column; a present one has zero there."""
    inputs = encode(table(age=[30, 30], pressure=[None, 200.0], pain=["none"] * 2, disease=["absent"] * 2), ENCODING).inputs
    assert inputs[:, 1].tolist() == [0.0, np.float32(30 / PRESSURE.deviation)]
    assert inputs[:, 2].tolist() == [1.0, 0.0]


def test_categories_are_one_hot_in_the_contracts_order():
    """Each category has its column; a missing one is zero in all of them and one in the indicator."""
    pain = ["much", "none", None, "some"]
    inputs = encode(table(age=[30] * 4, pressure=[100.0] * 4, pain=pain, disease=["absent"] * 4), ENCODING).inputs
    assert inputs[:, 3:].tolist() == [[0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 1, 0, 0]]


def test_labels_are_the_positive_class():
    """True exactly where the target has the study's positive value."""
    examples = encode(table(age=[30] * 2, pressure=[1.0] * 2, pain=["none"] * 2, disease=["present", "absent"]), ENCODING)
    assert examples.labels.tolist() == [True, False]
    assert examples.size == 2


def test_a_number_is_on_the_scale_of_its_range():
    """-1 and 1 are the contract's ends, computed in float64; nothing of the hospital's own is in the scale."""
    number = encoding(target="pressure", positive=None, number=Ends(low=40.0, high=300.0), columns=ENCODING.columns[:1])
    values = [40.0, 170.0, 171.3, 300.0]
    examples = encode(table(age=[30] * 4, pressure=values, pain=["none"] * 4, disease=["absent"] * 4), number)
    assert examples.labels.dtype == np.float32
    assert examples.labels.tolist() == [np.float32(value / 130 - 40 / 130 - 1) for value in values]
    targets = examples.batch(np.arange(4), None)[1]
    assert (targets.dtype, targets.tolist()) == (torch.float32, examples.labels.tolist())
    for wrong in (39.9, 300.1, None):
        with pytest.raises(Broken, match="pressure"):
            encode(table(pressure=[wrong]), number)


def test_several_labels_have_a_column_each():
    """1 where the value is there that is looked for, 0 where another is, NaN where none is; a record without any is a bug."""
    sought = (Label(field="disease", positive="present"), Label(field="sex", positive="female"))
    several = encoding(target=None, positive=None, labels=sought, columns=ENCODING.columns[:1])
    records = table(age=[30] * 3, disease=["present", "absent", None], sex=["male", None, "female"])
    examples = encode(records, several)
    assert (examples.labels.dtype, examples.size) == (np.float32, 3)
    np.testing.assert_array_equal(examples.labels, np.array([[1, 0], [0, np.nan], [np.nan, 1]], np.float32))
    targets = examples.batch(np.array([2, 0]), None)[1]
    np.testing.assert_array_equal(targets.numpy(), examples.labels[[2, 0]])
    assert examples.digest() == encode(records, several).digest()
    with pytest.raises(Broken, match="disease, sex"):
        encode(table(age=[30], disease=[None], sex=[None]), several)


def test_no_records_are_encoded_to_nothing():
    """An empty side keeps its width."""
    examples = encode(table().clear(), ENCODING)
    assert examples.inputs.shape == (0, 7)
    assert examples.size == 0


@pytest.mark.parametrize("wrong", [{"pain": ["unheard of"]}, {"age": [None]}, {"disease": [None]}])
def test_what_the_check_never_lets_through_is_a_bug(wrong):
    """A category that the contract does not have, or a required value that is missing, is never quietly a zero."""
    with pytest.raises(Broken):
        encode(table(**wrong), ENCODING)
