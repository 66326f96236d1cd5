"""What every test shares: one thread, one hypothesis profile, and the way to the test data."""

import os
import signal
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Before anything imports torch or numpy: one thread, so that figures do not depend on the machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

# A run in the background of a shell ignores Ctrl-C and hands that down to what it starts; a person's terminal does not.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadline: the first example of a test pays for importing torch.
settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


@pytest.fixture(scope="session", autouse=True)
def approvers_passphrase(tmp_path_factory):
    """Let every command of the tests, in any process, find the passphrase of the approvers' keys where people would name it."""
    file = tmp_path_factory.mktemp("passphrase") / "passphrase"
    file.touch(mode=0o600)
    file.write_text("correct horse battery\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WARDROUND_PASSPHRASE_FILE", str(file))
        yield file


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Give the folder of public records that WARDROUND_TEST_DATA names, or skip the test and say so."""
    named = os.environ.get("WARDROUND_TEST_DATA")
    if not named:
        pytest.skip("WARDROUND_TEST_DATA is not set: this test reads public records outside the repository")
    folder = Path(named)
    assert folder.is_dir(), f"WARDROUND_TEST_DATA names no folder: {folder}"
    return folder


@pytest.fixture
def wardround(capsys):
    """Run a wardround command in this process, and give its exit status and output."""
    from hospitals_on_disk import Answer

    from wardround.console import run

    def command(*words):
        capsys.readouterr()
        status = run([str(word) for word in words])
        output = capsys.readouterr()
        return Answer(status, output.out, output.err)

    return command
