"""What SPSS, Stata and SAS hold: codes, missing values, moments."""

from __future__ import annotations

import polars as pl
import pyreadstat
import pytest
from exports_on_disk import DECLARED, NAMES, checked, codes, export_site, refused, typed, write_export

from silo_node.extraction.extract import extract


def test_codes_stay_codes_and_missing_values_are_missing(tmp_path, here):
    """Value labels are for people; what SPSS was told to be missing is, unless the site file wants to see it."""
    table = typed()
    table[3][5] = 999.0
    write_export(tmp_path, "spss", table)
    site = export_site(tmp_path, DECLARED, "spss")
    extract(site, "spss")
    result = checked(tmp_path, site)
    assert (result.valid["pulse"][0], result.valid["glucose"][3]) == (60, None)
    site = export_site(tmp_path, {"spss": {**DECLARED["spss"], "user_missing": "values"}}, "spss")
    extract(site, "spss")
    assert checked(tmp_path, site).valid["glucose"][3] == pytest.approx(999 * 0.0555)


@pytest.mark.parametrize("form", ["spss", "stata", "sas"])
def test_a_moment_that_is_none_of_ours_stays_a_number(tmp_path, here, form):
    """A day beyond the calendar is found by the check, never wrapped around or dropped."""
    path = write_export(tmp_path, form, typed())
    write = {"spss": pyreadstat.write_sav, "stata": pyreadstat.write_dta, "sas": pyreadstat.write_xport}[form]
    days = {"spss": 86_400 * 4_000_000.0, "stata": 4_000_000.0, "sas": 4_000_000.0}[form]
    frame = pl.DataFrame(typed(), schema=NAMES, orient="row").with_columns(pl.lit(days).alias("Datum"))
    write(frame, path, variable_format={"Datum": {"spss": "DATE11", "stata": "%td", "sas": "DATE9"}[form]})
    site = export_site(tmp_path, DECLARED, form)
    extract(site, form)
    assert codes(checked(tmp_path, site))[0][0] == "T-DATEFMT"


def test_a_file_of_another_program_is_refused(tmp_path, here):
    """What a file is decides how it begins, not its name."""
    write_export(tmp_path, "stata", typed()).rename(tmp_path / "t.sav")
    assert refused(export_site(tmp_path, DECLARED, "spss"), "spss") == "T-FILE"


def test_texts_in_another_encoding_are_refused(tmp_path, here):
    """Neither is taken for the other, nor is a sign left out."""
    table = [[*row[:6], "größer", row[7]] for row in typed()]
    write_export(tmp_path, "spss", table)
    assert refused(export_site(tmp_path, {"spss": {**DECLARED["spss"], "encoding": "ascii"}}, "spss"), "spss") == "T-ENCODING"
