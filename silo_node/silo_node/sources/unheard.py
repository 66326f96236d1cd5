"""What native code prints while a table is read: thrown away, since nobody knows that the words of a panic hold no cell.

Code in Rust that panics over a damaged file prints why before anybody can catch it, from any of its threads: on the
terminal, or into the node's own log. So while a table is read, this process's standard error (descriptor 2) leads nowhere;
Python's own ``sys.stderr`` has a descriptor of its own and goes on. Where a read ended by a panic, it leads nowhere for good:
other threads may panic yet. What ends the process meanwhile, such as an allocation that fails, is told by its signal and by
the trace that ``faulthandler`` writes.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from polars.exceptions import PanicException

STANDARD_ERROR = 2

_Words = ParamSpec("_Words")
_Found = TypeVar("_Found")


class _Silence:
    """The state of this process's descriptor: how many reads want it silent, and where it leads else."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reads = 0
        self._for_good = False
        self._kept: int | None = None

    def begin(self) -> None:
        with self._lock:
            self._reads += 1
            if self._reads == 1 and not self._for_good:
                _part_python()
                self._kept = os.dup(STANDARD_ERROR)
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, STANDARD_ERROR)
                os.close(nowhere)

    def end(self, *, for_good: bool) -> None:
        with self._lock:
            self._reads -= 1
            self._for_good = self._for_good or for_good
            if self._reads == 0 and self._kept is not None:
                if not self._for_good:
                    os.dup2(self._kept, STANDARD_ERROR)
                os.close(self._kept)
                self._kept = None


_silence = _Silence()


def unheard(read: Callable[_Words, _Found]) -> Callable[_Words, _Found]:
    """Have a function that reads a table do so while nothing is heard of what native code prints."""

    @functools.wraps(read)
    def unheard_read(*words: _Words.args, **more: _Words.kwargs) -> _Found:
        _silence.begin()
        panicked = False
        try:
            return read(*words, **more)
        except BaseException as error:  # a panic is no Exception
            panicked = _came_of_a_panic(error)
            raise
        finally:
            _silence.end(for_good=panicked)

    return unheard_read


def _came_of_a_panic(error: BaseException | None) -> bool:
    """Say whether an error is a panic, or was raised in place of one."""
    while error is not None:
        if isinstance(error, PanicException):
            return True
        error = error.__context__
    return False


def _part_python() -> None:
    """Give Python's standard error a descriptor of its own, where it shares native code's."""
    try:
        shared = sys.stderr is not None and sys.stderr.fileno() == STANDARD_ERROR
    except (OSError, ValueError):
        return
    if shared:
        sys.stderr.flush()
        sys.stderr = os.fdopen(os.dup(STANDARD_ERROR), "w", buffering=1, encoding=sys.stderr.encoding, errors=sys.stderr.errors)
