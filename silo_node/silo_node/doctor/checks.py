"""The checks of ``wardround silo doctor``, in the order in which things go wrong: machine, keys, centre, confinement, records."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from silo_node.centre_software import last_heard
from silo_node.configuration import Site, load_site
from silo_node.confinement import read_confinement
from silo_node.data_key import DATA_KEY
from silo_node.doctor.centre import connection
from silo_node.doctor.confinement import of_running, proven, running_trainer
from silo_node.doctor.rehearsal import DEEP_SECONDS, SECONDS, Asked, rehearse
from silo_node.flower.enrolled import PATIENCE_SECONDS
from silo_node.house import RUN, way_out
from silo_node.identity import APPROVAL, ENCRYPTION, KEYS, NODE_KEY, REKEY, RUNTIME_SECRET, SIGNING, load_identity
from silo_node.joining import CONFIG, INVITATION, Joined, load_joined
from silo_node.porter.approvals import Approvals, read_pause
from silo_node.porter.inbox import Entry, Inbox
from silo_node.rekeying import STATEMENT, waiting
from silo_node.running_code import changed
from silo_node.source_settings import ExtractedSource, Files, FolderSource
from silo_node.sources.snapshot import look
from silo_node.training.memory import available_bytes
from wardround import __version__
from wardround.doctor.lines import Check, Line, State, refused
from wardround.doctor.machine import directory, kept_in_step, name_server, open_files, private_files, software
from wardround.errors import Refused
from wardround.identity.invitation import Invitation, read_invitation
from wardround.identity.software import RUNTIME, package_versions
from wardround.supervision.ground import MIB, MODELS_ON_DISK
from wardround.supervision.house import read_state
from wardround.supervision.lock import holder
from wardround.transport.greeting import CONNECT_SECONDS

PRIVATE = (SIGNING, ENCRYPTION, NODE_KEY, RUNTIME_SECRET)
LIBRARIES_BYTES = 512 * MIB
MODELS_IN_MEMORY = 14
"""Of the size of a study's weights: the bundle's, those received, in the network, gradients, two of the optimiser's, the change,
and what is copied between them. Measured: a network of 400 MB with Adam held 12 at its peak, without a limit; one of 100 MB did
not fit under a limit of 10. An estimate, without the records."""
MOST_STUDIES = 20
"""Studies whose records are looked at."""
SLACK_SECONDS = 10.0


@dataclass(frozen=True)
class _Ward:
    """The hospital, as far as it can be read."""

    site: Site

    @cached_property
    def entries(self) -> list[Entry]:
        """The studies that are approved here or wait for a decision, the approved ones first."""
        identity = load_identity(self.site.folder)
        inbox = Inbox(self.site.folder, identity, Approvals(self.site.folder, identity), None)
        found = [entry for entry in inbox.entries() if entry.state in ("approved", "waiting")]
        return sorted(found, key=lambda entry: entry.state)

    def largest_model(self) -> int:
        """Give the bytes of the weights of the largest of them; 0 when there is none, or none can be known yet."""
        try:
            return max((entry.bundle.manifest.byte_count for entry in self.entries), default=0)
        except Refused:
            return 0


def checks(path: Path, *, deep: bool) -> list[Check]:
    """Give the checks of the hospital whose ``site.yaml`` is given; of one that cannot be read, what is left."""
    always = [
        Check("software", lambda: software("wardround-platform", "wardround-silo-node")),
        Check("time service", kept_in_step),
        Check("open files", lambda: open_files(0)),
    ]
    try:
        ward = _Ward(load_site(path))
    except Refused as error:
        lines = list(refused("site file", error))
        return [*always, Check("site file", lambda: lines)]
    rehearsal = (DEEP_SECONDS if deep else SECONDS) + SLACK_SECONDS
    return [
        *always,
        Check("site file", lambda: [_named(ward.site)]),
        Check("disk", lambda: _disk(ward), SLACK_SECONDS),
        Check("keys", lambda: _keys(ward.site.folder)),
        Check("service", lambda: _service(ward.site)),
        Check("joined", lambda: _joined(ward.site.folder)),
        Check("name", lambda: _name(ward.site)),
        Check("centre", lambda: _centre(ward.site), 2 * CONNECT_SECONDS + PATIENCE_SECONDS + SLACK_SECONDS),
        Check("studies", lambda: _studies(ward), SLACK_SECONDS),
        Check("memory", lambda: _memory(ward), SLACK_SECONDS),
        Check("sources", lambda: _sources(ward.site)),
        Check("rehearsal", lambda: _rehearsal(ward, deep=deep), rehearsal),
    ]


def _named(site: Site) -> Line:
    return Line(name="site file", state="ok", finding=f"{site.file.name} ({site.file.site})")


def _disk(ward: _Ward) -> Iterator[Line]:
    model = ward.largest_model()
    what_for = "" if not model else f", {MODELS_ON_DISK} times the largest model among them"
    return directory(ward.site.folder, MODELS_ON_DISK * model, what_for)


def _keys(folder: Path) -> Iterator[Line]:
    """Look at every private file; the approver's key may be kept elsewhere."""
    if not (folder / KEYS).exists():
        step = "run: wardround silo init --site site.yaml"
        yield Line(name="keys", state="warn", finding="there are none yet", next_step=step)
        return
    names = [*PRIVATE, *(name for name in (APPROVAL, DATA_KEY) if (folder / KEYS / name).exists())]
    found = list(private_files("keys", [folder / KEYS / name for name in names]))
    yield from found
    if all(line.state != "fail" for line in found):
        load_identity(folder)
        yield Line(name="identity", state="ok", finding="request.json names these keys")
        if waiting(folder) is not None:
            step = f"send {REKEY}/{STATEMENT} to the centre's operator; with the new invitation: stop, silo join, start"
            yield Line(name="new keys", state="warn", finding="they wait for the centre's answer", next_step=step)


