"""How records have changed, in plain words for the hospital's own people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from silo_node.changed.compare import Change


def unit(now: str, meant: str, ratio: float) -> str:
    """Say that values seem to be in another unit than before."""
    return (
        f"The mean is {ratio:.3g} times that of before, as if the values were in {now} now and not in {meant}: look at the "
        "export, and at the unit in the site file, before anything more is trained."
    )


def values(index: float, large: bool) -> str:  # noqa: FBT001  (how it is said)
    """Say that values are distributed otherwise."""
    return f"The values are distributed {'largely' if large else 'moderately'} otherwise than before (PSI {index:.2f})."


def mean(difference: float, before: float, now: float) -> str:
    """Say that the mean has moved."""
    side = "up" if difference > 0 else "down"
    return f"The mean has gone {side} by {abs(difference):.2f} standard deviations, from {before:.4g} to {now:.4g}."


def missing(before: float, now: float) -> str:
    """Say that values are missing more or less often."""
    return f"Missing: {100 * before:.0f} % before, {100 * now:.0f} % now."


def positive(before: float, now: float) -> str:
    """Say that the target is positive more or less often."""
    return f"Positive: {100 * before:.0f} % before, {100 * now:.0f} % now."


def counts(change: Change) -> str:
    """Say how many records came and went."""
    before, now = change.before.records, change.now.records
    total = f"{before} records of the study before, {now} now"
    if change.added is None or change.removed is None or change.edited is None:
        return f"{total} (which came and went is not known)"
    return f"{total}: {change.added} new, {change.removed} gone, {change.edited} with other content"


def setting_aside(change: Change) -> str:
    """Say how many records the check sets aside."""
    before, now = change.before, change.now
    then = f"The table had {before.found} records, {before.set_aside} of them set aside"
    return f"{then}; it has {now.found} now, {now.set_aside} set aside"


def verdict(change: Change) -> str:
    """Say in a line how far the fields have moved."""
    moved = [each for each in change.worst_first if each.level != "as before"]
    if not moved:
        return "No field has moved noticeably."
    large = sum(each.level == "large" for each in moved)
    units = [each.field for each in moved if each.unit is not None]
    text = f"{len(moved)} of {len(change.fields)} fields have moved, {large} of them largely."
    return text if not units else f"{text} A wrong unit is suspected: {', '.join(units)}."


def lines(change: Change) -> Iterator[str]:
    """Say everything that a person has to know, a line each."""
    yield f"{counts(change)}."
    yield f"{setting_aside(change)}."
    yield from (f"{each.field}: {' '.join(each.words)}" for each in change.worst_first if each.words)
    yield verdict(change)
