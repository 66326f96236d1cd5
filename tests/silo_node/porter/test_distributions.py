"""Distributions at the gate: no small cell, no more than was asked, nothing that the policy forbids, no two to be subtracted."""

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from studies_on_paper import contract, paper
from told_wards import result_of, ward

from silo_node.porter.approvals import read_pause
from silo_node.porter.distribution_rules import beside_report
from silo_node.porter.memory import JOURNAL
from silo_node.porter.told_before import DISTRIBUTIONS, Origins, ToldBefore
from silo_node.training.distributions import distributions
from silo_node.work import Done
from wardround.messages.data_report import CountedFinding, DataReport, ShownCell, make_report, without_counts
from wardround.messages.distribution import CellGroup, FieldDistribution, withheld
from wardround.messages.round import Reply, SiloRefusal

RECORDS, SMALL = 300, 11
ASKS = {"statistics": {"distributions": True}}
PAPER = paper(**ASKS)
CONTRACT = contract()


def honest(share="coordinator", seed=1, size=RECORDS) -> Done:
    records = ward(seed, size)
    return Done(size, result_of(PAPER, records, share=share))


def edited(edit: Callable[[dict[str, FieldDistribution]], None]) -> Done:
    """Give a result whose distributions were changed by hand."""
    done = honest()
    fields = {each.field: each for each in done.result.distributions.fields}
    edit(fields)
    told = done.result.distributions.model_copy(update={"fields": tuple(fields.values())})
    return Done(RECORDS, done.result.model_copy(update={"distributions": told}))


def regrouped(field: str, move: Callable[[list[CellGroup]], list[CellGroup]]):
    def edit(fields):
        fields[field] = FieldDistribution(field=field, groups=tuple(move(list(fields[field].groups))))

    return edit


def small_and_rest(groups):
    """Take ten records out of one group, and put them where there were none: a small cell, and the total holds."""
    empty = next(group for group in groups if group.count == 0)
    full = max(groups, key=lambda group: group.count)
    return [
        CellGroup(cells=each.cells, count=10 if each is empty else each.count - 10 if each is full else each.count)
        for each in groups
    ]


KEPT_BACK = {
    "a small cell": regrouped("pain", small_and_rest),
    "a small bin": regrouped("age", small_and_rest),
    "a cell that stands twice": regrouped("pain", lambda groups: [*groups, groups[0]]),
    "a cell that is left out": regrouped("pain", lambda groups: groups[1:]),
    "more records than there are": regrouped(
        "pain", lambda groups: [CellGroup(cells=g.cells, count=g.count + 50) for g in groups]
    ),
    "bins that are no neighbours": regrouped(
        "age",
        lambda groups: [
            CellGroup(cells=(*groups[0].cells, *groups[-2].cells), count=groups[0].count + groups[-2].count),
            *groups[1:-2],
            groups[-1],
        ],
    ),
    "a field that nobody asked for": lambda fields: fields.update(age=withheld("pressure", "few")),
    "a field less": lambda fields: fields.pop("age"),
    "a cell that there is not": regrouped("pain", lambda groups: [*groups, CellGroup(cells=(999,), count=0)]),
}


@pytest.mark.parametrize("edit", KEPT_BACK)
def test_what_no_honest_trainer_tells_does_not_leave(open_house, edit):
    """The gate does not trust the trainer: it keeps the result back, and holds the study up."""
    house = open_house(**ASKS)
    house.spy.outcome = lambda _work: edited(KEPT_BACK[edit])
    answer = house.visit("statistics")
    assert isinstance(answer, SiloRefusal)
    assert answer.code == "H-GATE"
    assert read_pause(house.folder, house.paper.bundle.study_hash) == "gate"


def test_honest_distributions_leave(open_house):
    """Else the test above would prove nothing; with the policy's word, whatever the trainer says."""
    house = open_house(**ASKS)
    house.spy.outcome = lambda _work: honest("consortium")
    answer = house.visit("statistics")
    assert isinstance(answer, Reply)
    assert answer.result.distributions is not None
    assert answer.result.distributions.share == "coordinator", "the policy's default"
    assert answer.result.distributions.fields == honest().result.distributions.fields


def test_a_policy_that_forbids_them_takes_them_out(open_house):
    """The hospital stays in the study: all else leaves."""
    house = open_house(**ASKS)
    house.decides("share_distributions: nobody\n")
    house.spy.outcome = lambda _work: honest()
    answer = house.visit("statistics")
    assert isinstance(answer, Reply)
    assert answer.result.distributions is None
    assert answer.result.sums == honest().result.sums


def test_a_study_that_did_not_ask_gets_none(open_house):
    """They are not in its manifest, so nobody approved them."""
    house = open_house()
    house.spy.outcome = lambda _work: honest()
    answer = house.visit("statistics")
    assert isinstance(answer, SiloRefusal)
    assert answer.code == "H-GATE"


