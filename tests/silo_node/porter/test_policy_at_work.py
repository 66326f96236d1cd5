"""The hospital's policy while a study runs: a change of it holds for the next task, and nothing is restarted."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from paper_hospitals import PaperHospital, report
from studies_on_paper import scores

from silo_node.policy import parse_policy
from silo_node.work import Busy, NotDone
from wardround.errors import CATALOGUE
from wardround.ledger.entries import Released
from wardround.messages.canary import Canary
from wardround.messages.envelope import digests, seal
from wardround.messages.round import Evaluation, Reply, SiloCode, SiloRefusal
from wardround.weights.norm import l2_norm
from wardround.weights.packing import to_bytes

TIGHT = "maximum_rounds: 2\n"
"""One less than the study may take."""


def test_a_tightened_policy_holds_for_the_next_task(house):
    """After the approval, and after a round, a policy that forbids the study refuses its tasks; loosened, they go on."""
    house.visit("statistics")
    assert isinstance(house.visit("round", 1), Reply)
    house.decides(TIGHT)
    assert house.code(house.sealed(house.task("round", 2))) == "H-POLICY"
    assert (house.entries()[-1]["event"], house.entries()[-1]["code"]) == ("refusal", "H-POLICY")
    house.decides("maximum_rounds: 3\n")
    assert isinstance(house.visit("round", 2), Reply)


def test_a_policy_that_cannot_be_read_allows_nothing(house):
    """A mistake in the file refuses every task until it is mended; the node needs no restart."""
    house.visit("statistics")
    house.decides("maximum_rounds: many\n")
    assert house.code(house.sealed(house.task("round", 1))) == "H-POLICY"
    house.decides("")
    assert isinstance(house.visit("round", 1), Reply)


def test_what_is_under_way_ends(house):
    """A task that is under way when the policy forbids its study is dropped when it is asked for."""
    house.visit("statistics")
    task = house.task("round", 1)
    house.spy.outcome = lambda _work: Busy(0, 1)
    house.porter.visit(house.sealed(task))
    house.decides(TIGHT)
    assert house.code(house.follow_up("collect", task)) == "H-POLICY"
    assert house.spy.withdrawn == [task.task_id]


def canary_of(house, key):
    """A canary of the study, signed with some key."""
    body = to_bytes(house.paper.bundle.weights)
    canary = Canary(
        to="beta", study_hash=house.paper.bundle.study_hash, nonce="a" * 64, wardround="0.1.0", rows=8, bodies=digests((body,))
    )
    return house.encrypted(seal("canary", canary, key, (body,)))


def test_no_canary_flies_against_the_policy(house):
    """Figures of the machine are for studies that the policy allows."""
    house.decides(TIGHT)
    refusal = house.read(house.porter.visit(canary_of(house, house.paper.key)))
    assert isinstance(refusal, SiloRefusal)
    assert refusal.code == "H-POLICY"
    assert house.spy.tried == []


def test_a_stranger_learns_nothing_of_the_policy(house):
    """The signature comes first."""
    house.decides(TIGHT)
    stranger = house.paper.parties["alpha"].key
    assert house.code(house.sealed(house.task("round", 1), key=stranger)) == "H-SIGNATURE"
    assert house.code(canary_of(house, stranger)) == "H-SIGNATURE"


def test_a_change_that_is_too_large_does_not_leave(house):
    """The L2 norm of a change is at most the policy's; beyond it the ledger has a refusal and the centre a bare code."""
    house.visit("statistics")
    norm = l2_norm(PaperHospital(house.paper, "beta", 60).change(1))
    house.decides(f"maximum_update_norm: {norm * 0.999}\n")
    refusal = house.visit("round", 1)
    assert isinstance(refusal, SiloRefusal)
    assert (refusal.code, refusal.report, refusal.exponents) == ("H-NORM", None, None)
    assert house.entries()[-1]["code"] == "H-NORM"
    house.decides(f"maximum_update_norm: {norm * 1.001}\n")
    assert isinstance(house.visit("round", 1), Reply)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_no_norm_lets_what_is_not_finite_pass(house, wrong):
    """NaN is not below any limit."""
    house.visit("statistics")
    house.decides("maximum_update_norm: 1000000000.0\n")
    house.spy.outcome = lambda work: replace(house.spy.honest(work), change=np.full(25, wrong, np.float32))
    refusal = house.visit("round", 1)
    assert isinstance(refusal, SiloRefusal)
    assert refusal.code == "H-NONFINITE"


