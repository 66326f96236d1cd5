"""What of one training survives the trainer's death, and what is told of it in the hospital."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from silo_node.training.account import Account
from silo_node.training.checkpoint import CHECKPOINT_SECONDS, Keeper, Training
from silo_node.training.execution import Execution
from silo_node.training.loop import Watch
from silo_node.work import Work


@dataclass(frozen=True)
class Durable:
    """Where trainings and results survive a death of the trainer.

    Attributes:
        journal: the hospital's ``journal/``, with a folder for each study.
        run: where the state for ``wardround silo status`` is written.
        checkpoint_seconds: how long a training lasts at least before its state is kept.
    """

    journal: Path
    run: Path
    checkpoint_seconds: float = CHECKPOINT_SECONDS


class Notes:
    """The keeper and the account of one training; where there is no place for them, there is neither."""

    def __init__(
        self,
        durable: Durable | None,
        training: Training,
        work: Work,
        watch: Watch,
        log: logging.Logger,
        execution: Execution | None = None,
    ) -> None:
        """Open both; the account is told of what the keeper does, and of every visit that looks after the training."""
        self.keeper: Keeper | None = None
        self._account: Account | None = None
        if durable is not None:
            account = Account(durable.run, work, watch, log)
            folder = durable.journal / training.study_hash
            self.keeper = Keeper(folder, training, log, durable.checkpoint_seconds, account.kept, execution)
            self._account = account
            watch.looked_after = account.visited

    def done(self) -> None:
        """Close both: the result is on disk."""
        self.unfit()
        if self._account is not None:
            self._account.tell("done")

    def unfit(self) -> None:
        """Drop what was kept: asked again, the training begins anew."""
        if self.keeper is not None:
            self.keeper.drop()

    def ended(self) -> None:
        """Close the account without a result; what was kept stays, in case the same work is asked for again."""
        if self._account is not None:
            self._account.tell("ended")
