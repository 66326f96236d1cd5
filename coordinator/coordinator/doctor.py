"""The checks of ``wardround coordinator doctor``, in the order in which things go wrong: machine, keys, door, studies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from coordinator.brought import loopback
from coordinator.certificates import AUTHORITY_KEY, check_certificates, ending, expires
from coordinator.house import RUN, check_port
from coordinator.identity import (
    ENCRYPTION,
    KEYS,
    SIGNING,
    CentreFile,
    centre_files,
    enrolled,
    load_centre,
    load_centre_file,
)
from coordinator.journal.chronicle import read_chronicle
from coordinator.journal.journal import SPARE_BYTES
from coordinator.removal import removed
from coordinator.rounds.visits import MODELS_BESIDE
from coordinator.studies import HASH_SHOWN, OPEN, StudyState, folders
from coordinator.successions import kept_successions
from wardround.doctor.lines import Check, Line, refused
from wardround.doctor.machine import directory, kept_in_step, name_server, open_files, private_files, software
from wardround.errors import Refused
from wardround.identity.address import split_address
from wardround.identity.tls import names_of
from wardround.supervision.house import read_state
from wardround.supervision.lock import holder
from wardround.transport.greeting import CONNECT_SECONDS, greet
from wardround.values import instant

PRIVATE = (SIGNING, ENCRYPTION, "server.key", "token", "secret")
FILES_EACH = 4
"""Connections and files that one hospital takes at a time, generously."""
FILES_BESIDE = 256
JOURNAL_SECONDS = 60.0
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (where to find a listener on every address)


@dataclass(frozen=True)
class _Centre:
    """A centre's directory and its settings."""

    folder: Path
    settings: CentreFile


def checks(folder: Path) -> list[Check]:
    """Give the checks of the centre in a folder; of one that cannot be read, what is left."""
    always = [
        Check("software", lambda: software("wardround-platform", "wardround-coordinator")),
        Check("time service", kept_in_step),
        Check("open files", lambda: _open_files(folder)),
    ]
    try:
        centre = _Centre(folder, load_centre_file(folder))
    except Refused as error:
        lines = list(refused("centre file", error))
        return [*always, Check("centre file", lambda: lines)]
    return [
        *always,
        Check("centre file", lambda: [_named(centre)]),
        Check("disk", lambda: _disk(folder), 2 * CONNECT_SECONDS),
        Check("keys", lambda: _keys(folder)),
        Check("certificates", lambda: _certificates(folder)),
        Check("name", lambda: _name(centre), late="warn"),
        Check("service", lambda: _service(folder)),
        Check("port", lambda: _port(centre), 2 * CONNECT_SECONDS),
        Check("hospitals", lambda: _hospitals(folder)),
        Check("studies", lambda: _studies(folder)),
        Check("journals", lambda: _journals(folder), JOURNAL_SECONDS),
    ]


def _named(centre: _Centre) -> Line:
    settings = centre.settings
    finding = f"{settings.name}; hospitals connect to {settings.address}, it listens on {settings.listen}"
    return Line(name="centre file", state="ok", finding=finding)


def _states(folder: Path) -> list[StudyState]:
    return [state for each in folders(folder) if (state := each.read()) is not None]


def _open_files(folder: Path) -> Iterator[Line]:
    try:
        hospitals = len(enrolled(folder))
    except Refused:  # told by its own line
        hospitals = 0
    return open_files(FILES_BESIDE + FILES_EACH * hospitals)


def _disk(folder: Path) -> Iterator[Line]:
    """Hold the room on the disk against what the next visit of each open study writes; they are conducted one by one."""
    needed, what_for = 0, ""
    for each in folders(folder):
        state = each.read()
        if state is None or state.phase not in OPEN:
            continue
        try:
            model = each.bundle().manifest.byte_count
        except Refused:  # told by the line of the studies
            continue
        room = (len(state.silos) + MODELS_BESIDE) * model + SPARE_BYTES
        if room > needed:
            needed, what_for = room, f" (of the open studies {state.name} {state.version} needs the most)"
    return directory(folder, needed, what_for)


def _keys(folder: Path) -> Iterator[Line]:
    own = AUTHORITY_KEY if loopback(folder / KEYS) is None else "loopback.key"
    found = list(private_files("keys", [folder / KEYS / name for name in (*PRIVATE, own)]))
    yield from found
    if all(line.state != "fail" for line in found):
        load_centre(folder)
        yield Line(name="identity", state="ok", finding="coordinator.json names these keys")


def _certificates(folder: Path) -> Iterator[Line]:
    """Say whether hospitals would accept the server's certificate now, under which names, and until when."""
    check_certificates(folder)
    names = ", ".join(names_of(centre_files(folder).certificate.read_bytes()))
    yield Line(name="certificates", state="ok", finding=f"hospitals accept the server's, which names {names}")
    soon = ending(folder)
    for text in soon:
        finding, _, step = text.partition("; ")
        yield Line(name="certificates end", state="warn", finding=finding, next_step=step)
    if not soon:
        yield Line(name="certificates end", state="ok", finding=f"the first of them {instant(expires(folder))}")


