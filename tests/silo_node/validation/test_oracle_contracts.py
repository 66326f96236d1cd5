"""pandera as oracle on random contracts and random tables: both object to the same cells and the same records.

Held against it, on contracts, mappings and tables that hypothesis makes up, from CSV and from Parquet: cells that are no
values (T-TYPE, T-INTFRAC, T-NONFINITE, T-DATEFMT), ranges after the conversion of units (T-RANGE), code lists and code maps
(T-ENUM, T-MAP) with their variants in case and white space (T-CASE), patterns and lengths (T-PATTERN), required values
(T-NULL), shares of missing and of implausible values (T-MISSLIM, T-PLAUS), keys of one and of several columns and fields
that are unique (T-DUPKEY), rules between numbers, between dates, with codes, and of a value that another one asks for
(T-RULE), days that have not come (T-FUTURE); and which records are left. Marks for missing stand in the contract, in the
site file and in its columns.

No oracle covers, since pandera has no word for them: what a whole file or its header is (T-FILE to T-EMPTY, T-PARTS,
T-STALE, T-SIZE, T-QUERY, T-CELL), joins (T-FK, T-JOIN, T-TIE), why a cell fails (T-LEADZERO, T-SCI, T-BIGINT, T-SENTINEL,
T-BOOL, T-TZ are found among the cells that it objects to, under their own code), people and sentences (T-PHI-ID, T-PHI-TEXT),
check digits (T-CODEVER), distributions (T-UNIT, T-UNITMIX, T-DRIFT, T-CONST, T-LEAK), and heuristics between records (T-DUPROW,
T-DATESHIFT). T-VARYING and T-OVERLAP are held against their definitions in ``test_catalogue_records``. T-FEW, T-QUARANTINE,
T-LABEL, T-LABELMISS and T-ALLNULL are counts of what it does cover.
"""

from __future__ import annotations

import json
import random
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from clinic_on_disk import load_contract
from hypothesis import given, settings
from hypothesis import strategies as st

from silo_node.configuration import load_site
from silo_node.validation.check import CheckResult, check

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import pandera.polars as pa

TODAY = date(2026, 6, 30)
CODES = (("yes", "no"), ("female", "male", "other"), ("a", "b", "c", "d"))
PATTERNS = ("[A-F][0-9]{2,3}", "^(ab|c+)x?$", "[^z]{2,4}")
OF_CELLS = {"T-TYPE", "T-INTFRAC", "T-NONFINITE", "T-DATEFMT", "T-TZ"}
OF_CODES = {"T-ENUM", "T-MAP", "T-CASE", "T-BOOL", "T-PHI-ID"}
OF_TEXTS = {"T-PATTERN", "T-LEADZERO", "T-SCI", "T-BIGINT", "T-PHI-ID"}
OF_TABLES = frozenset({"T-QUARANTINE", "T-FEW", "T-CONST", "T-ALLNULL", "T-DATESHIFT", "T-DUPROW"})
"""What is said beside, of the table, of columns or of records that are alike, and follows from no cell alone."""


@dataclass
class Made:
    """A field that was made up.

    Attributes:
        name: of the field and of its column.
        about: what the contract says of it.
        column: what the site file says of it, beside the column.
        marks: the texts that mean missing.
        cells: gives a cell, by chance.
        read: gives the shared value of a cell that is no mark, or None where it has none.
    """

    name: str
    about: dict[str, Any]
    cells: Callable[[random.Random], str]
    read: Callable[[str], Any]
    dtype: Any
    column: dict[str, Any] = field(default_factory=dict)
    marks: tuple[str, ...] = ("",)

    @property
    def limits(self) -> dict[str, Any]:
        found: dict[str, Any] = self.about.get("constraints", {})
        return found


# ----------------------------------------------------------------------------------------------------------- strategies


def number_of(text: str) -> float | None:
    """Read a plain decimal number, as the few forms of the cells below have it."""
    try:
        return float(text) if text not in ("inf", "-inf", "nan") else None
    except ValueError:
        return None


