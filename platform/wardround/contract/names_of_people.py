"""Names of fields and columns that say that names of people stand there, such as ``last_name``, ``Vorname`` or ``prénom``."""

from __future__ import annotations

import re

_CALLED_NAMES = re.compile(
    r"\b(first|given|middle|last|family|maiden|patient|sur|fore) ?names?\b"
    r"|\b(vor|nach|familien|geburts|patienten) ?namen?\b"
    r"|\bpr[ée]noms?\b|\bnom (de famille|de naissance|du patient)\b"
    r"|\bapellidos?\b|\bnombre (de pila|del paciente)\b|\bcognomi?e?\b"
)
"""In small letters, words parted by blanks."""


def holds_names(called: str) -> bool:
    """Say whether a field or column holds names of people by what it is called, whatever its cells look like."""
    words = re.sub(r"[\W\d_]+", " ", re.sub(r"(?<=[a-zß-ÿ])(?=[A-ZÀ-Þ])", " ", called))
    return _CALLED_NAMES.search(words.lower()) is not None
