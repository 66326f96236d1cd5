"""National identifiers of people and patients, and numbers of their accounts: by form, check digits and dates of birth.

Each is described by the authority that gives it out; the check digits follow the public descriptions. Account numbers are
those of ISO 13616 (IBAN), with the lengths that its registry gives for each country.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from wardround.contract.code_systems import luhn, luhn_sum


@dataclass(frozen=True)
class NationalId:
    """One kind of identifier.

    Attributes:
        form: what the whole text looks like.
        holds: whether a text of that form is one, by its check digits.
        telling: whether one such text is evidence; else chance makes one in ten or so, and only a column of them is.
        varied: whether a column of them is evidence only where they begin in many ways: ids of trials (site, arm, number)
            can have the same form, and begin with the numbers of a few sites.
    """

    form: re.Pattern[str]
    holds: Callable[[str], bool]
    telling: bool
    varied: bool = False

    def is_one(self, text: str) -> bool:
        """Say whether a text is such an identifier."""
        return self.form.fullmatch(text) is not None and self.holds(text)


def _digits(text: str) -> str:
    return "".join(each for each in text if each.isdigit())


def _weighted(digits: str, weights: tuple[int, ...]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def _day(day: str, month: str) -> bool:
    return 1 <= int(day) <= 31 and 1 <= int(month) <= 12  # noqa: PLR2004


def _nhs(text: str) -> bool:
    digits = _digits(text)
    check = 11 - _weighted(digits, tuple(range(10, 1, -1))) % 11
    return len(set(digits)) > 1 and check % 11 == int(digits[9]) and check != 10  # noqa: PLR2004


def _bsn(text: str) -> bool:
    return len(set(text)) > 1 and _weighted(text, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def _ahv(text: str) -> bool:
    digits = _digits(text)
    return -_weighted(digits[:12], (1, 3) * 6) % 10 == int(digits[12])


def _dni(text: str) -> bool:
    digits = str("XYZ".index(text[0])) + text[1:-1] if text[0] in "XYZ" else text[:-1]
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(digits) % 23] == text[-1]


def _pesel(text: str) -> bool:
    month = int(text[2:4]) % 20
    return _day(text[4:6], f"{month:02d}") and _weighted(text, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0


def _nir(text: str) -> bool:
    digits = _digits(text)
    return 97 - int(digits[:13]) % 97 == int(digits[13:])


def _personnummer(text: str) -> bool:
    digits = _digits(text)[-10:]
    return _day(str(int(digits[4:6]) % 60), digits[2:4]) and luhn(digits[:9]) == int(digits[9])


def _hetu(text: str) -> bool:
    number = int(text[:6] + text[7:10])
    return _day(text[:2], text[2:4]) and "0123456789ABCDEFHJKLMNPRSTUVWXY"[number % 31] == text[10]


def _kvnr(text: str) -> bool:
    return luhn_sum(f"{ord(text[0]) - ord('A') + 1:02d}{text[1:9]}") % 10 == int(text[9])


def _codice_fiscale(text: str) -> bool:
    odd = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
    total = 0
    for at, sign in enumerate(text[:15]):
        number = int(sign) if sign.isdigit() else ord(sign) - ord("A")
        total += odd[number] if at % 2 == 0 else number
    return chr(ord("A") + total % 26) == text[15]


def _ssn(text: str) -> bool:
    area, group, serial = text.split("-")
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


def _cpr(text: str) -> bool:
    return _day(text[:2], text[2:4])


def _iban(text: str) -> bool:
    plain = text.replace(" ", "")
    return (
        len(plain) == _IBAN_LENGTHS.get(plain[:2])
        and int("".join(str(int(sign, 36)) for sign in plain[4:] + plain[:4])) % 97 == 1
    )


_IBAN_LENGTHS = {
    **dict.fromkeys(("BE",), 16),
    **dict.fromkeys(("DK", "FI", "NL"), 18),
    **dict.fromkeys(("AT", "LT", "LU", "EE"), 20),
    **dict.fromkeys(("CH", "HR", "LI", "LV"), 21),
    **dict.fromkeys(("BG", "DE", "GB", "IE"), 22),
    **dict.fromkeys(("CZ", "ES", "RO", "SE", "SK"), 24),
    **dict.fromkeys(("IS", "TR"), 26),
    **dict.fromkeys(("FR", "GR", "IT", "MC", "SM"), 27),
    **dict.fromkeys(("CY", "HU", "PL"), 28),
    "MT": 31,
    "NO": 15,
    "PT": 25,
    "SI": 19,
}
"""Signs of an account number by the country that it begins with."""


def _kind(form: str, holds: Callable[[str], bool], *, telling: bool = False, varied: bool = False) -> NationalId:
    return NationalId(re.compile(form, re.ASCII), holds, telling, varied)


NATIONAL_IDS = (
    _kind(r"756\.?\d{4}\.?\d{4}\.?\d{2}", _ahv, telling=True),  # Switzerland
    _kind(r"[A-Z]{6}\d{2}[ABCDEHLMPRST]\d{2}[A-Z]\d{3}[A-Z]", _codice_fiscale, telling=True),  # Italy
    _kind(r"[12] ?\d\d ?(?:0[1-9]|1[0-2]) ?\d\d ?\d{3} ?\d{3} ?\d\d", _nir, telling=True),  # France
    _kind(r"(?:\d\d)?\d{6}[-+]\d{4}", _personnummer, telling=True),  # Sweden
    _kind(r"\d{6}[-+ABCDEFYXWVU]\d{3}[0-9A-Y]", _hetu, telling=True),  # Finland
    _kind(r"\d{8}[A-Z]|[XYZ]\d{7}[A-Z]", _dni),  # Spain
    _kind(r"\d{3} \d{3} \d{4}", _nhs, telling=True),  # England and Wales, as it is written for people
    _kind(r"\d{10}", _nhs),
    _kind(r"\d{9}", _bsn),  # the Netherlands
    _kind(r"\d{11}", _pesel),  # Poland
    _kind(r"[A-Z]\d{9}", _kvnr),  # Germany, health insurance
    _kind(r"\d{6}-\d{4}", _cpr),  # Denmark, without check digits since 2007
    _kind(r"\d{3}-\d{2}-\d{4}", _ssn, varied=True),  # United States, without check digits
    _kind(r"[A-Z]{2}\d\d(?: ?[A-Z0-9]{4}){2,6}(?: ?[A-Z0-9]{1,3})?", _iban, telling=True),  # bank accounts
)
"""Identifiers that many hospitals have."""
SHORTEST_UNTELLING, LONGEST_UNTELLING = 9, 11
"""Lengths of those that chance makes."""
TELLING_FORMS = "|".join(each.form.pattern for each in NATIONAL_IDS if each.telling)


def is_telling(text: str) -> bool:
    """Say whether a text by itself is a national identifier."""
    return any(each.telling and each.is_one(text) for each in NATIONAL_IDS)
