"""What every test of the rounds shares: nobody waits for hospitals that are only on paper."""

import pytest

from coordinator.rounds import conductor


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(conductor, "AWAY_SECONDS", 0.0)
