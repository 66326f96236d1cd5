"""Invitations: for exactly one hospital, signed, for a time."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError
from studies_on_paper import encryption_key, party, signing_key

from wardround.errors import Refused
from wardround.identity.invitation import (
    KIND,
    Invitation,
    SignedInvitation,
    invite,
    read_invitation,
    verify_invitation,
)
from wardround.identity.roster import Coordinator
from wardround.identity.tls import issue_server, make_authority

KEY = signing_key("centre")
CENTRE = Coordinator(name="The centre", signing_key=KEY.public, encryption_key=encryption_key("centre").public)
PAIR = make_authority("The centre")
AUTHORITY = PAIR.public.decode()
ALPHA = party("alpha").member
MONTH = timedelta(days=30)


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def invited(**changes) -> SignedInvitation:
    given = {"member": ALPHA, "address": "centre.example:8443", "authority": AUTHORITY, "now": now(), **changes}
    return invite(given["member"], CENTRE, changes.get("key", KEY), given["address"], given["authority"], given["now"], MONTH)


def codes(call) -> tuple[str, ...]:
    with pytest.raises(Refused) as caught:
        call()
    return caught.value.codes


def test_an_invitation_comes_back_from_its_file(tmp_path):
    """What the centre writes, the hospital reads and may follow."""
    path = tmp_path / "alpha.json"
    path.write_bytes(invited().file_bytes())
    signed = read_invitation(path)
    assert signed == invited(now=datetime.fromisoformat(signed.invitation.issued_at))
    verify_invitation(signed.invitation, ALPHA, now())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("address", "evil.example:8443"),
        ("authority", make_authority("The centre").public.decode()),
        ("member", party("beta").member.model_dump()),
        ("coordinator", {**CENTRE.model_dump(), "name": "Another name"}),
        ("coordinator", {**CENTRE.model_dump(), "signing_key": signing_key("other").public}),
        ("coordinator", {**CENTRE.model_dump(), "encryption_key": encryption_key("other").public}),
        ("expires_at", "2099-01-01T00:00:00Z"),
        ("issued_at", "2020-01-01T00:00:00Z"),
    ],
)
def test_every_edit_is_seen(tmp_path, field, value):
    """One changed field, and the signature does not hold."""
    path = tmp_path / "alpha.json"
    content = json.loads(invited().file_bytes())
    content["invitation"][field] = value
    path.write_text(json.dumps(content))
    assert codes(lambda: read_invitation(path)) == ("I-SIGNATURE",)


def test_a_signature_of_another_kind_is_none(tmp_path):
    """What the centre signed as something else does not pass for an invitation; white space is no edit."""
    path, signed = tmp_path / "alpha.json", invited()
    content = json.loads(signed.file_bytes())
    path.write_text(json.dumps(content, indent=4) + "\n")
    assert read_invitation(path) == signed
    for other in ("task", KIND + "s"):
        content["signature"] = KEY.sign(other, signed.file_bytes())
        path.write_text(json.dumps(content))
        assert codes(lambda: read_invitation(path)) == ("I-SIGNATURE",)


WRONG_FILES = {
    "empty": (b"", "not JSON"),
    "cut off": (invited().file_bytes()[:-9], "not JSON"),
    "not text": (b"\x00\xff\xfe", "not JSON"),
    "a zip": (b"PK\x03\x04rest", "not JSON"),
    "deep": (b"[" * 60_000, "not JSON"),
    "huge": (b" " * 70_000 + invited().file_bytes(), "larger"),
    "a list": (b"[]", "contents"),
    "no signature": (json.dumps({"invitation": json.loads(invited().file_bytes())["invitation"]}).encode(), "contents"),
    "a request": (ALPHA.model_dump_json().encode(), "request.json"),
    "a coordinator": (CENTRE.model_dump_json().encode(), "coordinator.json"),
}


@pytest.mark.parametrize("case", WRONG_FILES)
def test_another_file_is_told_as_what_it_is(tmp_path, case):
    """The wrong file is the commonest mistake: it is I-READ, and the finding says what was given."""
    path = tmp_path / "file.json"
    content, finding = WRONG_FILES[case]
    path.write_bytes(content)
    with pytest.raises(Refused) as caught:
        read_invitation(path)
    assert caught.value.codes == ("I-READ",)
    assert finding in caught.value.problems[0].finding


def test_no_file_is_no_invitation(tmp_path):
    """A path that leads nowhere, or to a folder, is Y-FILE."""
    assert codes(lambda: read_invitation(tmp_path / "none")) == ("Y-FILE",)
    assert codes(lambda: read_invitation(tmp_path)) == ("Y-FILE",)


def test_another_protocol_is_told_as_such(tmp_path):
    """An invitation of a later Wardround says what to install."""
    path = tmp_path / "alpha.json"
    content = json.loads(invited().file_bytes())
    content["invitation"]["protocol"] = 2
    path.write_text(json.dumps(content))
    assert codes(lambda: read_invitation(path)) == ("P-PROTOCOL",)


@pytest.mark.parametrize("other", [party("beta").member, party("alpha", "new").member])
def test_it_is_for_one_hospital_with_its_keys(other):
    """Another site, or the same name with other keys: I-SITE."""
    assert codes(lambda: verify_invitation(invited(member=other).invitation, ALPHA, now())) == ("I-SITE",)


def test_one_other_key_is_another_hospital():
    """Each of the three keys counts, the node's too."""
    for field in ("signing_key", "approval_key", "node_key"):
        other = ALPHA.model_copy(update={field: getattr(party("beta").member, field)})
        assert codes(lambda other=other: verify_invitation(invited(member=other).invitation, ALPHA, now())) == ("I-SITE",)


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        (timedelta(0), ()),
        (MONTH - timedelta(seconds=1), ()),
        (MONTH, ("I-EXPIRED",)),
        (-timedelta(minutes=59), ()),
        (-timedelta(minutes=61), ("I-EARLY", "I-AUTHORITY")),
        (timedelta(days=4000), ("I-EXPIRED", "I-AUTHORITY")),
    ],
)
def test_it_holds_for_its_time(later, expected):
    """From an hour before it was written (clocks differ) until it ends; a clock that is off is told by both clocks."""
    pair = make_authority("The centre")  # begins an hour ago
    invitation = invited(authority=pair.public.decode()).invitation
    if expected:
        assert codes(lambda: verify_invitation(invitation, ALPHA, now() + later)) == expected
    else:
        verify_invitation(invitation, ALPHA, now() + later)


