"""The catalogue of bad values whose code is the general one: types, ranges, codes, keys, shares, rules, and the study's target.

Each in several variants, as CSV and as Parquet, with exactly its rows. What has a more special cause is in
``test_catalogue_cells``, what stands between records in ``test_catalogue_records``, units in ``test_catalogue_units``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from catalogue_on_disk import COLUMNS, CONTRACT, HEIGHT, Bad, changed, frame, hold, judged, lay_out, records
from clinic_study import make_study

from silo_node.local_report.question import Question
from silo_node.validation.check import check

FORMS = pytest.mark.parametrize("form", ["csv", "parquet"])
PATTERN = {"pattern": "QXR[0-9]{4}", "required": True}
CODES = {"column": COLUMNS["outcome"], "codes": {"well": "well", "ill": "ill"}}


def cells(*found: tuple[str, str | None, list[int]], height: int = HEIGHT, **more: Any) -> Bad:
    """Expect findings in rows, from 0; ``put`` are the cells that differ from the honest table's."""
    put = more.pop("put")
    counts = [(code, name, rows, len(rows)) for code, name, rows in found]
    return Bad(frame(changed(put, height)), counts, **more)


def one(code: str, name: str, put: dict[int, str], **more: Any) -> Bad:
    """Expect one finding in a field, in just the rows whose cells differ, which are set aside."""
    return cells(
        (code, name, sorted(put)), put={(row, name): text for row, text in put.items()}, aside=len(put), passed=True, **more
    )


def share(code: str, name: str, put: dict[int, str], *, listed: bool = True, **more: Any) -> Bad:
    """Expect a finding on a share or a column, which sets nobody aside."""
    bad = cells((code, name, sorted(put)), put={(row, name): text for row, text in put.items()}, **more)
    return bad if listed else Bad(**{**vars(bad), "expected": [(code, name, [], len(put))]})


def with_field(name: str, **constraints: Any) -> dict[str, Any]:
    """Give the contract with other constraints of one field."""
    return {
        "fields": [
            {**field, "constraints": {**field.get("constraints", {}), **constraints}} if field["name"] == name else field
            for field in CONTRACT["fields"]
        ]
    }


def rule(check_text: str) -> dict[str, Any]:
    return {"rules": [{"id": "held", "check": check_text}]}


