"""Removal: one file on the disk, and a hospital is out; it comes in again by somebody's word only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner
from studies_on_paper import party

from coordinator.commands import coordinator
from coordinator.door import Door
from coordinator.enrolment import enrol
from coordinator.identity import CentreFile, enrolled, entry_path, init_centre, load_centre, removal_path
from coordinator.removal import Removed, find_enrolled, read_removal, removals, remove, removed
from wardround.canonical import model_bytes
from wardround.errors import Refused
from wardround.identity.roster import Member, Roster

ALPHA, BETA, GAMMA = party("alpha").member, party("beta").member, party("gamma").member
NEW_ALPHA = GAMMA.model_copy(update={"site": "alpha"})
MONTH = timedelta(days=30)
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.fixture
def centre(tmp_path):
    """A centre with two hospitals."""
    init_centre(tmp_path, CentreFile(name="The centre", address="centre.example:8443", listen="127.0.0.1:9443"))
    for member in (ALPHA, BETA):
        enrol(tmp_path, member, MONTH)
    return tmp_path


def codes(call) -> tuple[str, ...]:
    with pytest.raises(Refused) as caught:
        call()
    return caught.value.codes


def test_a_removed_hospital_is_not_enrolled_and_nothing_is_lost(centre):
    """Its entry stays byte for byte; the record says who, when and why, for the owner only."""
    entry = entry_path(centre, "alpha").read_bytes()
    remove(centre, ALPHA, "keys lost", NOON)
    assert enrolled(centre) == (BETA,)
    assert entry_path(centre, "alpha").read_bytes() == entry
    record = read_removal(removal_path(centre, "alpha"))
    assert record is not None
    assert (record.member, record.removed_at, record.reason) == (ALPHA, "2026-05-04T12:00:00Z", "keys lost")
    assert record.removed_by
    assert removal_path(centre, "alpha").stat().st_mode & 0o777 == 0o600
    assert removed(centre) == Removed(frozenset({"alpha"}), frozenset())
    assert removed(centre).bars(ALPHA)
    assert not removed(centre).bars(BETA)


def test_who_is_not_there_is_not_removed(centre):
    """An unknown name is told with the nearest one; one that is removed already, as such; a damaged entry, too."""
    with pytest.raises(Refused) as caught:
        find_enrolled(centre, "alpa")
    assert caught.value.codes == ("I-UNKNOWN",)
    assert caught.value.problems[0].next_step == "did you mean alpha?"
    remove(centre, find_enrolled(centre, "alpha"))
    assert codes(lambda: find_enrolled(centre, "alpha")) == ("I-REMOVED",)
    assert codes(lambda: remove(centre, ALPHA)) == ("I-REMOVED",)
    entry_path(centre, "beta").write_bytes(b"{")
    assert codes(lambda: find_enrolled(centre, "beta")) == ("K-FORMAT",)


def test_another_damaged_entry_stops_no_removal(centre):
    """Somebody may be in a hurry."""
    entry_path(centre, "beta").write_bytes(b"{")
    remove(centre, find_enrolled(centre, "alpha"))
    assert removed(centre).bars(ALPHA)


@pytest.mark.parametrize("reason", ["", "a\nb", "\x1b[2J", "x" * 201])
def test_a_reason_is_a_line(centre, reason):
    """Else nobody is removed."""
    assert codes(lambda: remove(centre, ALPHA, reason)) == ("Y-VALUE",)
    assert removed(centre) == Removed()


@pytest.mark.parametrize("member", [ALPHA, NEW_ALPHA], ids=["same keys", "new keys"])
def test_it_comes_in_again_by_somebodys_word_only(centre, member):
    """Without it: refused, and nothing is written. With it: enrolled, and the record of the removal stays."""
    remove(centre, ALPHA, now=NOON)
    invitation = (centre / "invitations" / "alpha.json").read_bytes()
    assert codes(lambda: enrol(centre, member, MONTH)) == ("I-REMOVED",)
    assert (centre / "invitations" / "alpha.json").read_bytes() == invitation
    assert removed(centre).bars(member)
    done = enrol(centre, member, MONTH, again=True)
    assert done.let_in
    assert enrolled(centre) == (member, BETA)
    assert not removed(centre).bars(member)
    assert [record.member for record in removals(centre)] == [ALPHA]
    assert removed(centre).bars(ALPHA) == (member is not ALPHA)


def test_a_second_removal_keeps_the_first_record(centre):
    """Every removal is evidence."""
    for _ in range(2):
        remove(centre, ALPHA)
        enrol(centre, ALPHA, MONTH, again=True)
    remove(centre, ALPHA)
    assert len(removals(centre)) == 3
    assert removed(centre).bars(ALPHA)


def test_removed_keys_are_nobody_elses(centre):
    """Under another name they are refused, also once their hospital has new ones."""
    stranger = ALPHA.model_copy(update={"site": "stranger"})
    remove(centre, ALPHA)
    assert codes(lambda: enrol(centre, stranger, MONTH)) == ("I-KEYS",)
    assert codes(lambda: enrol(centre, stranger, MONTH, again=True)) == ("I-KEYS",)
    enrol(centre, NEW_ALPHA, MONTH, again=True)
    assert codes(lambda: enrol(centre, stranger, MONTH)) == ("I-KEYS",)
    assert codes(lambda: enrol(centre, ALPHA, MONTH, again=True)) == ("I-ENROLLED",)


@pytest.mark.parametrize("content", [b"", b"{}", model_bytes(BETA)])
def test_a_damaged_record_keeps_its_hospital_out(centre, content):
    """Damage lets in nobody: not of a removal that holds, and not of one that was over."""
    remove(centre, ALPHA)
    removal_path(centre, "alpha").write_bytes(content)
    assert removed(centre).bars(ALPHA)
    assert enrolled(centre) == (BETA,)
    enrol(centre, ALPHA, MONTH, again=True)
    assert removed(centre).bars(ALPHA)


class Paper:
    """Flower's register: a key that was struck off is never taken again."""

    def __init__(self) -> None:
        self.nodes: dict[bytes, int] = {}
        self.struck: list[int] = []

    def register(self, public_key: bytes) -> int:
        assert self.nodes.get(public_key) not in self.struck or public_key not in self.nodes
        return self.nodes.setdefault(public_key, len(self.nodes) + 1)

    def unregister(self, node_id: int) -> None:
        assert node_id not in self.struck
        self.struck.append(node_id)


