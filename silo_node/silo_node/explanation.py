"""What the hospital itself knows under a reference number: lines of its own logs, and what its ledger says was sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wardround.canonical import Json
from wardround.reference import Reference

LOGS, LEDGER = "logs", "ledger"
_LOG_FILES, _LEDGER_FILES = ("*.log", "*.log.[0-9]*"), ("*.jsonl",)


@dataclass(frozen=True)
class LogLine:
    """One line of a log. Its text and its trace may hold what no message ever may."""

    file: str
    time: str
    level: str
    message: str
    exception: str | None

    def as_json(self) -> dict[str, Json]:
        """Give it as plain JSON."""
        return {
            "file": self.file,
            "time": self.time,
            "level": self.level,
            "message": self.message,
            "exception": self.exception,
        }


@dataclass(frozen=True)
class Sent:
    """A refusal that left under the reference, as the ledger has it."""

    time: str
    code: str
    study: str | None
    task: str | None

    def as_json(self) -> dict[str, Json]:
        """Give it as plain JSON."""
        return {"time": self.time, "code": self.code, "study": self.study, "task": self.task}


@dataclass(frozen=True)
class Explanation:
    """Everything that stands under a reference here."""

    lines: tuple[LogLine, ...]
    sent: tuple[Sent, ...]


def look_up(folder: Path, reference: Reference) -> Explanation:
    """Look a reference up in the logs and the ledger of a hospital's directory; the ledger is not verified for it."""
    lines = [
        LogLine(
            file=name,
            time=_text(found, "time"),
            level=_text(found, "level"),
            message=_text(found, "message"),
            exception=_text(found, "exception") or None,
        )
        for name, found in _objects(folder / LOGS, _LOG_FILES, reference)
        if found.get("reference") == reference
    ]
    sent = [
        Sent(
            time=_text(entry, "time"),
            code=_text(entry, "code"),
            study=_text(entry, "study") or None,
            task=_text(entry, "task") or None,
        )
        for _, found in _objects(folder / LEDGER, _LEDGER_FILES, reference)
        if isinstance(entry := found.get("entry"), dict) and entry.get("reference") == reference
    ]
    return Explanation(tuple(sorted(lines, key=lambda line: line.time)), tuple(sorted(sent, key=lambda each: each.time)))


def _objects(folder: Path, patterns: tuple[str, ...], reference: Reference) -> Iterator[tuple[str, dict[str, object]]]:
    """Give the lines that hold the reference, of files that are JSON line by line; a line that was cut off is passed over."""
    for path in sorted({path for pattern in patterns for path in folder.glob(pattern)}):
        try:
            with path.open(encoding="utf-8", errors="replace") as file:
                for line in file:
                    if reference in line:
                        found = _read(line)
                        if found is not None:
                            yield path.name, found
        except OSError:  # rotated away meanwhile, or another user's
            continue


def _read(line: str) -> dict[str, object] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _text(found: dict[str, object], name: str) -> str:
    value = found.get(name)
    return value if isinstance(value, str) else ""
