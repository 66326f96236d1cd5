"""What the tests of the silo share: a small contract of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from clinic_on_disk import CLINIC, load_contract

from wardround.contract.model import Contract


@pytest.fixture
def clinic(tmp_path: Path) -> Contract:
    """Give the contract of the clinic on disk."""
    return load_contract(CLINIC, tmp_path)
