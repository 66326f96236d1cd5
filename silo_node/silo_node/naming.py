"""How a person names a study at a hospital: in its inbox, and in its ledger."""

from __future__ import annotations

SHORTEST_HASH = 8
"""Digits of a study hash that name a study at least."""


def is_meant(named: str, study_hash: str, study: tuple[str, str] | None) -> bool:
    """Say whether a study is meant: by its name, ``NAME-VERSION``, ``NAME VERSION``, or the first digits of its hash.

    Args:
        named: what the person typed.
        study_hash: of the study.
        study: its name and version; None where they are not known.
    """
    by_name = study is not None and named in (study[0], "-".join(study), " ".join(study))
    return by_name or (len(named) >= SHORTEST_HASH and study_hash.startswith(named))
