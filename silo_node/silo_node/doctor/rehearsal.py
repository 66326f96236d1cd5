"""``python -m silo_node.doctor.rehearsal``: a trainer's start, and its first look at the records, without a task.

It begins as the trainer does: the network is cut before any library is loaded, then the memory limit is set. What keeps
it in is tried, the records of each study are read and checked, and with ``--deep`` the study's network takes a few steps
on made-up records. Nothing is written. Each line of the doctor is printed as one line of JSON as soon as it is known.
"""

from __future__ import annotations

import argparse
import io
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO, TypeAlias, get_args

from pydantic import ValidationError

from silo_node.configuration import Site, load_site
from silo_node.credentials import environment_without
from silo_node.doctor.confinement import memory_limit, network, privileges
from silo_node.training.memory import NoRoom, counted_bytes, is_out_of_memory, limit_memory
from silo_node.training.network import cut_network
from silo_node.training.probes import kernel_facts
from wardround.doctor.lines import Line, State, refused
from wardround.errors import Refused
from wardround.study.bundle import SUFFIX, Bundle, read_bundle
from wardround.supervision.ground import MIB

if TYPE_CHECKING:
    from silo_node.work import Stepped

MODULE = "silo_node.doctor.rehearsal"
SECONDS, DEEP_SECONDS = 60.0, 180.0
"""How long a rehearsal may take, without and with steps of training."""
MOST_SHOWN = 5
ParquetCompression: TypeAlias = Literal["uncompressed", "snappy", "gzip", "brotli", "lz4", "zstd"]
COMPRESSIONS: tuple[ParquetCompression, ...] = get_args(ParquetCompression)
SYNTAXES = {
    "JPEG": "1.2.840.10008.1.2.4.50",
    "JPEG lossless": "1.2.840.10008.1.2.4.70",
    "JPEG-LS": "1.2.840.10008.1.2.4.80",
    "JPEG 2000": "1.2.840.10008.1.2.4.90",
    "RLE": "1.2.840.10008.1.2.5",
}
"""Of each way to compress pixels, the transfer syntax that stands for it (PS3.6 Annex A)."""


@dataclass(frozen=True)
class Asked:
    """A study whose records are looked at; what an approved one lacks fails, what a waiting one lacks is told."""

    study_hash: str
    approved: bool

    @property
    def grave(self) -> State:
        """The state of a line that says what is not in order."""
        return "fail" if self.approved else "warn"


def rehearse(site: Site, asked: Sequence[Asked], *, deep: bool) -> Iterator[Line]:
    """Run a rehearsal in a process of its own, and give its lines; one that does not end in time is killed, and told."""
    words = [f"--{'approved' if each.approved else 'waiting'}={each.study_hash}" for each in asked]
    seconds = DEEP_SECONDS if deep else SECONDS
    with socket.create_server(("127.0.0.1", 0)) as door:
        command = [sys.executable, "-m", MODULE, f"--site={site.path}", f"--door={door.getsockname()[1]}", *words]
        try:
            done = subprocess.run(  # noqa: S603  (our own command line)
                [*command, *(["--deep"] if deep else [])],
                env={**environment_without(site.file.private_variables()), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                check=False,
                timeout=seconds,
            )
            printed, status = done.stdout, done.returncode
        except subprocess.TimeoutExpired as late:
            printed, status = late.stdout or b"", None
    for text in printed.splitlines():
        try:
            yield Line.model_validate_json(text)
        except ValidationError:  # cut off in the middle
            continue
    if status is None:
        finding = f"it was not done after {seconds:.0f} seconds; what is missing here was not looked at"
        next_step = "look at one study by itself: wardround silo check"
        yield Line(name="rehearsal", state="warn", finding=finding, next_step=next_step)
    elif status != 0:
        how = f"signal {-status}" if status < 0 else f"status {status}"
        finding = f"a trainer's start ended early ({how}); what is missing here was not looked at"
        next_step = "give the trainer more memory if its limit or this machine's memory is small; else look at logs/trainer.log"
        yield Line(name="rehearsal", state="fail", finding=finding, next_step=next_step)


class _Printer:
    """Prints lines where the doctor reads them; what libraries print goes nowhere."""

    def __init__(self) -> None:
        self._out: TextIO = os.fdopen(os.dup(1), "w")
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 1)

    def tell(self, *lines: Line) -> None:
        for line in lines:
            print(line.model_dump_json(), file=self._out, flush=True)


