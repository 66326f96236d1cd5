"""Codes of terminologies by their form and check digits alone; none of their content is needed, or here.

Forms: LOINC Users' Guide (mod-10 check digit); SNOMED CT Release File Specifications, section 6 (SCTID, Verhoeff's dihedral
check digit); ICD-10, ICD-10-CM and ICD-9-CM tabular lists; ATC index; RxNorm technical documentation (RXCUI); UCUM section 2.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping
from typing import Final

from wardround.contract.model import CodeSystem

SHORTEST_SCTID, LONGEST_SCTID = 6, 18
ICD_9_CM: Final = r"[0-9]{3}(?:\.[0-9]{1,2})?|V[0-9]{2}(?:\.[0-9]{1,2})?|E[0-9]{3}(?:\.[0-9])?"
ICD_10_CM: Final = r"[A-Z][0-9][0-9A-Z](?:\.[0-9A-Z]{1,4})?"
CONCEPTS = ("00", "10")
"""Partition identifiers of SNOMED CT concepts, of the core and of extensions; others are descriptions and relationships."""


def luhn_sum(digits: str) -> int:
    """Give the sum of digits of which every second one, from the last on, is doubled and its own digits added."""
    total = 0
    for at, digit in enumerate(reversed(digits)):
        number = int(digit) * (2 if at % 2 == 0 else 1)
        total += number - 9 if number > 9 else number  # noqa: PLR2004  (the sum of two digits)
    return total


def luhn(digits: str) -> int:
    """Give the mod-10 check digit that belongs after some digits."""
    return -luhn_sum(digits) % 10


_DIHEDRAL = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_PERMUTED = ("0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258")


def verhoeff_holds(digits: str) -> bool:
    """Say whether the last digit is the check digit of those before, by Verhoeff's scheme."""
    check = 0
    for at, digit in enumerate(reversed(digits)):
        check = int(_DIHEDRAL[check][int(_PERMUTED[at % 8][int(digit)])])
    return check == 0


def _loinc(code: str) -> bool:
    return re.fullmatch(r"[1-9][0-9]{0,6}-[0-9]", code) is not None and luhn(code[:-2]) == int(code[-1])


def _snomed(code: str) -> bool:
    form = re.fullmatch(r"[1-9][0-9]+", code) is not None and SHORTEST_SCTID <= len(code) <= LONGEST_SCTID
    return form and code[-3:-1] in CONCEPTS and verhoeff_holds(code)


def _ucum(code: str) -> bool:
    closed = [code.count(opening) == code.count(closing) for opening, closing in ("()", "[]", "{}")]
    return re.fullmatch(r"[!-~]+", code) is not None and all(closed)


def _of_form(form: str) -> Callable[[str], bool]:
    compiled = re.compile(form)
    return lambda code: compiled.fullmatch(code) is not None


_ICD_10 = r"[A-Z][0-9]{2}(?:\.(?:[0-9]{1,2}|-))?[+*!†]?"
SYSTEMS: Final[Mapping[CodeSystem, Callable[[str], bool]]] = {
    "LOINC": _loinc,
    "SNOMED CT": _snomed,
    "ICD-10": _of_form(_ICD_10),
    "ICD-10-CM": _of_form(ICD_10_CM),
    "ICD-9-CM": _of_form(ICD_9_CM),
    "RxNorm": _of_form("[1-9][0-9]{0,7}"),
    "ATC": _of_form("[A-Z](?:[0-9]{2}(?:[A-Z](?:[A-Z](?:[0-9]{2})?)?)?)?"),
    "UCUM": _ucum,
}
"""Whether a text can be a code of a terminology."""


def is_code(system: CodeSystem, text: str) -> bool:
    """Say whether a text can be a code of a terminology."""
    return SYSTEMS[system](text)


def make(system: CodeSystem, random: Callable[[], float]) -> str:
    """Make up a text that can be a code of a terminology; whether it is one, only the terminology knows.

    Args:
        system: the terminology.
        random: gives numbers from 0 up to, but not, 1.
    """

    def digits(length: int) -> str:
        return str(int((1 + 9 * random()) * 10 ** (length - 1)))

    def letter() -> str:
        return string.ascii_uppercase[int(random() * 26)]

    match system:
        case "LOINC":
            number = digits(5)
            return f"{number}-{luhn(number)}"
        case "SNOMED CT":
            number = digits(6) + CONCEPTS[0]
            return next(number + check for check in string.digits if verhoeff_holds(number + check))
        case "ICD-10" | "ICD-10-CM":
            return f"{letter()}{digits(2)}.{digits(1)}"
        case "ICD-9-CM":
            return f"{digits(3)}.{digits(1)}"
        case "RxNorm":
            return digits(6)
        case "ATC":
            return f"{letter()}{digits(2)}{letter()}{letter()}{digits(2)}"
        case "UCUM":
            return ("mg/dL", "mmol/L", "g", "kg", "mm[Hg]", "/min", "%", "Cel")[int(random() * 8)]
