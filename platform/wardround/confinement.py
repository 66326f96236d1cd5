"""What may keep a process that holds records from doing harm: a name for each thing that a trainer tries at its start.

A name says what was tried, and no more than that; whoever reads it finds the words here and in ``docs/reference/policy.md``.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import Field

Measure: TypeAlias = Literal[
    "network-kernel",
    "network-python",
    "not-root",
    "no-new-privileges",
    "system-calls-filtered",
    "memory-limit",
    "data-read-only",
]

MEASURES: tuple[Measure, ...] = get_args(Measure)
Measures: TypeAlias = Annotated[tuple[Measure, ...], Field(max_length=len(MEASURES))]

MEANING: dict[Measure, str] = {
    "network-kernel": "native code tried to reach a port of this machine that listened, and did not",
    "network-python": "Python tried to make a socket and to look up a name, and was refused",
    "not-root": "it does not run as root",
    "no-new-privileges": "the kernel says that it can gain no privileges (NoNewPrivs)",
    "system-calls-filtered": "the kernel says that its system calls are filtered (Seccomp)",
    "memory-limit": "the kernel holds it to the limit of site.yaml (RLIMIT_DATA)",
    "data-read-only": "it tried to open each source file for writing, and asked for its folder: both were refused",
}