EVERY = range(HEIGHT)
SENTENCE = "The patient felt well and went home after breakfast on the {} day, Meier said."
LONG = with_field("note", maxLength=200)
VARIANTS: dict[str, dict[str, Bad]] = {
    "T-TYPE": {
        "words": one("T-TYPE", "age", {2: "forty", 7: "old"}),
        "below a limit of measurement": one("T-TYPE", "glucose", {3: "<0.6"}),
        "a unit": one("T-TYPE", "glucose", {3: "7 mmol/L", 4: "7mmol/L"}),
        "a decimal comma": one("T-TYPE", "glucose", {0: "5,6", 11: "7,1"}),
        "no date": one("T-TYPE", "seen", {5: "in March"}),
        "a day that is none": one("T-TYPE", "seen", {5: "2021-02-30"}),
    },
    "T-INTFRAC": {
        "a half": one("T-INTFRAC", "age", {2: "40.5"}),
        "hundredths": one("T-INTFRAC", "age", {2: "40.25", 3: "41.01"}),
        "an exponent": one("T-INTFRAC", "age", {9: "405e-1"}),
    },
    "T-NONFINITE": {
        "infinite": one("T-NONFINITE", "glucose", {2: "inf"}),
        "infinitely small": one("T-NONFINITE", "glucose", {2: "-inf", 4: "-Infinity"}),
        "undefined": one("T-NONFINITE", "glucose", {1: "NaN", 8: "nan"}),
        "in a whole number": one("T-NONFINITE", "age", {1: "inf"}),
    },
    "T-RANGE": {
        "above": one("T-RANGE", "age", {1: "121", 6: "1000"}),
        "below": one("T-RANGE", "age", {1: "-1"}),
        "a number with a fraction": one("T-RANGE", "glucose", {4: "0.4999", 5: "60.0001"}),
        "a day before all": one("T-RANGE", "seen", {4: "2019-12-31"}),
    },
    "T-PLAUS": {
        "too low": share("T-PLAUS", "glucose", {0: "1.9", 3: "0.6", 7: "1.0", 8: "0.5"}),
        "too high": share("T-PLAUS", "glucose", dict.fromkeys((0, 1, 2, 3), "41.5"), contract={"rules": []}),
        "both": share("T-PLAUS", "glucose", {0: "41", 1: "1.5", 2: "43", 3: "1.1"}, contract={"rules": []}),
    },
    "T-ENUM": {
        "another word": one("T-ENUM", "outcome", {0: "dead"}),
        "numbers": one("T-ENUM", "outcome", {0: "1", 2: "2", 4: "3"}),
        "another language": one("T-ENUM", "outcome", {3: "krank", 10: "gesund"}),
    },
    "T-MAP": {
        "a code that nobody mapped": one("T-MAP", "outcome", {3: "X"}, columns={"outcome": CODES}),
        "two of them": one("T-MAP", "outcome", {3: "X", 4: "9", 5: "X"}, columns={"outcome": CODES}),
        "a question mark": one("T-MAP", "outcome", {0: "?"}, columns={"outcome": CODES}),
    },
    "T-PATTERN": {
        "another form": one("T-PATTERN", "record", {0: "QXR123x"}, contract=with_field("record", **PATTERN)),
        "more than the pattern": one("T-PATTERN", "record", {0: "QXR00011", 3: "XQXR0003"},
                                    contract=with_field("record", **PATTERN)),
        "too short": one("T-PATTERN", "note", {5: "ab"}),
        "too long": one("T-PATTERN", "note", {5: "abcdefghijklmnopqrstu"}),
    },
    "T-NULL": {
        "no patient": one("T-NULL", "patient", {5: ""}),
        "no number": one("T-NULL", "age", {0: "", 11: ""}),
        "no record": one("T-NULL", "record", {2: ""}),
        "a mark for missing": one("T-NULL", "age", {3: "unk", 4: ""},
                                  columns={"age": {"column": COLUMNS["age"], "missing": ["", "unk"]}}),
    },
    "T-MISSLIM": {
        "empty cells": share("T-MISSLIM", "glucose", dict.fromkeys((0, 3, 5, 9), ""), listed=False),
        "the schema's mark": share("T-MISSLIM", "glucose", dict.fromkeys((0, 3, 5, 9), "-9"), listed=False),
        "both, and all but one": share("T-MISSLIM", "glucose", {**dict.fromkeys(range(11), "-9"), 4: ""}, listed=False),
    },
    "T-ALLNULL": {
        "empty cells": share("T-ALLNULL", "seen", dict.fromkeys(EVERY, ""), listed=False, passed=True),
        "a mark": share("T-ALLNULL", "seen", dict.fromkeys(EVERY, "none"), listed=False, passed=True,
                        columns={"seen": {"column": COLUMNS["seen"], "missing": ["none"]}}),
        "where a share may be missing": share("T-ALLNULL", "glucose", dict.fromkeys(EVERY, "-9"), listed=False),
        "a required field": share("T-ALLNULL", "age", dict.fromkeys(EVERY, ""), listed=False),
    },
    "T-RULE": {
        "between two numbers": cells(
            ("T-RULE", "sweet_are_grown", [2, 5]), aside=2, passed=True,
            put={(2, "age"): "17", (2, "glucose"): "20", (5, "age"): "3", (5, "glucose"): "33.5", (6, "age"): "17"},
        ),
        "a field that another one asks for": cells(
            ("T-RULE", "noted_when_ill", [3, 4]), aside=2, passed=True, put={(3, "note"): "", (4, "note"): "", (0, "note"): ""}
        ),
        "a warning beyond its share": cells(
            ("T-RULE", "seen_in_order", [0, 3]), passed=True,
            put={(0, "seen"): "2020-05-31", (0, "glucose"): "10", (3, "seen"): "2020-01-01", (3, "glucose"): "12.5"},
        ),
        "a date and a day": cells(
            ("T-RULE", "held", [3]), aside=1, passed=True, put={}, contract=rule('seen != "2021-04-04"')
        ),
        "in a code list": cells(
            ("T-RULE", "held", [1, 4]), aside=2, passed=True, put={(1, "age"): "16", (4, "age"): "15"},
            contract=rule("not (age in [15, 16])"),
        ),
    },
    "T-DUPKEY": {
        "two": cells(("T-DUPKEY", "record", [2, 9]), put={(9, "record"): "QXR0002"}, aside=2, passed=True),
        "three": cells(("T-DUPKEY", "record", [0, 1, 11]), put={(1, "record"): "QXR0000", (11, "record"): "QXR0000"}, aside=3,
                       passed=True),
        "a whole record": Bad(frame([*records(), records()[4]]), [("T-DUPKEY", "record", [4, 12], 2)], aside=2, passed=True),
        "a field that is a key of its own": cells(
            ("T-DUPKEY", "note", [3, 7]), put={(at, "note"): f"nr {at}" for at in EVERY if at not in (3, 7)}, aside=2,
            passed=True, contract=with_field("note", unique=True),
        ),
    },
    "T-PHI-TEXT": {
        "remarks": share("T-PHI-TEXT", "note", {at: SENTENCE.format(f"{at}th") for at in EVERY}, passed=True, contract=LONG),
        "with gaps": cells(
            ("T-PHI-TEXT", "note", [at for at in EVERY if at not in (0, 2)]), passed=True, contract=LONG,
            put={(at, "note"): "" if at in (0, 2) else SENTENCE.format(f"{at}th") for at in EVERY},
        ),
        "letters": share("T-PHI-TEXT", "note", {at: f"Dear colleague, thank you for sending us patient {at} on that day."
                                                for at in EVERY}, passed=True, contract=LONG),
    },
}  # fmt: skip
CASES = [pytest.param(code, variant, id=f"{code}-{variant}") for code in VARIANTS for variant in VARIANTS[code]]


