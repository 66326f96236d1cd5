"""The passphrase of a person's key: typed by that person, or read from a file that only that person may read.

A person's key speaks for a person: the approver's of a hospital, the author's of a study. Whoever can read its file has
nothing without the passphrase. No service ever asks for one.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from wardround.identity.keys import passphrase_problem, read_private

SHORTEST = 12
"""Characters of a new passphrase at least."""
APPROVER = "approver"
AUTHOR = "author"
_ASKED = {APPROVER: "Passphrase of the approval key", AUTHOR: "Passphrase of the author's key"}
_ASKED_FOR_NEW = {APPROVER: "A passphrase for the person who approves", AUTHOR: "A passphrase for the author's key"}

passphrase_option = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path),
    envvar="WARDROUND_PASSPHRASE_FILE",
    show_envvar=True,
    help="A file with the passphrase of the person's key, readable by its owner only; it is asked for when not given.",
)


def read_passphrase(file: Path | None, whose: str = APPROVER) -> bytes:
    """Give the passphrase of a person's key that there is.

    Raises:
        Refused: K-PASSPHRASE when there is neither a file nor a terminal; K-MISSING, K-MODE of the file.
    """
    return _of(file) if file is not None else _typed(_ASKED[whose], whose, confirm=False)


def new_passphrase(file: Path | None, whose: str = APPROVER) -> bytes:
    """Give the passphrase for a new key of a person; typed twice.

    Raises:
        Refused: K-PASSPHRASE also when it is too short.
    """
    given = _of(file) if file is not None else _typed(_ASKED_FOR_NEW[whose], whose, confirm=True)
    if len(given.decode(errors="replace")) < SHORTEST:
        raise passphrase_problem(_place(whose), f"A passphrase has {SHORTEST} characters or more", "it is too short")
    return given


def _place(whose: str) -> str:
    return f"{whose}'s passphrase"


def _of(file: Path) -> bytes:
    return read_private(file).removesuffix(b"\n").removesuffix(b"\r")


def _typed(question: str, whose: str, *, confirm: bool) -> bytes:
    if not sys.stdin.isatty():
        raise passphrase_problem(_place(whose), "A person types it, or names its file", "there is no terminal to ask on")
    typed: str = click.prompt(question, hide_input=True, confirmation_prompt=confirm, err=True)
    return typed.encode()
