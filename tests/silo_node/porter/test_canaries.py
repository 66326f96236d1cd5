"""Canaries at the hospital's door: figures of the machine alone leave, for an approved study, and nothing changes by them."""

from __future__ import annotations

import time

import pytest
from studies_on_paper import CENTRE_READS

import wardround
from silo_node.centre_software import last_heard
from silo_node.porter import canaries
from silo_node.work import Busy, NotDone, Stepped
from wardround.canonical import digest, model_json
from wardround.identity.keys import SigningKey
from wardround.messages.canary import CANARY, CANARY_ANSWER, Canary, CanaryFigures, CanaryReport
from wardround.messages.confidential import encrypted_for
from wardround.messages.envelope import Envelope, bodies_hold, digests, read, seal, signed_by
from wardround.messages.round import Reply, SiloRefusal
from wardround.weights.packing import to_bytes


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    monkeypatch.setattr(canaries, "PAUSE_SECONDS", 0.0)


def sealed(house, number=1, key=None, arrays=None, **changes) -> Envelope:
    """Make a canary as the centre does; the arrays may be others than its message names."""
    weights = (to_bytes(house.paper.bundle.weights),)
    fields = {
        "to": "beta",
        "study_hash": house.paper.bundle.study_hash,
        "nonce": f"{number:064x}",
        "wardround": wardround.__version__,
        "rows": 32,
        "bodies": digests(weights),
    }
    canary = Canary.model_validate({**fields, **changes})
    return house.encrypted(seal("canary", canary, key or house.paper.key, weights if arrays is None else arrays))


def answered(house, envelope: Envelope) -> CanaryReport | SiloRefusal:
    """Have a canary answered; the signature must hold, and a body be what the message names."""
    plain = house.opened(house.porter.visit(envelope))
    assert signed_by(plain, "reply", house.paper.parties["beta"].key.public)
    answer = read(plain, CANARY_ANSWER)
    assert answer is not None
    if isinstance(answer, CanaryReport):
        assert bodies_hold(plain, answer.bodies)
        assert bytes(plain.arrays[0]) == bytes(4 * house.paper.bundle.manifest.size), "zeros, as many as the weights"
    return answer


def code(house, envelope: Envelope) -> str:
    """Send a canary that is refused, and give the code; nobody must have worked for it."""
    before = len(house.spy.tried)
    answer = answered(house, envelope)
    assert isinstance(answer, SiloRefusal)
    assert len(house.spy.tried) == before
    return answer.code


def test_figures_leave_and_stand_in_the_ledger_first(house):
    """The answer names its canary, has what was measured, and the ledger's head after its own line, which is no release."""
    begun = time.time_ns() // 10**6
    report = answered(house, sealed(house))
    assert isinstance(report, CanaryReport)
    assert (report.site, report.study_hash, report.nonce) == ("beta", house.paper.bundle.study_hash, f"{1:064x}")
    figures = report.figures
    assert (figures.rows, figures.step_us, figures.needed_mib, figures.available_mib) == (32, 1500, 3, 4000)
    assert begun - 1 <= figures.clock_ms <= time.time_ns() // 10**6
    assert figures.disk_mib > 0
    assert figures.same_version
    assert figures.other_packages == 1, "the bundle names numpy 2.0.0, which is not here"
    (entry,) = house.entries()
    assert (entry["event"], entry["canary"], entry["study"]) == ("canary", report.nonce, report.study_hash)
    assert entry["result"] == digest("result", 1, model_json(figures))
    assert entry["bytes"] == 4 * house.paper.bundle.manifest.size
    assert report.ledger == house.ledger.head
    assert house.spy.tried == [32]


def test_a_study_passes_as_ever_between_canaries(house):
    """Canaries take no place among the tasks, and count for no release: all visits are answered, with the same bytes."""
    replies = []
    visits = (("statistics", 0), ("round", 1), ("round", 2), ("round", 3), ("closing", 3), ("test", 3))
    for number, (purpose, step) in enumerate(visits, 1):
        assert isinstance(answered(house, sealed(house, number)), CanaryReport)
        reply = house.visit(purpose, step)
        assert isinstance(reply, Reply), reply
        replies.append(reply)
    assert isinstance(answered(house, sealed(house, 99)), CanaryReport)
    assert house.visit("test", 3) == replies[-1]
    assert not [path for path in (house.folder / "journal").rglob("*") if "canary" in path.name]


def test_a_canary_makes_no_journal(house):
    """Of a canary alone nothing is remembered but its line in the ledger."""
    assert isinstance(answered(house, sealed(house)), CanaryReport)
    assert [path.name for path in (house.folder / "journal").iterdir()] == ["centre.json"], "besides the centre's version"


def test_without_approval_there_is_no_answer(open_house):
    """A canary of a study that nobody approved here is H-STUDY, and the refusal names the canary."""
    house = open_house(approved=False)
    answer = answered(house, sealed(house))
    assert isinstance(answer, SiloRefusal)
    assert (answer.code, answer.task_id) == ("H-STUDY", f"{1:064x}")
    assert [entry["event"] for entry in house.entries()] == ["refusal"]
    assert house.spy.tried == []


