"""Which Wardround the centre runs, as the hospital's doctor says it: by the invitation first, then by what the centre says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from studies_on_paper import paper

import wardround
from silo_node.centre_software import heard
from silo_node.doctor.checks import centre_versions
from silo_node.porter.memory import JOURNAL
from wardround.identity.invitation import Invitation, invite
from wardround.identity.tls import make_authority


@pytest.fixture
def invitation() -> Invitation:
    """An invitation by a centre that runs what runs here."""
    study = paper()
    roster = study.bundle.roster
    now = datetime.now(UTC)
    authority = make_authority("The centre").public.decode()
    signed = invite(roster.silos[0], roster.coordinator, study.key, "centre.example:8443", authority, now, timedelta(days=30))
    return signed.invitation


def test_the_invitation_names_the_centres_version(tmp_path, invitation):
    """Before anything runs it is known from there."""
    line = centre_versions(tmp_path, invitation)
    assert line.state == "ok"
    assert (
        line.finding
        == f"Wardround {wardround.__version__} here, {wardround.__version__} at the centre (as it said at {invitation.issued_at})"
    )


def test_what_the_centre_said_since_is_newer(tmp_path, invitation):
    """Another version is a warning that names both; a file that cannot be read is as none."""
    heard(tmp_path, "99.0.1")
    line = centre_versions(tmp_path, invitation)
    assert (line.state, line.code) == ("warn", None)
    assert f"{wardround.__version__} here, 99.0.1 at the centre" in line.finding
    assert line.next_step is not None
    (tmp_path / JOURNAL / "centre.json").write_text("{")
    assert centre_versions(tmp_path, invitation).state == "ok"


def test_an_earlier_invitation_says_nothing(tmp_path, invitation):
    """Then it is not known, and said so."""
    assert centre_versions(tmp_path, invitation.model_copy(update={"wardround": None})).state == "skipped"
