"""Enrolment: who holds the keys is the hospital; nobody is enrolled twice."""

from datetime import UTC, datetime, timedelta

import pytest
from studies_on_paper import party

from coordinator.enrolment import check_enrolment, enrol, load_contact
from coordinator.identity import CentreFile, enrolled, init_centre, load_centre
from wardround.canonical import model_bytes
from wardround.errors import Refused
from wardround.identity.invitation import read_invitation, verify_invitation

ALPHA, BETA = party("alpha").member, party("beta").member
MONTH = timedelta(days=30)


@pytest.fixture
def centre(tmp_path):
    """Make a whole centre."""
    init_centre(tmp_path, CentreFile(name="The centre", address="centre.example:8443", listen="127.0.0.1:9443"))
    return tmp_path


def codes(call) -> tuple[str, ...]:
    with pytest.raises(Refused) as caught:
        call()
    return caught.value.codes


def test_an_enrolled_hospital_is_known_and_invited(centre):
    """Its entry is its request, byte for byte canonical; its invitation is one that it may follow."""
    done = enrol(centre, ALPHA, MONTH)
    assert not done.again
    assert done.silo_path.read_bytes() == model_bytes(ALPHA)
    assert enrolled(centre) == (ALPHA,)
    invitation = read_invitation(done.invitation_path).invitation
    verify_invitation(invitation, ALPHA, datetime.now(UTC))
    assert invitation.coordinator == load_centre(centre).coordinator
    assert invitation.address == "centre.example:8443"
    assert invitation.authority.encode() == (centre / "keys" / "authority.pem").read_bytes()
    for name in ("silos", "contacts", "invitations"):
        assert (centre / name).stat().st_mode & 0o777 == 0o700
        assert (centre / name / "alpha.json").stat().st_mode & 0o777 == 0o600


def test_the_same_request_again_writes_a_new_invitation(centre):
    """A lost or expired invitation is renewed, and the notes stay unless others are given."""
    before = datetime.now(UTC) - 2 * MONTH
    enrol(centre, ALPHA, MONTH, city="Lyon", contact="A. Dupont, 01 23", now=before)
    again = enrol(centre, ALPHA, MONTH, city="Nice")
    assert again.again
    assert enrolled(centre) == (ALPHA,)
    verify_invitation(read_invitation(again.invitation_path).invitation, ALPHA, datetime.now(UTC))
    note = load_contact(centre, "alpha")
    assert note is not None
    assert (note.city, note.contact, note.enrolled_at[:10]) == ("Nice", "A. Dupont, 01 23", before.date().isoformat())


def test_hospitals_stand_in_order_of_their_names(centre):
    """Whoever came first."""
    enrol(centre, BETA, MONTH)
    enrol(centre, ALPHA, MONTH)
    assert enrolled(centre) == (ALPHA, BETA)


@pytest.mark.parametrize("field", ["signing_key", "approval_key", "node_key"])
def test_a_name_stands_for_the_same_keys(centre, field):
    """Whoever comes with an enrolled name and one other key is refused, and nothing changes."""
    done = enrol(centre, ALPHA, MONTH)
    before = done.silo_path.read_bytes(), done.invitation_path.read_bytes()
    stranger = ALPHA.model_copy(update={field: getattr(BETA, field)})
    assert codes(lambda: enrol(centre, stranger, MONTH)) == ("I-ENROLLED",)
    assert (done.silo_path.read_bytes(), done.invitation_path.read_bytes()) == before


@pytest.mark.parametrize(("mine", "theirs"), [("signing_key", "signing_key"), ("approval_key", "signing_key"), ("node_key",) * 2])
def test_a_key_stands_for_one_hospital(centre, mine, theirs):
    """A key of an enrolled hospital under another site name is refused, in whatever purpose."""
    enrol(centre, ALPHA, MONTH)
    stranger = BETA.model_copy(update={mine: getattr(ALPHA, theirs)})
    assert codes(lambda: enrol(centre, stranger, MONTH)) == ("I-KEYS",)
    assert enrolled(centre) == (ALPHA,)


def test_the_centres_key_and_a_key_for_two_purposes_are_no_hospitals(centre):
    """A roster with them could never be made."""
    for key in (load_centre(centre).key.public, ALPHA.approval_key):
        assert codes(lambda key=key: check_enrolment(centre, ALPHA.model_copy(update={"signing_key": key}))) == ("I-KEYS",)


def test_both_problems_are_told_at_once(centre):
    """A name and a key of two different hospitals."""
    enrol(centre, ALPHA, MONTH)
    enrol(centre, BETA, MONTH)
    stranger = ALPHA.model_copy(update={"node_key": BETA.node_key})
    assert codes(lambda: enrol(centre, stranger, MONTH)) == ("I-ENROLLED", "I-KEYS")


@pytest.mark.parametrize("content", [b"", b"{}", model_bytes(BETA)])
def test_a_damaged_entry_is_named(centre, content):
    """A cut entry, or one under another name, is K-FORMAT: nobody is let in by mistake."""
    enrol(centre, ALPHA, MONTH).silo_path.write_bytes(content)
    assert codes(lambda: enrolled(centre)) == ("K-FORMAT",)
    assert codes(lambda: enrol(centre, ALPHA, MONTH)) == ("K-FORMAT",)


@pytest.mark.parametrize("note", ["", "a\nb", "\x1b[2J", "x" * 201])
def test_notes_are_lines(centre, note):
    """They are shown on terminals, too; nothing is enrolled with a bad one."""
    assert codes(lambda: enrol(centre, ALPHA, MONTH, city=note)) == ("Y-VALUE",)
    assert enrolled(centre) == ()


def test_a_full_disk_is_told(centre):
    """A folder that cannot be made is O-WRITE, and no invitation is out without its entry."""
    (centre / "silos").write_bytes(b"")
    assert codes(lambda: enrol(centre, ALPHA, MONTH)) == ("O-WRITE",)
    assert not (centre / "invitations").exists()
