from __future__ import annotations

import random
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from clinic_on_disk import CLINIC, load_contract
from exports_on_disk import export_site
from hypothesis import given, settings
from hypothesis import strategies as st

from silo_node.configuration import load_site
from silo_node.mapping import resolve
from silo_node.sources.header import Wanted
from silo_node.sources.tables import open_source
from silo_node.validation.check import CheckResult, check
from wardround.errors import Refused

PATIENTS = "PatNr;Aufnahme;sex;Befund\nP1;01.03.2021;female;well\nP2;05.03.2021;male;ill\nP3;09.03.2021;male;well\n"
VISITS = (
    "Pat;Datum;Puls\n"
    "P1;27.02.2021;70\nP1;28.02.2021;71\nP1;01.03.2021;72\nP1;02.03.2021;73\n"
    "P2;04.03.2021;80\nP2;05.03.2021;81\nP3;10.03.2021;90\n"
)
LABS = (
    "id,time,analyte,value\n"
    "P1,2021-02-27 08:00,Glu,90\nP1,2021-03-02 09:30,Glu,110\nP1,2021-03-01 10:00,CRP,5\nP1,2021-04-01 08:00,Glu,300\n"
    "P2,2021-03-05 23:59,Glu,ND\nP2,2021-03-06 00:00,Glu,120\nP2,2021-03-05 12:00,CRP,<1\n"
)
JOINED: dict[str, Any] = {
    "format": "joined",
    "base": "patients",
    "key": "PatNr",
    "date_format": "%d.%m.%Y",
    "tables": {
        "visits": {
            "key": "Pat",
            "time": "Datum",
            "date_format": "%d.%m.%Y",
            "columns": {"pulse before": {"take": "last", "column": "Puls", "before": "Aufnahme"}},
        },
        "labs": {
            "key": "id",
            "time": "time",
            "date_format": "%Y-%m-%d %H:%M",
            "missing": ["ND"],
            "columns": {
                "glucose near": {
                    "take": "mean",
                    "column": "value",
                    "where": {"analyte": ["Glu"]},
                    "within_days": 3,
                    "of": "Aufnahme",
                },
            },
        },
    },
}
COLUMNS = {
    "patient_key": "PatNr",
    "visit": {"column": "Aufnahme", "date_format": "%d.%m.%Y"},
    "sex": "sex",
    "pulse": "pulse before",
    "glucose": {"column": "glucose near", "factor": 0.0555},
    "outcome": "Befund",
}


def clinic(
    folder: Path, *, joined: dict[str, Any] | None = None, columns: dict[str, Any] = COLUMNS, **tables: str
) -> CheckResult:
    texts = {"patients": PATIENTS, "visits": VISITS, "labs": LABS, **tables}
    for name, text in texts.items():
        (folder / f"{name}.csv").write_text(text)
    sources = {name: {"format": "csv", "path": f"{name}.csv", "delimiter": "," if name == "labs" else ";"} for name in texts}
    site = export_site(folder, {**sources, "together": joined or JOINED}, "together", columns)
    return check(site, load_contract(CLINIC, folder), max_fraction=1.0)


def changed(table: str, **more: Any) -> dict[str, Any]:
    return {**JOINED, "tables": {**JOINED["tables"], table: {**JOINED["tables"][table], **more}}}


def taking(**taken: Any) -> dict[str, Any]:
    """The join whose pulse is taken in another way."""
    return changed("visits", columns={"pulse before": taken})


def said(result: CheckResult) -> list[tuple[str, str]]:
    return [(each.code, each.severity) for each in result.findings if each.code not in ("T-ALLNULL", "T-QUARANTINE")]


def test_patients_visits_and_labs_become_one_row_each(tmp_path):
    result = clinic(tmp_path)
    assert said(result) == []
    assert result.valid["pulse"].to_list() == [71, 80, None]
    assert result.valid["glucose"].to_list() == pytest.approx([100 * 0.0555, 120 * 0.0555, None])


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        ({"take": "last", "column": "Puls"}, [73, 81, 90]),
        ({"take": "first", "column": "Puls"}, [70, 80, 90]),
        ({"take": "last", "column": "Puls", "before": "Aufnahme"}, [71, 80, None]),
        ({"take": "last", "column": "Puls", "until": "Aufnahme"}, [72, 81, None]),
        ({"take": "first", "column": "Puls", "after": "Aufnahme"}, [73, None, 90]),
        ({"take": "first", "column": "Puls", "since": "Aufnahme"}, [72, 81, 90]),
        ({"take": "mean", "column": "Puls", "within_days": 1, "of": "Aufnahme"}, [72, 80.5, 90]),
        ({"take": "min", "column": "Puls", "since": "Aufnahme"}, [72, 81, 90]),
        ({"take": "max", "column": "Puls", "before": "Aufnahme"}, [71, 80, None]),
        ({"take": "count", "where": {"Puls": ["70", "71", "80"]}}, [2, 1, 0]),
        ({"take": "count", "column": "Puls", "before": "Aufnahme"}, [2, 1, 0]),
    ],
)
def test_each_way_of_taking(tmp_path, taken, expected):
    """By hand, from the few lines above."""
    clinic(tmp_path, joined=taking(**taken))
    site = load_site(tmp_path / "site.yaml")
    known = resolve(site, load_contract(CLINIC, tmp_path)).known
    table = open_source(site, "together", Wanted({"pulse": "pulse before"}, known, (), exact=True))
    assert table.faults == ()
    found = table.frame["pulse before"]
    assert (found.cast(pl.Float64) if found.dtype == pl.String else found).to_list() == expected