@pytest.mark.parametrize("made", ["server", "text"])
def test_its_authority_is_one(made):
    """A signed invitation with another certificate than an authority's is I-AUTHORITY."""
    text = {
        "server": issue_server(PAIR, ["centre.example"]).public.decode(),
        "text": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    }[made]
    assert codes(lambda: verify_invitation(invited(authority=text).invitation, ALPHA, now())) == ("I-AUTHORITY",)


def test_all_problems_are_told_at_once():
    """Nobody mends an invitation one error at a time."""
    invitation = invited(member=party("beta").member, now=now() - 2 * MONTH).invitation
    assert codes(lambda: verify_invitation(invitation, ALPHA, now())) == ("I-SITE", "I-EXPIRED")


@pytest.mark.parametrize(
    "changes",
    [
        {"authority": AUTHORITY + AUTHORITY},
        {"authority": "text\n" + AUTHORITY},
        {"authority": PAIR.private.decode()},
        {"authority": "-----BEGIN CERTIFICATE-----\n" + ("A" * 64 + "\n") * 61 + "-----END CERTIFICATE-----\n"},
        {"address": "centre.example"},
        {"address": "0.0.0.0:8443"},
        {"issued_at": "2026-01-01T00:00:00Z", "expires_at": "2026-01-01T00:00:00Z"},
        {"issued_at": "2026-02-30T00:00:00Z"},
        {"protocol": 2},
        {"note": "hello"},
    ],
)
def test_an_invitation_has_one_form(changes):
    """One bounded certificate and nothing beside it, an address, a time that passes, no unknown key."""
    with pytest.raises(ValidationError):
        Invitation.model_validate({**invited().invitation.model_dump(), **changes})
