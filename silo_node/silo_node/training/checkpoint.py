"""Checkpoints: a training that was cut off goes on after its last kept epoch, and ends with the same bits.

    journal/<study hash>/checkpoint     the unfinished training of a study; at most one

A checkpoint is used only for the same work, on the same records, under the same execution fingerprint. Else it is
dropped, the training begins anew, and the hospital's log says why.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from silo_node.training.execution import Execution
from silo_node.training.fingerprint import Fingerprint, take_fingerprint
from silo_node.training.sealed_file import Damaged, Sealed, drop, read_sealed, write_sealed
from wardround.errors import Refused
from wardround.values import Count, Sha256, Slug, Value

CHECKPOINT_SECONDS = 5.0
"""How long a training lasts at least, from its begin or its last checkpoint, before its state is worth keeping."""
KIND = "checkpoint"
FILE = "checkpoint"


class CheckpointHead(Value):
    """Whose training the state is of.

    Attributes:
        records: digest of the encoded training records, which never leaves.
        epoch: local epochs that are done.
    """

    site: Slug
    study_hash: Sha256
    work: Sha256
    records: Sha256
    fingerprint: Fingerprint
    epoch: Count


@dataclass(frozen=True)
class Training:
    """A training that may be cut off: which work, of which hospital, on which records."""

    site: str
    study_hash: str
    work: str
    records: str


@dataclass(frozen=True)
class Start:
    """How a training starts: after so many epochs, from this state; and, if a checkpoint was dropped, why."""

    how: Literal["anew", "resumed", "restarted"] = "anew"
    epoch: int = 0
    state: bytes = b""
    why: tuple[str, ...] = ()


class Keeper:
    """Keeps one training's state."""

    def __init__(
        self,
        folder: Path,
        training: Training,
        log: logging.Logger,
        seconds: float,
        told: Callable[[Start | int], None] = lambda _what: None,
        execution: Execution | None = None,
    ) -> None:
        """Take the study's own folder, who is told of the start and of every epoch that was kept, and how the training is
        carried out.
        """
        self._path = folder / FILE
        self._training = training
        self._log = log
        self._seconds = seconds
        self._told = told
        self._execution = execution
        self._last = time.monotonic()

    @cached_property
    def _fingerprint(self) -> Fingerprint:
        """Taken when it is needed first: a short training needs none."""
        return take_fingerprint(self._execution)

    def begin(self) -> Start:
        """Find out how to start."""
        start = self._find()
        if start.how == "resumed":
            self._log.info("the training goes on after epoch %s, from its checkpoint", start.epoch)
        elif start.how == "restarted":
            self._log.warning("a checkpoint is not used and the training begins anew: %s", ", ".join(start.why))
            self.drop()
        self._last = time.monotonic()
        self._told(start)
        return start

    def _find(self) -> Start:
        try:
            sealed = read_sealed(self._path, KIND)
            return Start() if sealed is None else self._judge(sealed)
        except (Damaged, ValidationError):
            return Start("restarted", why=("damaged",))

    def _judge(self, sealed: Sealed) -> Start:
        head, training = CheckpointHead.model_validate_json(sealed.head), self._training
        if (head.site, head.study_hash) != (training.site, training.study_hash):
            return Start("restarted", why=("foreign",))
        if head.work != training.work:  # an earlier round that was given up: no loss to speak of
            self.drop()
            return Start()
        changed = head.fingerprint.differences(self._fingerprint)
        if head.records != training.records:
            changed = (*changed, "records")
        return Start("restarted", why=changed) if changed else Start("resumed", head.epoch, bytes(sealed.body))

    def boundary(self, epoch: int, take: Callable[[], bytes]) -> None:
        """Keep the state after an epoch, if there is enough in it to lose; a full disk stops no training."""
        if time.monotonic() - self._last < self._seconds:
            return
        training = self._training
        head = CheckpointHead(
            site=training.site,
            study_hash=training.study_hash,
            work=training.work,
            records=training.records,
            fingerprint=self._fingerprint,
            epoch=epoch,
        )
        try:
            write_sealed(self._path, KIND, head, take())
        except Refused as refused:
            self._log.warning("a checkpoint was not kept: %s", refused)
        else:
            self._told(epoch)
        self._last = time.monotonic()

    def drop(self) -> None:
        """Forget the state: the result is there, or the state is of no use."""
        drop(self._path)
