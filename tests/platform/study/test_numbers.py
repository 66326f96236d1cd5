"""A number that is predicted: what a study may ask, and each problem by its code, its line and what to do."""

from typing import Any

import pytest
from pydantic import ValidationError
from studies_on_paper import CONTRACT, STUDY, contract, study

from wardround.canonical import model_json
from wardround.metrics.regression import NumberCounts
from wardround.study.check import problems
from wardround.study.encoding import Ends, encoding_by, ends_of
from wardround.study.inputs import shape_of
from wardround.study.kind import fits, predicted
from wardround.study.model import Convergence, Target

NUMBER: dict[str, Any] = {
    "target": {"field": "pressure", "number": True},
    "features": ("age", "pain"),
    "training": {"loss": "mse", "optimiser": {"learning_rate": 0.1}},
    "convergence": {"metric": "r2"},
}


def found(
    target: dict[str, Any] | None = None, fields: list[dict[str, Any]] | None = None, **changed: Any
) -> list[tuple[str, ...]]:
    asked = study(**{**NUMBER, **({} if target is None else {"target": target}), **changed})
    return [
        (each.code, each.place, each.finding, each.next_step)
        for each in problems(asked, contract(**({} if fields is None else {"fields": fields})))
    ]


def without(name: str, *keys: str) -> list[dict[str, Any]]:
    """Give the contract's fields, one of them without some limits."""
    fields = []
    for field in CONTRACT["fields"]:
        limits = {key: value for key, value in field.get("constraints", {}).items() if field["name"] != name or key not in keys}
        fields.append({**field, "constraints": limits})
    return fields


def test_a_number_with_a_range_is_predicted():
    """One output, on a scale that the contract gives: nothing leaves a hospital for it."""
    asked, schema = study(**NUMBER), contract()
    assert found() == []
    assert asked.target.kind == "number"
    assert asked.target.words == "the number pressure"
    assert shape_of(asked, schema, None).outputs == 1
    what = predicted(asked, schema)
    assert (what.kind, what.classes, what.span, what.unit) == ("number", (), 260.0, "mm[Hg]")
    made = encoding_by(schema, asked, {"age": (60.0, 10.0)})
    assert made.number == ends_of(asked, schema) == Ends(low=40.0, high=300.0)
    assert (made.target, made.positive, made.classes) == ("pressure", None, ())


def test_the_scale_is_the_ranges_and_turns_back():
    ends = Ends(low=40.0, high=300.0)
    assert [ends.scaled(value) for value in (40.0, 170.0, 300.0)] == [-1.0, 0.0, 1.0]
    assert [ends.values(ends.scaled(value)) for value in (40.0, 171.3, 300.0)] == pytest.approx([40.0, 171.3, 300.0])
    with pytest.raises(ValidationError, match="apart"):
        Ends(low=1.0, high=1.0)


def test_studies_of_classes_are_written_as_before():
    """The new keys are young: hashes, approvals and encodings of studies from before hold."""
    assert "number" not in model_json(study())["target"]
    made = encoding_by(contract(), study(), {"age": (60.0, 10.0), "pressure": (120.0, 20.0)})
    assert "number" not in model_json(made)
    assert STUDY["target"] == model_json(study())["target"]


NOT_SAID, SAY = "'pressure' is a number, and no field of codes", "write number: true below it, and loss: mse"
UNBOUNDED = "declare both in a new version of the schema, or choose one of: age"


@pytest.mark.parametrize(
    ("target", "fields", "finding", "step"),
    [
        ({"field": "pressure"}, None, NOT_SAID, SAY),
        ({"field": "pressure", "positive": "120"}, None, NOT_SAID, SAY),
        ({"field": "disease", "number": True}, None, "'disease' is no number", "choose one of: age, pressure"),
        ({"field": "pulse", "number": True}, None, "it has no field 'pulse'", "see: wardround schema show test.heart"),
        (NUMBER["target"], without("pressure", "maximum"), "'pressure' has no minimum and maximum", UNBOUNDED),
        (NUMBER["target"], without("pressure", "minimum"), "'pressure' has no minimum and maximum", UNBOUNDED),
    ],
)
def test_what_is_no_number_with_a_range_is_refused(target, fields, finding, step):
    """P-FIELD at the target's line. A plausible range alone is none: values outside of it are taken, too."""
    code, place, said, next_step = found(target, fields)[0]
    assert (code, place, said, next_step) == ("P-FIELD", "trial.target.field", finding, step)


