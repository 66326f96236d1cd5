"""Whoever answers wrongly is refused by code; the study goes on without, and nothing of the answer is used."""

from collections.abc import Callable

import numpy as np
import pytest
from lives import live
from paper_hospitals import PaperHospital, conduct, report
from paper_visits import BRIEF, STUDY, codes, hospitals, in_round
from studies_on_paper import RECORDS, SITES, paper, scores

from coordinator.journal.entries import ReplyRefused
from coordinator.journal.journal import FOLDER, SPOOL, read_entries
from coordinator.rounds.outcome import Outcome
from wardround.identity.keys import SigningKey
from wardround.messages.envelope import Envelope, digests, seal
from wardround.messages.round import Evaluation, Reply, SiloRefusal, Working
from wardround.weights.packing import to_bytes


def sealed(reply: Reply, arrays, key: SigningKey | None = None, **changes) -> Envelope:
    changes.setdefault("bodies", digests(arrays))
    return seal("reply", reply.model_copy(update=changes), key or STUDY.parties["beta"].key, arrays)


def changed(index: int, value: float) -> Callable:
    def spoil(reply, arrays):
        vector = np.frombuffer(arrays[0], "<f4").copy()
        vector[index] = value
        return sealed(reply, (vector.tobytes(),))

    return spoil


def with_counts(counts):
    return lambda reply, arrays: sealed(
        reply, arrays, result=reply.result.model_copy(update={"evaluation": Evaluation(counts=counts)})
    )


HUGE = scores([1], [2]).model_copy(update={"positives": (2**53 - 1,) * 256, "loss_units": 0})


SPOILT = {
    "NaN": ("R-NONFINITE", changed(3, np.nan)),
    "infinite": ("R-NONFINITE", changed(0, -np.inf)),
    "NaN behind a large one": ("R-NONFINITE", lambda r, a: changed(20, np.nan)(r, changed(0, 1e30)(r, a).arrays)),
    "too large": ("R-RANGE", changed(5, 1e30)),
    "shape": ("R-SHAPE", lambda r, a: sealed(r, (a[0][:-4],))),
    "longer": ("R-SHAPE", lambda r, a: sealed(r, (a[0] + bytes(4),))),
    "no array": ("R-SHAPE", lambda r, _a: sealed(r, ())),
    "two arrays": ("R-SHAPE", lambda r, a: sealed(r, (a[0], a[0]))),
    "other array": ("R-BODY", lambda r, a: sealed(r, (bytes(len(a[0])),), bodies=r.bodies)),
    "more records": ("R-RECORDS", lambda r, a: sealed(r, a, records=61)),
    "fewer records": ("R-RECORDS", lambda r, a: sealed(r, a, records=59)),
    "another's key": ("R-SIGNATURE", lambda r, a: sealed(r, a, STUDY.parties["alpha"].key)),
    "approval key": ("R-SIGNATURE", lambda r, a: sealed(r, a, STUDY.parties["beta"].approval_key)),
    "another kind": ("R-SIGNATURE", lambda r, a: seal("task", r, STUDY.parties["beta"].key, a)),
    "for another": ("R-SENDER", lambda r, a: sealed(r, a, site="alpha")),
    "another study": ("R-TASK", lambda r, a: sealed(r, a, study_hash="0" * 64)),
    "another task": ("R-TASK", lambda r, a: sealed(r, a, task_id="0" * 64)),
    "not canonical": ("R-PROTOCOL", lambda r, a: Envelope(b" " + sealed(r, a).message, sealed(r, a).signature, a)),
    "a strange signature": ("R-SIGNATURE", lambda r, a: Envelope(sealed(r, a).message, "Z" * 128, a)),
    "not JSON": ("R-PROTOCOL", lambda _r, a: Envelope(b"\xff", "0" * 128, a)),
    "other evaluation": ("R-METRICS", with_counts(scores([1] * 15, [2] * 16))),
    "no records evaluated": ("R-METRICS", with_counts(scores([], []))),
    "impossible counts": ("R-METRICS", with_counts(HUGE)),
    "its own refusal": (
        "H-FAILED",
        lambda r, _a: seal(
            "reply",
            SiloRefusal(site=r.site, study_hash=r.study_hash, task_id=r.task_id, code="H-FAILED"),
            STUDY.parties["beta"].key,
        ),
    ),
    "an older refusal of nothing": (
        "R-TASK",
        lambda r, _a: seal(
            "reply",
            SiloRefusal(site=r.site, study_hash=None, task_id=None, code="H-PROTOCOL", answers="0" * 64),
            STUDY.parties["beta"].key,
        ),
    ),
    "a refusal of another task": (
        "R-TASK",
        lambda r, _a: seal(
            "reply",
            SiloRefusal(site=r.site, study_hash=r.study_hash, task_id="0" * 64, code="H-FAILED"),
            STUDY.parties["beta"].key,
        ),
    ),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_wrong_reply_is_refused_by_code_and_the_study_goes_on(case, tmp_path):
    """One wrong reply counts nothing, is in the journal by its code, and the step is the others'; the result is partial."""
    code, spoil = SPOILT[case]
    outcome = live(tmp_path, STUDY, hospitals(spoil=in_round(2, spoil)))
    assert isinstance(outcome, Outcome)
    refused = [entry for entry in read_entries(tmp_path / FOLDER) if isinstance(entry, ReplyRefused)]
    assert [(entry.site, entry.code) for entry in refused] == [("beta", code)]
    assert list((tmp_path / FOLDER / SPOOL).iterdir()) == []
    assert codes(outcome) == [None, None, code, None, None, None]
    assert (outcome.status, outcome.exit_status) == ("partial", 3)
    assert outcome.counted == ("alpha", "gamma")
    assert outcome.history[2].records == 165


@pytest.mark.parametrize(("norm", "code"), [(2.001, "R-NORM"), (1.999, None)])
def test_a_change_above_the_studys_norm_is_refused(norm, code):
    """A study may limit a change's L2 norm: the centre admits none above it, whatever the hospital's own gate did."""
    study = paper(rounds={**BRIEF, "maximum_change_norm": 2.0})

    def scaled(reply, arrays):
        change = np.frombuffer(arrays[0], "<f4").astype(float)
        return sealed(reply, ((change * (norm / np.linalg.norm(change))).astype("<f4").tobytes(),))

    outcome = conduct(study, hospitals(study, spoil=in_round(2, scaled)))
    assert codes(outcome) == [None, None, code, None, None, None]


def test_the_step_is_that_of_those_who_counted():
    """A refused hospital's numbers are nowhere in the weights: they equal those of a round without it."""
    study = STUDY
    wrong = conduct(study, hospitals(spoil=in_round(1, changed(0, np.nan))))
    refusing = conduct(study, hospitals(spoil=in_round(1, SPOILT["its own refusal"][1])))
    assert wrong.history[1].stepped == refusing.history[1].stepped
    assert to_bytes(wrong.last) == to_bytes(refusing.last)


def test_a_replayed_reply_of_an_older_round_is_refused():
    """A genuine reply of round 1 does not pass for one of round 2."""
    old: list[Envelope] = []

    def replay(task, reply, arrays):
        envelope = seal("reply", reply, STUDY.parties["beta"].key, arrays)
        if task.core.purpose != "round":
            return envelope
        old.append(envelope)
        return old[0]

    assert codes(conduct(STUDY, hospitals(spoil=replay))) == [None, None, "R-TASK", "R-TASK", None, None]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"validation": 1000}, "R-METRICS"),
        ({"report": report(109)}, "R-METRICS"),
        ({"report": report(110, passed=False)}, "R-METRICS"),
        ({"report": report(110).model_copy(update={"contract_hash": "0" * 64})}, "R-PROTOCOL"),
        ({"sums": ()}, None),
    ],
)
def test_statistics_that_contradict_themselves_are_refused(change, code):
    """More records in the split than valid ones, a failed check, or another schema's report cannot be."""

    def spoil(task, reply, arrays):
        if task.core.purpose == "statistics":
            return sealed(reply, arrays, result=reply.result.model_copy(update=change))
        return sealed(reply, arrays)

    assert codes(conduct(STUDY, hospitals(spoil=spoil)))[0] == code


