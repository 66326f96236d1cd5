"""A centre with its institution's certificates, on real processes: hospitals join, and a swap in a study loses nobody."""

from __future__ import annotations

from pathlib import Path

import pytest
from flower_processes import eventually
from hospitals_on_disk import Command
from institution import Institution
from ward_on_processes import Ward, make_ward, no_trace

from wardround.identity.tls import expiry

pytestmark = pytest.mark.faults


def test_a_study_runs_through_a_swap_of_the_institutions_certificate(tmp_path: Path, wardround: Command) -> None:
    """The certificate names no loopback; it ends soon, which both sides say; a new one needs no hospital."""
    institution = Institution()
    files = institution.server(tmp_path / "given", "localhost", days=20)
    ward = make_ward(tmp_path, wardround, (120, 90), "--certificates", *files)
    try:
        _study(ward, institution)
    finally:
        ward.stop()


def _study(ward: Ward, institution: Institution) -> None:
    ward.start_all()
    assert "keys/server.pem expires" in ward.services["centre"].said
    log = ward.centre / "logs" / "conductor.log"
    eventually(lambda: log.exists() and "expires 2" in log.read_text(), what="the conductor's log warns")
    assert all("the centre's certificate expires 2" in ward.services[site].said for site in ("alpha", "beta"))
    bundle = ward.build(rounds={"maximum": 12, "deadline_seconds": 60, "retries": 1}, convergence={"patience": 12})
    ward.approve(bundle)
    ward.submit(bundle)
    ward.until(lambda state: state.round >= 2)
    ward.command("coordinator", "renew", ward.centre, "--certificates", *institution.server(ward.folder / "new", "localhost"))
    ward.services["centre"].end()
    ward.start_centre().up()
    state = ward.ended()
    assert state.phase == "complete"
    assert not any(ward.codes(state, site) for site in ("alpha", "beta"))
    assert "expires" not in ward.services["centre"].said[ward.services["centre"].begun :]
    joined = ward.hospitals[0].folder / "config" / "authority.pem"
    assert expiry(joined.read_bytes()) == institution.root.not_valid_after_utc
    assert all(no_trace(service.said) for service in ward.services.values())