def _name(centre: _Centre) -> Iterator[Line]:
    """Look up the centre's own name; hospitals ask other name servers, so that not to know it here is no fault."""
    for line in name_server("name", centre.settings.address):
        yield line if line.state == "ok" else line.model_copy(update={"state": "warn"})


def _service(folder: Path) -> Iterator[Line]:
    held, state = holder(folder / RUN), read_state(folder / RUN)
    if held is None:
        yield Line(name="service", state="ok", finding="the centre does not run")
        return
    ready = state is not None and all(process.state == "ready" for process in state.processes)
    step = None if ready else "look into logs/: a process that waits is started again and again"
    yield Line(name="service", state="ok" if ready else "warn", finding=f"the centre runs: {state or held}", next_step=step)


def _port(centre: _Centre) -> Iterator[Line]:
    """See whether the port is free; of a centre that runs, whether it answers on it as hospitals will see it."""
    host, port = split_address(centre.settings.listen)
    held = holder(centre.folder / RUN)
    if held is None:
        check_port((host, port))
        yield Line(name="port", state="ok", finding=f"{centre.settings.listen} is free")
        return
    if not held.here:
        yield Line(name="port", state="skipped", finding=f"the centre runs elsewhere: {held}")
        return
    authority, address = centre_files(centre.folder).authority, centre.settings.address
    try:
        greet(address, authority, (ANYWHERE.get(host, host), port))
    except Refused as error:
        step = "look into logs/superlink.out; a centre that was renewed shows its new certificate after a stop and a start"
        for problem in error.problems:
            finding = f"the running centre does not answer on {centre.settings.listen} as it should: {problem.finding}"
            yield Line(name="port", state="fail", finding=finding, next_step=step, code=problem.code)
        return
    yield Line(name="port", state="ok", finding=f"the running centre answers on {centre.settings.listen}")
    yield _public(address, authority)


def _public(address: str, authority: Path) -> Line:
    try:
        greet(address, authority)
    except Refused as error:
        (problem,) = error.problems
        return Line(
            name="public address",
            state="warn",
            finding=f"{address} is not reached from this machine: {problem.finding}",
            next_step="some networks do not lead back to themselves: have a hospital run its doctor; check port forwarding",
            code=problem.code,
        )
    return Line(name="public address", state="ok", finding=f"{address} leads here")


def _hospitals(folder: Path) -> Iterator[Line]:
    """Say who is enrolled, and who is away from a study under way; of others nobody knows here when they were there."""
    members, out = enrolled(folder), removed(folder).sites
    if out:
        finding = f"{len(out)} removed, and let in no longer: {', '.join(sorted(out))}"
        yield Line(name="removed hospitals", state="ok", finding=finding)
    if not members:
        step = "run: wardround coordinator enrol REQUEST --dir DIR, for the request.json of each hospital"
        yield Line(name="hospitals", state="ok", finding="none is enrolled yet", next_step=step)
        return
    yield Line(name="hospitals", state="ok", finding=f"{len(members)} enrolled: {', '.join(member.site for member in members)}")
    for each in kept_successions(folder):
        if not each.taken:
            finding = f"{each.site} has not come with its new keys yet; its old ones are in use until then"
            step = "have the hospital join with the new invitation, and start its node, while this centre runs"
            yield Line(name="hospitals", state="warn", finding=finding, next_step=step)
    for state in _states(folder):
        away = [silo for silo in state.silos if state.phase in OPEN and silo.status in ("silent", "gone")]
        for silo in away:
            finding = f"{silo.site} is {silo.activity}, in {state.name} {state.version}"
            yield Line(name="hospitals", state="warn", finding=finding, next_step="call the hospital; have it run its doctor")


def _studies(folder: Path) -> Iterator[Line]:
    counts: dict[str, int] = {}
    for each in folders(folder):
        state = each.read()
        if state is None:
            finding, step = (
                f"study {each.path.name[:HASH_SHOWN]} has no state that can be read",
                "start the centre: it makes it anew",
            )
            yield Line(name="studies", state="warn", finding=finding, next_step=step, code="O-STATE")
            continue
        counts[state.phase] = counts.get(state.phase, 0) + 1
        try:
            each.bundle()
        except Refused as error:
            yield from refused("studies", error)
        if state.phase in OPEN and state.problems:
            yield _waits(state)
    told = ", ".join(f"{number} {phase}" for phase, number in sorted(counts.items()))
    yield Line(name="studies", state="ok", finding=told or "none yet")


def _waits(state: StudyState) -> Line:
    """Say why an open study does not go on: its problem is two lines of text, the second with the next step."""
    problem, _, step = state.problems[0].partition("\n  Next: ")
    return Line(
        name="studies", state="fail", finding=f"{state.name} {state.version} waits: {problem}", next_step=step.strip() or None
    )


def _journals(folder: Path) -> Iterator[Line]:
    """Verify every line of every journal; a running centre may be writing the last one, which is no fault."""
    lines = 0
    for each in folders(folder):
        try:
            lines += read_chronicle(each.path, each.path.name).summary.lines
        except Refused as error:
            yield from refused("journals", error)
    yield Line(name="journals", state="ok", finding=f"{lines} lines, each as it was written" if lines else "none has a line yet")
