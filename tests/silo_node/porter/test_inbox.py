"""Offers: a bundle comes to the inbox only from the centre that the hospital joined, and waits for a person."""

from __future__ import annotations

from datetime import timedelta

import pytest
from ledgers import entries_of
from paper_doors import SITE, STUDY, Door
from studies_on_paper import Paper, author, paper, signing_key

from silo_node.centre_software import last_heard
from silo_node.policy import PolicyFile
from silo_node.porter import inbox
from silo_node.porter.approvals import Approvals, approve
from silo_node.porter.gate import Gate
from silo_node.porter.porter import Porter
from wardround.errors import Refused
from wardround.identity.approval import Approver
from wardround.identity.keys import SigningKey
from wardround.messages.confidential import encrypted_for
from wardround.messages.envelope import Envelope, digests, read, seal
from wardround.messages.offer import Offer
from wardround.messages.round import ANSWER, SiloRefusal
from wardround.study.bundle import bundle_bytes


def offered(
    study: Paper = STUDY,
    to: str = SITE,
    body: bytes | None = None,
    key: SigningKey | None = None,
    by: str | None = None,
    software: str | None = None,
) -> Envelope:
    """Make an offer, of a bundle that is signed by the author ``by``."""
    arrays = () if body is None else (body,)
    key_of_author = study.bundle.author_key if by is None else by
    offer = Offer(to=to, study_hash=study.bundle.study_hash, author=key_of_author, wardround=software, bodies=digests(arrays))
    return encrypted_for(seal("offer", offer, key or study.key, arrays), STUDY.parties[SITE].member.encryption_key)


WITH_BODY = offered(body=bundle_bytes(STUDY.bundle))
READS, STRANGER = STUDY.parties[SITE].member.encryption_key, STUDY.parties["alpha"].member.encryption_key


@pytest.fixture
def door(tmp_path):
    """A hospital that joined the study's centre."""
    made = Door(tmp_path)
    yield made
    made.ledger.close()


def person(door: Door, **changes) -> None:
    """Have a person approve the study."""
    approve(
        door.folder,
        STUDY.bundle,
        door.party.member,
        changes.get("key", door.party.approval_key),
        Approver(name="Dr A", role="DPO"),
        changes.get("valid", timedelta(days=1)),
    )


def test_a_study_comes_and_waits(door):
    """First it is unknown, then it is there byte for byte and waits; asking again changes nothing."""
    assert door.ask(offered()) == "unknown"
    body = bundle_bytes(STUDY.bundle)
    assert door.ask(offered(body=body)) == "waiting"
    assert (door.folder / "inbox" / f"{STUDY.bundle.study_hash}.wardround").read_bytes() == body
    assert door.ask(offered()) == "waiting"
    (entry,) = door.inbox.entries()
    assert (entry.bundle.study_hash, entry.state, entry.codes) == (STUDY.bundle.study_hash, "waiting", ())


@pytest.mark.parametrize(("bundles", "size"), [(0, 10**9), (2, 10**9), (9, len(bundle_bytes(STUDY.bundle)) + 4)])
def test_the_inbox_has_an_end(door, monkeypatch, caplog, bundles, size):
    """Beyond so many bundles, or so many bytes of them all, nothing is written; the log says A-FULL. One that fits is taken."""
    monkeypatch.setattr(inbox, "MOST_BUNDLES", bundles)
    monkeypatch.setattr(inbox, "MOST_BYTES", size)
    folder = door.folder / "inbox"
    folder.mkdir()
    for number in range(2):
        (folder / f"{number}.wardround").write_bytes(b"abc")
    with caplog.at_level("WARNING"):
        assert door.ask(WITH_BODY) == "refused"
    assert "A-FULL" in caplog.text
    assert len(list(folder.iterdir())) == 2
    (folder / "0.wardround").unlink()
    monkeypatch.setattr(inbox, "MOST_BUNDLES", 2)
    assert door.ask(WITH_BODY) == "waiting"


def test_an_offer_says_which_software_the_centre_runs(door):
    """The centre's word is kept for the doctor; of a stranger, or for another hospital, nothing is."""
    for envelope in (offered(software="9.9.9", key=signing_key("stranger")), offered(software="9.9.9", to="alpha"), offered()):
        door.ask(envelope)
        assert last_heard(door.folder) is None
    door.ask(offered(software="1.2.3"))
    told = last_heard(door.folder)
    assert told is not None
    assert told.wardround == "1.2.3"
    door.ask(offered(software="1.2.3"))
    assert last_heard(door.folder) == told, "what is no news is not written again"
    door.ask(offered(software="1.3.0"))
    assert last_heard(door.folder).wardround == "1.3.0"


