"""The porter: a task that is not exactly right is answered by a code, and the worker never hears of it."""

import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from studies_on_paper import encoding

from silo_node.porter.approvals import approve, pause, resume
from silo_node.work import Busy, NotDone
from wardround.canonical import canonical_bytes, model_bytes, sha256
from wardround.errors import Refused
from wardround.identity.approval import Approver
from wardround.identity.keys import SigningKey
from wardround.messages.confidential import encrypted_for
from wardround.messages.envelope import Envelope, seal
from wardround.messages.round import Receipt, Reply, SiloRefusal
from wardround.weights.fixed_point import plan_sum
from wardround.weights.packing import to_bytes

PATIENT = "MEYER-19610203"


def test_a_whole_study_passes(house):
    """Statistics, rounds, closing and test in order are done, answered, and written down."""
    for purpose, number in (("statistics", 0), ("round", 1), ("round", 2), ("round", 3), ("closing", 3), ("test", 2)):
        answer = house.visit(purpose, number)
        assert isinstance(answer, Reply)
        assert (answer.site, answer.records, answer.result.purpose) == ("beta", 60, purpose)
        assert answer.ledger == house.ledger.head
    assert [entry["purpose"] for entry in house.entries()] == ["statistics", "round", "round", "round", "closing", "test"]
    assert len(house.spy.asked) == 6


def test_the_worker_gets_what_came(house):
    """The worker works on the approved bundle, the signed task and the weights that came with it."""
    house.visit("statistics")
    house.visit("round", 1)
    statistics, training = house.spy.asked
    assert statistics.weights is None
    assert training.weights is not None
    assert to_bytes(training.weights) == to_bytes(house.paper.bundle.weights)
    assert training.bundle.study_hash == house.paper.bundle.study_hash


def test_without_approval_nothing_runs(open_house):
    """A task of a study that nobody approved here is H-STUDY."""
    house = open_house(approved=False)
    assert house.code(house.sealed(house.task("statistics"))) == "H-STUDY"


def test_an_expired_approval_is_no_approval(open_house):
    """After its end an approval lets nothing in."""
    house = open_house(approved=False)
    party = house.paper.parties["beta"]
    approve(
        house.folder, house.paper.bundle, party.member, party.approval_key, Approver(name="A", role="B"), timedelta(seconds=-1)
    )
    assert house.code(house.sealed(house.task("statistics"))) == "H-STUDY"


def test_an_edited_approval_or_bundle_is_no_approval(house):
    """Edits while the hospital runs are noticed at the next task."""
    assert isinstance(house.visit("statistics"), Reply)
    approval = next((house.folder / "approvals").glob("*.json"))
    good = approval.read_bytes()
    approval.write_bytes(good.replace(b'"releases":6', b'"releases":66'))
    assert house.code(house.sealed(house.task("round", 1))) == "H-STUDY"
    approval.write_bytes(good)
    bundle = next((house.folder / "inbox").iterdir())
    bundle.write_bytes(bundle.read_bytes().replace(b'"seed":7', b'"seed":9'))
    assert house.code(house.sealed(house.task("round", 1))) == "H-STUDY"


@pytest.mark.parametrize("decision", ["paused", "withdrawn"])
def test_what_a_person_decides_while_the_work_is_done_holds_for_its_result(house, monkeypatch, decision):
    """The result stays in the hospital: the approval is looked at once more before anything leaves."""
    assert isinstance(house.visit("statistics"), Reply)
    study_hash, perform = house.paper.bundle.study_hash, house.spy.perform

    def decided(asked):
        outcome = perform(asked)
        if decision == "paused":
            pause(house.folder, "beta", study_hash)
        else:
            (house.folder / "approvals" / f"{study_hash}.json").unlink()
        return outcome

    with monkeypatch.context() as patch:
        patch.setattr(house.spy, "perform", decided)
        answer = house.visit("round", 1)
    assert isinstance(answer, SiloRefusal)
    assert answer.code == "H-STUDY"
    assert [entry["event"] for entry in house.entries()] == ["release", "refusal"]
    if decision == "paused":
        assert house.code(house.sealed(house.task("round", 1))) == "H-STUDY"
        resume(house.folder, study_hash)
        assert isinstance(house.visit("round", 1), Reply)


