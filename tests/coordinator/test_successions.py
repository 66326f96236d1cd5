"""New keys of an enrolled hospital: only what follows is accepted; both nodes are let in until the new one comes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner
from paper_successions import renewed, succession
from studies_on_paper import party, signing_key

from coordinator.commands import coordinator
from coordinator.door import Door, KeysTaken
from coordinator.enrolment import check_succession, enrol, enrol_succession
from coordinator.identity import CentreFile, enrolled, init_centre, load_centre
from coordinator.removal import remove, removed
from coordinator.successions import in_use, kept_successions, newest, take
from wardround.errors import Refused
from wardround.identity.invitation import read_invitation, verify_invitation
from wardround.identity.roster import Roster

FIRST, BETA = party("alpha"), party("beta")
SECOND, THIRD = renewed(FIRST, "2"), renewed(FIRST, "3")
SIGNED, NEXT = succession(FIRST, SECOND), succession(SECOND, THIRD)
MONTH = timedelta(days=30)


@pytest.fixture
def centre(tmp_path, monkeypatch):
    """A centre with two hospitals."""
    monkeypatch.setattr("coordinator.door.LOOK_SECONDS", 0.0)
    init_centre(tmp_path, CentreFile(name="The centre", address="centre.example:8443", listen="127.0.0.1:9443"))
    for each in (FIRST, BETA):
        enrol(tmp_path, each.member, MONTH)
    return tmp_path


def codes(call) -> tuple[str, ...]:
    with pytest.raises(Refused) as caught:
        call()
    return caught.value.codes


def files(centre):
    return {path.name: path.read_bytes() for folder in ("silos", "invitations") for path in (centre / folder).iterdir()}


@dataclass
class Node:
    """A node that Flower knows."""

    node_id: int
    public_key: bytes
    online: bool = False


class Paper:
    """Flower's register."""

    def __init__(self) -> None:
        self.known: dict[bytes, Node] = {}

    def register(self, public_key: bytes) -> int:
        return self.known.setdefault(public_key, Node(len(self.known) + 1, public_key)).node_id

    def unregister(self, node_id: int) -> None:
        self.known = {key: node for key, node in self.known.items() if node.node_id != node_id}

    def nodes(self) -> list[Node]:
        return list(self.known.values())

    def connect(self, party) -> None:
        self.known[party.member.node_key.encode()].online = True

    def lets_in(self, party) -> bool:
        return party.member.node_key.encode() in self.known


def roster(centre) -> Roster:
    return Roster(coordinator=load_centre(centre).coordinator, silos=(FIRST.member, BETA.member))


def test_what_follows_is_accepted_and_invited(centre):
    """The entry has the new keys, for new studies; the old ones stay in use; the same again writes a new invitation."""
    done = enrol_succession(centre, SIGNED, MONTH)
    assert not done.again
    assert enrolled(centre) == (SECOND.member, BETA.member)
    verify_invitation(read_invitation(done.invitation_path).invitation, SECOND.member, datetime.now(UTC))
    kept = kept_successions(centre)
    assert newest(FIRST.member, kept) == SECOND.member
    assert in_use(FIRST.member, kept) == FIRST.member
    assert enrol_succession(centre, SIGNED, MONTH).again
    assert kept_successions(centre) == kept
    assert (centre / "silos" / "alpha.succession-1.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("signed", "code"),
    [
        (succession(FIRST, SECOND, old=signing_key("a stranger")), "I-SUCCESSION"),
        (succession(FIRST, SECOND, approval=signing_key("a stranger")), "I-SUCCESSION"),
        (succession(FIRST, SECOND, new=signing_key("a stranger")), "I-SUCCESSION"),
        (NEXT, "I-SUCCESSION"),
        (succession(party("gamma"), renewed(party("gamma"), "2")), "I-UNKNOWN"),
    ],
)
def test_what_does_not_follow_is_refused(centre, signed, code):
    """A signature that does not hold, keys that are not the enrolled ones, somebody unknown: nothing is written."""
    before = files(centre)
    assert codes(lambda: enrol_succession(centre, signed, MONTH)) == (code,)
    assert files(centre) == before


def test_keys_of_others_are_refused(centre):
    """Another hospital's, or the centre's own."""
    for key in (BETA.key, load_centre(centre).key):
        after = SECOND.member.model_copy(update={"signing_key": key.public})
        stolen = succession(FIRST, type(FIRST)(after, key, FIRST.approval_key, SECOND.encryption))
        assert codes(lambda stolen=stolen: check_succession(centre, stolen)) == ("I-KEYS",)


def test_older_keys_are_nobody_elses(centre):
    """Whoever found them in a backup is no new hospital."""
    enrol_succession(centre, SIGNED, MONTH)
    stranger = FIRST.member.model_copy(update={"site": "stranger", "approval_key": "ab" * 32})
    assert codes(lambda: enrol(centre, stranger, MONTH)) == ("I-KEYS",)


