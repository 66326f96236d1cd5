"""What a node's processes run is what is installed, or it is said."""

from __future__ import annotations

from silo_node import running_code
from silo_node.running_code import changed, measure


def test_a_change_of_the_software_is_said_by_process(tmp_path, monkeypatch):
    """Each process leaves the digest of its code; after an update in place those that were started before are named."""
    monkeypatch.setattr(running_code, "code_digest", lambda _packages: "c" * 64)
    assert changed(tmp_path) == ()
    assert measure(tmp_path, "porter") == "c" * 64
    assert measure(tmp_path, "trainer") == "c" * 64
    assert changed(tmp_path) == ()
    monkeypatch.setattr(running_code, "code_digest", lambda _packages: "d" * 64)
    assert changed(tmp_path) == ("trainer", "porter")
    measure(tmp_path, "trainer")
    assert changed(tmp_path) == ("porter",)


def test_a_full_disk_stops_no_process(tmp_path, monkeypatch):
    """Then nothing is said, and nothing old either."""
    monkeypatch.setattr(running_code, "code_digest", lambda _packages: "c" * 64)
    measure(tmp_path, "trainer")
    monkeypatch.setattr(running_code, "code_digest", lambda _packages: "d" * 64)

    def full(_descriptor):
        raise OSError(28, "no space")

    monkeypatch.setattr("os.fsync", full)
    assert measure(tmp_path, "trainer") == "d" * 64
    assert changed(tmp_path) == ()
