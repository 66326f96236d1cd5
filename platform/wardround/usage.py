"""What a command line says wrongly, as a problem with its five parts: click's own errors in the house's form."""

from __future__ import annotations

import re
from collections.abc import Sequence

import click

from wardround.errors import Problem
from wardround.strict_yaml import nearest

RULE = "Commands take what their help names"
_NO_COMMAND = re.compile(r"No such command '(.*)'\.$", re.DOTALL)
"""The words of every version of click; from 8.4 on it has a type of its own for it, too."""


def usage_problem(error: click.ClickException, root: click.Group, arguments: Sequence[str]) -> Problem:
    """Say what was wrong with a command line: in which command, what was found, and the nearest word that it knows.

    Args:
        error: click's own.
        root: the whole command.
        arguments: what was typed after its name.
    """
    context = getattr(error, "ctx", None)
    if not isinstance(context, click.Context):  # of some errors click does not say where they were found
        context = called(root, arguments)
    step = f"see: {context.command_path} --help"
    guess = _nearest(error, context)
    if guess is not None:
        step = f"did you mean {guess!r}? Or {step}"
    return Problem("X-USAGE", context.command_path, RULE, _finding(error), step)


def called(root: click.Group, arguments: Sequence[str]) -> click.Context:
    """Give the innermost command that the first words name."""
    context = click.Context(root, info_name="wardround")
    for word in arguments:
        inner = context.command.get_command(context, word) if isinstance(context.command, click.Group) else None
        if inner is None:
            break
        context = click.Context(inner, parent=context, info_name=word)
    return context


def _finding(error: click.ClickException) -> str:
    """Give click's words as part of a sentence; its own guesses are left out, since the next step has one."""
    bare = isinstance(error, click.NoSuchOption) or _NO_COMMAND.match(error.message)
    text = " ".join((error.message if bare else error.format_message()).split()).rstrip(".")
    return text[:1].lower() + text[1:]


def _nearest(error: click.ClickException, context: click.Context) -> str | None:
    if isinstance(error, click.NoSuchOption):
        options = [name for each in context.command.get_params(context) for name in (*each.opts, *each.secondary_opts)]
        return nearest(error.option_name, [name for name in options if name.startswith("--")])
    unknown = _NO_COMMAND.match(error.message)
    if unknown is not None and isinstance(context.command, click.Group):
        return _elsewhere(unknown.group(1), context) or nearest(unknown.group(1), context.command.list_commands(context))
    return None


def _elsewhere(word: str, context: click.Context) -> str | None:
    """Give the whole command that is asked for within a group, and stands outside of it: ``wardround predict``."""
    root = context.find_root()
    commands = root.command.list_commands(root) if root is not context and isinstance(root.command, click.Group) else ()
    return f"{root.command_path} {word}" if word in commands else None