def test_any_is_a_truth_value(tmp_path):
    codes = {"true": "ill", "false": "well"}
    columns = {**COLUMNS, "outcome": {"column": "high", "codes": codes}}
    joined = changed(
        "visits", columns={**JOINED["tables"]["visits"]["columns"], "high": {"take": "any", "where": {"Puls": ["81"]}}}
    )
    result = clinic(tmp_path, joined=joined, columns=columns)
    assert result.valid["outcome"].to_list() == ["well", "ill", "well"]
    assert [(each.code, each.severity) for each in result.findings if each.code == "T-EXTRACOL"] == [("T-EXTRACOL", "error")]


def test_a_row_without_a_base_row_is_found_with_its_line(tmp_path):
    result = clinic(tmp_path, visits=f"{VISITS}P9;01.03.2021;66\n;01.03.2021;67\n")
    finding = next(each for each in result.findings if each.code == "T-FK")
    assert (finding.severity, finding.count, result.passed) == ("error", 2, False)
    assert finding.finding == "table 'visits': 2 of 9 rows have none: lines 9, 10"
    result = clinic(tmp_path, joined=changed("visits", orphans="left_out"), visits=f"{VISITS}P9;01.03.2021;66\n")
    assert (said(result), result.passed) == ([("T-FK", "warning")], True)


def test_a_base_row_without_a_required_row_is_found_with_its_line(tmp_path):
    joined = changed("labs", required=True)
    result = clinic(tmp_path, joined=joined)
    finding = next(each for each in result.findings if each.code == "T-FK")
    assert (finding.count, finding.lines, result.passed) == (1, (4,), False)
    result = clinic(tmp_path, joined=joined, columns={name: column for name, column in COLUMNS.items() if name != "glucose"})
    assert ("T-FK", "error") in said(result)


def test_a_key_that_stands_twice_in_the_base_ends_the_join(tmp_path):
    result = clinic(tmp_path, patients=f"{PATIENTS}P1;02.03.2021;male;well\n")
    assert said(result) == [("T-DUPKEY", "error")]
    assert result.findings[0].finding.endswith("lines 2, 5")
    result = clinic(tmp_path, patients=f"{PATIENTS};02.03.2021;male;well\n")
    assert ("T-JOIN", "error") in said(result)


def test_two_answers_at_the_same_time_are_refused_or_the_later_row_counts(tmp_path):
    """What differs at the same time has no last; what is the same has."""
    result = clinic(tmp_path, visits=f"{VISITS}P1;28.02.2021;71\n")
    assert (said(result), result.valid["pulse"][0]) == ([], 71)
    twice = f"{VISITS}P1;28.02.2021;99\n"
    result = clinic(tmp_path, visits=twice)
    assert (said(result), result.passed) == ([("T-TIE", "error")], False)
    assert "3, 9" in next(each for each in result.findings if each.code == "T-TIE").finding
    result = clinic(tmp_path, joined=changed("visits", ties="last_row"), visits=twice)
    assert (said(result), result.valid["pulse"][0]) == ([], 99)


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        ({"labs": LABS.replace("110", "1l0")}, [("T-JOIN", "error")]),
        ({"labs": LABS.replace("300", "30O")}, []),
        ({"visits": VISITS.replace("28.02.2021", "30.02.2021")}, [("T-JOIN", "error")]),
        ({"visits": VISITS.replace("28.02.2021", "2021-02-28")}, [("T-JOIN", "error")]),
        ({"visits": VISITS.replace("28.02.2021", "")}, [("T-JOIN", "warning")]),
        (
            {"patients": PATIENTS.replace("05.03.2021", "05.13.2021")},
            [("T-JOIN", "error"), ("T-TYPE", "error"), ("T-MISSLIM", "error")],
        ),
        ({"visits": f"{VISITS}P1;02.03.2021\n"}, [("T-JOIN", "error")]),
        ({"visits": VISITS.replace("Datum", "Tag")}, [("T-MISSCOL", "error")]),
        ({"patients": PATIENTS.replace("PatNr", "Nr")}, [("T-MISSCOL", "error")]),
        ({"visits": VISITS.replace("Datum;Puls", "Puls;Puls")}, [("T-MISSCOL", "error")]),
        ({"visits": VISITS.replace("\n", ";1\n").replace("Puls;1", "Puls;Datum")}, [("T-HDRDUP", "error")]),
        ({"visits": ""}, [("T-EMPTY", "error")]),
        ({"patients": PATIENTS.replace("sex", "pulse before")}, [("T-HDRDUP", "error")]),
    ],
)
def test_what_a_join_cannot_read_is_a_finding(tmp_path, tables, expected):
    """A cell that no column takes is nobody's business; every other one counts or is found, never left out unseen."""
    found = [each for each in said(clinic(tmp_path, **tables)) if each != ("T-MISSCOL", "error") or expected == [each]]
    assert found == expected


