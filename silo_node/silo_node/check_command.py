"""``wardround silo check``: are this hospital's records in order for a study or a schema?"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wardround.console import format_option, print_json, say, say_rows, terminal
from wardround.errors import EXIT_DONE, EXIT_NOT_IN_ORDER, Refused, refuse
from wardround.values import instant

if TYPE_CHECKING:
    from silo_node.configuration import Site
    from silo_node.fix_plan.plan import Plan
    from silo_node.local_report.history import Line
    from silo_node.local_report.question import Question
    from silo_node.validation.reports import LocalReport
    from wardround.contract.model import Contract

EXISTING = click.Path(path_type=Path)


@click.command()
@click.option("--site", "site_path", type=EXISTING, required=True, help="The hospital's site.yaml.")
@click.option("--study", "study_path", type=EXISTING, help="A study file or bundle: check what the study declares.")
@click.option("--schema", "schema_name", help="A schema, as ID or ID@VERSION: check all of it.")
@click.option("--schema-path", type=EXISTING, multiple=True, help="A further folder of schemas; may stand several times.")
@click.option(
    "--fix-plan",
    is_flag=True,
    help="Write, and never apply, the changes of the site file that would solve what can be solved there.",
)
@click.option("--history", is_flag=True, help="Print the checks that were made here before, and check nothing.")
@click.option("--no-cache", is_flag=True, help="Check the records anew, even if nothing has changed since the last check.")
@click.option(
    "--max-fraction",
    type=click.FloatRange(0.0, 1.0),
    help="For a schema of images: the share of examples that may be set aside, and of files that may be damaged; 0 if not given.",
)
@click.option("--pixels", is_flag=True, help="For a schema of images: decode every image, not one of each series.")
@format_option
def check(  # noqa: PLR0913, PLR0917  (options of the command line)
    site_path: Path,
    study_path: Path | None,
    schema_name: str | None,
    schema_path: tuple[Path, ...],
    fix_plan: bool,  # noqa: FBT001  (a flag of the command line)
    history: bool,  # noqa: FBT001
    no_cache: bool,  # noqa: FBT001
    max_fraction: float | None,
    pixels: bool,  # noqa: FBT001
    form: str,
) -> int:
    """Check the records: every finding in one run, by line number and never by value.

    For a schema of images, the folder that the site file names for it is looked through, and every file accounted for.

    Exit status 0: in order. 1: not in order. 2: the site file, the study or the schema is not.
    """
    from silo_node.check_images_command import check_images
    from silo_node.configuration import load_site
    from silo_node.imaging.asked import Asked
    from wardround.contract.imaging import ImagingContract
    from wardround.contract.library import find_any, table_of
    from wardround.directory import check_format

    _refuse_usage(study_path, schema_name, fix_plan=fix_plan, history=history)
    site = load_site(site_path)
    check_format(site.folder)
    contract = None if schema_name is None else find_any(schema_name, schema_path)
    if isinstance(contract, ImagingContract):
        if fix_plan or history:
            raise _usage("Plans and histories are of tables", "the schema is one of images", "leave --fix-plan and --history out")
        table = None if schema_name is None else table_of(contract, schema_name, schema_path)
        return check_images(site, contract, table, Asked(max_fraction or 0.0, pixels, anew=no_cache), form)
    if pixels or max_fraction is not None:
        step = "leave --pixels and --max-fraction out; a study says under 'quarantine' how many records may be set aside"
        raise _usage("Both are of schemas of images", "--pixels or --max-fraction was given", step)
    question = _question(study_path, contract, schema_path)
    if history:
        return _tell_history(site, question, form)
    assert question is not None  # noqa: S101  (one of the two was given)
    if fix_plan and question.imaging is not None:
        step = "name the table's schema with --schema, or leave --fix-plan out"
        raise _usage("Plans are of tables", "the study reads images", step)
    if fix_plan:
        return _tell_plan(site, question, form)
    return _check(site, question, form, cached=not no_cache)


def _refuse_usage(study: Path | None, schema: str | None, *, fix_plan: bool, history: bool) -> None:
    """Refuse a command line that asks for nothing, or for two things."""
    if fix_plan and history:
        raise _usage("A plan and the history are two commands", "both --fix-plan and --history were given", "give one of the two")
    if study is not None and schema is not None:
        raise _usage("A check is for a study or for a schema", "both --study and --schema were given", "give one of the two")
    if study is None and schema is None and not history:
        raise _usage("A check is for a study or for a schema", "neither --study nor --schema was given", "give one of the two")


def _usage(rule: str, finding: str, next_step: str) -> Refused:
    return refuse("X-USAGE", "wardround silo check", rule, finding, next_step)


def _question(study_path: Path | None, contract: Contract | None, schema_path: tuple[Path, ...]) -> Question | None:
    """Read what is asked: a schema, a study file, or a bundle, whose own copy of the schema always wins.

    A study file has no hash yet: its patients are divided as in some bundle, not exactly as in the one to come.
    """
    from silo_node.local_report.question import Question
    from wardround.study.bundle import SUFFIX, read_bundle
    from wardround.study.check import load_study

    if study_path is None:
        return None if contract is None else Question(contract)
    if study_path.suffix == SUFFIX:
        bundle = read_bundle(study_path)
        return Question(bundle.contract, bundle.study, bundle.study_hash, bundle.imaging)
    study, declared, imaging = load_study(study_path, schema_path)
    return Question(declared, study, imaging=imaging)


# --------------------------------------------------------------------------------------------------------------- check


def _check(site: Site, question: Question, form: str, *, cached: bool) -> int:
    from silo_node.local_report import earlier, history
    from silo_node.local_report.page import write_page
    from silo_node.validation.reports import as_json, local_report, write_local

    now = datetime.now(UTC)
    day = earlier.day_of(now)
    basis = earlier.basis_of(site, question, day)
    report = earlier.recall(site, question, basis) if cached else None
    answered = report is not None
    if report is None:
        report = local_report(question.answer(site, profiled=True))
    folder = site.make_directory("reports")
    before = history.read(folder)
    path = write_local(site, report, question.study_name)
    page = write_page(site, report, question.study_name, before)
    line = history.line_of(report, question.study_name, instant(now), cached=answered)
    history.append(folder, line)
    if not answered:
        earlier.keep(site, question, basis, day, report)
    if form == "json":
        places = {"local_report": f"{folder.name}/{path.name}", "local_page": f"{folder.name}/{page.name}"}
        print_json({**as_json(report), **places, "cached": answered})
    else:
        same = history.of_one_kind(before, report.contract.id, question.study_name)
        _tell(report, same, line, f"{folder.name}/{path.name}", f"{folder.name}/{page.name}")
    return EXIT_DONE if report.passed else EXIT_NOT_IN_ORDER


def _tell(report: LocalReport, before: tuple[Line, ...], line: Line, place: str, page: str) -> None:
    from silo_node.local_report.table import fix_first, since, table, verdict

    screen = terminal()
    if report.findings:
        for row in table(report, screen.width):
            screen.print(row)
        say("")
    if report.fix_first:
        for text in fix_first(report.fix_first, report.quarantined):
            say(text)
        say("")
    if (told := since(before, line)) is not None:
        say(told)
    say(verdict(report))
    if report.synthetic:
        say("These records are SYNTHETIC, NO PATIENTS: every patient key bears the mark of wardround schema synthesise.")
    say(f"The local report is {place} beside the site file; it stays in the hospital.")
    say(f"To read it with charts, open {page} in a browser.")
    if line.cached:
        say("Nothing has changed since an earlier check of today: this is its answer. --no-cache checks anew.")


# ------------------------------------------------------------------------------------------------------------- history


def _tell_history(site: Site, question: Question | None, form: str) -> int:
    from silo_node.local_report import history
    from silo_node.local_report.history_table import history_rows
    from wardround.canonical import model_json

    lines = history.read(site.directory("reports"))
    if question is not None:
        lines = history.of_one_kind(lines, question.contract.id, question.study_name)
    if form == "json":
        print_json({"checks": [model_json(line) for line in lines]})
    elif not lines:
        say("No check was made here yet.")
    else:
        say_rows(list(history_rows(lines)), right=(4, 5))
    return EXIT_DONE


# ---------------------------------------------------------------------------------------------------------------- plan


def _tell_plan(site: Site, question: Question, form: str) -> int:
    from silo_node.fix_plan.plan import make_plan
    from silo_node.fix_plan.writing import plan_json, write_plan

    plan = make_plan(site, question)
    path = write_plan(site, question, plan)
    place = f"{path.parent.name}/{path.name}"
    if form == "json":
        print_json({**plan_json(plan), "fix_plan": place})
    else:
        _say_plan(plan, place)
    return EXIT_DONE if plan.after.passed else EXIT_NOT_IN_ORDER


def _say_plan(plan: Plan, place: str) -> None:
    from silo_node.fix_plan.texts import many
    from silo_node.fix_plan.writing import step_words
    from silo_node.local_report.table import table, verdict

    if not plan.before.findings:
        say("Nothing was found: there is nothing to change.")
        say(verdict(plan.before))
        return
    if not plan.steps:
        say("Nothing that was found can be solved in the site file alone.")
    for step in plan.steps:
        say(step_words(step))
    if plan.questions:
        say(f"Left to a person: {many(plan.questions, 'question')}, to be read in the plan.")
    say("")
    if plan.steps:
        say("With the plan applied, in memory, the check would find:")
        screen = terminal()
        if plan.after.findings:
            for row in table(plan.after, screen.width):
                screen.print(row)
        say(verdict(plan.after))
        say("")
    else:
        say(verdict(plan.before))
    say(f"The plan is {place} beside the site file. It may hold local codes and column names: it stays in the hospital.")
    if plan.steps:
        say("Nothing was changed. Look at each line, copy what is right into the site file, and check again.")
