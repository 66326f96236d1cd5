"""A plan proposes what is plain, asks what is not, proves itself, and changes nothing."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from clinic_on_disk import CLINIC, COLUMNS, GERMAN, load_contract, make_site, rows

from silo_node.configuration import Column, CsvSource, Site, load_site
from silo_node.fix_plan import texts
from silo_node.fix_plan.plan import Plan, make_plan
from silo_node.fix_plan.proposals import Proposer
from silo_node.fix_plan.writing import FIX_PLAN, as_yaml, plan_json, step_words, write_plan
from silo_node.local_report.question import Question
from silo_node.mapping import resolve
from silo_node.validation.check import check, look
from silo_node.validation.findings import Finding
from wardround.contract.model import Contract
from wardround.strict_yaml import parse_text


def planned(folder: Path, contract: Contract, *changed: tuple[int, str, str], **settings: Any) -> Plan:
    return make_plan(make_site(folder, rows(*changed), **settings), Question(contract))


def column(plan: Plan, name: str) -> Column:
    found = plan.file.schemas["test.clinic"].column(name)
    assert found is not None
    return found


def test_clean_records_need_no_plan(tmp_path: Path, clinic: Contract) -> None:
    plan = planned(tmp_path, clinic)
    assert (plan.steps, plan.asked) == ((), ())
    assert plan.after == plan.before


def test_codes_in_other_case_or_spaces_are_mapped(tmp_path: Path, clinic: Contract) -> None:
    """To the code that they are a variant of, beside those that are mapped already."""
    plan = planned(tmp_path, clinic, (0, "Geschlecht", "w"), (1, "Geschlecht", " M"), (2, "Geschlecht", "w"))
    assert column(plan, "sex").codes == {"W": "female", "M": "male", "w": "female", " M": "male"}
    assert (plan.steps[0].frees, plan.after.passed, plan.asked) == (3, True, ())


def test_unmapped_codes_are_asked_for(tmp_path: Path, clinic: Contract) -> None:
    """What a local code means is nothing to guess; the question names it, for the hospital alone."""
    plan = planned(tmp_path, clinic, (0, "Geschlecht", "F"), (1, "Geschlecht", "F"))
    assert plan.steps == ()
    assert plan.asked == (("sex", 'the local code "F" in 2 cells: which is it: female, male, or a mark for missing?'),)


def test_which_of_two_columns_that_differ_in_case_is_asked_for(tmp_path: Path, clinic: Contract) -> None:
    """The newer one may be either; what is unknown beside them is ignored as before."""
    header, *lines = rows().splitlines()
    content = "\n".join([f"{header};PULS ;Station", *(f"{line};60;x" for line in lines), ""])
    plan = make_plan(make_site(tmp_path, content), Question(clinic))
    assert plan.asked == (("pulse", 'Which of the columns "Puls" and "PULS " is it? List the other one under \'ignore\'.'),)
    assert plan.file.schemas["test.clinic"].ignore == ("Station",)
    assert [each.code for each in plan.after.findings] == ["T-HDRDUP"]


def test_a_variant_of_two_codes_is_asked_for(tmp_path: Path, clinic: Contract) -> None:
    columns = {**COLUMNS, "sex": {"column": "Geschlecht", "codes": {"W": "female", "M": "male", "m": "female"}}}
    plan = planned(tmp_path, clinic, (0, "Geschlecht", "m "), columns=columns)
    assert plan.steps == ()
    assert [place for place, _ in plan.asked] == ["sex"]


def test_a_column_of_something_else_is_not_listed(tmp_path: Path, clinic: Contract) -> None:
    """Names of patients in the place of codes: how many there are, none of them."""
    changed = [(at, "Geschlecht", f"Meier {at}") for at in range(25)]
    plan = make_plan(make_site(tmp_path, rows(*changed, height=30)), Question(clinic))
    assert [text for _, text in plan.asked] == ["25 different texts that are no code, in 25 cells: is it the right column?"]
    assert "Meier" not in as_yaml(make_site(tmp_path, rows()).file, "test.clinic", plan)


@pytest.mark.parametrize(
    ("local", "name", "text"),
    [
        ("Puls", "pulse", "999"),
        ("Puls", "pulse", "-9"),
        ("Puls", "pulse", "n/a"),
        ("Puls", "pulse", " "),
        ("Befund", "outcome", "-"),
    ],
)
def test_marks_for_missing_are_proposed(tmp_path: Path, clinic: Contract, local: str, name: str, text: str) -> None:
    """Words for missing, and impossible numbers that are written for it; in this column, beside the marks that it has."""
    plan = planned(tmp_path, clinic, (0, local, text), (1, local, text), missing=["x"])
    assert column(plan, name).missing == ("x", text)
    assert plan.steps[0].frees == 2
    assert plan.after.passed


@pytest.mark.parametrize(("local", "text"), [("Puls", "500"), ("Puls", "schnell"), ("Geschlecht", "?"), ("PatNr", "-9")])
def test_what_may_be_a_value_is_no_mark(tmp_path: Path, clinic: Contract, local: str, text: str) -> None:
    """A number that is no usual mark, a word, a required field, a key."""
    assert planned(tmp_path, clinic, (0, local, text), (1, local, text)).steps == ()


def test_a_usual_mark_among_other_impossible_numbers_is_none(tmp_path: Path, clinic: Contract) -> None:
    """A column in another unit holds an 8 or 9 by chance; to declare that as missing would lose a value."""
    assert planned(tmp_path, clinic, (0, "Puls", "8"), (1, "Puls", "7.4"), (2, "Puls", "6"), (3, "Puls", "5")).steps == ()


def test_a_word_in_several_columns_stands_once(tmp_path: Path, clinic: Contract) -> None:
    plan = planned(tmp_path, clinic, (0, "Puls", "NA"), (1, "Glu", "NA"), (2, "Radius_cm", "NA"), (3, "Puls", "999"))
    assert plan.file.schemas["test.clinic"].missing == ("NA",)
    assert column(plan, "pulse").missing == ("NA", "999")
    assert column(plan, "glucose").missing is None
    assert plan.after.quarantined == 0


def test_the_decimal_mark_and_what_it_hid(tmp_path: Path, clinic: Contract) -> None:
    """With the other mark the numbers can be read, and what else is wrong with them is found in the next turn."""
    plan = planned(tmp_path, clinic, (0, "Radius_cm", "99,5"), dialect={"delimiter": ";"})
    source = plan.file.sources["table"]
    assert isinstance(source, CsvSource)
    assert source.decimal == ","
    assert (plan.before.valid, plan.after.valid) == (0, 11)


def test_mixed_decimal_marks_are_asked_for(tmp_path: Path, clinic: Contract) -> None:
    plan = planned(tmp_path, clinic, (0, "Radius_cm", "1.5"))
    assert plan.steps == ()
    assert plan.asked[0][0] == "source"


def test_the_one_date_format_that_reads_is_proposed(tmp_path: Path, clinic: Contract) -> None:
    columns = {**COLUMNS, "visit": "Datum"}
    changed = [(at, "Datum", f"{at + 1:02d}/{at + 13}/2021") for at in range(12)]
    plan = planned(tmp_path, clinic, *changed, columns=columns)
    assert column(plan, "visit").date_format == "%m/%d/%Y"
    assert plan.after.passed


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ("2021-03-{:02d} 00:00:00", "%Y-%m-%d %H:%M:%S"),
        ("2021-03-{:02d}T00:00:00.000", "%Y-%m-%dT%H:%M:%S.%f"),
        ("{:02d}MAR2021", "%d%b%Y"),
        ("{:02d} Mar 2021", "%d %b %Y"),
        ("202103{:02d}", "%Y%m%d"),
    ],
)
def test_a_format_of_databases_and_programs_is_proposed(tmp_path: Path, clinic: Contract, written: str, form: str) -> None:
    columns = {**COLUMNS, "visit": "Datum"}
    plan = planned(tmp_path, clinic, *[(at, "Datum", written.format(at + 1)) for at in range(12)], columns=columns)
    assert column(plan, "visit").date_format == form
    assert plan.after.passed


@pytest.mark.parametrize("mark", ["0000-00-00", "0001-01-01"])
def test_a_day_that_stands_for_none_is_proposed_as_a_mark(tmp_path: Path, mark: str) -> None:
    contract = load_contract({**CLINIC, "fields": [*CLINIC["fields"], {"name": "died", "type": "date"}]}, tmp_path)
    days = ["Tod", *(mark if at in (3, 7) else f"2021-03-{at + 1:02d}" for at in range(12))]
    content = "\n".join(f"{line};{day}" for line, day in zip(rows().splitlines(), days, strict=True))
    plan = make_plan(make_site(tmp_path, content, columns={**COLUMNS, "died": "Tod"}), Question(contract))
    assert mark in (column(plan, "died").missing or ())
    assert plan.after.passed


def test_days_that_could_be_months_are_asked_for(tmp_path: Path, clinic: Contract) -> None:
    columns = {**COLUMNS, "visit": "Datum"}
    plan = planned(tmp_path, clinic, *[(at, "Datum", f"{at + 1:02d}/03/2021") for at in range(12)], columns=columns)
    assert plan.steps == ()
    assert plan.asked == (("visit", "12 of 12 texts are days by %d/%m/%Y or %m/%d/%Y: which is it?"),)


def test_columns_that_are_not_used_are_ignored(tmp_path: Path, clinic: Contract) -> None:
    """But one that may be a field that is not mapped is asked for."""
    content = "\n".join(f"{line};{extra}" for line, extra in zip(rows().splitlines(), ["Station", *"x" * 12], strict=True))
    plan = make_plan(make_site(tmp_path, content), Question(clinic))
    assert plan.file.schemas["test.clinic"].ignore == ("Station",)
    assert plan.after.passed
    columns = {name: each for name, each in COLUMNS.items() if name != "note"}
    asked = make_plan(make_site(tmp_path, rows().replace("Bemerkung", "notes"), columns=columns), Question(clinic))
    assert asked.steps == ()
    assert [place for place, _ in asked.asked] == ["note"]


REFERENCE = {"source": "s", "median": 5.5, "wrong_units": [{"unit": "mg/dL", "factor": 18.016}]}


@pytest.mark.parametrize(
    ("name", "unit", "expected"),
    [
        ("radius", "cm", {"unit": "cm"}),
        ("glucose", "mg/dL", {"factor": 1 / 18.016}),
        ("pulse", None, None),
    ],
)
def test_a_unit_that_a_finding_names_is_proposed(tmp_path: Path, name: str, unit: str | None, expected: Any) -> None:
    """By its code where the units convert, by the reference's factor where only that knows it; else it is asked for."""
    fields = [{**each, "reference": REFERENCE} if each["name"] == "glucose" else each for each in CLINIC["fields"]]
    contract = load_contract({**CLINIC, "fields": fields}, tmp_path)
    site = make_site(tmp_path, rows(), columns={**COLUMNS, "radius": "Radius_cm", "glucose": "Glu"})
    words = (
        f"the median is 10 times the reference; that is the factor of {unit}" if unit else "the median is 3 times the reference"
    )
    finding = Finding("T-UNIT", "error", "table", name, None, 12, 12, (), "line", (), f"{name} is in a unit", words, "say which")
    mapping = resolve(site, contract, None)
    found = Proposer(site, mapping, *look(site, mapping), [finding]).proposals()
    if expected is None:
        assert (found.changes, [place for place, _ in found.questions]) == ((), [name])
    else:
        (change,) = found.changes
        assert change.column is not None
        assert change.column.model_dump(exclude_none=True, exclude={"column"}) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("unit: cm", {"unit": "cm"}),
        ('unit: "cm"', {"unit": "cm"}),
        ("factor: 10, offset: 0", {"factor": 10, "offset": 0}),
        ("unit: []", None),
    ],
)
def test_what_a_finding_says_to_write_is_proposed(tmp_path: Path, clinic: Contract, words: str, expected: Any) -> None:
    """In the place of what converts the column now; what is no setting of a column is not."""
    site = make_site(tmp_path, rows(), columns={**COLUMNS, "radius": {"column": "Radius_cm", "factor": 3, "missing": ["x"]}})
    step = f"if the column is in it, write {words} for radius in the site file"
    finding = Finding(
        "T-UNIT", "error", "table", "radius", None, 12, 12, (), "line", (), "r", "that is what cm or dm gives", step
    )
    mapping = resolve(site, clinic, None)
    found = Proposer(site, mapping, *look(site, mapping), [finding]).proposals()
    told = [each.column.model_dump(exclude_none=True) for each in found.changes if each.column is not None]
    assert told == ([] if expected is None else [{"column": "Radius_cm", "missing": ("x",), **expected}])
    assert [place for place, _ in found.questions] == (["radius"] if expected is None else [])


