"""What systemd hears of a service: real datagrams of a real house."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress
from pathlib import Path

import pytest
from supervised import PATIENCE, close, eventually, house, process_of

from wardround.supervision.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def ear(request, tmp_path):
    """A service manager's socket, and its name as systemd gives it."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@wardround-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(name.replace("@", "\0", 1) if name.startswith("@") else name)
        listening.settimeout(PATIENCE)
        yield listening, name


def hear(listening, wanted):
    """Take datagrams until one begins with a word; gives all of them."""
    heard = []
    while not heard or not heard[-1].startswith(wanted):
        heard.append(listening.recv(4096).decode())
    return heard


def drain(listening):
    """Take what is there already."""
    listening.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            listening.recv(4096)
    listening.settimeout(1.0)


def test_a_house_tells_its_manager(tmp_path, ear):
    """How each process is, then ready, then alive in half of the time allowed, then what died, then that it stops."""
    listening, name = ear
    process = house(tmp_path, "one", "two", NOTIFY_SOCKET=name, WATCHDOG_USEC="600000")
    heard = hear(listening, "READY=1")
    assert heard[:2] == ["STATUS=one starting, two stopped", "STATUS=one ready, two stopped"]
    assert heard[-2] == "STATUS=one ready, two ready"
    for _ in range(3):
        assert hear(listening, "WATCHDOG=1")
    os.kill(process_of(tmp_path, "two"), signal.SIGKILL)
    hear(listening, "STATUS=one ready, two waiting")
    process.terminate()
    hear(listening, "STOPPING=1")
    assert process.wait(PATIENCE) == 0
    close(process)


def test_the_processes_of_a_house_do_not_speak_for_it(tmp_path, ear):
    """What tells a service where its manager listens is not handed on."""
    _, name = ear
    process = house(tmp_path, "one", NOTIFY_SOCKET=name, WATCHDOG_USEC="600000")
    environment = Path(f"/proc/{process_of(tmp_path, 'one')}/environ").read_bytes().decode()
    assert "NOTIFY_SOCKET" not in environment
    assert "WATCHDOG_USEC" not in environment
    close(process)


def test_a_frozen_house_is_silent(tmp_path, ear):
    """The sign of life comes from the loop that watches: when that stops, it stops."""
    listening, name = ear
    process = house(tmp_path, "one", NOTIFY_SOCKET=name, WATCHDOG_USEC="200000")
    hear(listening, "WATCHDOG=1")
    process.send_signal(signal.SIGSTOP)
    drain(listening)  # what was said before it froze
    with pytest.raises(TimeoutError):
        listening.recv(4096)
    close(process)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"NOTIFY_SOCKET": ""},
        {"NOTIFY_SOCKET": "nowhere"},
        {"NOTIFY_SOCKET": "/absent/socket", "WATCHDOG_USEC": "1"},
        {"NOTIFY_SOCKET": "/absent/socket", "WATCHDOG_USEC": "x"},
    ],
)
def test_nobody_who_listens_is_no_error(environment):
    """Without a manager, or with one that is gone, a service runs all the same."""
    notifier = Notifier(dict(environment))
    notifier.tell(READY="1")
    notifier.beat()


def test_a_watchdog_that_is_meant_for_another_process(ear):
    """WATCHDOG_PID names whose it is."""
    listening, name = ear
    other = Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "2", "WATCHDOG_PID": "1"})
    other.beat()
    mine = Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "2", "WATCHDOG_PID": str(os.getpid())})
    mine.tell(STATUS="mine")
    assert hear(listening, "STATUS") == ["STATUS=mine"]
    eventually(lambda: mine.beat() or True)
    assert hear(listening, "WATCHDOG") == ["WATCHDOG=1"]