def test_a_finding_of_almost_as_many_records_withholds_the_field():
    """A report counts over all valid records: three more than in the training records are three people in the rest."""
    told = FieldDistribution(
        field="pain", groups=tuple(CellGroup(cells=(cell,), count=count) for cell, count in enumerate((150, 80, 20, 50)))
    )
    for missing, hidden in ((53, True), (50, False), (61, False), (60, True)):
        finding = CountedFinding(code="T-MISSLIM", severity="warning", field="pain", records=missing)
        report = make_report(CONTRACT, found=400, quarantined=0, passed=True, findings=[finding], small_cell=SMALL)
        (after,) = beside_report((told,), report, CONTRACT, SMALL)
        assert (after.withheld == "few") is hidden


# ------------------------------------------------------------------------------------------------------- two tellings


def tell(records: pl.DataFrame, small: int = SMALL):
    return distributions(records, CONTRACT, PAPER.bundle.study, small, "coordinator").fields


def small_differences(one, other) -> list[int]:
    """Do what a curious centre does with two tellings of a field: subtract every sum of groups that both of them give."""
    before, after = ({group.cells: group.count for group in each.groups} for each in (one, other))
    found = []
    for parts in range(1, 4):
        for chosen in itertools.combinations(sorted(before.keys() | after.keys()), parts):
            sums = [sum(told.get(cells, 0) for cells in chosen) for told in (before, after)]
            complete = all(cells in before and cells in after for cells in chosen)
            covered = [sorted(cell for cells in chosen if cells in told for cell in cells) for told in (before, after)]
            if complete or covered[0] == covered[1]:
                found.append(abs(sums[0] - sums[1]))
    return [each for each in found if 0 < each < SMALL]


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.sampled_from(["drop", "add", "split", "same"]), st.integers(1, 40)), min_size=1, max_size=4),
    st.integers(0, 50),
)
def test_two_studies_on_the_same_data_cannot_be_subtracted(tmp_path_factory, changes, seed):
    """A few records more or less, another split, the same again: of a field that leaves twice single groups differ by none or by
    many, and it hides the same cells.
    """
    folder, records, left = tmp_path_factory.mktemp("house"), ward(seed, 260), []
    for kind, size in [("same", 0), *changes]:
        if kind == "drop":
            records = records.slice(size)
        elif kind == "add":
            records = pl.concat([records, ward(seed + size, size)])
        part = records.sample(fraction=0.7, seed=size) if kind == "split" else records
        told = ToldBefore(folder)
        fields = told.fields_weighed(tell(part), CONTRACT, SMALL)
        told.remember_fields(fields, CONTRACT)
        left.append(fields)
    for one, other in itertools.combinations(left, 2):
        for a, b in zip(one, other, strict=True):
            if a.groups and b.groups:
                assert [group.cells for group in a.groups] == [group.cells for group in b.groups]
                changed = [abs(x.count - y.count) for x, y in zip(a.groups, b.groups, strict=True)]
                assert not [each for each in [*changed, abs(a.records - b.records)] if 0 < each < SMALL]


def test_the_attack_finds_what_is_not_weighed():
    """Else the test above would prove nothing: one patient less is one group of one less."""
    records = ward(1, 300)
    pairs = zip(tell(records), tell(records.slice(1)), strict=True)
    assert any(1 in small_differences(one, other) for one, other in pairs if one.groups and other.groups)


def test_the_same_again_leaves_again(tmp_path):
    """Nothing follows from numbers that are known."""
    told, fields = ToldBefore(tmp_path), tell(ward(1, 300))
    told.remember_fields(fields, CONTRACT)
    assert ToldBefore(tmp_path).fields_weighed(fields, CONTRACT, SMALL) == fields
    before = (tmp_path / JOURNAL / DISTRIBUTIONS).read_bytes()
    told.remember_fields(fields, CONTRACT)
    assert (tmp_path / JOURNAL / DISTRIBUTIONS).read_bytes() == before


def test_other_bins_of_the_same_schema_are_never_told(tmp_path):
    """A bin that begins a little later holds a few less."""
    told, records = ToldBefore(tmp_path), ward(1, 300)
    told.remember_fields(tell(records), CONTRACT)
    fields = [*CONTRACT.fields]
    at = CONTRACT.names.index("pressure")
    fields[at] = fields[at].model_copy(update={"constraints": fields[at].constraints.model_copy(update={"minimum": 41})})
    other = CONTRACT.model_copy(update={"fields": tuple(fields), "version": "1.0.1"})
    new = distributions(records, other, PAPER.bundle.study, SMALL, "coordinator").fields
    why = {each.field: each.withheld for each in told.fields_weighed(new, other, SMALL)}
    assert why == {"disease": None, "age": None, "pressure": "told", "pain": None}


def test_a_file_that_cannot_be_read_shows_nothing(tmp_path):
    """Then nobody knows what was told."""
    told = ToldBefore(tmp_path)
    told.remember_fields(tell(ward(1, 300)), CONTRACT)
    path = tmp_path / JOURNAL / DISTRIBUTIONS
    path.write_text("{")
    assert {each.withheld for each in told.fields_weighed(tell(ward(1, 300)), CONTRACT, SMALL)} == {"told"}
    told.remember_fields(tell(ward(1, 300)), CONTRACT)
    assert path.read_text() == "{", "it is left as it is"
    assert path.stat().st_mode & 0o077 == 0