@st.composite
def numbers(draw: st.DrawFn, name: str) -> Made:
    whole = draw(st.booleans())
    low, width = draw(st.integers(-20, 40)), draw(st.integers(5, 60))
    about: dict[str, Any] = {"type": "integer" if whole else "number", "unit": "1"}
    about["constraints"] = {"minimum": low, "maximum": low + width}
    if draw(st.booleans()):
        share = draw(st.sampled_from([0.0, 0.05, 0.3]))
        about["plausible"] = {"low": low + 1, "high": low + width - 2, "max_outside": share}
    factor = 1.0 if whole else draw(st.sampled_from([1.0, 0.5, 10.0, 0.0555]))
    pool = ["abc", "<5", "5,6", "1 2", "inf", "nan", "7 mg", "4.5"]

    def cells(chance: random.Random) -> str:
        if chance.random() < 0.04:
            return chance.choice(pool)
        value = chance.uniform(low - 2, low + width + 2) / factor
        return str(round(value)) if whole else f"{value:.3f}"

    def read(text: str) -> Any:
        value = number_of(text)
        if value is None or (whole and value != round(value)):
            return None
        return round(value) if whole else value * factor + 0.0

    column = {"factor": factor} if factor != 1.0 else {}
    return Made(name, about, cells, read, pl.Int64 if whole else pl.Float64, column)


@st.composite
def codes(draw: st.DrawFn, name: str) -> Made:
    values = draw(st.sampled_from(CODES))
    about = {"type": "string", "categories": [{"value": value} for value in values]}
    local = {value: value for value in values}
    column: dict[str, Any] = {}
    if draw(st.booleans()):
        local = {f"{value[0].upper()}{at}": value for at, value in enumerate(values)}
        column = {"codes": local}
    odd = draw(st.booleans())

    def cells(chance: random.Random) -> str:
        code = chance.choice(list(local))
        if odd and chance.random() < 0.1:
            return chance.choice([code.upper(), f"{code} ", f" {code.lower()}", "zz", "?", code.swapcase()])
        return code

    return Made(name, about, cells, local.get, pl.String, column)


@st.composite
def texts(draw: st.DrawFn, name: str) -> Made:
    limits: dict[str, Any] = {}
    if draw(st.booleans()):
        limits["pattern"] = draw(st.sampled_from(PATTERNS))
    else:
        limits |= {"minLength": 2, "maxLength": draw(st.integers(2, 4))}
    if draw(st.booleans()):
        limits["unique"] = True
    about = {"type": "string", "privacy": draw(st.sampled_from(["quasi", "pseudonym"])), "constraints": limits, "free_text": True}
    if about["privacy"] == "pseudonym":
        del about["free_text"]

    def cells(chance: random.Random) -> str:
        return chance.choice(
            [
                f"{chance.choice('ABCDEFGx')}{chance.randrange(2000)}",
                "ab",
                "ccc",
                "abx",
                "c",
                "xyz",
                "A12",
                "zA99",
                "äöü",
                "B0123",
            ]
        )

    return Made(name, about, cells, lambda text: text, pl.String)


@st.composite
def days(draw: st.DrawFn, name: str) -> Made:
    form = draw(st.sampled_from([None, "%d.%m.%Y", "%m/%d/%Y"]))
    limits: dict[str, Any] = {}
    if draw(st.booleans()):
        limits["minimum"] = "2015-03-01"
    if draw(st.booleans()):
        limits["maximum"] = "2026-01-01"

    def cells(chance: random.Random) -> str:
        if chance.random() < 0.03:
            return chance.choice(["soon", "2020-13-01", "31.02.2020"])
        day = date(2015, 1, 1) + timedelta(days=chance.randrange(4300))
        return day.strftime(form or "%Y-%m-%d")

    def read(text: str) -> date | None:
        found = pl.Series([text]).str.to_date(form or "%Y-%m-%d", strict=False, exact=True)[0]
        return found if isinstance(found, date) else None

    column = {} if form is None else {"date_format": form}
    return Made(name, {"type": "date", "privacy": "quasi", "constraints": limits}, cells, read, pl.Date, column)


