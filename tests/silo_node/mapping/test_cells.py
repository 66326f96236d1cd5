"""One cell in, one value or one code out."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from silo_node.mapping.cells import LOCAL, compile_cells
from silo_node.mapping.facts import Facts
from silo_node.mapping.resolve import FieldMapping
from wardround.contract.model import Category, ContractField

TEXT = ContractField(name="x", type="string")
CODED = ContractField(name="x", type="string", categories=(Category(value="well"), Category(value="ill")))
WHOLE = ContractField(name="x", type="integer", unit="1")
NUMBER = ContractField(name="x", type="number", unit="1")
DAY = ContractField(name="x", type="date")
MIDNIGHT = datetime.fromisoformat("2021-02-03T00:00")
FOUR_O_CLOCK = datetime.fromisoformat("2021-02-03T04:00")


def read(mapping: FieldMapping, cells: pl.Series, *, quick: bool = False) -> list[Any]:
    """Give each cell's value, None where missing, or the code of what is wrong with it."""
    facts = Facts()
    compiled = compile_cells(mapping, cells.dtype, facts)
    assert compiled is not None
    table = pl.DataFrame({LOCAL + "local": cells})
    if quick:
        assert compiled.quick is not None
        table = table.with_columns(compiled.quick.value.alias("x"))
        doubtful = table.select(facts.asked).select(compiled.quick.doubt.fill_null(value=True)).item()
        return ["doubtful"] if doubtful else table["x"].to_list()
    table = table.with_columns(compiled.value.alias("x"))
    bad = table.select(pl.lit(value=False) if compiled.bad is None else compiled.bad).to_series()
    kinds = [(code, table.select(applies.fill_null(value=False).alias("k")).to_series()) for code, applies in compiled.kinds]
    bad = bad.new_from_index(0, table.height) if len(bad) == 1 else bad
    kinds = [(code, mask.new_from_index(0, table.height) if len(mask) == 1 else mask) for code, mask in kinds]
    return [next(code for code, mask in kinds if mask[at]) if bad[at] else value for at, value in enumerate(table["x"].to_list())]


def mapping(field: ContractField, **settings: Any) -> FieldMapping:
    return FieldMapping(field, "local", **settings)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("5", 5), ("+5", 5), ("-7", -7), ("00123", 123), ("63.0", 63), ("1e2", 100), ("", None), ("NA", None), ("-9", None),
        ("5.5", "T-INTFRAC"), ("forty", "T-TYPE"), (" 5", "T-TYPE"), ("5 ", "T-TYPE"), ("1_000", "T-TYPE"), ("0x10", "T-TYPE"),
        ("5,0", "T-TYPE"), ("inf", "T-NONFINITE"), ("nan", "T-NONFINITE"), ("9007199254740993", "T-TYPE"), ("1e300", "T-TYPE"),
    ],
)  # fmt: skip
def test_whole_numbers_from_text(cell: str, value: object) -> None:
    """Whole numbers may be written as decimals; everything else is a finding of its own code."""
    assert read(mapping(WHOLE, marks=("", "NA", "-9")), pl.Series([cell])) == [value]


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("5", 5.0), ("5.25", 5.25), (".5", 0.5), ("1E-3", 0.001), ("", None), ("-9", None), ("-9.0", -9.0),
        ("<0.01", "T-TYPE"), ("7 mg", "T-TYPE"), ("5,6", "T-TYPE"), ("Infinity", "T-NONFINITE"), ("1e999", "T-NONFINITE"),
    ],
)  # fmt: skip
def test_numbers_from_text(cell: str, value: object) -> None:
    """Plain decimal numbers only; a mark is compared as text, so -9.0 is a number where -9 is a mark."""
    assert read(mapping(NUMBER, marks=("", "-9")), pl.Series([cell])) == [value]


@pytest.mark.parametrize(
    ("cell", "value"), [("5,25", 5.25), ("5", 5.0), ("1.234", "T-TYPE"), ("1.234,5", "T-TYPE"), ("1,2,3", "T-TYPE")]
)
def test_a_decimal_comma_leaves_no_room_for_points(cell: str, value: object) -> None:
    """1.234 is 1234 to some and 1.234 to others, so it is neither."""
    assert read(mapping(NUMBER, decimal=","), pl.Series([cell])) == [value]


