"""What a sheet of a workbook holds: its header, cells without a value of their own, numbers that are text."""

from __future__ import annotations

import pytest
from exports_on_disk import DECLARED, checked, codes, export_site, refused, typed, write_workbook

from silo_node.extraction.extract import extract
from wardround.errors import Refused


def test_a_workbook_is_read_by_sheet_and_header(tmp_path, here):
    """Rows before the header are not read, blank ones are none, and findings name the rows of the sheet."""

    def change(page):
        page.cell(7, 4).value = 5  # a pulse that is impossible
        page.insert_rows(6)

    write_workbook(tmp_path / "t.xlsx", typed(), before=2, change=change)
    source = {"excel": {**DECLARED["excel"], "header": 3, "sheet": "visits"}}
    site = export_site(tmp_path, source, "excel")
    assert extract(site, "excel").records == 12
    assert ("T-RANGE", [8]) in codes(checked(tmp_path, site))
    for sheet, words in (("visit", "none has the name"), (None, "the site file names none of them")):
        write_workbook(tmp_path / "t.xlsx", typed(), before=2, change=lambda page: page.parent.create_sheet("notes"))
        site = export_site(tmp_path, {"excel": {**source["excel"], "sheet": sheet}}, "excel")
        with pytest.raises(Refused) as caught:
            extract(site, "excel")
        assert caught.value.problems[0].code == "T-FILE"
        assert "the workbook has 2 sheets" in caught.value.problems[0].finding
        assert words in caught.value.problems[0].finding


def test_cells_without_a_value_of_their_own_are_found(tmp_path, here):
    """A formula that was never computed, and merged cells, are no missing values; an error is text, which the check finds."""

    def change(page):
        page["E3"] = "=1+1"
        page["F4"] = "#DIV/0!"
        page["F4"].data_type = "e"
        page.merge_cells("H5:H7")
        page.merge_cells("G8:H8")

    write_workbook(tmp_path / "t.xlsx", typed(), change=change)
    site = export_site(tmp_path, DECLARED, "excel")
    extract(site, "excel")
    found = codes(checked(tmp_path, site))
    assert ("T-CELL", [3]) in found
    assert ("T-TYPE", [3]) in found
    assert ("T-CELL", [6, 8]) in found
    assert ("T-CELL", [4]) in found
    assert ("T-TYPE", [4]) in found
    site = export_site(tmp_path, DECLARED, "excel", missing=["#DIV/0!"])
    assert ("T-TYPE", [4]) not in codes(checked(tmp_path, site))


def test_numbers_that_are_text_stay_text(tmp_path, here):
    """Nothing is mended: a decimal comma in one cell is that cell's finding, and the numbers beside it are read."""

    def change(page):
        page["E3"] = "5,6"
        page["D4"] = "70"

    write_workbook(tmp_path / "t.xlsx", typed(), change=change)
    site = export_site(tmp_path, DECLARED, "excel")
    extract(site, "excel")
    result = checked(tmp_path, site)
    assert [each for each in codes(result) if each[0] != "T-QUARANTINE"] == [("T-TYPE", [3])]
    assert result.valid["pulse"].to_list() == [60, 70, *range(63, 72)]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda page: page.merge_cells("B1:C1"), "T-NOHEADER"),
        (lambda page: page.__setitem__("A1", "Datum"), "T-HDRDUP"),
        (lambda page: page.__setitem__("K5", 1), "T-NOHEADER"),
        (lambda page: page.delete_rows(2, 20), "T-EMPTY"),
        (lambda page: page.delete_rows(1, 20), "T-NOHEADER"),
        (lambda page: page.__setitem__("A1", "wardround:row"), "T-HDRDUP"),
    ],
)
def test_a_header_that_names_not_each_column_once_is_refused(tmp_path, here, change, code):
    """Merged, absent, doubled: never a column without a name, or a second one of the same."""
    write_workbook(tmp_path / "t.xlsx", typed(), change=change)
    assert refused(export_site(tmp_path, DECLARED, "excel"), "excel") == code


def test_files_of_one_source_with_other_columns_are_refused(tmp_path, here):
    """Cells do not change columns because a later export has them in another order."""
    write_workbook(tmp_path / "t1.xlsx", typed())
    write_workbook(tmp_path / "t2.xlsx", typed(), change=lambda page: setattr(page["B1"], "value", "Tag"))
    site = export_site(tmp_path, {"excel": {"format": "excel", "paths": ["t*.xlsx"]}}, "excel")
    assert refused(site, "excel") == "T-PARTS"