def test_only_the_studys_coordinator_gives_tasks(house):
    """Another key, this hospital's own, or the right key for another kind of message: H-SIGNATURE."""
    task = house.task("statistics")
    for key in (SigningKey.generate(), house.paper.parties["beta"].key, house.paper.parties["beta"].approval_key):
        assert house.code(house.sealed(task, key=key)) == "H-SIGNATURE"
    assert house.code(seal("reply", task, house.paper.key)) == "H-SIGNATURE"


def test_a_task_for_another_hospital_is_refused(house):
    """A task that alpha got, sent on to beta, is H-ADDRESS."""
    assert house.code(house.sealed(house.task("statistics", to="alpha"))) == "H-ADDRESS"


@pytest.mark.parametrize("change", [{"task_id": "0" * 64}, {"core_study_hash": "0" * 64}])
def test_a_task_is_named_by_what_it_asks(house, change):
    """A task id that is not the digest of its core, or a core of another study: H-PROTOCOL."""
    task = house.task("statistics", **change)
    assert house.code(house.sealed(task.model_copy(update={"study_hash": house.paper.bundle.study_hash}))) == "H-PROTOCOL"


@pytest.mark.parametrize("message", [b"", b"{}", b"\xff", b"[" * 100_000])
def test_garbage_is_answered_by_a_code(house, message):
    """What cannot be read is H-PROTOCOL, signed or not, and the answer names no task."""
    answer = house.read(house.porter.visit(Envelope(message, house.paper.key.sign("task", message))))
    assert isinstance(answer, SiloRefusal)
    assert (answer.code, answer.study_hash, answer.task_id) == ("H-PROTOCOL", None, None)


def test_only_canonical_tasks_are_read(house):
    """A task with spaces or an unknown key is H-PROTOCOL, however well signed."""
    value = json.loads(house.sealed(house.task("statistics")).message)
    for message in (json.dumps(value).encode(), canonical_bytes({**value, "code": "import os"})):
        assert house.code(Envelope(message, house.paper.key.sign("task", message))) == "H-PROTOCOL"


@pytest.mark.parametrize(
    "change",
    [
        {"task_id": "x"},
        {"core_weights": "0" * 64},
        {"core_weights": None},
        {"core_encoding": "0" * 64},
        {"core_encoding": None},
        {"core_plan": None},
        {"encoding": None},
        {"records": None},
        {"bodies": ()},
        {"bodies": ("0" * 64,)},
    ],
)
def test_header_and_body_fit(house, change):
    """Weights, plan, encoding and record count are all there, and the ones that the task's identity names."""
    house.visit("statistics")
    assert house.code(house.sealed(house.task("round", 1, **change))) in ("H-BODY", "H-PROTOCOL")


@pytest.mark.parametrize("arrays", [(), (b"",), (b"x",), "short", "swapped", "two"])
def test_the_weights_are_what_the_header_says(house, arrays):
    """Missing, cut, other, additional or plain weights are H-BODY."""
    house.visit("statistics")
    envelope = house.sealed(house.task("round", 1))
    right = to_bytes(house.paper.bundle.weights)
    other = (
        {"short": (right[:-4],), "swapped": (right[::-1],), "two": (right, right)}.get(arrays, arrays)
        if isinstance(arrays, str)
        else arrays
    )
    assert house.code(house.encrypted(Envelope(envelope.message, envelope.signature, other))) == "H-BODY"
    assert house.code(Envelope(envelope.message, envelope.signature, (right,))) == "H-BODY", "plain on the wire"
    theirs = house.paper.parties["alpha"].member.encryption_key
    assert house.code(encrypted_for(Envelope(envelope.message, envelope.signature, (right,)), theirs)) == "H-BODY"


