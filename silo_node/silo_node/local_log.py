"""The hospital's own log: what happened and why, with traces; it stays in the hospital, readable by its owner only."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path

LOG_FILE = "node.log"
LARGEST_BYTES = 5_000_000
KEPT_FILES = 5


class _PrivateFile(RotatingFileHandler):
    """A rotating file that is made 0600 from its first byte. A log that cannot be written stops nothing and tells nobody."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (the name is Python's)
        """Drop what the disk does not take: its text may hold what no other place may."""

    def _open(self):  # type: ignore[no-untyped-def]  # noqa: ANN202  (the base class's own type is the stream's)
        os.close(os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
        return super()._open()


def open_log(folder: Path, name: str, file: str = LOG_FILE) -> logging.Logger:
    """Open a hospital's log in a folder; nothing of it goes to the terminal or to other logs."""
    log = logging.getLogger(f"silo_node.sites.{name}")
    close_log(log)
    handler = _PrivateFile(folder / file, maxBytes=LARGEST_BYTES, backupCount=KEPT_FILES, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    return log


def close_log(log: logging.Logger) -> None:
    """Close a log's files."""
    for handler in list(log.handlers):
        log.removeHandler(handler)
        with suppress(OSError):
            handler.close()
