"""Several labels that are predicted at once: what a study may ask, and each problem by its code, its line and what to do."""

import json
from typing import Any

import pytest
from labels_on_paper import labels, sides
from pydantic import ValidationError
from studies_on_paper import CONTRACT, contract, study

from wardround.canonical import digest, model_json
from wardround.errors import Refused
from wardround.strict_yaml import parse, parse_text
from wardround.study.check import problems
from wardround.study.encoding import encoding_by
from wardround.study.inputs import shape_of
from wardround.study.kind import fits, predicted
from wardround.study.model import Label, Study, Target

EFFUSION = {"name": "effusion", "type": "string", "categories": [{"value": "no"}, {"value": "yes"}]}
FIELDS = [*CONTRACT["fields"], EFFUSION]
SCHEMA = contract(fields=FIELDS)
SOUGHT = [{"field": "disease", "positive": "present"}, {"field": "effusion", "positive": "yes"}]


def asked(sought: list[dict[str, Any]] = SOUGHT, **changed: Any) -> Study:
    return study(**{"target": {"labels": sought}, **changed})


def found(sought: list[dict[str, Any]] = SOUGHT, schema=SCHEMA, **changed: Any) -> list[tuple[str, ...]]:
    return [(each.code, each.place, each.finding, each.next_step) for each in problems(asked(sought, **changed), schema)]


def test_several_labels_are_one_network():
    """An output for each, in the study's order; the value that is looked for is each label's own."""
    one = asked()
    assert found() == []
    assert one.target.kind == "labels"
    assert one.target.fields == ("disease", "effusion")
    assert one.target.words == "several labels (disease is present, effusion is yes)"
    assert [one.target.looked_for(name) for name in ("disease", "effusion", "age")] == ["present", "yes", None]
    assert shape_of(one, SCHEMA, None).outputs == 2
    what = predicted(one, SCHEMA)
    assert (what.kind, what.classes) == ("labels", ("disease", "effusion"))
    made = encoding_by(SCHEMA, one, {"age": (60.0, 10.0), "pressure": (120.0, 20.0)})
    assert made.labels == (Label(field="disease", positive="present"), Label(field="effusion", positive="yes"))
    assert (made.target, made.positive, made.classes, made.number) == (None, None, (), None)


def test_another_order_or_value_is_another_study():
    """Outputs would be another label's."""
    orders = (SOUGHT, SOUGHT[::-1], [SOUGHT[0], {**SOUGHT[1], "positive": "no"}])
    hashes = {digest("study", 1, model_json(asked(each))) for each in orders}
    assert len(hashes) == 3


def test_studies_from_before_are_written_as_before():
    """The new keys are young: hashes, approvals and encodings of earlier studies hold."""
    assert "labels" not in model_json(study())["target"]
    made = encoding_by(contract(), study(), {"age": (60.0, 10.0), "pressure": (120.0, 20.0)})
    assert "labels" not in model_json(made)


@pytest.mark.parametrize(
    ("second", "finding", "step"),
    [
        ({"field": "pulse", "positive": "yes"}, "it has no field 'pulse'", "see: wardround schema show test.heart"),
        ({"field": "efusion", "positive": "yes"}, "it has no field 'efusion'", "did you mean 'effusion'?"),
        ({"field": "pain", "positive": "much"}, "'pain' has 3 categories", "predict it in a study of its own"),
        ({"field": "age", "positive": "50"}, "'age' is no coded field", "leave it out"),
        ({"field": "effusion", "positive": "present"}, "'effusion' has no category 'present'", "choose one of: no, yes"),
    ],
)
def test_what_is_no_field_of_two_categories_is_refused(second, finding, step):
    """P-FIELD at the label's own line."""
    ((code, place, said, next_step),) = found([SOUGHT[0], second], features=("pressure",))
    at = "positive" if second["field"] == "effusion" else "field"
    assert (code, place, said, next_step) == ("P-FIELD", f"trial.target.labels.1.{at}", finding, step)


def test_what_identifies_people_is_no_label():
    fields = [*CONTRACT["fields"], {**EFFUSION, "privacy": "quasi"}]
    ((code, place, finding, _),) = found(schema=contract(fields=fields))
    assert (code, place, finding) == ("P-FIELD", "trial.target.labels.1.field", "'effusion' identifies people (quasi)")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ({"labels": SOUGHT[:1]}, "two or more"),
        ({"labels": [SOUGHT[0], {**SOUGHT[0], "positive": "absent"}]}, "a field stands twice"),
        ({"labels": SOUGHT, "field": "disease"}, "a target is a field"),
        ({"labels": SOUGHT, "positive": "yes"}, "a target is a field"),
        ({"labels": SOUGHT, "mask": ["liver"]}, "a target is a field"),
        ({"labels": SOUGHT, "number": True}, "leave 'positive', 'labels' and 'mask' out"),
        ({}, "a target is a field"),
    ],
)
def test_labels_are_two_or_more_fields_and_nothing_else(target, said):
    with pytest.raises(ValidationError, match=said):
        Target.model_validate_json(json.dumps(target))


def test_a_study_file_says_it_with_its_code_and_line():
    """Y-VALUE, as of every setting that cannot be."""
    text = "labels:\n  - {field: disease, positive: present}\n  - {field: disease, positive: absent}\n"
    with pytest.raises(Refused) as refused:
        parse(Target, parse_text(text, "study.yaml"))
    assert refused.value.codes == ("Y-VALUE",)
    assert "a field stands twice among the labels" in refused.value.problems[0].rule


def test_a_label_is_no_feature():
    with pytest.raises(ValidationError, match="the target may not be a feature"):
        asked([SOUGHT[1], {"field": "pain", "positive": "much"}])


@pytest.mark.parametrize("loss", ["cross_entropy", "dice", "mse"])
def test_other_losses_are_refused(loss):
    ((code, place, finding, step),) = found(training={"loss": loss, "optimiser": {"learning_rate": 0.1}})
    assert (code, place) == ("P-RANGE", "trial.training.loss")
    assert finding == f"the target is several labels, and {loss} is not defined for it"
    assert step == "choose one of: binary_cross_entropy, focal"


@pytest.mark.parametrize("metric", ["dice", "rmse", "mae", "r2"])
def test_other_metrics_are_refused(metric):
    ((code, place, _, step),) = found(convergence={"metric": metric})
    assert (code, place, step) == ("P-RANGE", "trial.convergence.metric", "choose one of: auroc, loss")
    for fitting in ("auroc", "loss"):
        assert found(convergence={"metric": fitting}) == []


def test_counts_fit_their_study_alone():
    """Of as many labels as it has; those of classes are others."""
    what = predicted(asked(), SCHEMA)
    assert fits(labels(50, sides(20, 30), None), what)
    assert not fits(labels(50, sides(20, 30), None, None), what)
    assert not fits(sides(20, 30), what)
    assert not fits(labels(50, sides(20, 30), None), predicted(study(), SCHEMA))