def test_conversions_are_in_double_precision_and_whole_stays_whole() -> None:
    """Five and a half centimetres are 55 millimetres, also where binary rounding says otherwise."""
    assert read(mapping(NUMBER, factor=10.0), pl.Series(["1.799", "x"])) == [1.799 * 10.0, "T-TYPE"]
    assert read(mapping(NUMBER, factor=5 / 9, offset=-160 / 9), pl.Series(["98.6"])) == [98.6 * (5 / 9) + -160 / 9]
    assert read(mapping(WHOLE, factor=10.0), pl.Series(["5.5", "1.13", "1.234"])) == [55, "T-INTFRAC", "T-INTFRAC"]
    assert read(mapping(WHOLE, factor=1 / 0.7), pl.Series(["2.1"])) == [3]
    assert read(mapping(NUMBER, factor=1e300), pl.Series(["1e300"])) == ["T-NONFINITE"]


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("2021-02-28", date(2021, 2, 28)), ("2021-02-30", "T-TYPE"), ("2021-2-8", "T-TYPE"), ("28.02.2021", "T-TYPE"),
        ("21-02-28", "T-TYPE"), (" 2021-02-28", "T-TYPE"), ("2021-02-28T00:00", "T-TYPE"), ("+2021-02-2", "T-TYPE"),
        ("2021- 2-08", "T-TYPE"), ("12021-02-2", "T-TYPE"), ("", None),
    ],
)  # fmt: skip
def test_dates_are_iso_unless_declared(cell: str, value: object) -> None:
    """An undeclared order of day and month is refused, not guessed."""
    assert read(mapping(DAY, marks=("",)), pl.Series([cell])) == [value]


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("28.02.2021", date(2021, 2, 28)), ("8.2.2021", date(2021, 2, 8)), ("02/28/2021", "T-TYPE"), ("28.02.21", "T-TYPE"),
        ("2021-02-28", "T-TYPE"), ("31.02.2021", "T-TYPE"), ("28.02.12021", "T-TYPE"),
    ],
)  # fmt: skip
def test_dates_in_a_declared_format_have_four_digits_in_the_year(cell: str, value: object) -> None:
    """28.02.21 is not a day of the year 21, and not silently one of 2021 either."""
    assert read(mapping(DAY, date_format="%d.%m.%Y"), pl.Series([cell])) == [value]


def test_codes_are_total_and_exact() -> None:
    """A code without a mapping is a finding, also when only its white space or case differs."""
    coded = mapping(CODED, codes=(("g", "well"), ("k", "ill"), ("K", "ill")), marks=("", "?"))
    cells = pl.Series(["g", "k", "K", "G", " g", "g ", "", "?", "well"])
    assert read(coded, cells) == ["well", "ill", "ill", "T-MAP", "T-MAP", "T-MAP", None, None, "T-MAP"]


def test_texts_are_kept_as_they_are() -> None:
    """Nothing is stripped; only a mark is missing."""
    assert read(mapping(TEXT, marks=("", "NA")), pl.Series(["00123", " x ", "NA", "", "na"])) == [
        "00123",
        " x ",
        None,
        None,
        "na",
    ]


@pytest.mark.parametrize(
    ("field", "cells", "values", "settings"),
    [
        (TEXT, pl.Series([7, None], dtype=pl.Int64), ["7", None], {}),
        (TEXT, pl.Series([7.0, 7.5, None]), ["7", "7.5", None], {}),
        (TEXT, pl.Series([True, None]), ["true", None], {}),
        (TEXT, pl.Series([date(2021, 2, 3)]), ["2021-02-03"], {}),
        (TEXT, pl.Series(["a", None], dtype=pl.Categorical), ["a", None], {}),
        (CODED, pl.Series([1, 2, 3]), ["well", "ill", "T-MAP"], {"codes": (("1", "well"), ("2", "ill"))}),
        (CODED, pl.Series([1.0, None]), ["well", None], {"codes": (("1", "well"),)}),
        (CODED, pl.Series([True, False]), ["ill", "well"], {"codes": (("true", "ill"), ("false", "well"))}),
        (WHOLE, pl.Series([5, -9, None], dtype=pl.Int16), [5, None, None], {"marks": ("", "-9")}),
        (WHOLE, pl.Series([5.0, 5.5, float("nan"), None]), [5, "T-INTFRAC", "T-NONFINITE", None], {}),
        (WHOLE, pl.Series([float("inf")]), ["T-NONFINITE"], {}),
        (WHOLE, pl.Series([5, 2**63], dtype=pl.UInt64), [5, "T-TYPE"], {}),
        (WHOLE, pl.Series([2**53 - 1, 2**53]), [2**53 - 1, "T-TYPE"], {}),
        (WHOLE, pl.Series(["63.0", "x"], dtype=pl.Categorical), [63, "T-TYPE"], {}),
        (NUMBER, pl.Series([1.5, float("nan")]), [1.5, None], {"marks": ("NaN",)}),
        (NUMBER, pl.Series([1, 999]), [10.0, None], {"factor": 10.0, "marks": ("999",)}),
        (NUMBER, pl.Series([0.1], dtype=pl.Float32), [pytest.approx(0.1)], {}),
        (NUMBER, pl.Series([Decimal("1.25")]), [1.25], {}),
        (NUMBER, pl.Series(["1.25", "x"]), [1.25, "T-TYPE"], {}),
        (DAY, pl.Series([date(2021, 2, 3), None]), [date(2021, 2, 3), None], {}),
        (DAY, pl.Series([MIDNIGHT, FOUR_O_CLOCK, None]), [MIDNIGHT.date(), "T-TYPE", None], {}),
        (DAY, pl.Series(["2021-02-03", "x"]), [date(2021, 2, 3), "T-TYPE"], {}),
    ],
)  # fmt: skip
def test_typed_columns_become_the_schema_types(field: ContractField, cells: pl.Series, values: list[Any], settings: Any) -> None:
    """Parquet columns keep what they are: ids lose no zeros and gain no .0, and NaN is not missing unless declared."""
    assert read(mapping(field, **settings), cells) == values