def test_a_plan_is_written_for_the_owner_and_nothing_is_changed(tmp_path: Path, clinic: Contract) -> None:
    """Site file and records stay what they are; the file, copied, gives the check that the plan promised."""
    site = make_site(tmp_path, rows((0, "Geschlecht", "w"), (1, "Puls", "-9"), (2, "Befund", "unklar")))
    before = (site.path.read_bytes(), (tmp_path / "records.csv").read_bytes())
    plan = make_plan(site, Question(clinic))
    path = write_plan(site, Question(clinic), plan)
    assert (path.name, path.stat().st_mode & 0o777) == (FIX_PLAN, 0o600)
    assert (site.path.read_bytes(), (tmp_path / "records.csv").read_bytes()) == before
    assert check(copied(site, path), clinic).quarantined == plan.after.quarantined == 1
    text = path.read_text()
    assert '# "w" in 1 cell: female in other case or spaces' in text
    assert 'outcome: the local code "unklar" in 1 cell' in text
    told = " ".join([*map(step_words, plan.steps), repr(plan_json(plan))])
    assert not re.search(r"unklar|\bw\b|Puls", told)


def copied(site: Site, plan: Path) -> Site:
    """Put the plan's part in the place of the site file's own, as a person would."""
    part = parse_text(plan.read_text(), plan.name).data
    whole = parse_text(site.path.read_text(), site.path.name).data
    assert isinstance(part, dict)
    assert isinstance(whole, dict)
    for key in ("sources", "schemas"):
        whole[key] = {**whole[key], **part.get(key, {})}
    import json

    site.path.write_text(json.dumps(whole))
    return load_site(site.path)