def main() -> int:
    """Rehearse once."""
    parser = argparse.ArgumentParser(description="A trainer's start, for the doctor.")
    parser.add_argument("--site", required=True, type=Path)
    parser.add_argument("--door", required=True, type=int, help="a port of this machine that listens")
    parser.add_argument("--approved", action="append", default=[])
    parser.add_argument("--waiting", action="append", default=[])
    parser.add_argument("--deep", action="store_true")
    arguments = parser.parse_args()
    printer, facts = _Printer(), kernel_facts()  # the kernel gives a process in a namespace of its own other facts
    printer.tell(network(cut_network(), arguments.door))  # before any thread starts
    printer.tell(privileges(facts, "a trainer that is started like this doctor"))
    site = load_site(arguments.site)
    limit = site.file.resources.memory_bytes
    _load(printer, deep=arguments.deep)
    try:
        limit_memory(limit)
    except NoRoom:
        printer.tell(_no_room(limit))
        return 0
    printer.tell(memory_limit(limit), codecs())
    for each in [*arguments.approved, *arguments.waiting]:
        asked = Asked(each, approved=each in arguments.approved)
        printer.tell(*_study(site, asked, limit, deep=arguments.deep))
    return 0


def _load(printer: _Printer, *, deep: bool) -> None:
    """Load what the trainer loads before its limit is set: all of it only for steps of training."""
    import silo_node.cohort  # noqa: F401, PLC0415  (heavy, with threads of its own: after the cut)

    if not deep:
        return
    import torch  # noqa: PLC0415  (as above)

    from silo_node.training.warm_up import warm_up  # noqa: PLC0415  (as above)

    torch.set_num_threads(1)
    warm_up()
    seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
    names = ", ".join(torch.cuda.get_device_name(number) for number in range(seen))
    finding = f"torch {torch.__version__} sees {names or 'none'}; where there is one, studies of images use it unless told not to"
    printer.tell(Line(name="GPU", state="ok", finding=finding))


def codecs(names: Sequence[ParquetCompression] = COMPRESSIONS) -> Line:
    """Write and read a few numbers in each compression that a Parquet file may have; say which of images' can be decoded."""
    import polars as pl  # noqa: PLC0415  (heavy, with threads of its own: after the cut)

    numbers, unread = pl.DataFrame({"number": range(3)}), []
    for name in names:
        file = io.BytesIO()
        try:
            numbers.write_parquet(file, compression=name)
            file.seek(0)
            same = pl.read_parquet(file).equals(numbers)
        except (pl.exceptions.PolarsError, OSError, ValueError):
            same = False
        if not same:
            unread.append(name)
    if unread:
        step = "install this release's packages again, or export with another compression"
        finding = f"Parquet files in these compressions cannot be read here: {', '.join(unread)}"
        return Line(name="codecs", state="warn", finding=finding, next_step=step)
    return Line(name="codecs", state="ok", finding=f"Parquet in {', '.join(names)}; {_images()}")


def _images() -> str:
    """Say what of compressed DICOM can be decoded here; a hospital without images needs none of it."""
    try:
        from silo_node.dicom.pixels import decodes  # noqa: PLC0415  (pydicom, which a hospital without images does not have)
    except ModuleNotFoundError:
        return "no images, for which wardround-silo-node[imaging] is not installed"
    able = {name: decodes(syntax) for name, syntax in SYNTAXES.items()}
    found = [name for name, known in able.items() if known]
    lacking = [name for name, known in able.items() if not known]
    return f"DICOM in {', '.join(('uncompressed', *found))}" + (f", not in {', '.join(lacking)}" if lacking else "")


def _no_room(limit: int | None) -> Line:
    finding = f"{(limit or 0) // MIB} MiB leave no room for records: the libraries alone take {counted_bytes() // MIB} MiB"
    next_step = "give 'resources' in site.yaml more memory, such as 4 GiB"
    return Line(name="memory limit", state="fail", finding=finding, next_step=next_step, code="V-CHILD")


