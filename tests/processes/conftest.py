"""A ward on real processes, shared by the tests of a file."""

from __future__ import annotations

import pytest
from hospitals_on_disk import Answer, Command
from ward_on_processes import Ward, make_ward

from wardround.console import run


@pytest.fixture
def wardround(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a wardround command in this process and give its exit status and output."""

    def command(*words: object) -> Answer:
        capsys.readouterr()
        status = run([str(word) for word in words])
        output = capsys.readouterr()
        return Answer(status, output.out, output.err)

    return command


@pytest.fixture
def ward(tmp_path, wardround):
    """A centre and three enrolled hospitals; nothing runs yet, and nothing is left running."""
    made: Ward = make_ward(tmp_path, wardround, (120, 90, 80))
    yield made
    made.stop()
