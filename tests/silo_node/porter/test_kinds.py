"""What an evaluation tells is of the kind that the study predicts, value by value; anything else stays in the hospital."""

from dataclasses import replace

import pytest
from labels_on_paper import labels, sides
from masks_on_paper import guesses, overlaps
from numbers_on_paper import errors
from predicting import CLASSES, LABELS, MASKS, NUMBER, predict
from studies_on_paper import paper, scores

from silo_node.example import _evaluated
from silo_node.porter.manifest import egress_manifest
from wardround.messages.round import Evaluation, Reply, SiloRefusal

RIGHT = {
    "mask": overlaps(30, 0.7, 0.4),
    "classes": guesses(30, 3, 1.0),
    "number": errors(30, 0.1),
    "labels": labels(50, sides(20, 30), sides(12, 25)),
}
FIGURE = {"mask": "overlaps", "classes": "scores", "number": "errors", "labels": "labels"}
ASKS = {"binary": {}, "classes": {}, "labels": {}, "mask": {}, "number": {"convergence": {"metric": "r2"}}}
"""What the study says otherwise, by what it predicts."""
SAME, OTHER = "5" * 64, "6" * 64


def telling(counts):
    return lambda done: replace(done, result=done.result.model_copy(update={"evaluation": Evaluation(counts=counts)}))


