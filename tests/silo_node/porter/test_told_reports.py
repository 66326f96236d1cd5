"""Reports that left once, and those that come after: no small group of records follows from two of them."""

import itertools
import resource
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paper_hospitals import report
from studies_on_paper import contract

from silo_node.porter import told_before
from silo_node.porter.memory import JOURNAL
from silo_node.porter.told_before import REPORTS, Origins, ToldBefore
from silo_node.work import Done
from wardround.errors import Refused
from wardround.messages.data_report import CountedFinding, DataReport, ShownCell, make_report, without_counts
from wardround.messages.round import Reply

SMALL = 11
AGE = {"code": "T-RANGE", "severity": "error", "field": "age", "sets_aside": True}
EMPTY = {"code": "T-NULL", "severity": "warning", "field": "age"}


def told(found: int, aside: int = 0, empty: int | None = None, small_cell: int = SMALL) -> DataReport:
    """Give a report of so many records, of which some are set aside, and in some of which something is missing."""
    findings = [CountedFinding(records=aside, **AGE)] if aside else []
    findings += [CountedFinding(records=empty, **EMPTY)] if empty is not None else []
    return make_report(contract(), found=found, quarantined=aside, passed=True, findings=findings, small_cell=small_cell)


def shown(each: DataReport) -> dict[str, int]:
    """Give the numbers that a reader has: a kind of finding that is not named is one of no records."""
    cells = {"found": each.found, "aside": each.quarantined, "valid": each.valid}
    named = {finding.code: finding.records for finding in each.findings}
    cells |= {code: named.get(code, ShownCell(count=0)) for code in ("T-RANGE", "T-NULL")}
    return {name: cell.count for name, cell in cells.items() if isinstance(cell, ShownCell)}


def small_groups(one: DataReport, other: DataReport) -> list[int]:
    """Do what a curious centre does: subtract every number, and every difference of two numbers."""
    before, after = shown(one), shown(other)
    both = sorted(before.keys() & after.keys())
    single = [after[name] - before[name] for name in both]
    pairs = [
        (after[a] - after[b]) - (before[a] - before[b]) for a, b in itertools.combinations(both, 2) if a in ("aside", "found")
    ]
    return [group for group in (*single, *pairs) if 0 < abs(group) < SMALL]


COUNTS = st.tuples(st.integers(100, 130), st.integers(0, 60), st.one_of(st.none(), st.integers(11, 40)))


@settings(max_examples=300)
@given(st.lists(COUNTS, min_size=2, max_size=4))
def test_no_small_group_follows_from_two_reports(tmp_path_factory, hospitals):
    """Whatever the records become from study to study, over restarts: what left is safe two by two."""
    folder = tmp_path_factory.mktemp("house")
    left = []
    for counts in hospitals:
        reports = ToldBefore(folder)
        left.append(reports.report_weighed(told(*counts), SMALL))
        reports.remember(left[-1])
    for one, other in itertools.combinations(left, 2):
        assert small_groups(one, other) == []


def test_the_attack_finds_what_is_not_weighed():
    """Else the test above would prove nothing."""
    assert set(small_groups(told(412), told(415))) == {3, -3}
    assert small_groups(told(412), told(450)) == []


@pytest.mark.parametrize(
    ("before", "after", "hidden"),
    [
        ((412,), (415,), True),
        ((412,), (412,), False),
        ((412,), (423,), False),
        ((412,), (422,), True),
        ((412,), (400,), False),
        ((412, 30), (442, 35), True),
        ((412, 30), (442, 60), False),
        ((412, 0, 20), (432, 0, 35), True),  # 20 more, 15 of them with nothing missing: 5 have it
        ((412,), (432, 0, 20), False),
    ],
)
def test_a_small_difference_is_withheld_and_nothing_else(tmp_path, before, after, hidden):
    """Equal counts, and those that are far enough apart, are shown as before."""
    reports = ToldBefore(tmp_path)
    reports.remember(told(*before))
    now = told(*after)
    assert reports.report_weighed(now, SMALL) == (without_counts(now) if hidden else now)


def found_in(records: int, *others: int, **told_of: object) -> DataReport:
    """Give a report of 412 records with one or more findings of one kind on one field."""
    values = {"code": "T-PLAUS", "severity": "error", "field": "age", **told_of}
    findings = [CountedFinding(records=each, **values) for each in (records, *others)]
    return make_report(contract(), found=412, quarantined=0, passed=True, findings=findings, small_cell=SMALL)


@pytest.mark.parametrize(
    ("before", "after", "hidden"),
    [
        (found_in(40), found_in(41, severity="warning", explained="case_mix"), True),
        (found_in(40), found_in(40, severity="warning", explained="case_mix"), False),
        (found_in(40, 90), found_in(42, 90), True),  # two findings of one kind: the last one alone is not all
        (found_in(90, 40), found_in(90, 42), True),
        (found_in(40, 90), found_in(40, 90), False),
        (found_in(40, 45), found_in(40, 45), False),  # what was told already is told again
    ],
)
def test_a_finding_is_the_same_however_severe_and_however_often_it_stands(tmp_path, before, after, hidden):
    """An exception turns an error into a warning; the records that it is about are those of before."""
    reports = ToldBefore(tmp_path)
    reports.remember(before)
    assert reports.report_weighed(after, SMALL) == (without_counts(after) if hidden else after)


def test_what_was_told_is_private_and_each_report_is_there_once(tmp_path):
    """A report that is told again changes nothing."""
    reports = ToldBefore(tmp_path)
    reports.remember(told(412))
    path = tmp_path / JOURNAL / REPORTS
    written = path.read_bytes()
    reports.remember(told(412))
    assert path.read_bytes() == written
    assert path.stat().st_mode & 0o777 == 0o600


