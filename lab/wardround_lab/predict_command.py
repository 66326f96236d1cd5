"""``wardround predict``: score a hospital's own records with a released model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wardround.console import format_option, print_json, say
from wardround.errors import EXIT_DONE, EXIT_NOT_IN_ORDER, refuse

if TYPE_CHECKING:
    from silo_node.configuration import Site
    from wardround.canonical import Json
    from wardround_lab.predict import Model

OWNER_ONLY = 0o600


@click.command()
@click.argument("release", type=click.Path(path_type=Path, file_okay=False))
@click.option("--site", "site_path", required=True, type=click.Path(path_type=Path), help="The hospital's site.yaml.")
@click.option("--out", "out", required=True, type=click.Path(path_type=Path), help="The CSV file to write; of masks, the folder.")
@format_option
def predict(release: Path, site_path: Path, out: Path, form: str) -> int:
    """Score the records or images that site.yaml maps with the model of a RELEASE folder.

    Writes one line for each valid record: the schema's primary key and the probability of the study's positive class, or of each
    of several, or of each label; or the predicted number, in the schema's unit. A model that draws masks writes a folder with a
    DICOM segmentation of each fit series, and an index.csv. What breaks the schema is left out and counted; the study's cohort
    is not asked, and a line says so. The output holds patient data and is readable by you only.

    Exit status 0: everything has a prediction. 1: something was left out. 2: nothing was written.
    """
    from silo_node.configuration import load_site
    from wardround_lab.predict import load_model

    if out.exists():
        raise refuse("O-EXISTS", str(out), "Predictions are never overwritten", "there is a file already", "choose another --out")
    model, site = load_model(release), load_site(site_path)
    write = _draw if model.study.target.mask else _score
    left_out = write(model, site, out, form)
    if model.study.cohort.where is not None and form != "json":
        say(f"The study's cohort was not asked; training counted only records where: {model.study.cohort.where}")
    return EXIT_NOT_IN_ORDER if left_out else EXIT_DONE


def _score(model: Model, site: Site, out: Path, form: str) -> int:
    from wardround.files import write_atomic
    from wardround.study.kind import predicted
    from wardround_lab.predict import predict as score_site

    later: Mapping[str, int] = {}
    if model.imaging is None:
        found = score_site(model, site)
    else:
        from wardround_lab.predict_images import predict_images

        found, later = predict_images(model, site)
    write_atomic(out, found.table.write_csv().encode(), OWNER_ONLY)
    target = model.study.target
    asked = f"probability that {target.words}" if target.kind == "binary" else f"probabilities of each {target.field}"
    if target.labels:
        asked = f"probabilities of each of {target.words}"
    if target.number:
        asked = f"{target.words}, in the schema's unit {predicted(model.study, model.contract).unit}"
    told = {**found.check.quarantined_by_code, **later}
    left_out = found.check.quarantined + sum(later.values())
    if form == "json":
        print_json(_told(model, out, found.table.height, left_out, told))
        return left_out
    say(f"Wrote {out}: {found.table.height} records, {asked}.")
    if model.imaging is not None:
        _say_left_out("records", left_out, told)
    elif left_out:
        say(f"{left_out} records break the schema and were left out; see: wardround silo check")
    return left_out


def _draw(model: Model, site: Site, out: Path, form: str) -> int:
    from wardround_lab.predict_images import draw_segmentations

    drawn = draw_segmentations(model, site, out)
    told = {**drawn.check.quarantined_by_code, **drawn.left_out}
    left_out = drawn.check.quarantined + sum(drawn.left_out.values())
    if form == "json":
        print_json(_told(model, out, drawn.written, left_out, told))
        return left_out
    say(f"Wrote {out}: {drawn.written} segmentations, {model.study.target.words}.")
    _say_left_out("images", left_out, told)
    return left_out


def _told(model: Model, out: Path, predicted: int, left_out: int, codes: Mapping[str, int]) -> dict[str, Json]:
    return {
        "out": str(out),
        "predicted": predicted,
        "left_out": left_out,
        "codes": dict(sorted(codes.items())),
        "cohort_not_asked": model.study.cohort.where,
    }


def _say_left_out(what: str, count: int, codes: Mapping[str, int]) -> None:
    if not count:
        return
    say(f"{count} {what} were left out; see: wardround silo check --schema with the contract of the images")
    for code, times in sorted(codes.items()):
        say(f"  {code} {times}")