def test_faults_of_further_tables_name_no_field_and_count_no_records(tmp_path):
    """A report that leaves speaks of the shared schema and of the base's records alone."""
    result = clinic(tmp_path, visits=f"{VISITS}P1;02.03.2021\nP8;01.03.2021;3\n", labs=LABS.replace("110", "1l0"))
    assert result.quarantined_places == ()
    of_join = [each for each in result.outgoing.findings if each.code in ("T-JOIN", "T-FK")]
    assert [(each.field, each.rule, each.records) for each in of_join] == [(None, None, None)] * 3


@pytest.mark.parametrize(
    ("joined", "code"),
    [
        ({**JOINED, "base": "patient"}, "M-SOURCE"),
        ({**JOINED, "base": "together"}, "M-JOIN"),
        ({**JOINED, "tables": {"lab": JOINED["tables"]["labs"]}}, "M-SOURCE"),
        ({**JOINED, "tables": {"patients": JOINED["tables"]["labs"]}}, "M-JOIN"),
        (changed("labs", columns={"pulse before": {"take": "count"}}), "M-JOIN"),
        (changed("labs", columns={}), "Y-VALUE"),
        (changed("labs", time=None), "Y-VALUE"),
        (changed("labs", date_format="%d.%m"), "Y-VALUE"),
        (changed("labs", columns={"x": {"take": "mean"}}), "Y-VALUE"),
        (changed("labs", columns={"x": {"take": "median", "column": "value"}}), "Y-VALUE"),
        (changed("labs", columns={"x": {"take": "count", "within_days": 3}}), "Y-VALUE"),
        (changed("labs", columns={"x": {"take": "count", "before": "Aufnahme", "until": "Aufnahme"}}), "Y-VALUE"),
        (changed("labs", columns={"x": {"take": "count", "wher": {}}}), "Y-KEY"),
    ],
)
def test_a_join_that_cannot_be_made_is_refused_in_the_site_file(tmp_path, joined, code):
    with pytest.raises(Refused) as caught:
        clinic(tmp_path, joined=joined)
    assert code in {problem.code for problem in caught.value.problems}


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_join_agrees_with_plain_python_in_any_order_of_rows(tmp_path_factory, seed):
    """The oracle: loops over rows. Rows in another order give the same bits."""
    chance = random.Random(seed)  # noqa: S311
    folder = tmp_path_factory.getbasetemp()
    begin = date(2021, 1, 1)
    base = [(f"P{at}", begin + timedelta(days=chance.randrange(20))) for at in range(chance.randrange(1, 8))]
    moments = chance.sample(range(40 * 24), 30)
    rows = [
        (chance.choice(base)[0], datetime(2020, 12, 25) + timedelta(hours=hour), chance.choice([None, chance.random() * 100]))  # noqa: DTZ001
        for hour in moments
    ]
    joined = {
        "format": "joined",
        "base": "base",
        "key": "key",
        "tables": {
            "further": {
                "time": "at",
                "columns": {
                    "mean": {"take": "mean", "column": "value", "within_days": 4, "of": "day"},
                    "last": {"take": "last", "column": "value", "until": "day"},
                    "count": {"take": "count", "column": "value", "after": "day"},
                },
            }
        },
    }
    sources = {name: {"format": "parquet", "path": f"{name}.parquet"} for name in ("base", "further")}
    site = export_site(folder, {**sources, "together": joined}, "together")
    pl.DataFrame(base, schema=["key", "day"], orient="row").write_parquet(folder / "base.parquet")
    wanted = Wanted({name: name for name in ("key", "mean", "last", "count")}, frozenset({"day"}), (), exact=True)
    found = []
    for _ in range(2):
        frame = pl.DataFrame(rows, schema={"key": pl.String, "at": pl.Datetime("us"), "value": pl.Float64}, orient="row")
        frame.write_parquet(folder / "further.parquet")
        found.append(open_source(site, "together", wanted).frame)
        chance.shuffle(rows)
    assert found[0].equals(found[1])
    for (key, day), (_, mean, last, count) in zip(base, found[0].rows(), strict=True):
        at = datetime(day.year, day.month, day.day)  # noqa: DTZ001
        own = [(when, value) for name, when, value in rows if name == key and value is not None]
        near = [value for when, value in own if abs(when - at) <= timedelta(days=4)]
        assert mean == (pytest.approx(sum(near) / len(near)) if near else None)
        assert last == max(((when, value) for when, value in own if when <= at), default=(None, None))[1]
        assert count == sum(when > at for when, _ in own)