@pytest.mark.parametrize("what", [MASKS, CLASSES, NUMBER, LABELS], ids=lambda what: what.kind)
def test_counts_of_the_studys_kind_leave(open_house, monkeypatch, what):
    """Each number at a place that the manifest names; the ledger says what it was."""
    predict(monkeypatch, what)
    house = open_house(**ASKS[what.kind])
    house.visit("statistics")
    house.spy.outcome = lambda work: on(SAME, RIGHT[what.kind])(house.spy.honest(work))
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
    "scores for a number": (NUMBER, scores([150] * 15, [100] * 15)),
    "few records of a number": (NUMBER, errors(10, 0.1)),
    "scores for labels": (LABELS, scores([150] * 15, [100] * 15)),
    "classes for labels": (LABELS, guesses(30, 2, 1.0)),
    "labels for classes": (CLASSES, labels(50, sides(20, 30), sides(20, 30), sides(20, 30))),
    "labels for two classes": (None, RIGHT["labels"]),
    "more labels": (LABELS, labels(50, sides(20, 30), sides(20, 30), sides(20, 30))),
    "few records of labels": (LABELS, labels(10, sides(0, 10), sides(0, 10))),
    "few who have a label": (LABELS, labels(50, sides(20, 30), sides(10, 40))),
    "few who have not a label": (LABELS, labels(50, sides(49, 1), sides(20, 30))),
    "few of whom a label is not known": (LABELS, labels(50, sides(20, 30), sides(20, 29))),
    "few of whom a label is known": (LABELS, labels(50, sides(20, 30), sides(0, 10))),
    "no figure of any label": (LABELS, labels(50, None, None)),
    "a number for masks": (MASKS, RIGHT["number"]),
    "a number for classes": (CLASSES, RIGHT["number"]),
    "a number for two classes": (None, RIGHT["number"]),
    "masks for two classes": (None, RIGHT["mask"]),
    "several classes for two": (None, RIGHT["classes"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_counts_of_another_kind_are_kept_back(open_house, monkeypatch, case):
    """H-GATE, and the study is held up: a trainer that tells something else is not the one that was approved."""
    what, counts = WRONG[case]
    if what is not None:
        predict(monkeypatch, what)
    house = open_house(**ASKS["binary" if what is None else what.kind])
    house.visit("statistics")
    house.spy.outcome = lambda work: telling(counts)(house.spy.honest(work))
    answer = house.visit("closing")
    assert isinstance(answer, SiloRefusal)
    assert answer.code == "H-GATE"
    assert house.entries()[-2]["event"] == "blocked"


def on(data: str, counts):
    """Have the trainer tell counts of records with this fingerprint."""
    return lambda done: replace(telling(counts)(done), data=data)


def test_sums_of_a_number_are_of_the_same_records_in_all_of_a_study(open_house, monkeypatch):
    """Were one record corrected, added or left out between two of them, their difference would be its value.

    Patients stay on their sides in a study. So once sums left, others leave over the very same records alone, after a restart
    as well; the hospital goes on training, and its figures are withheld.
    """
    predict(monkeypatch, NUMBER)
    house = open_house(**ASKS["number"])
    house.visit("statistics")
    first, corrected = errors(30, 0.1), errors(30, 0.1, middle=0.50001)

    def told(purpose, number, data, counts):
        house.spy.outcome = lambda work: on(data, counts)(house.spy.honest(work))
        answer = house.visit(purpose, number)
        assert isinstance(answer, Reply), answer
        return answer.result.evaluation.counts

    assert told("round", 1, None, first) is None, "records that no fingerprint tells from others"
    assert told("round", 2, SAME, first) == first
    assert told("closing", 3, OTHER, corrected) is None
    assert house.entries()[-1]["figures"] == ["records"]
    house.reopen()
    assert told("test", 3, SAME, first) == first


def test_a_label_that_is_withheld_leaves_nothing(open_house, monkeypatch):
    """What leaves of the other is what was told; of the one stands neither a count nor a zero, in ledger and reply alike."""
    predict(monkeypatch, LABELS)
    house = open_house()
    house.visit("statistics")
    counts = labels(50, None, sides(12, 25))
    house.spy.outcome = lambda work: on(SAME, counts)(house.spy.honest(work))
    answer = house.visit("closing")
    assert isinstance(answer, Reply), answer
    assert answer.result.evaluation.counts == counts
    assert answer.result.evaluation.model_dump(mode="json")["counts"]["labels"][0] is None


def test_a_policy_that_became_stricter_holds_for_each_label(open_house, monkeypatch):
    """By the policy of now: a trainer that goes by another one has nothing let out."""
    predict(monkeypatch, LABELS)
    house = open_house()
    house.visit("statistics")
    house.spy.outcome = lambda work: on(SAME, RIGHT["labels"])(house.spy.honest(work))
    assert isinstance(house.visit("closing"), Reply)
    house.decides("small_cell: 13\n")
    answer = house.visit("test")
    assert isinstance(answer, SiloRefusal)
    assert answer.code == "H-GATE"
    assert house.entries()[-2]["parts"] == [{"why": "small_cell", "place": None}]


def test_counts_of_labels_are_of_the_same_records_in_all_of_a_study(open_house, monkeypatch):
    """Were one record added between two of them, their difference would be all that it was found to have."""
    predict(monkeypatch, LABELS)
    house = open_house()
    house.visit("statistics")
    first, one_more = RIGHT["labels"], labels(51, sides(21, 30), sides(12, 26))

    def told(purpose, number, data, counts):
        house.spy.outcome = lambda work: on(data, counts)(house.spy.honest(work))
        answer = house.visit(purpose, number)
        assert isinstance(answer, Reply), answer
        return answer.result.evaluation.counts

    assert told("round", 1, None, first) is None, "records that no fingerprint tells from others"
    assert told("round", 2, SAME, first) == first
    assert told("closing", 3, OTHER, one_more) is None
    assert house.entries()[-1]["figures"] == ["records"]
    house.reopen()
    assert told("test", 3, SAME, first) == first


def test_scores_of_classes_are_told_as_before(open_house):
    """They hold no value of a record: what an approval says of its records goes for them."""
    house = open_house()
    house.visit("statistics")
    for data in (SAME, OTHER):
        house.spy.outcome = lambda work, data=data: on(data, scores([150] * 15, [100] * 15))(house.spy.honest(work))
        assert house.visit("closing").result.evaluation.counts is not None


def test_the_manifest_of_a_number_names_each_sum(monkeypatch):
    """Sums of squares with as many bits as the policy's most records can make, and no more."""
    predict(monkeypatch, NUMBER)
    (figure,) = [
        each for each in egress_manifest(paper().bundle).visit("round").figures if each.name.startswith("sums of errors")
    ]
    assert [each.place.removeprefix("result.evaluation.counts.") for each in figure.values] == [
        "records",
        "over",
        "under",
        "target",
        "squares",
        "target_squares",
    ]
    assert [each.bits for each in figure.values[-2:]] == [69, 65]
    assert figure.withheld_below


def test_the_manifest_of_labels_names_them(monkeypatch):
    """Histograms of as many labels as the study has, each with its loss; the review names the labels."""
    predict(monkeypatch, LABELS)
    (figure,) = [
        each for each in egress_manifest(paper().bundle).visit("round").figures if each.name.startswith("records, and for each")
    ]
    assert figure.fields == LABELS.classes
    assert [(each.place.removeprefix("result.evaluation.counts."), each.numbers) for each in figure.values] == [
        ("records", 1),
        ("labels.*.positives.*", 512),
        ("labels.*.negatives.*", 512),
        ("labels.*.loss_units", 2),
    ]
    assert figure.withheld_below


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
    for what in (MASKS, CLASSES, NUMBER, LABELS):
        with monkeypatch.context() as patch:
            predict(patch, what)
            digests.add(egress_manifest(bundle).egress_digest())
    assert len(digests) == 5


def test_an_example_says_what_is_told():
    assert _evaluated(None) == "scores withheld"
    assert _evaluated(RIGHT["mask"]) == "overlaps and surface distances of 30 examples, of 2 classes"
    assert _evaluated(RIGHT["classes"]) == "scores of 30 records, of 3 classes"
    assert _evaluated(RIGHT["number"]) == "sums of errors on 30 records, and of the number itself"
    assert _evaluated(RIGHT["labels"]) == "scores of 50 records, for 2 of 2 labels"
    assert _evaluated(labels(50, None, sides(12, 25))) == "scores of 50 records, for 1 of 2 labels"
    assert _evaluated(scores([150] * 2, [100])) == "scores of 3 records, 2 of them positive"
