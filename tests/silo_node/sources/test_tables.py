"""Real files through the one door to tables."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from silo_node.configuration import load_site
from silo_node.sources.faults import UnreadableError
from silo_node.sources.header import Wanted
from silo_node.sources.tables import Table, open_source

WANTED = Wanted(
    fields={"key": "id", "age": "years", "note": "text"},
    known=frozenset({"id", "years", "text", "left_out"}),
    names=("key", "age", "note", "height"),
    exact=True,
)


def open_table(path: Path, wanted: Wanted, **source: object) -> Table:
    """Open a file as the only source of a hospital."""
    declared = {"site": "north", "name": "North", "sources": {"table": {"path": path.name, **source}}, "schemas": {}}
    (path.parent / "site.yaml").write_text(json.dumps(declared))
    return open_source(load_site(path.parent / "site.yaml"), "table", wanted)


def read(folder: Path, content: bytes, *, wanted: Wanted = WANTED, **dialect: str | None) -> Table:
    path = folder / "t.csv"
    path.write_bytes(content)
    return open_table(path, wanted, format="csv", **dialect)


def fault(folder: Path, content: bytes, **dialect: str | None) -> tuple[str, str]:
    with pytest.raises(UnreadableError) as refused:
        read(folder, content, **dialect)
    return refused.value.fault.code, refused.value.fault.finding


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
def test_cells_are_text_and_lines_are_lines(tmp_path: Path, end: str, last: bool) -> None:
    """Every cell comes as it stands in the file, whatever ends the lines."""
    text = end.join(["id,years,text", "007,1E5,NA", "8,, x "]) + (end if last else "")
    table = read(tmp_path, text.encode())
    assert table.frame.rows() == [("007", "1E5", "NA"), ("8", "", " x ")]
    assert (table.found, table.unit, table.places([0, 1]), table.faults) == (2, "line", [2, 3], ())


def test_quoted_line_ends_keep_physical_line_numbers(tmp_path: Path) -> None:
    """A line number is what the hospital's editor shows, also below a cell of three lines and an empty line."""
    table = read(tmp_path, b'id,years,text\n1,5,"a\nb, ""c""\nd"\n\n2,6,x\n\n')
    assert table.frame.rows() == [("1", "5", 'a\nb, "c"\nd'), ("2", "6", "x")]
    assert (table.found, table.places([0, 1])) == (2, [2, 6])


def test_a_header_of_two_lines_moves_all_lines(tmp_path: Path) -> None:
    """A quoted line end in the header counts too."""
    wanted = Wanted({"key": "id", "age": "ye\nars"}, frozenset({"id", "ye\nars"}), ("key", "age"), exact=True)
    table = read(tmp_path, b'id,"ye\nars"\n1,5\n2,6\n', wanted=wanted)
    assert (table.frame.rows(), table.places([1])) == ([("1", "5"), ("2", "6")], [4])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16", "utf-16-le", "utf-32"])
