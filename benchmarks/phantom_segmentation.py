"""Phantoms of four departments, where are the lesions: federated against pooled training and each alone.

    python benchmarks/phantom_segmentation.py [--seeds 3] [--first 1] [--rounds 30] [--epochs 8] [--rate 0.003]
                                              [--patience 10] [--normalisation instance]

The departments, the study and its contract are those of ``wardround demo imaging``, but for other phantoms: settings were
tried on the demonstration's. Federated: the study conducted by ``wardround_lab.simulate`` (conductor, porters and trainers as in
deployment, one process). Pooled and alone: ``wardround_lab.demo.baselines``; its docstring says what differs. All are measured on
the same test series, by the mean Dice over those in which truth or prediction has a lesion.

What a seed changes: the phantoms, the study's hash, and with it which are for training, validation and test; the initial weights;
the order of series and what augmentation draws. Keys are new in each run, and the hash is over them too, so another run splits
otherwise and has other figures.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import get_args

from parts.accuracy import Measure, approved, head, run, summary, with_keys

from wardround.contract.library import find_imaging
from wardround.strict_yaml import load, parse
from wardround.study.model import Normalisation, Study
from wardround_lab.demo.baselines import one_thread
from wardround_lab.demo.departments import HOSPITALS, SCHEMA, write_hospital

DICE = Measure("Dice", lambda metrics: metrics.dice)
DEMO = Path(str(files("wardround_lab.demo")))
FIRST_SEED = 1000
"""Of phantoms: the demonstration's are others."""


def study_of(seed: int, chosen: argparse.Namespace) -> Study:
    """Give the demonstration's study with other numbers."""
    made = parse(Study, load(DEMO / "phantom-lesions.yaml"))
    optimiser = made.training.optimiser.model_copy(update={"learning_rate": chosen.rate})
    return made.model_copy(
        update={
            "seed": seed,
            "network": made.network.model_copy(update={"normalisation": chosen.normalisation}),
            "training": made.training.model_copy(update={"local_epochs": chosen.epochs, "optimiser": optimiser}),
            "rounds": made.rounds.model_copy(update={"maximum": chosen.rounds}),
            "convergence": made.convergence.model_copy(update={"patience": chosen.patience}),
        }
    )


def main() -> int:
    """Measure, and fail when federated is worse than pooled by more than is allowed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=1, help="the first seed: for runs side by side, a processor each")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--epochs", type=int, default=8, help="local epochs of a round")
    parser.add_argument("--rate", type=float, default=0.003, help="learning rate")
    parser.add_argument("--patience", type=int, default=10, help="rounds without a better Dice after which a training ends")
    parser.add_argument("--normalisation", choices=get_args(Normalisation), default="instance")
    chosen = parser.parse_args()
    imaging = find_imaging(SCHEMA, [DEMO / "schemas"])
    print(f"at most {chosen.rounds} rounds of {chosen.epochs} local epochs, learning rate {chosen.rate}, one thread")
    print(f"{chosen.patience} rounds without a better Dice end a training; normalisation: {chosen.normalisation}")
    head([each.department.site for each in HOSPITALS], DICE)
    seeds = []
    with tempfile.TemporaryDirectory() as name, one_thread():
        for seed in range(chosen.first, chosen.first + chosen.seeds):
            folder = Path(name) / str(seed)
            paths = [write_hospital(folder / each.department.site, each, FIRST_SEED + seed) for each in HOSPITALS]
            with_keys(folder, paths)
            study = study_of(seed, chosen)
            bundle = approved(folder, paths, study, imaging)
            seeds.append(run(folder, paths, bundle, seed, DICE))
    return summary(seeds, DICE)


if __name__ == "__main__":
    sys.exit(main())
