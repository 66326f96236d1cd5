"""Logs of our own processes: one JSON object a line, in files of limited size that only their owner reads.

    {"time": "2026-05-04T09:30:00.123Z", "level": "WARNING", "logger": "conductor", "message": "...", "exception": "..."}

A line that is written while a reference holds (``wardround.reference``) has it as ``reference``.

Local only: texts and traces in them may hold what no message ever may.
"""

from __future__ import annotations

import json
import logging
import os
from contextlib import suppress
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

from wardround.reference import current_reference

LARGEST_BYTES = 5_000_000
KEPT_FILES = 5
LONGEST_TEXT = 65_536
"""Characters of a message or a trace that are kept: an error's text may be as large as a table."""


class JsonLines(logging.Formatter):
    """Writes a record as one line; a trace is a field of it, so that a line is always a whole record."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {"time": moment, "level": record.levelname, "logger": record.name, "message": _cut(record.getMessage())}
        reference = current_reference()
        if reference is not None:
            line["reference"] = reference
        if record.exc_info:
            line["exception"] = _cut(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


def _cut(text: str) -> str:
    """Keep the beginning and the end of a text that is too long: a trace ends with the error."""
    half = LONGEST_TEXT // 2
    return text if len(text) <= LONGEST_TEXT else f"{text[:half]} … {len(text) - 2 * half} characters … {text[-half:]}"


class PrivateFile(RotatingFileHandler):
    """A rotating file that is made 0600 from its first byte. A log that cannot be written stops nothing and tells nobody."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (the name is Python's)
        """Drop what the disk does not take: its text may hold what no other place may."""

    def _open(self):  # type: ignore[no-untyped-def]  # noqa: ANN202  (the base class's own type is the stream's)
        os.close(os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
        return super()._open()


def private_log(path: Path) -> PrivateFile:
    """Give the handler that writes a log of ours."""
    handler = PrivateFile(path, maxBytes=LARGEST_BYTES, backupCount=KEPT_FILES, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(JsonLines())
    return handler


def open_log(path: Path, name: str) -> logging.Logger:
    """Open the log of some name in a file; nothing of it goes to the terminal or to other logs."""
    log = logging.getLogger(name)
    close_log(log)
    log.addHandler(private_log(path))
    log.setLevel(logging.INFO)
    log.propagate = False
    return log


def close_log(log: logging.Logger) -> None:
    """Close a log's files."""
    for handler in list(log.handlers):
        log.removeHandler(handler)
        with suppress(OSError):
            handler.close()