def test_a_person_decides(door):
    """Approved, rejected, approved after all: the centre hears each; a rejection withdraws the approval."""
    door.ask(offered(body=bundle_bytes(STUDY.bundle)))
    person(door)
    assert door.ask(offered()) == "approved"
    door.inbox.reject(STUDY.bundle, "ethics")
    assert door.ask(offered()) == "rejected"
    assert not (door.folder / "approvals" / f"{STUDY.bundle.study_hash}.json").exists()
    person(door)
    assert door.ask(offered()) == "approved"


def test_the_reason_stays(door):
    """The centre hears that a study was rejected, never why."""
    door.inbox.reject(STUDY.bundle, "ethics")
    answer = door.porter.visit(offered()).envelope
    assert b"ethics" not in answer.message


def test_an_approval_that_does_not_hold_is_no_approval(door):
    """An approval by another key, or one that has ended, leaves the study waiting, and the hospital is told why."""
    door.ask(offered(body=bundle_bytes(STUDY.bundle)))
    person(door, key=signing_key("a stranger"))
    assert door.ask(offered()) == "waiting"
    assert door.inbox.entries()[0].codes == ("A-INVALID",)
    person(door, valid=timedelta(seconds=-1))
    assert door.ask(offered()) == "waiting"
    assert door.inbox.entries()[0].codes == ("A-EXPIRED",)


@pytest.mark.parametrize(
    ("envelope", "code"),
    [
        (offered(key=signing_key("a stranger")), "H-SIGNATURE"),
        (offered(to="alpha"), "H-SIGNATURE"),
        (encrypted_for(Envelope(offered().message, offered().signature, (b"more",)), READS), "H-SIGNATURE"),
        (Envelope(WITH_BODY.message, WITH_BODY.signature, (bundle_bytes(STUDY.bundle),)), "H-SIGNATURE"),
        (encrypted_for(Envelope(WITH_BODY.message, WITH_BODY.signature, (bundle_bytes(STUDY.bundle),)), STRANGER), "H-SIGNATURE"),
        (Envelope(b"{}", "0" * 128), "H-PROTOCOL"),
    ],
    ids=["another centre", "another hospital", "another body", "plain body", "a body for others", "no offer"],
)
def test_only_the_joined_centre_may_offer(door, envelope, code):
    """What is not signed by the centre that this hospital joined, or not for it, is refused and stores nothing."""
    assert door.ask(envelope) == code
    assert not (door.folder / "inbox").exists()


def test_a_bundle_that_does_not_hold_is_refused(door):
    """A damaged bundle, another study's, or one without this hospital is refused, and nothing is stored."""
    other = paper(seed=8)
    without = paper(sites=("alpha", "gamma"))
    for body in (b"damaged", bundle_bytes(other.bundle), bundle_bytes(STUDY.bundle)[:-1]):
        assert door.ask(offered(body=body)) == "refused"
    assert door.ask(offered(without, body=bundle_bytes(without.bundle))) == "refused"
    assert not (door.folder / "inbox").exists()


def test_a_hospital_that_joined_no_centre_takes_no_offer(tmp_path):
    """Without a centre (a simulation), offers are refused."""
    door = Door(tmp_path)
    porter = Porter(
        SITE,
        tmp_path,
        door.party.encryption,
        Approvals(tmp_path, door.party.member),
        Gate(SITE, door.party.key, door.ledger, PolicyFile(tmp_path)),
        None,
    )
    refusal = read(porter.visit(offered()).envelope, ANSWER)
    assert isinstance(refusal, SiloRefusal)
    assert refusal.code == "H-PROTOCOL"
    door.ledger.close()


def test_a_study_that_breaks_the_policy_waits_for_nobody(door):
    """The centre hears one bare word, the hospital's own list has the codes; no reason leaves."""
    (door.folder / "policy.yaml").write_text("maximum_rounds: 2\nauthors: []\n")
    assert door.ask(offered()) == "unknown"
    assert door.ask(offered(body=bundle_bytes(STUDY.bundle))) == "refused-by-policy"
    (entry,) = door.inbox.entries()
    assert (entry.state, entry.codes) == ("refused-by-policy", ("G-AUTHOR", "G-ROUNDS"))
    answer = door.porter.visit(offered()).envelope
    assert b"G-" not in answer.message
    with pytest.raises(Refused) as refused:
        person(door)
    assert refused.value.codes == ("G-AUTHOR", "G-ROUNDS")
    assert door.ask(offered()) == "refused-by-policy"


