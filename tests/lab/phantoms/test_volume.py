"""A body is the same whoever scans it, and its truth is where its lesions are seen."""

from __future__ import annotations

import numpy as np
import pytest

from wardround_lab.phantoms.anatomy import LESION_MM, LESIONS, ORGAN, Body, make_body
from wardround_lab.phantoms.volume import Grid, scan

DARK, BRIGHT = ((-60.0, -40.0),), ((40.0, 60.0),)
COARSE, FINE = Grid(48, 1.7, 16, 3.0, 3.0), Grid(80, 1.0, 32, 1.5, 1.5)


def a_body(seed: int, contrasts=DARK, *, healthy: bool = False) -> Body:
    return make_body(np.random.default_rng(seed), contrasts, healthy=healthy)


def test_a_seed_is_a_scan():
    """The same seed gives the same numbers, another one others."""
    one, same, other = (scan(a_body(seed), COARSE, 8.0, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one.hounsfield, same.hounsfield)
    assert np.array_equal(one.truth, same.truth)
    assert not np.array_equal(one.hounsfield, other.hounsfield)


@pytest.mark.parametrize("seed", range(4))
def test_two_scanners_see_the_same_lesions(seed):
    """Lesions have the same volume in mm³ on another grid, but for its coarseness."""
    body = a_body(seed)
    volumes = []
    for grid in (COARSE, FINE):
        truth = scan(body, grid, 0.0, np.random.default_rng(0)).truth
        volumes.append(int(truth.sum()) * grid.spacing**2 * grid.step)
    assert volumes[0] == pytest.approx(volumes[1], rel=0.15)


@pytest.mark.parametrize("contrasts", [DARK, BRIGHT])
def test_lesions_are_seen(contrasts):
    """Inside, a lesion differs from the organ by its contrast; without noise, to what texture and soft edges leave."""
    for seed in range(3):
        body = a_body(seed, contrasts)
        seen = scan(body, FINE, 0.0, np.random.default_rng(0))
        z, y, x = np.meshgrid(FINE.middle(FINE.slices, FINE.step), *[FINE.middle(FINE.size, FINE.spacing)] * 2, indexing="ij")
        for lesion in body.lesions:
            inside = lesion.shape.depth(x, y, z) > 1.5
            assert float(seen.hounsfield[inside].mean()) == pytest.approx(ORGAN + lesion.contrast, abs=8.0)
            assert seen.truth[inside].all()


def test_numbers_and_sizes():
    """Bodies have one to four lesions, apart from each other and whole within the organ; a healthy one has none."""
    bodies = [a_body(seed) for seed in range(40)]
    assert {len(body.lesions) for body in bodies} == set(LESIONS)
    for body in bodies:
        for at, lesion in enumerate(body.lesions):
            assert 0.8 * LESION_MM[0] <= min(lesion.shape.radii) <= max(lesion.shape.radii) <= 1.2 * LESION_MM[1]
            assert float(body.organ.depth(*(np.array([each]) for each in lesion.shape.centre))[0]) > 0
            for other in body.lesions[:at]:
                apart = float(np.linalg.norm(np.array(lesion.shape.centre) - other.shape.centre))
                assert apart > max(lesion.shape.radii) + max(other.shape.radii)
    assert not scan(a_body(0, healthy=True), COARSE, 0.0, np.random.default_rng(0)).truth.any()


def test_noise_is_as_large_as_it_says():
    """Two scans of one body differ by the noise of both."""
    body = a_body(3)
    one, other = (scan(body, COARSE, 10.0, np.random.default_rng(seed)).hounsfield.astype(float) for seed in (1, 2))
    middle = (slice(4, 12), slice(16, 32), slice(16, 32))
    assert float((one - other)[middle].std()) == pytest.approx(10.0 * np.sqrt(2), rel=0.1)
