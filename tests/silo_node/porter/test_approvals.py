"""Default deny: nothing of a study that was not approved, exactly as it is, reaches the records."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from studies_on_paper import author, paper, party

from silo_node.policy import Policy
from silo_node.porter import approvals
from silo_node.porter.approvals import Approvals, approve, given_approvals, pause, resume
from silo_node.porter.inbox import Inbox
from silo_node.porter.manifest import egress_manifest
from wardround.canonical import canonical_bytes, model_bytes
from wardround.errors import Refused
from wardround.identity.approval import ApprovedData, Approver, EarlierApproval, SignedApproval
from wardround.identity.keys import SigningKey
from wardround.study.bundle import bundle_bytes
from wardround.values import instant

PERSON = Approver(name="Dr A", role="data protection officer")


def refusal(folder, study) -> tuple[str, ...]:
    with pytest.raises(Refused) as caught:
        Approvals(folder, study.parties["beta"].member).require(study.bundle.study_hash)
    return caught.value.codes


@pytest.fixture
def approved(tmp_path):
    """Give a study and the folder of a hospital that approved it."""
    study = paper()
    beta = study.parties["beta"]
    approve(tmp_path, study.bundle, beta.member, beta.approval_key, PERSON, timedelta(days=1))
    return study, tmp_path


def file_of(study, folder) -> Path:
    return folder / "approvals" / f"{study.bundle.study_hash}.json"


def rewrite(study, folder, key: SigningKey | None = None, **changes) -> None:
    """Change the approval's content; signed anew when a key is given."""
    signed = SignedApproval.model_validate_json(file_of(study, folder).read_bytes())
    approval = signed.approval.model_copy(update=changes)
    signature = signed.signature if key is None else key.sign("approval", model_bytes(approval))
    value = {"approval": approval.model_dump(mode="json"), "signature": signature}
    file_of(study, folder).write_bytes(canonical_bytes(value))


def test_an_approved_study_is_given(approved):
    """A good approval gives exactly the bundle that was approved, and its own digest."""
    study, folder = approved
    found = Approvals(folder, study.parties["beta"].member).require(study.bundle.study_hash)
    assert bundle_bytes(found.bundle) == bundle_bytes(study.bundle)
    assert found.approval.releases == egress_manifest(study.bundle).releases == 3 + 3
    assert found.approval.egress == egress_manifest(study.bundle).egress_digest()
    assert found.digest == found.approval.approval_digest()
    assert file_of(study, folder).stat().st_mode & 0o777 == 0o600


def test_nobody_approves_what_the_policy_does_not_allow(tmp_path):
    """Whoever signs, a study that breaks the policy is refused with every reason, and no file is written."""
    study = paper()
    beta = study.parties["beta"]
    (tmp_path / "policy.yaml").write_text("coordinators: []\nmaximum_rounds: 2\n")
    with pytest.raises(Refused) as refused:
        approve(tmp_path, study.bundle, beta.member, beta.approval_key, PERSON, timedelta(days=1))
    assert refused.value.codes == ("G-COORDINATOR", "G-ROUNDS")
    assert refused.value.exit_status == 1
    assert [path.name for path in tmp_path.iterdir()] == ["policy.yaml"]


def test_without_an_approval_nothing(tmp_path, approved):
    """No approval, or none of this study, or its bundle is gone: A-MISSING."""
    study, folder = approved
    assert refusal(tmp_path / "elsewhere", study) == ("A-MISSING",)
    assert refusal(folder, paper(parties=study.parties, seed=8)) == ("A-MISSING",)
    (folder / "inbox" / f"{study.bundle.study_hash}.wardround").unlink()
    assert refusal(folder, study) == ("A-MISSING",)


def test_an_approval_ends(approved):
    """A second after its end an approval does not hold, also while the hospital runs."""
    study, folder = approved
    beta = study.parties["beta"]
    running = Approvals(folder, beta.member)
    assert running.require(study.bundle.study_hash)
    now = datetime.now(UTC)
    rewrite(study, folder, beta.approval_key, expires_at=instant(now - timedelta(seconds=1)))
    assert refusal(folder, study) == ("A-EXPIRED",)
    with pytest.raises(Refused) as caught:
        running.require(study.bundle.study_hash)
    assert caught.value.codes == ("A-EXPIRED",)
    rewrite(study, folder, beta.approval_key, expires_at=instant(now + timedelta(minutes=1)))
    assert running.require(study.bundle.study_hash)


