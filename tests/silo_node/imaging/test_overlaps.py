"""One example's overlap and surface distances are those of MONAI's metrics."""

import json
import subprocess
import sys

import numpy as np
import pytest

from silo_node.imaging.overlaps import count_overlaps
from wardround.errors import Broken
from wardround.metrics.pooled import measure, pool
from wardround.metrics.segmentation import DISTANCE_LIMIT

NAMES = ("liver", "tumour")
SHAPES = {"plane": ((24, 18), (0.7, 1.3)), "volume": ((12, 16, 10), (1.0, 0.8, 2.5))}
SEEDS = range(12)
MONAI = """
import json, sys, warnings
import numpy as np, torch
from monai.metrics import DiceMetric, HausdorffDistanceMetric, SurfaceDistanceMetric
warnings.simplefilter("ignore")  # MONAI's own deprecations, and its word on a side that is empty
cases, found = np.load(sys.argv[1]), {}
for name, spacing in json.loads(sys.argv[2]).items():
    pair = [torch.from_numpy(np.stack([labels == n for n in range(3)])[None].astype(np.float32)) for labels in cases[name]]
    dice = DiceMetric(include_background=False, ignore_empty=False)(*pair)[0]
    surface = SurfaceDistanceMetric(include_background=False, symmetric=True)(*pair, spacing=spacing)[0]
    hausdorff = HausdorffDistanceMetric(include_background=False, percentile=95)(*pair, spacing=spacing)[0]
    found[name] = [dice.tolist(), surface.tolist(), hausdorff.tolist()]
print(json.dumps(found))
"""
"""In a process of its own, in which MONAI finds all of SciPy: see ``wardround.models.from_monai``."""


def blobs(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Make a label map of two balls, which may touch the border, overlap, or be missing."""
    labels = np.zeros(shape, dtype=np.uint8)
    grid = np.stack(np.meshgrid(*(np.arange(size) for size in shape), indexing="ij"), axis=-1)
    for number in (1, 2):
        centre, radius = random.uniform(0, shape), random.uniform(0, min(shape) / 3)
        labels[np.linalg.norm(grid - centre, axis=-1) < radius] = number
    return labels


def pair(seed: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Draw what is predicted and what is true."""
    random, (shape, _) = np.random.default_rng(seed), SHAPES[kind]
    return blobs(random, shape), blobs(random, shape)


@pytest.fixture(scope="module")
def monais(tmp_path_factory) -> dict[str, list[list[float]]]:
    """Give MONAI's Dice, average symmetric surface distance and 95th percentile of Hausdorff of all pairs, for both classes."""
    file = tmp_path_factory.mktemp("pairs") / "pairs.npz"
    np.savez(file, **{f"{kind} {seed}": np.stack(pair(seed, kind)) for kind in SHAPES for seed in SEEDS})
    spacings = json.dumps({f"{kind} {seed}": SHAPES[kind][1] for kind in SHAPES for seed in SEEDS})
    answer = subprocess.run([sys.executable, "-c", MONAI, file, spacings], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    found: dict[str, list[list[float]]] = json.loads(answer.stdout)
    return found


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", SHAPES)
def test_an_example_has_the_metrics_that_monai_gives_it(seed, kind, monais):
    """Dice, average symmetric surface distance and the 95th percentile of Hausdorff, for every class, to 1e-5."""
    predicted, true = pair(seed, kind)
    found = measure(count_overlaps(predicted, true, SHAPES[kind][1], 2, 0.5), NAMES)
    dice, surface, hausdorff = monais[f"{kind} {seed}"]
    for number, each in enumerate(found.regions):
        sides = [(labels == number + 1).any() for labels in (predicted, true)]
        assert each.examples == any(sides)
        assert each.one_sided == (any(sides) and not all(sides))
        if any(sides):
            assert each.dice == each.pooled_dice or each.dice == pytest.approx(each.pooled_dice, abs=1e-6)
            assert each.dice == pytest.approx(dice[number], abs=1e-5)
        if all(sides):
            assert each.surface_distance == pytest.approx(surface[number], abs=1e-5)
            assert each.hausdorff_95 == pytest.approx(hausdorff[number], abs=1e-5)
        else:
            assert (each.surface_distance, each.hausdorff_95) == (None, None)


def test_examples_are_added_not_maps():
    """The mean over examples is of each one's own Dice and distance; an empty example counts among the records alone."""
    full, half, empty = np.ones((4, 4), np.uint8), np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8)
    half[:2] = 1
    pairs = ((full, full), (half, full), (empty, empty))
    parts = [count_overlaps(*pair, (1, 1), 1, loss) for loss, pair in enumerate(pairs)]
    found = measure(pool(parts), ("organ",))
    assert (found.records, found.loss, found.regions[0].examples) == (3, 1.0, 2)
    assert found.regions[0].dice == pytest.approx((1 + 2 / 3) / 2, abs=1e-6)
    assert found.regions[0].pooled_dice == pytest.approx(2 * 24 / (24 + 32))
    assert parts[0].regions[0].distance_units == parts[0].regions[0].hausdorff_units == 0


def test_an_example_without_a_finding_counts_where_something_is_drawn():
    """A false finding is a Dice of 0 and has no distance; nothing drawn where nothing is counts among the records alone."""
    empty, false = np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8)
    false[1, 1] = 1
    found = measure(pool([count_overlaps(each, empty, (1, 1), 1, 0.5) for each in (empty, false, empty)]), ("lesion",))
    region = found.regions[0]
    assert (found.records, region.examples, region.one_sided, region.dice, region.pooled_dice) == (3, 1, 1, 0, 0)
    assert (region.surface_distance, region.hausdorff_95) == (None, None)
    alone = measure(count_overlaps(empty, empty, (1, 1), 1, 0.5), ("lesion",))
    assert (alone.records, alone.dice, alone.regions[0].dice, alone.loss) == (1, None, None, 0.5)


def test_a_distance_beyond_any_body_is_counted_as_the_limit():
    """So that the sum of a hospital's examples stays an exact integer."""
    here, there = np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8)
    here[0, 0] = there[1, 1] = 1
    region = measure(count_overlaps(here, there, (1e9, 1e9), 1, 0), ("organ",)).regions[0]
    assert (region.surface_distance, region.hausdorff_95, region.dice) == (DISTANCE_LIMIT, DISTANCE_LIMIT, 0)


@pytest.mark.parametrize(
    ("predicted", "spacing"),
    [
        (np.zeros((3, 4), np.uint8), (1, 1)),
        (np.full((4, 4), 3, np.uint8), (1, 1)),
        (np.full((4, 4), -1, np.int16), (1, 1)),
        (np.zeros((4, 4), np.uint8), (1, 1, 1)),
        (np.zeros((4, 4), np.uint8), (1, 0)),
        (np.zeros((4, 4), np.uint8), (1, np.nan)),
    ],
)
def test_what_is_no_pair_of_label_maps_is_not_counted(predicted, spacing):
    with pytest.raises(Broken):
        count_overlaps(predicted, np.zeros((4, 4), np.uint8), spacing, 2, 0.5)
