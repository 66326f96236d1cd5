"""Which Wardround the centre runs, as it last said under its signature: in the invitation, an offer or a canary.

    journal/centre.json     the version, and when it was told

For ``wardround silo doctor`` alone; nothing is refused because of it. What must agree is held to elsewhere: the protocol by
each message, and the algorithms by the study's hash.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from silo_node.porter.memory import JOURNAL
from wardround.errors import Refused
from wardround.files import write_atomic
from wardround.values import Instant, Value, Version, instant

FILE = "centre.json"


class CentreSoftware(Value):
    """The centre's version of Wardround, and when it was told so (UTC)."""

    wardround: Version
    told_at: Instant


def heard(folder: Path | None, version: Version | None) -> None:
    """Write down what the centre said; a disk that is full stops nothing."""
    if folder is None or version is None:
        return
    known = last_heard(folder)
    if known is None or known.wardround != version:
        told = CentreSoftware(wardround=version, told_at=instant(datetime.now(UTC)))
        with suppress(Refused):
            write_atomic(folder / JOURNAL / FILE, told.model_dump_json().encode(), mode=0o600)


def last_heard(folder: Path) -> CentreSoftware | None:
    """Give what the centre said last; None when that is not known."""
    try:
        return CentreSoftware.model_validate_json((folder / JOURNAL / FILE).read_bytes())
    except (OSError, ValidationError):
        return None