@pytest.mark.parametrize(
    ("field", "cells"),
    [
        (NUMBER, pl.Series([True])),
        (DAY, pl.Series([20210203.0])),
        (TEXT, pl.Series([[1]])),
        (TEXT, pl.Series([b"x"])),
        (WHOLE, pl.Series([date(2021, 1, 1)])),
    ],
)  # fmt: skip
def test_a_type_that_cannot_hold_the_field_is_said_to_be_so(field: ContractField, cells: pl.Series) -> None:
    """A truth value is no number and a float no date: the column is refused as a whole."""
    assert compile_cells(mapping(field), cells.dtype, Facts()) is None


@pytest.mark.parametrize(
    ("field", "cells", "settings", "clean"),
    [
        (WHOLE, ["5", ""], {"marks": ("",)}, True),
        (WHOLE, ["5", "x"], {"marks": ("",)}, False),
        (WHOLE, ["5", "63.0"], {}, False),
        (WHOLE, ["9007199254740993"], {}, False),
        (NUMBER, ["5", ""], {"marks": ("",)}, True),
        (NUMBER, ["5", "inf"], {}, False),
        (NUMBER, ["5", "nan"], {}, False),
        (NUMBER, ["5,5"], {"decimal": ","}, True),
        (NUMBER, ["5.5"], {"decimal": ","}, False),
        (DAY, ["2021-02-03", ""], {"marks": ("",)}, True),
        (DAY, ["2021-02-03", "+2021-02-2"], {}, False),
        (DAY, ["2021-02-03", "2021- 2-08"], {}, False),
        (DAY, ["2021-02-03", "2021-2-8"], {}, False),
        (DAY, ["3.2.2021", "x"], {"date_format": "%d.%m.%Y"}, False),
        (DAY, ["3.2.2021", "3.2.21"], {"date_format": "%d.%m.%Y"}, False),
        (DAY, ["3.2.2021", "03.02.2021"], {"date_format": "%d.%m.%Y"}, True),
        (WHOLE, [5, None], {"marks": ("",)}, True),
        (WHOLE, [5, 2**60], {}, False),
        (NUMBER, [5.0, None], {}, True),
        (NUMBER, [5.0, float("nan")], {}, False),
    ],
)
def test_the_quick_way_is_the_full_way_or_doubtful(field: ContractField, cells: list[Any], settings: Any, clean: bool) -> None:
    """What the quick way does not doubt, the full way reads the same; what the full way finds bad, the quick way doubts."""
    series = pl.Series(cells)
    full, quick = read(mapping(field, **settings), series), read(mapping(field, **settings), series, quick=True)
    assert quick == (full if clean else ["doubtful"])


def test_the_quick_way_of_a_required_text_doubts_any_mark() -> None:
    """A mark for missing among required texts sends the column to the full way."""
    required = ContractField(name="x", type="string", constraints={"required": True})
    assert read(mapping(required, marks=("",)), pl.Series(["a"]), quick=True) == ["a"]
    assert read(mapping(required, marks=("",)), pl.Series(["a", ""]), quick=True) == ["doubtful"]
