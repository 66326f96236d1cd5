"""The index of an export folder: every file has an entry, and only what changed is read again."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from silo_node.dicom import index as index_module
from silo_node.dicom.index import Changes, Index


@pytest.fixture
def index(tmp_path, export):
    """An index of the export folder."""
    return Index(tmp_path / "index.sqlite", export)


def test_every_file_has_an_entry(index, export, write_slice):
    """Images, files that are none, damaged and empty ones, names that are no text: found is the sum of all."""
    for number in range(3):
        write_slice(number)
    cut = write_slice(7, name="deep/er/cut.dcm")
    cut.write_bytes(cut.read_bytes()[:200])
    (export / "README").write_text("no image")
    (export / "empty").write_bytes(b"")
    (export / os.fsdecode(b"\xff\xfe.dcm")).write_bytes(b"\0" * 128 + b"DICM")
    (export / "link").symlink_to(export / "README")
    assert index.update() == Changes(files=7, read=7, gone=0, skipped=1)
    assert sum(index.counts().values()) == 7
    told = {each.file: (each.trouble, each.instance is not None) for each in index.entries()}
    assert told["README"] == told["empty"] == ("D-NOTDICOM", False)
    assert told["deep/er/cut.dcm"][1] is False
    assert told["001.dcm"] == (None, True)
    assert len(told) == 7


def test_only_what_changed_is_read_again(index, export, write_slice, monkeypatch):
    """By size, time of change and inode; what is gone is forgotten."""
    for number in range(4):
        write_slice(number)
    index.update()
    seen = []
    whole = index_module.read_header
    monkeypatch.setattr(index_module, "read_header", lambda path: seen.append(path.name) or whole(path))
    assert index.update() == Changes(files=4, read=0, gone=0)
    write_slice(2, PatientID="P9")
    (export / "003.dcm").unlink()
    write_slice(8)
    assert index.update() == Changes(files=4, read=2, gone=1)
    assert sorted(seen) == ["002.dcm", "008.dcm"]
    assert {each.file: each.instance.patient for each in index.entries()}["002.dcm"] == "P9"


def test_what_was_read_outlives_a_kill(index, export, write_slice, monkeypatch):
    """The next update goes on where it was stopped."""
    monkeypatch.setattr(index_module, "BATCH", 2)
    for number in range(7):
        write_slice(number)

    class Killed(Exception):
        pass

    def stop(done, _all):
        if done >= 4:
            raise Killed

    with pytest.raises(Killed):
        index.update(progress=stop)
    assert index.update() == Changes(files=7, read=3, gone=0)


def test_several_processes_find_the_same(index, export, write_slice, tmp_path, monkeypatch):
    """In whatever order they answer."""
    monkeypatch.setattr(index_module, "BATCH", 3)
    for number in range(8):
        write_slice(number)
    (export / "README").write_text("no image")
    index.update(processes=2)
    other = Index(tmp_path / "other.sqlite", export)
    other.update()
    assert list(index.entries()) == list(other.entries())


@pytest.mark.parametrize("damage", [b"", b"no database at all" * 100])
def test_a_damaged_index_is_made_anew(index, export, write_slice, tmp_path, damage):
    """It is a cache."""
    write_slice(1)
    index.update()
    (tmp_path / "index.sqlite").write_bytes(damage)
    again = Index(tmp_path / "index.sqlite", export)
    assert again.update() == Changes(files=1, read=1, gone=0)


def test_which_elements_have_a_value_is_kept_once_for_all_files_that_share_it(index, export, write_slice, tmp_path):
    """Tags, and no value; what no file has any more is forgotten."""
    for number in range(3):
        write_slice(number, PatientAge="054Y")
    write_slice(3)
    index.update()
    age = 0x00101010
    assert [age in each.present for each in index.entries()] == [True, True, True, False]
    with closing(sqlite3.connect(tmp_path / "index.sqlite")) as database:
        assert database.execute("SELECT count(*) FROM sets").fetchone() == (2,)
    assert b"054Y" not in (tmp_path / "index.sqlite").read_bytes()
    for path in sorted(export.iterdir())[:3]:
        path.unlink()
    index.update()
    with closing(sqlite3.connect(tmp_path / "index.sqlite")) as database:
        assert database.execute("SELECT count(*) FROM sets").fetchone() == (1,)


def test_an_index_of_an_older_form_is_made_anew(index, export, write_slice, tmp_path):
    """What it lacks is read again, once."""
    write_slice(1)
    index.update()
    with closing(sqlite3.connect(tmp_path / "index.sqlite")) as database:
        database.executescript("ALTER TABLE files DROP COLUMN present; DROP TABLE sets; PRAGMA user_version = 3")
    again = Index(tmp_path / "index.sqlite", export)
    assert again.update() == Changes(files=1, read=1, gone=0)
    assert [bool(each.present) for each in again.entries()] == [True]


def test_only_the_node_reads_it(index, export, write_slice, tmp_path):
    """It holds UIDs and places of files."""
    write_slice(1)
    index.update()
    assert stat.S_IMODE((tmp_path / "index.sqlite").stat().st_mode) == 0o600


OWNER = """
import multiprocessing, time
from silo_node.dicom.index import end_with_parent

def work(told):
    end_with_parent()
    told.send(multiprocessing.current_process().pid)
    time.sleep(60)

if __name__ == "__main__":
    here, there = multiprocessing.Pipe()
    multiprocessing.get_context("spawn").Process(target=work, args=(there,)).start()
    print(here.recv(), flush=True)
    time.sleep(60)
"""


def test_who_reads_ends_with_the_check(tmp_path):
    """A check that is killed can tell nobody: its processes see that it is gone."""
    (tmp_path / "owner.py").write_text(OWNER)
    with subprocess.Popen([sys.executable, tmp_path / "owner.py"], stdout=subprocess.PIPE, text=True) as owner:
        reader = int(owner.stdout.readline())
        os.kill(reader, 0)
        owner.kill()
    deadline = time.monotonic() + 10
    while _runs(reader):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _runs(process):
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False
