"""A study that hospitals on this machine have approved, with keys that are the same in every run.

Why the same keys: see ``fixed_keys``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from fixed_keys import fixed_keys

from coordinator.identity import Centre, create_centre, load_centre
from coordinator.rounds.outcome import Outcome
from silo_node.configuration import Site, load_site
from silo_node.identity import approval_key, create_identity
from silo_node.porter.approvals import approve
from wardround.contract.model import Contract
from wardround.identity.approval import Approver
from wardround.models.commands import make_bundle, make_roster
from wardround.study.bundle import Bundle
from wardround.study.model import Study
from wardround_lab.simulate import simulate


class Unseen:
    """A watcher that looks away."""

    def opened(self, *_: object) -> None:
        """Look away."""

    def answered(self, *_: object) -> None:
        """Look away."""

    def working(self, *_: object) -> None:
        """Look away."""

    def away(self, *_: object) -> None:
        """Nothing to note."""

    def closed(self, *_: object) -> None:
        """Look away."""


@dataclass(frozen=True)
class ApprovedStudy:
    """A bundle, the hospitals that have approved it, and the centre with its keys."""

    bundle: Bundle
    sites: tuple[Site, ...]
    centre: Centre

    def conduct(self) -> Outcome:
        """Conduct the study to its end."""
        return simulate(self.bundle, self.sites, self.centre, Unseen())


def approved(folder: Path, study: Study, contract: Contract, site_files: Sequence[Path]) -> ApprovedStudy:
    """Make keys where there are none, the bundle, and every hospital's approval."""
    sites = tuple(load_site(path) for path in site_files)
    with fixed_keys():
        create_centre(folder / "centre", "Centre")
        members = [create_identity(site.folder, site.file.site, site.file.name) for site in sites]
    centre = load_centre(folder / "centre")
    bundle = make_bundle(study, contract, make_roster(centre.coordinator, members))
    person = Approver(name="Dr A", role="data protection officer")
    for site, member in zip(sites, members, strict=True):
        approve(site.folder, bundle, member, approval_key(site.folder), person, timedelta(days=1))
    return ApprovedStudy(bundle, sites, centre)
