"""``wardround silo init | passphrase``: make the hospital's keys inside the hospital, and look after the approver's."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import click
import yaml

from silo_node.configuration import load_site
from silo_node.identity import REQUEST, approval_key, change_passphrase, check_no_identity, create_identity
from silo_node.policy import PolicyFile
from silo_node.questions import CITY, CONTACT, INSTITUTION, QUESTIONS, SITE_NAME, Question
from wardround.canonical import model_json
from wardround.console import format_option, print_json, print_problems, say
from wardround.errors import EXIT_DONE, EXIT_NOT_IN_ORDER, Problem, Refused, raise_all, refuse
from wardround.files import write_new
from wardround.identity.passphrase import new_passphrase, passphrase_option, read_passphrase
from wardround.identity.roster import Member

SITE_FILE = "site.yaml"
SITE_HEAD = """\
# Who this hospital is. Written by: wardround silo init
"""
SITE_REST = """\
# Where the records are, and what the local columns mean. `wardround silo map` drafts both from a file; how to go on from
# there: docs/how-to/from-a-csv-to-a-fit-report.md
sources: {}
schemas: {}
"""


@dataclass(frozen=True)
class _Asked:
    """What a hospital said of itself. ``new``: there is no site file yet, so that one is written."""

    path: Path
    answers: dict[str, str]
    new: bool

    @property
    def folder(self) -> Path:
        return self.path.parent

    @property
    def site(self) -> str:
        return self.answers[SITE_NAME.option]

    @property
    def name(self) -> str:
        return self.answers[INSTITUTION.option]


@click.command()
@click.option(
    "--site",
    "path",
    default=SITE_FILE,
    show_default=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The hospital's site.yaml; a short one is written where there is none.",
)
@click.option("--site-name", help="A short name of the hospital for rosters and files; needed without a site.yaml.")
@click.option("--institution", help="The hospital's name for people; needed without a site.yaml.")
@click.option("--city", help="Where the hospital is, for the centre's operator.")
@click.option("--contact", help="Whom the centre's operator calls there.")
@passphrase_option
@format_option
def init(
    path: Path,
    site_name: str | None,
    institution: str | None,
    city: str | None,
    contact: str | None,
    passphrase_file: Path | None,
    form: str,
) -> int:
    """Make this hospital's keys beside site.yaml, and the request.json that goes to the centre and to study authors.

    On a terminal it asks for what is missing, shows it all, and asks before it writes. Elsewhere everything is given by
    options.

    Private keys are made here, are readable by you only, and never leave. The key that approves studies also has a
    passphrase, of the person who approves: the node, which runs without it, can never approve anything. A policy.yaml with
    the defaults is written, too, unless there is one: what this hospital allows, whoever approves a study.
    """
    given = {SITE_NAME: site_name, INSTITUTION: institution, CITY: city, CONTACT: contact}
    asked = _gather(path, {question.option: answer for question, answer in given.items() if answer is not None})
    missing = [question for question in QUESTIONS if question.needed and question.option not in asked.answers]
    secret: bytes | None = None
    if passphrase_file is not None and not missing:
        secret = new_passphrase(passphrase_file)
    elif not sys.stdin.isatty():
        _refuse_missing(path, missing, passphrase_file)
        secret = new_passphrase(passphrase_file)
    else:
        asked, secret = _interview(asked, passphrase_file)
        if not _confirmed(asked):
            click.echo("Nothing was written.", err=True)
            return EXIT_NOT_IN_ORDER
    member = _write(asked, secret)
    _report(asked, member, form)
    return EXIT_DONE


def _gather(path: Path, answers: dict[str, str]) -> _Asked:
    """Put together what options and the site file say; every option is checked, and nothing may stand in the way of keys.

    Raises:
        Refused: Y-VALUE for each option that is not in order, or says otherwise than the site file; any Y- code of the site
            file and the policy; K-EXISTS, V-FORMAT.
    """
    found = [each.problem(answers[each.option]) for each in QUESTIONS if each.option in answers]
    problems = [problem for problem in found if problem is not None]
    new = not path.exists()
    if not new:
        file = load_site(path).file
        for question, told in ((SITE_NAME, file.site), (INSTITUTION, file.name)):
            if answers.setdefault(question.option, told) != told:
                problems.append(_otherwise(question, path))
    raise_all(problems)
    PolicyFile(path.parent).read()  # one that is there is in order before anything is made
    check_no_identity(path.parent, answers.get(SITE_NAME.option, path.name))
    return _Asked(path, answers, new)


def _otherwise(question: Question, path: Path) -> Problem:
    return Problem(
        "Y-VALUE",
        question.option,
        "A site file that is there says who the hospital is",
        f"{path.name} says otherwise",
        f"leave {question.option} out, or change {path.name} first",
    )


def _refuse_missing(path: Path, missing: list[Question], passphrase_file: Path | None) -> None:
    """Name every option that is missing, where nobody can be asked; a passphrase alone is told by its own code.

    Raises:
        Refused: X-USAGE.
    """
    options = [question.option for question in missing] + ([] if passphrase_file is not None else ["--passphrase-file"])
    if missing:
        raise refuse(
            "X-USAGE",
            "wardround silo init",
            "What cannot be asked on a terminal is given by options",
            f"{path.name} is not there, and there is no terminal to ask on; not given: {', '.join(options)}",
            "run it on a terminal, or give these options; if there is a site file elsewhere, name it with --site",
        )


def _interview(asked: _Asked, passphrase_file: Path | None) -> tuple[_Asked, bytes]:
    """Ask for what is missing; Ctrl-C ends it, and nothing is written."""
    click.echo("Ctrl-C stops this at any question; nothing is written before the end.", err=True)
    answers = dict(asked.answers)
    for question in QUESTIONS:
        if question.option not in answers and (answer := question.ask()) is not None:
            answers[question.option] = answer
    while True:
        try:
            return _Asked(asked.path, answers, asked.new), new_passphrase(passphrase_file)
        except Refused as error:
            if passphrase_file is not None:
                raise
            print_problems(error.problems)


def _confirmed(asked: _Asked) -> bool:
    """Show what would be written, and ask."""
    answers, folder = asked.answers, asked.folder.absolute()
    for label, question in (("site", SITE_NAME), ("institution", INSTITUTION), ("city", CITY), ("contact", CONTACT)):
        click.echo(f"  {label:<12} {answers.get(question.option, '(not given)')}", err=True)
    files = (*((asked.path.name,) if asked.new else ()), "keys/", REQUEST, "policy.yaml, where there is none")
    click.echo(f"  {'writes':<12} {', '.join(files)}; in {folder}", err=True)
    return click.confirm("Make the keys?", default=True, err=True)


def _write(asked: _Asked, secret: bytes) -> Member:
    """Write all of it, or nothing.

    Raises:
        Refused: K-EXISTS, O-WRITE, Y-VALUE.
    """
    if asked.new:
        named = {"site": asked.site, "name": asked.name}
        text = SITE_HEAD + yaml.safe_dump(named, sort_keys=False, allow_unicode=True, width=1000) + SITE_REST
        try:
            write_new(asked.path, text.encode())
        except FileExistsError:
            raise refuse(
                "O-EXISTS",
                asked.path.name,
                "A site file is never overwritten",
                "somebody else has written one meanwhile",
                "run the command again, which reads it",
            ) from None
    city, contact = asked.answers.get(CITY.option), asked.answers.get(CONTACT.option)
    try:
        return create_identity(asked.folder, asked.site, asked.name, secret, city=city, contact=contact)
    except BaseException:
        if asked.new:
            asked.path.unlink(missing_ok=True)
        raise


def _report(asked: _Asked, member: Member, form: str) -> None:
    if form == "json":
        print_json({"request": model_json(member), "fingerprint": member.fingerprint, "site_file_written": asked.new})
        return
    folder = asked.folder
    say(f"Made the keys of {member.name} in {folder / 'keys'} (readable by you only).")
    say(f"  fingerprint {member.fingerprint}")
    if asked.new:
        say(f"Wrote {asked.path}: it still has to say where the records are, and what your columns mean.")
    say(f"What this hospital allows stands in {PolicyFile(folder).path}: read it, and change what it decides otherwise.")
    say(f"Next: send {folder / REQUEST} to the centre's operator and read them the fingerprint over the phone;")
    say(f"  then run: wardround silo join INVITATION --site {asked.path}")


@click.command()
@click.option("--site", "site_path", required=True, type=click.Path(path_type=Path), help="The hospital's site.yaml.")
@passphrase_option
@click.option(
    "--new-passphrase-file", type=click.Path(path_type=Path), help="A file with the new one; it is asked for when not given."
)
def passphrase(site_path: Path, passphrase_file: Path | None, new_passphrase_file: Path | None) -> None:
    """Give the approver's key another passphrase, such as when another person takes over. The key stays the same."""
    site = load_site(site_path)
    old = read_passphrase(passphrase_file)
    approval_key(site.folder, old)  # a wrong one is said before a new one is asked for
    change_passphrase(site.folder, old, new_passphrase(new_passphrase_file))
    say(f"The approver's key of {site.file.name} has another passphrase.")
