"""A made-up body in millimetres: tissue, fat, bones, an organ with vessels, and the lesions in it.

Everything is a shape in space, so that scanners with other spacings see the same body. Axes are those of a patient who lies
on the back (PS3.3 C.7.6.2.1.1): x to the left, y to the back, z to the head; the middle of the body is at zero. Numbers are
Hounsfield units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Point: TypeAlias = tuple[float, float, float]

AIR, FAT, MUSCLE, ORGAN, VESSEL, MARROW, CORTEX = -1000.0, -100.0, 45.0, 62.0, 160.0, 230.0, 650.0
"""Hounsfield units of what a body is made of."""

SKIN_MM: Final = 4.0
"""Fat under the body's surface."""

LESIONS: Final = (1, 1, 2, 2, 3, 4)
"""How many lesions a body has that has any: one of these, all as likely."""

LESION_MM: Final = (4.0, 8.5)
"""The smallest and the largest radius of a lesion, in mm; along each axis a fifth more or less."""

WAVES: Final = 24
"""Plane waves that tissue's texture is the sum of."""

_TRIES: Final = 200
"""To place a lesion apart from the others; one that finds no place is left out."""


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid with its axes along x, y and z; ``wobble`` (0 to 0.3) makes its surface uneven, by waves of ``phase``."""

    centre: Point
    radii: Point
    wobble: float = 0.0
    phase: float = 0.0

    def depth(self, x: Array, y: Array, z: Array) -> Array:
        """Give about how deep in it points lie, in mm; below 0 outside."""
        a, b, c = ((axis - middle) / radius for axis, middle, radius in zip((x, y, z), self.centre, self.radii, strict=True))
        reach = np.sqrt(a * a + b * b + c * c)
        uneven = np.sin(3 * a + self.phase) * np.sin(3 * b - self.phase) * np.cos(2 * c + self.phase) if self.wobble else 0.0
        return np.asarray((1.0 + self.wobble * uneven - reach) * min(self.radii))


@dataclass(frozen=True)
class Tube:
    """A round, straight tube of one thickness, from point to point."""

    begin: Point
    end: Point
    radius: float

    def depth(self, x: Array, y: Array, z: Array) -> Array:
        """Give how deep in it points lie, in mm; below 0 outside."""
        begin, way = np.array(self.begin), np.array(self.end) - np.array(self.begin)
        along = ((x - begin[0]) * way[0] + (y - begin[1]) * way[1] + (z - begin[2]) * way[2]) / (way @ way)
        at = np.clip(along, 0.0, 1.0)
        distance = np.sqrt(
            (x - begin[0] - at * way[0]) ** 2 + (y - begin[1] - at * way[1]) ** 2 + (z - begin[2] - at * way[2]) ** 2
        )
        return np.asarray(self.radius - distance)


@dataclass(frozen=True)
class Lesion:
    """A lesion: its shape, and how much brighter (or, below 0, darker) than the organ it is."""

    shape: Ellipsoid
    contrast: float


@dataclass(frozen=True)
class Body:
    """One made-up patient.

    Attributes:
        outline: of the skin; the body goes on above and below it.
        organ: where lesions lie.
        vessels: in the organ, as bright as the brighter lesions, but long.
        bones: with a hard rind.
        lesions: the truth.
        waves: ``(WAVES, 4)``, of the tissue's texture: wave numbers along x, y and z in 1/mm, and phase.
    """

    outline: Ellipsoid
    organ: Ellipsoid
    vessels: tuple[Tube, ...]
    bones: tuple[Tube, ...]
    lesions: tuple[Lesion, ...]
    waves: Array


def make_body(random: np.random.Generator, contrasts: tuple[tuple[float, float], ...], *, healthy: bool = False) -> Body:
    """Draw a body.

    Args:
        random: all that is drawn comes from it.
        contrasts: ranges of the lesions' contrast in HU, all as likely.
        healthy: whether it has no lesions.
    """
    organ = Ellipsoid(
        (random.uniform(-4, 4), random.uniform(-7, -3), random.uniform(-1, 1)),
        (random.uniform(22, 26), random.uniform(15, 18), random.uniform(19, 24)),
        0.06,
        random.uniform(0, 6),
    )
    outline = Ellipsoid((0.0, 0.0, 0.0), (random.uniform(34, 37), random.uniform(27, 30), 1e4))
    frequency = random.normal(size=(WAVES, 3))
    frequency *= 2 * np.pi / random.uniform(5, 14, size=(WAVES, 1)) / np.linalg.norm(frequency, axis=1, keepdims=True)
    return Body(
        outline,
        organ,
        tuple(_vessel(random, organ) for _ in range(random.integers(3, 6))),
        tuple(_bones(random, outline)),
        () if healthy else _lesions(random, organ, contrasts),
        np.column_stack([frequency, random.uniform(0, 2 * np.pi, size=WAVES)]),
    )


def _vessel(random: np.random.Generator, organ: Ellipsoid) -> Tube:
    """Draw a tube from one side of the organ to another."""
    ways = random.normal(size=(2, 3))
    begin, end = (np.array(organ.centre) + way / np.linalg.norm(way) * np.array(organ.radii) * 0.85 for way in ways)
    return Tube(_point(begin), _point(end), random.uniform(1.3, 2.4))


def _bones(random: np.random.Generator, outline: Ellipsoid) -> list[Tube]:
    """Draw a spine, and ribs that come from it and go down along the body's wall."""
    back = outline.radii[1]
    spine = Tube((random.uniform(-1, 1), back - 9, -99.0), (random.uniform(-1, 1), back - 9, 99.0), random.uniform(4.5, 5.5))
    ribs = []
    for side in (-1, 1):
        for height in random.uniform(-16, 16, size=2):
            out, deep = side * (outline.radii[0] - 7), random.uniform(-6, 6)
            ribs.append(Tube((side * 9.0, back - 9, height + 6), (out, deep, height - 3), random.uniform(1.6, 2.2)))
    return [spine, *ribs]


def _lesions(random: np.random.Generator, organ: Ellipsoid, contrasts: tuple[tuple[float, float], ...]) -> tuple[Lesion, ...]:
    made: list[Lesion] = []
    for _ in range(random.choice(LESIONS)):
        contrast = random.uniform(*contrasts[random.integers(len(contrasts))])
        size = random.uniform(*LESION_MM)
        radii = _point(size * random.uniform(0.8, 1.2, size=3))
        for _try in range(_TRIES):
            way = random.normal(size=3)
            way *= random.uniform(0, 1) ** (1 / 3) / np.linalg.norm(way)
            centre = np.array(organ.centre) + way * (np.array(organ.radii) - max(radii) - 1)
            if all(np.linalg.norm(centre - each.shape.centre) > max(radii) + max(each.shape.radii) + 2 for each in made):
                shape = Ellipsoid(_point(centre), radii, random.uniform(0.0, 0.25), random.uniform(0, 6))
                made.append(Lesion(shape, contrast))
                break
    return tuple(made)


def _point(values: Array) -> Point:
    x, y, z = (float(value) for value in values)
    return x, y, z
