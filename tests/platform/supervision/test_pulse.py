"""What freezes is seen and killed; what works long, sleeps with the machine or cannot be heard is not."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time

import pytest
from supervised import alive, eventually, process_of, sleeper

from wardround.supervision import pulse as module
from wardround.supervision.pulse import PULSE_VARIABLE, Listener, Pulse, begin_pulse

BEATING = "from wardround.supervision.pulse import begin_pulse; begin_pulse(0.1)"
SILENCE = 2.0
LONG_WORK = """
import sys, time
from wardround.supervision.pulse import begin_pulse
begin_pulse(0.1)
import torch
torch.set_num_threads(1)
values = torch.randn(1400, 1400, dtype=torch.float64)
print("work", flush=True)
torch.linalg.svd(values)  # one call of many seconds
print("done", flush=True)
"""


def beating(folder, name, **more):
    """A process with a pulse, that is killed after two seconds of silence."""
    return sleeper(folder, name, BEATING, pulse=Pulse(folder / f"{name}.pulse", SILENCE), **more)


def test_a_frozen_process_is_killed_and_starts_again(tmp_path, supervise, capsys):
    """SIGSTOP stops the pulse: the process is killed though it would hear no SIGTERM, and the supervisor says so."""
    told = supervise(beating(tmp_path, "one"), beating(tmp_path, "other"))
    first, other = process_of(tmp_path, "one"), process_of(tmp_path, "other")
    del told[:]
    os.kill(first, signal.SIGSTOP)
    eventually(lambda: not alive(first))
    eventually(lambda: told[-1:] == [("one", "ready")])
    eventually(lambda: process_of(tmp_path, "one") != first)
    assert "no sign of life" in capsys.readouterr().out
    assert process_of(tmp_path, "other") == other
    assert alive(other)


def test_an_interpreter_that_hangs_is_killed(tmp_path, supervise):
    """Native code that never gives Python's lock away stops the pulse, too."""
    hang = tmp_path / "hang"
    hanging = (
        f"{BEATING}\nimport ctypes,threading\n"
        f"def wait():\n  while not os.path.exists({str(hang)!r}): time.sleep(0.05)\n"
        f"  os.unlink({str(hang)!r}); ctypes.PyDLL(None).sleep(600)\n"  # PyDLL keeps the lock
        "threading.Thread(target=wait, daemon=True).start()"
    )
    supervise(dataclasses.replace(sleeper(tmp_path, "one", hanging), pulse=Pulse(tmp_path / "one.pulse", SILENCE)))
    first = process_of(tmp_path, "one")
    hang.touch()
    eventually(lambda: not alive(first))
    eventually(lambda: process_of(tmp_path, "one") != first)


def test_one_that_freezes_before_its_first_sign_is_killed(tmp_path, supervise):
    """A process that never gave a sign has its patience, and no longer."""
    mark = tmp_path / "again"
    first = f"if pathlib.Path({str(mark)!r}).exists(): time.sleep(600)\n{BEATING}"
    child = sleeper(tmp_path, "one", first, pulse=Pulse(tmp_path / "one.pulse", 1.0))
    told = supervise(dataclasses.replace(child, patience_seconds=3.0, before=lambda: (tmp_path / "one").unlink(missing_ok=True)))
    mark.touch()
    os.kill(process_of(tmp_path, "one"), signal.SIGKILL)
    eventually(lambda: told.count(("one", "waiting")) >= 2)
    mark.unlink()
    eventually(lambda: told[-1:] == [("one", "ready")])


def test_long_work_of_torch_does_not_stop_it(tmp_path):
    """While torch is in one long call, the pulse goes on."""
    file = tmp_path / "pulse"
    work = subprocess.Popen(
        [sys.executable, "-c", LONG_WORK], stdout=subprocess.PIPE, text=True, env={**os.environ, PULSE_VARIABLE: str(file)}
    )
    assert work.stdout is not None
    assert work.stdout.readline() == "work\n"
    begun, beats = time.monotonic(), set()
    while work.poll() is None:
        beats.add(file.stat().st_mtime_ns)
        time.sleep(0.02)
    passed = time.monotonic() - begun
    assert work.stdout.readline() == "done\n"
    work.stdout.close()
    assert passed > 1.0, "the work was too short to say anything"
    assert len(beats) > passed, (passed, len(beats))  # of ten in a second; one is what a supervised process gives


def test_without_a_supervisor_there_is_no_pulse(monkeypatch):
    """Who runs one of our processes by hand gets no file in some folder."""
    monkeypatch.delenv(PULSE_VARIABLE, raising=False)
    assert begin_pulse() is None


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test moves."""
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def look(listener, clock, seconds):
    """Look every second for a while; gives the first silence that is too long."""
    for _ in range(seconds):
        clock[0] += 1.0
        if (found := listener.silent()) is not None:
            return found
    return None


def test_silence_is_counted_by_the_supervisors_own_looks(tmp_path, clock):
    """A machine that slept, or a supervisor that was stopped with all the others, holds nobody for frozen."""
    file = tmp_path / "pulse"
    listener = Listener(Pulse(file, 5.0), 0.0)
    file.touch()
    assert look(listener, clock, 5) is None
    clock[0] += 3600.0
    assert listener.silent() is None
    assert look(listener, clock, 10) == 6.0


def test_a_file_that_nobody_can_touch_proves_nothing(tmp_path, clock):
    """On a disk that became read-only no process can give a sign, and none is killed for it."""
    listener = Listener(Pulse(tmp_path / "absent" / "pulse", 5.0), 0.0)
    assert look(listener, clock, 60) is None


def test_the_patience_before_the_first_sign_is_the_longer_one(tmp_path, clock):
    """A process may need longer to be there than it may be silent later."""
    file = tmp_path / "pulse"
    listener = Listener(Pulse(file, 5.0), 30.0)
    assert look(listener, clock, 30) is None
    file.touch()
    assert look(listener, clock, 5) is None
    assert look(listener, clock, 10) is not None
