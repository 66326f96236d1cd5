"""The catalogue as a whole: every code that a table can be found guilty of has its variants, in CSV and in Parquet.

A new code in ``FindingCode`` without a table fails here, as does a table of a code that is gone.
"""

from __future__ import annotations

import ast
import importlib.util
from collections import Counter
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import get_args

import pytest

from wardround.messages.data_report import FindingCode

HERE = Path(__file__).parent
FEWEST = 3
CODES: tuple[str, ...] = get_args(FindingCode)

ELSEWHERE = {
    "T-STALE": (
        "a snapshot's: CSV and Parquet are read where they are, and have none",
        "extraction/test_snapshots.py::test_a_snapshot_of_what_was_changed_since_is_never_used",
    ),
    "T-SIZE": (
        "of an extraction's limits of rows, time and memory: CSV and Parquet are not extracted",
        "extraction/test_databases.py::test_a_query_that_cannot_be_answered_has_a_code",
    ),
    "T-QUERY": (
        "a database's: nothing is asked of a file",
        "extraction/test_databases.py::test_a_query_that_cannot_be_answered_has_a_code",
    ),
    "T-SYNTHETIC": (
        "of what the keys of all records say, whatever the form: it is no fault",
        "test_synthetic_records.py::test_a_study_is_told_that_records_were_made_up",
    ),
    "T-CELL": (
        "a workbook's: only there a cell may be merged, a formula, or an error of its program",
        "extraction/test_workbooks.py::test_cells_without_a_value_of_their_own_are_found",
    ),
}
"""Codes that are in neither format, each with the reason and the test of the formats that it is in."""


@cache
def catalogue(part: str) -> ModuleType:
    """Load another test module of the catalogue, for its tables."""
    spec = importlib.util.spec_from_file_location(f"catalogue_{part}", HERE / f"test_catalogue_{part}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def variants(form: str) -> Counter[str]:
    """Count the variants of each code in the tables that are run in a format."""
    files, joins, values = catalogue("files"), catalogue("joins"), catalogue("values")
    found: Counter[str] = Counter()
    for tables in ({"csv": files.CSV, "parquet": files.PARQUET}[form], joins.VARIANTS, values.VARIANTS, values.OF_A_STUDY):
        found.update({code: len(each) for code, each in tables.items()})
    found["T-QUARANTINE"] += len(values.SPOILT)
    found.update(code for code, _, _ in catalogue("cells").ONE_CODE)
    found.update(code for _, expected in catalogue("records").VARIANTS.values() for code, _ in expected)
    found["T-DATESHIFT"] += len(catalogue("records").SHIFTED)
    units = catalogue("units")
    found.update({"T-UNIT": len(units.WHOLE), "T-UNITMIX": len(units.MIXED), "T-DRIFT": len(units.DRIFTED)})
    return found


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("code", CODES)
def test_every_code_has_its_variants_or_a_reason(code: str, form: str) -> None:
    """At least three, or the written reason why the format cannot have it; never both."""
    not_in = catalogue("files").NOT_IN
    without = code in ELSEWHERE or (form == "parquet" and code in not_in)
    assert without == (variants(form)[code] == 0)
    assert without or variants(form)[code] >= FEWEST


def test_no_table_is_of_a_code_that_is_gone() -> None:
    """Neither are reasons."""
    assert set(variants("csv")) | set(variants("parquet")) | set(ELSEWHERE) | set(catalogue("files").NOT_IN) <= set(CODES)


@pytest.mark.parametrize("code", ELSEWHERE)
def test_what_is_of_other_formats_has_a_test_there(code: str) -> None:
    """By its name, and with the code in it or in its parameters."""
    path, name = ELSEWHERE[code][1].split("::")
    source = (HERE.parent / path).read_text(encoding="utf-8")
    (function,) = [each for each in ast.parse(source).body if isinstance(each, ast.FunctionDef) and each.name == name]
    told = [each.value for each in ast.walk(function) if isinstance(each, ast.Constant)]
    assert code in told