def test_one_after_the_other(centre):
    """The next renewal waits until the keys before it are in use; an older key never comes back."""
    enrol_succession(centre, SIGNED, MONTH)
    assert codes(lambda: enrol_succession(centre, NEXT, MONTH)) == ("I-SUCCESSION",)
    take(kept_successions(centre)[0])
    assert codes(lambda: enrol_succession(centre, succession(SECOND, FIRST), MONTH)) == ("I-KEYS",)
    enrol_succession(centre, NEXT, MONTH)
    assert in_use(FIRST.member, kept_successions(centre)) == SECOND.member
    assert newest(FIRST.member, kept_successions(centre)) == THIRD.member


def test_a_removed_hospital_renews_nothing(centre):
    """Stolen keys are removed, not renewed."""
    remove(centre, FIRST.member)
    assert codes(lambda: enrol_succession(centre, SIGNED, MONTH)) == ("I-REMOVED",)


def test_the_door_lets_both_in_until_the_new_one_comes(centre):
    """A study goes on with the old node; the new one's coming is written down, and the next door knows only that."""
    control, study = Paper(), roster(centre)
    door = Door(centre, control)
    old = door.node_ids(study)["alpha"]
    enrol_succession(centre, SIGNED, MONTH)
    door.look()
    assert (control.lets_in(FIRST), control.lets_in(SECOND)) == (True, True)
    assert door.node_ids(study)["alpha"] == old
    assert door.current(FIRST.member) == FIRST.member
    assert door.removed(study) == frozenset()
    control.connect(SECOND)
    with pytest.raises(KeysTaken):
        door.look()
    assert kept_successions(centre)[0].taken

    control = Paper()
    door = Door(centre, control)
    door.look()
    assert (control.lets_in(FIRST), control.lets_in(SECOND)) == (False, True)
    assert door.current(FIRST.member) == SECOND.member
    assert door.node_ids(study)["alpha"] == control.known[SECOND.member.node_key.encode()].node_id
    assert not control.lets_in(FIRST)
    assert door.removed(study) == frozenset()


def test_a_restart_before_the_new_one_came_lets_both_in_again(centre):
    """The centre may die while the invitation is in the mail."""
    enrol_succession(centre, SIGNED, MONTH)
    control = Paper()
    door = Door(centre, control)
    door.look()
    assert (control.lets_in(FIRST), control.lets_in(SECOND)) == (True, True)
    assert door.current(FIRST.member) == FIRST.member


@pytest.mark.parametrize("taken", [True, False])
def test_a_removal_bars_old_and_new_keys(centre, taken):
    """At once, whichever are in use."""
    enrol_succession(centre, SIGNED, MONTH)
    if taken:
        take(kept_successions(centre)[0])
    control = Paper()
    door = Door(centre, control)
    door.look()
    remove(centre, SECOND.member)
    assert door.removed(roster(centre)) == {"alpha"}
    assert (control.lets_in(FIRST), control.lets_in(SECOND)) == (False, False)
    assert removed(centre).bars(FIRST.member)


def test_a_hospital_that_was_removed_before_may_renew_its_keys_later(centre):
    """Its older keys are its own, and bar nobody from a study that names them; keys that it had to give up stay out."""
    remove(centre, FIRST.member)
    enrol(centre, FIRST.member, MONTH, again=True)
    enrol_succession(centre, SIGNED, MONTH)
    door = Door(centre, Paper())
    assert door.removed(roster(centre)) == frozenset()
    remove(centre, SECOND.member)
    fresh = party("alpha", "4").member
    enrol(centre, fresh, MONTH, again=True)
    assert removed(centre).bars(FIRST.member)
    assert removed(centre).bars(SECOND.member)
    assert not removed(centre).bars(fresh)


def test_a_changed_file_stops_the_centre_with_its_name(centre):
    """It would take a hospital for another."""
    enrol_succession(centre, SIGNED, MONTH)
    path = centre / "silos" / "alpha.succession-1.json"
    path.write_bytes(path.read_bytes().replace(SIGNED.new[:8].encode(), b"00000000"))
    with pytest.raises(Refused) as caught:
        Door(centre, Paper())
    assert (caught.value.codes, caught.value.problems[0].place) == (("I-SUCCESSION",), path.name)


def test_the_command_shows_both_fingerprints_and_asks(centre, tmp_path):
    """No is no; yes accepts."""
    path = tmp_path / "succession.json"
    path.write_bytes(SIGNED.file_bytes())
    words = ["enrol", str(path), "--dir", str(centre)]
    shown = CliRunner().invoke(coordinator, words, input="n\n", standalone_mode=False)
    assert shown.return_value == 1
    assert FIRST.member.fingerprint in shown.output
    assert SECOND.member.fingerprint in shown.output
    assert not kept_successions(centre)
    done = CliRunner().invoke(coordinator, words, input="y\n", standalone_mode=False)
    assert done.return_value == 0
    assert "New keys of: Hospital alpha (site alpha)." in done.output
    assert enrolled(centre)[0] == SECOND.member
