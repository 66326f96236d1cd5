"""Extraction in the test's own process."""

from __future__ import annotations

import pytest
from exports_on_disk import in_this_process


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    in_this_process(monkeypatch)
