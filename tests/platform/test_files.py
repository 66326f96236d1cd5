"""Files that are whole or not there."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wardround.errors import Refused
from wardround.files import new_private_folder, remove_leftovers, write_atomic, write_new

WRITERS = {
    "write_atomic": "[write_atomic(path, bytes([48 + n % 10]) * 300_000) for n in itertools.count()]",
    "write_new": "[(path.unlink(missing_ok=True), write_new(path, bytes([48 + n % 10]) * 300_000)) for n in itertools.count()]",
}


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("writer", WRITERS)
def test_a_killed_writer_leaves_no_half_file(tmp_path, writer):
    """Whenever kill -9 strikes, the file is one whole version or not there."""
    path = tmp_path / "file"
    program = (
        "import itertools, pathlib, sys; from wardround.files import write_atomic, write_new; "
        f"path = pathlib.Path(sys.argv[1]); {WRITERS[writer]}"
    )
    for attempt in range(4):
        process = subprocess.Popen([sys.executable, "-c", program, str(path)])
        give_up = time.monotonic() + 20
        while not path.exists() and time.monotonic() < give_up:
            time.sleep(0.005)
        time.sleep(0.01 + 0.013 * attempt)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if path.exists():
            content = path.read_bytes()
            assert len(content) == 300_000
            assert len(set(content)) == 1
        else:
            assert writer == "write_new"
        remove_leftovers(path)
        assert set(names(tmp_path)) <= {"file"}


def test_an_old_version_is_replaced_whole(tmp_path):
    """The new content is there, with the mode that was asked for, and nothing lies beside it."""
    path = tmp_path / "folder" / "file"
    write_atomic(path, b"old and long")
    write_atomic(path, b"new", mode=0o600)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert names(path.parent) == ["file"]


def test_new_files_never_overwrite(tmp_path):
    """A file that is there stays, and nothing lies beside it."""
    path = tmp_path / "file"
    write_new(path, b"first", mode=0o600)
    with pytest.raises(FileExistsError):
        write_new(path, b"second")
    assert path.read_bytes() == b"first"
    assert path.stat().st_mode & 0o777 == 0o600
    assert names(tmp_path) == ["file"]


def test_new_files_do_not_follow_links(tmp_path):
    """A dangling link in the place of the file is not written through."""
    (tmp_path / "file").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "file", b"x")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("write", [write_atomic, write_new])
def test_what_cannot_be_written_is_told(tmp_path, write):
    """A file in the place of the folder is O-WRITE: not a trace, and not 'exists already'."""
    (tmp_path / "folder").write_bytes(b"a file")
    for path in (tmp_path / "folder" / "file", tmp_path / "folder" / "deeper" / "file"):
        with pytest.raises(Refused) as caught:
            write(path, b"x")
        assert caught.value.codes == ("O-WRITE",)
    assert names(tmp_path) == ["folder"]


def test_a_folder_in_the_place_of_the_file_leaves_nothing_beside(tmp_path):
    """When the rename fails, the half-made file is taken away again."""
    (tmp_path / "file").mkdir()
    with pytest.raises(Refused) as caught:
        write_atomic(tmp_path / "file", b"x")
    assert caught.value.codes == ("O-WRITE",)
    assert names(tmp_path) == ["file"]


def test_a_full_disk_leaves_the_old_version(tmp_path):
    """When the disk takes only a part, the old version stays and nothing lies beside it."""
    path = tmp_path / "file"
    write_atomic(path, b"old")
    program = (
        "import pathlib, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "from wardround.errors import Refused; from wardround.files import write_atomic, write_new\n"
        "for write, name in ((write_atomic, 'file'), (write_new, 'other')):\n"
        "    try: write(pathlib.Path(sys.argv[1]) / name, bytes(5000))\n"
        "    except Refused as error: print(*error.codes)\n"
    )
    done = subprocess.run([sys.executable, "-B", "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["O-WRITE", "O-WRITE"]
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_the_folder_is_flushed_after_the_rename(tmp_path, monkeypatch):
    """The rename itself survives a power cut: the folder is fsynced, after the file."""
    order = []
    true_fsync = os.fsync

    def fsync(descriptor):
        order.append(Path(f"/proc/self/fd/{descriptor}").is_dir() or (tmp_path / "file").exists())
        true_fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write_atomic(tmp_path / "file", b"x")
    assert order == [False, True]


def test_a_private_folder_is_whole_or_not_there(tmp_path):
    """What fails half-way leaves nothing behind, and can be done again; what is done is for its owner only."""

    def fail_half_way() -> None:
        with new_private_folder(tmp_path / "keys") as folder:
            write_new(folder / "a", b"1", mode=0o600)
            write_new(folder / "a", b"again", mode=0o600)

    with pytest.raises(FileExistsError):
        fail_half_way()
    assert not names(tmp_path)
    before = os.umask(0)
    try:
        with new_private_folder(tmp_path / "keys") as folder:
            write_new(folder / "a", b"2", mode=0o600)
    finally:
        os.umask(before)
    assert names(tmp_path) == ["keys"]
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "keys" / "a").read_bytes() == b"2"


def test_a_private_folder_takes_the_place_of_an_empty_one_only(tmp_path):
    """A folder with something in it, or a file, stays as it is."""
    (tmp_path / "empty").mkdir()
    with new_private_folder(tmp_path / "empty") as folder:
        write_new(folder / "a", b"1")
    (tmp_path / "file").write_bytes(b"x")
    for name in ("empty", "file"):
        with pytest.raises(FileExistsError), new_private_folder(tmp_path / name) as folder:
            write_new(folder / "b", b"2")
    assert names(tmp_path) == ["empty", "file"]
    assert names(tmp_path / "empty") == ["a"]


def test_every_folder_that_is_made_for_a_private_file_is_private(tmp_path):
    """Not only the last one; folders that were there stay as they are."""
    (tmp_path / "there").mkdir(mode=0o755)
    write_atomic(tmp_path / "there" / "one" / "two" / "file", b"secret", mode=0o600)
    modes = [(tmp_path / part).stat().st_mode & 0o777 for part in ("there", "there/one", "there/one/two")]
    assert modes == [0o755, 0o700, 0o700]
