"""A part of a ledger: of one study, or of some days. What is shown of a part says so; what verifies is always the whole."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from silo_node.naming import is_meant
from wardround.canonical import Json
from wardround.errors import refuse
from wardround.ledger.folder import DAY


@dataclass(frozen=True)
class Part:
    """Which part; everything where nothing is given.

    Attributes:
        study: its name, NAME-VERSION, or the beginning of its hash.
        since, until: the first and the last day (UTC), ``2026-07-28``.
    """

    study: str | None = None
    since: str | None = None
    until: str | None = None

    def has(self, study: str | None, time: str, studies: Collection[str] | None) -> bool:
        """Say whether an entry of a study and a time is of it; ``studies`` are those that are meant, None: all."""
        day = time[:DAY]
        return (studies is None or study in studies) and (self.since or day) <= day <= (self.until or day)

    def as_json(self) -> Json:
        """Give it for programs; null is everything."""
        return None if self == WHOLE else {"study": self.study, "since": self.since, "until": self.until}

    def __str__(self) -> str:
        """Say which part, for people; empty where it is everything."""
        parts = [f"study {self.study}"] if self.study is not None else []
        parts += [f"since {self.since}"] if self.since is not None else []
        parts += [f"until {self.until}"] if self.until is not None else []
        return ", ".join(parts)


WHOLE = Part()


def find_study(named: str, known: Mapping[str, tuple[str, str] | None]) -> str:
    """Give the hash of the study that is meant.

    Args:
        named: its name, NAME-VERSION, or the beginning of its hash.
        known: hash to name and version of the studies that stand in a ledger; None where no approval names them.

    Raises:
        Refused: A-STUDY when there is none, or more than one.
    """
    found = [study for study, name in known.items() if is_meant(named, study, name)]
    if len(found) == 1:
        return found[0]
    raise refuse(
        "A-STUDY",
        "--study",
        "One study of the ledger is meant",
        f"none of its {len(known)} studies is called so" if not found else f"{len(found)} of its studies are called so",
        "give its name and version, NAME-VERSION, or the first digits of its hash: silo ledger show has them",
    )
