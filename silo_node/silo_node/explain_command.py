"""``wardround silo explain``: what happened here, by the reference number that somebody outside quotes."""

from __future__ import annotations

from pathlib import Path

import click

from silo_node.configuration import load_site
from silo_node.decision_commands import site_option
from silo_node.explanation import LogLine, look_up
from wardround.console import format_option, print_json, say, warn
from wardround.directory import check_format
from wardround.errors import CATALOGUE, refuse
from wardround.reference import read_reference

SHOWN = 12
"""Digits of a hash that people read."""


@click.command()
@click.argument("reference")
@site_option
@format_option
def explain(reference: str, site_path: Path, form: str) -> None:
    """Show what stands under REFERENCE in this hospital's own logs: what failed, when, with the whole trace.

    The reference is the one that the centre shows beside a code, such as ABCD-EFGH. What is printed may hold patient data:
    it is for this hospital only. Exit status 1 when nothing stands under it (X-REFERENCE).
    """
    site = load_site(site_path)
    check_format(site.folder)
    number = read_reference(reference)
    if number is None:
        raise refuse(
            "X-USAGE",
            "wardround silo explain",
            "A reference is two groups of four letters and digits, such as ABCD-EFGH; there is no 0, 1, 8 or 9 in it",
            "the text on the command line is not one",
            "copy it from what the centre shows beside the code",
        )
    found = look_up(site.folder, number)
    if not found.lines and not found.sent:
        raise refuse(
            "X-REFERENCE",
            f"site {site.file.site}",
            "A reference stands in the logs of the hospital that gave it, until they are rotated away",
            f"nothing stands under {number} here",
            "make sure that it is this hospital's, and look into older copies of logs/",
        )
    if form == "json":
        print_json(
            {
                "reference": number,
                "sent": [each.as_json() for each in found.sent],
                "lines": [line.as_json() for line in found.lines],
            }
        )
        return
    warn("what follows may hold patient data; it is for this hospital only")
    for each in found.sent:
        title = CATALOGUE[each.code].title if each.code in CATALOGUE else "a code of another version"
        task = "" if each.task is None else f", task {each.task[:SHOWN]} of study {(each.study or '')[:SHOWN]}"
        say(f"{each.time}  the centre was told {each.code}: {title}{task}")
    for line in found.lines:
        _show(line)
    if not found.lines:
        say("No line of the logs stands under it: the code says all.")


def _show(line: LogLine) -> None:
    say(f"{line.time}  {line.file}  {line.level}  {line.message}")
    if line.exception is not None:
        for each in line.exception.splitlines():
            say(f"    {each}")