def _study(site: Site, asked: Asked, limit: int | None, *, deep: bool) -> Iterator[Line]:
    """Look at one study's records and, if that is wanted, try its network."""
    try:
        bundle = read_bundle(site.directory("inbox") / f"{asked.study_hash}{SUFFIX}")
        found, train = _records(site, bundle, asked)
        yield from found
        if deep:
            yield from _steps(bundle, train, limit, asked)
    except Refused as error:
        yield from refused("records", error, asked.grave)
    except Exception as error:
        if not is_out_of_memory(error, limit):
            raise
        yield Line(
            name="memory for training",
            state=asked.grave,
            finding=f"study {asked.study_hash[:12]} does not fit into the memory that there is",
            next_step="raise resources.memory in site.yaml, or use a machine with more memory",
            code="H-MEMORY",
        )


def _records(site: Site, bundle: Bundle, asked: Asked) -> tuple[list[Line], int]:
    """Check the records as a task would; gives the lines, and how many are for training (0: none may be used)."""
    from silo_node.cohort import assemble  # noqa: PLC0415  (heavy)
    from silo_node.validation.check import CheckFailed  # noqa: PLC0415  (as above)

    study = f"{bundle.study.name} {bundle.study.version}"
    try:
        cohort = assemble(site, bundle.contract, bundle.study, bundle.study_hash, bundle.imaging)
    except CheckFailed as failure:
        result, codes = failure.result, list(dict.fromkeys(failure.codes))
        more = "" if len(codes) <= MOST_SHOWN else ", …"
        finding = (
            f"{study}: not in order ({', '.join(codes[:MOST_SHOWN])}{more}); {result.found} found, {result.quarantined} set aside"
        )
        check = f"wardround silo check --site {site.path} --study {site.directory('inbox') / bundle.study_hash}{SUFFIX}"
        line = Line(name="records", state=asked.grave, finding=finding, next_step=f"run: {check}", code=codes[0])
        return [line], 0
    counts = cohort.counts
    finding = (
        f"{study}: in order; {counts.found} found, {counts.quarantined} set aside, "
        f"{counts.train} for training, {counts.validation} for validation, {counts.test} for the test"
    )
    return [Line(name="records", state="ok", finding=finding)], counts.train


def _steps(bundle: Bundle, train: int, limit: int | None, asked: Asked) -> Iterator[Line]:
    from silo_node.training.trial import try_steps  # noqa: PLC0415  (heavy)

    study, rows = f"{bundle.study.name} {bundle.study.version}", train or bundle.study.silos.minimum_records
    stepped = try_steps(bundle, rows, limit)
    available = stepped.available_mib
    cut = f", {stepped.at_once} of {stepped.rows} at once" if stepped.at_once not in (None, stepped.rows) else ""
    finding = f"{study}: a step takes {stepped.needed_mib} MiB{cut}" + (
        "" if available is None else f"; {available} MiB are left"
    )
    yield Line(name="memory for training", state="ok", finding=finding)
    yield _pace(bundle, study, stepped, rows, asked)


def _pace(bundle: Bundle, study: str, stepped: Stepped, rows: int, asked: Asked) -> Line:
    """Say how long a step takes, and a round of all training records, held against the study's deadline."""
    training, deadline = bundle.study.training, bundle.study.rounds.deadline_seconds
    steps = training.local_epochs * -(-rows // (training.batch_size or rows))
    seconds = steps * stepped.step_us / 1e6
    finding = (
        f"{study}: {stepped.step_us / 1000:.2f} ms for {stepped.rows} records; "
        f"{seconds:.1f} s for the training of a round with {rows}, whose deadline is {deadline:g} s"
    )
    if seconds < deadline:
        return Line(name="local step", state="ok", finding=finding)
    next_step = "this hospital would miss every round: tell the study's author, or use a faster machine"
    return Line(name="local step", state=asked.grave, finding=finding, next_step=next_step)


if __name__ == "__main__":
    sys.exit(main())
