"""An example of what leaves, for the review: the study's first visits on synthetic records, in a process of their own.

The process (``silo_node.dry_run``) has no network, the trainer's memory limit and an end. It goes the node's own way, from
the check of the records through training to the gate and the encryption, with keys and a ledger that are thrown away, and
never opens this hospital's records. What fails there would most likely fail in the study.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, ValidationError

from silo_node.configuration import load_site
from silo_node.credentials import environment_without
from wardround.messages.round import Purpose, Result, RoundResult, StatisticsResult
from wardround.metrics.pooled import LOSS_UNIT, ClassCounts, Counts, LabelCounts, NumberCounts, ScoreCounts, SegmentationCounts
from wardround.values import Count, Value

if TYPE_CHECKING:
    from wardround.study.bundle import Bundle

MODULE = "silo_node.dry_run"
SECONDS = 60.0
"""How long a dry run may take, once the libraries are loaded."""
IMAGE_SECONDS = 180.0
"""And of a study of images, which are written, checked and decoded besides."""
LOADING_SECONDS = 60.0
"""How long loading them may take."""
MOST_WEIGHTS = 20_000_000
"""A network with more is not tried: its review would take minutes."""
FIRST = 3
"""Numbers that are shown of each tensor."""
TENSORS_SHOWN, FIELDS_SHOWN = 2, 2

Code = Annotated[str, Field(pattern=r"^[A-Z]-[A-Z0-9]{2,20}$")]


class ExampleTensor(Value):
    """One tensor of a change of weights: its first numbers."""

    name: Annotated[str, Field(max_length=500)]
    shape: tuple[Count, ...]
    bytes: Count
    first: tuple[float, ...]


class ExampleVisit(Value):
    """What one visit gave: the result as it would be sent, and how many bytes travel, encrypted."""

    purpose: Purpose
    bytes: Count
    records: Count
    result: Result
    tensors: tuple[ExampleTensor, ...] = ()


class Example(Value):
    """The visits that were made.

    Attributes:
        records: how many synthetic ones there were.
        codes: why there are no further visits, if it did not come to its end.
        too_large: the network has too many weights to be tried here.
        of_images: the records are examples with an image each, so few that the policy's limits of small counts were set aside.
    """

    records: Count = 0
    visits: tuple[ExampleVisit, ...] = ()
    codes: tuple[Code, ...] = ()
    too_large: bool = False
    of_images: bool = False


def make_example(site: Path, bundle_path: Path, bundle: Bundle, seconds: float | None = None) -> Example:
    """Make an example of what leaves for a study; what goes wrong is said in codes, and stops nothing.

    Args:
        site: the hospital's ``site.yaml``: its policy and its trainer's memory limit hold.
        bundle_path: of the study.
        bundle: the same, read.
        seconds: how long the dry run may take; what is usual when not given.
    """
    if seconds is None:
        seconds = SECONDS if bundle.imaging is None else IMAGE_SECONDS
    if bundle.manifest.size > MOST_WEIGHTS:
        return Example(too_large=True)
    with TemporaryDirectory(prefix="wardround-") as folder:
        words = (f"--site={site}", f"--bundle={bundle_path}", f"--folder={folder}", f"--seconds={seconds}")
        try:
            done = subprocess.run(  # noqa: S603  (our own command line)
                [sys.executable, "-m", MODULE, *words],
                env={
                    **environment_without(load_site(site).file.private_variables()),
                    "OMP_NUM_THREADS": "1",
                    "MKL_NUM_THREADS": "1",
                },
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                check=False,
                timeout=LOADING_SECONDS + seconds,
            )
        except subprocess.TimeoutExpired:
            return Example(codes=("X-EXAMPLE",))
    if done.returncode == -signal.SIGALRM:
        return Example(codes=("X-EXAMPLE",))
    try:
        return Example.model_validate_json(done.stdout)
    except ValidationError:  # it died: most likely of the memory limit
        return Example(codes=("H-FAILED",))


def lines(example: Example) -> Iterator[tuple[str, str]]:
    """Say an example in a few lines of a screen."""
    if example.too_large:
        yield "example", f"none: more than {MOST_WEIGHTS} weights are not tried here; names, shapes and bytes are as above"
        return
    if example.visits and example.of_images:
        yield "example", f"of {example.records} SYNTHETIC images, made up from the schema, none of yours among them;"
        yield "", "they are few, so your policy's limits of small counts were set aside. The node would send:"
    elif example.visits:
        yield (
            "example",
            f"of {example.records} SYNTHETIC records, made up from the schema, none of yours among them. The node would send:",
        )
    for visit in example.visits:
        yield f"  {visit.purpose}", f"{visit.bytes} bytes: {_words(visit)}"
    if example.codes:
        begun = "ended early" if example.visits else "could not be made"
        yield (
            "example",
            f"{begun}: {', '.join(example.codes)}; what fails on synthetic records would most likely fail in the study",
        )


def _words(visit: ExampleVisit) -> str:
    result = visit.result
    if isinstance(result, StatisticsResult):
        parts = [f"{visit.records} training, {_count(result.validation)} validation, {_count(result.test)} test records"]
        sums = result.sums[:FIELDS_SHOWN]
        parts += [f"{each.field}: {each.records} values, sum {each.total}, of squares {each.squares}" for each in sums]
        parts += [f"{len(result.sums) - len(sums)} more fields"] if len(result.sums) > len(sums) else []
        return "; ".join(parts)
    shown = visit.tensors[:TENSORS_SHOWN]
    parts = [_tensor(each) for each in shown]
    parts += [f"{len(visit.tensors) - len(shown)} more tensors"] if len(visit.tensors) > len(shown) else []
    if isinstance(result, RoundResult):
        parts.append(f"training loss {result.training_loss_units * LOSS_UNIT:.4f}")
    return "; ".join([*parts, _evaluated(result.evaluation.counts)])


def _evaluated(counts: Counts | None) -> str:
    match counts:
        case None:
            return "scores withheld"
        case ScoreCounts():
            return f"scores of {counts.records} records, {sum(counts.positives)} of them positive"
        case ClassCounts():
            return f"scores of {counts.records} records, of {len(counts.confusion)} classes"
        case LabelCounts():
            held = sum(each is not None for each in counts.labels)
            return f"scores of {counts.records} records, for {held} of {len(counts.labels)} labels"
        case NumberCounts():
            return f"sums of errors on {counts.records} records, and of the number itself"
        case SegmentationCounts():
            return f"overlaps and surface distances of {counts.records} examples, of {len(counts.regions)} classes"


def _count(number: int | None) -> str:
    return "(withheld)" if number is None else str(number)


def _tensor(tensor: ExampleTensor) -> str:
    shape = " x ".join(map(str, tensor.shape)) or "one number"
    numbers = ", ".join(f"{number:.3g}" for number in tensor.first)
    more = ", …" if tensor.bytes > 4 * len(tensor.first) else ""
    return f"{tensor.name} ({shape}): {numbers}{more}"
