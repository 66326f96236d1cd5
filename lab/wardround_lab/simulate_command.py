"""``wardround simulate``: conduct a study over hospitals whose directories are on this machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console

from coordinator.comparability.compare import compare_for_coordinator
from coordinator.comparability.page import write_for_coordinator
from coordinator.identity import PUBLIC, Centre, create_centre, load_centre
from coordinator.release.release import require_free, write_release
from coordinator.rounds.outcome import Outcome
from silo_node.configuration import Site, load_site
from silo_node.identity import load_identity
from wardround.console import format_option, print_json, print_problems, say
from wardround.errors import Problem, Refused, refuse
from wardround.identity.passphrase import passphrase_option
from wardround.models.commands import make_bundle, make_roster
from wardround.study.author_commands import author_option, open_author
from wardround.study.bundle import SUFFIX, Bundle, read_bundle
from wardround.study.check import load_study
from wardround.study.commands import schema_path_option
from wardround_lab.progress import Display, figures

RELEASE = "release"
CENTRE = "centre"


@click.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option(
    "--site", "site_paths", required=True, multiple=True, type=click.Path(path_type=Path), help="A hospital's site.yaml."
)
@click.option("--out", "out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Where the release goes.")
@click.option(
    "--centre",
    "centre",
    type=click.Path(path_type=Path, file_okay=False),
    help="The centre's directory [default: OUT/centre, made anew].",
)
@author_option
@passphrase_option
@schema_path_option
@format_option
def simulate(
    study: Path,
    site_paths: tuple[Path, ...],
    out: Path,
    centre: Path | None,
    author: Path | None,
    passphrase_file: Path | None,
    schema_path: tuple[Path, ...],
    form: str,
) -> int:
    """Conduct STUDY (a study file, or a bundle) over hospitals on this machine, in one process.

    It is the same code as in deployment, but for the transport: the hospitals must have keys (silo init) and must have
    approved the study (silo approve). From a study file, the bundle to approve is written to OUT first, signed with --author.
    Of a study that asks for statistics.distributions, comparability.html and .json go to OUT, as the coordinator would see them.
    Ends with status 0 when complete, 3 when partial, 1 when failed.
    """
    from wardround_lab.simulate import simulate as conduct

    require_free(out / RELEASE)
    sites = [_site(path) for path in site_paths]
    folder = centre or out / CENTRE
    if study.suffix == SUFFIX:
        bundle, centre_keys = read_bundle(study), load_centre(folder)
        _require_no_author(author)
        if centre_keys.key.public != bundle.roster.coordinator.signing_key:
            raise refuse(
                "P-ROSTER",
                str(study),
                "A bundle is conducted by the centre on its roster",
                "the centre's key is another one",
                "give that centre's directory with --centre",
            )
    else:
        bundle, centre_keys = _bundle_of(study, sites, folder, schema_path)
        if author is not None:
            bundle = bundle.signed(*open_author(author, passphrase_file))
        study = out / f"{bundle.study.name}{SUFFIX}"
        bundle.write(study)
    with Display(bundle.study, Console(stderr=form == "json")) as display:
        try:
            outcome = conduct(bundle, sites, centre_keys, display)
        except Refused as error:
            raise Refused([_with_path(problem, study) for problem in error.problems]) from None
    compared = None
    try:
        if outcome.statistics:
            compared = write_for_coordinator(out, bundle, compare_for_coordinator(bundle, outcome.statistics))
        write_release(out / RELEASE, bundle, outcome)
    except Refused as error:  # what became of the study is said all the same
        raise Refused([*outcome.problems, *error.problems]) from None
    report(bundle, outcome, out / RELEASE, form, compared)
    return outcome.exit_status


def _bundle_of(study: Path, sites: list[Site], centre: Path, schema_path: tuple[Path, ...]) -> tuple[Bundle, Centre]:
    """Build the bundle of a study file for these hospitals; the one that was built before is the same, if nothing changed."""
    found, contract, imaging = load_study(study, schema_path)
    members = [load_identity(site.folder) for site in sites]
    if not (centre / PUBLIC).exists():
        create_centre(centre, "Simulation on one machine")
    keys = load_centre(centre)
    return make_bundle(found, contract, make_roster(keys.coordinator, members), imaging), keys


def _require_no_author(author: Path | None) -> None:
    """Refuse an author's key for a bundle: it is signed already, or by ``study sign``."""
    if author is not None:
        raise refuse(
            "X-USAGE",
            "--author",
            "An author's key signs the bundle of a study file",
            "a bundle was given",
            "leave it out, or sign the bundle: wardround study sign BUNDLE --author KEY",
        )


def _site(path: Path) -> Site:
    """Read a site file; what is wrong with it names the file, since there are several."""
    try:
        return load_site(path)
    except Refused as error:
        raise Refused([replace(each, place=f"{path.parent.name}/{each.place}") for each in error.problems]) from None


def _with_path(problem: Problem, bundle: Path) -> Problem:
    """Put the bundle's own name into the next step of a missing approval."""
    return replace(problem, next_step=problem.next_step.replace("BUNDLE", str(bundle)))


def report(bundle: Bundle, outcome: Outcome, release: Path, form: str, compared: Path | None = None) -> None:
    """Report an outcome: for people, or as one JSON object.

    ``compared``: the coordinator's comparability report, where the study asks for distributions.
    """
    if form == "json":
        print_json(
            {
                "status": outcome.status,
                "summary": outcome.summary,
                "study_hash": bundle.study_hash,
                "rounds": outcome.rounds,
                "best_round": outcome.best_round,
                "stopped": outcome.stopped,
                "counted": list(outcome.counted),
                "roster": list(outcome.roster),
                "release": str(release),
                "comparability": None if compared is None else str(compared),
                "problems": [dict(problem.as_json()) for problem in outcome.problems],
            }
        )
        return
    if outcome.problems:
        print_problems(outcome.problems)
    why = {"converged": ", converged", "maximum": ", the most that the study allows", "failed": ""}[outcome.stopped]
    say(f"{bundle.study.name}: {outcome.summary}; {outcome.rounds} rounds closed{why}.")
    if outcome.status != "failed":
        say(f"  best weights: round {outcome.best_round}, validation {figures(outcome.best_metrics)}")
    if outcome.test is not None:
        say(f"  test: {figures(outcome.test.pooled)}")
    say(f"  {release / 'report.html'}")
    if compared is not None:
        say(f"  {compared} (for the coordinator: it shows what a release may withhold)")
