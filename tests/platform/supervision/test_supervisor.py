"""Processes that belong together: started in order, restarted, stopped by their handles, never orphaned."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time

import pytest
from supervised import PATIENCE, alive, close, eventually, house, process_of, sleeper

from wardround.errors import Refused, refuse
from wardround.supervision import running
from wardround.supervision.child import Child
from wardround.supervision.supervisor import Supervisor


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
        "import sys; from pathlib import Path; from wardround.supervision.child import Child\n"
        "from wardround.supervision.supervisor import Supervisor\n"
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


def test_a_frozen_process_does_not_outlive_a_killed_supervisor(tmp_path):
    """A process that hears no signal but SIGKILL is no orphan either."""
    first = house(tmp_path, "one")
    child = process_of(tmp_path, "one")
    os.kill(child, signal.SIGSTOP)
    close(first)
    eventually(lambda: not alive(child))


def test_a_process_that_ignores_the_word_is_killed(tmp_path):
    """Who does not end within the grace time after SIGTERM is killed."""
    deaf = sleeper(tmp_path, "deaf", first="import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    supervisor = Supervisor([deaf], tmp_path / "logs", lambda *_: None)
    supervisor.start()
    begun = time.monotonic()
    supervisor.stop(0.5)
    assert 0.5 <= time.monotonic() - begun < PATIENCE
    assert not alive(process_of(tmp_path, "deaf"))


def test_a_later_start_is_tried_for_ever(tmp_path, supervise, monkeypatch):
    """A process that cannot come back for a while, as Flower holds a killed node's place, waits and is never given up."""
    monkeypatch.setattr(running, "LONGEST_PAUSE_SECONDS", 0.2)
    barred = tmp_path / "barred"
    child = sleeper(tmp_path, "one", first=f"if pathlib.Path({str(barred)!r}).exists(): raise SystemExit(1)")
    told = supervise(dataclasses.replace(child, patience_seconds=0.1 + PATIENCE, before=lambda: (tmp_path / "one").unlink(True)))
    barred.touch()
    del told[:]
    os.kill(process_of(tmp_path, "one"), signal.SIGKILL)
    eventually(lambda: told.count(("one", "waiting")) >= 4)
    assert ("one", "ready") not in told
    barred.unlink()
    eventually(lambda: told[-1:] == [("one", "ready")])


def test_a_start_that_the_machine_refuses_ends_nobody(tmp_path, supervise):
    """When a process cannot even be started again, the supervisor and the others go on, and it is tried again."""
    failing = []

    def before() -> None:
        (tmp_path / "one").unlink(missing_ok=True)
        if failing and failing.pop():
            raise OSError

    told = supervise(dataclasses.replace(sleeper(tmp_path, "one"), before=before), sleeper(tmp_path, "two"))
    other = process_of(tmp_path, "two")
    failing.append(True)
    del told[:]
    os.kill(process_of(tmp_path, "one"), signal.SIGKILL)
    eventually(lambda: told[-1:] == [("one", "ready")])
    assert told.count(("one", "waiting")) == 2
    assert process_of(tmp_path, "two") == other
    assert alive(other)
