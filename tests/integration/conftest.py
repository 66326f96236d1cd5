"""The command line, as its users have it."""

from __future__ import annotations

import pytest
from hospitals_on_disk import Answer, Command

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
