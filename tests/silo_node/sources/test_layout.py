from __future__ import annotations

import csv
import io
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from silo_node.sources import layout as module
from silo_node.sources.layout import blank_begins, line_starts, scan, signs

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
    assert signs(raw, ord("\n")).delimiters == raw.count(b"\n")


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


@pytest.mark.parametrize("block", [1, 7, 1 << 17])
@given(raw=st.one_of(st.binary(max_size=20), st.text(alphabet="ab1,;.\n!\u00e9", max_size=20).map(str.encode)))
def test_signs_are_those_that_stand_there(raw: bytes, block: int) -> None:
    """By one look at all bytes, in blocks; a text that is called plain is, and one of usual signs without the rare ones is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LOOK_BYTES", block)
        found = signs(raw, ord(","))
    assert (found.ascii, found.nul, found.delimiters) == (raw.isascii(), b"\0" in raw, raw.count(b","))
    assert not (found.plain and any(mark in raw for mark in (b"\t", b"\r", b" ", b'"')))
    assert found.plain or any(byte < 10 or 10 < byte <= 34 for byte in raw)


@given(lines=st.lists(st.text(alphabet="ab,\r", max_size=3), min_size=1, max_size=6), closed=st.booleans())
def test_lines_begin_where_others_end(lines: list[str], closed: bool) -> None:
    """With the end of the last line, whether a line feed closes it or not."""
    raw = "\n".join(lines).encode() + (b"\n" if closed else b"")
    starts = line_starts(raw)
    *others, last = raw.split(b"\n")
    wanted = [*(other + b"\n" for other in others), *([last] if last or not others else [])]
    assert [raw[start:end] for start, end in pairwise(starts)] == wanted
