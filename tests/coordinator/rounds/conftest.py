"""What every test of the rounds shares: nobody waits for hospitals that are only on paper."""

import pytest

from coordinator.rounds import visit, visits


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(visits, "AWAY_SECONDS", 0.0)
    monkeypatch.setattr(visit, "COMEBACK_SECONDS", -1.0)
    monkeypatch.setattr(visit, "RESEND_SECONDS", 0.01)
