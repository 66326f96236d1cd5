from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from silo_node.sources import layout as module
from silo_node.sources.layout import blank_begins, count, scan

CELL = st.text(alphabet='ab1 ,;"\n\r\u00e9', max_size=6)
TABLE = st.lists(st.lists(CELL, min_size=2, max_size=4), min_size=1, max_size=8)


def _written(table: list[list[str]], end: str) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(table)
    return text.getvalue().encode()


@given(table=TABLE, end=st.sampled_from(["\n", "\r\n"]), cut=st.booleans())
def test_records_and_lines_are_those_that_were_written(table: list[list[str]], end: str, cut: bool) -> None:
    """Quoted line ends and delimiters belong to their cell; each record has its physical line and its number of cells."""
    raw = _written(table, end)
    layout = scan(raw.removesuffix(end.encode()) if cut else raw, ord(","), ord('"'))
    assert layout.irregular is None
    assert [int(count) + 1 for count in layout.delimiters] == [len(record) for record in table]
    before = [sum(cell.count("\n") for record in table[:at] for cell in record) for at in range(len(table))]
    assert [int(line) for line in layout.lines] == [at + 1 + lines for at, lines in enumerate(before)]
    assert not layout.blank.any()


@given(table=st.lists(st.lists(st.text(alphabet="ab1 ;", max_size=4), min_size=2, max_size=4), max_size=8))
def test_plain_text_needs_no_quotes(table: list[list[str]]) -> None:
    """Lines are records, commas are delimiters, empty lines are blank."""
    lines = [",".join(record) for record in table]
    layout = scan("\n".join([*lines, ""]).encode(), ord(","), ord('"'))
    assert [int(count) for count in layout.delimiters] == [line.count(",") for line in lines]
    assert layout.blank.tolist() == [not line for line in lines]


@given(
    before=st.integers(0, 5),
    stray=st.sampled_from(['a"b', 'a"', '"a"b', '"a', "a\rb", '"a" ']),
    after=st.integers(0, 3),
)
def test_what_has_two_readings_has_none(before: int, stray: str, after: int) -> None:
    """A quote inside a bare cell, text after a closing quote, an open quote, a bare carriage return: named by line."""
    text = "x,y\n" * before + f"{stray},y\n" + "x,y\n" * after
    assert scan(text.encode(), ord(","), ord('"')).irregular == before + 1


def test_a_table_without_quoting_takes_quotes_as_they_are() -> None:
    """With no quote character, a quote is a letter like any other."""
    layout = scan(b'a,5" disk\nb,"\n', ord(","), None)
    assert layout.irregular is None
    assert layout.delimiters.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("raw", "irregular", "blank"),
    [
        (b"a,b\n1,2\r", None, [False, False]),  # the last line ends half
        (b"a,b\r\n\r\n1,2\r\n", None, [False, True, False]),
        (b"a,b\n1,2\r\r\n", 2, [False, False]),
        (b'a,b\n"1\r",2\n', None, [False, False]),
        (b'a,b\n1,2\rx\n1,"2"x\n', 2, [False, False, False]),  # of two, the first
        (b'a,b\n1,"2"x\n1,2\rx\n', 2, [False, False, False]),
        (b'"a","b"\n"1""",""\n', None, [False, False]),
        (b'"a","b"\n"1","2', 2, [False, False]),
        (b"", None, []),
        (b"\n", None, [True]),
        (b"\r", None, [True]),
    ],
)
@pytest.mark.parametrize("block", [1, 3, 1 << 20])
def test_ends_of_lines_and_of_the_text(
    raw: bytes, irregular: int | None, blank: list[bool], block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the blocks are in which bytes are looked at."""
    monkeypatch.setattr(module, "BLOCK_BYTES", block)
    found = scan(raw, ord(","), ord('"'))
    assert (found.irregular, found.blank.tolist()) == (irregular, blank)
    assert found.lines.tolist() == list(range(1, len(blank) + 1))
    assert count(raw, ord("\n")) == raw.count(b"\n")


@pytest.mark.parametrize(
    ("raw", "delimiter", "blank"),
    [
        (b"a,b\n1,2\n", ",", False),
        (b"a,b\n1, 2\n", ",", True),
        (b"a,b\n\t1,2\n", ",", True),
        (b" a,b\n1,2\n", ",", True),
        (b"a ,b\n1 ,2 2\n", ",", False),
        (b"a\tb\n1\t2\n", "\t", False),
        (b"a\tb\n1\t 2\n", "\t", True),
    ],
)
@pytest.mark.parametrize("block", [1, 3, 1 << 20])
def test_a_blank_before_a_cell_is_seen(
    raw: bytes, delimiter: str, blank: bool, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A delimiter is none, nor is a blank inside or after a cell."""
    monkeypatch.setattr(module, "BLOCK_BYTES", block)
    assert blank_begins(raw, ord(delimiter)) is blank
