"""``wardround demo``: the whole way, from four hospitals' files to a released model, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from wardround.console import format_option
from wardround.errors import refuse

if TYPE_CHECKING:
    from rich.console import Console

    from wardround_lab.demo.story import Demo, Story

DEFAULT_FOLDER = "wardround-demo"
RUN = "run"


@click.command()
@click.argument("what", type=click.Choice(["tables", "imaging"]), default="tables")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help=f"Where to put everything; new or empty [default: a new folder under {DEFAULT_FOLDER}/].",
)
@click.option("--in-process", is_flag=True, help="Run everything in this one process: no network, no services.")
@format_option
def demo(what: str, folder: Path | None, in_process: bool, form: str) -> int:  # noqa: FBT001  (click's options)
    """Train one model over four made-up hospitals on this machine, on tables or on images.

    tables (what is done without a word): the 569 records of the Wisconsin diagnostic breast cancer data, real patients in a
    made-up split, each hospital with its own language, units, codes and file format.

    imaging: synthetic images that look like computed tomography, with lesions of known truth, as DICOM series of four
    scanners; a network learns to outline the lesions. It needs the extra imaging of wardround-lab.

    A centre and the hospitals start, each with processes of its own, and meet over TLS on this machine's loopback; the
    hospitals check their records, approve the study, train in rounds, and a model is released with its report. Nothing is
    asked and nothing is downloaded. Ctrl-C stops everything.
    """
    from wardround_lab.demo.story import conduct

    story = _radiology() if what == "imaging" else _cytology()

    def way(folder: Path, screen: Console, story: Story) -> Demo:
        if in_process:
            from wardround_lab.demo import flow

            return flow.run(folder, screen, story)
        from wardround_lab.demo import processes

        return processes.run(folder, screen, story)

    return conduct(new_folder() if folder is None else empty_folder(folder), form, story, way)


def _cytology() -> Story:
    from wardround_lab.demo.cytology import CYTOLOGY

    return CYTOLOGY


def _radiology() -> Story:
    try:
        from wardround_lab.demo.radiology import RADIOLOGY
    except ModuleNotFoundError as error:
        raise refuse(
            "X-EXTRA",
            "wardround demo imaging",
            "The demonstration on images needs packages that are not installed here",
            f"the Python module {error.name} is absent",
            "install wardround-lab[imaging]",
        ) from None
    return RADIOLOGY


def new_folder() -> Path:
    """Make the next numbered folder under the default one; what an earlier run left is never touched.

    Raises:
        Refused: O-WRITE.
    """
    number = 1
    while True:
        folder = Path(DEFAULT_FOLDER) / f"{RUN}-{number}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if not Path(DEFAULT_FOLDER).is_dir():
                raise refuse(
                    "O-EXISTS",
                    DEFAULT_FOLDER,
                    "The demonstration writes into a folder of its own",
                    "a file of that name is there already",
                    "name another place with --folder",
                ) from None
            number += 1
        except OSError as error:
            raise _not_made(folder, error) from None
        else:
            return folder


def empty_folder(folder: Path) -> Path:
    """Make a named folder, unless it is there and empty.

    Raises:
        Refused: O-EXISTS when it holds anything, O-WRITE when it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        empty = next(folder.iterdir(), None) is None
    except OSError as error:
        raise _not_made(folder, error) from None
    if not empty:
        raise refuse(
            "O-EXISTS",
            str(folder),
            "The demonstration writes into a new or empty folder",
            "the folder holds something already",
            "name another one with --folder, or give none to get a new one",
        )
    return folder


def _not_made(folder: Path, error: OSError) -> Exception:
    return refuse(
        "O-WRITE",
        str(folder),
        "The demonstration needs a folder to write into",
        f"it cannot be made ({type(error).__name__})",
        "name a place that you may write to with --folder",
    )