def test_the_end_is_looked_at_every_time(approved, monkeypatch):
    """An approval that was verified once still ends at its time."""
    study, folder = approved
    running = Approvals(folder, study.parties["beta"].member)
    running.require(study.bundle.study_hash)

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(days=2)

    monkeypatch.setattr(approvals, "datetime", Later)
    with pytest.raises(Refused) as caught:
        running.require(study.bundle.study_hash)
    assert caught.value.codes == ("A-EXPIRED",)


@pytest.mark.parametrize(
    "change",
    [
        {"releases": 1000},
        {"expires_at": "2999-01-01T00:00:00Z"},
        {"code_digest": "0" * 64},
        {"policy": "0" * 64},
        {"cohort": "0" * 64},
        {"data": ApprovedData(fingerprint="0" * 64)},
        {"approver": PERSON.model_copy(update={"name": "Dr B"})},
    ],
)
def test_an_edited_approval_does_not_hold(approved, change):
    """Every changed word of an approval breaks its signature: A-INVALID."""
    study, folder = approved
    rewrite(study, folder, **change)
    assert refusal(folder, study) == ("A-INVALID",)


@pytest.mark.parametrize("whose", ["signing", "stranger", "alpha"])
def test_only_the_approvers_key_approves(approved, whose):
    """Neither the key that signs replies, nor a stranger's, nor another hospital's approver's."""
    study, folder = approved
    keys = {"signing": study.parties["beta"].key, "stranger": SigningKey.generate(), "alpha": study.parties["alpha"].approval_key}
    rewrite(study, folder, keys[whose])
    assert refusal(folder, study) == ("A-INVALID",)


@pytest.mark.parametrize("change", [{"site": "alpha"}, {"study_hash": "0" * 64}, {"code_digest": "0" * 64}])
def test_an_approval_of_something_else_does_not_hold(approved, change):
    """Signed rightly, but for another site, study or software: A-INVALID."""
    study, folder = approved
    rewrite(study, folder, study.parties["beta"].approval_key, **change)
    assert refusal(folder, study) == ("A-INVALID",)


def test_other_software_is_another_question(approved, monkeypatch):
    """When the installed code is not what was approved, the approval does not hold; the running code counts, from its start."""
    study, folder = approved
    running = Approvals(folder, study.parties["beta"].member)
    monkeypatch.setattr(approvals, "code_digest", lambda _packages: "d" * 64)
    assert running.require(study.bundle.study_hash)
    assert refusal(folder, study) == ("A-INVALID",)


def test_the_bundle_in_the_inbox_is_the_approved_one(approved):
    """An edited or exchanged bundle is refused, also when it was read before."""
    study, folder = approved
    running = Approvals(folder, study.parties["beta"].member)
    running.require(study.bundle.study_hash)
    inbox = folder / "inbox" / f"{study.bundle.study_hash}.wardround"
    good = inbox.read_bytes()
    inbox.write_bytes(good.replace(b'"seed":7', b'"seed":9'))
    with pytest.raises(Refused) as caught:
        running.require(study.bundle.study_hash)
    assert set(caught.value.codes) <= {"B-READ", "B-HASH"}
    inbox.write_bytes(bundle_bytes(paper(parties=study.parties, seed=8).bundle))
    with pytest.raises(Refused) as caught:
        running.require(study.bundle.study_hash)
    assert caught.value.codes == ("A-INVALID",)
    inbox.write_bytes(good)
    assert running.require(study.bundle.study_hash)


@pytest.mark.parametrize("data", [b"", b"{}", b"null", b"\xff", b'{"approval":null,"signature":"x"}'])
def test_other_files_are_no_approvals(approved, data):
    """A file that is no approval is A-INVALID."""
    study, folder = approved
    file_of(study, folder).write_bytes(data)
    assert refusal(folder, study) == ("A-INVALID",)


def test_unknown_keys_in_an_approval_are_refused(approved):
    """An approval with more in it than we know is not ours to interpret."""
    study, folder = approved
    value = json.loads(file_of(study, folder).read_bytes())
    value["approval"]["exceptions"] = "none"
    file_of(study, folder).write_bytes(json.dumps(value).encode())
    assert refusal(folder, study) == ("A-INVALID",)


