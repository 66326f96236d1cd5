"""The one command: exit statuses, problems for people and programs, no trace by default."""

import json
import subprocess
import sys
from importlib.metadata import EntryPoint

import click
import pytest

from wardround import console
from wardround.errors import Problem, Refused, refuse

WAYS = ("well", "odd", "two", "one", "bug", "panic", "stop", "partial", "file", "extra", "part")
PRIVATE = "Meyer, *1961-02-03"


class Panic(BaseException):
    """As a library written in Rust raises it: no Exception."""


@click.command()
@click.option("--how", type=click.Choice(WAYS), default="well")
@console.format_option
def act(how: str, form: str) -> int | None:
    """Do what is asked."""
    if how == "partial":
        return 3
    if how == "stop":
        raise KeyboardInterrupt
    if how == "extra":
        import no_such_package_here  # noqa: F401
    if how == "part":
        import email.no_such_part  # noqa: F401
    if how == "bug":
        raise ValueError(PRIVATE)
    if how == "panic":
        raise Panic(PRIVATE)
    if how == "file":
        raise click.FileError("x", "no")
    if how == "one":
        raise refuse("T-EMPTY", "site [bold]a[/]", "Rule", "finding [red]", "do it")
    if how == "two":
        raise Refused([Problem("T-EMPTY", "a", "Rule", "finding", "do it."), Problem("Y-KEY", "b", "Rule", "finding", "why?")])
    console.say("[done]")
    return None


@pytest.fixture(autouse=True)
def commands(monkeypatch):
    """Give the console three commands: one of ours, a group, and one whose package is absent."""
    points = [
        EntryPoint("act", "acting:act", "wardround.commands"),
        EntryPoint("many", "acting:many", "wardround.commands"),
        EntryPoint("absent", "no_such_package_here.commands:absent", "wardround.commands"),
    ]
    module = type(sys)("acting")
    module.act, module.many = act, click.Group("many", {"one": act})
    monkeypatch.setitem(sys.modules, "acting", module)
    monkeypatch.setattr(console, "entry_points", lambda **_named: points)
    monkeypatch.delenv(console.DEBUG_VARIABLE, raising=False)


@pytest.mark.parametrize(
    ("how", "status"), [("well", 0), ("one", 1), ("two", 2), ("bug", 2), ("panic", 2), ("stop", 130), ("partial", 3), ("file", 2)]
)
def test_exit_statuses(how, status, capsys):
    """0 done, 1 not in order, 2 wrong usage or configuration (the gravest counts), 3 partial, 130 stopped; never a trace."""
    for form in ("text", "json"):
        assert console.run(["act", "--how", how, "--format", form]) == status
        output = capsys.readouterr()
        assert "Traceback" not in output.out + output.err
        assert PRIVATE not in output.out + output.err


WRONG = [
    (["nothing"], "wardround", "no such command 'nothing'", "see: wardround --help"),
    (["ac"], "wardround", "no such command 'ac'", "did you mean 'act'? Or see: wardround --help"),
    (["many", "act"], "wardround many", "no such command 'act'", "did you mean 'wardround act'? Or see: wardround many --help"),
    (["many", "on"], "wardround many", "no such command 'on'", "did you mean 'one'? Or see: wardround many --help"),
    (["act", "--hwo", "well"], "wardround act", "no such option '--hwo'", "did you mean '--how'? Or see: wardround act --help"),
    (["act", "--no-such-option"], "wardround act", "no such option '--no-such-option'", "see: wardround act --help"),
    (["act", "--how", "x"], "wardround act", "invalid value for '--how': 'x' is not one of", "see: wardround act --help"),
    (["act", "extra [b]"], "wardround act", "got unexpected extra argument (extra [b])", "see: wardround act --help"),
    (["act", "--format"], "wardround act", "option '--format' requires an argument", "see: wardround act --help"),
    (
        ["act", "--format", "xml"],
        "wardround act",
        "invalid value for '--format': 'xml' is not one of",
        "see: wardround act --help",
    ),
]
"""What is typed, and the place, the finding and the next step that are told."""


@pytest.mark.parametrize(("words", "place", "finding", "step"), WRONG)
def test_wrong_usage_is_told_as_every_problem_is(words, place, finding, step, capsys):
    """An unknown command, option, choice or word is status 2: code, place, finding, rule, and the nearest word that there is."""
    assert console.run(words) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(f"X-USAGE {place}: {finding}"), output.err
    assert output.err.endswith(f". Commands take what their help names.\n  Next: {step}.\n"), output.err


@pytest.mark.parametrize(("words", "place", "finding", "step"), [each for each in WRONG if "--format" not in each[0]])
def test_wrong_usage_for_programs(words, place, finding, step, capsys):
    """With --format json, wrong usage is a problem with a code on standard output, and nothing is on the other."""
    assert console.run([*words, "--format", "json"]) == 2
    output = capsys.readouterr()
    (problem,) = json.loads(output.out)["problems"]
    assert (output.err, problem["code"], problem["place"], problem["next_step"]) == ("", "X-USAGE", place, step)
    assert problem["finding"].startswith(finding)