def key(name: str, many: int, *, whole: bool) -> Made:
    """Give a column of a key, whose cells repeat now and then."""
    about: dict[str, Any] = {"type": "string", "privacy": "pseudonym", "constraints": {"required": True}}
    if whole:
        about = {"type": "integer", "unit": "1", "constraints": {"required": True, "minimum": 0, "maximum": 10**6}}
    dtype = pl.Int64 if whole else pl.String
    return Made(
        name,
        about,
        lambda chance: str(chance.randrange(many)) if whole else f"S{chance.randrange(many)}",
        int if whole else lambda text: text,
        dtype,
    )


@dataclass(frozen=True)
class World:
    """A contract, how a hospital's columns are mapped to it, and how its table is made."""

    fields: tuple[Made, ...]
    primary_key: tuple[str, ...]
    rules: tuple[Ruled, ...]
    site_marks: tuple[str, ...]
    form: str
    height: int
    seed: int
    absent: float


@st.composite
def worlds(draw: st.DrawFn) -> World:
    kinds = draw(st.lists(st.sampled_from([numbers, numbers, codes, texts, days]), min_size=2, max_size=6))
    own = [draw(kind(f"f{at}")) for at, kind in enumerate(kinds)]
    keys = [key("sample", draw(st.sampled_from([60, 2000, 10**6])), whole=False)]
    if draw(st.booleans()):
        keys.append(key("visit", draw(st.sampled_from([4, 1000])), whole=True))
    site_marks = draw(st.sampled_from([("",), ("", "NA"), ("", "-9", "unk")]))
    for made in own:
        required = draw(st.booleans())
        made.about["constraints"] = {**made.limits, "required": required}
        marks = [""]
        missing: dict[str, Any] = {"max_fraction": draw(st.sampled_from([0.05, 0.1, 0.3, 1.0]))}
        if draw(st.booleans()):
            missing["labels"] = [{"value": "-99", "label": "not measured"}]
            marks.append("-99")
        if draw(st.booleans()):
            made.column["missing"] = ["", "none"]
            marks.append("none")
        else:
            marks += site_marks
        if not required or "labels" in missing:
            made.about["missing"] = missing if not required else {"labels": missing["labels"]}
        made.marks = tuple(dict.fromkeys(marks))
    return World(
        fields=(*keys, *own),
        primary_key=tuple(made.name for made in keys),
        rules=tuple(_rules(own)) if draw(st.booleans()) else (),
        site_marks=site_marks,
        form=draw(st.sampled_from(["csv", "parquet"])),
        height=draw(st.integers(30, 120)),
        seed=draw(st.integers(0, 2**32 - 1)),
        absent=draw(st.sampled_from([0.0, 0.05, 0.15])),
    )


@dataclass(frozen=True)
class Ruled:
    """A rule between fields: as the contract says it, and as polars would.

    Attributes:
        said: what the contract says.
        fields: the fields that it reads.
        holds: whether a record keeps it.
    """

    said: dict[str, Any]
    fields: tuple[str, ...]
    holds: pl.Expr

    def broken_beyond(self, rows: set[int], height: int) -> set[int]:
        """Give the rows that are told: all, or none where a warning leaves room for them."""
        return rows if len(rows) > self.said.get("max_fraction", 0.0) * height else set()


