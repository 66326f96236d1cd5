"""The approver's passphrase: typed by a person, or read from a file that only that person may read.

Whoever runs the node can read the file of the approver's key; without the passphrase that says nothing. No process of
the node ever asks for it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from wardround.identity.keys import passphrase_problem, read_private

SHORTEST = 12
"""Characters of a new passphrase at least."""
PLACE = "approver's passphrase"

passphrase_option = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path),
    envvar="WARDROUND_PASSPHRASE_FILE",
    show_envvar=True,
    help="A file with the approver's passphrase, readable by its owner only; it is asked for when not given.",
)


def read_passphrase(file: Path | None) -> bytes:
    """Give the passphrase of a key that there is.

    Raises:
        Refused: K-PASSPHRASE when there is neither a file nor a terminal; K-MISSING, K-MODE of the file.
    """
    return _of(file) if file is not None else _typed("Passphrase of the approval key", confirm=False)


def new_passphrase(file: Path | None) -> bytes:
    """Give the passphrase for a new key; typed twice.

    Raises:
        Refused: K-PASSPHRASE also when it is too short.
    """
    given = _of(file) if file is not None else _typed("A passphrase for the person who approves", confirm=True)
    if len(given.decode(errors="replace")) < SHORTEST:
        raise passphrase_problem(PLACE, f"It has {SHORTEST} characters or more", "it is shorter")
    return given


def _of(file: Path) -> bytes:
    return read_private(file).removesuffix(b"\n").removesuffix(b"\r")


def _typed(question: str, *, confirm: bool) -> bytes:
    if not sys.stdin.isatty():
        raise passphrase_problem(PLACE, "A person types it, or names its file", "there is no terminal to ask on")
    typed: str = click.prompt(question, hide_input=True, confirmation_prompt=confirm, err=True)
    return typed.encode()
