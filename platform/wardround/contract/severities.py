"""Which findings a contract may weigh otherwise, and which a hospital may explain (``docs/decisions/0028``).

What makes a record unusable (its keys, types, values), what tells of a person, and the shape of the file are never
weighed: a model would learn from what is not there. What is weighed are statements on shares, on whole columns and on what
holds between records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from wardround.errors import CATALOGUE

if TYPE_CHECKING:
    from wardround.contract.model import CheckSetting, Contract

Reason: TypeAlias = Literal["not_collected", "other_device", "legacy_records", "case_mix", "known_and_accepted"]
"""Why a hospital's table is as it is, in a word that may leave.

``not_collected``: the hospital does not measure or write down this field. ``other_device``: another device, assay or
method than the contract thinks of. ``legacy_records``: older records were kept in another way. ``case_mix``: its patients
are others than those of the reference. ``known_and_accepted``: looked at, and taken as it is.
"""

STRUCTURE: Final = frozenset(
    {"T-FILE", "T-ENCODING", "T-DELIM", "T-NOHEADER", "T-HDRDUP", "T-MISSCOL", "T-EXTRACOL", "T-RAGGED", "T-EMPTY"}
    | {"T-PARTS", "T-STALE", "T-SIZE", "T-QUERY", "T-CELL", "T-JOIN", "T-TIE"}
)
KEYS: Final = frozenset({"T-NULL", "T-DUPKEY", "T-FK"})
VALUES: Final = frozenset(
    {"T-TYPE", "T-INTFRAC", "T-NONFINITE", "T-MAP", "T-RANGE", "T-ENUM", "T-PATTERN"}
    | {"T-LEADZERO", "T-SCI", "T-BIGINT", "T-BOOL", "T-CODEVER", "T-DATEFMT", "T-TZ"}
)
WEIGHED_RECORDS: Final = frozenset({"T-VARYING", "T-OVERLAP", "T-DUPROW"})
"""Codes whose findings on single records are weighed. Those of T-CASE and T-SENTINEL may stand for one that breaks a limit."""
PERSONAL: Final = frozenset({"T-PHI-ID", "T-PHI-TEXT"})
ELSEWHERE: Final = {
    "T-RULE": "a rule says its own severity and share, under 'rules'",
    "T-FEW": "the least numbers stand under 'limits'",
    "T-QUARANTINE": "the share that may be set aside is the study's",
    "T-LABEL": "nothing can be learned from one class",
    "T-SYNTHETIC": "records that were made up are always said to be",
}
"""Codes that are weighed somewhere else, or nowhere."""

FIXED: Final = STRUCTURE | KEYS | VALUES | PERSONAL | frozenset(ELSEWHERE)
"""Codes whose severity no contract changes; for single fields there is ``investigative``."""

OWN_SHARE: Final = {
    "T-MISSLIM": "write it as the field's missing.max_fraction",
    "T-ALLNULL": "it is about a column without any value",
    "T-CONST": "it is about a column as a whole",
    "T-DATESHIFT": "it is about columns as a whole",
    "T-LEAK": "it is about a column as a whole",
    "T-UNIT": "it is about a column as a whole",
    "T-DRIFT": "it is about a column as a whole",
}
"""Codes for which no share of records is meant."""

EXPLAINABLE: Final = frozenset(
    {
        "T-PLAUS",
        "T-MISSLIM",
        "T-ALLNULL",
        "T-RULE",
        "T-SENTINEL",
        "T-UNIT",
        "T-UNITMIX",
        "T-DRIFT",
        "T-DATESHIFT",
        "T-CONST",
        "T-LABELMISS",
        "T-LEAK",
    }
)
"""Codes whose findings on shares and whole columns a hospital may explain; T-RULE for rules of severity ``warning`` alone."""


def known_codes() -> tuple[str, ...]:
    """Give every code of a finding on records."""
    return tuple(code for code in CATALOGUE if code.startswith("T-"))


def setting_for(contract: Contract, code: str, fields: Iterable[str]) -> CheckSetting | None:
    """Give what a contract says of one kind of finding; a setting that names one of its fields before one that names none."""
    of_code = [each for each in contract.checks if each.code == code]
    about = set(fields)
    return next(
        (each for each in of_code if about.intersection(each.fields)), next((each for each in of_code if not each.fields), None)
    )


def why_fixed(code: str) -> str | None:
    """Say why a contract cannot weigh a code; nothing when it can."""
    if code in ELSEWHERE:
        return ELSEWHERE[code]
    if code in STRUCTURE:
        return "a file of another shape cannot be read"
    if code in KEYS:
        return "without its keys a record is nobody's"
    if code in VALUES:
        return "a record with such a value cannot be learned from; for one optional field write investigative: true"
    return "what tells of a person is as severe everywhere" if code in PERSONAL else None


_REACH: Final[dict[str, Callable[[Contract], Iterable[str]]]] = {
    "T-ALLNULL": lambda contract: (each.name for each in contract.fields if not each.required),
    "T-PLAUS": lambda contract: (each.name for each in contract.fields if each.plausible is not None),
    "T-VARYING": lambda contract: contract.longitudinal.constant,
    "T-OVERLAP": lambda contract: contract.longitudinal.no_overlap or (),
    "T-CONST": lambda contract: (each.name for each in contract.fields if each.type in ("integer", "number") or each.values),
    "T-DATESHIFT": lambda contract: (each.name for each in contract.fields if each.type == "date"),
    "T-DUPROW": lambda _: (),
}


def reach(contract: Contract, code: str) -> frozenset[str]:
    """Give the fields in which a finding of a code can be weighed.

    A required column without a value is no such finding: each of its records would be set aside.
    """
    return frozenset(_REACH[code](contract)) if code in _REACH else frozenset(contract.names)