def visited(open_house, records: pl.DataFrame, before: Path | None, **study) -> tuple[Path, dict[str, FieldDistribution]]:
    """Have a hospital approve a study and tell it its records, after what it told ``before``; give its folder and what left."""
    house = open_house(joined=True, **ASKS, **study)
    if before is not None:
        shutil.copytree(before / JOURNAL, house.folder / JOURNAL, ignore=lambda _, names: [n for n in names if len(n) == 64])
    house.spy.outcome = lambda _work: Done(records.height, result_of(PAPER, records))
    answer = house.visit("statistics")
    assert isinstance(answer, Reply)
    return house.folder, {each.field: each for each in answer.result.distributions.fields}


def test_after_a_clear_change_and_a_new_approval_distributions_leave_again(open_house):
    """Twice as many records, in every cell a threshold more: the next study is told all of them, so that the centre sees how the
    records changed. Of a few more it is told nothing, and of the same once more the same.
    """
    records = ward(1, RECORDS)
    grown = pl.concat([records, records])
    folder, first = visited(open_house, records, None)
    _, same = visited(open_house, records, folder, version="1.1.0")
    assert same == first
    _, few = visited(open_house, pl.concat([records, records[:5]]), folder, version="1.2.0")
    assert {each.withheld for each in few.values()} == {"told"}
    _, clear = visited(open_house, grown, folder, version="1.3.0")
    assert {name for name, each in clear.items() if each.withheld is None} >= {"disease", "pain"}
    for name, each in clear.items():
        if each.withheld is None:
            assert [group.count for group in each.groups] == [2 * group.count for group in first[name].groups]


# --------------------------------------------------------------------------------------- a report and a distribution


def missing_in(records: int, found: int) -> DataReport:
    """Give a report of a field that is missing in so many valid records."""
    finding = CountedFinding(code="T-MISSLIM", severity="warning", field="pain", records=records)
    return make_report(CONTRACT, found=found, quarantined=0, passed=True, findings=[finding], small_cell=SMALL)


def pain_of(missing: int) -> FieldDistribution:
    counts = (150, 80, 20, missing)
    return FieldDistribution(
        field="pain", groups=tuple(CellGroup(cells=(cell,), count=count) for cell, count in enumerate(counts))
    )


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(11, 80), st.integers(11, 80)), min_size=2, max_size=5))
def test_no_report_and_no_distribution_of_any_two_studies_differ_by_few(tmp_path_factory, studies):
    """Each study tells how often a field is missing twice: of all valid records and of those for training. Whatever came first,
    a few records that are in one of them only never follow.
    """
    folder, reports, told = tmp_path_factory.mktemp("house"), [], []
    for valid, training in studies:
        before = ToldBefore(folder)
        report = before.report_weighed(missing_in(valid, 400), SMALL)
        fields = before.fields_weighed(beside_report((pain_of(training),), report, CONTRACT, SMALL), CONTRACT, SMALL)
        before.remember(report)
        before.remember_fields(fields, CONTRACT)
        reports += [each.records.count for each in report.findings if isinstance(each.records, ShownCell)]
        told += [each.groups[-1].count for each in fields if each.groups]
    assert not [pair for pair in itertools.product(reports, told) if 0 < abs(pair[0] - pair[1]) < SMALL]


@pytest.mark.parametrize(("valid", "hidden"), [(53, True), (50, False), (61, False)])
def test_either_is_withheld_that_comes_second(tmp_path, valid, hidden):
    """The first one left; the second one leaves without what would give three people away."""
    first, second = ToldBefore(tmp_path / "a"), ToldBefore(tmp_path / "b")
    first.remember_fields((pain_of(50),), CONTRACT)
    report = missing_in(valid, 400)
    assert first.report_weighed(report, SMALL) == (without_counts(report) if hidden else report)
    second.remember(report)
    (after,) = second.fields_weighed((pain_of(50),), CONTRACT, SMALL)
    assert (after.withheld == "few") is hidden


@pytest.mark.parametrize(
    ("table", "column", "hidden"),
    [("a.csv", "SCHMERZ", True), ("a.csv", "OTHER", False), ("b.csv", "SCHMERZ", False)],
)
def test_a_column_under_two_schemas_is_told_once(tmp_path, table, column, hidden):
    """On other cells of the same values a few of them could be told apart; other columns and tables are other values."""
    tables, columns = {CONTRACT.id: "a.csv", "other": table}, {CONTRACT.id: {"pain": "SCHMERZ"}, "other": {"ache": column}}
    origins = Origins(lambda schema: frozenset({tables[schema]}), lambda schema: columns[schema])
    told = ToldBefore(tmp_path, origins)
    fields = [*CONTRACT.fields]
    at = CONTRACT.names.index("pain")
    fields[at] = fields[at].model_copy(update={"name": "ache"})
    told.remember_fields(
        (pain_of(50).model_copy(update={"field": "ache"}),), CONTRACT.model_copy(update={"id": "other", "fields": tuple(fields)})
    )
    (after,) = told.fields_weighed((pain_of(50),), CONTRACT, SMALL)
    assert (after.withheld == "told") is hidden
