"""An export folder, and how slices get into it."""

from __future__ import annotations

import pytest
from slices_on_disk import Export


@pytest.fixture
def write_slice(tmp_path):
    """Write a slice of a CT into the export folder."""
    return Export(tmp_path / "export")


@pytest.fixture
def export(write_slice):
    """The export folder."""
    return write_slice.folder
