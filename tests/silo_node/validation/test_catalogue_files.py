"""The catalogue of bad files, entries 1 to 8: each class in several variants, as CSV and as Parquet where it can exist there.

Of each: the right code, place, count and lines, through the check and through the command, and nothing of the file's own
words in what leaves. Where a class cannot exist in a format, ``NOT_IN`` says why, and what is found instead.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from catalogue_on_disk import COLUMNS, HEADER, HEIGHT, Bad, changed, frame, hold, judged, lay_out, own_words, records, text

from wardround.console import run

TEXT = text()
LINES = TEXT.splitlines(keepends=True)


def alone(code: str, says: str = "", count: int = 0) -> dict[str, Any]:
    """Expect that nothing can be read: one finding, without a record."""
    return {"expected": [(code, None, [], count)], "says": says}


def everywhere(code: str) -> list[tuple[str, str | None, list[int], int]]:
    return [(code, name, [], 1) for name in COLUMNS]


def renamed(**names: str) -> tuple[str, ...]:
    """Give the header with other names for some fields."""
    return tuple(names.get(name, column) for name, column in COLUMNS.items())


def lines_changed(change: Callable[[list[str]], Any]) -> str:
    """Give the text with its lines (the header is line 0) changed."""
    lines = list(LINES)
    change(lines)
    return "".join(lines)


def doubled(header: tuple[str, ...], *places: int) -> tuple[tuple[str, ...], list[list[str]]]:
    """Give a header, and records whose cells at some places stand a second time at the end."""
    return header, [[*cells, *(cells[at] for at in places)] for cells in records()]


def with_columns(*names: str) -> tuple[tuple[str, ...], list[list[str]]]:
    """Give the table with further columns of words."""
    return (*HEADER, *names), [[*cells, *["Meier"] * len(names)] for cells in records()]


def without(*names: str) -> tuple[tuple[str, ...], list[list[str]]]:
    """Give the table without the columns of some fields."""
    kept = [at for at, name in enumerate(COLUMNS) if name not in names]
    return tuple(HEADER[at] for at in kept), [[cells[at] for at in kept] for cells in records()]


def both(table: tuple[tuple[str, ...], list[list[str]]], **more: Any) -> dict[str, Bad]:
    """Give the same table as text and as Parquet."""
    header, cells = table
    return {"csv": Bad(text(cells, header), **more), "parquet": Bad(frame(cells, header), **more)}


def parquet_with_equal_names(header: tuple[str, ...], table: list[list[str]]) -> Callable[[Path], None]:
    """Write what polars cannot write: two columns of one name."""

    def write(folder: Path) -> None:
        columns = [pa.array(column, pa.string()) for column in zip(*table, strict=True)]
        pq.write_table(pa.Table.from_arrays(columns, names=list(header)), folder / "table.parquet")

    return write


def parquet_bytes(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Write a Parquet file and spoil its bytes."""

    def write(folder: Path) -> None:
        path = folder / "table.parquet"
        frame().write_parquet(path)
        path.write_bytes(change(path.read_bytes()))

    return write


def parts(*tables: tuple[tuple[str, ...], list[list[str]]] | pl.DataFrame) -> Callable[[Path], None]:
    """Write several files, in both formats."""

    def write(folder: Path) -> None:
        for number, table in enumerate(tables, 1):
            if isinstance(table, pl.DataFrame):
                table.write_parquet(folder / f"part-{number}.parquet")
            else:
                header, cells = table
                (folder / f"part-{number}.csv").write_text(text(cells, header))
                frame(cells, header).write_parquet(folder / f"part-{number}.parquet")

    return write


WHOLE = (HEADER, records())
TURNED = (HEADER[::-1], [cells[::-1] for cells in records()])
SEVERAL = {form: {"source": {"paths": [f"part-*.{form}"]}} for form in ("csv", "parquet")}
INVALID = pa.StringArray.from_buffers(1, pa.py_buffer(b"\0\0\0\0\x02\0\0\0"), pa.py_buffer(b"\xe4x"))
"""A text that is not UTF-8, though its column says so."""

