"""The roster: exactly who takes part, by name and key."""

import pytest
from pydantic import ValidationError
from studies_on_paper import party

from wardround.canonical import model_bytes
from wardround.errors import Refused
from wardround.identity.encryption import EncryptionKey
from wardround.identity.keys import SigningKey
from wardround.identity.roster import Coordinator, Member, Roster, read_party

CENTRE = Coordinator(name="The centre", signing_key=SigningKey.generate().public, encryption_key=EncryptionKey.generate().public)
ALPHA, BETA = party("alpha").member, party("beta").member


def changed(member: Member, **fields: str) -> Member:
    return Member.model_validate({**member.model_dump(), **fields})


def test_a_roster_knows_its_members():
    """Hospitals are found by site name; nobody else is."""
    roster = Roster(coordinator=CENTRE, silos=(ALPHA, BETA))
    assert roster.sites == ("alpha", "beta")
    assert roster.member("beta") == BETA
    assert roster.member("gamma") is None


@pytest.mark.parametrize(
    "silos",
    [
        (),
        (BETA, ALPHA),
        (ALPHA, ALPHA),
        (ALPHA, changed(BETA, site="alpha")),
        (ALPHA, changed(BETA, signing_key=ALPHA.signing_key)),
        (ALPHA, changed(BETA, signing_key=ALPHA.approval_key)),
        (ALPHA, changed(BETA, approval_key=BETA.signing_key)),
        (changed(ALPHA, signing_key=CENTRE.signing_key), BETA),
        (changed(ALPHA, encryption_key=CENTRE.encryption_key), BETA),
        (changed(ALPHA, encryption_key=BETA.encryption_key), BETA),
        (changed(ALPHA, encryption_key=ALPHA.signing_key), BETA),
        (ALPHA, changed(BETA, node_key=ALPHA.node_key)),
    ],
)
def test_every_key_belongs_to_one_party_and_one_purpose(silos):
    """An empty, unsorted or doubled roster, or one key used twice, is refused: one person could speak for two."""
    with pytest.raises(ValidationError):
        Roster(coordinator=CENTRE, silos=silos)


@pytest.mark.parametrize("site", ["", "Alpha", "al pha", "1alpha", "al/pha", "../alpha", "alpha\n", "a" * 64])
def test_site_names_are_slugs(site):
    """A site name is safe in files, messages and logs."""
    with pytest.raises(ValidationError):
        changed(ALPHA, site=site)


def test_fingerprints_tell_members_apart():
    """Each of the three keys changes what is read over the phone."""
    other = SigningKey.generate().public
    changes = ({}, {"signing_key": other}, {"approval_key": other}, {"node_key": BETA.node_key})
    assert len({changed(ALPHA, **fields).fingerprint for fields in changes}) == len(changes)


@pytest.mark.parametrize(
    "key",
    [
        "",
        ALPHA.node_key + " it@alpha",
        ALPHA.node_key + "\n",
        ALPHA.node_key.replace(" ", "  "),
        ALPHA.node_key[:-2],
        ALPHA.node_key[:-3] + "B==",
        ALPHA.node_key.replace("nistp384", "nistp256"),
        ALPHA.node_key[:90] + ("A" if ALPHA.node_key[90] != "A" else "B") + ALPHA.node_key[91:],
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFmN0N0vXyLkZ2bAfxYnQ7m0e3p6tF8QJYcFh3b0l3Zo",
    ],
)
def test_a_node_key_has_one_form(key):
    """One line, one curve, no comment, a point that is on the curve: nothing of somebody's own words fits into it."""
    with pytest.raises(ValidationError):
        changed(ALPHA, node_key=key)


@pytest.mark.parametrize(
    "name", ["", "x" * 201, "two\nlines", "\x1b[2K\x1b[1Afalse", "a\rb", "a\u202eb", "zero\u200bwidth", "\ud800"]
)
def test_names_cannot_write_over_what_stands_beside_them(name):
    """A stranger's name is shown on the operator's terminal beside the fingerprint: it cannot move the cursor or hide."""
    with pytest.raises((ValidationError, UnicodeEncodeError)):
        changed(ALPHA, name=name)


@pytest.mark.parametrize("name", ["Höpital Saint-Élie", "北京医院", "St. Mary's (East)"])
def test_names_are_those_of_all_people(name):
    """Letters of every script, spaces and common signs are names."""
    assert changed(ALPHA, name=name).name == name


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, "Y-FILE"),
        (b"", "K-FORMAT"),
        (b"[1, 2]", "K-FORMAT"),
        (b"\xff\xfe", "K-FORMAT"),
        (b'{"kind":"coordinator","name":"A","signing_key":"' + b"a" * 64 + b'"}', "K-FORMAT"),
        (b" " * 70_000 + b"{}", "K-FORMAT"),
        (b"[" * 60_000, "K-FORMAT"),
    ],
)
def test_another_file_is_no_request(tmp_path, content, code):
    """Nothing, garbage, another party's file, a huge one: refused with a code."""
    path = tmp_path / "request.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Refused) as caught:
        read_party(path, Member)
    assert caught.value.codes == (code,)


def test_a_request_is_read_as_it_was_written(tmp_path):
    """What init writes, enrol reads."""
    path = tmp_path / "request.json"
    path.write_bytes(model_bytes(ALPHA))
    assert read_party(path, Member) == ALPHA
