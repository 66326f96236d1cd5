"""A supervisor in a thread, shared by the tests of supervision."""

from __future__ import annotations

import threading

import pytest
from supervised import PATIENCE

from wardround.supervision.child import Child
from wardround.supervision.supervisor import Supervisor


@pytest.fixture
def supervise(tmp_path):
    """Run a supervisor in a thread, and stop it at the end."""
    running: list[tuple[Supervisor, threading.Thread]] = []
    told: list[tuple[str, str]] = []

    def begin(*children: Child) -> list[tuple[str, str]]:
        supervisor = Supervisor(children, tmp_path / "logs", lambda name, state: told.append((name, state)))
        supervisor.start()
        thread = threading.Thread(target=supervisor.watch)
        thread.start()
        running.append((supervisor, thread))
        return told

    yield begin
    for supervisor, thread in running:
        supervisor.stop(5.0)
        thread.join(PATIENCE)
