"""Who is ready, who is not and why: every answer to a canary is held against what a round needs."""

from __future__ import annotations

import pytest
from studies_on_paper import paper, signing_key

from coordinator.canary.deadline import FACTOR, LEAST_SECONDS, propose, training_seconds
from coordinator.canary.files import SiloCanary
from coordinator.canary.judgement import Landed, judge
from wardround.messages.canary import CanaryFigures, CanaryReport
from wardround.messages.envelope import digests, seal
from wardround.messages.round import SiloRefusal
from wardround.study.model import Training

PAPER = paper()
MEMBER = PAPER.bundle.roster.member("beta")
NONCE, OTHER = "a" * 64, "b" * 64
ASKED = "c" * 64
"""Digest of the message that was sent."""
SIZE = 4 * PAPER.bundle.manifest.size
FIGURES = {
    "same_version": True,
    "other_packages": 0,
    "clock_ms": 1_000_000_000,
    "inside_us": 500_000,
    "needed_mib": 10,
    "available_mib": 1000,
    "disk_mib": 10_000,
    "rows": 32,
    "step_us": 2000,
}


def judged(*, key=None, arrays=None, figures=None, ahead=0.0, seconds=2.5, **changes) -> SiloCanary:
    """Judge a hospital's report that took 2.5 seconds, 0.5 of them inside."""
    arrays = (bytes(SIZE),) if arrays is None else arrays
    fields = {
        "site": "beta",
        "study_hash": PAPER.bundle.study_hash,
        "nonce": NONCE,
        "approval": "c" * 64,
        "ledger": "d" * 64,
        "figures": CanaryFigures.model_validate({**FIGURES, **(figures or {})}),
        "bodies": digests(arrays) or ("e" * 64,),
    }
    report = CanaryReport.model_validate({**fields, **changes})
    envelope = seal("reply", report, key or PAPER.parties["beta"].key, arrays)
    landed = Landed(envelope, seconds, FIGURES["clock_ms"] / 1000 - ahead, 700, ASKED)
    return judge(landed, MEMBER, PAPER.bundle, NONCE, 100)


def test_a_hospital_without_a_reason_is_ready():
    """What is measured is split into the hospital's own time and the way, and figures in bytes per second follow."""
    silo = judged()
    assert silo.ready
    assert (silo.round_trip_seconds, silo.transport_seconds) == (2.5, 2.0)
    assert silo.bytes_down == 700
    assert silo.bytes_up > SIZE
    assert silo.bytes_per_second == round((700 + silo.bytes_up) / 2.0)
    assert (silo.ahead_seconds, silo.unsure_seconds) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        (("V-VERSION",), {"figures": {"same_version": False}}),
        ((), {"figures": {"other_packages": 3}}),
        ((), {"ahead": 5.9}),
        (("N-CLOCK",), {"ahead": 6.1}),
        ((), {"ahead": -300.9}),
        (("N-CLOCK",), {"ahead": -301.1}),
        ((), {"figures": {"disk_mib": 101}}),
        (("O-SPACE",), {"figures": {"disk_mib": 100}}),
        ((), {"figures": {"disk_mib": None, "available_mib": None}}),
        ((), {"figures": {"available_mib": 9}}),
        (
            ("V-VERSION", "N-CLOCK", "O-SPACE"),
            {"ahead": 9.0, "figures": {"same_version": False, "disk_mib": 0}},
        ),
        (("R-TASK",), {"nonce": OTHER}),
        (("R-TASK",), {"study_hash": OTHER}),
        (("R-SENDER",), {"site": "alpha"}),
        (("R-SIGNATURE",), {"key": signing_key("stranger")}),
        (("R-BODY",), {"arrays": ()}),
        (("R-BODY",), {"arrays": (bytes(SIZE - 4),)}),
        (("R-BODY",), {"bodies": (OTHER,)}),
    ],
)
def test_every_reason_is_named(codes, words):
    """Each reason by its code, all at once; a clock is wrong only where the way's length cannot explain it."""
    silo = judged(**words)
    assert silo.codes == codes
    assert silo.ready == (not codes)
    assert (silo.figures is None) == any(code.startswith("R-") for code in codes), "figures of what does not hold are not shown"


@pytest.mark.parametrize(("task", "code"), [(NONCE, "H-STUDY"), (None, "R-TASK"), (OTHER, "R-TASK")])
def test_a_refusal_is_of_this_canary(task, code):
    """A refusal's own code counts if it names this canary; an older one does not."""
    refusal = SiloRefusal(site="beta", study_hash=PAPER.bundle.study_hash, task_id=task, code="H-STUDY")
    landed = Landed(seal("reply", refusal, PAPER.parties["beta"].key), 1.0, 0.0, 700, ASKED)
    assert judge(landed, MEMBER, PAPER.bundle, NONCE, 100).codes == (code,)


@pytest.mark.parametrize(("answers", "code"), [(ASKED, "H-PROTOCOL"), (OTHER, "R-TASK"), (None, "R-TASK")])
def test_a_refusal_of_no_task_names_the_message_that_was_sent(answers, code):
    """A hospital that could not read the canary says so of exactly these bytes; an older word of it is none."""
    refusal = SiloRefusal(site="beta", study_hash=None, task_id=None, code="H-PROTOCOL", answers=answers)
    landed = Landed(seal("reply", refusal, PAPER.parties["beta"].key), 1.0, 0.0, 700, ASKED)
    assert judge(landed, MEMBER, PAPER.bundle, NONCE, 100).codes == (code,)


def test_what_cannot_be_read_is_no_answer():
    """Garbage is R-PROTOCOL."""
    landed = Landed(seal("reply", MEMBER, PAPER.parties["beta"].key), 1.0, 0.0, 700, ASKED)
    assert judge(landed, MEMBER, PAPER.bundle, NONCE, 100).codes == ("R-PROTOCOL",)


@pytest.mark.parametrize(
    ("batch", "epochs", "records", "steps"),
    [(32, 1, 32, 1), (32, 1, 33, 2), (32, 5, 1000, 160), (None, 2, 64, 4), (64, 1, 64, 2)],
)
def test_training_is_steps_times_rows(batch, epochs, records, steps):
    """A step of 32 rows took 2 ms: so many of them make a round; a larger batch takes longer by its rows."""
    training = Training.model_validate({"optimiser": {"learning_rate": 0.1}, "batch_size": batch, "local_epochs": epochs})
    found = training_seconds(CanaryFigures.model_validate(FIGURES), training, records)
    assert found == pytest.approx(steps * 0.002)


def silo(site, training, transport):
    return SiloCanary(site=site, codes=(), training_seconds=training, transport_seconds=transport)


def test_the_slowest_hospital_makes_the_deadline():
    """Three times training and way of the slowest, rounded up to whole tens; never under a minute."""
    proposed = propose((silo("alpha", 30.0, 1.0), silo("beta", 2.0, 40.5), SiloCanary(site="gamma", codes=("R-SILENT",))), 600.0)
    assert proposed is not None
    assert (proposed.slowest, proposed.seconds, proposed.factor) == ("beta", 130, FACTOR)
    assert proposed.of_the_study == 600.0
    short = propose((silo("alpha", 0.1, 0.1),), 600.0)
    assert short is not None
    assert short.seconds == LEAST_SECONDS


def test_without_a_measurement_nothing_is_proposed():
    """Where nobody answered there is no deadline, rather than one out of the air."""
    assert propose((SiloCanary(site="gamma", codes=("R-SILENT",)),), 600.0) is None