CSV: dict[str, dict[str, Bad]] = {
    "T-FILE": {
        "it is not there": Bad(lambda _: None, **alone("T-FILE", "it is not there")),
        "a folder": Bad(lambda folder: (folder / "table.csv").mkdir(), **alone("T-FILE", "is no file")),
        "a link to nowhere": Bad(lambda folder: (folder / "table.csv").symlink_to("gone.csv"), **alone("T-FILE", "not there")),
        "a pipe": Bad(lambda folder: os.mkfifo(folder / "table.csv"), **alone("T-FILE", "is no file")),
        "a pattern that fits nothing": Bad(TEXT, **alone("T-FILE", "no file fits"), source={"paths": ["month-*.csv"]}),
    },
    "T-ENCODING": {
        "latin-1": Bad(TEXT.encode("latin-1"), **alone("T-ENCODING", "not utf-8: the first bad byte is at offset 65")),
        "curly quotes of cp1252": Bad(TEXT.replace("kühl", "“kuhl”").encode("cp1252"), **alone("T-ENCODING", "offset 65")),
        "UTF-16 with a byte order mark": Bad(TEXT.encode("utf-16"), **alone("T-ENCODING", "offset 0")),
        "UTF-16 without one": Bad(TEXT.encode("utf-16-le"), **alone("T-ENCODING", "offset 1")),
        "UTF-16, the other way round": Bad(TEXT.encode("utf-16-be"), **alone("T-ENCODING", "offset 0")),
        "a zero byte in a cell": Bad(TEXT.replace("QXR0003", "QXR\0003"), **alone("T-ENCODING", "the first bad byte")),
        "a character cut by the file's end": Bad(TEXT.encode() + b"\xc3", **alone("T-ENCODING", "the first bad byte")),
        "UTF-8 declared as cp1252": Bad(TEXT, **alone("T-ENCODING", "not cp1252"), source={"encoding": "cp1252"}),
        "UTF-8 declared as latin-1": Bad(TEXT, **alone("T-ENCODING", "offset 65"), source={"encoding": "latin-1"}),
        "UTF-8 declared as UTF-16": Bad(TEXT + " " * (len(TEXT.encode()) % 2), **alone("T-ENCODING", "not utf-16"),
                                        source={"encoding": "utf-16"}),
        "UTF-16 declared as UTF-32": Bad(TEXT.encode("utf-16"), **alone("T-ENCODING", "not utf-32"),
                                         source={"encoding": "utf-32"}),
        "a workbook": Bad(b"PK\x03\x04\x14\0\x08\0" * 40, **alone("T-ENCODING", "an Excel workbook")),
    },
    "T-DELIM": {
        "semicolons for commas": Bad(text(delimiter=";"), **alone("T-DELIM", "1 column(s) found; the delimiter looks like ';'")),
        "tabs": Bad(text(delimiter="\t"), **alone("T-DELIM", "a tab")),
        "bars": Bad(text(delimiter="|"), **alone("T-DELIM", "'|'")),
        "circumflexes": Bad(text(delimiter="^"), **alone("T-DELIM", "'^'")),
        "commas for semicolons": Bad(TEXT, **alone("T-DELIM", "','"), source={"delimiter": ";"}),
        "quoted names": Bad(text(delimiter=";", header=[f'"{name}"' for name in HEADER]), **alone("T-DELIM", "';'")),
        "decimal commas between semicolons": Bad(text(delimiter=";").replace(".", ","), **alone("T-DELIM", "';'")),
    },
    "T-NOHEADER": {
        "records from the first line on": Bad(text(header=None), **alone("T-NOHEADER", "matches 0 of 7 mapped columns")),
        "one record and nothing else": Bad(text(records(1), None), **alone("T-NOHEADER", "matches 0 of 7")),
        "names of another language": Bad(text(header="abcdefg"), **alone("T-NOHEADER", "matches 0 of 7")),
        "a blank line before it": Bad("\n" + TEXT, **alone("T-NOHEADER", "matches 0 of 7")),
        "a title before it": Bad("# visits of Dr. Meier,,,,,,\n" + TEXT, **alone("T-NOHEADER", "matches 0 of 7")),
    },
    "T-HDRDUP": {
        "the same name twice": Bad(
            text(doubled((*HEADER, HEADER[2]), 2)[1], (*HEADER, HEADER[2])), [("T-HDRDUP", "age", [], 2)], "positions 3, 8"
        ),
        "three times": Bad(
            text(doubled(HEADER, 3, 3)[1], (*HEADER, HEADER[3], HEADER[3])), [("T-HDRDUP", "glucose", [], 3)], "4, 8, 9"
        ),
        "the names that the site file gives": Bad(TEXT, **alone("T-HDRDUP", "the very names"), source={"header": list(HEADER)}),
    },
    "T-RAGGED": {
        "short lines": Bad(
            lines_changed(lambda lines: lines.__setitem__(3, "QXR9999,VZP0001\n")),
            [("T-RAGGED", None, [4], 1)], "1 lines", aside=1,
        ),
        "long lines": Bad(
            lines_changed(lambda lines: lines.__setitem__(5, lines[5].replace("\n", ",,\n"))),
            [("T-RAGGED", None, [6], 1)], "1 lines", aside=1,
        ),
        "a cell too few in one, a cell too many in another": Bad(
            lines_changed(lambda lines: (lines.__setitem__(5, lines[5].replace("\n", ",x\n")), lines.__setitem__(7, lines[7].rsplit(",", 1)[0] + "\n"))),  # noqa: E501
            [("T-RAGGED", None, [6, 8], 2)], "2 lines", aside=2,
        ),
        "an unquoted delimiter beside quoted ones": Bad(
            lines_changed(lambda lines: (lines.__setitem__(2, lines[2].replace("mürrisch", '"a, b"')), lines.__setitem__(4, lines[4].replace("kühl", "a, b")))),  # noqa: E501
            [("T-RAGGED", None, [5], 1)], "1 lines", aside=1,
        ),
        "a short line below a cell of two lines": Bad(
            lines_changed(lambda lines: (lines.__setitem__(2, lines[2].replace("mürrisch", '"a\nbc"')), lines.__setitem__(4, "QXR9999\n"))),  # noqa: E501
            [("T-RAGGED", None, [6], 1)], "1 lines", aside=1,
        ),
        "a count of the rows at the end": Bad(
            f"{TEXT}12 rows exported by Meier\n", [("T-RAGGED", None, [14], 1)], "1 lines", aside=1
        ),
        "a header that is a name short": Bad(
            text(header=HEADER[:6]),
            [("T-MISSCOL", "note", [], 1), ("T-RAGGED", None, list(range(2, 14)), 12), ("T-FEW", None, [], 0)], aside=12,
        ),
        "a decimal comma between commas": Bad(
            TEXT.replace(".", ","),
            [("T-RAGGED", None, list(range(2, 14)), 12), ("T-FEW", None, [], 0)], "12 lines", aside=12,
        ),
        "a quote that nothing closes": Bad(TEXT.replace("QXR0004", '"QXR0004'), **alone("T-RAGGED", "first on line 6", 1)),
        "a quote inside a cell": Bad(TEXT.replace("QXR0004", 'QX"R0004'), **alone("T-RAGGED", "first on line 6", 1)),
        "a carriage return inside a cell": Bad(TEXT.replace("QXR0004", "QX\rR0004"), **alone("T-RAGGED", "on line 6", 1)),
    },
    "T-EMPTY": {
        "no byte": Bad(b"", **alone("T-EMPTY", "the file is empty")),
        "a byte order mark alone": Bad(b"\xef\xbb\xbf", **alone("T-EMPTY", "the file is empty")),
        "blank lines": Bad("\n \r\n\t\n", **alone("T-EMPTY", "the file is empty")),
        "a header alone": Bad(LINES[0], **alone("T-EMPTY", "no record")),
        "a header without a line end": Bad(LINES[0].strip(), **alone("T-EMPTY", "no record")),
        "a header and blank lines": Bad(f"{LINES[0]}\n\n\n", **alone("T-EMPTY", "no record")),
        "nothing, in UTF-16": Bad("\ufeff".encode("utf-16-le"), **alone("T-EMPTY", "is empty"), source={"encoding": "utf-16"}),
    },
}  # fmt: skip

