"""A directory that cannot be written, or a disk that is nearly full, is said before any work begins."""

from __future__ import annotations

import subprocess
from contextlib import suppress

import pytest

from wardround.errors import Refused
from wardround.supervision import ground
from wardround.supervision.ground import LEAST_FREE_BYTES, check_ground, free_bytes, require_space

DISK_BYTES = 4 * 2**20


def codes(call) -> tuple[str, ...]:
    with pytest.raises(Refused) as refused:
        call()
    return refused.value.codes


def fill(path):
    """Write until the disk takes no more."""
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(65_536))


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 4 MiB of its own, where this user may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", folder], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("this user may not mount a disk here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_disk_with_room_is_good_ground(tmp_path):
    """Nothing is left of the trial."""
    check_ground(tmp_path, 1)
    require_space(tmp_path, 1)
    assert list(tmp_path.iterdir()) == []


def test_a_small_disk(small_disk):
    """What is left is counted on the disk of the directory itself, and the error says both figures in MiB."""
    assert codes(lambda: check_ground(small_disk)) == ("O-SPACE",)
    require_space(small_disk, DISK_BYTES // 2)
    (small_disk / "records").write_bytes(bytes(DISK_BYTES // 2 + 4096))
    with pytest.raises(Refused) as refused:
        require_space(small_disk, DISK_BYTES // 2)
    problem = refused.value.problems[0]
    assert (problem.code, problem.place) == ("O-SPACE", "disk")
    assert "2 MiB" in problem.rule
    assert "1 MiB" in problem.finding


def test_a_full_disk_and_a_read_only_one(small_disk):
    """A full disk is both too small and not to be written; a read-only one is not to be written."""
    fill(small_disk / "all")
    assert codes(lambda: check_ground(small_disk)) == ("O-WRITE", "O-SPACE")
    (small_disk / "all").unlink()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    assert codes(lambda: check_ground(small_disk, 1)) == ("O-WRITE",)


def test_a_place_that_is_no_directory(tmp_path):
    """What cannot be written is named by its own name, without the way to it."""
    (tmp_path / "file").touch()
    with pytest.raises(Refused) as refused:
        check_ground(tmp_path / "file" / "silo")
    assert refused.value.codes == ("O-WRITE",)
    assert str(tmp_path) not in str(refused.value)


def test_what_only_root_may_fill_does_not_count(tmp_path, monkeypatch):
    """The bytes are those that an ordinary user may still write, to the last one."""

    class Told:
        f_bavail, f_bfree, f_frsize = LEAST_FREE_BYTES // 4096, 10**9, 4096

    monkeypatch.setattr(ground.os, "statvfs", lambda _folder: Told)
    assert free_bytes(tmp_path) == LEAST_FREE_BYTES
    require_space(tmp_path, LEAST_FREE_BYTES)
    assert codes(lambda: require_space(tmp_path, LEAST_FREE_BYTES + 1)) == ("O-SPACE",)
