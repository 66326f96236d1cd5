"""A whole study in one process: the conductor and the hospitals' own porters and trainers over an in-memory grid."""

from __future__ import annotations

from collections.abc import Sequence

from coordinator.rounds.conductor import Conductor, Watcher
from coordinator.rounds.outcome import Outcome
from silo_node.configuration import Site
from silo_node.identity import load_identity
from silo_node.node import Node, open_node
from silo_node.porter.approvals import Approvals
from wardround.errors import Problem, Refused, raise_all
from wardround.identity.keys import SigningKey
from wardround.messages.envelope import Envelope
from wardround.study.bundle import Bundle
from wardround_lab.local_grid import Door, LocalGrid


def simulate(bundle: Bundle, sites: Sequence[Site], key: SigningKey, watcher: Watcher) -> Outcome:
    """Conduct a study over hospitals whose directories are on this machine.

    Every hospital must have approved the study, as in deployment.

    Raises:
        Refused: P-ROSTER when the sites are not exactly the roster; A- codes for every hospital that has not approved;
            K- and L- codes of a hospital's directory. Before anything runs.
    """
    raise_all(_roster_problems(bundle, sites))
    raise_all(_approval_problems(bundle, sites))
    nodes = {site.file.site: open_node(site) for site in sites}
    doors: dict[str, Door] = {name: _door(node) for name, node in nodes.items()}
    try:
        with LocalGrid(doors) as grid:
            return Conductor(bundle, key, grid, watcher).run()
    finally:
        for node in nodes.values():
            node.close()


def _door(node: Node) -> Door:
    def knock(envelope: Envelope) -> Envelope:
        return node.visit(envelope).envelope

    return knock


def _roster_problems(bundle: Bundle, sites: Sequence[Site]) -> list[Problem]:
    given = [site.file.site for site in sites]
    if sorted(given) == list(bundle.roster.sites):
        return []
    missing = sorted({*bundle.roster.sites} - {*given})
    extra = sorted({*given} - {*bundle.roster.sites})
    finding = "; ".join(
        part
        for part in (
            f"not given: {', '.join(missing)}" if missing else "",
            f"not on the roster: {', '.join(extra)}" if extra else "",
            "a site is given twice" if len(set(given)) != len(given) else "",
        )
        if part
    )
    return [
        Problem(
            "P-ROSTER",
            bundle.study.name,
            "The sites are those of the study's roster, once each",
            finding,
            "correct the --site options",
        )
    ]


def _approval_problems(bundle: Bundle, sites: Sequence[Site]) -> list[Problem]:
    problems: list[Problem] = []
    for site in sites:
        try:
            Approvals(site.folder, load_identity(site.folder)).require(bundle.study_hash)
        except Refused as error:
            problems += error.problems
    return problems
