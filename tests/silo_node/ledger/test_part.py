"""A part of a hospital's account: what stands in it is of that part."""

from __future__ import annotations

from pathlib import Path

import pytest
from studies_on_paper import party

from silo_node.ledger.account import Account
from silo_node.ledger.part import Part
from silo_node.ledger.source import Source
from wardround.ledger.entries import ConfinementFound
from wardround.ledger.folder import Course


@pytest.mark.parametrize(
    ("part", "days"),
    [
        (Part(), (1, 3, 5)),
        (Part(study=None, since="2026-01-04"), (3, 5)),
        (Part(since="2026-01-02", until="2026-01-04"), (1, 3)),
        (Part(until="2026-01-02"), (1,)),
        (Part(since="2026-01-06"), (5,)),
    ],
)
def test_how_the_trainer_was_confined_is_told_for_the_days_of_a_part(part, days):
    """The last finding before it holds until the next; one that came after it is no part of it."""
    found = [
        ConfinementFound(time=f"2026-01-0{day}T00:00:00Z", holds=(), fails=("network-kernel",), required=()) for day in (1, 3, 5)
    ]
    account = Account(Source(Path(), party("beta").member, None), Course(), confinements=found).of(part)
    assert [int(each.time[9]) for each in account.confinements] == [*days]
