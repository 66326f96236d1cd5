"""The process that tries to decode pixels: started by ``silo_node.dicom.decoding``, told which on standard input.

Decoders are C, and files are hostile: whatever crashes, hangs or eats memory does so here, alone. For each line, the path of a
file and what the index knows of it, one byte comes back. What decoders print goes nowhere: it may hold what a file holds.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from silo_node.dicom.burned_in import looks_like_text
from silo_node.dicom.instance import Instance
from silo_node.dicom.pixels import UndecodableError, decode
from wardround.supervision.no_dump import no_core_dumps

READY, DECODED, UNDECODABLE, TEXT = b"r", b"d", b"u", b"t"
"""What is answered: once at the start, and one for each file; the last: decoded, and as if text were in it."""

ABANDONED_SECONDS: Final = 120
"""After which the process ends itself over one file: whoever asked would have ended it long before, and is gone."""

_INSTANCE: Final = TypeAdapter(Instance)


def main(memory_bytes: int) -> None:
    """Answer until standard input ends."""
    no_core_dumps()
    answers = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    with suppress(ValueError, OSError):  # the system's own limit may be lower already
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    os.write(answers, READY)
    for line in sys.stdin.buffer:
        name, _, body = line.partition(b" ")
        signal.alarm(ABANDONED_SECONDS)
        instance = _INSTANCE.validate_json(body)
        try:
            pixels = decode(Path(os.fsdecode(bytes.fromhex(name.decode()))), instance)
        except (UndecodableError, OSError):
            os.write(answers, UNDECODABLE)
        else:
            frame = pixels if instance.pixels.frames == 1 else pixels[len(pixels) // 2]
            os.write(answers, TEXT if looks_like_text(frame) else DECODED)
        signal.alarm(0)


def question(folder: Path, instance: Instance) -> bytes:
    """Give the line that asks for one file; names of files may be any bytes."""
    name = os.fsencode(folder / instance.file).hex().encode()
    return name + b" " + _INSTANCE.dump_json(replace(instance, file="")) + b"\n"


if __name__ == "__main__":
    main(int(sys.argv[1]))
