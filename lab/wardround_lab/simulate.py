"""A whole study in one process: the conductor and the hospitals' own porters and trainers over an in-memory grid."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace

from coordinator.identity import Centre
from coordinator.rounds.conductor import Conductor, Surroundings
from coordinator.rounds.encrypted_grid import EncryptedGrid, encryption_keys
from coordinator.rounds.outcome import Outcome
from coordinator.rounds.visits import Watcher
from silo_node.configuration import Site
from silo_node.identity import load_identity, successions
from silo_node.node import Node, open_node
from silo_node.porter.approvals import Approvals
from silo_node.training.trainer import Trainer
from wardround.errors import Problem, Refused, raise_all
from wardround.identity.succession import Current, follow
from wardround.messages.envelope import Envelope
from wardround.study.bundle import Bundle
from wardround_lab.local_grid import Door, LocalGrid


def simulate(bundle: Bundle, sites: Sequence[Site], centre: Centre, watcher: Watcher) -> Outcome:
    """Conduct a study over hospitals whose directories are on this machine.

    Every hospital must have approved the study, as in deployment.

    Raises:
        Refused: P-ROSTER when the sites are not exactly the roster; A- codes for every hospital that has not approved;
            K- and L- codes of a hospital's directory. Before anything runs.
    """
    raise_all(_roster_problems(bundle, sites))
    raise_all(_approval_problems(bundle, sites))
    with ExitStack() as open_nodes:
        doors: dict[str, Door] = {}
        for site in sites:
            node = _open(site)
            open_nodes.callback(_close, node)
            doors[site.file.site] = _door(node)
        with LocalGrid(doors) as grid:
            current = _current(sites)
            encrypted = EncryptedGrid(grid, encryption_keys(bundle.roster, current), centre.encryption)
            surroundings = Surroundings(current=current, turns=len(sites))
            return Conductor(bundle, centre.key, encrypted, watcher, surroundings=surroundings).run()


def _current(sites: Sequence[Site]) -> Current:
    """Know which keys each hospital has now, from its own successions."""
    known = [each for site in sites for each in successions(site.folder)]
    return lambda member: follow(member, known)


def _open(site: Site) -> Node:
    """Open a hospital; what is wrong with it names the site."""
    try:
        return open_node(site, Trainer)
    except Refused as error:
        raise Refused([replace(each, place=f"site {site.file.site}, {each.place}") for each in error.problems]) from None


def _close(node: Node) -> None:
    """Close a hospital; a disk that is full now changes nothing about what was computed."""
    with suppress(OSError):
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
            approval = Approvals(site.folder, load_identity(site.folder)).require(bundle.study_hash).approval
            if approval.author != bundle.author_key:
                problems.append(_other_author(site))
        except Refused as error:
            problems += error.problems
    return problems


def _other_author(site: Site) -> Problem:
    """Say what a hospital in deployment answers to an offer of such a bundle: ``refused``."""
    return Problem(
        "A-INVALID",
        f"site {site.file.site}",
        "An approval holds for what was signed",
        "the author's signature on this bundle is not the one that was approved",
        "review this bundle and approve it",
    )
