"""``wardround predict``: score a hospital's own records with a released model."""

from __future__ import annotations

from pathlib import Path

import click

from wardround.console import format_option, print_json, say
from wardround.errors import refuse

OWNER_ONLY = 0o600


@click.command()
@click.argument("release", type=click.Path(path_type=Path, file_okay=False))
@click.option("--site", "site_path", required=True, type=click.Path(path_type=Path), help="The hospital's site.yaml.")
@click.option("--out", "out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The CSV file to write.")
@format_option
def predict(release: Path, site_path: Path, out: Path, form: str) -> None:
    """Score the records that site.yaml maps with the model of a RELEASE folder.

    Writes one line for each valid record: the schema's primary key and the probability of the study's positive class.
    Records that break the schema are left out and counted. The file holds patient data and is readable by you only.
    """
    from silo_node.configuration import load_site
    from wardround.files import write_atomic
    from wardround_lab.predict import load_model
    from wardround_lab.predict import predict as score_site

    if out.exists():
        raise refuse("O-EXISTS", str(out), "Predictions are never overwritten", "there is a file already", "choose another --out")
    model = load_model(release)
    found = score_site(model, load_site(site_path))
    write_atomic(out, found.table.write_csv().encode(), OWNER_ONLY)
    target = model.study.target
    if form == "json":
        print_json({"out": str(out), "predicted": found.table.height, "left_out": found.check.quarantined})
        return
    say(f"Wrote {out}: {found.table.height} records, probability that {target.words}.")
    if found.check.quarantined:
        say(f"{found.check.quarantined} records break the schema and were left out; see: wardround silo check")
