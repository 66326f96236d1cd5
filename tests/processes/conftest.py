"""A ward on real processes, shared by the tests of a file."""

from __future__ import annotations

import pytest
from ward_on_processes import Ward, make_ward


@pytest.fixture
def ward(tmp_path, wardround):
    """A centre and three enrolled hospitals; nothing runs yet, and nothing is left running."""
    made: Ward = make_ward(tmp_path, wardround, (120, 90, 80))
    yield made
    made.stop()
