"""Joining a centre: what is pinned, and what is refused."""

import stat
from datetime import UTC, datetime, timedelta

import pytest
from studies_on_paper import encryption_key, party, signing_key

from silo_node.identity import create_identity, load_identity
from silo_node.joining import join, load_joined
from wardround.errors import Refused
from wardround.identity.invitation import invite
from wardround.identity.roster import Coordinator
from wardround.identity.tls import make_authority

CENTRE = Coordinator(name="The centre", signing_key=signing_key("centre").public, encryption_key=encryption_key("centre").public)
OTHER = Coordinator(name="Another centre", signing_key=signing_key("other").public, encryption_key=encryption_key("other").public)
AUTHORITY = make_authority("The centre").public.decode()
MONTH = timedelta(days=30)


@pytest.fixture
def hospital(tmp_path):
    """Make a hospital's keys."""
    create_identity(tmp_path, "alpha", "Hospital alpha")
    return tmp_path


def invited(folder, member=None, centre=CENTRE, **changes):
    """Write an invitation for the hospital in a folder, or for another one."""
    given = {"address": "centre.example:8443", "authority": AUTHORITY, "now": datetime.now(UTC), "valid": MONTH, **changes}
    key = signing_key("centre" if centre == CENTRE else "other")
    signed = invite(member or load_identity(folder), centre, key, **given)
    path = folder / "from-the-centre.json"
    path.write_bytes(signed.file_bytes())
    return path


def codes(call) -> tuple[str, ...]:
    with pytest.raises(Refused) as caught:
        call()
    return caught.value.codes


def test_a_joined_centre_is_pinned(hospital):
    """Address, authority and key come back from files for the owner only."""
    joined = join(hospital, invited(hospital))
    assert joined == load_joined(hospital)
    assert (joined.address, joined.coordinator) == ("centre.example:8443", CENTRE)
    assert joined.authority.read_text() == AUTHORITY
    config = hospital / "config"
    assert {path.name for path in config.iterdir()} == {"invitation.json", "authority.pem"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in config.iterdir()} == {0o600}
    assert stat.S_IMODE(config.stat().st_mode) == 0o700


def test_who_joined_none_is_told_how(hospital):
    """A start before a join is I-MISSING, with the way there."""
    with pytest.raises(Refused) as caught:
        load_joined(hospital)
    assert caught.value.codes == ("I-MISSING",)
    assert "silo join" in caught.value.problems[0].next_step


def test_the_fingerprint_is_compared_by_its_digits(hospital):
    """As it was read aloud, with whatever spaces; one other digit is I-FINGERPRINT and nothing is pinned."""
    path, right = invited(hospital), CENTRE.fingerprint
    wrong = right[:-1] + str((int(right[-1]) + 1) % 10)
    for other in (wrong, right[:-6], "", "the right one"):
        assert codes(lambda other=other: join(hospital, path, other)) == ("I-FINGERPRINT",)
    assert not (hospital / "config").exists()
    for same in (right, right.replace(" ", ""), right.replace(" ", "-"), f"  {right} "):
        join(hospital, path, same)


def test_one_refusal_tells_everything(hospital):
    """For another site, expired, of a bad authority, with another fingerprint: all at once, nothing pinned."""
    path = invited(
        hospital,
        party("beta").member,
        now=datetime.now(UTC) - 2 * MONTH,
        authority="-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    assert codes(lambda: join(hospital, path, "0")) == ("I-SITE", "I-EXPIRED", "I-AUTHORITY", "I-FINGERPRINT")
    assert not (hospital / "config").exists()


def test_one_centre_at_a_time(hospital):
    """Another centre is I-JOINED and the first stays; the same centre may invite again, to another address."""
    join(hospital, invited(hospital))
    assert codes(lambda: join(hospital, invited(hospital, centre=OTHER))) == ("I-JOINED",)
    assert load_joined(hospital).coordinator == CENTRE
    renewed = make_authority("The centre").public.decode()
    join(hospital, invited(hospital, address="moved.example:443", authority=renewed))
    joined = load_joined(hospital)
    assert (joined.address, joined.authority.read_text()) == ("moved.example:443", renewed)


def test_what_was_joined_and_cannot_be_read_is_not_overwritten(hospital):
    """Nobody knows which centre it was."""
    join(hospital, invited(hospital))
    (hospital / "config" / "invitation.json").write_bytes(b"x")
    assert codes(lambda: join(hospital, invited(hospital))) == ("I-JOINED",)


def test_an_invitations_end_is_for_joining_only(hospital):
    """A node that joined in time runs on."""
    join(hospital, invited(hospital))
    load_joined(hospital, datetime.now(UTC) + 10 * MONTH)


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("invitation.json", b"x", "I-READ"),
        ("authority.pem", b"x", "I-AUTHORITY"),
        ("authority.pem", None, "I-AUTHORITY"),
        ("authority.pem", make_authority("The centre").public, "I-AUTHORITY"),
    ],
)
def test_what_was_pinned_is_verified_again(hospital, name, content, code):
    """An edited or missing file is seen before the node starts; joining again mends the authority."""
    join(hospital, invited(hospital))
    path = hospital / "config" / name
    path.write_bytes(content) if content is not None else path.unlink()
    assert codes(lambda: load_joined(hospital)) == (code,)
    if code == "I-AUTHORITY":
        join(hospital, invited(hospital))
        load_joined(hospital)


def test_a_moved_address_is_seen(hospital):
    """The pinned invitation is under the centre's signature: editing it is no way to another centre."""
    join(hospital, invited(hospital))
    path = hospital / "config" / "invitation.json"
    path.write_bytes(path.read_bytes().replace(b"centre.example", b"others.example"))
    assert codes(lambda: load_joined(hospital)) == ("I-SIGNATURE",)


def test_new_keys_need_a_new_invitation(hospital):
    """A hospital that made new keys is another one to its centre, and is told so at the next start."""
    join(hospital, invited(hospital))
    (hospital / "keys").rename(hospital / "old-keys")
    create_identity(hospital, "alpha", "Hospital alpha")
    assert codes(lambda: load_joined(hospital)) == ("I-SITE",)


def test_an_expired_authority_is_told_before_the_start(hospital):
    """TLS would only say that it fails."""
    join(hospital, invited(hospital, authority=make_authority("The centre", days=40).public.decode()))
    assert codes(lambda: load_joined(hospital, datetime.now(UTC) + timedelta(days=41))) == ("I-AUTHORITY",)


def test_a_folder_that_cannot_be_made_is_told(hospital):
    """A full disk, or a file in the way."""
    path = invited(hospital)
    (hospital / "config").write_bytes(b"")
    assert codes(lambda: join(hospital, path)) == ("O-WRITE",)
