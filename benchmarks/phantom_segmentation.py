"""Phantoms of four departments, where are the lesions: federated against pooled training and each alone.

    python benchmarks/phantom_segmentation.py [--seeds 3] [--first 1] [--tests 30] [--rounds 30] [--epochs 8] [--batch 2]
                                              [--rate 0.003] [--patience 10] [--normalisation instance]

The departments, the study and its contract are those of ``wardround demo imaging``, but for other phantoms: settings were
tried on the demonstration's. Federated: the study conducted by ``wardround_lab.simulate`` (conductor, porters and trainers as in
deployment, one process). Pooled and alone: ``wardround_lab.demo.baselines``; its docstring says what differs. All are measured on
the same test series, by the mean Dice over those in which truth or prediction has a lesion.

Those series are further phantoms of the same departments (``--tests`` of each), of patients that are not in the study, read and
checked by the hospital's own code. They have no part in training or in the choice of a round. What the same models do on the
split's own few test series stands beside that, in the column ``of the split``.

What a seed changes: the phantoms, those of the test among them; the study's hash, and with it which are for training, validation
and test; the initial weights; the order of series and what augmentation draws. Keys are new in each run, and the hash is over
them too, so another run splits otherwise and has other figures.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import get_args

from parts.accuracy import OWN, Measure, approved, further_tests, head, run, summary, with_keys

from wardround.contract.library import find_imaging
from wardround.strict_yaml import load, parse
from wardround.study.model import Normalisation, Study
from wardround_lab.demo.baselines import one_thread
from wardround_lab.demo.departments import HOSPITALS, SCHEMA, Radiology, write_hospital

DICE = Measure("Dice", lambda metrics: metrics.dice)
DEMO = Path(str(files("wardround_lab.demo")))
FIRST_SEED, FIRST_TEST_SEED = 1000, 1_000_000
"""Of phantoms: the demonstration's are others."""
TEST_PATIENTS = 500
"""How far the numbers of further patients lie above those of a department's own, which begin at its thousand."""


def for_tests(hospital: Radiology, series: int) -> Radiology:
    """Give a department as it scans others than the study's patients, and exports them without a fault."""
    department = hospital.department
    first = department.first_patient + TEST_PATIENTS
    return replace(hospital, department=replace(department, series=series, troubles=(), first_patient=first))


def study_of(seed: int, chosen: argparse.Namespace) -> Study:
    """Give the demonstration's study with other numbers."""
    made = parse(Study, load(DEMO / "phantom-lesions.yaml"))
    optimiser = made.training.optimiser.model_copy(update={"learning_rate": chosen.rate})
    return made.model_copy(
        update={
            "seed": seed,
            "network": made.network.model_copy(update={"normalisation": chosen.normalisation}),
            "training": made.training.model_copy(
                update={"local_epochs": chosen.epochs, "batch_size": chosen.batch, "optimiser": optimiser}
            ),
            "rounds": made.rounds.model_copy(update={"maximum": chosen.rounds}),
            "convergence": made.convergence.model_copy(update={"patience": chosen.patience}),
        }
    )


def main() -> int:
    """Measure, and fail when federated is worse than pooled by more than is allowed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=1, help="the first seed: for runs side by side, a processor each")
    parser.add_argument("--tests", type=int, default=30, help="further test series of each department")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--epochs", type=int, default=8, help="local epochs of a round")
    parser.add_argument("--batch", type=int, default=2, help="series in a batch")
    parser.add_argument("--rate", type=float, default=0.003, help="learning rate")
    parser.add_argument("--patience", type=int, default=10, help="rounds without a better Dice after which a training ends")
    parser.add_argument("--normalisation", choices=get_args(Normalisation), default="instance")
    chosen = parser.parse_args()
    imaging = find_imaging(SCHEMA, [DEMO / "schemas"])
    print(f"at most {chosen.rounds} rounds of {chosen.epochs} local epochs, batches of {chosen.batch}, one thread")
    print(f"learning rate {chosen.rate}; {chosen.tests} further test series of each department")
    print(f"{chosen.patience} rounds without a better Dice end a training; normalisation: {chosen.normalisation}")
    head([*(each.department.site for each in HOSPITALS), OWN], DICE)
    seeds = []
    with tempfile.TemporaryDirectory() as name, one_thread():
        for seed in range(chosen.first, chosen.first + chosen.seeds):
            folder = Path(name) / str(seed)
            paths = [write_hospital(folder / each.department.site, each, FIRST_SEED + seed) for each in HOSPITALS]
            with_keys(folder, paths)
            study = study_of(seed, chosen)
            bundle = approved(folder, paths, study, imaging)
            others = [
                write_hospital(folder / "tests" / each.department.site, for_tests(each, chosen.tests), FIRST_TEST_SEED + seed)
                for each in HOSPITALS
            ]
            seeds.append(run(folder, paths, bundle, seed, DICE, further_tests(bundle, others)))
    return summary(seeds, DICE)


if __name__ == "__main__":
    sys.exit(main())