def test_the_policy_of_now_decides_about_an_offer(door):
    """A policy that was loosened lets the study wait for a person; one that was tightened refuses what was approved."""
    policy = door.folder / "policy.yaml"
    policy.write_text("maximum_rounds: 2\n")
    assert door.ask(offered(body=bundle_bytes(STUDY.bundle))) == "refused-by-policy"
    policy.write_text("maximum_rounds: 3\n")
    assert door.ask(offered()) == "waiting"
    person(door)
    assert door.ask(offered()) == "approved"
    policy.write_text("maximum_rounds: 2\n")
    assert door.ask(offered()) == "refused-by-policy"
    door.inbox.reject(STUDY.bundle, "ethics")
    assert door.ask(offered()) == "rejected", "what a person said stands"


def test_under_a_policy_that_cannot_be_read_nothing_is_said_of_a_study(door):
    """The centre is not told that a study waits or is approved; it asks again."""
    (door.folder / "policy.yaml").write_text("maximum_rounds: many\n")
    assert door.ask(offered(body=bundle_bytes(STUDY.bundle))) == "H-FAILED"


def test_what_was_said_is_written_down_once(door):
    """The ledger has each change of what the centre was told, not every question."""
    for envelope in (offered(), offered(), offered(body=bundle_bytes(STUDY.bundle)), offered(), offered()):
        door.ask(envelope)
    events = entries_of(door.folder / "ledger", door.party.key.public)
    assert [(entry["event"], entry["state"]) for entry in events] == [("offer", "unknown"), ("offer", "waiting")]


SIGNED = STUDY.bundle.signed(*author())
NAMESAKE = STUDY.bundle.signed(*author(key="a namesake"))


def by(bundle, *, body: bool = True) -> Envelope:
    """Offer the study under an author's signature."""
    return offered(body=bundle_bytes(bundle) if body else None, by=bundle.author_key)


def test_an_offer_names_the_authors_key(door):
    """A bundle under another author's signature than the offer says is refused, and nothing is stored."""
    assert door.ask(offered(body=bundle_bytes(SIGNED))) == "refused"
    assert door.ask(offered(body=bundle_bytes(NAMESAKE), by=SIGNED.author_key)) == "refused"
    assert not (door.folder / "inbox").exists()
    assert door.ask(by(SIGNED)) == "waiting"
    assert door.ask(by(SIGNED, body=False)) == "waiting"


def test_before_a_person_decides_the_author_may_sign(door):
    """An unsigned bundle that waits gives way to the signed one; both are the same study."""
    assert door.ask(offered(body=bundle_bytes(STUDY.bundle))) == "waiting"
    assert door.ask(by(SIGNED, body=False)) == "unknown", "the centre is asked for it"
    assert door.ask(by(SIGNED)) == "waiting"
    assert door.inbox.entries()[0].bundle.author_key == SIGNED.author_key


def test_a_full_inbox_takes_another_signature_on_what_is_in_it(door, monkeypatch):
    """The signed bundle takes the place of the unsigned one, and needs none beside it."""
    monkeypatch.setattr(inbox, "MOST_BUNDLES", 1)
    assert door.ask(offered(body=bundle_bytes(STUDY.bundle))) == "waiting"
    assert door.ask(by(SIGNED)) == "waiting"
    assert door.inbox.entries()[0].bundle.author_key == SIGNED.author_key


def test_nobody_swaps_the_author_of_an_approved_study(door):
    """What a person approved stays; the study under another author's word is refused, and a rejection stands for both."""
    door.ask(by(SIGNED))
    approve(door.folder, SIGNED, door.party.member, door.party.approval_key, Approver(name="A", role="B"), timedelta(days=1))
    held = (door.folder / "inbox" / f"{SIGNED.study_hash}.wardround").read_bytes()
    for bundle in (NAMESAKE, STUDY.bundle):
        assert door.ask(by(bundle)) == "refused"
    assert (door.folder / "inbox" / f"{SIGNED.study_hash}.wardround").read_bytes() == held
    assert door.ask(by(SIGNED, body=False)) == "approved"
    door.inbox.reject(SIGNED, "ethics")
    assert door.ask(by(NAMESAKE)) == "rejected"
