"""The process that reads one source: started by ``extract``, told what on standard input, and gone afterwards.

Foreign bytes are parsed here and nowhere else: under a memory limit, without a network unless a database server is asked,
and so that a parser that crashes takes nothing with it. It answers one JSON line on standard output; what it prints
elsewhere is thrown away.
"""

from __future__ import annotations

import resource
import sys
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

from pydantic import Field as Setting

from silo_node.extraction.gathered import Gathered, only_coded_faults
from silo_node.source_settings import ExcelSource, ExtractedSource, SqlSource
from silo_node.sources.faults import UnreadableError
from silo_node.sources.snapshot import METADATA, Extract, source_digest
from wardround.errors import Refused
from wardround.supervision.no_dump import no_core_dumps
from wardround.values import Count, Instant, Sha256, Value


class Job(Value):
    """What is asked.

    Attributes:
        source: the source's lines in the site file.
        folder: the hospital's, where relative paths begin.
        files: the source's files, in order.
        digests: of the files, as they were just before.
        output: the file to write; it is there and empty.
        memory_bytes: the most that this process may hold.
        now: when it is.
    """

    source: Annotated[ExtractedSource, Setting(discriminator="format")]
    folder: str
    files: tuple[str, ...]
    digests: tuple[Sha256, ...]
    output: str
    memory_bytes: Count
    now: Instant


class Told(Value):
    """What was wrong, as a fault says it."""

    code: str
    rule: str
    finding: str
    next_step: str


class Answer(Value):
    """What came of it: records and columns, or what was wrong, or the module that is absent."""

    records: Count = 0
    columns: Count = 0
    wrong: Told | None = None
    absent: str | None = None


def main() -> None:
    """Do one job."""
    no_core_dumps()
    job = Job.model_validate_json(sys.stdin.buffer.read())
    confine(job)
    sys.stdout.write(answer(job).model_dump_json() + "\n")


def confine(job: Job) -> None:
    """Take what this job does not need: memory above its limit, and the network, unless a server is asked."""
    if sys.platform == "linux":
        highest = resource.getrlimit(resource.RLIMIT_DATA)[1]
        most = job.memory_bytes if highest == resource.RLIM_INFINITY else min(job.memory_bytes, highest)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    if not isinstance(job.source, SqlSource) or job.source.file is not None:
        from silo_node.training.network import cut_network  # noqa: PLC0415  (its hook holds for the whole process)

        cut_network()


def answer(job: Job) -> Answer:
    """Read the source and write its snapshot; whatever is wrong is in the answer."""
    try:
        return _extracted(job)
    except UnreadableError as error:
        fault = {name: value for name, value in asdict(error.fault).items() if name in Told.model_fields}
        return Answer(wrong=Told(**fault))
    except Refused as error:
        first = error.problems[0]
        return Answer(wrong=Told(code=first.code, rule=first.rule, finding=first.finding, next_step=first.next_step))
    except ModuleNotFoundError as error:
        return Answer(absent=error.name or "a package")


def _extracted(job: Job) -> Answer:
    table = Gathered()
    _gather(job, table)
    with only_coded_faults():
        frame = table.frame()
        about = Extract(
            source=source_digest(job.source),
            files=job.digests,
            taken_at=job.now,
            columns=table.header or (),
            notes=table.notes(),
        )
        frame.write_parquet(job.output, metadata={METADATA: about.model_dump_json()}, compression="zstd")
    return Answer(records=frame.height, columns=len(about.columns))


def _gather(job: Job, table: Gathered) -> None:
    """Call the reader of the source's format; each brings a library of its own, which may not be installed."""
    source = job.source
    if isinstance(source, SqlSource):
        from silo_node.extraction import database  # noqa: PLC0415

        try:
            database.gather(table, source, Path(job.folder))
        except database.NoDriver as error:
            raise ModuleNotFoundError(name=error.module) from None
        return
    for number, path in enumerate(job.files, 1):
        try:
            if isinstance(source, ExcelSource):
                from silo_node.extraction import workbook  # noqa: PLC0415

                workbook.gather(table, Path(path), source, number, len(job.files))
            else:
                from silo_node.extraction import statistical  # noqa: PLC0415

                statistical.gather(table, Path(path), source, number, len(job.files))
        except UnreadableError as error:
            raise _in_file(error, number, len(job.files)) from None


def _in_file(error: UnreadableError, number: int, of: int) -> UnreadableError:
    if of == 1 or error.fault.finding.startswith("file "):
        return error
    return UnreadableError(replace(error.fault, finding=f"file {number} of {of}: {error.fault.finding}"))


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        main()
