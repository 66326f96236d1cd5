"""What is looked at on every machine: real files, a real package that does not fit, the limits of this process."""

from __future__ import annotations

import ctypes
import os
import resource
from types import SimpleNamespace

import pytest

from wardround.directory import FORMAT_FILE
from wardround.doctor import machine


def states(lines) -> list[tuple[str, str | None]]:
    return [(line.state, line.code) for line in lines]


@pytest.fixture
def keys(tmp_path):
    """Two private files in a private folder."""
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    for name in ("a.pem", "b.pem"):
        (folder / name).write_bytes(b"x")
        (folder / name).chmod(0o600)
    return folder


def test_private_files_are_for_their_owner_only(keys):
    """In order; open to others; missing; in a folder that others may enter: each is told."""
    paths = [keys / "a.pem", keys / "b.pem"]
    assert states(machine.private_files("keys", paths)) == [("ok", None)]
    keys.chmod(0o755)
    assert states(machine.private_files("keys", paths)) == [("warn", None), ("ok", None)]
    keys.chmod(0o700)
    paths[0].chmod(0o644)
    paths[1].unlink()
    found = list(machine.private_files("keys", paths))
    assert states(found) == [("fail", "K-MODE"), ("fail", "K-MISSING")]
    assert found[0].next_step == "run: chmod 600 a.pem"


def test_files_of_another_user_are_told(keys, monkeypatch):
    """What root sees is not what the service sees."""
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    (line,) = machine.private_files("keys", [keys / "a.pem", keys / "b.pem"])
    assert line.state == "warn"
    assert f"uid {owner})" in line.finding


def test_packages_are_held_against_the_declared_ranges(tmp_path, monkeypatch):
    """What is installed here is in range; a distribution that asks for another Python and another package is not."""
    assert states(machine.software("wardround-platform", "wardround-silo-node", "wardround-coordinator")) == [("ok", None)]
    folder = tmp_path / "odd-1.0.dist-info"
    folder.mkdir()
    asked = ["pydantic<1", "nothing-of-this-name", 'monai<1; extra == "models"', 'polars<1; extra == "dev"', "wardround-other==9"]
    lines = [
        "Metadata-Version: 2.1",
        "Name: odd",
        "Version: 1.0",
        "Requires-Python: <3",
        *(f"Requires-Dist: {each}" for each in asked),
    ]
    (folder / "METADATA").write_text("\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    (line,) = machine.software("odd")
    assert line.state == "fail"
    for word in ("needs <3", "pydantic", "nothing-of-this-name is absent", "monai"):
        assert word in line.finding
    assert "polars" not in line.finding
    assert "wardround-other" not in line.finding


def test_a_directory_is_read_written_and_has_room(tmp_path):
    """Its format, a file, the free bytes; more than the disk has is O-SPACE, a newer format V-FORMAT."""
    assert [(line.name, line.state) for line in machine.directory(tmp_path, 0, "")] == [("directory", "ok"), ("disk", "ok")]
    assert states(machine.directory(tmp_path, 2**60, "")) == [("ok", None), ("fail", "O-SPACE")]
    (tmp_path / FORMAT_FILE).write_text('{"format":99,"written_by":"9.0.0"}')
    assert states(machine.directory(tmp_path, 0, ""))[0] == ("fail", "V-FORMAT")
    assert states(machine.directory(tmp_path / "nowhere", 0, ""))[1] == ("fail", "O-WRITE")


def test_names_are_looked_up():
    """A name that no name server knows (RFC 6761), and one that is always known."""
    assert states(machine.name_server("name", "nobody.invalid:8443")) == [("fail", "N-UNREACHABLE")]
    (line,) = machine.name_server("name", "127.0.0.1:8443")
    assert (line.state, line.finding) == ("ok", "127.0.0.1 is an address")


def test_proxies_are_named_and_not_shown(monkeypatch):
    """What such a variable says may hold a password."""
    for name in (*machine.PROXY_VARIABLES, *(each.upper() for each in machine.PROXY_VARIABLES)):
        monkeypatch.delenv(name, raising=False)
    assert machine.proxy_variables() == ()
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy:3128")
    assert machine.proxy_variables() == ("https_proxy",)


def test_a_low_limit_of_open_files_is_told():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
        (low,) = machine.open_files(0)
        assert low.state == "warn"
        assert "512" in low.finding
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, hard), hard))
        assert [line.state for line in machine.open_files(0)] == ["ok"]
        assert [line.state for line in machine.open_files(5000)] == ["warn"]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(("answer", "state"), [(0, "ok"), (3, "ok"), (5, "warn"), (-1, "skipped")])
def test_the_kernel_is_asked_about_the_clock(monkeypatch, answer, state):
    """adjtimex(2): 5 is a clock that nothing keeps; a system that does not say is no fault."""
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: SimpleNamespace(adjtimex=lambda _buffer: answer))
    assert [line.state for line in machine.kept_in_step()] == [state]
