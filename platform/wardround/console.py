"""The one command, ``wardround``, for everybody.

The platform owns the plumbing; each installed distribution adds its own commands through the entry-point group
``wardround.commands``, so a hospital that has no coordinator code has no coordinator commands. Exit status: 0 done,
1 the thing checked is not in order, 2 wrong usage or configuration, 3 a study that ended on part of its hospitals.
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import sys
from collections.abc import Collection, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
from rich.console import Console
from rich.markup import escape

import wardround
from wardround.errors import CATALOGUE, EXIT_USAGE, Problem, Refused, sentence
from wardround.reference import Reference, new_reference, referred, with_reference

if TYPE_CHECKING:
    from wardround.canonical import Json

COMMAND_GROUP = "wardround.commands"
DEBUG_VARIABLE = "WARDROUND_DEBUG"
"""Set it to 1 for the trace of an unexpected error, on this machine's terminal only."""

LOGS, TRACES = "logs", "commands.log"
"""Where the trace of an unexpected error is kept, in the directory that the command names: for its owner only."""

format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to report: for people, or as one JSON object on standard output.",
)


def terminal() -> Console:
    """Give the terminal for people's text (standard output)."""
    return Console(highlight=False, soft_wrap=True)


def columns() -> int | None:
    """Give how wide the terminal of standard output is; None where it goes to a file or a program, whose lines stay whole."""
    return terminal().width if sys.stdout.isatty() else None


def say(text: str) -> None:
    """Print text for people, without interpreting any markup in it."""
    terminal().print(escape(text))