def test_texts_that_yaml_does_not_take_are_quoted(tmp_path: Path, clinic: Contract) -> None:
    """A local text may be anything: the file can be read all the same, and no text begins a line of its own."""
    odd = "W\u2028\x85"
    changed = [(0, "Geschlecht", 'x"\u2028:\x7f# \U0001f600'), (1, "Geschlecht", "w\t"), (2, "Geschlecht", odd)]
    site = make_site(tmp_path, rows(*changed), dialect={**GERMAN, "quote": None})
    plan = make_plan(site, Question(clinic))
    assert [place for place, _ in plan.asked] == ["sex"]
    read = parse_text(as_yaml(site.file, "test.clinic", plan), "plan").data
    assert isinstance(read, dict)
    codes = read["schemas"]["test.clinic"]["columns"]["sex"]["codes"]
    assert codes == {"W": "female", "M": "male", "w\t": "female", odd: "female"}
    text = "\U0001f600\ufeff\x00\u202e"
    assert parse_text(f"a: {texts.quoted(text[:2] + text[3:])}", "text").data == {"a": text[:2] + text[3:]}


def test_a_table_that_cannot_be_read_has_no_plan(tmp_path: Path, clinic: Contract) -> None:
    site = make_site(tmp_path, b"\xff\xfe\xff")
    plan = make_plan(site, Question(clinic))
    assert (plan.steps, plan.asked, plan.after.passed) == ((), (), False)


