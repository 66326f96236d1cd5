"""Values by which programs and code books say that there is none: what an undeclared mark for missing usually looks like."""

from __future__ import annotations

from datetime import date
from typing import Final

NUMBERS: Final = (
    *(-1.0, -7.0, -8.0, -9.0),
    *(sign * float(digit * length) for sign in (-1, 1) for digit in "789" for length in range(2, 7)),
    *(-32768.0, 32767.0, 65535.0, -2147483648.0, 2147483647.0),
)
"""Numbers for missing, not asked and unknown. Nought is one, too, but seldom: see ``silo_node.validation.sentinels``."""
AGES: Final = (150.0, 200.0, 250.0, 300.0)
"""Ages that stand for unknown ones, beside the nines."""
DAYS: Final = tuple(
    date.fromisoformat(day)
    for day in (
        *("1111-11-11", "1582-10-15", "1753-01-01", "1800-01-01", "1800-12-31", "1858-11-17", "1899-12-30", "1899-12-31"),
        *("1900-01-01", "1900-01-02", "1901-01-01", "1904-01-01", "1960-01-01", "1970-01-01"),
        *("2099-12-31", "2199-12-31", "2999-12-31", "4712-12-31", "9999-01-01", "9999-12-31"),
    )
)
"""Days on which programs begin and end to count, and those that stand for unknown ones."""


def is_usual(value: float | date) -> bool:
    """Say whether a value is one that often stands for a missing one."""
    return value in DAYS if isinstance(value, date) else value in (*NUMBERS, *AGES, 0.0)
