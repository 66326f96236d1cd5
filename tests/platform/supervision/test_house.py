"""One supervisor in a directory: who it is, how it is stopped, and what is left when it is killed."""

from __future__ import annotations

import json
import signal
import socket
import subprocess

import pytest
from supervised import PATIENCE, alive, close, eventually, house, house_process, process_of

from wardround.canonical import canonical_bytes
from wardround.errors import Refused
from wardround.supervision.house import read_state, run_house, stop_house
from wardround.supervision.lock import LOCK, Holder, Lock, holder

ELSEWHERE = {"process": 1, "host": "other.example", "since": "2026-02-03T04:05:06Z"}


@pytest.fixture
def first(tmp_path):
    """A house that is up, with one process."""
    process = house(tmp_path, "one")
    yield process
    close(process)


def test_who_comes_second_reads_who_is_first(tmp_path, first):
    """The refusal names the process, its host and since when it runs; the state tells how its processes are."""
    found = holder(tmp_path / "run")
    assert found is not None
    assert (found.process, found.host) == (first.pid, socket.gethostname())
    state = read_state(tmp_path / "run")
    assert state is not None
    assert str(state) == "one ready"
    with pytest.raises(Refused) as refused:
        run_house(tmp_path / "run", tmp_path / "logs", "here", [], "up")
    assert refused.value.codes == ("V-RUNNING",)
    assert str(found) in refused.value.problems[0].finding
    assert all(str(word) in str(found) for word in (first.pid, socket.gethostname(), found.since))


def test_stop_ends_the_house_and_all_in_it(tmp_path, first):
    """After stop nobody holds the directory, nothing is left of the state, and stopping again is an error."""
    child = process_of(tmp_path, "one")
    stop_house(tmp_path / "run", "here")
    assert first.wait(PATIENCE) == 0
    assert not alive(child)
    assert (holder(tmp_path / "run"), read_state(tmp_path / "run")) == (None, None)
    assert (tmp_path / "run" / LOCK).read_bytes() == b""
    with pytest.raises(Refused) as refused:
        stop_house(tmp_path / "run", "here")
    assert refused.value.codes == ("V-STOPPED",)


def test_a_killed_supervisor_is_no_obstacle(tmp_path, first):
    """After kill -9 the lock file still names the dead one, and yet the directory is free; its processes are gone."""
    child = process_of(tmp_path, "one")
    first.kill()
    first.wait()
    assert json.loads((tmp_path / "run" / LOCK).read_bytes())["process"] == first.pid
    assert (holder(tmp_path / "run"), read_state(tmp_path / "run")) == (None, None)
    eventually(lambda: not alive(child))
    (tmp_path / "one").unlink()
    again = house(tmp_path, "one")
    assert holder(tmp_path / "run").process == again.pid
    close(again)


def test_who_only_looks_is_no_supervisor(tmp_path):
    """Two who look at the same time do not take each other for one, and do not keep a supervisor out."""
    with Lock(tmp_path, "here"):
        pass
    script = "import fcntl,os,sys,time; f=os.open(sys.argv[1],os.O_RDWR); fcntl.flock(f,fcntl.LOCK_SH); print(1,flush=True)"
    looker = subprocess.Popen(
        ["python3", "-c", f"{script}; time.sleep(600)", str(tmp_path / LOCK)], stdout=subprocess.PIPE, text=True
    )
    assert looker.stdout is not None
    looker.stdout.readline()
    assert holder(tmp_path) is None
    looker.kill()
    looker.wait()
    looker.stdout.close()


def test_another_hosts_name_is_told(tmp_path, capsys):
    """What another host left in the file does not keep anybody out, but who takes the directory reads of it."""
    (tmp_path / LOCK).write_bytes(canonical_bytes(ELSEWHERE))
    with pytest.raises(InterruptedError):
        run_house(tmp_path, tmp_path / "logs", "here", [], "up", check=_interrupt)
    assert str(Holder(**ELSEWHERE)) in capsys.readouterr().out


def _interrupt() -> None:
    raise InterruptedError


def test_nobody_is_stopped_on_another_host(tmp_path, first):
    """A process id of another host means another process here: it gets no signal, and the host is named."""
    lock = tmp_path / "run" / LOCK
    lock.write_bytes(canonical_bytes({**ELSEWHERE, "process": first.pid}))
    with pytest.raises(Refused) as refused:
        stop_house(tmp_path / "run", "here")
    assert refused.value.codes == ("V-RUNNING",)
    assert "other.example" in refused.value.problems[0].next_step
    with pytest.raises(Refused) as refused:
        Lock(tmp_path / "run", "here")
    assert "other.example" in refused.value.problems[0].next_step
    assert first.poll() is None
    lock.write_bytes(b"rubbish")
    with pytest.raises(Refused) as refused:
        stop_house(tmp_path / "run", "here")
    assert "unknown" in refused.value.problems[0].finding


def test_a_lock_that_cannot_be_made(tmp_path):
    """A directory that cannot be written is a coded error, not a trace."""
    (tmp_path / "run").touch()
    with pytest.raises(Refused) as refused:
        Lock(tmp_path / "run", "here")
    assert refused.value.codes == ("O-WRITE",)


def test_one_that_is_told_to_stop_while_it_starts(tmp_path):
    """SIGTERM before all are ready ends what was started."""
    process = house_process(tmp_path, "never", READY="never")
    eventually(lambda: str(read_state(tmp_path / "run")) == "never starting")
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    assert holder(tmp_path / "run") is None
    close(process)
