"""The hospital's own log: what happened and why, with traces; it stays in the hospital, readable by its owner only."""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from wardround.json_log import open_log as open_json_log
from wardround.reference import current_reference, new_reference, referred

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

LOG_FILE = "node.log"
STANDARD_ERROR = 2


def open_log(folder: Path, name: str, file: str = LOG_FILE) -> logging.Logger:
    """Open a hospital's log in a folder; nothing of it goes to the terminal or to other logs."""
    return open_json_log(folder / file, f"silo_node.sites.{name}")


def keep_everything(log: logging.Logger) -> None:
    """Have everything that this process or a library says of itself end in the hospital's own log, and nowhere else.

    Warnings, the logs of libraries, and errors that nobody caught, in any thread or finaliser. What native code prints goes
    where the supervisor put this process's output: a file of the owner's in ``logs/`` too, and so does the trace of a crash.
    """
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    for handler in log.handlers:
        root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    faulthandler.enable(os.dup(STANDARD_ERROR))  # one of its own: while a table is read, that of native code leads nowhere

    def uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        with referred(current_reference() or new_reference()):
            log.critical("the process ends by an error that nobody caught", exc_info=(kind, error, trace))

    def in_thread(arguments: threading.ExceptHookArgs) -> None:
        with referred(current_reference() or new_reference()):
            log.critical("a thread ended by an error that nobody caught", exc_info=arguments.exc_value)

    def unraisable(arguments: UnraisableHookArgs) -> None:
        log.error("an error where none can be raised", exc_info=arguments.exc_value)  # its object may hold anything: not shown

    sys.excepthook, threading.excepthook, sys.unraisablehook = uncaught, in_thread, unraisable
