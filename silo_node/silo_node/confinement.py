"""How the trainer that runs now is confined, as it found out itself at its start: for its porter, and for people.

    run/confinement.json    written by each trainer at its start; it never leaves

What it did not try, or could not find out, stands in neither list.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from wardround.confinement import Measures
from wardround.files import write_atomic
from wardround.values import Count, Value

CONFINEMENT = "confinement.json"
MODE = 0o600


class Confinement(Value):
    """What a trainer tried at its start.

    Attributes:
        process: the trainer's, so that a trainer that is gone is not taken for the one that runs.
        holds: what was tried and held; ``fails``: what was tried and did not.
    """

    process: Count
    holds: Measures
    fails: Measures

    def words(self) -> str:
        """Give a sentence for people."""
        return f"holds: {', '.join(self.holds) or 'nothing'}; does not hold: {', '.join(self.fails) or 'nothing'}"


def write_confinement(run: Path, confinement: Confinement) -> None:
    """Write what was found.

    Raises:
        Refused: O-WRITE.
    """
    write_atomic(run / CONFINEMENT, confinement.model_dump_json().encode(), mode=MODE)


def read_confinement(run: Path) -> Confinement | None:
    """Read what the trainer that runs now found; None when none runs, or it left nothing that can be read."""
    try:
        found = Confinement.model_validate_json((run / CONFINEMENT).read_bytes())
    except (OSError, ValidationError):
        return None
    return found if _runs(found.process) else None


def _runs(process: int) -> bool:
    try:
        words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"silo_node.training.process" in words
