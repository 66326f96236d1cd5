"""The page of a check: everything of the report in one file, nothing from elsewhere, nothing of a record."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from clinic_on_disk import CLINIC, load_contract, make_site, rows

from silo_node.local_report.drawing import WIDTH, Chart, charts
from silo_node.local_report.history import Line, line_of
from silo_node.local_report.page import render, write_page
from silo_node.validation.check import check
from silo_node.validation.reports import LocalReport, local_report
from wardround.contract.model import Contract

FIELDS = [
    {**field, "reference": {"source": "s", "p05": 2, "p25": 5, "median": 8, "p75": 12, "p95": 40}}
    if field["name"] == "radius"
    else {**field, "reference": {"source": "s", "shares": {"female": 0.5, "male": 0.5}}}
    if field["name"] == "sex"
    else field
    for field in CLINIC["fields"]
]


def report_of(folder: Path, contract: Contract, *changed: tuple[int, str, str]) -> LocalReport:
    return local_report(check(make_site(folder, rows(*changed)), contract, profiled=True))


def earlier_line(report: LocalReport, time: str = "2026-01-01T00:00:00Z") -> Line:
    return line_of(report, None, time, cached=False)


class Tags(HTMLParser):
    """Gathers elements, and refuses one that is closed in the wrong place."""

    VOID = frozenset({"meta", "br", "rect", "line"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_page_is_whole_private_and_alone(tmp_path: Path, clinic: Contract) -> None:
    """For its owner only; no script, no address, no style from elsewhere; every element closed."""
    report = report_of(tmp_path, clinic, (0, "Puls", "Geheim"), (1, "Geschlecht", "<b>"), (2, "Puls", "999"))
    path = write_page(make_site(tmp_path, rows()), report, None, ())
    assert (path.name, path.stat().st_mode & 0o777) == ("check-test.clinic-1.2.0.html", 0o600)
    text = path.read_text()
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert not {"script", "link", "iframe", "img", "object", "form", "base"} & {tag for tag, _ in tags.seen}
    assert not any(name.startswith("on") or name in ("href", "src") for _, attributes in tags.seen for name in attributes)
    assert not re.search(r"https?://|url\(|@import|javascript:", text)
    assert "Geheim" not in text
    assert "&lt;a&gt;" in text  # the shape of a cell that looked like HTML


def test_the_same_report_and_history_give_the_same_page(tmp_path: Path, clinic: Contract) -> None:
    report = report_of(tmp_path, clinic, (0, "Puls", "x"))
    assert render(report, "North", None, ()) == render(report, "North", None, ())


def test_every_finding_stands_on_the_page_worst_first(tmp_path: Path, clinic: Contract) -> None:
    """One row each, with field, count, lines and what to do; then what to fix first."""
    changed = [(0, "Puls", "x"), (1, "Geschlecht", "?"), (2, "Geschlecht", "?"), *((at, "Glu", "-9") for at in range(7))]
    text = render(report_of(tmp_path, clinic, *changed), "North", None, ())
    order = [text.index(f"<b>{code}</b>") for code in ("T-MISSLIM", "T-MAP", "T-TYPE", "T-QUARANTINE")]
    assert order == sorted(order)
    assert "<b>T-MAP sex</b>: frees 2; 1 stay." in text
    assert "What to fix first" in text
    clean = render(report_of(tmp_path, clinic), "North", None, ())
    assert "Nothing was found." in clean
    assert "What to fix first" not in clean


def test_the_page_says_what_changed_since_the_last_check(tmp_path: Path, clinic: Contract) -> None:
    before = earlier_line(report_of(tmp_path, clinic, (0, "Puls", "x")))
    report = report_of(tmp_path, clinic, (0, "Geschlecht", "?"))
    assert "This is the first one." in render(report, "North", None, ())
    text = render(report, "North", None, (before,))
    assert "Since the check of 2026-01-01T00:00:00Z: new: T-MAP sex. Gone: T-TYPE pulse." in text
    again = render(report, "North", None, (before, earlier_line(report, "2026-01-02T00:00:00Z")))
    assert "The findings are those of the check of 2026-01-02T00:00:00Z." in again


@pytest.fixture
def drawn(tmp_path: Path) -> dict[str, Chart]:
    contract = load_contract({**CLINIC, "fields": FIELDS}, tmp_path)
    report = report_of(tmp_path, contract, (0, "Puls", "5"), (1, "Radius_cm", "9"), (2, "Radius_cm", "99"))
    return {chart.field.name: chart for chart in charts(contract, report.profiles)}


def test_limits_and_references_are_drawn_where_they_are(drawn: dict[str, Chart]) -> None:
    """Hard limits left and right of everything possible, plausible ones among the bins, quantiles within them."""
    radius = drawn["radius"]
    assert [(mark.look, mark.words) for mark in radius.marks] == [
        ("hard", "minimum 0"),
        ("hard", "maximum 100"),
        ("plausible", "plausible limit 1"),
        ("plausible", "plausible limit 50"),
    ]
    low, high, first, last = (mark.x for mark in radius.marks)
    assert low < first < last < high
    assert radius.box is not None
    assert radius.box.middle is not None
    assert radius.box.median is not None
    assert first < radius.box.low < radius.box.middle[0] < radius.box.median < radius.box.middle[1] < radius.box.high < last
    assert len(drawn["sex"].ticks) == 2
    assert drawn["pulse"].box is None


def test_bars_lie_inside_and_count_every_value(drawn: dict[str, Chart]) -> None:
    """No bar is outside its drawing; impossible values stand beyond the limit, and all bars together are all values."""
    for chart in drawn.values():
        assert all(
            bar.x >= 0 and bar.x + bar.width <= WIDTH and bar.y >= 0 and bar.y + bar.height <= chart.height for bar in chart.bars
        )
        assert sum(int(bar.words.rpartition(": ")[2]) for bar in chart.bars) == chart.values
    looks = {bar.look: bar.words for bar in drawn["radius"].bars if bar.look != "plain"}
    assert looks == {"outer": "from 62.25 up to 100: 1", "impossible": "above the maximum 100: 1"}
    assert [bar.words for bar in drawn["pulse"].bars if bar.look == "impossible"] == ["below the minimum 20: 1"]


def test_keys_and_texts_are_not_drawn(drawn: dict[str, Chart]) -> None:
    assert not {"patient_key", "visit", "note"} & set(drawn)