def placed(bad: Bad, form: str) -> Bad:
    """Give what is expected in the lines of a text, or in the rows of a Parquet file."""
    first = 2 if form == "csv" else 1
    return Bad(
        **{**vars(bad), "expected": [(code, name, [row + first for row in rows], n) for code, name, rows, n in bad.expected]}
    )


@FORMS
@pytest.mark.parametrize(("code", "variant"), CASES)
def test_the_right_code_on_the_right_rows(code: str, variant: str, form: str, tmp_path: Path) -> None:
    """One finding, its rows set aside or nobody, and no word of the table in what leaves."""
    judged(tmp_path, form, placed(VARIANTS[code][variant], form))


# ------------------------------------------------------------------------------------------------- shares of a whole table

SPOILT: dict[str, tuple[dict[tuple[int, str], str], float, list[tuple[str, str | None, list[int]]]]] = {
    "one where none may be": ({(3, "age"): "old"}, 0.0, [("T-TYPE", "age", [3])]),
    "one more than may be": ({(3, "age"): "old", (4, "age"): "121"}, 1.5 / 12, [("T-TYPE", "age", [3]), ("T-RANGE", "age", [4])]),
    "several causes": ({(0, "patient"): "", (1, "outcome"): "dead", (2, "glucose"): "99"}, 0.2,
                       [("T-NULL", "patient", [0]), ("T-RANGE", "glucose", [2]), ("T-ENUM", "outcome", [1])]),
}  # fmt: skip