def test_where_nothing_is_known_no_count_leaves(tmp_path):
    """A damaged file is left for a person to look at."""
    path = tmp_path / JOURNAL / REPORTS
    path.parent.mkdir()
    path.write_bytes(b'{"format": 1, "repo')
    reports = ToldBefore(tmp_path)
    assert reports.report_weighed(told(412), SMALL) == without_counts(told(412))
    reports.remember(told(412))
    assert path.read_bytes() == b'{"format": 1, "repo'


def test_a_full_file_forgets_nothing_and_shows_nothing_new(tmp_path, monkeypatch):
    """Its size has an end; what was told may be told again, all else leaves without counts, however far apart it is."""
    monkeypatch.setattr(told_before, "MOST_REPORTS", 3)
    reports, path = ToldBefore(tmp_path), tmp_path / JOURNAL / REPORTS
    for found in (412, 500, 600):
        reports.remember(told(found))
    written = path.read_bytes()
    new = told(900)
    assert reports.report_weighed(new, SMALL) == without_counts(new)
    reports.remember(new)
    reports.remember(without_counts(new))
    assert path.read_bytes() == written
    assert reports.report_weighed(told(500), SMALL) == told(500)
    assert reports.report_weighed(told(500), 150) == without_counts(told(500))  # the policy's smallest count was raised


def test_what_cannot_be_written_down_does_not_leave(tmp_path):
    """The disk is full: refused, before anything is sent; what was known is still known."""
    reports = ToldBefore(tmp_path)
    reports.remember(told(412))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(Refused) as refused:
            reports.remember(told(900))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert refused.value.codes == ("O-WRITE",)
    assert reports.report_weighed(told(415), SMALL) == without_counts(told(415))


def test_the_gate_withholds_what_an_earlier_study_would_give_away(open_house):
    """The second study's report of three more records leaves without counts; the answer is signed and counted as before."""
    house = open_house(joined=True)
    ToldBefore(house.folder).remember(report(57))

    def found_sixty(work) -> Done:
        done = house.spy.honest(work)
        return replace(done, result=done.result.model_copy(update={"report": report(60)}))

    house.spy.outcome = found_sixty
    answer = house.visit("statistics")
    assert isinstance(answer, Reply)
    assert answer.result.report == without_counts(report(60))
    assert ToldBefore(house.folder).report_weighed(report(60), SMALL) == without_counts(report(60))


# --------------------------------------------------------------------------------- one cause under several codes

CODES = ("T-PLAUS", "T-SENTINEL", "T-CASE")


def by_cause(counts: tuple[int, ...], found: int) -> DataReport:
    """Give a report in which each record of a field has at most one finding, of one of three codes."""
    findings = [
        CountedFinding(code=code, severity="warning", field="pain", records=count)
        for code, count in zip(CODES, counts, strict=True)
        if count
    ]
    return make_report(contract(), found=found, quarantined=0, passed=True, findings=findings, small_cell=SMALL)


def small_together(one: DataReport, other: DataReport) -> list[int]:
    """Do what a centre does that knows the causes: subtract the records under any of the codes, and those under none of them."""
    told = [{finding.code: finding.records for finding in each.findings} for each in (one, other)]
    if not all(isinstance(cell, ShownCell) for each in told for cell in each.values()):
        return []
    wholes = [each.found for each in (one, other)]
    changes = []
    for some in itertools.chain.from_iterable(itertools.combinations(CODES, size) for size in (1, 2, 3)):
        sums = [sum(each[code].count for code in some if code in each) for each in told]
        changes.append(sums[1] - sums[0])
        if all(isinstance(each, ShownCell) for each in wholes):
            changes.append(wholes[1].count - wholes[0].count - sums[1] + sums[0])
    return [each for each in changes if 0 < abs(each) < SMALL]


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(st.tuples(*[st.one_of(st.just(0), st.integers(11, 60))] * 3), st.integers(200, 240)), min_size=2, max_size=4
    )
)
def test_no_small_group_follows_from_one_cause_under_several_codes(tmp_path_factory, hospitals):
    """Records that are found under one code first and under another later are no way around the threshold."""
    folder, left = tmp_path_factory.mktemp("house"), []
    for counts in hospitals:
        reports = ToldBefore(folder)
        left.append(reports.report_weighed(by_cause(*counts), SMALL))
        reports.remember(left[-1])
    for one, other in itertools.combinations(left, 2):
        assert small_together(one, other) == []


def test_the_attack_on_causes_finds_what_is_not_weighed():
    """Forty under one code become twenty-eight and fifteen under two: three people more."""
    assert 3 in small_together(by_cause((40, 0, 0), 230), by_cause((28, 15, 0), 230))


# ------------------------------------------------------------------------------------------- one table, two schemas


def under(schema: str, found: int) -> DataReport:
    """Give the same report under another schema id."""
    return told(found).model_copy(update={"schema_id": schema})


@pytest.mark.parametrize(
    ("table", "hidden"),
    [
        ({"one": "a.csv", "two": "a.csv"}, True),
        ({"one": "a.csv", "two": "b.csv"}, False),
        ({"one": "a.csv"}, True),
        ({}, True),
    ],
)
def test_two_schemas_over_one_table_are_held_against_each_other(tmp_path, table, hidden):
    """By the files behind them; where nobody knows these, they may be the same."""
    origins = Origins(lambda schema: frozenset({table[schema]}) if schema in table else None)
    reports = ToldBefore(tmp_path, origins)
    reports.remember(under("one", 412))
    now = under("two", 415)
    assert reports.report_weighed(now, SMALL) == (without_counts(now) if hidden else now)