def test_a_plausible_range_is_no_range():
    """Its values may lie outside, and could not be counted."""
    fields = without("age", "minimum", "maximum")
    ((code, _, finding, step),) = found({"field": "age", "number": True}, fields, features=("pressure",))
    assert (code, finding) == ("P-FIELD", "'age' has no minimum and maximum")
    assert step == "declare both in a new version of the schema, or choose one of: pressure"


def test_what_identifies_people_is_not_predicted():
    fields = [{**field, "privacy": "quasi"} if field["name"] == "pressure" else field for field in CONTRACT["fields"]]
    ((code, _, finding, _),) = found(fields=fields)
    assert (code, finding) == ("P-FIELD", "'pressure' identifies people (quasi)")


def test_a_range_of_one_value_is_none():
    one = {"minimum": 120, "maximum": 120}
    fields = [{**field, "constraints": one} if field["name"] == "pressure" else field for field in CONTRACT["fields"]]
    assert ("P-FIELD", "trial.target.field", "'pressure' has one value only", "choose one of: age, pressure") in found(
        fields=fields
    )


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "cross_entropy", "focal", "dice"])
def test_other_losses_are_refused(loss):
    """P-RANGE, with the one that fits."""
    ((code, place, finding, step),) = found(training={"loss": loss, "optimiser": {"learning_rate": 0.1}})
    assert (code, place) == ("P-RANGE", "trial.training.loss")
    assert finding == f"the target is a number, and {loss} is not defined for it"
    assert step == "choose one of: mse"


@pytest.mark.parametrize("metric", ["auroc", "dice", "loss"])
def test_other_metrics_are_refused(metric):
    ((code, place, _, step),) = found(convergence={"metric": metric})
    assert (code, place, step) == ("P-RANGE", "trial.convergence.metric", "choose one of: r2, rmse, mae")


@pytest.mark.parametrize("metric", ["mae", "rmse", "r2"])
def test_metrics_of_a_number_are_refused_of_classes(metric):
    asked = study(convergence={"metric": metric})
    ((code, finding, step),) = [(each.code, each.finding, each.next_step) for each in problems(asked, contract())]
    assert (code, step) == ("P-RANGE", "choose one of: auroc, loss")
    assert finding == "only numbers have errors in a unit, and an R²"


def test_at_least_half_of_the_patients_train():
    """Two studies' evaluations are then never sums over nearly the same records."""
    split = {"train": 0.4, "validation": 0.3, "test": 0.3}
    ((code, place, finding, step),) = found(split=split)
    assert (code, place) == ("P-RANGE", "trial.split.train")
    assert (finding, step) == ("0.4 of them do", "set train to 0.5 or more")
    assert found(split={"train": 0.5, "validation": 0.25, "test": 0.25}) == []
    assert problems(study(split=split), contract()) == []


@pytest.mark.parametrize("target", [{"field": "age", "positive": "50", "number": True}, {"mask": ("liver",), "number": True}])
def test_a_number_is_nothing_else(target):
    with pytest.raises(ValidationError, match="leave 'positive', 'labels' and 'mask' out"):
        Target.model_validate(target)


def test_a_change_may_be_in_the_contracts_unit():
    """Of metrics that have one; the others change by less than 1."""
    assert Convergence(metric="rmse", minimum_change=2.5).minimum_change == 2.5
    for metric in ("auroc", "loss", "r2"):
        with pytest.raises(ValidationError, match="minimum_change is at most 1"):
            Convergence.model_validate({"metric": metric, "minimum_change": 2.5})


def test_counts_fit_their_study_alone():
    counts = NumberCounts(records=0, over=0, under=0, squares=0, target=0, target_squares=0)
    assert fits(counts, predicted(study(**NUMBER), contract()))
    assert not fits(counts, predicted(study(), contract()))
