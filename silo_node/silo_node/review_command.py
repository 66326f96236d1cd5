"""``wardround silo review``: what exactly a study asks of this hospital, before anybody approves it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from silo_node.configuration import load_site
from silo_node.example import make_example
from silo_node.identity import load_identity
from silo_node.porter.approvals import objections
from silo_node.review import review_study, summary
from wardround.console import columns, format_option, print_json, print_problems, say
from wardround.errors import EXIT_DONE, EXIT_NOT_IN_ORDER
from wardround.study.bundle import read_bundle


@click.command()
@click.argument("bundle_path", metavar="BUNDLE", type=click.Path(path_type=Path))
@click.option("--site", "site_path", required=True, type=click.Path(path_type=Path), help="The hospital's site.yaml.")
@click.option("--records/--no-records", default=True, show_default=True, help="Read the records and say how many take part.")
@click.option(
    "--example/--no-example", default=True, show_default=True, help="Try the study on synthetic records, and show what leaves."
)
@format_option
def review(bundle_path: Path, site_path: Path, records: bool, example: bool, form: str) -> int:  # noqa: FBT001  (click's)
    """Say in plain words what the study in BUNDLE asks of this hospital; changes nothing.

    Exit status 1 when this hospital is not on the study's roster with its own keys, or its policy does not allow the
    study; every reason is shown. What fails in the example is said by its codes, and changes neither.
    """
    bundle = read_bundle(bundle_path)
    site = load_site(site_path)
    identity = load_identity(site.folder)
    problems = objections(site.folder, bundle, identity)
    found = review_study(site, bundle, identity, count=records)
    if example and not problems:  # what may not be approved is not tried either
        found = replace(found, example=make_example(site_path, bundle_path, bundle))
    if form == "json":
        print_json({**found.as_json(), "problems": [dict(problem.as_json()) for problem in problems]})
    else:
        say(summary(found, columns()))
        if not problems:
            say(f"Next: wardround silo check --site {site_path} --study {bundle_path}, then wardround silo approve")
        print_problems(problems)
    return EXIT_NOT_IN_ORDER if problems else EXIT_DONE
