"""The porter and a trainer's process that does not do what it should."""

from __future__ import annotations

import socket
import time

import pytest
from paper_records import work
from studies_on_paper import paper

from silo_node.porter import bench_client
from silo_node.porter.bench_client import BenchClient
from silo_node.work import NotDone

PATIENCE = 0.2


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch):
    monkeypatch.setattr(bench_client, "GRACE_SECONDS", 0.3)


def test_a_frozen_trainer_is_not_waited_for_without_end(tmp_path):
    """A trainer that takes an order and says nothing costs a visit its patience, then the answer is a code."""
    with socket.socket(socket.AF_UNIX) as frozen:
        frozen.bind(str(tmp_path / "trainer.sock"))
        frozen.listen()
        begun = time.monotonic()
        assert BenchClient(tmp_path / "trainer.sock", PATIENCE).perform(work(paper(), "statistics")) == NotDone("H-FAILED")
    assert PATIENCE <= time.monotonic() - begun < 5.0


def test_a_trainer_that_is_gone(tmp_path):
    """Without a trainer the answer is the same code, after the patience of a visit."""
    client = BenchClient(tmp_path / "trainer.sock", PATIENCE)
    assert client.perform(work(paper(), "statistics")) == NotDone("H-FAILED")
    client.withdraw("0" * 64)