def test_declared_encodings_are_decoded(tmp_path: Path, encoding: str) -> None:
    """The same text from every encoding, with or without a byte order mark."""
    text = "id;years;text\n1;5;Müller größer\n"
    table = read(tmp_path, text.encode(encoding), encoding=encoding, delimiter=";")
    assert table.frame.rows() == [("1", "5", "Müller größer")]


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    """Exports from spreadsheets begin with one."""
    assert read(tmp_path, "\ufeffid,years,text\n1,5,x\n".encode()).frame.columns == ["id", "years", "text"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_declared_delimiters(tmp_path: Path, delimiter: str) -> None:
    """What is declared is what splits."""
    text = "id,years,text\n1,5,x\n".replace(",", delimiter)
    assert read(tmp_path, text.encode(), delimiter=delimiter).frame.rows() == [("1", "5", "x")]


@pytest.mark.parametrize(
    ("content", "dialect", "code", "words"),
    [
        (b"", {}, "T-EMPTY", "the file is empty"),
        (b"\n\n", {}, "T-EMPTY", "the file is empty"),
        (b"id,years,text\n", {}, "T-EMPTY", "no record"),
        (b"id,years,text\n\n\r\n", {}, "T-EMPTY", "no record"),
        (b"id,years,text\n1,5,M\xfcller\n", {}, "T-ENCODING", "offset 19"),
        ("id,years,text\n1,5,x\n".encode("utf-16"), {}, "T-ENCODING", "offset 0"),
        ("id,years,text\n1,5,x\n".encode("utf-16-le"), {}, "T-ENCODING", "offset 1"),
        (b"id,years,text\n1,5,x\n", {"encoding": "utf-16"}, "T-ENCODING", "offset 0"),
        (b"id,years,text\n1,5,x\n1", {"encoding": "utf-16"}, "T-ENCODING", "utf-16"),
        (b"id;years;text\n1;5;x\n", {}, "T-DELIM", "looks like ';'"),
        (b"id\tyears\ttext\n1\t5\tx\n", {"delimiter": ";"}, "T-DELIM", "a tab"),
        (b'"id";"years";"text"\n1;5;x\n', {}, "T-DELIM", "looks like ';'"),
        (b"Meier,5,x\nHuber,6,y\n", {}, "T-NOHEADER", "matches 0 of 3"),
        (b"\nid,years,text\n1,5,x\n", {}, "T-NOHEADER", ""),
        (b'id,years,text\n1,5,a"b\n', {}, "T-RAGGED", "first on line 2"),
        (b'id,years,text\n1,5,"ab\n2,6,y\n', {}, "T-RAGGED", "line 2"),
        (b"id,years,text\n1,5,a\rb\n", {}, "T-RAGGED", "line 2"),
    ],
)
def test_unreadable_files_have_their_code(tmp_path: Path, content: bytes, dialect: dict[str, str], code: str, words: str) -> None:
    """A file that cannot be read in the declared form is refused as a whole, and nothing of it is repeated."""
    found, finding = fault(tmp_path, content, **dialect)
    assert found == code
    assert words in finding
    assert not any(name in finding for name in ("Meier", "Huber", "ller"))


def test_missing_files_folders_and_nonsense_are_no_tables(tmp_path: Path) -> None:
    """T-FILE, without the path: names of folders may be names of people."""
    (tmp_path / "nonsense").write_bytes(b"PAR1 but not really")
    (tmp_path / "folder").mkdir()
    for name in ("absent", "folder", "nonsense"):
        with pytest.raises(UnreadableError) as refused:
            open_table(tmp_path / name, WANTED, format="parquet")
        assert refused.value.fault.code == "T-FILE"
        assert str(tmp_path) not in str(refused.value.fault)


@pytest.mark.parametrize("lines", [["1,5", "2,6,x,y", "3,7,x"], ["1,5", "2,6,x,y", '3,7,"x"']])
def test_lines_with_too_few_or_too_many_cells_are_set_apart(tmp_path: Path, lines: list[str]) -> None:
    """One cell too few in one line and one too many in another do not cancel out."""
    table = read(tmp_path, "\n".join(["id,years,text", *lines, ""]).encode())
    assert table.frame.rows() == [("3", "7", "x")]
    assert table.found == 3
    assert table.records is not None
    assert table.records.to_list() == [2]
    [ragged] = table.faults
    assert (ragged.code, ragged.count, table.places(ragged.records)) == ("T-RAGGED", 2, [2, 3])


def test_headers_are_judged_without_being_repeated(tmp_path: Path) -> None:
    """Absent, doubled and unknown columns are named by the field or by the position."""
    table = read(tmp_path, b"id,id,Maria,heigth,left_out\n1,2,3,4,5\n")
    found = [(each.code, each.field, each.finding) for each in table.faults]
    assert found == [
        ("T-HDRDUP", "key", "the columns at positions 1, 2 have the same name"),
        ("T-MISSCOL", "age", "the column that the site file maps to 'age' is absent"),
        ("T-MISSCOL", "note", "the column that the site file maps to 'note' is absent"),
        ("T-EXTRACOL", None, "the column at position 3 is neither mapped nor ignored"),
        ("T-EXTRACOL", None, "the column at position 4 is neither mapped nor ignored"),
    ]
    assert "'height'" in table.faults[-1].next_step
    assert "Maria" not in str(table.faults)
    assert table.frame.rows() == [("1",)]


def test_unknown_columns_are_a_warning_where_the_schema_takes_a_superset(tmp_path: Path) -> None:
    """``fieldsMatch: superset`` lets a table hold more."""
    wanted = Wanted({"key": "id"}, frozenset({"id"}), ("key",), exact=False)
    table = read(tmp_path, b"id,more\n1,2\n", wanted=wanted)
    assert [(each.code, each.warning) for each in table.faults] == [("T-EXTRACOL", True)]


def test_parquet_columns_keep_their_types_and_rows_their_numbers(tmp_path: Path) -> None:
    """A name with a pattern's signs in it is one file, and rows count from one."""
    path = tmp_path / "t[1]*.parquet"
    pl.DataFrame({"id": [1, 2], "years": [5.0, None], "text": ["x", "y"], "left_out": [0, 0]}).write_parquet(path)
    table = open_table(path, WANTED, format="parquet")
    assert table.frame.schema == {"id": pl.Int64, "years": pl.Float64, "text": pl.String}
    assert (table.found, table.unit, table.places([0, 1]), table.faults) == (2, "row", [1, 2], ())


def test_parquet_without_records_or_columns(tmp_path: Path) -> None:
    """No record is T-EMPTY; no wanted column is T-MISSCOL for each."""
    path = tmp_path / "t.parquet"
    pl.DataFrame(schema={"id": pl.Int64}).write_parquet(path)
    with pytest.raises(UnreadableError) as refused:
        open_table(path, WANTED, format="parquet")
    assert refused.value.fault.code == "T-EMPTY"
    pl.DataFrame({"other": [1]}).write_parquet(path)
    table = open_table(path, WANTED, format="parquet")
    assert [each.code for each in table.faults] == ["T-MISSCOL"] * 3 + ["T-EXTRACOL"]
    assert table.found == 1


# ------------------------------------------------------------------------------------------------- numbers as numbers

NUMBERS = replace(WANTED, numbers={"years": pl.Int64()})
DECIMALS = replace(WANTED, numbers={"years": pl.Float64()})
ODD = st.sampled_from(
    ("", "5", "007", "+5", "-0", "5.0", ".5", "1E5", " 5", "5 ", "\t5", "inf", "nan", "NA", "9" * 19, "1e-400", "\u0661")
)


def test_numbers_come_as_numbers_where_asked_for(tmp_path: Path) -> None:
    """An empty cell is null; the text is there again when someone asks, with its zeros, and lines are the same."""
    table = read(tmp_path, b"id,years,text\n1,007,a\n2,,b\n", wanted=NUMBERS)
    assert table.frame.rows() == [("1", 7, "a"), ("2", None, "b")]
    assert table.texts is not None
    assert table.texts(["years"], None).to_dict(as_series=False) == {"years": ["007", ""]}
    assert table.places([0, 1]) == [2, 3]


@pytest.mark.parametrize("end", [("\n", "\n"), ("\n", ""), ("\r\n", "\r\n"), ("\n", "\n\n")])
@pytest.mark.parametrize("rows", [[0], [59], [0, 7, 59], [], list(range(60)), list(range(1, 60, 2))])
def test_the_text_of_some_rows_is_that_of_these_rows(tmp_path: Path, rows: list[int], end: tuple[str, str]) -> None:
    """Few are read from their own lines, many from all; however lines end, and whether the last one does."""
    written = ["" if row % 5 == 1 else f"00{row}" for row in range(60)]
    content = end[0].join(["text,years,id", *(f"x,{cell},{row}" for row, cell in enumerate(written))]) + end[1]
    table = read(tmp_path, content.encode(), wanted=NUMBERS)
    if end[1] == "\n\n":
        assert table.texts is None  # an empty line is no record: such a text is looked at line by line
        return
    assert table.texts is not None
    found = table.texts(["years", "id"], pl.Series(rows, dtype=pl.UInt32))
    assert found.to_dict(as_series=False) == {"years": [written[row] for row in rows], "id": [str(row) for row in rows]}


@pytest.mark.parametrize("cell", [b" 5", b"\t5", b"5 ", b"5.5", b"1e3", b"x", b'"5"', b"9223372036854775808"])
def test_a_cell_that_is_no_plain_number_leaves_all_cells_text(tmp_path: Path, cell: bytes) -> None:
    """One is enough: then nothing is a number."""
    table = read(tmp_path, b"id,years,text\n1,5,a\n2," + cell + b",b\n", wanted=NUMBERS)
    assert table.frame["years"].to_list() == ["5", cell.decode().strip('"')]
    assert table.texts is None


def test_blanks_elsewhere_and_short_lines_are_what_they_were(tmp_path: Path) -> None:
    """A blank inside of a text does no harm; lines of another length are told as before."""
    assert read(tmp_path, b"id,years,text\n1,5,a b\n", wanted=NUMBERS).texts is not None
    table = read(tmp_path, b"id,years,text\n1,5\n2,6,b\n3,7,c,d\n", wanted=NUMBERS)
    assert (table.frame.rows(), table.texts) == ([("2", "6", "b")], None)
    assert [(each.code, each.count) for each in table.faults] == [("T-RAGGED", 2)]


@given(
    cells=st.lists(ODD, min_size=1, max_size=3), end=st.sampled_from(["\n", "\r\n"]), wanted=st.sampled_from([NUMBERS, DECIMALS])
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_numbers_are_what_a_cast_of_their_text_gives(tmp_path: Path, cells: list[str], end: str, wanted: Wanted) -> None:
    """Bit by bit, or the cells are text."""
    content = end.join(["id,text,years", *(f"1,x,{cell}" for cell in cells), ""]).encode()
    plain, table = read(tmp_path, content), read(tmp_path, content, wanted=wanted)
    if table.texts is None:
        assert table.frame.equals(plain.frame)
        return
    kind = wanted.numbers["years"]
    assert plain.frame["years"].cast(kind, strict=False).equals(table.frame["years"], check_dtypes=True)
    assert table.texts(["years"], None)["years"].equals(plain.frame["years"])
    assert table.frame["years"].null_count() == cells.count("")
