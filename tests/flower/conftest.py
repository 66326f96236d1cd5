"""One SuperLink for a whole session of tests, and one SuperNode: each test brings its own run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flower_processes import Processes, SuperLink, SuperNode, start_superlink, start_supernode


@pytest.fixture(scope="session")
def superlink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SuperLink]:
    """Give a hardened SuperLink with TLS on loopback."""
    folder = tmp_path_factory.mktemp("flower")
    processes = Processes(folder / "logs")
    try:
        yield start_superlink(folder / "centre", processes)
    finally:
        processes.stop()


@pytest.fixture(scope="session")
def supernode(superlink: SuperLink) -> SuperNode:
    """Give a SuperNode that is registered and connected; it takes one message at a time."""
    return start_supernode(superlink, "north")
