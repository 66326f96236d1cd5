"""What a running service has to be reminded of in good time, such as of a certificate that ends: told once a day."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from wardround.errors import Refused

DAY_SECONDS = 24 * 3600.0


def remind_daily(
    lines: Callable[[], Iterable[str]],
    tell: Callable[[str], None],
    pause_seconds: float = DAY_SECONDS,
    first_after_seconds: float = 0.0,
) -> None:
    """Tell some lines now, or after a while, and every day, in a thread that ends with the process.

    Args:
        lines: gives what is to be told at the moment; when it cannot (``Refused``, or a file that is away), it is asked again
            the next day.
        tell: takes each line, such as a log.
        pause_seconds: the length of a day.
        first_after_seconds: when they are told first, for who has just told them.
    """
    waiting = threading.Event()

    def remind() -> None:
        waiting.wait(first_after_seconds)
        while True:
            try:
                for line in lines():
                    tell(line)
            except (Refused, OSError, ValueError):
                pass  # told by others: by the next start, or the doctor
            waiting.wait(pause_seconds)

    threading.Thread(target=remind, name="reminder", daemon=True).start()
