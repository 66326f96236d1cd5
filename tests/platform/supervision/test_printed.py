"""What processes print is limited, though they know nothing of it."""

from __future__ import annotations

import subprocess

from supervised import eventually, sleeper

from wardround.supervision import printed, supervisor
from wardround.supervision.printed import KEPT_FILES, rotate


def test_a_large_file_is_put_aside_and_three_are_kept(tmp_path):
    """The newest is .1; what is older than .3 is gone; every file is its owner's only."""
    path = tmp_path / "one.out"
    for number in range(5):
        path.write_text(f"{number}" * 20)
        assert rotate(path, 10)
        assert path.read_bytes() == b""
    kept = sorted(each for each in tmp_path.iterdir() if each != path)
    assert [each.name for each in kept] == [f"one.out.{number}" for number in range(1, KEPT_FILES + 1)]
    assert [each.read_text()[0] for each in kept] == ["4", "3", "2"]
    assert {each.stat().st_mode & 0o777 for each in kept} == {0o600}


def test_a_small_or_absent_file_stays(tmp_path):
    """Nothing is done before it is needed."""
    assert not rotate(tmp_path / "absent.out", 10)
    (tmp_path / "one.out").write_text("123")
    assert not rotate(tmp_path / "one.out", 10)
    assert [each.name for each in tmp_path.iterdir()] == ["one.out"]


def test_nothing_is_cut_that_was_not_copied(tmp_path):
    """Where the copy cannot be made, the file stays whole."""
    path = tmp_path / "one.out"
    path.write_text("x" * 20)
    (tmp_path / "one.out.0").mkdir()
    assert not rotate(path, 10)
    assert path.read_text() == "x" * 20


def test_a_writer_goes_on_at_the_beginning(tmp_path):
    """A process that holds the file open for appending leaves no hole where the old lines were."""
    path = tmp_path / "one.out"
    with path.open("ab") as file:
        writer = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=file)
    assert writer.stdin is not None
    writer.stdin.write(b"first" * 10)
    writer.stdin.flush()
    eventually(lambda: path.stat().st_size == 50)
    assert rotate(path, 10)
    writer.stdin.write(b"second")
    writer.stdin.close()
    writer.wait()
    assert path.read_bytes() == b"second"


def test_the_supervisor_looks_after_it(tmp_path, supervise, monkeypatch):
    """A process that prints without end fills no disk."""
    monkeypatch.setattr(supervisor, "ROTATE_SECONDS", 0.2)
    monkeypatch.setattr(supervisor, "rotate", lambda path: printed.rotate(path, 100_000))
    supervise(
        sleeper(
            tmp_path,
            "one",
            "import threading\n"
            "def talk():\n  while True: print('x' * 1000, flush=True); time.sleep(0.001)\n"
            "threading.Thread(target=talk, daemon=True).start()",
        )
    )
    logs = tmp_path / "logs"
    eventually((logs / "one.out.3").exists)
    assert sorted(each.name for each in logs.iterdir() if each.name != "one.out.0") == [
        "one.out",
        "one.out.1",
        "one.out.2",
        "one.out.3",
    ]