def test_a_change_that_makes_it_worse_is_left_out(tmp_path: Path, clinic: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is proposed has to prove itself: here a mark that is every record's code."""
    from silo_node.fix_plan import plan as module
    from silo_node.fix_plan.proposals import Change, Proposals

    bad = Change("pulse", ("nonsense",), column=Column(column="Glu"))
    refused = Change("sex", ("nonsense",), column=Column(column="Geschlecht", codes={"W": "neither"}))
    monkeypatch.setattr(module, "_proposals", lambda *_: Proposals((bad, refused)))
    site = make_site(tmp_path, rows((0, "Glu", "x")))
    assert make_plan(site, Question(clinic)).steps == ()


@pytest.mark.parametrize("text", ["-9", "99", "9999", "-77", "888.0", "0", "-1", "1900-01-01"])
def test_usual_sentinels(text: str) -> None:
    assert texts.is_sentinel(text)


@pytest.mark.parametrize("text", ["1", "98", "12", "-2", "", "79", "2021-01-01", "09"])
def test_other_numbers_are_no_sentinels(text: str) -> None:
    assert not texts.is_sentinel(text)


def test_a_comma_may_part_thousands(tmp_path: Path, clinic: Contract) -> None:
    count = texts.decimals([pl.Series(["1,500", "12,250", "3.5", "x", "1,5"])])
    assert (count.points, count.commas, count.thousands) == (1, 3, 2)
    changed = [(at, "Glu", "1,500") for at in range(12)] + [(at, "Radius_cm", "1") for at in range(12)]
    plan = planned(tmp_path, clinic, *changed, dialect={"delimiter": ";", "decimal": "."})
    assert plan.asked == (
        ("source", '12 numbers are written with ",", but every comma may part thousands: which is the decimal mark?'),
    )
    assert replace(plan, steps=()).after.valid == 0
