"""Two real institutions of dermoscopy, is a lesion malignant: federated against pooled training and each alone.

    python benchmarks/dermoscopy.py [--seeds 3] [--pixels 64] [--rounds 40] [--network ResNet18 --arguments '{"width": 0.25}']

WARDROUND_TEST_DATA names the folder of the photographs (``images/isic_ham``); without it nothing is measured. Federated: the
study conducted by ``wardround_lab.simulate`` (conductor, porters and trainers as in deployment, one process). Pooled and
alone: ``wardround_lab.demo.baselines``, same network, initial weights, loss, optimiser and rule that ends the rounds; its
docstring says what differs. All are measured on the same test images, of each institution and of both.

What a seed changes: the study's hash, and with it which lesions are for training, validation and test; the initial weights;
the order of images and what augmentation draws. Keys are new in each run, and the hash is over them too, so another run
splits otherwise and has other figures.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from parts.photographs import HOSPITALS, approved, prepare, study_of
from simulate import Watcher

from coordinator.identity import load_centre
from silo_node.configuration import load_site
from silo_node.training.study_examples import Part
from wardround.metrics.pooled import Metrics, measure, pool
from wardround.study.bundle import Bundle
from wardround.study.encoding import Encoding
from wardround.weights.packing import Vector
from wardround_lab.demo.baselines import Ward, gather, learn_alone, learn_pooled, one_thread, score_counts
from wardround_lab.simulate import simulate

ALLOWANCE = 0.02
BOTH = "both"
PLACES = (*HOSPITALS, BOTH)


@dataclass(frozen=True)
class Row:
    """One model of one seed: its figures on the test images of each institution and of both."""

    name: str
    figures: dict[str, Metrics]
    rounds: int
    best: int
    seconds: float

    def auroc(self, place: str) -> float:
        """Give the area under the curve there."""
        found = self.figures[place].auroc
        assert found is not None, "both classes are among the test images"
        return found


def figures(bundle: Bundle, wards: Sequence[Ward], weights: Vector, encoding: Encoding) -> dict[str, Metrics]:
    """Measure a model on everybody's test images."""
    counts = {}
    for ward in wards:
        found = score_counts(bundle, weights, encoding, Part(ward.cohort.test, ward.cohort.images))
        assert found is not None, "there are test images"
        counts[ward.name] = found
    return {BOTH: measure(pool(counts.values())), **{name: measure(each) for name, each in counts.items()}}


def run(folder: Path, paths: tuple[Path, ...], chosen: argparse.Namespace, seed: int) -> list[Row]:
    """Conduct and train all models of one seed."""
    study = study_of(seed, chosen.pixels, chosen.network, json.loads(chosen.arguments), chosen.rounds)
    bundle = approved(folder, paths, study)
    sites = [load_site(path) for path in paths]
    begun = time.perf_counter()
    outcome = simulate(bundle, sites, load_centre(folder / "centre"), Watcher())
    assert outcome.status == "complete", outcome.problems
    assert outcome.best is not None
    assert outcome.encoding is not None
    seconds = time.perf_counter() - begun
    wards = gather(bundle, sites)
    rows = [Row("federated", figures(bundle, wards, outcome.best, outcome.encoding), outcome.rounds, outcome.best_round, seconds)]
    show(seed, rows[-1])
    for name, ward in [("pooled", None), *((f"{ward.name} alone", ward) for ward in wards)]:
        begun = time.perf_counter()
        learned = learn_pooled(bundle, wards, outcome.encoding) if ward is None else learn_alone(bundle, ward)
        seconds = time.perf_counter() - begun
        measured = figures(bundle, wards, learned.weights, learned.encoding)
        rows.append(Row(name, measured, learned.rounds, learned.best_round, seconds))
        show(seed, rows[-1])
    return rows


def show(seed: int, row: Row) -> None:
    """Print a model's line of the table."""
    aurocs = [f"{row.auroc(place):.3f} ({row.figures[place].records})" for place in PLACES]
    rounds = f"{row.best} of {row.rounds}"
    cells = [str(seed), row.name, *aurocs, f"{row.figures[BOTH].loss:.3f}", rounds, f"{row.seconds:.0f}"]
    print("| " + " | ".join(cells) + " |", flush=True)


def summary(seeds: Sequence[Sequence[Row]]) -> float:
    """Print mean and spread over seeds; gives the mean difference of federated and pooled over both institutions."""
    print("\n| mean (lowest to highest) | " + " | ".join(PLACES) + " |\n|---|---|---|---|")
    models = list(zip(*seeds, strict=True))
    for rows in models:
        cells = [spread([row.auroc(place) for row in rows]) for place in PLACES]
        print(f"| {rows[0].name} | " + " | ".join(cells) + " |")
    federated, others = models[0], models[1:]
    for rows in others:
        pairs = list(zip(federated, rows, strict=True))
        cells = [spread([ours.auroc(place) - row.auroc(place) for ours, row in pairs], "+.3f") for place in PLACES]
        print(f"| federated - {rows[0].name} | " + " | ".join(cells) + " |")
    return statistics.mean(ours.auroc(BOTH) - row.auroc(BOTH) for ours, row in zip(federated, others[0], strict=True))


def spread(values: Sequence[float], form: str = ".3f") -> str:
    """Give a mean, and the lowest and highest."""
    return f"{statistics.mean(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def main() -> int:
    """Measure, and fail when federated is worse than pooled by more than is allowed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--pixels", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--network", default="ResNet18")
    parser.add_argument("--arguments", default='{"first_kernel": 3, "width": 0.25}', help="of the network, as JSON")
    chosen = parser.parse_args()
    named = os.environ.get("WARDROUND_TEST_DATA")
    if not named:
        print("WARDROUND_TEST_DATA is not set: nothing is measured")
        return 0
    print(f"{chosen.network} {chosen.arguments}, {chosen.pixels} pixels, at most {chosen.rounds} rounds, one thread")
    print("AUROC (test images); loss over both; best round of all; seconds\n")
    heads = ("seed", "model", *PLACES, "loss", "rounds", "seconds")
    print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    with tempfile.TemporaryDirectory() as name, one_thread():
        folder = Path(name)
        paths = prepare(folder, Path(named) / "images" / "isic_ham")
        seeds = [run(folder, paths, chosen, seed) for seed in range(1, chosen.seeds + 1)]
    difference = summary(seeds)
    met = difference >= -ALLOWANCE
    print(f"target: federated at least pooled - {ALLOWANCE} in the mean" + ("" if met else ", missed"))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
