"""Which ledger is read: the hospital's own, or a copy of it on another machine, where only public keys are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from silo_node.configuration import load_site
from silo_node.identity import REQUEST
from wardround.directory import check_format
from wardround.errors import refuse
from wardround.identity.roster import Member, read_member
from wardround.ledger.folder import ledger_folder


@dataclass(frozen=True)
class Source:
    """A ledger to be read.

    Attributes:
        folder: the ledger's folder.
        member: the hospital's public keys.
        directory: the hospital's directory, or a copy of it or an export; None for a bare ledger folder.
    """

    folder: Path
    member: Member
    directory: Path | None


def open_source(site: Path | None, copy: Path | None, identity: Path | None) -> Source:
    """Find a ledger and the public keys to verify it with.

    Args:
        site: the hospital's site.yaml, for its own ledger.
        copy: instead, a copied ledger folder, an export, or a copied hospital's directory.
        identity: the hospital's request.json; without it, the one beside the ledger.

    Raises:
        Refused: X-USAGE when not exactly one of site and copy is named, Y- and K- codes, V-FORMAT.
    """
    if (site is None) == (copy is None):
        raise refuse(
            "X-USAGE",
            "--site, --copy",
            "One ledger is read",
            "neither is named" if site is None else "both are named",
            "name the hospital's site.yaml with --site, or the folder of a copy with --copy",
        )
    if site is not None:
        opened = load_site(site)
        check_format(opened.folder)
        return Source(opened.directory("ledger"), read_member(identity or opened.folder / REQUEST), opened.folder)
    folder = ledger_folder(copy or Path())
    directory = None if folder == copy else copy
    known = identity or (None if directory is None else directory / REQUEST)
    if known is None:
        raise refuse(
            "X-USAGE",
            "--identity",
            "A ledger is verified with its hospital's public keys",
            "none are named, and a bare ledger folder holds none",
            "name the hospital's request.json with --identity",
        )
    return Source(folder, read_member(known), directory)