@pytest.mark.parametrize("purpose", ["round", "closing", "test"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_numbers_are_refused(house, purpose, bad):
    """Broadcast weights that are not finite reach no trainer."""
    house.visit("statistics")
    weights = house.paper.bundle.weights.copy()
    task = house.task(purpose, 2)
    weights[1] = bad
    core = task.core.model_copy(update={"weights": house.paper.core(purpose, 2, weights).weights})
    task = task.model_copy(update={"core": core, "task_id": core.task_id(), "bodies": (core.weights,)})
    assert house.code(house.sealed(task, weights)) == "H-BODY"


def test_round_one_starts_from_the_approved_weights(house):
    """Other initial weights than the bundle's are H-BODY in round 1; later rounds bring new ones."""
    house.visit("statistics")
    moved = house.paper.bundle.weights + np.float32(0.125)
    assert house.code(house.sealed(house.task("round", 1, weights=moved), moved)) == "H-BODY"
    assert isinstance(house.visit("round", 1), Reply)
    assert isinstance(house.visit("round", 2, weights=moved), Reply)


def column(**changes):
    number = next(column for column in encoding().columns if column.kind == "number")
    return {"columns": (number.model_copy(update=changes), *encoding().columns[1:])}


CODE_COLUMN = encoding().columns[2]
ENCODINGS = {
    "another version": {"version": "1.0.1"},
    "another schema": {"encoding_hash": "0" * 64},
    "another target": {"target": "pain"},
    "another class": {"positive": "absent"},
    "a field less": {"columns": encoding().columns[:2]},
    "another order": {"columns": encoding().columns[::-1]},
    "a key as feature": column(field="patient_key"),
    "no indicator": {"columns": (*encoding().columns[:2], CODE_COLUMN.model_copy(update={"may_be_missing": False}))},
    "a category less": {"columns": (*encoding().columns[:2], CODE_COLUMN.model_copy(update={"values": ("none", "some")}))},
    "categories in another order": {
        "columns": (*encoding().columns[:2], CODE_COLUMN.model_copy(update={"values": ("some", "none", "much")}))
    },
    "a mean outside the range": column(mean=1e6),
    "a needle": column(deviation=1e-9),
    "a flat scale": column(deviation=1e9),
}


@pytest.mark.parametrize("case", ENCODINGS)
def test_the_encoding_is_one_of_this_study(house, case):
    """Another target, field, order, category or an impossible scale would make another study of it: H-BODY."""
    house.visit("statistics")
    made = encoding(**ENCODINGS[case])
    task = house.task("round", 1, encoding=made, core_encoding=made.encoding_digest())
    assert house.code(house.sealed(task)) == "H-BODY"


def test_the_encoding_stays_the_same(house):
    """After the first round the scale of a study cannot be changed any more."""
    house.visit("statistics")
    assert isinstance(house.visit("round", 1), Reply)
    other = encoding(**column(mean=50.0))
    for purpose, number in (("round", 2), ("closing", 3), ("test", 3)):
        task = house.task(purpose, number, encoding=other, core_encoding=other.encoding_digest())
        assert house.code(house.sealed(task)) == "H-BODY"
    assert isinstance(house.visit("round", 2), Reply)


def test_the_plan_follows_from_the_weights(house):
    """Exponents that are not those of the broadcast weights are H-BODY: both sides compute them."""
    house.visit("statistics")
    plan = plan_sum(house.paper.bundle.weights, house.paper.bundle.manifest, 225)
    for exponents in (
        plan.exponents[:-1],
        (*plan.exponents, 1),
        tuple(e + 1 for e in plan.exponents),
        tuple(reversed(plan.exponents)),
    ):
        changed = plan.model_copy(update={"exponents": exponents})
        assert house.code(house.sealed(house.task("round", 1, core_plan=changed))) == "H-BODY"
    other_total = plan_sum(house.paper.bundle.weights, house.paper.bundle.manifest, 100_000)
    assert isinstance(house.visit("round", 1, core_plan=other_total), Reply)


def test_the_same_task_gets_the_same_bytes(house):
    """A repeated task, in a later attempt too, is answered with the stored bytes; nothing is computed twice."""
    house.visit("statistics")
    first = house.porter.visit(house.sealed(house.task("round", 1)))
    again = house.porter.visit(house.sealed(house.task("round", 1)))
    later = house.porter.visit(house.sealed(house.task("round", 1, attempt=1)))
    assert first.envelope == again.envelope == later.envelope
    assert len(house.spy.asked) == 2
    assert [entry["event"] for entry in house.entries()] == ["release", "release", "repeat", "repeat"]


def test_replayed_and_older_tasks_are_refused(house):
    """Once a later task was done, an older one, genuine or not, is H-ORDER."""
    house.visit("statistics")
    old = house.sealed(house.task("round", 1))
    house.porter.visit(old)
    house.visit("round", 2)
    assert house.code(old) == "H-ORDER"
    assert house.code(house.sealed(house.task("statistics"))) == "H-ORDER"
    house.visit("closing", 2)
    assert house.code(house.sealed(house.task("round", 3))) == "H-ORDER"


def test_another_task_in_the_same_place_is_refused(house):
    """Other weights for the round just done are H-ORDER in the same attempt or beyond the retries, and H-DRIFT in another."""
    house.visit("statistics")
    house.visit("round", 2)
    moved = house.paper.bundle.weights * np.float32(2)
    assert house.code(house.sealed(house.task("round", 2, weights=moved), moved)) == "H-ORDER"
    assert house.code(house.sealed(house.task("round", 2, weights=moved, attempt=2), moved)) == "H-ORDER"
    assert house.code(house.sealed(house.task("round", 2, weights=moved, attempt=1), moved)) == "H-DRIFT"


@pytest.mark.parametrize(("purpose", "number"), [("statistics", 1), ("round", 0), ("round", 4), ("closing", 4), ("test", 2**52)])
def test_a_study_has_so_many_rounds(house, purpose, number):
    """Rounds that the approved study does not have are H-ORDER."""
    if purpose != "statistics":
        house.visit("statistics")
    assert house.code(house.sealed(house.task(purpose, number))) == "H-ORDER"


def test_the_test_is_read_once(house):
    """A second test task, of other weights or in another attempt, is H-ORDER; the same one gets the same bytes."""
    house.visit("statistics")
    first = house.porter.visit(house.sealed(house.task("test", 2)))
    moved = house.paper.bundle.weights * np.float32(2)
    assert house.code(house.sealed(house.task("test", 3, weights=moved), moved)) == "H-ORDER"
    assert house.code(house.sealed(house.task("test", 2, weights=moved, attempt=1), moved)) == "H-ORDER"
    assert house.porter.visit(house.sealed(house.task("test", 2))).envelope == first.envelope


def test_no_more_results_leave_than_were_approved(open_house):
    """After the approved number of different results nothing new leaves, also after a restart; the same bytes may."""
    house = open_house(rounds={"maximum": 1, "deadline_seconds": 30.0, "retries": 0})
    for _restart in range(2):
        for number in range(20):
            moved = house.paper.bundle.weights * np.float32(1 + number / 32)
            for purpose in ("statistics", "round", "closing", "test"):
                task = house.task(purpose, 0 if purpose == "statistics" else 1, weights=moved)
                house.porter.visit(house.sealed(task, moved))
        house.reopen()
    released = [entry for entry in house.entries() if entry["event"] == "release"]
    assert 1 < len({(entry["task"], entry["result"], *entry["arrays"]) for entry in released}) <= 4


def test_a_receipt_that_is_not_signed_by_itself_is_refused(house):
    """The ledger keeps a receipt without the task that brought it: unsigned, or signed by another, it is not taken."""
    release = house.porter.visit(house.sealed(house.task("statistics")))
    receipt = Receipt(task_id=house.read(release).task_id, reply=sha256(release.envelope.message), verdict="counted")
    forged = SigningKey.generate().sign("receipt", model_bytes(receipt))
    as_task = house.paper.key.sign("task", model_bytes(receipt))
    for signature in (None, forged, as_task):
        assert house.code(house.sealed(house.task("round", 1, receipt=receipt, receipt_signature=signature))) == "H-SIGNATURE"
    assert house.code(house.sealed(house.task("round", 1, receipt_signature=forged))) == "H-SIGNATURE"
    assert not [entry for entry in house.entries() if entry["event"] == "receipt"]


def test_receipts_are_written_down(house):
    """What the coordinator did with the last reply stands in the ledger; a receipt for another task does not."""
    release = house.porter.visit(house.sealed(house.task("statistics")))
    reply = house.read(release)
    receipt = Receipt(task_id=reply.task_id, reply=sha256(release.envelope.message), verdict="counted")
    for other in ({"task_id": "0" * 64}, {"reply": "0" * 64}):
        house.spy.outcome = lambda _work: Busy(1, 2)
        house.visit("round", 1, receipt=receipt.model_copy(update=other))
    house.visit("round", 1, receipt=receipt)
    receipts = [entry for entry in house.entries() if entry["event"] == "receipt"]
    assert [(entry["task_id"], entry["verdict"]) for entry in receipts] == [(reply.task_id, "counted")]


def test_a_refused_task_may_be_asked_again(house):
    """A refusal of the worker does not use up the task: when the cause is mended, the next attempt is done."""
    house.spy.outcome = lambda _work: NotDone("H-DATA")
    assert house.visit("statistics").code == "H-DATA"
    house.spy.outcome = None
    assert isinstance(house.visit("statistics", attempt=1), Reply)


@pytest.mark.parametrize(
    "error",
    [
        ValueError(PATIENT),
        KeyError(PATIENT),
        RecursionError(PATIENT),
        MemoryError(PATIENT),
        UnicodeDecodeError("utf-8", PATIENT.encode(), 0, 1, PATIENT),
    ],
)
def test_nothing_of_an_exception_leaves(house, error, caplog):
    """A worker that dies with a patient's data in its message: a bare H-FAILED leaves; neither bytes nor ledger hold the data."""

    def fail(work):
        raise error

    house.spy.outcome = fail
    release = house.porter.visit(house.sealed(house.task("statistics")))
    answer = house.read(release)
    assert isinstance(answer, SiloRefusal)
    assert (answer.code, answer.report) == ("H-FAILED", None)
    assert PATIENT.encode() not in release.envelope.message
    assert release.envelope.arrays == ()
    assert PATIENT not in json.dumps(house.entries())
    house.spy.outcome = None
    assert isinstance(house.visit("statistics"), Reply), "the door stays open"


def test_what_the_worker_breaks_on_purpose_is_no_way_out(house):
    """A result of foreign types is stopped before it becomes bytes."""
    house.spy.outcome = lambda work: replace(house.spy.honest(work), result=PATIENT)
    release = house.porter.visit(house.sealed(house.task("statistics")))
    assert house.read(release).code == "H-GATE"
    assert PATIENT.encode() not in release.envelope.message


def test_when_the_ledger_cannot_write_nothing_leaves(house, monkeypatch):
    """Neither a result nor a refusal is released when the disk does not take its entry."""

    def full(descriptor):
        raise OSError(28, "no space")

    monkeypatch.setattr("os.fsync", full)
    for envelope in (house.sealed(house.task("statistics")), Envelope(b"x", "0" * 128)):
        with pytest.raises(Refused) as caught:
            house.porter.visit(envelope)
        assert caught.value.codes == ("O-WRITE",)
    monkeypatch.undo()
    assert house.entries() == []


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_mutated_task_never_reaches_the_worker(house, data):
    """Bytes changed anywhere in message, signature or weights: refused by code, and nothing is done."""
    good = house.sealed(house.task("round", 1))
    parts = {
        "message": good.message,
        "signature": good.signature.encode(),
        "array": bytes(good.arrays[0]),
        "key": good.body_key.encode(),
    }
    name = data.draw(st.sampled_from(sorted(parts)))
    place = data.draw(st.integers(0, len(parts[name]) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda each: each != parts[name][place]))
    parts[name] = parts[name][:place] + bytes([byte]) + parts[name][place + 1 :]
    mutated = Envelope(parts["message"], parts["signature"].decode("latin-1"), (parts["array"],), parts["key"].decode("latin-1"))
    assert house.code(mutated) in ("H-PROTOCOL", "H-STUDY", "H-SIGNATURE", "H-BODY")
    assert house.spy.asked == []
