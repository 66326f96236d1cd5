"""Seams in the SuperNode's loop: its polls, its object pulls, and that it does not unpack the bundle."""

import inspect
import subprocess
import sys
import types

from flwr.common.config import get_fused_config_from_fab
from flwr.supercore.inflatable.inflatable_utils import pull_objects
from flwr.supernode import start_client_internal

from silo_node.flower import supernode
from silo_node.supernode_words import CONNECTED


def copy_of_the_loop(source: str | None = None) -> types.ModuleType:
    """Give the loop's names in a module of our own, so that the installed one stays as it is."""
    copy = types.ModuleType("loop")
    vars(copy).update(vars(start_client_internal))
    return copy


def test_the_loop_is_the_one_that_the_seams_were_made_for():
    """When this fails, look at Flower's loop again before anything else."""
    assert supernode.unlike(start_client_internal) == []
    assert list(inspect.signature(get_fused_config_from_fab).parameters) == ["fab_file", "run"]
    assert {"initial_backoff", "backoff_cap"} <= inspect.signature(pull_objects).parameters.keys()


def test_it_says_that_it_is_connected():
    """The words by which a node is known to be let in are said after the connection is made, and once only."""
    source = inspect.getsource(start_client_internal)
    said = f'"{CONNECTED.decode()} %s"'
    assert source.count(said) == 1
    assert source.index("with _init_connection(") < source.index(said)


def test_a_changed_loop_is_noticed(tmp_path):
    """Another literal, another sleep, another call: each is noticed, and stock Flower runs."""
    source = inspect.getsource(start_client_internal)
    for number, (old, new) in enumerate(
        [
            ("time.sleep(3)", "time.sleep(2)"),
            ("time.sleep(0.5)", "self.wait(0.5)"),
            ("pull_objects(", "fetch("),
            ("import time\n", ""),
        ]
    ):
        path = tmp_path / f"loop{number}.py"
        path.write_text(source.replace(old, new))
        module = types.ModuleType(f"loop{number}")
        module.__file__ = str(path)
        assert supernode.unlike(module)


def test_pauses_grow_with_the_silence(monkeypatch):
    """Short pauses just after a message, Flower's own 3 s after half a minute of silence, short ones again after a message."""
    now, slept = [0.0], []
    monkeypatch.setattr("wardround.transport.pace.time.monotonic", lambda: now[0])
    loop = copy_of_the_loop()
    sleeper = supernode._sleeper(
        supernode.Pace(0.05, 3.0),
        supernode.Pace(0.02, 0.25),
        lambda pause: (slept.append(pause), now.__setitem__(0, now[0] + pause)),
    )
    while now[0] < 60:
        sleeper(3)
    assert (slept[0], slept[-1]) == (0.05, 3.0)
    assert slept == sorted(slept)
    sleeper(0.5)
    assert slept[-1] == 0.02
    sleeper(3)
    assert slept[-1] == 0.05
    supernode.shorten(loop)
    assert loop.get_fused_config_from_fab(b"not a bundle", None) == {}
    assert loop.time is not start_client_internal.time


def test_flowers_own_flags_are_all_known():
    """The command line that we give is one that the SuperNode takes."""
    from pathlib import Path

    from flwr.supernode.cli.flower_supernode import _parse_args_run_supernode

    settings = supernode.SuperNodeSettings("centre:1", Path("ca"), Path("key"), Path("secret"), ("127.0.0.1", 2), Path("home"))
    options = _parse_args_run_supernode().parse_args(settings.command()[3:])
    assert (options.isolation, options.superexec_auth_secret_file, options.insecure) == ("process", "secret", False)
    assert not options.runtime_dependency_install


def test_a_flower_process_gets_nothing_that_it_could_misuse(monkeypatch, tmp_path):
    """No proxy, no credential, no other FLWR_ setting of ours; telemetry and update checks are off where Flower reads them."""
    for name in ("HTTPS_PROXY", "https_proxy", "FLWR_OIDC_ENABLED", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    environment = supernode.flower_environment(tmp_path)
    assert not {"HTTPS_PROXY", "https_proxy", "FLWR_OIDC_ENABLED", "AWS_SECRET_ACCESS_KEY"} & environment.keys()
    probe = (
        "from flwr.supercore import telemetry, update_check\n"
        "import inspect\n"
        "print(telemetry.FLWR_TELEMETRY_ENABLED, 'FLWR_DISABLE_UPDATE_CHECK' in inspect.getsource(update_check))"
    )
    done = subprocess.run([sys.executable, "-c", probe], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "True"]