def roster(centre, *members: Member) -> Roster:
    return Roster(coordinator=load_centre(centre).coordinator, silos=members)


def test_the_door_follows_the_disk(centre, monkeypatch):
    """Struck off at the next look, also one that only a study's roster named; and asked for again, the door stays shut."""
    monkeypatch.setattr("coordinator.door.LOOK_SECONDS", 0.0)
    control, all_three = Paper(), roster(centre, ALPHA, BETA, GAMMA)
    door = Door(centre, control)
    door.look()
    assert door.node_ids(all_three) == {"alpha": 1, "beta": 2, "gamma": 3}
    assert door.removed(all_three) == frozenset()
    remove(centre, ALPHA)
    assert door.removed(all_three) == {"alpha"}
    assert control.struck == [1]
    assert door.node_ids(all_three) == {"beta": 2, "gamma": 3}
    enrol(centre, ALPHA, MONTH, again=True)
    assert door.removed(all_three) == {"alpha"}
    assert door.node_ids(all_three) == {"beta": 2, "gamma": 3}


def test_a_removed_hospital_stays_removed_over_a_restart(centre):
    """A new door never registers it, neither as enrolled nor for a study; let in again before the start, it is let in."""
    remove(centre, ALPHA)
    control, both = Paper(), roster(centre, ALPHA, BETA)
    door = Door(centre, control)
    door.look()
    assert door.node_ids(both) == {"beta": 1}
    assert list(control.nodes) == [BETA.node_key.encode()]
    enrol(centre, ALPHA, MONTH, again=True)
    later = Door(centre, Paper())
    later.look()
    assert later.removed(both) == frozenset()


def test_new_keys_are_let_in_while_the_centre_runs_and_the_old_ones_are_not(centre, monkeypatch):
    """A study with the old keys on its roster has lost its hospital."""
    monkeypatch.setattr("coordinator.door.LOOK_SECONDS", 0.0)
    control = Paper()
    door = Door(centre, control)
    door.look()
    remove(centre, ALPHA)
    door.look()
    enrol(centre, NEW_ALPHA, MONTH, again=True)
    door.look()
    assert door.removed(roster(centre, ALPHA, BETA)) == {"alpha"}
    assert door.removed(roster(centre, BETA.model_copy(update={"site": "aaa"}), NEW_ALPHA)) == frozenset()
    assert NEW_ALPHA.node_key.encode() in control.nodes


def run(*words: str, answer: str | None = None):
    return CliRunner().invoke(coordinator, list(words), input=answer, standalone_mode=False)


def test_the_command_shows_whom_and_asks(centre):
    """No is no; yes removes; and nobody to answer is an error of usage."""
    shown = run("remove", "alpha", "--dir", str(centre), answer="n\n")
    assert shown.return_value == 1
    assert ALPHA.fingerprint in shown.output
    assert removed(centre) == Removed()
    assert isinstance(silent := run("remove", "alpha", "--dir", str(centre)).exception, Refused)
    assert silent.codes == ("X-USAGE",)
    done = run("remove", "alpha", "--dir", str(centre), "--reason", "keys lost", answer="y\n")
    assert done.return_value == 0
    assert f"Removed: {ALPHA.name} (site alpha)." in done.output
    assert "keys lost" not in done.output
    assert removed(centre).bars(ALPHA)
