"""The table on the terminal: every line fits, worst first, and says what to do."""

from __future__ import annotations

from dataclasses import replace

import pytest
from clinic_on_disk import CLINIC, make_site, rows

from silo_node.local_report.table import fix_first, table, verdict, visible
from silo_node.validation.check import check
from silo_node.validation.findings import Finding, Shape
from silo_node.validation.reports import LocalReport, local_report, standing, worst_first
from wardround.contract.model import Contract

FINDING = Finding(
    code="T-RANGE",
    severity="error",
    level="record",
    field="pulse",
    rule=None,
    count=1234567,
    of=9999999,
    lines=tuple(range(1_000_000, 1_000_020)),
    unit="line",
    shapes=(Shape("999999", 99), Shape("  9", 3), Shape(" ", 1)),
    expectation="pulse is at least 20 and at most 300 (/min)",
    finding="1234567 of 9999999 records break this",
    next_step="correct the values",
)


@pytest.fixture
def report(tmp_path, clinic: Contract) -> LocalReport:
    return local_report(check(make_site(tmp_path, rows((0, "Puls", "x"), (1, "Geschlecht", "?"))), clinic))


@pytest.mark.parametrize("width", [80, 100, 120])
def test_no_line_is_wider_than_the_terminal(report: LocalReport, width: int) -> None:
    """Long names are cut in the row and stand whole below; line numbers stop where the column does."""
    long = replace(FINDING, field="a" * 63, expectation=f"{'a' * 63} is at least 20")
    wide = replace(report, findings=(long, FINDING, *report.findings))
    lines = [row.plain for row in table(wide, width)]
    assert max(map(len, lines)) <= width
    assert any("a" * 63 in line for line in lines)


def test_a_row_has_everything_that_one_acts_on(report: LocalReport) -> None:
    lines = [row.plain for row in table(replace(report, findings=(FINDING,)), 100)]
    assert lines[0].split() == ["code", "field", "or", "rule", "count", "share", "where", "shapes"]
    assert lines[1] == "Sets records aside:"
    assert lines[2].split() == [
        "T-RANGE",
        "pulse",
        "1234567",
        "12.3",
        "%",
        "lines",
        "1000000,",
        "1000001,",
        "...",
        "999999",
        "␣␣9",
        "␣",
    ]
    assert lines[3] == "    Rule: pulse is at least 20 and at most 300 (/min). Next: correct the values."


def test_what_follows_stands_after_what_it_follows_from() -> None:
    """A code of any kind, known here or not, has its place by what it does."""
    aside = replace(FINDING, code="T-NEWCODE")
    few = replace(FINDING, code="T-FEW", level="table", lines=(), count=0)
    fatal = replace(FINDING, code="T-MISSCOL", level="table", lines=(), count=1)
    told = replace(FINDING, code="T-PLAUS", severity="warning", level="share")
    more = replace(FINDING, code="T-ENUM", count=FINDING.count + 1)
    found = worst_first((told, few, aside, more, fatal))
    assert [each.code for each in found] == ["T-MISSCOL", "T-ENUM", "T-NEWCODE", "T-FEW", "T-PLAUS"]
    assert [standing(each) for each in found] == [
        "fails the check",
        "sets records aside",
        "sets records aside",
        "fails the check in consequence",
        "warning",
    ]


def test_a_share_is_of_records_only(report: LocalReport) -> None:
    """Columns have none; a small one is not 0.0 %."""
    rows_of = [
        row.plain
        for row in table(replace(report, findings=(replace(FINDING, count=1), replace(FINDING, level="table", lines=()))), 80)
    ]
    assert "< 0.1 %" in rows_of[2]
    assert not any("%" in line for line in rows_of[4:])


def test_what_to_fix_first_and_the_verdict(report: LocalReport) -> None:
    assert list(fix_first(report.fix_first, report.quarantined)) == [
        "What to fix first (2 records are set aside):",
        "  1. T-MAP sex: frees 1; 1 stay",
        "  2. T-TYPE pulse: frees 1; 0 stay",
    ]
    assert list(fix_first((), 0)) == []
    assert verdict(report) == f"{CLINIC['id']} {CLINIC['version']}: not in order. 12 records found, 2 set aside, 10 valid."


@pytest.mark.parametrize(("text", "shown"), [(" ", "␣"), ("Aa", "Aa"), ("aa  ", "aa␣␣"), (" a a", "␣a a"), ("", "(empty)")])
def test_spaces_at_the_ends_are_seen(text: str, shown: str) -> None:
    assert visible(text) == shown