@pytest.mark.parametrize("member", ["stranger", "same name"])
def test_a_hospital_approves_only_what_names_it_with_its_own_keys(tmp_path, member):
    """A study whose roster lacks this hospital, or has other keys for it, cannot be approved; nothing is written."""
    study = paper()
    other = party("delta") if member == "stranger" else party("beta", "other keys")
    with pytest.raises(Refused) as caught:
        approve(tmp_path, study.bundle, other.member, other.approval_key, PERSON, timedelta(days=1))
    assert caught.value.codes == ("P-ROSTER",)
    assert list(tmp_path.iterdir()) == []


def test_a_hospital_with_new_keys_asks_again(approved):
    """After a change of keys the old approval does not hold."""
    study, folder = approved
    with pytest.raises(Refused) as caught:
        Approvals(folder, party("beta", "new keys").member).require(study.bundle.study_hash)
    assert caught.value.codes == ("A-INVALID",)


def test_a_paused_study_stays_approved_and_does_nothing(approved):
    """Paused, it is A-PAUSED at once, over every restart; resumed, it is the same approval."""
    study, folder = approved
    approvals_here = Approvals(folder, study.parties["beta"].member)
    before = approvals_here.require(study.bundle.study_hash).digest
    pause(folder, "beta", study.bundle.study_hash)
    for each in (approvals_here, Approvals(folder, study.parties["beta"].member)):
        with pytest.raises(Refused) as caught:
            each.require(study.bundle.study_hash)
        assert caught.value.codes == ("A-PAUSED",)
    assert resume(folder, study.bundle.study_hash)
    assert approvals_here.require(study.bundle.study_hash).digest == before
    assert not resume(folder, study.bundle.study_hash)


def test_a_pause_that_cannot_be_read_holds(approved):
    """Whatever is in the file: while it is there, nothing goes on; one of the gate says so."""
    study, folder = approved
    file = folder / "approvals" / f"{study.bundle.study_hash}.paused.json"
    file.write_text("{")
    assert refusal(folder, study) == ("A-PAUSED",)
    pause(folder, "beta", study.bundle.study_hash, by="gate")
    with pytest.raises(Refused, match="gate"):
        Approvals(folder, study.parties["beta"].member).require(study.bundle.study_hash)


def test_the_policy_under_which_it_was_given_is_kept(approved):
    """It is found by its digest; missing, or another one in its place, the approval does not hold."""
    study, folder = approved
    found = Approvals(folder, study.parties["beta"].member).require(study.bundle.study_hash)
    assert found.policy == Policy()
    (file,) = (folder / "approvals" / "policies").iterdir()
    assert file.name == f"{found.approval.policy}.json"
    before = file.read_bytes()
    file.write_bytes(before.replace(b'"small_cell":11', b'"small_cell":1'))
    assert refusal(folder, study) == ("A-INVALID",)
    file.unlink()
    assert refusal(folder, study) == ("A-INVALID",)
    file.write_bytes(before)
    Approvals(folder, study.parties["beta"].member).require(study.bundle.study_hash)


def test_an_approval_of_an_earlier_release_does_not_hold_and_can_be_read(approved):
    """It knew neither policy nor records: A-INVALID, until it is given anew; a ledger that holds it is read as ever."""
    study, folder = approved
    key = study.parties["beta"].approval_key
    signed = SignedApproval.model_validate_json(file_of(study, folder).read_bytes())
    known = {name: value for name, value in signed.approval.__dict__.items() if name in EarlierApproval.model_fields}
    earlier = EarlierApproval.model_validate({**known, "protocol": 1})
    value = SignedApproval(approval=earlier, signature=key.sign("approval", model_bytes(earlier)))
    file_of(study, folder).write_bytes(model_bytes(value))
    assert refusal(folder, study) == ("A-INVALID",)
    again = SignedApproval.model_validate_json(model_bytes(value))
    assert again == value
    assert again.holds(key.public)


def test_nothing_is_fixed_that_was_not_read():
    """An approval cannot hold a hospital to records that nobody looked at."""
    with pytest.raises(ValueError, match="not read"):
        ApprovedData(fixed=True)
    assert ApprovedData(fingerprint="e" * 64, fixed=True).fixed