def _rules(own: list[Made]) -> Iterator[Ruled]:
    """Give a rule of each kind that the fields allow."""
    amounts = [each for each in own if each.about["type"] in ("integer", "number")]
    moments = [each.name for each in own if each.about["type"] == "date"]
    coded = [each for each in own if "categories" in each.about]
    warning = {"severity": "warning", "max_fraction": 0.3}
    if len(amounts) > 1:
        one, two = (each.name for each in amounts[:2])
        yield Ruled({"id": "in_order", "check": f"{one} <= {two} + 20"}, (one, two), pl.col(one) <= pl.col(two) + 20)
    if len(moments) > 1:
        one, two = moments[:2]
        yield Ruled({"id": "days", "check": f"{one} <= {two}", **warning}, (one, two), pl.col(one) <= pl.col(two))
    if coded and amounts:
        code, amount, value = coded[0].name, amounts[0].name, coded[0].about["categories"][0]["value"]
        low = amounts[0].limits["minimum"]
        either = (pl.col(code) == value) | pl.col(amount).is_between(low + 2, low + 30)
        text = f'{code} == "{value}" or {amount} between {low + 2} and {low + 30}'
        yield Ruled({"id": "by_code", "check": text}, (code, amount), either)
        text = f'{code} != "{value}" or {amount} is not missing'
        asked = (pl.col(code) != value) | pl.col(amount).is_not_null()
        yield Ruled({"id": "asked_for", "check": text}, (code, amount), asked)
    if moments:
        name = moments[0]
        text = f'not ({name} < "2015-06-01")'
        yield Ruled({"id": "late", "check": text, **warning, "max_fraction": 0.0}, (name,), pl.col(name) >= date(2015, 6, 1))


# -------------------------------------------------------------------------------------------------------------- oracle


def failing(table: pl.DataFrame, schema: Any) -> dict[tuple[str, str | None], set[int]]:
    """Give the rows that pandera objects to, by check and column."""
    found: dict[tuple[str, str | None], set[int]] = {}
    try:
        schema.validate(table, lazy=True)
    except pa.errors.SchemaErrors as errors:
        for case in errors.failure_cases.iter_rows(named=True):
            found.setdefault((str(case["check"]).split("(")[0], case["column"]), set()).add(case["index"])
    return found


def repeated(table: pl.DataFrame, names: tuple[str, ...]) -> set[int]:
    """Give the rows that share their values in some columns, where all are known."""
    known = table.with_row_index("row").drop_nulls(list(names))
    schema = pa.DataFrameSchema({}, unique=list(names))
    rows = set().union(*failing(known.select(names), schema).values())
    return {int(known["row"][at]) for at in rows}


@dataclass
class Oracle:
    """What pandera says of a table in shared form."""

    local: pl.DataFrame
    shared: pl.DataFrame
    no_values: dict[str, set[int]]
    faults: dict[tuple[str, str | None], set[int]]

    @classmethod
    def of(cls, world: World, local: pl.DataFrame) -> Oracle:
        columns, checks, no_values = {}, {}, {}
        for made in world.fields:
            cells = local[made.name].fill_null("")
            known = [None if cell in made.marks else cell for cell in cells]
            values = [None if cell is None else made.read(cell) for cell in known]
            no_values[made.name] = {at for at, cell in enumerate(known) if cell is not None and values[at] is None}
            columns[made.name] = pl.Series(values, dtype=made.dtype)
            limits, own = made.limits, []
            if (low := limits.get("minimum")) is not None:
                own.append(pa.Check.ge(date.fromisoformat(low) if made.dtype == pl.Date else low))
            if (high := limits.get("maximum")) is not None:
                own.append(pa.Check.le(date.fromisoformat(high) if made.dtype == pl.Date else high))
            if "pattern" in limits:
                own.append(pa.Check.str_matches(rf"^(?:{limits['pattern']})$"))
            if "minLength" in limits:
                own.append(pa.Check.str_length(limits["minLength"], limits["maxLength"]))
            checks[made.name] = pa.Column(made.dtype, own, nullable=not limits.get("required", False))
        shared = pl.DataFrame(columns)
        return cls(local, shared, no_values, failing(shared, pa.DataFrameSchema(checks)))

    def outside(self, name: str) -> set[int]:
        return self.against("greater_than_or_equal_to", name) | self.against("less_than_or_equal_to", name)

    def against(self, check_name: str, name: str) -> set[int]:
        return self.faults.get((check_name, name), set())

    def by(self, name: str, own: Any) -> set[int]:
        """Give the rows that a further check of one field objects to."""
        column = pa.Column(self.shared.schema[name], own, nullable=True)
        return set().union(*failing(self.shared.select(name), pa.DataFrameSchema({name: column})).values())

    def breaking(self, holds: pl.Expr) -> set[int]:
        rule = pa.Check(lambda data: data.lazyframe.select(holds.fill_null(value=True)), name="rule")
        return set().union(*failing(self.shared, pa.DataFrameSchema({}, checks=[rule])).values())