def _service(site: Site) -> Iterator[Line]:
    folder = site.folder
    held, state = holder(folder / RUN), read_state(folder / RUN)
    if held is None:
        yield Line(name="service", state="ok", finding="the node does not run")
        return
    ready = state is not None and all(process.state == "ready" for process in state.processes)
    step = None if ready else "look into logs/: a process that waits is started again and again"
    yield Line(name="service", state="ok" if ready else "warn", finding=f"the node runs: {state or held}", next_step=step)
    other = changed(folder / RUN)
    if other:
        finding = f"started from other software than is installed now: {', '.join(other)}"
        step = "stop the node, start it, review and approve again"
        yield Line(name="software", state="fail", finding=finding, code="H-CODE", next_step=step)
    trainer = running_trainer(held.process) if held.here else None
    if trainer is not None:
        yield from of_running(trainer)
        yield from _proven(site)


def _proven(site: Site) -> Iterator[Line]:
    """Hold what the running trainer found at its start against the policy; one that cannot be read has a line elsewhere."""
    try:
        required = site.policy().required_confinement
    except Refused as error:
        yield from refused("policy", error)
        return
    yield from proven(read_confinement(site.folder / RUN), required)


def _joined(folder: Path) -> Iterator[Line]:
    if not (folder / KEYS).exists():
        yield Line(name="joined", state="skipped", finding="there are no keys yet")
        return
    try:
        joined = load_joined(folder)
    except Refused as error:  # to have joined none is no fault; what was joined and does not hold is one
        yield from refused("joined", error, "warn" if error.codes == ("I-MISSING",) else "fail")
        return
    invitation = read_invitation(folder / CONFIG / INVITATION).invitation
    until = invitation.expires_at
    finding = f"{joined.coordinator.name} at {joined.address}, by an invitation that could be followed until {until}"
    yield Line(name="joined", state="ok", finding=finding)
    yield centre_versions(folder, invitation)


def centre_versions(folder: Path, invitation: Invitation) -> Line:
    """Hold the version here against the centre's, as it said last."""
    told = last_heard(folder)
    theirs, at = (invitation.wardround, invitation.issued_at) if told is None else (told.wardround, told.told_at)
    if theirs is None:
        return Line(name="versions", state="skipped", finding="the centre has not said yet which Wardround it runs")
    finding = f"Wardround {__version__} here, {theirs} at the centre (as it said at {at})"
    if theirs == __version__:
        return Line(name="versions", state="ok", finding=finding)
    step = "ask the operator which of the two is to be updated; what the protocol does not allow is refused as P-PROTOCOL"
    return Line(name="versions", state="warn", finding=finding, next_step=step)


def _where(folder: Path) -> Joined | None:
    """Give the centre that was joined; None when none was, which its own line says."""
    try:
        return load_joined(folder)
    except Refused:
        return None


def _name(site: Site) -> Iterable[Line]:
    """Look up the host that this machine connects to: the centre's, or that of the proxy, which looks up the centre's."""
    joined = _where(site.folder)
    if joined is None:
        return [_unseen("name")]
    try:
        route = way_out(site, joined).route()
    except Refused:  # the line of the proxy says it
        return [
            Line(name="name", state="skipped", finding="it is not known whose name is needed: the proxy's settings do not hold")
        ]
    return name_server("name", joined.address if route is None else str(route))


def _centre(site: Site) -> Iterable[Line]:
    joined = _where(site.folder)
    return [_unseen("centre")] if joined is None else connection(joined, way_out(site, joined))


def _unseen(name: str) -> Line:
    return Line(name=name, state="skipped", finding="there is no joined centre to ask")


