"""``wardround silo review``: what exactly a study asks of this hospital, before anybody approves it."""

from __future__ import annotations

from pathlib import Path

import click

from silo_node.configuration import load_site
from silo_node.identity import load_identity
from silo_node.porter.approvals import objections
from wardround.canonical import Json, model_json
from wardround.console import format_option, print_json, print_problems, say
from wardround.errors import EXIT_DONE, EXIT_NOT_IN_ORDER
from wardround.study.bundle import Bundle, read_bundle


@click.command()
@click.argument("bundle_path", metavar="BUNDLE", type=click.Path(path_type=Path))
@click.option("--site", "site_path", required=True, type=click.Path(path_type=Path), help="The hospital's site.yaml.")
@format_option
def review(bundle_path: Path, site_path: Path, form: str) -> int:
    """Say in plain words what the study in BUNDLE asks of this hospital; changes nothing.

    Exit status 1 when this hospital is not on the study's roster with its own keys, or its policy does not allow the
    study; every reason is shown.
    """
    bundle = read_bundle(bundle_path)
    site = load_site(site_path)
    problems = objections(site.folder, bundle, load_identity(site.folder))
    if form == "json":
        print_json({**facts(bundle), "problems": [dict(problem.as_json()) for problem in problems]})
    else:
        say(summary(bundle))
        if not problems:
            say(f"Next: wardround silo check --site {site_path} --study {bundle_path}, then wardround silo approve")
        print_problems(problems)
    return EXIT_NOT_IN_ORDER if problems else EXIT_DONE


def facts(bundle: Bundle) -> dict[str, Json]:
    """Give what a hospital decides about, for programs."""
    return {
        "study_hash": bundle.study_hash,
        "study": model_json(bundle.study),
        "roster": model_json(bundle.roster),
        "contract_hash": bundle.contract.contract_hash(),
        "weights": bundle.manifest.size,
        "bytes_each_round": bundle.manifest.byte_count,
    }


def summary(bundle: Bundle) -> str:
    """Say in plain words what an approval of a bundle allows."""
    study, contract, coordinator = bundle.study, bundle.contract, bundle.roster.coordinator
    which = f"where {study.cohort.where}" if study.cohort.where else "all that are valid"
    lines = (
        ("study", f"{study.name} {study.version}, by {study.author}"),
        ("asked by", f"{coordinator.name} (fingerprint {coordinator.fingerprint})"),
        ("study hash", bundle.study_hash),
        ("question", study.question),
        ("records", f"{contract.title} ({contract.id} {contract.version}), {which}"),
        ("fields read", ", ".join((study.target.field, *study.features))),
        ("network", f"{study.network.name}, {bundle.manifest.size} weights"),
        ("leaves once", "record counts, sums of the numeric features over the training records, the check's outgoing report"),
        (
            f"leaves {study.rounds.maximum} times at most",
            f"the change of the weights ({bundle.manifest.byte_count} bytes), the training loss, "  # noqa: ISC004
            "score histograms of the validation records if this site's policy shows them",
        ),
        ("leaves at the end", "score histograms of the validation and test records, if this site's policy shows them"),
        ("no protection by", "differential privacy or secure aggregation: the centre sees this hospital's own change of weights"),
        ("hospitals", ", ".join(bundle.roster.sites)),
    )
    width = max(len(name) for name, _ in lines)
    return "\n".join([study.title, *(f"  {name.ljust(width)}  {text}" for name, text in lines)])
