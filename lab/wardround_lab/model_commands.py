"""``wardround model``: a released model in other formats."""

from __future__ import annotations

from pathlib import Path

import click

from wardround.console import format_option, print_json, say
from wardround.errors import refuse


@click.group()
def model() -> None:
    """Take a released model elsewhere."""


@model.command()
@click.argument("release", type=click.Path(path_type=Path, file_okay=False))
@click.option("--to", "form_of_model", required=True, type=click.Choice(["onnx"]), help="The format.")
@click.option("--out", "out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The file to write.")
@format_option
def export(release: Path, form_of_model: str, out: Path, form: str) -> None:
    """Write the network of a RELEASE folder in another format.

    The file holds the network and, as metadata, the study, its contracts and how an input is prepared; it holds no patient
    data. It is written when its own runtime gives what the released network gives, and not before.
    """
    from wardround.files import write_atomic
    from wardround_lab.onnx_export import to_onnx
    from wardround_lab.predict import load_model

    if out.exists():
        raise refuse("O-EXISTS", str(out), "Models are never overwritten", "there is a file already", "choose another --out")
    data = to_onnx(load_model(release))
    write_atomic(out, data)
    if form == "json":
        print_json({"out": str(out), "format": form_of_model, "bytes": len(data)})
        return
    say(f"Wrote {out}: it gives what the release gives, run by ONNX Runtime.")
