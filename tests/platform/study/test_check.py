"""Whether a study's settings fit what it predicts."""

import pytest
from predicting import CLASSES, MASKS, predict
from studies_on_paper import paper

from wardround.study import check
from wardround.study.kind import Predicted

RANGE = "The metric that chooses the weights is one that the study's target has"


@pytest.mark.parametrize("what", [Predicted("binary"), CLASSES, MASKS], ids=lambda what: what.kind)
@pytest.mark.parametrize("metric", ["loss", "auroc", "dice"])
def test_weights_are_chosen_by_a_metric_that_there_is(monkeypatch, what, metric):
    """Dice is of masks, AUROC of classes, and every study has a loss."""
    predict(monkeypatch, what)
    bundle = paper(convergence={"metric": metric}).bundle
    found = [problem for problem in check.problems(bundle.study, bundle.contract) if problem.rule == RANGE]
    wrong = metric == ("auroc" if what is MASKS else "dice")
    assert [(problem.code, problem.place) for problem in found] == [("P-RANGE", "trial.convergence.metric")] * wrong
    assert all(problem.next_step == f"choose one of: {'dice' if what is MASKS else 'auroc'}, loss" for problem in found)
