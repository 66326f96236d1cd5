"""The egress gate: what the approved study does not send, and what the hospital's policy withholds, does not leave."""

import json
from dataclasses import replace

import numpy as np
import pytest
from ledgers import last_segment
from paper_hospitals import PaperHospital, report
from studies_on_paper import contract, scores

from silo_node.policy import PolicyFile
from silo_node.porter.approvals import pause, read_pause
from silo_node.work import Done, NotDone
from wardround.canonical import digest, model_json, sha256
from wardround.identity.approval import ApprovedData
from wardround.ledger.entries import Blocked, Released
from wardround.ledger.folder import read_entries
from wardround.messages.data_report import CountedFinding, FindingSummary, ShownCell, WithheldCell, make_report
from wardround.messages.envelope import Envelope, digests
from wardround.messages.round import Evaluation, EvaluationResult, FieldSums, Reply, RoundResult, SiloRefusal
from wardround.weights.fixed_point import plan_sum


def answer(house, purpose, change) -> Reply | SiloRefusal:
    """Have the worker give a changed outcome for a task."""
    if purpose != "statistics":
        assert isinstance(house.visit("statistics"), Reply)
    house.spy.outcome = lambda work: change(house.spy.honest(work))
    return house.visit(purpose)


def with_result(**changes):
    return lambda done: replace(done, result=done.result.model_copy(update=changes))


def with_change(edit):
    def changed(done: Done) -> Done:
        change = done.change.copy()
        found = edit(change)
        return replace(done, change=change if found is None else found)

    return changed


def put(index, value):
    return with_change(lambda change: change.__setitem__(index, value))


def sums(records: int, field: str = "age") -> FieldSums:
    return FieldSums(field=field, records=records, total="0", squares="0")