def test_only_the_studys_coordinator_sends_canaries(house):
    """Another key, or the right key for another kind of message, is H-SIGNATURE; and it keeps no true canary away."""
    for key in (SigningKey.generate(), house.paper.parties["beta"].key):
        assert code(house, sealed(house, key=key)) == "H-SIGNATURE"
    genuine = sealed(house)
    assert code(house, Envelope(genuine.message, house.paper.key.sign("task", genuine.message))) == "H-SIGNATURE"
    assert isinstance(answered(house, genuine), CanaryReport)


def test_a_canary_for_another_hospital_is_refused(house):
    """One that alpha got, sent on to beta, is H-ADDRESS."""
    assert code(house, sealed(house, to="alpha")) == "H-ADDRESS"


def test_a_canary_brings_the_approved_weights_and_no_others(house):
    """Other weights, none, plain ones, or such as were encrypted to somebody else: H-BODY."""
    weights = (to_bytes(house.paper.bundle.weights),)
    other = (b"\0" * len(weights[0]),)
    assert code(house, sealed(house, arrays=other)) == "H-BODY"
    assert code(house, sealed(house, arrays=other, bodies=digests(other))) == "H-BODY"
    assert code(house, sealed(house, arrays=())) == "H-BODY"
    canary = Canary(
        to="beta",
        study_hash=house.paper.bundle.study_hash,
        nonce="a" * 64,
        wardround="0.1.0",
        rows=1,
        bodies=digests(weights),
    )
    plain = seal("canary", canary, house.paper.key, weights)
    assert code(house, plain) == "H-BODY"
    assert code(house, encrypted_for(plain, CENTRE_READS.public)) == "H-BODY"


def test_no_canary_comes_between_a_task_and_its_answer(house):
    """While a task is under way a canary is H-ORDER; the task goes on, and is answered."""
    assert isinstance(house.visit("statistics"), Reply)
    house.spy.outcome = lambda _work: Busy(1, 2, 50)
    house.visit("round", 1)
    assert code(house, sealed(house)) == "H-ORDER"
    assert house.spy.withdrawn == []
    house.spy.outcome = None
    assert isinstance(house.visit("round", 1), Reply)
    assert isinstance(answered(house, sealed(house)), CanaryReport)


def test_canaries_are_few(house, monkeypatch):
    """One within the pause after another is H-ORDER, and so is the same one again at any time."""
    assert isinstance(answered(house, sealed(house)), CanaryReport)
    assert code(house, sealed(house)) == "H-ORDER"
    monkeypatch.setattr(canaries, "PAUSE_SECONDS", 60.0)
    assert isinstance(answered(house, sealed(house, 2)), CanaryReport)
    assert code(house, sealed(house, 3)) == "H-ORDER"


def test_another_version_is_said(house):
    """The hospital compares versions itself, and says only whether they are the same."""
    assert not answered(house, sealed(house, wardround="9.9.9")).figures.same_version


@pytest.mark.parametrize("given", ["H-MEMORY", "H-ORDER", "H-FAILED"])
def test_the_trainers_code_leaves(house, given):
    """What the trainer says is what leaves."""
    house.spy.trial = NotDone(given)
    answer = answered(house, sealed(house))
    assert isinstance(answer, SiloRefusal)
    assert (answer.code, answer.report, answer.exponents) == (given, None, None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"rows": 0},
        {"rows": 10**9},
        {"rows": True},
        {"step_us": -1},
        {"step_us": 1.5},
        {"step_us": "MEYER-19610203"},
        {"needed_mib": None},
        {"available_mib": 2**41},
    ],
)
def test_the_gate_lets_out_numbers_within_their_bounds(house, wrong):
    """Whatever the trainer says, a figure of another type or size leaves as H-GATE or H-FAILED, and the answer has no text."""
    honest = {"rows": 32, "step_us": 1500, "needed_mib": 3, "available_mib": 4000}
    house.spy.trial = Stepped(**{**honest, **wrong})
    answer = answered(house, sealed(house))
    assert isinstance(answer, SiloRefusal)
    assert answer.code in ("H-GATE", "H-FAILED")


def test_the_gate_checks_figures_by_itself(house):
    """Figures that were made past their own checks do not pass the gate."""
    honest = answered(house, sealed(house)).figures
    forged = CanaryFigures.model_construct(**{**honest.__dict__, "disk_mib": "MEYER"})
    canary = read(sealed(house, 2), CANARY)
    approved = house.porter._approvals.require(house.paper.bundle.study_hash)
    release = house.porter._gate.answer_canary(canary, approved, forged)
    answer = read(release.envelope, CANARY_ANSWER)
    assert isinstance(answer, SiloRefusal)
    assert answer.code == "H-GATE"
    assert b"MEYER" not in release.envelope.message


def test_a_canary_that_fails_leaves_a_code(house, monkeypatch):
    """Whatever goes wrong inside, the answer is H-FAILED."""

    def broken(*_words):
        raise OSError("MEYER-19610203")

    monkeypatch.setattr(house.spy, "try_out", broken, raising=False)
    answer = answered(house, sealed(house))
    assert isinstance(answer, SiloRefusal)
    assert answer.code == "H-FAILED"


def test_a_canary_says_which_software_the_centre_runs(house):
    """Its signature holds, so its word is kept; a stranger's is not."""
    answered(house, sealed(house, key=SigningKey.generate(), wardround="9.9.9"))
    assert last_heard(house.folder) is None
    answered(house, sealed(house, number=2, wardround="7.8.9"))
    assert last_heard(house.folder).wardround == "7.8.9"
