"""``wardround model``: a released model in other formats."""

from __future__ import annotations

import os
from pathlib import Path

import click

from wardround.console import format_option, print_json, say
from wardround.errors import refuse


@click.group()
def model() -> None:
    """Take a released model elsewhere."""


@model.command()
@click.argument("release", type=click.Path(path_type=Path, file_okay=False))
@click.option("--to", "form_of_model", required=True, type=click.Choice(["onnx", "monai-bundle"]), help="The format.")
@click.option("--out", "out", required=True, type=click.Path(path_type=Path), help="The file to write; of a bundle, the folder.")
@format_option
def export(release: Path, form_of_model: str, out: Path, form: str) -> None:
    """Write the network of a RELEASE folder in another format.

    ONNX is a file with the network and, as metadata, the study, its contracts and how an input is prepared. A bundle of MONAI is
    a folder that MONAI's own command runs on a folder of images, preparation included. Neither holds patient data. Each is
    written when its own runtime gives what the released network gives, and not before.
    """
    if os.path.lexists(out):
        raise refuse("O-EXISTS", str(out), "Models are never overwritten", "there is something already", "choose another --out")
    write = _onnx if form_of_model == "onnx" else _bundle
    size, runtime = write(release, out)
    if form == "json":
        print_json({"out": str(out), "format": form_of_model, "bytes": size})
        return
    say(f"Wrote {out}: it gives what the release gives, run by {runtime}.")
    if form_of_model == "monai-bundle":
        say("Run it in that folder: python -m monai.bundle run --config_file configs/inference.json --dataset_dir IMAGES")


def _onnx(release: Path, out: Path) -> tuple[int, str]:
    from wardround.files import write_atomic
    from wardround_lab.onnx_export import to_onnx
    from wardround_lab.predict import load_model

    data = to_onnx(load_model(release))
    write_atomic(out, data)
    return len(data), "ONNX Runtime"


def _bundle(release: Path, out: Path) -> tuple[int, str]:
    from wardround_lab.monai_bundle.export import export_bundle

    return export_bundle(release, out), "MONAI"