def test_a_group_that_is_called_alone_shows_its_help(capsys):
    assert console.run([]) == 2
    assert "Commands:" in capsys.readouterr().err


def test_problems_for_programs(capsys):
    """With --format json every problem stands in one JSON object with its five parts."""
    for words in (["--format", "json"], ["--format=json"]):
        console.run(["act", "--how", "two", *words])
        output = capsys.readouterr()
        assert output.err == ""
        problems = json.loads(output.out)["problems"]
        assert [problem["code"] for problem in problems] == ["T-EMPTY", "Y-KEY"]
        assert all(problem.keys() == {"code", "place", "rule", "finding", "next_step"} for problem in problems)


def test_problems_for_people(capsys):
    """Code, place, finding, rule and next step on standard error; brackets in names are not markup."""
    console.run(["act", "--how", "one"])
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err == "T-EMPTY site [bold]a[/]: finding [red]. Rule.\n  Next: do it.\n"
    console.run(["act"])
    assert capsys.readouterr().out == "[done]\n"


def test_a_bug_shows_only_its_kind(capsys):
    """The text of an unexpected error (it may hold a patient's data) is not printed; its type and the next step are."""
    for how, kind in (("bug", "ValueError"), ("panic", "Panic")):
        console.run(["act", "--how", how])
        error = capsys.readouterr().err
        assert "X-BUG" in error
        assert kind in error
        assert console.DEBUG_VARIABLE in error


def test_the_trace_of_a_bug_on_request(monkeypatch):
    """With the debug variable set, the error itself comes out."""
    monkeypatch.setenv(console.DEBUG_VARIABLE, "1")
    with pytest.raises(ValueError, match="Meyer"):
        console.run(["act", "--how", "bug"])


@pytest.mark.parametrize("words", [[], ["--help"], ["some", "--option=1", "words", "-x"]])
def test_an_absent_package_is_told(words, capsys):
    """A command whose package is not installed here is X-EXTRA with its module's name, whatever its arguments."""
    assert console.run(["absent", *words]) == 2
    error = capsys.readouterr().err
    assert "X-EXTRA" in error
    assert "no_such_package_here" in error


def test_a_package_that_is_absent_when_a_command_runs_is_told(capsys):
    """What a command imports only when it runs is X-EXTRA too; a part of a package that is there is not: that is a bug."""
    for form in ("text", "json"):
        assert console.run(["act", "--how", "extra", "--format", form]) == 2
    output = capsys.readouterr()
    assert output.err.startswith("X-EXTRA wardround act: the Python module no_such_package_here is absent. ")
    assert [problem["code"] for problem in json.loads(output.out)["problems"]] == ["X-EXTRA"]
    console.run(["act", "--how", "part"])
    assert "an unexpected ModuleNotFoundError" in capsys.readouterr().err


def test_help_lists_what_is_installed(capsys):
    """Help names every command of this installation, also those whose package is absent, and loads nothing else."""
    assert console.run(["--help"]) == 0
    out = capsys.readouterr().out
    assert "act" in out
    assert "absent" in out
    assert console.run(["--version"]) == 0
    assert console.run(["act", "--help"]) == 0


HELP_OF_EVERYTHING = """
import sys
import click
from wardround.console import cli, run
SLOW = {"torch", "monai", "polars", "flwr", "grpc", "matplotlib", "pydicom", "scipy", "sklearn"}
def walk(command, words):
    assert run([*words, "--help"]) == 0, words
    assert not SLOW & {*sys.modules}, (words, SLOW & {*sys.modules})
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            walk(command.get_command(context, name), [*words, name])
walk(cli, [])
"""


def test_help_imports_nothing_that_is_slow():
    """Help of everything answers without what reads records, trains or speaks to the other side: in a second, not eight."""
    done = subprocess.run([sys.executable, "-c", HELP_OF_EVERYTHING], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for command in ("wardround study build", "wardround silo start", "wardround coordinator start", "wardround simulate"):
        assert f"Usage: {command} " in done.stdout


def test_the_real_command_ends_with_its_status():
    """The installed entry point gives the status to the shell, and starts without torch, polars or MONAI."""
    program = (
        "import sys; sys.argv = ['wardround', 'study', 'check', 'no-such-file.yaml', '--format', 'json']\n"
        "import atexit; atexit.register(lambda: print(sorted({'torch', 'polars', 'monai'} & {*sys.modules}), file=sys.stderr))\n"
        "from wardround.console import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert [problem["code"] for problem in json.loads(done.stdout)["problems"]] == ["Y-FILE"]
    assert done.stderr == "[]\n"
