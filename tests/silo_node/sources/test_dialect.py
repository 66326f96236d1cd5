"""What a delimited text looks like is seen from its bytes, whatever they are, and nothing is seen that is not there."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from silo_node.sources import dialect
from silo_node.sources.dialect import SNIFFED_BYTES, encoding_of, read_head, sniff
from silo_node.sources.shapes import decimal_mark, shape

GERMAN = "Nr;Größe;Geschlecht;Prüfung\n1;1,70;männlich;ja\n2;1,65;weiblich;nein\n3;1,6;weiblich;nein\n"


@pytest.mark.parametrize(
    ("encoding", "named", "confidence"),
    [
        ("utf-8", "utf-8", 0.99),
        ("utf-8-sig", "utf-8", 1.0),
        ("utf-16", "utf-16", 1.0),
        ("utf-16-le", "utf-16-le", 0.9),
        ("utf-16-be", "utf-16-be", 0.9),
        ("utf-32", "utf-32", 1.0),
        ("cp1252", "cp1252", 0.9),
        ("latin-1", "cp1252", 0.9),  # the same text in both
        ("cp850", "cp850", 0.5),
        ("mac-roman", "mac-roman", 0.5),
    ],
)
def test_an_encoding_is_named_with_how_sure_that_is(encoding: str, named: str, confidence: float) -> None:
    """A byte order mark is proof, 8-bit encodings are told apart by the letters that they give."""
    found = encoding_of(GERMAN.encode(encoding))
    assert found.name == named
    assert found.confidence >= confidence
    assert (found.confidence == 1.0) == (found.how in ("a byte order mark", "ASCII only"))


def test_encodings_that_are_as_likely_are_named_beside() -> None:
    """Two letters tell French from Polish code pages hardly: that is said, and lowers the confidence."""
    found = encoding_of("id;Région\n1;où\n".encode("cp1252"))
    assert (found.name, found.confidence < 0.7) == ("cp1252", True)
    assert "cp1250" in found.others


def test_what_is_no_text_has_no_encoding() -> None:
    """A workbook or an image is not read as some text."""
    assert encoding_of(b"PK\x03\x04\x00\x00\x08\x00\x00\x00!\x00" * 20).name is None


def test_a_character_cut_by_the_end_of_what_was_looked_at_is_no_error() -> None:
    """Only where the file goes on; at its end, half a character is a fault."""
    cut = "ä".encode() * 5 + b"\xc3"
    assert encoding_of(cut, whole=False).name == "utf-8"
    assert encoding_of(cut, whole=True).name != "utf-8"


@pytest.mark.parametrize(
    ("text", "delimiter", "quote"),
    [
        ("a,b\n1,2\n", ",", '"'),
        ("a;b\n1,5;2,5\n", ";", '"'),
        ("1,5;2,3\n2,5;3,3\n", ";", '"'),
        ("a\tb\n1,5\t2\n", "\t", '"'),
        ("a|b\n1|2\n", "|", '"'),
        ('a,b\n"x;1",2\n"y,3",4\n', ",", '"'),
        ("a;b\n'x;1';2\n'y';3\n", ";", "'"),
        ('a;b\n"x\n1";2\ny;3\n', ";", '"'),
        ("only\none\ncolumn\n", None, '"'),
    ],
)
def test_delimiter_and_quote_are_those_that_make_a_table(text: str, delimiter: str | None, quote: str) -> None:
    """One width, and no cell that holds another table's marks."""
    found = sniff(text.encode())
    assert (found.delimiter, found.quote) == (delimiter, quote)


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("age,sex\n63,m\n41,f\n", True),
        ("63.0,1.0,?\n67.0,1.0,4.0\n", False),
        ("A1,63,m\nA2,41,f\n", False),
        ("sex,smoker\nfemale,yes\nmale,no\nfemale,no\nmale,no\n", True),
        ("anna,berlin\notto,bonn\n", None),
        ("age,\n63,1\n41,2\n", None),
        ("Export of June\nage,sex\n63,m\n41,f\n", True),
        ("age,sex\n", None),
    ],
)
def test_a_header_is_seen_missing_or_in_doubt(text: str, header: bool | None) -> None:
    """Numbers and dates are no names; where all is text and nothing repeats, nobody can tell."""
    assert sniff(text.encode()).header is header


@pytest.mark.parametrize(
    ("text", "ends"),
    [("a,b\n1,2\n", "LF"), ("a,b\r\n1,2\r\n", "CRLF"), ("a,b\r1,2\r", "CR"), ("a,b\r\n1,2\n", "mixed"), ("a,b", "none")],
)
def test_line_ends_are_named(text: str, ends: str) -> None:
    """As they stand, mixed ones too."""
    assert sniff(text.encode()).line_ends == ends


