"""The reports of checks that left this hospital, so that no two of them can be subtracted from one another.

    journal/reports.json    what left of each schema, over all studies; readable by the hospital only

Two reports of almost the same records differ by few: each alone shows no small count, their difference is one. So the later
one leaves without counts then. A hospital whose records change a little between two studies says its counts once.

The file does not grow without end: once it holds ``MOST_REPORTS``, a report that is not among them leaves without counts.
Nothing is ever forgotten, since what was forgotten could be subtracted.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from silo_node.porter.memory import JOURNAL
from wardround.canonical import canonical_bytes, model_json
from wardround.files import remove_leftovers, write_atomic
from wardround.messages.data_report import DataReport, differ_by_few, without_counts
from wardround.values import Value

FILE = "reports.json"
MOST_REPORTS = 500
"""Different reports of one hospital, over all schemas and studies: one a week for ten years, and about a megabyte."""


class _Told(Value):
    """Everything that left, each different report once."""

    format: int = 1
    reports: tuple[DataReport, ...] = ()


class ToldReports:
    """What one hospital has told of its records."""

    def __init__(self, folder: Path) -> None:
        """Take the hospital's directory; it has one porter at a time, which alone writes here."""
        self._path = folder / JOURNAL / FILE

    def weighed(self, report: DataReport, small_cell: int) -> DataReport:
        """Give a report as it may leave after those that left before; without counts where those are too many or unreadable."""
        told = self._read()
        if told is None or (_is_full(told) and report not in told.reports):
            return without_counts(report)
        same = (each for each in told.reports if each.schema_id == report.schema_id)
        few = any(differ_by_few(each, report, small_cell) for each in same)
        return without_counts(report) if few else report

    def remember(self, report: DataReport) -> None:
        """Write down a report that is about to leave; a file that cannot be read, or is full, stays: then nothing shown leaves.

        Raises:
            Refused: O-WRITE when the disk does not take it; then it may not leave.
        """
        told = self._read()
        if told is None or report in told.reports or _is_full(told):
            return
        remove_leftovers(self._path)
        written = told.model_copy(update={"reports": (*told.reports, report)})
        write_atomic(self._path, canonical_bytes(model_json(written)), mode=0o600)

    def _read(self) -> _Told | None:
        try:
            return _Told.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return _Told()
        except (OSError, ValidationError):
            return None


def _is_full(told: _Told) -> bool:
    return len(told.reports) >= MOST_REPORTS