def test_a_pause_that_cannot_be_removed_holds_and_says_so(approved):
    """What lies in its place is no file of ours: a coded refusal, and the study stays held up."""
    study, folder = approved
    (folder / "approvals" / f"{study.bundle.study_hash}.paused.json").mkdir()
    with pytest.raises(Refused) as caught:
        resume(folder, study.bundle.study_hash)
    assert caught.value.codes == ("O-WRITE",)
    assert refusal(folder, study) == ("A-PAUSED",)


def test_to_resume_is_not_to_approve(tmp_path):
    """What was never approved stays so, however often it is paused and resumed."""
    study = paper()
    pause(tmp_path, "beta", study.bundle.study_hash)
    assert refusal(tmp_path, study) == ("A-MISSING",)
    resume(tmp_path, study.bundle.study_hash)
    assert refusal(tmp_path, study) == ("A-MISSING",)


def test_every_approval_is_kept_for_whoever_reads_the_ledger(approved):
    """Approved again, and withdrawn: both approvals can still be read; a forged one is not among them."""
    study, folder = approved
    beta = study.parties["beta"]
    first = SignedApproval.model_validate_json(file_of(study, folder).read_bytes()).approval
    second = approve(folder, study.bundle, beta.member, beta.approval_key, PERSON, timedelta(days=2))
    file_of(study, folder).unlink()
    stranger = party("gamma")
    approve(folder, study.bundle, beta.member, stranger.approval_key, PERSON, timedelta(days=3))
    (folder / "approvals" / "given" / "torn.json").write_text("{")
    assert given_approvals(folder, beta.member) == sorted([first, second], key=lambda each: (each.approved_at, each.nonce))


def test_a_no_stands_until_the_new_approval_does(approved):
    """The disk does not take a new approval: the study is still rejected, whatever else lies there."""
    study, folder = approved
    beta = study.parties["beta"]
    rejected = folder / "approvals" / f"{study.bundle.study_hash}.rejected.json"
    rejected.write_text("{}")
    given = folder / "approvals" / "given"
    given.rename(folder / "away")
    given.write_bytes(b"no folder")
    with pytest.raises(Refused) as caught:
        approve(folder, study.bundle, beta.member, beta.approval_key, PERSON, timedelta(days=1))
    assert caught.value.codes == ("O-WRITE",)
    assert refusal(folder, study) == ("A-MISSING",)
    given.unlink()
    approve(folder, study.bundle, beta.member, beta.approval_key, PERSON, timedelta(days=1))
    assert Approvals(folder, beta.member).require(study.bundle.study_hash)


def test_an_approval_that_was_rejected_cannot_be_put_back(approved):
    """Its file is kept, signed, for whoever reads the ledger; that makes no approval. Only the approver's key does."""
    study, folder = approved
    beta = study.parties["beta"]
    here = Approvals(folder, beta.member)
    Inbox(folder, beta.member, here, None).reject(study.bundle, "ethics")
    (given,) = (folder / "approvals" / "given").iterdir()
    file_of(study, folder).write_bytes(given.read_bytes())
    for each in (here, Approvals(folder, beta.member)):
        with pytest.raises(Refused) as caught:
            each.require(study.bundle.study_hash)
        assert caught.value.codes == ("A-MISSING",)
    approve(folder, study.bundle, beta.member, beta.approval_key, PERSON, timedelta(days=1))
    here.require(study.bundle.study_hash)


def test_an_approval_names_the_authors_key(tmp_path):
    """Whoever swaps, adds or takes away the author's signature in the inbox has no approval any more."""
    study = paper()
    beta, namesake = study.parties["beta"], study.bundle.signed(*author(key="a namesake"))
    signed = study.bundle.signed(*author())
    given = approve(tmp_path, signed, beta.member, beta.approval_key, PERSON, timedelta(days=1))
    assert given.author == signed.author_key
    running, inbox = Approvals(tmp_path, beta.member), tmp_path / "inbox" / f"{study.bundle.study_hash}.wardround"
    assert running.require(study.bundle.study_hash).bundle.author_key == signed.author_key
    for other in (namesake, study.bundle):
        inbox.write_bytes(bundle_bytes(other))
        assert refusal(tmp_path, study) == ("A-INVALID",)
        with pytest.raises(Refused):
            running.require(study.bundle.study_hash)
    inbox.write_bytes(bundle_bytes(signed.countersigned(study.key)))
    assert running.require(study.bundle.study_hash), "the centre's signature beside it changes nothing"