def _studies(ward: _Ward) -> Iterator[Line]:
    """Say which studies are there, whether their approvals hold, and whether the packages are those of their authors."""
    if not (ward.site.folder / KEYS).exists():
        yield Line(name="studies", state="skipped", finding="there are no keys yet")
        return
    entries = ward.entries
    if not entries:
        yield Line(name="studies", state="ok", finding="none is approved here or waits for a decision")
    for entry in entries:
        study = f"{entry.bundle.study.name} {entry.bundle.study.version}"
        if entry.codes:
            finding, step = f"{study}: its approval does not hold", "review the study, and approve it again"
            if entry.codes == ("A-PAUSED",):
                by_gate = read_pause(ward.site.folder, entry.bundle.study_hash) == "gate"
                finding = f"{study}: it is approved, and {'the gate' if by_gate else 'a person'} paused it"
                step = "to let it go on: wardround silo resume"
                step = f"read the last 'blocked' entry of the ledger first; {step}" if by_gate else step
            yield Line(name="studies", state="warn", finding=finding, next_step=step, code=entry.codes[0])
            continue
        named = {name: version for name, version in entry.bundle.versions.packages.items() if name in RUNTIME}
        others = sorted(name for name, version in package_versions(named).items() if version != named[name])
        until = "waits for a decision" if entry.expires_at is None else f"approved until {entry.expires_at}"
        versions = (
            f"other versions here than its author's: {', '.join(others)}" if others else "the author's versions of packages"
        )
        yield Line(name="studies", state="ok", finding=f"{study}: {until}; {versions}")


def _memory(ward: _Ward) -> Iterator[Line]:
    """Hold the memory that training may take against an estimate of what the largest model needs."""
    machine, limit = available_bytes(None), ward.site.file.resources.memory_bytes
    known = [each for each in (machine, limit) if each is not None]
    if not known:
        yield Line(name="memory", state="skipped", finding="this system does not say how much there is")
        return
    has, model = min(known), ward.largest_model()
    needed = LIBRARIES_BYTES + MODELS_IN_MEMORY * model
    what = "the libraries" if not model else f"the libraries and the largest model ({model / MIB:.1f} MiB)"
    finding = f"training may take {has // MIB} MiB; about {-(-needed // MIB)} MiB for {what}, and the records come on top"
    if has >= needed:
        yield Line(name="memory", state="ok", finding=finding)
        return
    step = "raise resources.memory in site.yaml, or use a machine with more memory; --deep measures what is needed"
    yield Line(name="memory", state="warn", finding=finding, next_step=step)


def _sources(site: Site) -> Iterator[Line]:
    """Open each source's files and read their first byte, and hold snapshots against them; whether they fit a schema is another
    question.
    """
    for name, source in site.file.sources.items():
        if isinstance(source, FolderSource):
            yield _folder(name, site.folder / source.path)
        paths = site.original_paths(name)
        if not paths and isinstance(source, Files):
            step = "check its paths in site.yaml"
            yield Line(name="sources", state="fail", finding=f"{name}: no file fits its pattern", next_step=step, code="T-FILE")
        for number, path in enumerate(paths, 1):
            yield _first_byte(name, "the file" if len(paths) == 1 else f"file {number} of {len(paths)}", path)
        if isinstance(source, ExtractedSource):
            for fault in look(site.extract_path(name), source, paths):
                state: State = "warn" if fault.warning else "fail"
                yield Line(
                    name="sources", state=state, finding=f"{name}: {fault.finding}", next_step=fault.next_step, code=fault.code
                )


def _folder(name: str, folder: Path) -> Line:
    """Look into a folder of images, not into what lies below it."""
    try:
        with os.scandir(folder) as found:
            empty = next(found, None) is None
    except OSError as error:
        finding = f"{name}: the folder cannot be read ({type(error).__name__})"
        step = "check its path in site.yaml, and that the user of the service may read it"
        return Line(name="sources", state="fail", finding=finding, next_step=step, code="D-FOLDER")
    if empty:
        step = "see whether the export ran"
        return Line(name="sources", state="fail", finding=f"{name}: the folder is empty", next_step=step, code="D-FOLDER")
    return Line(name="sources", state="ok", finding=f"{name}: the folder can be read")


def _first_byte(name: str, which: str, path: Path) -> Line:
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        finding = f"{name}: {which} cannot be read ({type(error).__name__})"
        step = "check its path in site.yaml, and that the user of the service may read it"
        return Line(name="sources", state="fail", finding=finding, next_step=step, code="T-FILE")
    if empty:
        step = "see whether the export ran"
        return Line(name="sources", state="fail", finding=f"{name}: {which} is empty", next_step=step, code="T-EMPTY")
    return Line(name="sources", state="ok", finding=f"{name}: {which} can be read")


def _rehearsal(ward: _Ward, *, deep: bool) -> Iterator[Line]:
    try:
        entries: Sequence[Entry] = ward.entries
    except Refused:
        entries = ()
    asked = [Asked(entry.bundle.study_hash, entry.state == "approved") for entry in entries]
    yield from rehearse(ward.site, asked[:MOST_STUDIES], deep=deep)
    if not asked:
        step = "to hold them against a schema before there is a study, run: wardround silo check --schema"
        yield Line(name="records", state="skipped", finding="there is no study yet", next_step=step)
    elif len(asked) > MOST_STUDIES:
        finding = f"looked at for {MOST_STUDIES} studies of {len(asked)}"
        yield Line(name="records", state="warn", finding=finding, next_step="reject studies that are over")
    if not deep:
        for name in ("GPU", "local step"):
            yield Line(name=name, state="skipped", finding="tried with --deep only, which takes longer")