PARQUET: dict[str, dict[str, Bad]] = {
    "T-FILE": {
        "it is not there": Bad(lambda _: None, **alone("T-FILE", "it is not there")),
        "no byte": Bad(b"", **alone("T-FILE", "cannot be read")),
        "cut off": Bad(parquet_bytes(lambda whole: whole[: len(whole) // 2]), **alone("T-FILE", "cannot be read")),
        "its beginning is lost": Bad(parquet_bytes(lambda whole: whole[200:]), **alone("T-FILE", "cannot be read")),
        "its marks alone": Bad(b"PAR1PAR1", **alone("T-FILE", "cannot be read")),
        "a text of that name": Bad(TEXT, **alone("T-FILE", "cannot be read")),
        "a folder": Bad(lambda folder: (folder / "table.parquet").mkdir(), **alone("T-FILE", "is no file")),
        "texts that are none": Bad(
            lambda folder: pq.write_table(pa.table({COLUMNS["note"]: INVALID}), folder / "table.parquet"), **alone("T-FILE")
        ),
    },
    "T-HDRDUP": {
        "the same name twice": Bad(
            parquet_with_equal_names((*HEADER, HEADER[2]), doubled(HEADER, 2)[1]), **alone("T-HDRDUP", "the same name")
        ),
    },
    "T-EMPTY": {
        "columns without a record": Bad(frame([]), **alone("T-EMPTY", "no record")),
        "columns with types, without a record": Bad(
            frame().with_columns(pl.col(COLUMNS["age"]).cast(pl.Int64)).clear(), **alone("T-EMPTY", "no record")
        ),
        "no column either": Bad(
            lambda folder: pq.write_table(pa.table({}), folder / "table.parquet"), **alone("T-EMPTY", "no record")
        ),
        "unknown columns without a record": Bad(frame([], list("abcdefg")), **alone("T-EMPTY", "no record")),
    },
}  # fmt: skip

# ------------------------------------------------------------------------------------------- the same in both formats

FEWER = "the names of the columns at positions {} differ in case or blanks only"
SUPERSET = {"fieldsMatch": "superset"}
for code, variant, made in [
    ("T-HDRDUP", "another case", both(doubled((*HEADER, "LEBENSJAHRE"), 2), expected=[("T-HDRDUP", "age", [], 2)],
                                      says=FEWER.format("3, 8"))),
    ("T-HDRDUP", "a blank at its end", both(doubled((*HEADER, "Zuckerwert "), 3), expected=[("T-HDRDUP", "glucose", [], 2)],
                                            says=FEWER.format("4, 8"))),
    ("T-HDRDUP", "both, twice", both(doubled((*HEADER, "\u00a0KENNUNG", "Kennung "), 0, 0),
                                     expected=[("T-HDRDUP", "record", [], 3)], says=FEWER.format("1, 8, 9"))),
    ("T-HDRDUP", "where more columns may be", both(doubled((*HEADER, "kennung"), 0), expected=[("T-HDRDUP", "record", [], 2)],
                                                   contract=SUPERSET)),
    ("T-MISSCOL", "one column", both(without("note"), expected=[("T-MISSCOL", "note", [], 1)], says="maps to 'note' is absent")),
    ("T-MISSCOL", "two, one of them required", both(without("age", "seen"),
                                                    expected=[("T-MISSCOL", "age", [], 1), ("T-MISSCOL", "seen", [], 1)])),
    ("T-MISSCOL", "in another case", both((renamed(age="LEBENSJAHRE"), records()), expected=[("T-MISSCOL", "age", [], 1),
                                                                                             ("T-EXTRACOL", None, [], 1)])),
    ("T-MISSCOL", "all in another case", both((tuple(name.upper() for name in HEADER), records()),
                                              expected=[*everywhere("T-MISSCOL"), *[("T-EXTRACOL", None, [], 1)] * 7])),
    ("T-MISSCOL", "misspelt", both((renamed(outcome="Befundlge"), records()), expected=[("T-MISSCOL", "outcome", [], 1),
                                                                                        ("T-EXTRACOL", None, [], 1)])),
    ("T-EXTRACOL", "a name of a person", both(with_columns("Meier"), expected=[("T-EXTRACOL", None, [], 1)],
                                              says="the column at position 8 is neither mapped nor ignored")),
    ("T-EXTRACOL", "two, one the schema's own name", both(with_columns("age", "Hausarzt Meier"),
                                                          expected=[("T-EXTRACOL", None, [], 1)] * 2, says="position 8")),
    ("T-EXTRACOL", "a name without a character", both(with_columns(""), expected=[("T-EXTRACOL", None, [], 1)], says="8")),
    ("T-EXTRACOL", "a column that the study does not take", both((HEADER, records()), expected=[("T-EXTRACOL", None, [], 1),
                   ("T-ALLNULL", "seen", [], 12)], columns={"seen": None})),
    ("T-EXTRACOL", "where more columns may be", both(with_columns("Meier"), expected=[("T-EXTRACOL", None, [], 1)],
                                                     contract=SUPERSET, passed=True)),
    ("T-FEW", "records", both(WHOLE, expected=[("T-FEW", None, [], 12)], says="12 are there",
                              contract={"limits": {"min_records": 13}})),
    ("T-FEW", "patients", both(WHOLE, expected=[("T-FEW", None, [], 6)], says="6 are there",
                               contract={"limits": {"min_records": 7, "min_patients": 7}})),
    ("T-PARTS", "a column less", {form: Bad(parts(WHOLE, without("note")), **alone("T-PARTS", "file 2 of 2"), **SEVERAL[form])
                                  for form in SEVERAL}),
    ("T-PARTS", "a column more", {form: Bad(parts(WHOLE, WHOLE, with_columns("Meier")), **alone("T-PARTS", "file 3 of 3"),
                                            **SEVERAL[form]) for form in SEVERAL}),
    ("T-PARTS", "another order", {form: Bad(parts(WHOLE, TURNED), **alone("T-PARTS", "in the same order"), **SEVERAL[form])
                                  for form in SEVERAL}),
    ("T-PARTS", "another case", {form: Bad(parts(WHOLE, (renamed(age="LEBENSJAHRE"), records())), **alone("T-PARTS", "file 2"),
                                           **SEVERAL[form]) for form in SEVERAL}),
]:  # fmt: skip
    CSV.setdefault(code, {})[variant], PARQUET.setdefault(code, {})[variant] = made["csv"], made["parquet"]

FEWER_LINES = {"csv": [5, 6], "parquet": [4, 5]}
for form, tables in (("csv", CSV), ("parquet", PARQUET)):
    table = changed({(3, "age"): "old", (4, "age"): "new"})
    tables["T-FEW"]["records that are left"] = Bad(
        text(table) if form == "csv" else frame(table),
        [("T-TYPE", "age", FEWER_LINES[form], 2), ("T-FEW", None, [], 10)],
        contract={"limits": {"min_records": 11}},
        aside=2,
    )
PARQUET["T-PARTS"]["another type"] = Bad(
    parts(frame(), frame().with_columns(pl.col(COLUMNS["age"]).cast(pl.Int64))),
    **alone("T-PARTS", "another type than in the first file"),
    **SEVERAL["parquet"],
)

NOT_IN: dict[str, tuple[str, dict[str, Bad]]] = {
    "T-ENCODING": (
        "a Parquet file says itself that its texts are UTF-8: other bytes are no texts, or break the file",
        {
            "a column of bytes": Bad(
                frame().with_columns(pl.col(COLUMNS["note"]).cast(pl.Binary)), [("T-TYPE", "note", [], 12)], "own type cannot"
            ),
            "texts that are none": PARQUET["T-FILE"]["texts that are none"],
        },
    ),
    "T-DELIM": (
        "a Parquet file has columns, not marks between cells: what was read with the wrong mark has one column",
        {
            "one column of whole lines": Bad(
                pl.DataFrame({";".join(HEADER): [";".join(cells) for cells in records()]}),
                [*everywhere("T-MISSCOL"), ("T-EXTRACOL", None, [], 1)],
            )
        },
    ),
    "T-NOHEADER": (
        "every column of a Parquet file has a name; names that a program made up are unknown, and the mapped ones absent",
        {
            "columns that are numbered": Bad(
                frame(header=list("0123456")), [*everywhere("T-MISSCOL"), *[("T-EXTRACOL", None, [], 1)] * 7]
            ),
            "the first record as names": Bad(
                frame(records()[1:], records()[0]), [*everywhere("T-MISSCOL"), *[("T-EXTRACOL", None, [], 1)] * 7]
            ),
        },
    ),
    "T-RAGGED": (
        "the columns of a Parquet file are equally long: a line that was short has missing cells there",
        {
            "cells that were not there": Bad(
                frame(changed({(2, "seen"): "", (2, "outcome"): "", (2, "age"): ""})),
                [("T-NULL", "age", [3], 1)],
                passed=True,
                aside=1,
            )
        },
    ),
}
"""Why a class has no variants in Parquet, and what is found in what comes next to it."""

CASES = [
    pytest.param(form, code, variant, id=f"{form}-{code}-{variant}")
    for form, tables in (("csv", CSV), ("parquet", PARQUET))
    for code, variants in tables.items()
    for variant in variants
]


@pytest.mark.parametrize(("form", "code", "variant"), CASES)
def test_the_right_code_place_and_lines(form: str, code: str, variant: str, tmp_path: Path) -> None:
    """Every finding, nothing beside it, and none of the file's words in what leaves."""
    bad = {"csv": CSV, "parquet": PARQUET}[form][code][variant]
    assert code in {each[0] for each in bad.expected}
    judged(tmp_path, form, bad)


@pytest.mark.parametrize(
    ("code", "variant"), [pytest.param(code, variant, id=f"{code}-{variant}") for code in NOT_IN for variant in NOT_IN[code][1]]
)
def test_what_cannot_be_in_parquet_is_found_as_something_else(code: str, variant: str, tmp_path: Path) -> None:
    """Never unseen."""
    assert code not in PARQUET
    judged(tmp_path, "parquet", NOT_IN[code][1][variant])


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_the_honest_table_has_no_finding(form: str, tmp_path: Path) -> None:
    """Whatever follows is about what was changed."""
    site, contract = lay_out(tmp_path, form, Bad(frame(), []))
    from silo_node.validation.check import check

    result = check(site, contract)
    assert (result.findings, result.valid.height) == ((), HEIGHT)


@pytest.mark.parametrize(
    ("form", "code"),
    [pytest.param(form, code, id=f"{form}-{code}") for form, tables in (("csv", CSV), ("parquet", PARQUET)) for code in tables],
)
def test_the_command_says_it_too_and_repeats_no_word_of_the_file(
    form: str, code: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """One variant of each: exit status, code, place and count on the screen, in both local files and in what would leave."""
    bad = next(iter({"csv": CSV, "parquet": PARQUET}[form][code].values()))
    lay_out(tmp_path, form, bad)
    words = ["silo", "check", "--site", str(tmp_path / "site.yaml"), "--schema", "test.catalogue", "--format", "json"]
    status = run([*words, "--schema-path", str(tmp_path / "schemas")])
    printed = capfd.readouterr()
    report = json.loads(printed.out)
    assert (status, printed.err) == (0 if bad.passed and not bad.aside else 1, "")
    said = [(each["code"], each["field"], each["at"], each["count"]) for each in report["findings"]]
    assert [each for each in said if each[0] != "T-QUARANTINE"] == [
        (code, name, list(lines), count) for code, name, lines, count in bad.expected
    ]
    written = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "reports").glob("check-*"))
    assert code in written
    assert own_words(printed.out + written) == []


def test_next_steps_name_what_mends_it(tmp_path: Path) -> None:
    """A variant's place; the comma in numbers; the encoding that it is."""
    from silo_node.validation.check import check

    steps = {}
    for at, bad in enumerate(
        [CSV["T-MISSCOL"]["in another case"], CSV["T-RAGGED"]["a decimal comma between commas"],
         CSV["T-ENCODING"]["UTF-8 declared as cp1252"], CSV["T-HDRDUP"]["another case"], CSV["T-RAGGED"]["long lines"]]
    ):  # fmt: skip
        folder = tmp_path / str(at)
        folder.mkdir()
        site, contract = lay_out(folder, "csv", bad)
        result = check(site, contract, max_fraction=1.0)
        hold(bad, result, contract)
        steps[at] = result.findings[0].next_step
    assert "the column at position 3 has its name but for case or blanks" in steps[0]
    assert "decimal comma" in steps[1]
    assert "it looks like utf-8" in steps[2]
    assert "'ignore'" in steps[3]
    assert "decimal comma" not in steps[4]


def test_a_variant_that_the_site_file_ignores_is_no_second_column(tmp_path: Path) -> None:
    """A person has said which one is meant."""
    from silo_node.configuration import load_site
    from silo_node.validation.check import check

    site, contract = lay_out(tmp_path, "csv", CSV["T-HDRDUP"]["another case"])
    content = json.loads(site.path.read_text())
    content["schemas"][contract.id]["ignore"] = ["LEBENSJAHRE"]
    site.path.write_text(json.dumps(content))
    assert check(load_site(site.path), contract).findings == ()


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "iso8859-15", "mac-roman", "cp850", "cp437"])
def test_a_text_in_a_declared_encoding_is_that(encoding: str, tmp_path: Path) -> None:
    """One letter in a file is enough to be told from UTF-8, and none is as good as any."""
    from silo_node.validation.check import check

    for at, content in enumerate([TEXT, TEXT.replace("mürrisch", "kuhl").replace("gemütlich", "kuhl")]):
        folder = tmp_path / str(at)
        folder.mkdir()
        bad = Bad(content.encode(encoding), [], source={"encoding": encoding})
        site, contract = lay_out(folder, "csv", bad)
        assert check(site, contract).findings == ()