@FORMS
@pytest.mark.parametrize("variant", SPOILT)
def test_more_set_aside_than_a_study_allows(variant: str, form: str, tmp_path: Path) -> None:
    """T-QUARANTINE follows the findings that set records aside; with room for them, it does not."""
    put, most, found = SPOILT[variant]
    bad = cells(*found, ("T-QUARANTINE", None, []), put=put, aside=len(put))
    expected = [*bad.expected[:-1], ("T-QUARANTINE", None, [], len(put))]
    bad = placed(Bad(**{**vars(bad), "expected": expected}), form)
    judged(tmp_path, form, bad, most)
    again = tmp_path / "again"
    again.mkdir()
    site, contract = lay_out(again, form, bad)
    assert check(site, contract, max_fraction=len(put) / HEIGHT).passed


# ------------------------------------------------------------------------------------------------------- a study's target

LARGE = 120
ILL = [at for at in range(LARGE) if records(LARGE)[at][5] == "ill"]


def alone(code: str, labelled: int) -> list[tuple[str, str | None, list[int], int]]:
    """Expect a target of one class, which is a constant column as well."""
    return [(code, "outcome", [], labelled), ("T-CONST", "outcome", [], labelled)]


def target(put: dict[int, str], name: str = "outcome") -> dict[tuple[int, str], str]:
    return {(row, name): text for row, text in put.items()}


Findings = list[tuple[str, str | None, list[int], int]]
OF_A_STUDY: dict[str, dict[str, tuple[dict[tuple[int, str], str], Findings, bool]]] = {
    "T-LABEL": {
        "all are well": (target(dict.fromkeys(range(LARGE), "well")), alone("T-LABEL", 120), False),
        "all are ill": (target(dict.fromkeys(range(LARGE), "ill")), alone("T-LABEL", 120), False),
        "all that are known are well": (
            target({**dict.fromkeys(range(LARGE), "well"), **dict.fromkeys(range(9), "")}), alone("T-LABEL", 111), False
        ),
    },
    "T-LABELMISS": {
        "most are unknown": (target(dict.fromkeys(range(70), "")), [("T-LABELMISS", "outcome", [], 70)], True),
        "two in three are": (target(dict.fromkeys(range(40, LARGE), "")), [("T-LABELMISS", "outcome", [], 80)], True),
        "most of one class": (
            target(dict.fromkeys([*ILL[:-6], *range(0, LARGE, 2)], "")), [("T-LABELMISS", "outcome", [], 81)], True
        ),
    },
    "T-LEAK": {
        "the target as a number": (
            target({at: "60" if at in ILL else "40" for at in range(LARGE)}, "age"), [("T-LEAK", "age", [], 120)], False
        ),
        "a threshold": (
            target({at: str(60 + at % 30 if at in ILL else 20 + at % 30) for at in range(LARGE)}, "age"),
            [("T-LEAK", "age", [], 120)], True,
        ),
        "a number with little noise": (
            target({at: f"{(15 if at in ILL else 5) + at % 7 / 50:.2f}" for at in range(LARGE)}, "glucose"),
            [("T-LEAK", "glucose", [], 120)], True,
        ),
    },
}  # fmt: skip


@FORMS
@pytest.mark.parametrize(
    ("code", "variant"),
    [pytest.param(code, variant, id=f"{code}-{variant}") for code in OF_A_STUDY for variant in OF_A_STUDY[code]],
)
def test_what_is_wrong_for_a_study_alone(code: str, variant: str, form: str, tmp_path: Path) -> None:
    """Found where the study's target is asked for, and by no check of the schema."""
    put, expected, passed = OF_A_STUDY[code][variant]
    bad = Bad(frame(changed(put, LARGE)), expected, contract={"rules": []}, passed=passed)
    site, contract = lay_out(tmp_path, form, bad)
    study = make_study(tmp_path, schema={"id": contract.id, "version": "1.0.0"}, features=["age", "glucose"])
    hold(bad, Question(contract, study, "5" * 64).answer(site, profiled=False), contract)
    assert code not in {each.code for each in check(site, contract).findings}
