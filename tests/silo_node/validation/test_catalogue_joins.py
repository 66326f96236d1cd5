"""The catalogue of bad joins, entry 39 and its neighbours: T-FK, T-JOIN, T-TIE and T-DUPKEY of a join's base.

Each in several variants, from tables of CSV and from tables of Parquet: the right code, count and lines.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from catalogue_on_disk import COLUMNS, CONTRACT, Bad, changed, frame, judged, lay_out, own_words, records

from silo_node.validation.check import check
from wardround.console import run

VISITS = pl.DataFrame(
    [
        ["QXR0000", "2021-01-01", "5.5"],
        ["QXR0000", "2021-01-05", "6.5"],
        ["QXR0001", "2021-02-01", "7.5"],
        ["QXR0002", "2021-02-01", "8.5"],
        ["QXR0003", "2021-02-02", "9.5"],
    ],
    schema=["Kennung", "Labortag", "Laborwert"],
    orient="row",
)
LAST = {"take": "last", "column": "Laborwert"}
MEAN = {"take": "mean", "column": "Laborwert"}
FORMS = ("csv", "parquet")
FIRST = {"csv": 2, "parquet": 1}


def at(form: str, *places: int) -> str:
    """Give how rows (from 0) are told."""
    return f"{'line' if form == 'csv' else 'row'}s {', '.join(str(place + FIRST[form]) for place in places)}"


def joined(form: str, visits: pl.DataFrame = VISITS, base: pl.DataFrame | None = None, **table: Any) -> dict[str, Any]:
    """Give what a join of the base with the table of visits needs."""
    given: dict[str, Any] = {"time": "Labortag", "columns": {COLUMNS["glucose"]: LAST}, **table}
    names = {"patients": frame() if base is None else base, "visits": visits}
    names["patients"] = names["patients"].drop(COLUMNS["glucose"])
    join = {"format": "joined", "base": "patients", "key": "Kennung", "tables": {"visits": given}}

    def write(folder: Path) -> None:
        for name, content in names.items():
            path = folder / f"{name}.{form}"
            content.write_csv(path) if form == "csv" else content.write_parquet(path)

    sources = {name: {"format": form, "path": f"{name}.{form}"} for name in names}
    limits = [
        {**field, "missing": {"max_fraction": 1.0}} if field["name"] == "glucose" else field for field in CONTRACT["fields"]
    ]
    return {
        "make": write,
        "source": {"sources": {**sources, "together": join}, "source": "together"},
        "contract": {"fields": limits, "rules": []},
    }


def more(*rows: tuple[str | None, ...]) -> pl.DataFrame:
    """Give the visits with some more."""
    return pl.concat([VISITS, pl.DataFrame(rows, schema=VISITS.columns, orient="row")])


def cells(**values: str | None) -> pl.DataFrame:
    """Give the visits with another cell in the second of them."""
    second = pl.int_range(pl.len()) == 1
    return VISITS.with_columns(
        pl.when(second).then(pl.lit(value)).otherwise(pl.col(name)).alias(name) for name, value in values.items()
    )


THREE_AND_TWO = {(1, "record"): "QXR0000", (2, "record"): "QXR0000", (8, "record"): "QXR0009"}
Make = Callable[[str], Bad]
VARIANTS: dict[str, dict[str, Make]] = {
    "T-FK": {
        "a visit of nobody": lambda form: Bad(
            **joined(form, more(("QXR9999", "2021-03-01", "5"))),
            expected=[("T-FK", None, [], 1)], says=f"'visits': 1 of 6 rows have none: {at(form, 5)}",
        ),
        "visits without a key": lambda form: Bad(
            **joined(form, more((None, "2021-03-01", "5"), (None, "2021-03-02", "6"))),
            expected=[("T-FK", None, [], 2)], says=f"2 of 7 rows have none: {at(form, 5, 6)}",
        ),
        "a key in another case": lambda form: Bad(
            **joined(form, more(("qxr0003", "2021-03-01", "5"))), expected=[("T-FK", None, [], 1)], says=at(form, 5)
        ),
        "visits of patients who are not exported": lambda form: Bad(
            **joined(form, base=frame(records()[2:])),
            expected=[("T-FK", None, [], 3)], says=f"3 of 5 rows have none: {at(form, 0, 1, 2)}",
        ),
        "expected, and left out": lambda form: Bad(
            **joined(form, more(("QXR9999", "2021-03-01", "5")), orphans="left_out"),
            expected=[("T-FK", None, [], 1)], says=at(form, 5), passed=True,
        ),
        "a patient without a visit, where each needs one": lambda form: Bad(
            **joined(form, base=frame(records(5)), required=True),
            expected=[("T-FK", None, [4 + FIRST[form]], 1)], says="'visits': 1 of 5 rows of the base have none",
        ),
    },
    "T-JOIN": {
        "a time that is none": lambda form: Bad(
            **joined(form, cells(Labortag="2021-02-30")), expected=[("T-JOIN", None, [], 1)],
            says=f"table 'visits': 1 times are no dates of the declared format: {1 + FIRST[form]}",
        ),
        "times of another form": lambda form: Bad(
            **joined(form, VISITS.with_columns(Labortag=pl.lit("01.02.2021"))),
            expected=[("T-JOIN", None, [], 5), ("T-ALLNULL", "glucose", [], 12)], says="5 times",
        ),
        "no time": lambda form: Bad(
            **joined(form, cells(Labortag=None)), expected=[("T-JOIN", None, [], 1)], says=f": {1 + FIRST[form]}", passed=True
        ),
        "a text in a mean": lambda form: Bad(
            **joined(form, cells(Laborwert="<5"), columns={COLUMNS["glucose"]: MEAN}),
            expected=[("T-JOIN", None, [], 1)], says=f"1 cells are no numbers: {1 + FIRST[form]}",
        ),
        "a decimal comma in a mean": lambda form: Bad(
            **joined(form, cells(Laborwert="6,5"), columns={COLUMNS["glucose"]: {**MEAN, "take": "max"}}),
            expected=[("T-JOIN", None, [], 1)], says=f"1 cells are no numbers: {1 + FIRST[form]}",
        ),
    },
    "T-TIE": {
        "two answers of one day": lambda form: Bad(
            **joined(form, more(("QXR0001", "2021-02-01", "3.5"))), expected=[("T-TIE", None, [], 2)],
            says=f"are of the same time as another of their key, and differ: {2 + FIRST[form]}, {5 + FIRST[form]}",
        ),
        "of the first day": lambda form: Bad(
            **joined(form, more(("QXR0000", "2021-01-01", "3.5")), columns={COLUMNS["glucose"]: {**LAST, "take": "first"}}),
            expected=[("T-TIE", None, [], 2)], says=f": {FIRST[form]}, {5 + FIRST[form]}",
        ),
        "two patients, three answers of one": lambda form: Bad(
            **joined(form, more(("QXR0001", "2021-02-01", "3"), ("QXR0001", "2021-02-01", "4"), ("QXR0003", "2021-02-02", "3"))),
            expected=[("T-TIE", None, [], 5)], says="5 rows",
        ),
    },
    "T-DUPKEY": {
        "a patient twice in the base": lambda form: Bad(
            **joined(form, base=frame([*records(), records()[2]])), expected=[("T-DUPKEY", None, [], 2)],
            says=f"2 rows share their key with another: {at(form, 2, 12)}",
        ),
        "three of one, two of another": lambda form: Bad(
            **joined(form, base=frame(changed(THREE_AND_TWO))),
            expected=[("T-DUPKEY", None, [], 5)], says=at(form, 0, 1, 2, 8, 9),
        ),
        "all of one": lambda form: Bad(
            **joined(form, base=frame(changed({(at, "record"): "QXR0000" for at in range(12)}))),
            expected=[("T-DUPKEY", None, [], 12)], says="12 rows",
        ),
    },
}  # fmt: skip
CASES = [pytest.param(code, variant, id=f"{code}-{variant}") for code in VARIANTS for variant in VARIANTS[code]]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("code", "variant"), CASES)
def test_the_right_code_count_and_lines(code: str, variant: str, form: str, tmp_path: Path) -> None:
    """One finding, with the further table's own lines."""
    judged(tmp_path, form, VARIANTS[code][variant](form))


@pytest.mark.parametrize("form", FORMS)
def test_an_honest_join_has_no_finding(form: str, tmp_path: Path) -> None:
    """Patients without a visit have none, and the same answer twice is one."""
    site, contract = lay_out(tmp_path, form, Bad(**joined(form, more(VISITS.row(2))), expected=[]))
    result = check(site, contract)
    assert result.findings == ()
    assert result.valid["glucose"].to_list() == [6.5, 7.5, 8.5, 9.5, *[None] * 8]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("code", VARIANTS)
def test_the_command_says_it_too(code: str, form: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Exit status, code and place; no word of either table."""
    bad = next(iter(VARIANTS[code].values()))(form)
    lay_out(tmp_path, form, bad)
    words = ["silo", "check", "--site", str(tmp_path / "site.yaml"), "--schema", "test.catalogue", "--format", "json"]
    assert run([*words, "--schema-path", str(tmp_path / "schemas")]) == 1
    printed = capfd.readouterr()
    (finding,) = json.loads(printed.out)["findings"]
    assert (finding["code"], finding["count"], printed.err) == (code, bad.expected[0][3], "")
    assert bad.says in finding["finding"]
    assert own_words(printed.out) == []
