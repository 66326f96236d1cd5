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
import sys
import tempfile
from pathlib import Path

from parts.accuracy import Measure, approved, head, run, summary
from parts.photographs import HOSPITALS, SCHEMA, prepare, study_of

from wardround.contract.library import find_imaging
from wardround_lab.demo.baselines import one_thread

AUROC = Measure("AUROC", lambda metrics: metrics.auroc)


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
    imaging = find_imaging(f"{SCHEMA}@1.0.0")
    head(list(HOSPITALS), AUROC)
    seeds = []
    with tempfile.TemporaryDirectory() as name, one_thread():
        folder = Path(name)
        paths = prepare(folder, Path(named) / "images" / "isic_ham")
        for seed in range(1, chosen.seeds + 1):
            study = study_of(seed, chosen.pixels, chosen.network, json.loads(chosen.arguments), chosen.rounds)
            seeds.append(run(folder, paths, approved(folder, paths, study, imaging), seed, AUROC))
    return summary(seeds, AUROC)


if __name__ == "__main__":
    sys.exit(main())
