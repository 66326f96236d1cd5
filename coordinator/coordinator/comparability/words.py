"""What a difference between hospitals will mean for training, in plain words."""

from __future__ import annotations

from coordinator.comparability.model import Kind, Level


def unit(suspected: str, meant: str, ratio: float) -> str:
    """Say that a hospital's values seem to be in another unit."""
    return (
        f"Its mean is {ratio:.3g} times that of the others, as if the values were in {suspected} and not in {meant}. In a wrong "
        "unit a hospital teaches the model nonsense, and moves the common scale for all: have its site file's unit looked at "
        "before the first round."
    )


def drift(index: float, level: Level) -> str:
    """Say that values are distributed otherwise."""
    how = "largely" if level == "large" else "moderately"
    return (
        f"Its values are distributed {how} otherwise than those of the others (PSI {index:.2f}). Other patients, or another way "
        "to measure: the common model may fit here less well than the pooled figures say. Look at this hospital's own metrics."
    )


def mean(difference: float, own: float, rest: float) -> str:
    """Say that the mean lies elsewhere."""
    side = "above" if difference > 0 else "below"
    return (
        f"Its mean ({own:.4g}) lies {abs(difference):.2f} standard deviations {side} that of the others ({rest:.4g}). The field "
        "is centred on the mean of all, so it partly tells the model which hospital a record is from."
    )


def share(kind: Kind, own: float, rest: float) -> str:
    """Say that values are missing more or less often, or the target is positive more or less often."""
    shares = f"{100 * own:.0f} % here, {100 * rest:.0f} % at the others"
    if kind == "missing":
        return (
            f"Missing: {shares}. A missing value becomes the mean of all: where many are missing the model cannot learn this "
            "field, and learns that it is missing instead."
        )
    return (
        f"Positive: {shares}. Probabilities come out for the mix of all hospitals: here they will be too "
        f"{'low' if own > rest else 'high'} unless they are calibrated anew, while the ranking need not suffer."
    )