def test_evaluations_are_of_the_records_that_were_signed():
    """A hospital evaluates as many records as its statistics said, from the first round on."""
    outcome = conduct(STUDY, hospitals(spoil=in_round(1, with_counts(scores([1] * 15, [2] * 14)))))
    assert codes(outcome) == [None, "R-METRICS", None, None, None, None]


def test_someone_elses_progress_is_not_believed():
    """A message that another hospital is working, or on another task, is refused like any wrong reply."""

    def working(**changes):
        def spoil(reply, _arrays):
            fields = {"site": "beta", "study_hash": reply.study_hash, "task_id": reply.task_id, "epoch": 1, "epochs": 2}
            return seal("reply", Working(**{**fields, **changes}), STUDY.parties["beta"].key)

        return spoil

    for changes, code in (
        ({"site": "alpha"}, "R-SENDER"),
        ({"task_id": "0" * 64}, "R-TASK"),
        ({"study_hash": "0" * 64}, "R-TASK"),
    ):
        assert codes(conduct(STUDY, hospitals(spoil=in_round(2, working(**changes)))))[2] == code


def test_weights_beyond_float32_fail_the_study():
    """A study whose weights run away ends as failed with a code; it does not fall over."""
    study = paper(
        parties=STUDY.parties, rounds={"maximum": 40, "deadline_seconds": 30.0}, convergence={"metric": "loss", "patience": 40}
    )
    asked = [PaperHospital(study, site, RECORDS[site]) for site in SITES]
    for hospital in asked:

        def largest(task, reply, arrays, hospital=hospital):
            if task.core.plan is None:
                return hospital.sealed(reply, arrays)
            sizes = [tensor.size for tensor in study.bundle.manifest.tensors]
            limits = [min(2.0**exponent, 3e38) for exponent in task.core.plan.exponents]
            change = (np.repeat(limits, sizes).astype("<f4").tobytes(),)
            return hospital.sealed(reply.model_copy(update={"bodies": digests(change)}), change)

        hospital.spoil = largest
    outcome = conduct(study, asked)
    assert outcome.status == "failed"
    assert [problem.code for problem in outcome.problems] == ["C-FAILED"]
    assert "float32" in outcome.problems[0].finding


def test_more_records_than_the_sum_can_hold_fail_the_study():
    """A roster of 2**33 records or more cannot be summed exactly: C-STATISTICS, not an overflow."""
    asked = [PaperHospital(STUDY, site, 2**32) for site in SITES]
    outcome = conduct(STUDY, asked)
    assert outcome.status == "failed"
    assert [problem.code for problem in outcome.problems] == ["C-STATISTICS"]


def test_a_feature_that_nobody_has_fails_the_study():
    """Without one value of a numeric feature there is no scale: C-STATISTICS names it."""
    asked = hospitals()
    for hospital in asked:
        hospital.spoil = lambda _task, reply, arrays, hospital=hospital: hospital.sealed(
            reply.model_copy(update={"result": reply.result.model_copy(update={"sums": reply.result.sums[:1]})}), arrays
        )
    outcome = conduct(STUDY, asked)
    assert [problem.code for problem in outcome.problems] == ["C-STATISTICS"]
    assert "pressure" in outcome.problems[0].place
