"""``wardround silo extract``: read what other programs wrote, or a database holds, into a snapshot that the node can read.

    original ──> a process of its own: limits, no network, one library ──> extracts/NAME.parquet (0600, whole or not at all)

The trainer has no network and parses no foreign format; each source is parsed once. The snapshot says what it was taken
from, and whoever opens it looks whether that is still so (``silo_node.sources.snapshot``).
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from silo_node.configuration import Site
from silo_node.credentials import environment_without
from silo_node.extraction.process import Answer, Job, Told
from silo_node.source_settings import ExtractedSource, SqlSource
from silo_node.sources.faults import UnreadableError
from silo_node.sources.snapshot import described, file_digest, source_digest
from wardround.errors import Problem, Refused, refuse
from wardround.files import remove_leftovers, sync_folder
from wardround.values import instant

MIB = 2**20
USUAL_MEMORY_BYTES = 4096 * MIB
"""What the reader of a source may hold where the site file says nothing."""
SECONDS = 3600
"""How long reading files may take."""
SECONDS_BESIDE_THE_QUERY = 60
OWNER_ONLY = 0o600


@dataclass(frozen=True)
class Done:
    """What was done about one source.

    Attributes:
        source: its key in the site file.
        state: whether a snapshot was written, or the one that is there is still that of its files.
        records, columns: what it holds; 0 when it was not written now.
        files: how many files it was taken from; 0 for a database server.
    """

    source: str
    state: Literal["written", "current"]
    records: int
    columns: int
    files: int


def extracted_sources(site: Site) -> tuple[str, ...]:
    """Name the sources that are read by way of a snapshot."""
    return tuple(name for name, source in site.file.sources.items() if isinstance(source, ExtractedSource))


def extract(site: Site, name: str, *, again: bool = False) -> Done:
    """Write the snapshot of one source, unless the one that is there is of the same files.

    Args:
        site: the hospital.
        name: one of ``extracted_sources``.
        again: write it in any case.

    Raises:
        Refused: T- codes for what is wrong with the source; N-CREDENTIALS, X-EXTRA, X-USAGE, O-WRITE.
    """
    source = site.file.sources[name]
    if not isinstance(source, ExtractedSource):
        raise TypeError(name)
    files = site.original_paths(name)
    with _alone(site):
        before = _digests(site, name, source, files)
        if files and not again and _is_current(site.extract_path(name), source, before):
            return Done(name, "current", 0, 0, len(files))
        path = site.extract_path(name)
        remove_leftovers(path)
        beside = _beside(path)
        try:
            answer = _ask(site, name, source, files, before, beside)
            if _digests(site, name, source, files) != before:
                raise _refused(site, name, _told("T-FILE", "it was changed while it was read", "wait until the export is done"))
            _put(beside, path)
        finally:
            beside.unlink(missing_ok=True)
    return Done(name, "written", answer.records, answer.columns, len(files))


def _is_current(path: Path, source: ExtractedSource, digests: tuple[str, ...]) -> bool:
    try:
        found = described(path)
    except UnreadableError:
        return False
    return (found.source, found.files) == (source_digest(source), digests)


def _digests(site: Site, name: str, source: ExtractedSource, files: tuple[Path, ...]) -> tuple[str, ...]:
    if not files and not isinstance(source, SqlSource):
        raise _refused(site, name, _told("T-FILE", "no file fits the pattern", "check 'paths' of the source in the site file"))
    found: list[str] = []
    for number, path in enumerate(files, 1):
        which = "the file" if len(files) == 1 else f"file {number} of {len(files)}"
        try:
            if not path.is_file():
                raise FileNotFoundError
            found.append(file_digest(path, source))
        except OSError as error:
            reason = "is not there, or is no file" if isinstance(error, FileNotFoundError) else "cannot be read"
            step = "check where the site file says it is, and its rights"
            raise _refused(site, name, _told("T-FILE", f"{which} {reason}", step)) from None
    return tuple(found)


# ---------------------------------------------------------------------------------------------------------- the process


def _ask(
    site: Site, name: str, source: ExtractedSource, files: tuple[Path, ...], digests: tuple[str, ...], output: Path
) -> Answer:
    job = Job(
        source=source,
        folder=str(site.folder.absolute()),
        files=tuple(str(path.absolute()) for path in files),
        digests=digests,
        output=str(output.absolute()),
        memory_bytes=site.file.resources.memory_bytes or USUAL_MEMORY_BYTES,
        now=instant(datetime.now(UTC)),
    )
    seconds = source.timeout + SECONDS_BESIDE_THE_QUERY if isinstance(source, SqlSource) else SECONDS
    try:
        asked = source if isinstance(source, SqlSource) and source.file is None else None
        status, said = run_job(job, seconds, environment_without(site.file.private_variables(asked)))
    except subprocess.TimeoutExpired:
        step = "export less at a time into several files, or give the query more time ('timeout')"
        raise _refused(site, name, _told("T-SIZE", f"it was not read within {seconds} s", step)) from None
    try:
        answer = Answer.model_validate_json(said)
    except ValidationError:
        raise _refused(site, name, _crashed(status, job.memory_bytes)) from None
    if answer.wrong is not None:
        raise _refused(site, name, answer.wrong)
    if answer.absent is not None:
        raise _absent(source, answer.absent)
    return answer


def run_job(job: Job, seconds: float, environment: Mapping[str, str]) -> tuple[int, bytes]:
    """Run the process that reads, with an environment; gives its exit status and what it answered.

    Raises:
        subprocess.TimeoutExpired: it took too long, and was ended.
    """
    done = subprocess.run(
        [sys.executable, "-P", "-m", "silo_node.extraction.process"],
        input=job.model_dump_json().encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # a parser's or driver's words may hold cells
        timeout=seconds,
        check=False,
        env={**environment, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    return done.returncode, done.stdout


def _crashed(status: int, memory_bytes: int) -> Told:
    """Say why a process ended without a word: for want of memory, or because its parser crashed."""
    if -status in (signal.SIGKILL, signal.SIGABRT):
        step = "raise resources.memory in the site file, or export less at a time into several files"
        return _told("T-SIZE", f"its reader was ended; it may hold {memory_bytes // MIB} MiB", step)
    return _told("T-FILE", f"its reader crashed (status {status})", "export the file again; it may be damaged")


def _absent(source: ExtractedSource, module: str) -> Refused:
    ours = module.partition(".")[0] in ("openpyxl", "pyreadstat", "sqlalchemy")
    step = "install wardround-silo-node[formats]" if ours else f"install the package that brings {module} (the database's driver)"
    rule = f"A source of format {source.format} needs a package that is not installed here"
    return refuse("X-EXTRA", "wardround silo extract", rule, f"the Python module {module} is absent", step)


# ------------------------------------------------------------------------------------------------------------ the file


@contextmanager
def _alone(site: Site) -> Iterator[None]:
    """Hold the folder of snapshots, so that two extractions do not take each other's files away."""
    folder = site.make_directory("extracts")
    held = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            rule, step = "One extraction runs at a time for a hospital", "wait until it is done"
            raise refuse("X-USAGE", "wardround silo extract", rule, "another one is running", step) from None
        yield
    finally:
        os.close(held)


def _beside(path: Path) -> Path:
    """Make an empty file for its owner only, beside the one to write."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.fchmod(descriptor, OWNER_ONLY)
        os.close(descriptor)
    except OSError as error:
        raise _unwritable(path, error) from None
    return Path(name)


def _put(beside: Path, path: Path) -> None:
    """Flush a file to disk and put it in its place."""
    try:
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> Refused:
    finding, step = f"the snapshot cannot be written ({type(error).__name__})", "check the folder's rights and the free space"
    return refuse("O-WRITE", path.name, "Outputs are written whole or not at all", finding, step)


def _told(code: str, finding: str, next_step: str) -> Told:
    rules = {
        "T-FILE": "The source's file must exist, be readable and have the declared format",
        "T-SIZE": "A source is read within limits of size, memory and time",
    }
    return Told(code=code, rule=rules[code], finding=finding, next_step=next_step)


def _refused(site: Site, name: str, wrong: Told) -> Refused:
    place = site.document.place(("sources", name))
    return Refused([Problem(wrong.code, place, wrong.rule, wrong.finding, wrong.next_step)])