@pytest.mark.parametrize(
    ("cells", "mark"),
    [
        (["1.5", "2.25"], "."),
        (["1,5", "2,25"], ","),
        (["1", "2"], "."),
        (["1,234", "2,500"], None),
        (["1,234", "2.5", "3.75"], "."),
        (["1.234", "2,5", "3,75"], ","),
        (["1,5", "2.5"], None),
    ],
)
def test_the_decimal_mark_is_open_where_cells_leave_it_open(cells: list[str], mark: str | None) -> None:
    """A comma before exactly three digits may part thousands; both marks in one table leave it to a person."""
    text = "n;x\n" + "".join(f"{at};{cell}\n" for at, cell in enumerate(cells))
    assert decimal_mark(sniff(text.encode()).shapes(header=True))[0] == mark


@pytest.mark.parametrize(
    ("cells", "formats"),
    [
        (["2021-03-04"], ("%Y-%m-%d",)),
        (["04.03.2021", "25.12.2020"], ("%d.%m.%Y",)),
        (["12/25/2020", "03/04/2021"], ("%m/%d/%Y",)),
        (["03/04/2021", "05/06/2020"], ("%d/%m/%Y", "%m/%d/%Y")),
        (["31.02.2021"], ()),
        (["1.3.2021"], ()),  # the check's reader wants two digits
        (["04.03.21"], ()),
        (["04.03.2021", "2021-03-04"], ()),
        (["x"], ()),
    ],
)
def test_every_date_format_that_fits_every_cell_is_given(cells: list[str], formats: tuple[str, ...]) -> None:
    """Two are ambiguous, none is no date; nothing is preferred."""
    assert shape(cells).date_formats == formats


def test_marks_for_missing_and_thousands_are_counted() -> None:
    """Empty cells, usual marks and grouped numbers are counted apart from values."""
    seen = shape(["", "NA", "na", "?", "1.234,5", "1 234", "12", "x"])
    assert (seen.empty, seen.marks, seen.grouped, seen.whole, seen.filled) == (1, {"NA": 1, "na": 1, "?": 1}, 2, 1, 4)


def test_only_the_head_of_a_file_is_read(tmp_path: Path) -> None:
    """However large the file is; the record that the end cuts is not looked at."""
    path = tmp_path / "large.csv"
    path.write_bytes(b"id,name\n" + b"12345,abcdefgh\n" * (SNIFFED_BYTES // 15 + 1000))
    raw, whole = read_head(path)
    assert (len(raw), whole) == (SNIFFED_BYTES, False)
    found = sniff(raw, whole=whole)
    assert found.fitting == 1
    assert not found.whole


@pytest.mark.parametrize(
    "raw", [b'"' * SNIFFED_BYTES, b",;" * (SNIFFED_BYTES // 2), b"\xff" * SNIFFED_BYTES, b"a" * SNIFFED_BYTES]
)
def test_a_bomb_of_marks_is_looked_at_in_bounded_time(raw: bytes) -> None:
    """Four MiB of one mark: an answer in seconds."""
    before = time.process_time()
    sniff(raw)
    assert time.process_time() - before < 10


@settings(max_examples=150)
@given(
    st.one_of(
        st.binary(max_size=400),
        st.text(alphabet="ab;,\t|\"'\r\n 0123456789.-/äµ?", max_size=200).flatmap(
            lambda text: st.sampled_from(["utf-8", "utf-16", "cp1252", "cp850"]).map(lambda each: text.encode(each, "ignore"))
        ),
    ),
    st.booleans(),
)
def test_any_bytes_have_an_answer(raw: bytes, whole: bool) -> None:
    """No file makes the detection fail, and every column has a shape that can be asked."""
    found = sniff(raw, whole=whole)
    for header in (True, False):
        for seen in found.shapes(header=header):
            assert seen.filled <= seen.cells
            assert seen.whole + seen.points + seen.commas <= seen.filled + seen.either[0] + seen.either[1]
            assert isinstance(seen.date_formats, tuple)
        assert decimal_mark(found.shapes(header=header))[0] in (".", ",", None)


@pytest.mark.parametrize(
    ("path", "delimiter", "header", "width", "records"),
    [
        ("heart_disease/processed.cleveland.data", ",", False, 14, 303),
        ("heart_disease/processed.hungarian.data", ",", False, 14, 294),
        ("aplore3/GLOW500.txt", "\t", True, 15, 501),
        ("aplore3/GLOW_MIS_WMissing_Data.txt", "\t", True, 10, 501),
        ("single/wdbc.csv", ",", True, 31, 570),
        ("multisite/indo_rct.csv", ",", True, 34, 603),
    ],
)
def test_real_tables_look_like_what_they_are(
    test_data: Path, path: str, delimiter: str, header: bool, width: int, records: int
) -> None:
    """Two exports without a header line, one with tabs and blanks."""
    raw, whole = read_head(test_data / "tabular" / path)
    found = sniff(raw, whole=whole)
    assert (found.delimiter, found.header, found.width, len(found.records), found.fitting) == (
        delimiter,
        header,
        width,
        records,
        1,
    )
    assert found.encoding == dialect.Encoding("utf-8", 1.0, "ASCII only")
