"""The roster: exactly who takes part, by name and key."""

import pytest
from pydantic import ValidationError
from studies_on_paper import party

from wardround.identity.keys import SigningKey
from wardround.identity.roster import Coordinator, Member, Roster

CENTRE = Coordinator(name="The centre", signing_key=SigningKey.generate().public)
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
    """Either key changes what is read over the phone."""
    other = SigningKey.generate().public
    assert (
        len({ALPHA.fingerprint, changed(ALPHA, signing_key=other).fingerprint, changed(ALPHA, approval_key=other).fingerprint})
        == 3
    )
