"""``wardround silo approve``: a person lets exactly one study run at a hospital."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click
from pydantic import ValidationError

from silo_node.configuration import load_site
from silo_node.identity import approval_key, load_identity
from silo_node.porter.approvals import approve, objections, read_pause
from silo_node.review import USUAL_DAYS, Review, review_study, summary
from wardround.canonical import model_json
from wardround.console import columns, format_option, print_json, say, warn
from wardround.errors import raise_all, refuse
from wardround.identity.approval import ApprovedData, Approver
from wardround.identity.passphrase import passphrase_option, read_passphrase
from wardround.study.bundle import read_bundle


@click.command(name="approve")
@click.argument("bundle_path", metavar="BUNDLE", type=click.Path(path_type=Path))
@click.option(
    "--site", "site_paths", required=True, multiple=True, type=click.Path(path_type=Path), help="The hospital's site.yaml."
)
@click.option("--approver", required=True, help="Name of the person who approves.")
@click.option("--role", required=True, help="That person's role, such as 'data protection officer'.")
@click.option("--days", default=USUAL_DAYS, show_default=True, type=click.IntRange(1, 3650), help="How long the approval holds.")
@click.option("--data-fixed", "data", flag_value="fixed", help="Refuse any other records than those of now.")
@click.option("--no-records", "data", flag_value="unread", help="Do not read the records; then their fingerprint is not signed.")
@passphrase_option
@format_option
def approve_command(
    bundle_path: Path,
    site_paths: tuple[Path, ...],
    approver: str,
    role: str,
    days: int,
    data: str | None,
    passphrase_file: Path | None,
    form: str,
) -> None:
    """Approve the study in BUNDLE for this hospital, with the approver's key and passphrase.

    The approval signs the study hash (study, schema, initial weights, every hospital's keys), the digest of the software
    installed here, what may leave and how often, the policy of now, a fingerprint of the records, and its end. Anything
    changed in the study is another study and needs another approval; a policy that is loosened later does not hold for it.
    What the hospital's policy does not allow is refused with every reason, and nothing is written.
    """
    from silo_node.changed.picture import forget_others, keep  # polars, only where records are read

    bundle = read_bundle(bundle_path)
    person, sites = _person(approver, role), [load_site(path) for path in site_paths]
    identities = [load_identity(site.folder) for site in sites]
    asked = [(site.folder, identity) for site, identity in zip(sites, identities, strict=True)]
    raise_all([problem for folder, identity in asked for problem in objections(folder, bundle, identity)])  # all, or none
    reviews = [
        review_study(site, bundle, identity, count=data != "unread", days=days, picture=True)
        for site, identity in zip(sites, identities, strict=True)
    ]
    seen = [_data(review, fixed=data == "fixed") for review in reviews]
    if form != "json":
        say(summary(reviews[0], columns()))
    passphrase, valid = read_passphrase(passphrase_file), timedelta(days=days)
    keyed = [(folder, identity, approval_key(folder, passphrase)) for folder, identity in asked]
    pictures = [None if review.records is None else review.records.picture for review in reviews]
    for (folder, _, _), picture in zip(keyed, pictures, strict=True):
        if picture is not None:
            keep(folder, picture)
    approvals = [
        approve(folder, bundle, identity, key, person, valid, records)
        for (folder, identity, key), records in zip(keyed, seen, strict=True)
    ]
    for (folder, _, _), picture in zip(keyed, pictures, strict=True):
        forget_others(folder, bundle.study_hash, None if picture is None else picture.picture.data)
    if form == "json":
        print_json({"approvals": [model_json(each) for each in approvals]})
        return
    for each in approvals:
        say(f"Approved for {each.site} until {each.expires_at} by {approver} ({role}); at most {each.releases} releases.")
    for folder, identity in asked:
        if read_pause(folder, bundle.study_hash) is not None:
            warn(f"{identity.site} holds this study up, also under the new approval; to let it go on: wardround silo resume")


def _data(review: Review, *, fixed: bool) -> ApprovedData:
    """Say which records the approval is about; only such as can take part are fixed."""
    found = review.records
    if fixed and found is not None and found.data is None:
        raise refuse(
            "X-USAGE",
            "--data-fixed",
            "Records are fixed that can take part",
            f"they cannot: {', '.join(found.codes)}",
            "look at them with: wardround silo check; or approve without --data-fixed",
        )
    return ApprovedData(fingerprint=None if found is None else found.data, fixed=fixed)


def _person(name: str, role: str) -> Approver:
    try:
        return Approver(name=name, role=role)
    except ValidationError:
        raise refuse(
            "X-USAGE",
            "--approver, --role",
            "A person with a name and a role approves, in plain printable text",
            "one of the two is empty, too long or not printable",
            "give both",
        ) from None
