"""The table of what a classifier says."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events


class Scores:
    """Write a CSV file at the end of a run: the file of each image, and the probability, or the number, of each column.

    Attributes:
        path: of the table; it replaces an older one.
        columns: names of the probabilities, or of the number, in the network's order.
    """

    def __init__(self, path: str, columns: Sequence[str]) -> None:
        self.path, self.columns = Path(path), tuple(columns)
        self._rows: list[tuple[str, ...]] = []

    def attach(self, engine: Engine) -> None:
        """Listen to a run."""
        engine.add_event_handler(Events.STARTED, self._begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._take)
        engine.add_event_handler(Events.COMPLETED, self._write)

    def _begin(self, _engine: Engine) -> None:
        self._rows.clear()

    def _take(self, engine: Engine) -> None:
        state: Any = engine.state  # MONAI keeps lists of samples in it
        for given, found in zip(state.batch, state.output, strict=True):
            self._rows.append((given["file"], *(f"{float(each):.9g}" for each in found["pred"])))

    def _write(self, _engine: Engine) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("file", *self.columns))
            writer.writerows(self._rows)
