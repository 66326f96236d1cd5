"""``wardround silo extract``: snapshots of workbooks, files of statistics programs and databases, for the check and the node."""

from __future__ import annotations

from pathlib import Path

import click

from wardround.console import format_option, print_json, say
from wardround.errors import EXIT_DONE, Problem, Refused, raise_all, refuse


@click.command()
@click.option("--site", "site_path", type=click.Path(path_type=Path), required=True, help="The hospital's site.yaml.")
@click.option("--again", is_flag=True, help="Read sources again whose files were not changed.")
@click.argument("names", nargs=-1, metavar="[SOURCE]...")
@format_option
def extract(site_path: Path, names: tuple[str, ...], *, again: bool, form: str) -> int:
    """Read sources of format excel, sas, stata, spss and sql into snapshots, which are what check and node read.

    Without SOURCE, all of them. Each is read in a process of its own, under limits, and its snapshot is written whole or
    not at all into extracts/ beside the site file, for you only. Files that were not changed since are not read again; a
    database server is asked each time.
    """
    from dataclasses import asdict

    from silo_node.configuration import load_site
    from silo_node.extraction.extract import extract as extract_source
    from silo_node.extraction.extract import extracted_sources
    from wardround.directory import check_format
    from wardround.strict_yaml import nearest

    site = load_site(site_path)
    check_format(site.folder)
    known = extracted_sources(site)
    for name in names:
        if name not in known:
            guess = nearest(name, known)
            raise refuse(
                "X-USAGE",
                "wardround silo extract",
                "SOURCE is a source of format excel, sas, stata, spss or sql",
                f"{name!r} is none",
                f"did you mean {guess!r}?" if guess else f"use one of: {', '.join(known) or '(none)'}",
            )
    done = []
    problems: list[Problem] = []
    for name in dict.fromkeys(names or known):
        try:
            done.append(extract_source(site, name, again=again))
        except Refused as error:
            problems += error.problems
            continue
        if form != "json":
            one = done[-1]
            what = (
                f"{one.records} records, {one.columns} columns" if one.state == "written" else "its files were not changed since"
            )
            say(f"{one.source}: {what}.")
    raise_all(problems)
    if form == "json":
        print_json({"sources": [asdict(one) for one in done]})
    elif not done:
        say("No source needs a snapshot: all are CSV or Parquet.")
    return EXIT_DONE
