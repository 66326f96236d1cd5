"""User and password by reference: ``site.yaml`` names a private file or a variable, never the words themselves."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import StringConstraints, model_validator

from wardround.errors import Refused, refuse
from wardround.values import Value

LONGEST_CREDENTIALS = 1000

Holder: TypeAlias = Literal["proxy", "database"]
"""Whose credentials they are, as the messages say it."""

VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")]
_PlainPath = Annotated[str, StringConstraints(min_length=1, max_length=4000)]


class Credentials(Value):
    """Where ``user:password`` stands: in a file that only its owner may read, or in a variable of the process's environment."""

    file: _PlainPath | None = None
    variable: VariableName | None = None

    @model_validator(mode="after")
    def _one(self) -> Credentials:
        if (self.file is None) == (self.variable is None):
            msg = "credentials stand in a file or in a variable, one of the two"
            raise ValueError(msg)
        return self


def environment_without(names: Collection[str]) -> dict[str, str]:
    """Give this process's environment without some variables, for a process that has no business with what they hold."""
    return {name: value for name, value in os.environ.items() if name not in names}


def user_and_password(text: str) -> tuple[str, str]:
    """Take ``user:password`` apart; ``ValueError`` with the rule, never with the text."""
    user, colon, password = text.partition(":")
    if not colon or not user or len(text) > LONGEST_CREDENTIALS or not text.isprintable():
        raise ValueError("credentials are one line, user:password")
    return user, password


def read_credentials(
    named: Credentials, folder: Path, holder: Holder, environment: Mapping[str, str] | None = None
) -> tuple[str, str]:
    """Read user and password from where they stand.

    Args:
        named: the file or variable.
        folder: the hospital's, where relative paths begin.
        holder: whose they are.
        environment: of this process when not given.

    Raises:
        Refused: N-CREDENTIALS.
    """
    known = os.environ if environment is None else environment
    if named.variable is not None:
        place, text = f"environment, {named.variable}", known.get(named.variable)
        if not text:
            where = (
                "where the service is started (systemd: Environment=)" if holder == "proxy" else "where the command is started"
            )
            raise _refused(holder, place, "the variable is not set", f"set it {where}")
    else:
        place = named.file or ""
        text = _private_text(folder / place, place, holder)
    try:
        return user_and_password(text)
    except ValueError:
        finding, next_step = "they are not of this form", "write user:password, one line and nothing else"
        raise _refused(holder, place, finding, next_step) from None


def _private_text(path: Path, place: str, holder: Holder) -> str:
    try:
        mode, raw = path.stat().st_mode, path.read_bytes()
    except OSError:
        key = "proxy.credentials" if holder == "proxy" else "credentials"
        raise _refused(holder, place, "the file is missing or cannot be read", f"check '{key}' in site.yaml") from None
    if stat.S_IMODE(mode) & 0o077:
        raise _refused(holder, place, "others may read the file", f"run: chmod 600 {place}")
    try:
        return raw.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise _refused(holder, place, "the file is not UTF-8", "write user:password, one line and nothing else") from None


def _refused(holder: Holder, place: str, finding: str, next_step: str) -> Refused:
    known = "the service" if holder == "proxy" else "their owner"
    rule = f"A {holder}'s credentials are user:password, known to {known} only"
    return refuse("N-CREDENTIALS", place, rule, finding, next_step)
