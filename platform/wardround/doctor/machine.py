"""What any machine of ours is looked at for: software, private files, disk, clock, name server, proxies, open files."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import socket
import stat
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from wardround import __version__
from wardround.directory import check_format
from wardround.doctor.lines import Line, of_problem, refused
from wardround.errors import Problem, Refused
from wardround.identity.address import split_address
from wardround.identity.keys import read_private
from wardround.supervision.ground import LEAST_FREE_BYTES, MIB, check_ground, free_bytes

UMBRELLA = "wardround-workspace"
"""The distribution that a developer installs in place of ours."""
EXTRAS = ("", "models")
PROXY_VARIABLES = ("https_proxy", "http_proxy", "all_proxy")
ENOUGH_FILES = 1024
TIME_ERROR = 5
"""What adjtimex(2) gives when nothing keeps the clock in step."""
TIMEX_BYTES = 512
"""More than the kernel's struct timex has; zeros ask and set nothing."""


def software(*names: str) -> Iterator[Line]:
    """Say whether Python and every package are within the ranges that our distributions declare."""
    wrong: list[str] = []
    for name in names:
        try:
            found = distribution(name)
        except PackageNotFoundError:
            found = distribution(UMBRELLA)
        needed = SpecifierSet(found.metadata["Requires-Python"] or "")
        if not needed.contains(platform.python_version(), prereleases=True):
            wrong.append(f"Python {platform.python_version()} (needs {needed})")
        wrong += [fault for text in found.requires or () if (fault := _fault(Requirement(text))) is not None]
    versions = f"Wardround {__version__}, Python {platform.python_version()}"
    if wrong:
        yield Line(
            name="software",
            state="fail",
            finding=f"{versions}; out of range: {', '.join(dict.fromkeys(wrong))}",
            next_step="install this release's packages again, in a virtual environment of their own",
        )
    else:
        yield Line(name="software", state="ok", finding=f"{versions}, every package within its range")


def _fault(needed: Requirement) -> str | None:
    """Say what is wrong with an installed package; nothing when it is in order, or not asked for here."""
    if needed.marker is not None and not any(needed.marker.evaluate({"extra": extra}) for extra in EXTRAS):
        return None
    try:
        found = distribution(needed.name).version
    except PackageNotFoundError:
        # our own distributions are one in a development environment
        return None if needed.name.startswith("wardround-") else f"{needed.name} is absent"
    return None if needed.specifier.contains(found, prereleases=True) else f"{needed.name} {found} (needs {needed.specifier})"


def private_files(name: str, paths: Sequence[Path]) -> Iterator[Line]:
    """Say whether some private files are there, for their owner only, and whether their owner is who runs this."""
    problems: list[Problem] = []
    owners: set[int] = set()
    for path in paths:
        try:
            read_private(path)
            owners.add(path.stat().st_uid)
        except Refused as error:
            problems += error.problems
    for problem in problems:
        yield of_problem(name, problem)
    for folder in sorted({path.parent for path in paths if path.parent.is_dir()}):
        if stat.S_IMODE(folder.stat().st_mode) & 0o077:
            finding, step = f"{folder.name}/ is open to others", f"run: chmod 700 {folder.name}"
            yield Line(name=name, state="warn", finding=finding, next_step=step)
    others = owners - {os.geteuid()}
    if others:
        yield Line(
            name=name,
            state="warn",
            finding=f"files belong to another user ({', '.join(f'uid {uid}' for uid in sorted(others))}) than the one "
            f"who runs this (uid {os.geteuid()})",
            next_step="run the doctor as the user of the service: it sees what the service sees",
        )
    if not problems and not others:
        yield Line(name=name, state="ok", finding=f"{len(paths)} private files, each for its owner only")


def directory(folder: Path, needed_bytes: int, what_for: str) -> Iterator[Line]:
    """Say whether a directory's format can be read, a file can be written there, and the disk has room enough."""
    try:
        check_format(folder)
    except Refused as error:
        yield from refused("directory", error)
    else:
        yield Line(name="directory", state="ok", finding="its format can be read by this version")
    least = max(LEAST_FREE_BYTES, needed_bytes)
    try:
        check_ground(folder, least)
    except Refused as error:
        yield from refused("disk", error)
        return
    free = free_bytes(folder)
    if free is None:
        yield Line(name="disk", state="skipped", finding="a file can be written; nobody can tell how much room there is")
    else:
        finding = f"a file can be written; {free // MIB} MiB are free, {-(-least // MIB)} MiB are needed{what_for}"
        yield Line(name="disk", state="ok", finding=finding)


def kept_in_step(name: str = "time service") -> Iterator[Line]:
    """Say whether the kernel knows of something that keeps this machine's clock in step (adjtimex(2)); Linux only."""
    answer = -1
    if sys.platform == "linux":
        answer = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    if answer < 0:
        yield Line(name=name, state="skipped", finding="this system does not say whether its clock is kept in step")
    elif answer == TIME_ERROR:
        yield Line(
            name=name,
            state="warn",
            finding="the kernel knows of nothing that keeps this machine's clock in step",
            next_step="switch a time service on (NTP: chrony, systemd-timesyncd); in a container the host may do it",
        )
    else:
        yield Line(name=name, state="ok", finding="the clock is kept in step, says the kernel")


def name_server(name: str, address: str) -> Iterator[Line]:
    """Say whether the host of an address is known here."""
    host, port = split_address(address)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        yield Line(
            name=name,
            state="fail",
            finding=f"{host} is not known here",
            next_step="check the name and this machine's name server (DNS), or add the name to its hosts file",
            code="N-UNREACHABLE",
        )
        return
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    finding = f"{host} is an address" if addresses == [host] else f"{host} is {', '.join(addresses)}"
    yield Line(name=name, state="ok", finding=finding)


def proxy_variables() -> tuple[str, ...]:
    """Name the variables of this environment that name a proxy; what they say may hold a password, and is not read."""
    return tuple(name for name in PROXY_VARIABLES if os.environ.get(name) or os.environ.get(name.upper()))


def open_files(needed: int) -> Iterator[Line]:
    """Say whether this user's processes may open enough files and connections."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = max(needed, ENOUGH_FILES)
    if limit == resource.RLIM_INFINITY or limit >= enough:
        yield Line(name="open files", state="ok", finding=f"a process may open {limit if limit >= 0 else 'any number'}")
        return
    yield Line(
        name="open files",
        state="warn",
        finding=f"a process may open {limit} files and connections; {enough} are advised",
        next_step="raise the limit (ulimit -n; LimitNOFILE= in a systemd unit)",
    )
