"""A file without a header line is read by the names that the site file gives, and what a bad file looks like is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from silo_node.configuration import CsvSource
from silo_node.sources import delimited
from silo_node.sources.faults import UnreadableError
from silo_node.sources.header import Wanted

WANTED = Wanted(fields={"age": "age", "sex": "sex"}, known=frozenset({"age", "sex"}), names=("age", "sex"), exact=True)


def read(folder: Path, text: str | bytes, **source: object) -> delimited.DelimitedText:
    path = folder / "r.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return delimited.read(path, CsvSource(format="csv", path="r.csv", **source), WANTED)  # type: ignore[arg-type]


def fault(folder: Path, text: str | bytes, **source: object) -> tuple[str, str]:
    with pytest.raises(UnreadableError) as unreadable:
        read(folder, text, **source)
    return unreadable.value.fault.code, unreadable.value.fault.next_step


@pytest.mark.parametrize("text", ["63,m\n41,f\n", '63,"m"\n41,f\n', "63,m\n\n41,f", "63,m\r\n41,f\r\n"])
def test_the_first_line_is_a_record(tmp_path: Path, text: str) -> None:
    """Quoted or not; line numbers begin with it."""
    found = read(tmp_path, text, header=("age", "sex"))
    assert found.frame.rows() == [("63", "m"), ("41", "f")]
    assert found.found == 2
    assert found.places([0])[0] == 1


def test_a_line_that_has_not_the_named_cells_is_ragged(tmp_path: Path) -> None:
    """The first one too."""
    found = read(tmp_path, "63,m,x\n41,f\n", header=("age", "sex"))
    assert [(each.code, each.records) for each in found.faults] == [("T-RAGGED", (0,))]


def test_two_readings_of_the_same_lines_are_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Should the reader of cells ever see other records than the one of lines, no cell goes into another's record."""
    known = delimited._parse

    def one_less(*arguments: object, strict: bool, **named: object) -> object:
        return known(*arguments, strict=strict, **named).slice(0 if strict else 1)

    monkeypatch.setattr(delimited, "_parse", one_less)
    with pytest.raises(UnreadableError) as unreadable:
        read(tmp_path, "age,sex\n63,m,x\n41,f\n")
    assert unreadable.value.fault.code == "T-RAGGED"
    assert unreadable.value.fault.finding == "2 records by their quotes, 1 by the reader"


def test_names_that_the_file_has_itself_are_refused(tmp_path: Path) -> None:
    """Its header line would count as a record."""
    assert fault(tmp_path, "age,sex\n63,m\n", header=("age", "sex"))[0] == "T-HDRDUP"


def test_a_table_without_a_header_line_is_told_how_to_name_its_columns(tmp_path: Path) -> None:
    """Where the first line looks like a record; a header of other names is told otherwise."""
    assert "under the source's 'header'" in fault(tmp_path, "63,1\n41,0\n")[1]
    assert "correct those names" in fault(tmp_path, "alter,geschlecht\n63,m\n41,f\n")[1]


def test_a_wrong_encoding_is_told_the_likely_one(tmp_path: Path) -> None:
    """Named with how sure that is, and never taken."""
    text = "age,sex,größe\n63,männlich,1\n41,weiblich,2\n"
    code, step = fault(tmp_path, text.encode("cp1252"))
    assert (code, "looks like cp1252" in step) == ("T-ENCODING", True)
    assert "looks like utf-16" in fault(tmp_path, text.encode("utf-16"))[1]


@settings(max_examples=60)
@given(st.lists(st.tuples(*[st.text("ab1 \"',é", max_size=4)] * 2), min_size=1, max_size=6))
def test_a_named_table_reads_as_one_with_that_header_line(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    """The same cells from a file with its first line and from one without, for any cells."""
    folder = tmp_path_factory.mktemp("named")
    lines = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows]
    bare = read(folder, "\n".join([*lines, ""]), header=("age", "sex"))
    whole = read(folder, "\n".join(["age,sex", *lines, ""]))
    assert bare.frame.rows() == whole.frame.rows() == rows
    assert [line + 1 for line in bare.places(range(len(rows)))] == whole.places(range(len(rows)))
