"""What a difference between hospitals will mean for training, in plain words."""

from __future__ import annotations

from coordinator.comparability.model import Kind, Level, Remark, SiteField


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


def since(remark: Remark, now: SiteField, before: SiteField) -> str:
    """Say how a field has moved since it was told before."""
    match remark.kind:
        case "unit":
            return (
                f"The mean was {_number(before.mean)} and is {_number(now.mean)}, as in another unit: have the export looked at."
            )
        case "drift":
            how = "largely" if remark.level == "large" else "moderately"
            return f"The values are distributed {how} otherwise than before (PSI {now.psi or 0.0:.2f})."
        case "mean":
            return f"The mean was {_number(before.mean)} and is {_number(now.mean)}."
        case "missing":
            return f"Missing: {_percent(before.missing)} before, {_percent(now.missing)} now."
        case "prevalence":
            return f"Positive: {_percent(before.positive)} before, {_percent(now.positive)} now."


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"
