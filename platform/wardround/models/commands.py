"""``wardround study build``: draw the initial weights and make the bundle. Needs torch and MONAI."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click
from pydantic import ValidationError

from wardround import PROTOCOL
from wardround.canonical import Json, model_json
from wardround.console import format_option, print_json, say
from wardround.contract.imaging import ImagingContract
from wardround.contract.model import Contract
from wardround.errors import Problem, raise_all, refuse
from wardround.identity.passphrase import passphrase_option
from wardround.identity.roster import Coordinator, Member, Roster, read_member, read_party
from wardround.identity.software import package_versions
from wardround.study.author_commands import author_json, author_option, open_author, signed_by_words
from wardround.study.bundle import SUFFIX, Bundle, Versions
from wardround.study.check import load_study
from wardround.study.commands import schema_path_option
from wardround.study.inputs import shape_of
from wardround.study.model import Study

NO_FILE = "--new-head goes with --initial-weights"


@dataclass(frozen=True)
class Beginning:
    """Where initial weights come from, if not all from the seed: a safetensors file, its last layer from the seed on demand."""

    file: Path
    new_head: bool = False


def make_bundle(
    study: Study,
    contract: Contract,
    roster: Roster,
    imaging: ImagingContract | None = None,
    beginning: Beginning | None = None,
) -> Bundle:
    """Make a study's bundle for a roster.

    Raises:
        Refused: P-ROSTER when the roster cannot satisfy the study's own rules, P-WEIGHTS when the file's weights do not fit.
    """
    from wardround.models.build import initial_weights
    from wardround.models.transfer import weights_from_file

    raise_all(_roster_problems(study, roster))
    shape = shape_of(study, contract, imaging)
    if beginning is None:
        weights, manifest = initial_weights(study.network, shape, study.seed)
    else:
        weights, manifest = weights_from_file(beginning.file, study.network, shape, study.seed, new_head=beginning.new_head)
    versions = Versions(protocol=PROTOCOL, packages=package_versions())
    return Bundle(
        study=study,
        contract=contract,
        roster=roster,
        versions=versions,
        weights=weights,
        manifest=manifest,
        imaging=imaging,
    )


def _roster_problems(study: Study, roster: Roster) -> list[Problem]:
    problems: list[Problem] = []
    if len(roster.silos) < study.silos.minimum:
        problems.append(
            Problem(
                "P-ROSTER",
                f"{study.name}.silos.minimum",
                "The roster has at least the minimum of hospitals",
                f"on the roster: {len(roster.silos)}; the study needs {study.silos.minimum}",
                "add hospitals, or lower silos.minimum",
            )
        )
    problems += [
        Problem(
            "P-ROSTER",
            f"{study.name}.silos.required",
            "Required hospitals are on the roster",
            f"{site!r} is not",
            "add its request.json with --silo, or take it off silos.required",
        )
        for site in study.silos.required
        if site not in roster.sites
    ]
    return problems


def make_roster(coordinator: Coordinator, silos: list[Member]) -> Roster:
    """Make a roster, hospitals in the order of their site names.

    Raises:
        Refused: P-ROSTER when a site or key stands twice.
    """
    try:
        return Roster(coordinator=coordinator, silos=tuple(sorted(silos, key=lambda member: member.site)))
    except ValidationError:
        raise refuse(
            "P-ROSTER",
            "roster",
            "Every hospital has its own site name and keys",
            "a site or a key stands twice",
            "give each file once",
        ) from None


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--coordinator", "coordinator", required=True, type=click.Path(path_type=Path), help="The centre's coordinator.json."
)
@click.option(
    "--silo",
    "silos",
    required=True,
    multiple=True,
    type=click.Path(path_type=Path),
    help="A hospital's request.json; once for each.",
)
@click.option("--out", "out", type=click.Path(path_type=Path), help="Where to write the bundle [default: NAME.wardround].")
@click.option(
    "--initial-weights",
    "initial",
    type=click.Path(path_type=Path),
    help="A safetensors file with the weights that training begins from, such as a release's model.safetensors "
    "[default: drawn from the study's seed].",
)
@click.option(
    "--new-head", is_flag=True, help="With --initial-weights: draw the last layer from the seed, whatever the file holds."
)
@author_option
@passphrase_option
@schema_path_option
@format_option
def build(  # noqa: PLR0913, PLR0917  (click's)
    file: Path,
    coordinator: Path,
    silos: tuple[Path, ...],
    out: Path | None,
    initial: Path | None,
    new_head: bool,  # noqa: FBT001  (click's)
    author: Path | None,
    passphrase_file: Path | None,
    schema_path: tuple[Path, ...],
    form: str,
) -> None:
    """Build the bundle of a study FILE: study, schema, initial weights, roster, the hash over all, and the author's signature.

    It is what hospitals review and approve. The same inputs on the same machine give the same bytes. Without --author nobody
    has signed it yet: a hospital whose policy names authors refuses it, and the others read that nobody signed.

    Initial weights are drawn from the study's seed. With --initial-weights they are those of a file, whose tensors are exactly
    those of the network; --new-head draws the last layer all the same, for a target with another number of classes.
    """
    if new_head and initial is None:
        raise click.UsageError(NO_FILE)
    study, contract, imaging = load_study(file, schema_path)
    roster = make_roster(read_party(coordinator, Coordinator), [read_member(path) for path in silos])
    target = out or Path(f"{study.name}{SUFFIX}")
    if target.exists():
        raise refuse(
            "O-EXISTS", str(target), "Bundles are never overwritten", "there is a file already", "choose another name with --out"
        )
    bundle = make_bundle(study, contract, roster, imaging, None if initial is None else Beginning(initial, new_head))
    if author is not None:
        bundle = bundle.signed(*open_author(author, passphrase_file))
    bundle.write(target)
    if form == "json":
        parties = {member.site: member.fingerprint for member in roster.silos}
        fingerprints: dict[str, Json] = {"coordinator": roster.coordinator.fingerprint, **parties}
        print_json(
            {
                "bundle": str(target),
                "study_hash": bundle.study_hash,
                "author": author_json(bundle),
                "roster": model_json(roster),
                "fingerprints": fingerprints,
            }
        )
        return
    say(
        f"Wrote {target}\n  study hash {bundle.study_hash}\n  weights    {bundle.manifest.size}\n"
        f"  centre     {roster.coordinator.fingerprint}  {roster.coordinator.name}"
    )
    for member in roster.silos:
        say(f"  {member.site.ljust(9)}  {member.fingerprint}  {member.name}")
    say(f"  {'author'.ljust(9)}  {signed_by_words(bundle)}")
    say("Compare these fingerprints by phone: a study for changed keys is one that nobody can approve.")
    if bundle.author is None:
        say(f"Next: its author runs: wardround study sign {target} --author KEY")
        return
    say("Next: each hospital runs: wardround silo approve BUNDLE --site site.yaml --approver NAME --role ROLE")