# ---------------------------------------------------------------------------------------------------------------- both


def made_table(world: World) -> pl.DataFrame:
    chance = random.Random(world.seed)  # noqa: S311  (tables, not keys)
    columns = {}
    for made in world.fields:
        absent = 0.01 if made.name in world.primary_key else world.absent
        columns[made.name] = [
            chance.choice(made.marks) if chance.random() < absent else made.cells(chance) for _ in range(world.height)
        ]
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))


def checked(world: World, local: pl.DataFrame, folder: Path) -> CheckResult:
    path = folder / f"t.{world.form}"
    local.write_csv(path) if world.form == "csv" else local.write_parquet(path)
    contract = load_contract(
        {
            "kind": "table",
            "id": "test.world",
            "version": "1.0.0",
            "status": "draft",
            "title": "Made up",
            "row_grain": "one row per visit",
            "primaryKey": list(world.primary_key),
            "patientKey": "sample",
            "fields": [{"name": made.name, **made.about} for made in world.fields],
            "rules": [rule.said for rule in world.rules],
        },
        folder,
    )
    mapping = {
        "source": "t",
        "missing": list(world.site_marks),
        "columns": {made.name: {"column": made.name, **made.column} for made in world.fields},
    }
    content = {
        "site": "north",
        "name": "North",
        "sources": {"t": {"format": world.form, "path": path.name}},
        "schemas": {"test.world": mapping},
    }
    (folder / "site.yaml").write_text(json.dumps(content))
    return check(load_site(folder / "site.yaml"), contract, max_fraction=1.0, today=TODAY)


Place = tuple[str, str | None]


def rows_of(world: World, result: CheckResult) -> dict[Place, set[int]]:
    """Give the rows of each finding, from 0."""
    first = 2 if world.form == "csv" else 1
    found: dict[Place, set[int]] = {}
    for each in result.findings:
        found.setdefault((each.code, each.field or each.rule), set()).update(int(str(at)) - first for at in each.lines)
    return found


def taken(found: dict[Place, set[int]], codes_: Iterable[str], name: str) -> set[int]:
    """Take all rows of some codes from the findings."""
    return set[int]().union(*(found.pop((code, name), set()) for code in codes_))


def hold(world: World, result: CheckResult, oracle: Oracle) -> None:
    """Hold every finding against the oracle, and every objection of the oracle against the findings."""
    found = rows_of(world, result)
    counts = {(each.code, each.field): each.count for each in result.findings}
    failed = {made.name: hold_values(made, oracle, found) for made in world.fields}
    gone = set[int]().union(*failed.values())
    for made in world.fields:
        hold_shares(made, oracle, found, counts, failed[made.name])
        empty = oracle.shared[made.name].null_count() == world.height and not oracle.no_values[made.name]
        missing = set() if empty else oracle.against("not_nullable", made.name) - oracle.no_values[made.name]
        assert found.pop(("T-NULL", made.name), set()) == missing
        doubled = repeated(oracle.shared, (made.name,)) if made.limits.get("unique") else set()
        assert made.name in world.primary_key or found.pop(("T-DUPKEY", made.name), set()) == doubled
        gone |= missing | doubled
    doubled = repeated(oracle.shared, world.primary_key)
    assert found.pop(("T-DUPKEY", world.primary_key[0] if len(world.primary_key) == 1 else None), set()) == doubled
    gone |= doubled
    for rule in world.rules:
        # A value that failed by itself is no evidence against a rule: pandera judges it, Wardround has said so already.
        broken = oracle.breaking(rule.holds).difference(*(failed[name] for name in rule.fields))
        warns = "severity" in rule.said
        assert found.pop(("T-RULE", rule.said["id"]), set()) == (rule.broken_beyond(broken, world.height) if warns else broken)
        gone |= set() if warns else broken
    assert {code for code, _ in found} - OF_TABLES == set()
    kept = [at for at in range(world.height) if at not in gone]
    assert result.valid["sample"].to_list() == oracle.shared["sample"].gather(kept).to_list()


