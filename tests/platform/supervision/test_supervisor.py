"""Processes that belong together: started in order, restarted, stopped by their handles, never orphaned."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from wardround.errors import Refused, refuse
from wardround.supervision.house import holder, read_state, run_house, stop_house
from wardround.supervision.supervisor import Child, Supervisor

PATIENCE = 20.0


def eventually(holds, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = holds()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen")


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{process}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


def sleeper(folder: Path, name: str, **more) -> Child:
    """A process that writes its id, says that it is ready, and sleeps."""
    code = f"import os,pathlib,time; p=pathlib.Path({str(folder / name)!r}); p.write_text(str(os.getpid())); time.sleep(600)"
    return Child(name, [sys.executable, "-c", code], ready=(folder / name).exists, patience_seconds=PATIENCE, **more)


def process_of(folder: Path, name: str) -> int:
    return int(eventually(lambda: (folder / name).exists() and (folder / name).read_text()))


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


def test_they_start_in_order_and_all_end(tmp_path, supervise):
    """The second starts when the first is ready; at the end none is left."""
    told = supervise(sleeper(tmp_path, "one"), sleeper(tmp_path, "two"))
    assert told == [("one", "starting"), ("one", "ready"), ("two", "starting"), ("two", "ready")]


def test_what_dies_is_started_again(tmp_path, supervise):
    """A killed process comes back, as another process."""
    supervise(sleeper(tmp_path, "one"))
    first = process_of(tmp_path, "one")
    os.kill(first, signal.SIGKILL)
    eventually(lambda: process_of(tmp_path, "one") != first)


def test_a_group_lives_and_dies_together(tmp_path, supervise):
    """When one of a group ends, the others are stopped and all start anew, in their order; strangers are left alone."""
    children = [sleeper(tmp_path, "apart"), *(sleeper(tmp_path, name, group="g") for name in ("one", "two"))]
    told = supervise(*children)
    before = {name: process_of(tmp_path, name) for name in ("apart", "one", "two")}
    del told[:]
    for name in ("one", "two"):
        (tmp_path / name).unlink()
    os.kill(before["two"], signal.SIGKILL)
    eventually(lambda: told[-1:] == [("two", "ready")])
    assert process_of(tmp_path, "apart") == before["apart"]
    assert process_of(tmp_path, "one") != before["one"]
    assert not alive(before["one"])
    assert told.index(("one", "ready")) < told.index(("two", "starting"))


def test_what_does_not_start_is_an_error_and_nothing_is_left(tmp_path):
    """A process that ends at once is a coded error that names its log; what was started before is stopped."""
    children = [sleeper(tmp_path, "one"), Child("broken", [sys.executable, "-c", "raise SystemExit(7)"], ready=lambda: False)]
    supervisor = Supervisor(children, tmp_path / "logs", lambda *_: None)
    with pytest.raises(Refused) as refused:
        supervisor.start()
    assert refused.value.codes == ("V-CHILD",)
    assert "status 7" in refused.value.problems[0].finding
    assert not alive(process_of(tmp_path, "one"))


def test_a_process_may_explain_its_end(tmp_path):
    """Where an exit status says why, people read that."""

    def explain(status: int) -> Refused:
        return refuse("N-REFUSED", "here", "rule", f"status {status}", "mend it")

    supervisor = Supervisor(
        [Child("broken", [sys.executable, "-c", "raise SystemExit(3)"], ready=lambda: False, explain=explain)],
        tmp_path / "logs",
        lambda *_: None,
    )
    with pytest.raises(Refused) as refused:
        supervisor.start()
    assert refused.value.codes == ("N-REFUSED",)


def test_patience_starts_it_again(tmp_path, capsys):
    """A process with a patient note may end a few times before it is ready; the note is told once."""
    mark = tmp_path / "tries"
    code = (
        f"import pathlib,time; p=pathlib.Path({str(mark)!r}); n=len(p.read_text()) if p.exists() else 0; "
        "p.write_text('x'*(n+1)); time.sleep(600) if n==2 else exit(1)"
    )
    child = Child(
        "shy",
        [sys.executable, "-c", code],
        ready=lambda: mark.exists() and mark.read_text() == "xxx",
        patience_seconds=PATIENCE,
        patient_note="a moment",
    )
    supervisor = Supervisor([child], tmp_path / "logs", lambda *_: None)
    supervisor.start()
    supervisor.stop()
    assert capsys.readouterr().out.count("a moment") == 1


def test_patience_ends_when_waiting_is_not_worth_it(tmp_path):
    """A process that says that waiting does not help is an error long before its patience is over."""
    asked = []

    def patient(seconds: float) -> bool:
        asked.append(seconds)
        return len(asked) < 2

    child = Child(
        "shy",
        [sys.executable, "-c", "exit(1)"],
        ready=lambda: False,
        patience_seconds=600.0,
        patient_note="a moment",
        patient=patient,
    )
    begun = time.monotonic()
    with pytest.raises(Refused) as refused:
        Supervisor([child], tmp_path / "logs", lambda *_: None).start()
    assert refused.value.codes == ("V-CHILD",)
    assert asked == sorted(asked)
    assert len(asked) == 2
    assert time.monotonic() - begun < PATIENCE


def test_nothing_outlives_a_killed_supervisor(tmp_path):
    """When the supervisor is killed, the kernel ends its processes."""
    code = (
        "import sys; from pathlib import Path; from wardround.supervision.supervisor import Child, Supervisor\n"
        f"mark=Path({str(tmp_path / 'one')!r})\n"
        "inner=f'import os,pathlib,time; pathlib.Path({str(mark)!r}).write_text(str(os.getpid())); time.sleep(600)'\n"
        "child=Child('one',[sys.executable,'-c',inner],ready=mark.exists)\n"
        f"s=Supervisor([child],Path({str(tmp_path / 'logs')!r}),lambda *_: None)\n"
        "s.start(); s.watch()\n"
    )
    supervisor = subprocess.Popen([sys.executable, "-c", code])
    child = process_of(tmp_path, "one")
    assert alive(child)
    supervisor.kill()
    supervisor.wait()
    eventually(lambda: not alive(child))


def test_a_house_has_one_supervisor_and_is_stopped_from_outside(tmp_path):
    """A second supervisor is refused; stop ends the first, and its state and lock are gone with it."""
    code = (
        "import sys; from pathlib import Path; from wardround.supervision.house import run_house\n"
        "from wardround.supervision.supervisor import Child\n"
        f"f=Path({str(tmp_path)!r})\n"
        "run_house(f/'run', f/'logs', 'here', [Child('one',[sys.executable,'-c','import time; time.sleep(600)'])], 'up')\n"
    )
    first = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    assert first.stdout.readline() == "up\n"
    assert holder(tmp_path / "run") == first.pid
    state = read_state(tmp_path / "run")
    assert state is not None
    assert [(each.name, each.state) for each in state.processes] == [("one", "ready")]
    with pytest.raises(Refused) as refused:
        run_house(tmp_path / "run", tmp_path / "logs", "here", [], "up")
    assert refused.value.codes == ("V-RUNNING",)
    stop_house(tmp_path / "run", "here")
    assert first.wait(PATIENCE) == 0
    first.stdout.close()
    assert holder(tmp_path / "run") is None
    with pytest.raises(Refused) as refused:
        stop_house(tmp_path / "run", "here")
    assert refused.value.codes == ("V-STOPPED",)


def test_a_killed_supervisor_leaves_no_lock(tmp_path):
    """After kill -9 the directory is free, whatever its files say."""
    code = (
        "import sys; from pathlib import Path; from wardround.supervision.house import run_house\n"
        "from wardround.supervision.supervisor import Child\n"
        f"f=Path({str(tmp_path)!r})\n"
        "run_house(f/'run', f/'logs', 'here', [Child('one',[sys.executable,'-c','import time; time.sleep(600)'])], 'up')\n"
    )
    first = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    first.stdout.readline()
    first.kill()
    first.wait()
    first.stdout.close()
    assert holder(tmp_path / "run") is None
    assert read_state(tmp_path / "run") is None
