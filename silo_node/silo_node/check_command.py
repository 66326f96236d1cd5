"""``wardround silo check``: are this hospital's records in order for a study or a schema?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from wardround.console import format_option, print_json, say, terminal
from wardround.errors import EXIT_DONE, EXIT_NOT_IN_ORDER, refuse, sentence

if TYPE_CHECKING:
    from silo_node.validation.check import CheckResult
    from wardround.contract.model import Contract
    from wardround.study.model import Study

EXISTING = click.Path(path_type=Path)
UNBUILT = "0" * 64
UNREAD = frozenset({"T-FILE", "T-ENCODING", "T-DELIM", "T-NOHEADER", "T-HDRDUP"})


@click.command()
@click.option("--site", "site_path", type=EXISTING, required=True, help="The hospital's site.yaml.")
@click.option("--study", "study_path", type=EXISTING, help="A study file or bundle: check what the study declares.")
@click.option("--schema", "schema_name", help="A schema, as ID or ID@VERSION: check all of it.")
@click.option("--schema-path", type=EXISTING, multiple=True, help="A further folder of schemas; may stand several times.")
@format_option
def check(site_path: Path, study_path: Path | None, schema_name: str | None, schema_path: tuple[Path, ...], form: str) -> int:
    """Check the records: every finding in one run, by line number and never by value.

    Exit status 0: in order. 1: not in order. 2: the site file, the study or the schema is not.
    """
    from silo_node.cohort import assemble
    from silo_node.configuration import load_site
    from silo_node.validation.check import check as check_records
    from silo_node.validation.reports import as_json, write_local
    from silo_node.validation.result import CheckFailed
    from wardround.contract.library import find
    from wardround.directory import check_format

    if (study_path is None) == (schema_name is None):
        raise refuse(
            "X-USAGE",
            "wardround silo check",
            "A check is for a study or for a schema",
            "neither --study nor --schema was given" if study_path is None else "both --study and --schema were given",
            "give one of the two",
        )
    site = load_site(site_path)
    check_format(site.folder)
    study_name = None
    if study_path is not None:
        study, contract, study_hash = _study_of(study_path, schema_path)
        study_name = study.name
        try:
            result = assemble(site, contract, study, study_hash).report
        except CheckFailed as failure:
            result = failure.result
    else:
        result = check_records(site, find(str(schema_name), schema_path))
    report = write_local(site, result, study_name)
    place = f"{report.parent.name}/{report.name}"
    if form == "json":
        print_json({**as_json(result), "local_report": place})
    else:
        _tell(result, place)
    return EXIT_DONE if result.passed else EXIT_NOT_IN_ORDER


def _study_of(path: Path, schema_path: tuple[Path, ...]) -> tuple[Study, Contract, str]:
    """Read a study file, or a bundle, whose own copy of the schema always wins; with the hash that divides the patients.

    A study file has no hash yet: its patients are divided as in some bundle, not exactly as in the one to come.
    """
    from wardround.study.bundle import SUFFIX, read_bundle
    from wardround.study.check import load_study

    if path.suffix == SUFFIX:
        bundle = read_bundle(path)
        return bundle.study, bundle.contract, bundle.study_hash
    return *load_study(path, schema_path), UNBUILT


def _tell(result: CheckResult, place: str) -> None:
    from rich.markup import escape
    from rich.table import Table

    schema = f"{result.contract.id} {result.contract.version}"
    if result.findings:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in ("code", "field or rule", "count", "where", "shapes"):
            table.add_column(heading, justify="right" if heading == "count" else "left", overflow="fold")
        for each in result.findings:
            weight = "warning" if each.explained is None else "explained"
            at = ", ".join(str(line) for line in each.lines[:8]) + (", ..." if each.count > len(each.lines[:8]) else "")
            table.add_row(
                f"[red]{each.code}[/]" if each.severity == "error" else f"[yellow]{each.code}[/] ({weight})",
                each.field or each.rule or "",
                str(each.count) if each.count else "",
                f"{each.unit}s {at}" if each.lines else "",
                escape("  ".join(shape.text for shape in each.shapes[:3])),
            )
        terminal().print(table)
        say("")
        for each in result.findings:
            why = "" if each.explained is None else f" Explained in the site file ({each.explained})."
            say(f"{each.code}: {sentence(each.expectation)} {sentence(each.finding)}{why} Next: {sentence(each.next_step)}")
        say("")
    valid = result.found - result.quarantined
    verdict = "in order" if result.passed else "not in order"
    unread = not result.found and any(each.code in UNREAD for each in result.findings)
    counts = f"{result.found} records found, {result.quarantined} set aside, {valid} valid"
    say(f"{schema}: {verdict}. {'The records could not be read' if unread else counts}.")
    if result.synthetic:
        say("These records are SYNTHETIC, NO PATIENTS: every patient key bears the mark of wardround schema synthesise.")
    say(f"The local report is {place} beside the site file; it stays in the hospital.")
