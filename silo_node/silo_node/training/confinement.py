"""The trainer tries its own confinement at its start: before any record is opened, in a few milliseconds.

Only what was tried is said. The network was tried before (``silo_node.training.probes``), when it was cut.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from silo_node.configuration import Site
from silo_node.confinement import Confinement
from silo_node.training.probes import FILTERED, CutOff
from wardround.confinement import MEASURES, Measure


def tried(site: Site, network: CutOff) -> Confinement:
    """Try the rest, after the memory limit was set, and say what holds."""
    found = {**dict(_network(network)), **dict(_privileges(network.facts)), **dict(_others(site))}
    return Confinement(
        process=os.getpid(),
        holds=tuple(name for name in MEASURES if found.get(name) is True),
        fails=tuple(name for name in MEASURES if found.get(name) is False),
    )


def _network(network: CutOff) -> Iterator[tuple[Measure, bool]]:
    if network.native is not None:
        yield "network-kernel", network.cut == "kernel" and not network.native
    yield "network-python", not network.python


def _privileges(facts: Mapping[str, str]) -> Iterator[tuple[Measure, bool]]:
    yield "not-root", os.geteuid() != 0 if "Uid" not in facts else facts["Uid"].split()[1] != "0"
    if "NoNewPrivs" in facts:
        yield "no-new-privileges", facts["NoNewPrivs"] == "1"
    if "Seccomp" in facts:
        yield "system-calls-filtered", facts["Seccomp"] == FILTERED


def _others(site: Site) -> Iterator[tuple[Measure, bool]]:
    limit = site.file.resources.memory_bytes
    if sys.platform == "linux":
        yield "memory-limit", limit is not None and resource.getrlimit(resource.RLIMIT_DATA)[0] == limit
    paths = [path for name in site.file.sources for path in site.record_paths(name)]
    if all(path.exists() for path in paths):  # of a file that is not there nobody can say
        yield "data-read-only", not any(_may_change(path) for path in paths)


def _may_change(path: Path) -> bool:
    """Say whether this process may write a file, or put another in its place; nothing is written to find out."""
    if os.access(path.parent, os.W_OK):
        return True
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
