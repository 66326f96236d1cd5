"""A centre that exists for one dry run: keys that are thrown away, tasks as a centre writes them, answers as a centre reads them.

It conducts nothing and decides nothing; hospitals know it by a roster that nobody else has seen.
"""

from __future__ import annotations

from dataclasses import dataclass

from wardround.identity.encryption import EncryptionKey
from wardround.identity.keys import SigningKey
from wardround.identity.roster import Coordinator, Member
from wardround.messages.confidential import decrypted, encrypted_for
from wardround.messages.envelope import Envelope, digests, read, seal
from wardround.messages.round import ANSWER, RecordCount, Reply, SiloRefusal, Task, TaskCore, Working
from wardround.study.encoding import Encoding


@dataclass(frozen=True)
class Order:
    """What a task asks, and what comes with it.

    Attributes:
        core: what is asked, the same for every hospital.
        encoding: from a record to a network's input; none for statistics.
        records: the hospital's count of training records, once it is known.
        weights: packed; none for statistics.
        deadline_seconds: how long the centre would wait.
    """

    core: TaskCore
    deadline_seconds: float
    encoding: Encoding | None = None
    records: RecordCount | None = None
    weights: bytes | None = None


class PretendedCentre:
    """A centre with keys of its own, for as long as it is held."""

    def __init__(self, name: str) -> None:
        """Make its keys; ``name`` stands in its roster."""
        self._key, self._encryption = SigningKey.generate(), EncryptionKey.generate()
        self.coordinator = Coordinator(name=name, signing_key=self._key.public, encryption_key=self._encryption.public)

    def task(self, order: Order, member: Member) -> Envelope:
        """Write a task to a hospital: signed, and its weights encrypted to it."""
        arrays = () if order.weights is None else (order.weights,)
        task = Task(
            to=member.site,
            study_hash=order.core.study_hash,
            task_id=order.core.task_id(),
            core=order.core,
            encoding=order.encoding,
            records=order.records,
            deadline_seconds=order.deadline_seconds,
            bodies=digests(arrays),
        )
        return encrypted_for(seal("task", task, self._key, arrays), member.encryption_key)

    def read(self, envelope: Envelope) -> tuple[Reply | SiloRefusal | Working | None, Envelope | None]:
        """Read an answer: the message, and the envelope with its arrays in plain form; None for what cannot be read."""
        return read(envelope, ANSWER), decrypted(envelope, self._encryption)
