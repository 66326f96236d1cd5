"""The demonstration, run once for all tests that look at it."""

from __future__ import annotations

from io import StringIO

import pytest
from fixed_keys import fixed_keys
from rich.console import Console

from wardround_lab.demo.baselines import Ward, gather
from wardround_lab.demo.cytology import CYTOLOGY
from wardround_lab.demo.flow import run
from wardround_lab.demo.story import Demo


@pytest.fixture(scope="session")
def said() -> StringIO:
    """What the demonstration said while it ran."""
    return StringIO()


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, said: StringIO) -> Demo:
    """The demonstration, with the same keys (and so the same split) in every run of the tests."""
    with fixed_keys():
        return run(tmp_path_factory.mktemp("demo"), Console(file=said, width=80), CYTOLOGY)


@pytest.fixture(scope="session")
def wards(made: Demo) -> tuple[Ward, ...]:
    """Every hospital's records."""
    return gather(made.bundle, made.sites)
