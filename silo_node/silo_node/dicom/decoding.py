"""Whether pixels decode, and masks fit, found out by doing so: in a process of its own that may crash, hang or run out of memory.

check ──one line a file──> trial (``silo_node.dicom.trial``) ──what it is──> check
                             └─ gone, or silent for too long: ended, D-CRASH, and a new one goes on with the next file
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

from pydantic import ValidationError

from silo_node.dicom import segmentation
from silo_node.dicom.child import MEMORY_BYTES, Child
from silo_node.dicom.instance import Instance
from silo_node.dicom.segmentation import Target
from silo_node.dicom.trial import ANSWERS, LOOK, Look, mask_question, question

SECONDS_AN_IMAGE: Final = 2.0
"""That decoding may take; a file of many frames has as many images."""

SECONDS_A_FILE: Final = 60.0
"""At most, however many frames a file says that it has."""

CRASHED: Final = Look("D-CRASH")


class Trial:
    """One process that decodes, and the next one when that is gone."""

    def __init__(self, folder: Path, memory_bytes: int = MEMORY_BYTES, seconds: float = SECONDS_AN_IMAGE) -> None:
        """Begin; no process is started before there is a file.

        Args:
            folder: that the files lie in.
            memory_bytes: the most that the process may hold.
            seconds: that an image may take.
        """
        self._folder = folder.absolute()
        self._seconds = seconds
        self._child = Child("silo_node.dicom.trial", memory_bytes)

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the process."""
        self._child.__exit__(kind, error, trace)

    def look(self, instance: Instance) -> Look:
        """Decode one file, and say what its pixels are.

        Raises:
            RuntimeError: the process does not start.
        """
        answer = self._child.ask(question(self._folder, instance), self._seconds_for(instance.pixels.frames or 1))
        try:
            return LOOK.validate_json(answer)
        except ValidationError:  # nothing, or what no process of ours says
            return CRASHED

    def mask_fault(
        self, on: Target, file: str, classes: Mapping[str, str], names: Mapping[str, str]
    ) -> segmentation.Fault | Literal["D-CRASH"] | None:
        """Read a mask of a stack, and say why it is none; ``None`` where it is one.

        Raises:
            RuntimeError: the process does not start.
        """
        frames = len(on.instances) * (1 + len(classes))
        answer = self._child.ask(mask_question(self._folder, on, file, classes, names), self._seconds_for(frames))
        return ANSWERS[answer.strip()] if answer else "D-CRASH"

    def _seconds_for(self, images: int) -> float:
        return min(self._seconds * max(images, 1), SECONDS_A_FILE)


def looks(
    folder: Path,
    images: Iterable[Instance],
    progress: Callable[[int], None] = lambda _done: None,
    memory_bytes: int = MEMORY_BYTES,
) -> dict[str, Look]:
    """Decode images one after the other; give what they are, by file."""
    found: dict[str, Look] = {}
    with Trial(folder, memory_bytes) as trial:
        for done, image in enumerate(images, 1):
            found[image.file] = trial.look(image)
            progress(done)
    return found
