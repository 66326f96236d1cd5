"""What an evaluation tells is of the kind that the study predicts, value by value; anything else stays in the hospital."""

from dataclasses import replace

import pytest
from masks_on_paper import guesses, overlaps
from predicting import CLASSES, MASKS, predict
from studies_on_paper import paper, scores

from silo_node.example import _evaluated
from silo_node.porter.manifest import egress_manifest
from wardround.messages.round import Evaluation, Reply, SiloRefusal

RIGHT = {"mask": overlaps(30, 0.7, 0.4), "classes": guesses(30, 3, 1.0)}
FIGURE = {"mask": "overlaps", "classes": "scores"}


def telling(counts):
    return lambda done: replace(done, result=done.result.model_copy(update={"evaluation": Evaluation(counts=counts)}))


@pytest.mark.parametrize("what", [MASKS, CLASSES], ids=lambda what: what.kind)
def test_counts_of_the_studys_kind_leave(open_house, monkeypatch, what):
    """Each number at a place that the manifest names; the ledger says what it was."""
    predict(monkeypatch, what)
    house = open_house()
    house.visit("statistics")
    house.spy.outcome = lambda work: telling(RIGHT[what.kind])(house.spy.honest(work))
    answer = house.visit("closing")
    assert isinstance(answer, Reply), answer
    assert answer.result.evaluation.counts == RIGHT[what.kind]
    assert house.entries()[-1]["figures"] == ["records", FIGURE[what.kind]]


WRONG = {
    "scores for masks": (MASKS, scores([150] * 15, [100] * 15)),
    "fewer classes of masks": (MASKS, overlaps(30, 0.5)),
    "more classes of masks": (MASKS, overlaps(30, 0.5, 0.4, 0.3)),
    "classes for masks": (MASKS, RIGHT["classes"]),
    "masks for classes": (CLASSES, RIGHT["mask"]),
    "fewer classes": (CLASSES, guesses(30, 2, 1.0)),
    "more classes": (CLASSES, guesses(30, 4, 1.0)),
    "few examples": (MASKS, overlaps(10, 0.7, 0.4)),
    "few records of classes": (CLASSES, guesses(10, 3, 1.0)),
    "masks for two classes": (None, RIGHT["mask"]),
    "several classes for two": (None, RIGHT["classes"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_counts_of_another_kind_are_kept_back(open_house, monkeypatch, case):
    """H-GATE, and the study is held up: a trainer that tells something else is not the one that was approved."""
    what, counts = WRONG[case]
    if what is not None:
        predict(monkeypatch, what)
    house = open_house()
    house.visit("statistics")
    house.spy.outcome = lambda work: telling(counts)(house.spy.honest(work))
    answer = house.visit("closing")
    assert isinstance(answer, SiloRefusal)
    assert answer.code == "H-GATE"
    assert house.entries()[-2]["event"] == "blocked"


def test_the_manifest_of_two_classes_is_what_it_was(monkeypatch):
    """Approvals that were signed before there were other kinds still hold; another kind is another approval."""
    bundle = paper().bundle
    manifest = egress_manifest(bundle)
    digests = {manifest.egress_digest()}
    (scored,) = [figure for figure in manifest.visit("test").figures if figure.name.startswith("histogram of scores")]
    assert [each.place.removeprefix("result.evaluation.counts.") for each in scored.values] == [
        "positives.*",
        "negatives.*",
        "loss_units",
    ]
    for what in (MASKS, CLASSES):
        with monkeypatch.context() as patch:
            predict(patch, what)
            digests.add(egress_manifest(bundle).egress_digest())
    assert len(digests) == 3


def test_an_example_says_what_is_told():
    assert _evaluated(None) == "scores withheld"
    assert _evaluated(RIGHT["mask"]) == "overlaps and surface distances of 30 examples, of 2 classes"
    assert _evaluated(RIGHT["classes"]) == "scores of 30 records, of 3 classes"
    assert _evaluated(scores([150] * 2, [100])) == "scores of 3 records, 2 of them positive"
