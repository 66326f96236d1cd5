"""``wardround silo preview``: what the network will see of this hospital's images, for the hospital's own eyes."""

from __future__ import annotations

from pathlib import Path

import click

from silo_node.decision_commands import study_argument, which_study
from wardround.canonical import Json
from wardround.console import format_option, print_json, say
from wardround.directory import check_format
from wardround.errors import refuse

MOST_SHOWN = 500


@click.command()
@study_argument
@click.option("--site", "site_path", required=True, type=click.Path(path_type=Path), help="The hospital's site.yaml.")
@click.option(
    "--images", default=24, show_default=True, type=click.IntRange(1, MOST_SHOWN), help="How many training images are shown."
)
@format_option
def preview(study: str, site_path: Path, images: int, form: str) -> None:
    """Show what the network of STUDY, a bundle or one of the inbox, will see of this hospital's images.

    The images are read, checked and prepared as for training. A page in reports/ shows some of them: a slice of each, outlines of
    its mask, spacing, what augmentation makes of it, and which images are set aside, and why. It shows patients: it is readable
    by you only, and nothing of it leaves the hospital.
    """
    from silo_node.cohort import assemble
    from silo_node.configuration import load_site

    site = load_site(site_path)
    check_format(site.folder)
    bundle = which_study(site, study)
    if bundle.imaging is None:
        place, rule = f"{bundle.study.name} {bundle.study.version}", "Only studies of images can be looked at"
        raise refuse("X-USAGE", place, rule, "this one reads a table", "see: wardround silo check --study")
    from silo_node.preview.page import write_sheet
    from silo_node.preview.sheet import make_sheet

    cohort = assemble(site, bundle.contract, bundle.study, bundle.study_hash, bundle.imaging)
    sheet = make_sheet(bundle, cohort, images)
    path = write_sheet(site, bundle, sheet)
    page = f"{path.parent.name}/{path.name}"
    aside: dict[str, Json] = {each.code: each.images for each in sheet.aside}
    if form == "json":
        print_json(
            {"study_hash": bundle.study_hash, "train": sheet.train, "shown": len(sheet.shown), "page": page, "aside": aside}
        )
        return
    say(f"{len(sheet.shown)} of {sheet.train} training images are shown.")
    if aside:
        say(f"Set aside: {', '.join(f'{code} {number}' for code, number in aside.items())}.")
    say(f"To look at them in a browser, open {page} beside the site file. It shows patients: it stays in the hospital.")
