"""Which sums may be shown beside hidden figures: none from which one of them follows.

Statistical disclosure control calls it primary and secondary suppression (Willenborg and de Waal 2001, "Elements of
Statistical Disclosure Control"). Every sum that is shown is a linear equation over the hidden figures: its row has a 1 for
each hospital that stands in it. A reader solves such equations, and a reader that is one of the hospitals knows its own
figure besides. So the test is of linear algebra, over all rows that are shown together: no combination of them may leave a
protected hospital alone, or alone with one other.

Nothing here looks at a figure. What is hidden follows from who was there and who does not share, so that two releases of
the same study hide the same, whatever changed in between.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from fractions import Fraction

_Row = tuple[Fraction, ...]


class Audit:
    """The sums that are shown so far over some hidden figures."""

    def __init__(self, hidden: Sequence[str], protected: Collection[str]) -> None:
        """Take the hospitals whose figures are hidden, and those of them that must not be found out."""
        self._hidden = tuple(hidden)
        self._protected = [place for place, site in enumerate(self._hidden) if site in protected]
        self._basis: dict[int, _Row] = {}

    def shows(self, sites: Collection[str]) -> bool:
        """Show the sum over some hospitals, if no protected figure follows from it and all that is shown; says whether."""
        row = self._reduced(tuple(Fraction(site in sites) for site in self._hidden))
        pivot = next((place for place, value in enumerate(row) if value), None)
        if pivot is None:
            return True
        new = tuple(value / row[pivot] for value in row)
        basis = {place: _without(old, new, pivot) for place, old in self._basis.items()} | {pivot: new}
        if _gives_away(basis, len(self._hidden), self._protected):
            return False
        self._basis = basis
        return True

    def _reduced(self, row: _Row) -> _Row:
        for pivot, other in self._basis.items():
            row = _without(row, other, pivot)
        return row


def _without(row: _Row, other: _Row, pivot: int) -> _Row:
    """Subtract as much of a row as clears the place of its pivot."""
    factor = row[pivot]
    return tuple(a - factor * b for a, b in zip(row, other, strict=True)) if factor else row


def _gives_away(basis: dict[int, _Row], size: int, protected: Iterable[int]) -> bool:
    """Say whether a protected figure follows from the rows, alone or together with one other figure.

    ``basis`` is in reduced echelon form. Each figure's row of the null space says how it can still vary: one that is zero
    is known, and of two that are parallel each follows from the other.
    """
    free = [place for place in range(size) if place not in basis]
    varies = [
        tuple(-basis[place][each] for each in free) if place in basis else tuple(Fraction(each == place) for each in free)
        for place in range(size)
    ]
    directions = [_direction(each) for each in varies]
    return any(directions[place] is None or directions.count(directions[place]) > 1 for place in protected)


def _direction(row: _Row) -> _Row | None:
    first = next((value for value in row if value), None)
    return None if first is None else tuple(value / first for value in row)


def hidden_with(protected: Collection[str], order: Sequence[str], tables: Iterable[Collection[str]]) -> tuple[str, ...]:
    """Give the hospitals to hide, so that the sum of each table can still be shown where that is possible at all.

    Args:
        protected: hospitals that do not share their figures.
        order: all hospitals, those first that are hidden first for another's sake.
        tables: for each table, the hospitals that stand in its sum.
    """
    hidden = set(protected)
    for table in tables:
        others = [site for site in order if site in table and site not in protected]
        for many in range(len(others) + 1):
            wanted = {*protected, *others[:many]}
            if Audit(tuple(wanted), protected).shows(table):
                hidden |= wanted
                break
    return tuple(site for site in order if site in hidden)