def say_rows(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> None:
    """Print rows below each other, each on one line and whole, whatever the terminal: nothing that is copied is cut off."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.rjust(widths[at]) if at in right else cell.ljust(widths[at]) for at, cell in enumerate(row))
        say("  ".join(cells).rstrip())


def warn(text: str) -> None:
    """Print a line that asks for attention on standard error; nothing is wrong yet."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"[bold yellow]warning:[/] {escape(text)}")


def print_json(value: Json) -> None:
    """Print one JSON object on standard output, for programs."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True))


def print_problems(problems: Sequence[Problem], form: str = "text") -> None:
    """Print problems: as JSON on standard output, or for people on standard error."""
    if form == "json":
        print_json({"problems": [dict(problem.as_json()) for problem in problems]})
        return
    screen = Console(stderr=True, highlight=False, soft_wrap=True)
    for problem in problems:
        screen.print(
            f"[bold red]{problem.code}[/] [bold]{escape(problem.place)}[/]: {escape(problem.finding)}. {escape(problem.rule)}."
        )
        screen.print(f"  [dim]Next:[/] {escape(sentence(problem.next_step))}")


class LazyGroup(click.Group):
    """A group whose commands are entry points, loaded only when they are asked for."""

    def __init__(self, *args: Any, entry_group: str = COMMAND_GROUP, **kwargs: Any) -> None:  # noqa: ANN401  (click's own)
        """Take the entry-point group that names the commands."""
        super().__init__(*args, **kwargs)
        self.entry_group = entry_group

    def _points(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in entry_points(group=self.entry_group)}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands that are installed here."""
        return sorted({*super().list_commands(ctx), *self._points()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one command; one whose package is not installed is told as such when it runs."""
        own = super().get_command(ctx, cmd_name)
        point = self._points().get(cmd_name)
        if own is not None or point is None:
            return own
        try:
            module = importlib.import_module(point.module)
        except ModuleNotFoundError as error:
            return _absent(cmd_name, error.name or "a package")
        command: click.Command = getattr(module, point.attr)
        return command


def _absent(command: str, module: str) -> click.Command:
    def run() -> NoReturn:
        raise Refused([_extra(f"wardround {command}", module)])

    return click.Command(
        command,
        callback=run,
        help=f"(needs the Python module {module}, which is not installed here)",
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
        add_help_option=False,
    )


def _extra(command: str, module: str) -> Problem:
    return Problem(
        "X-EXTRA",
        command,
        "The command needs a package that is not installed here",
        f"the Python module {module} is absent",
        "install the distribution that brings it (torch and monai: wardround-platform[models])",
    )


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(wardround.__version__, message="%(version)s")
def cli() -> None:
    """Federated learning across hospitals: the model visits, the records stay."""


def run(arguments: Sequence[str]) -> int:
    """Run a command line and turn every outcome into an exit status; no stack trace by default."""
    wants_json = "--format=json" in arguments or ("--format", "json") in itertools.pairwise(arguments)
    form = "json" if wants_json else "text"
    try:
        result = cli(list(arguments), prog_name="wardround", standalone_mode=False)
    except Refused as error:
        print_problems(error.problems, form)
        return error.exit_status
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        return _say_usage(error, arguments, form)
    except (KeyboardInterrupt, click.Abort):
        click.echo("Stopped.", err=True)
        return 130
    except SystemExit:
        raise
    except BaseException as error:  # Rust's panics are no Exceptions, and their words may hold a cell too
        if isinstance(error, ModuleNotFoundError) and error.name and "." not in error.name:  # a command imported when it ran
            return _say_absent(error.name, arguments, form)
        if os.environ.get(DEBUG_VARIABLE) == "1":
            raise
        print_problems([_bug(error, _keep_trace(error, arguments))], form)
        return CATALOGUE["X-BUG"].exit_status
    return result if isinstance(result, int) else 0


def _say_usage(error: click.ClickException, arguments: Sequence[str], form: str) -> int:
    """Say what was wrong with a command line; a group that was called alone shows people its help instead."""
    from wardround.usage import usage_problem  # noqa: PLC0415  (where it is needed: --help stays quick)

    alone: type[click.ClickException] | tuple[()] = getattr(click.exceptions, "NoArgsIsHelpError", ())  # click 8.2 and later
    if isinstance(error, alone):
        error.show()
    else:
        print_problems([usage_problem(error, cli, arguments)], form)
    return EXIT_USAGE


def _say_absent(module: str, arguments: Sequence[str], form: str) -> int:
    from wardround.usage import called  # noqa: PLC0415  (where it is needed: --help stays quick)

    print_problems([_extra(called(cli, arguments).command_path, module)], form)
    return CATALOGUE["X-EXTRA"].exit_status


def _bug(error: BaseException, reference: Reference | None) -> Problem:
    again = f"run the command again with {DEBUG_VARIABLE}=1 to see the trace on this terminal"
    kept = f"its trace is in logs/{TRACES}; at a hospital: wardround silo explain {reference} --site site.yaml"
    return Problem(
        "X-BUG",
        "wardround",
        "This should not happen",
        f"an unexpected {with_reference(type(error).__name__, reference)}",
        f"{again if reference is None else kept}. Report it without patient data",
    )


def _keep_trace(error: BaseException, arguments: Sequence[str]) -> Reference | None:
    """Write the whole trace into the log of commands, where the command names the directory of a hospital or centre.

    Gives the reference under which it stands there; None where it stands nowhere.
    """
    from wardround.json_log import close_log, open_log  # noqa: PLC0415  (where it is needed: --help stays quick)

    named = _named(arguments)
    if named is None or not named.is_dir():
        return None
    reference = new_reference()
    try:
        (named / LOGS).mkdir(mode=0o700, exist_ok=True)
        log = open_log(named / LOGS / TRACES, "wardround.commands")
    except OSError:
        return None
    with referred(reference):
        log.error("a command ended by an unexpected error", exc_info=error)
    close_log(log)
    return reference


def _named(arguments: Sequence[str]) -> Path | None:
    """Give the directory that a command line names by ``--site`` (the file in it) or ``--dir``."""
    words = [part for word in arguments for part in (word.split("=", 1) if word.startswith("--") else [word])]
    for option, value in itertools.pairwise(words):
        if option in ("--site", "--dir"):
            return Path(value).parent if option == "--site" else Path(value)
    return None


def main() -> NoReturn:
    """Run ``wardround`` and leave with its exit status."""
    sys.exit(run(sys.argv[1:]))
