"""An encoding is the contract's in all but the moments of its numbers, whoever makes it."""

from __future__ import annotations

from studies_on_paper import FEATURES, contract, paper

from wardround.study.encoding import CodeColumn, NumberColumn, encoding_by, input_width, numeric_features


def test_moments_are_all_that_an_encoding_adds_to_the_contract() -> None:
    """Features in the study's order, categories in the contract's; as wide as a network that knows the contract alone."""
    study, schema = paper().bundle.study, contract()
    moments = {name: (float(at), at + 0.5) for at, name in enumerate(numeric_features(schema, study))}
    made = encoding_by(schema, study, moments)
    assert tuple(column.field for column in made.columns) == study.features == FEATURES
    assert {each.field: (each.mean, each.deviation) for each in made.columns if isinstance(each, NumberColumn)} == moments
    codes = {each.field: each.values for each in made.columns if isinstance(each, CodeColumn)}
    assert codes == {name: schema.field(name).values for name in study.features if name not in moments}
    assert codes, "positive control"
    assert made.width == input_width(schema, study.features)
    assert all(each.may_be_missing is not schema.field(each.field).required for each in made.columns)