def hold_values(made: Made, oracle: Oracle, found: dict[Place, set[int]]) -> set[int]:
    """Hold what is said of single values, and give the rows whose values fail by themselves."""
    name, nothing = made.name, oracle.no_values[made.name]
    if "categories" in made.about:
        listed = [each["value"] for each in made.about["categories"]]
        plain = {code.casefold() for code in made.column.get("codes", listed)}
        cells = oracle.local[name]
        assert found.get(("T-CASE", name), set()) == {at for at in nothing if cells[at].strip().casefold() in plain}
        assert taken(found, OF_CODES, name) == nothing
        return nothing
    assert taken(found, OF_CELLS, name) == nothing
    if made.dtype == pl.String:
        outside = oracle.against("str_matches", name) | oracle.against("str_length", name)
        found.pop(("T-CASE", name), None)  # white space, as a warning
        assert taken(found, OF_TEXTS, name) == outside
        return nothing | outside
    outside = oracle.outside(name)
    assert found.pop(("T-RANGE", name), set()) | (found.get(("T-SENTINEL", name), set()) & outside) == outside
    if made.dtype == pl.Date:
        found.pop(("T-SENTINEL", name), None)
        late = oracle.by(name, pa.Check.le(TODAY)) if "maximum" not in made.limits else set()
        assert found.pop(("T-FUTURE", name), set()) == late
    return nothing | outside


def hold_shares(made: Made, oracle: Oracle, found: dict[Place, set[int]], counts: dict[Place, int], failed: set[int]) -> None:
    """Hold what is said of a field as a whole: what is missing, and what is implausible."""
    name, height = made.name, oracle.shared.height
    lacking = oracle.shared[name].null_count() - len(oracle.no_values[name])
    most = made.about.get("missing", {}).get("max_fraction", 1.0)
    told = not made.limits.get("required") and lacking > most * height and lacking < height
    assert counts.get(("T-MISSLIM", name)) == (lacking if told else None)
    found.pop(("T-MISSLIM", name), None)
    marks = found.pop(("T-SENTINEL", name), set()) - failed
    if "plausible" in made.about:
        low, high, most = (made.about["plausible"][word] for word in ("low", "high", "max_outside"))
        odd = oracle.by(name, pa.Check.in_range(low, high)) - failed
        implausible = found.pop(("T-PLAUS", name), set())
        assert implausible | marks <= odd
        if len(odd) > most * height:
            assert implausible | marks == odd or len(odd - marks) <= most * height


def agree(world: World) -> None:
    local = made_table(world)
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("silo_node.validation.judgement.SAMPLE_LINES", world.height)
        hold(world, checked(world, local, Path(folder)), Oracle.of(world, local))


@settings(max_examples=25)
@given(world=worlds())
def test_pandera_objects_to_the_same(world: World) -> None:
    """Cell by cell, record by record, and nobody else is set aside."""
    agree(world)


@pytest.mark.fuzz
@settings(max_examples=5000)
@given(world=worlds())
def test_pandera_objects_to_the_same_five_thousand_times(world: World) -> None:
    """As above; ``make test-fuzz``."""
    agree(world)