REFUSED = {
    "a round's result for statistics": (
        "statistics",
        "H-GATE",
        lambda d: replace(d, result=RoundResult(evaluation=Evaluation(counts=None), training_loss_units=0)),
    ),
    "a test's result for closing": ("closing", "H-GATE", with_result(purpose="test")),
    "no change": ("round", "H-GATE", lambda d: replace(d, change=None)),
    "a change of another size": ("round", "H-GATE", with_change(lambda c: c[:-1])),
    "a change of another shape": ("round", "H-GATE", with_change(lambda c: c.reshape(1, -1))),
    "NaN": ("round", "H-NONFINITE", put(4, np.nan)),
    "infinite": ("round", "H-NONFINITE", put(0, -np.inf)),
    "out of range": ("round", "H-RANGE", put(5, 1e30)),
    "a change with statistics": ("statistics", "H-GATE", lambda d: replace(d, change=np.zeros(25, np.float32))),
    "a change with closing": ("closing", "H-GATE", lambda d: replace(d, change=np.zeros(25, np.float32))),
    "a change with test": ("test", "H-GATE", lambda d: replace(d, change=np.zeros(25, np.float32))),
    "too few training records": ("statistics", "H-GATE", lambda d: replace(d, records=10)),
    "another record count": ("round", "H-CHANGED", lambda d: replace(d, records=61)),
    "few validation records": ("round", "H-GATE", with_result(evaluation=Evaluation(counts=scores([1] * 5, [2] * 5)))),
    "few at closing": ("closing", "H-GATE", with_result(evaluation=Evaluation(counts=scores([1], [])))),
    "few test records": ("test", "H-GATE", with_result(evaluation=Evaluation(counts=scores([], [1] * 10)))),
    "an empty evaluation": ("test", "H-GATE", with_result(evaluation=Evaluation(counts=scores([], [])))),
    "a small validation count": ("statistics", "H-GATE", with_result(validation=10)),
    "a small test count": ("statistics", "H-GATE", with_result(test=1)),
    "few values": ("statistics", "H-GATE", with_result(sums=(sums(10),))),
    "few missing values": ("statistics", "H-GATE", with_result(sums=(sums(59),))),
    "more values than records": ("statistics", "H-GATE", with_result(sums=(sums(71), sums(71)))),
    "a field that is no feature": ("statistics", "H-GATE", with_result(sums=(sums(60, "disease"),))),
    "a field that nobody knows": ("statistics", "H-GATE", with_result(sums=(sums(60, "smith_john"),))),
    "few records left out": ("statistics", "H-GATE", with_result(report=report(115))),
    "few records beside training": ("statistics", "H-GATE", with_result(report=report(65), validation=None, test=None)),
    "few records in a withheld part": ("statistics", "H-GATE", with_result(report=report(60 + 30 + 7), test=None)),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_may_not_leave_leaves_as_a_bare_code(house, case):
    """A wrong kind, shape, range or count goes out as its code alone: no report, no array, no count."""
    purpose, code, change = REFUSED[case]
    found = answer(house, purpose, change)
    assert isinstance(found, SiloRefusal)
    assert (found.code, found.report) == (code, None)
    entry, refusal = house.entries()[-2:]
    assert refusal["event"] == "refusal"
    assert (entry["event"] == "blocked") == (code == "H-GATE")


def test_what_is_kept_back_is_written_down_and_pauses_the_study(house):
    """H-GATE: the ledger says of what task which part, before the code leaves; then nothing goes on until a person resumes."""
    house.spy.outcome = lambda work: with_result(sums=(sums(60, "smith_john"),))(house.spy.honest(work))
    found = house.visit("statistics")
    assert found.code == "H-GATE"
    entry, refusal = house.entries()
    assert (entry["event"], entry["purpose"], entry["round"], entry["task"]) == ("blocked", "statistics", 0, found.task_id)
    assert entry["parts"] == [{"why": "word", "place": "result.sums.*.field"}]
    assert refusal["code"] == "H-GATE"
    assert "smith" not in json.dumps(house.entries())
    assert read_pause(house.folder, house.paper.bundle.study_hash) == "gate"
    house.spy.outcome = None
    asked = len(house.spy.asked)
    assert house.visit("statistics").code == "H-GATE"
    house.reopen()
    assert house.visit("statistics").code == "H-GATE", "over a restart, too"
    assert [entry["event"] for entry in house.entries()].count("blocked") == 1, "kept back once, refused since"
    assert len(house.spy.asked) == asked, "nothing of it reaches the worker"
    house.goes_on()
    assert isinstance(house.visit("statistics"), Reply)


def test_killed_while_it_keeps_something_back_the_study_does_not_go_on(house, monkeypatch):
    """The study is held up first: no restart in between gives whoever made the result another try."""
    house.spy.outcome = lambda work: with_result(sums=(sums(60, "smith_john"),))(house.spy.honest(work))

    write = house.ledger.write

    def killed(entry):
        if isinstance(entry, Blocked):
            raise KeyboardInterrupt
        return write(entry)

    with monkeypatch.context() as while_writing:
        while_writing.setattr(house.ledger, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            house.visit("statistics")
    house.spy.outcome = None
    house.reopen()
    assert house.visit("statistics").code == "H-GATE"


def test_a_person_who_pauses_as_well_still_learns_of_the_gate(house):
    """A person's pause takes no word away: the centre hears H-GATE, and whoever resumes is told what to read."""
    house.spy.outcome = lambda work: with_result(sums=(sums(60, "smith_john"),))(house.spy.honest(work))
    house.visit("statistics")
    pause(house.folder, "beta", house.paper.bundle.study_hash)
    assert read_pause(house.folder, house.paper.bundle.study_hash) == "gate"
    assert house.visit("statistics").code == "H-GATE"


def test_a_report_of_another_kind_is_kept_back_where_others_were_told(open_house):
    """What is no report is not held against the reports that left before: it is what nobody approved."""
    house = open_house(joined=True)
    assert isinstance(house.visit("statistics"), Reply)
    house.spy.outcome = lambda _work: NotDone("H-DATA", report="smith")
    assert house.visit("round").code == "H-GATE"
    assert house.entries()[-2]["parts"] == [{"why": "kind", "place": None}]


@pytest.mark.parametrize("code", ["H-RANGE", "H-NONFINITE", "H-NORM", "H-CHANGED", "H-FEW", "H-FAILED", "H-POLICY"])
def test_an_ordinary_refusal_pauses_nothing(house, code):
    """What the records, the training or the policy of now bring is said by its code, and the study goes on with the next task."""
    house.visit("statistics")
    house.spy.outcome = lambda _work: NotDone(code)
    assert house.visit("round", 1).code == code
    house.spy.outcome = None
    assert isinstance(house.visit("round", 2), Reply)
    assert [entry["event"] for entry in house.entries()] == ["release", "refusal", "release"]


def test_each_kind_of_result_leaves_so_often_and_no_more(house):
    """Another evaluation at the end is one closing too many, however many releases are left under the approval."""
    house.visit("statistics")
    assert isinstance(house.visit("closing", 1), Reply)
    house.reopen()
    assert house.visit("closing", 2).code == "H-GATE"
    assert house.entries()[-2]["parts"] == [{"why": "times", "place": None}]


def test_the_bytes_under_an_approval_are_those_of_the_manifest(house):
    """Beside how often, all bytes of changes together are counted, over every restart."""
    house.visit("statistics")
    house.visit("round", 1)
    last, size = house.entries()[-1], house.paper.bundle.manifest.byte_count
    more = {"result": "f" * 64, "bytes": size + 1}  # as if one had been larger than the network
    house.ledger.write(Released.model_validate_json(json.dumps({**last, **more})))
    house.reopen()
    assert house.visit("round", 2).code == "H-GATE"
    assert house.entries()[-2]["parts"] == [{"why": "bytes", "place": None}]


def test_a_looser_policy_than_the_approved_one_does_not_hold(open_house):
    """The approval signs the policy: thresholds that are lowered later stay for its study; the ledger names the one that held."""
    house = open_house(small_cell=20, metrics_minimum=25)
    approved = PolicyFile(house.folder).read()
    house.decides("small_cell: 5\nmetrics_minimum: 5\n")
    house.spy.outcome = lambda work: with_result(validation=None, test=None)(house.spy.honest(work))
    assert isinstance(house.visit("statistics"), Reply)
    assert house.entries()[-1]["policy"] == approved.policy_digest()
    few = Evaluation(counts=scores([1] * 12, [2] * 12))
    house.spy.outcome = lambda work: with_result(evaluation=few)(house.spy.honest(work))
    assert house.visit("closing").code == "H-GATE"
    assert house.spy.asked[-1].policy == approved, "the trainer goes by it, too"


def test_records_that_were_fixed_are_held_to(open_house):
    """With an approval that fixes the records, a result of others is H-CHANGED; without, it leaves and the ledger tells."""
    other, same = "d" * 64, "e" * 64
    house = open_house(data=ApprovedData(fingerprint=same, fixed=True))
    house.spy.outcome = lambda work: replace(house.spy.honest(work), data=other)
    assert house.visit("statistics").code == "H-CHANGED"
    house.spy.outcome = lambda work: replace(house.spy.honest(work), data=None)
    assert house.visit("statistics").code == "H-CHANGED"
    house.spy.outcome = lambda work: replace(house.spy.honest(work), data=same)
    assert isinstance(house.visit("statistics"), Reply)
    free = open_house(data=ApprovedData(fingerprint=same))
    free.spy.outcome = lambda work: replace(free.spy.honest(work), data=other)
    assert isinstance(free.visit("statistics"), Reply)
    assert free.entries()[-1]["data"] == other


def test_no_fingerprint_of_records_leaves(open_house):
    """It is keyed, and stands in the approval and the ledger; no message holds it."""
    keyed = "e" * 64
    house = open_house(data=ApprovedData(fingerprint=keyed))
    house.spy.outcome = lambda work: replace(house.spy.honest(work), data=keyed)
    release = house.porter.visit(house.sealed(house.task("statistics")))
    assert isinstance(house.read(release), Reply)
    assert house.entries()[-1]["data"] == keyed
    assert keyed.encode() not in release.envelope.message


def test_a_refused_range_leaves_with_the_exponents_that_it_needs(house):
    """What the trainer says that its change would need goes out with the code; no other code can carry such numbers."""
    needed = tuple(range(len(house.paper.bundle.manifest.tensors)))
    house.visit("statistics")
    house.spy.outcome = lambda _work: NotDone("H-RANGE", exponents=needed)
    found = house.visit("round")
    assert isinstance(found, SiloRefusal)
    assert (found.code, found.exponents) == ("H-RANGE", needed)
    house.spy.outcome = lambda _work: NotDone("H-FEW", exponents=needed)
    found = house.visit("round")
    assert isinstance(found, SiloRefusal)
    assert (found.code, found.exponents) == ("H-GATE", None)


def named(**names) -> FindingSummary:
    return FindingSummary(code="T-NULL", severity="error", **names)


REPORTS = {
    "a foreign field": report(110).model_copy(update={"findings": (named(field="smith_john"),)}),
    "a foreign rule": report(110).model_copy(update={"findings": (named(rule="smith-john"),)}),
    "another schema": report(110).model_copy(update={"schema_id": "smith.john"}),
    "another version": report(110).model_copy(update={"schema_version": "19.61.203"}),
    "another contract": report(110).model_copy(update={"contract_hash": sha256(b"smith")}),
    "few records set aside": report(110).model_copy(update={"quarantined": ShownCell(count=3)}),
    "few records found": report(110).model_copy(
        update={"found": ShownCell(count=10), "valid": WithheldCell(), "quarantined": WithheldCell()}
    ),
    "few findings": report(110).model_copy(update={"findings": (named(field="age", records=ShownCell(count=1)),)}),
}


@pytest.mark.parametrize("case", REPORTS)
def test_reports_name_and_count_nothing_else(house, case):
    """A report with a name that the schema does not have, or a small count, does not leave: not in a result, not in a refusal."""
    found = answer(house, "statistics", with_result(report=REPORTS[case]))
    assert (found.code, found.report) == ("H-GATE", None)
    house.goes_on()
    house.spy.outcome = lambda _work: NotDone("H-DATA", REPORTS[case])
    refused = house.visit("round", 1)
    assert isinstance(refused, SiloRefusal)
    assert (refused.code, refused.report) == ("H-GATE", None)
    assert "smith" not in json.dumps(house.entries())


def test_a_good_report_leaves_with_the_refusal(house):
    """When records are why, the outgoing report goes with the code, and its digest stands in the ledger."""
    finding = CountedFinding(code="T-NULL", severity="error", field="age", records=40, sets_aside=True)
    good = make_report(contract(), found=100, quarantined=40, passed=False, findings=(finding,), small_cell=11)
    house.spy.outcome = lambda _work: NotDone("H-DATA", good)
    found = house.visit("statistics")
    assert isinstance(found, SiloRefusal)
    assert (found.code, found.report) == ("H-DATA", good)
    assert house.entries()[-1]["report"] == digest("result", 1, model_json(good))


def test_the_policy_of_the_hospital_decides(open_house):
    """Thresholds are the hospital's: with a metrics minimum of 5, figures of 10 records leave; with 31, those of 30 do not."""
    for least, passes in ((5, True), (10, True), (11, False)):
        house = open_house(metrics_minimum=least)
        found = answer(house, "closing", with_result(evaluation=Evaluation(counts=scores([1] * 5, [2] * 5))))
        assert isinstance(found, Reply) == passes
    withheld = answer(open_house(metrics_minimum=31), "closing", with_result(evaluation=Evaluation(counts=None)))
    assert isinstance(withheld, Reply)
    assert isinstance(withheld.result, EvaluationResult)


@pytest.mark.parametrize("size", [None, 0, 11])
def test_withheld_is_not_zero_and_zero_may_leave(house, size):
    """A withheld size, zero and the threshold itself may leave, where nothing small follows from them."""
    found = answer(house, "statistics", with_result(validation=size, test=size, report=report(60 + 50)))
    assert isinstance(found, Reply)
    assert found.result.validation == size


def test_the_ledger_has_the_entry_before_the_bytes_exist(house):
    """When a release is returned, its entry is in the file: digests of the result and of each array, count, approval and head."""
    for purpose in ("statistics", "round", "closing", "test"):
        found = house.porter.visit(house.sealed(house.task(purpose)))
        reply, arrays = house.read(found), house.opened(found).arrays
        assert isinstance(reply, Reply)
        entry = house.entries()[-1]
        assert entry["result"] == digest("result", 1, model_json(reply.result))
        assert entry["arrays"] == list(digests(arrays)) == list(reply.bodies)
        assert entry["bytes"] == sum(len(array) for array in arrays)
        assert (entry["task"], entry["study"], entry["records"]) == (reply.task_id, reply.study_hash, 60)
        assert entry["approval"] == reply.approval
        assert reply.ledger == house.ledger.head


def test_the_entry_comes_first(house, monkeypatch):
    """The signature, without which nothing can leave, is made after the entry is on disk."""
    order = []
    key = house.porter._gate._key
    true_sign, true_append = type(key).sign, house.ledger._writer.append
    monkeypatch.setattr(type(key), "sign", lambda self, kind, data: order.append(kind) or true_sign(self, kind, data))
    monkeypatch.setattr(house.ledger._writer, "append", lambda entry: order.append(entry.event) or true_append(entry))
    envelope = house.sealed(house.task("statistics"))
    order.clear()
    house.porter.visit(envelope)
    house.porter.visit(Envelope(b"", "0" * 128))
    assert order == ["approval", "ledger", "release", "ledger", "reply", "refusal", "ledger", "reply"]


def test_every_answer_is_in_the_ledger_and_verifies(house):
    """Results, refusals and repeats each leave a line; the chain verifies, and a changed line is found at the next start."""
    house.visit("statistics")
    house.visit("statistics")
    house.visit("round", 1, to="alpha")
    assert [entry["event"] for entry in house.entries()] == ["release", "repeat", "refusal"]
    path = last_segment(house.folder)
    path.write_bytes(path.read_bytes().replace(b'"records":60', b'"records":61'))
    with pytest.raises(Exception, match="L-BROKEN"):
        house.reopen()


def test_the_ledger_says_how_much_left_for_whom_and_under_whose_approval(house):
    """Beside its digests, a release has figures, norm and receiver; before the first one stands the approval, once."""
    for purpose in ("statistics", "round", "closing"):
        house.visit(purpose)
    member = house.paper.parties["beta"].member
    entries = [entry for _, entry in read_entries(house.folder / "ledger", member.signing_key)]
    assert [entry.event for entry in entries] == ["approval", "release", "release", "release"]
    used, statistics, trained, closing = entries
    assert used.signed.holds(member.approval_key)
    assert used.signed.approval.approver.name == "Dr A"
    assert (used.coordinator, used.tensors) == (house.paper.bundle.roster.coordinator, house.paper.bundle.manifest.tensors)
    assert statistics.figures == ("records", "validation_size", "test_size", "sums", "report")
    assert trained.figures == ("records", "scores", "training_loss", "change_of_weights")
    assert closing.figures == ("records", "scores")
    change = PaperHospital(house.paper, "beta", 60).change(1)
    assert trained.norm == pytest.approx(np.linalg.norm(change.astype(np.float64)), rel=1e-5)
    assert (statistics.norm, closing.norm) == (None, None)
    assert {each.approval for each in entries} == {used.approval}
    assert {each.to for each in entries[1:]} == {house.paper.key.public}
    house.reopen()
    house.visit("test")
    entries = [entry for _, entry in read_entries(house.folder / "ledger", member.signing_key)]
    assert [entry.event for entry in entries].count("approval") == 1


def test_a_refusal_names_the_ledgers_head_after_it(house):
    """As a reply does: so the centre holds a head of every answer. What was asked stands in its entry."""
    house.visit("statistics")
    house.spy.outcome = lambda _work: NotDone("H-FEW")
    refused = house.visit("round", 1)
    assert refused.ledger == house.ledger.head
    entry = house.entries()[-1]
    assert (entry["code"], entry["purpose"], entry["round"]) == ("H-FEW", "round", 1)
    assert entry["to"] == house.paper.key.public


def test_what_leaves_is_what_was_computed(house):
    """The array that leaves is the change, bit for bit, and fits the plan that the task brought."""
    house.visit("statistics")
    release = house.porter.visit(house.sealed(house.task("round", 1)))
    change = PaperHospital(house.paper, "beta", 60).change(1)
    assert house.opened(release).arrays == (change.astype("<f4").tobytes(),)
    assert change.astype("<f4").tobytes() not in release.envelope.arrays, "nobody on the way reads it"
    assert plan_sum(house.paper.bundle.weights, house.paper.bundle.manifest, 225) == house.spy.asked[-1].task.core.plan