def test_the_bytes_of_a_study_are_counted_over_restarts(open_house):
    """However often a study is begun again, no more bytes of changes leave than the policy says; the same again are none."""
    many = {"maximum": 40, "deadline_seconds": 30.0, "retries": 1}
    house = open_house(rounds=many)
    house.visit("statistics")
    size = house.paper.bundle.manifest.byte_count
    for number in range(1, 40):
        assert isinstance(house.visit("round", number), Reply)
    last = house.entries()[-1]
    assert sum(entry["bytes"] for entry in house.entries() if entry["event"] == "release") == 39 * size
    house.decides("maximum_bytes: 4 KiB\n")
    changes = {"approval": "e" * 64, "result": "f" * 64, "bytes": 4096 - 40 * size + 1}
    house.ledger.write(Released.model_validate_json(json.dumps({**last, **changes})))  # under an approval before this one
    house.reopen()  # what was counted comes from the file
    refusal = house.visit("round", 40)
    assert isinstance(refusal, SiloRefusal)
    assert refusal.code == "H-POLICY"
    house.decides("maximum_bytes: 5 KiB\n")
    assert isinstance(house.visit("round", 40), Reply)


def test_the_thresholds_are_those_of_now(house):
    """Fewer records than the policy of now wants do not leave, neither trained on nor evaluated."""
    house.visit("statistics")
    house.decides("minimum_records: 61\n")
    refusal = house.visit("round", 1)
    assert isinstance(refusal, SiloRefusal)
    assert refusal.code == "H-GATE"
    house.goes_on()
    house.decides("metrics_minimum: 31\n")
    few = Evaluation(counts=scores([1] * 15, [2] * 15))
    house.spy.outcome = lambda work: replace(
        house.spy.honest(work), result=house.spy.honest(work).result.model_copy(update={"evaluation": few})
    )
    refusal = house.visit("round", 1)
    assert isinstance(refusal, SiloRefusal)
    assert refusal.code == "H-GATE"


def test_the_ledger_names_the_policy_of_each_release(house):
    """An auditor sees under which policy something left."""
    house.visit("statistics")
    house.decides("small_cell: 12\n")
    house.visit("round", 1)
    named = [entry["policy"] for entry in house.entries()]
    assert named[1] == parse_policy("small_cell: 12").policy_digest() != named[0]


def test_every_code_of_a_hospital_is_in_the_catalogue():
    """What a hospital may answer has a page."""
    assert set(get_args(SiloCode)) <= set(CATALOGUE)


def test_each_answer_says_who_may_see_the_figures(open_house):
    """By the stricter of the policies of that moment and of the approval, in the signed answer and in the ledger; where the
    one of the moment cannot be read, nobody else.
    """
    house = open_house(policy="share_metrics: consortium\n")
    first = house.visit("statistics")
    house.decides("share_metrics: coordinator\n")
    second = house.visit("round", 1)
    house.decides("share_metrics: consortium\n")
    house.spy.outcome = lambda _work: NotDone("H-DATA", report(60))
    third = house.visit("round", 2)
    assert isinstance(first, Reply)
    assert isinstance(second, Reply)
    assert isinstance(third, SiloRefusal)
    assert third.report is not None
    house.decides("share_metrics: everybody\n")
    fourth = house.visit("round", 2)
    said = [answer.share_metrics for answer in (first, second, third, fourth)]
    assert said == ["consortium", "coordinator", "consortium", "coordinator"]
    written = [entry["share_metrics"] for entry in house.entries() if entry["event"] in ("release", "refusal")]
    assert written == said
    kept = open_house()
    kept.decides("share_metrics: consortium\n")
    assert kept.visit("statistics").share_metrics == "coordinator", "nobody had approved that"
