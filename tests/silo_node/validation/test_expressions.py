from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
from clinic_on_disk import CLINIC, load_contract
from hypothesis import given, settings
from hypothesis import strategies as st

from silo_node.mapping.cells import SCHEMA_TYPES
from silo_node.validation.expressions import RuleCompiler
from wardround.contract import rules
from wardround.contract.model import Contract

NUMBERS = st.sampled_from(["pulse", "radius", "glucose"])
SMALL = st.sampled_from([0, 1, 2, -3, 0.5, 1e308, -1e308, 7])
DAYS = st.sampled_from(["2020-01-01", "2021-06-15", "1999-12-31"])
ORDERS = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])


def _constant(value: float) -> rules.Expression:
    return rules.Constant(value)


arithmetic: st.SearchStrategy[rules.Expression] = st.recursive(
    st.one_of(st.builds(rules.FieldRef, NUMBERS), st.builds(_constant, SMALL)),
    lambda inner: st.one_of(
        st.builds(rules.Negative, inner), st.builds(rules.Arithmetic, st.sampled_from(["+", "-", "*", "/"]), inner, inner)
    ),
    max_leaves=5,
)
days = st.one_of(st.just(rules.FieldRef("visit")), st.builds(rules.Constant, DAYS))
code_words = st.builds(rules.Constant, st.sampled_from(["female", "male", "well"]))
codes = st.one_of(st.sampled_from([rules.FieldRef("sex"), rules.FieldRef("outcome")]), code_words)
statements: st.SearchStrategy[rules.Expression] = st.recursive(
    st.one_of(
        st.builds(rules.Comparison, ORDERS, arithmetic, arithmetic),
        st.builds(rules.Comparison, ORDERS, st.just(rules.FieldRef("visit")), days),
        st.builds(rules.Comparison, st.sampled_from(["==", "!="]), codes, codes),
        st.builds(rules.Between, arithmetic, arithmetic, arithmetic),
        st.builds(rules.Between, st.just(rules.FieldRef("visit")), days, days),
        st.builds(rules.Member, arithmetic, st.lists(st.builds(rules.Constant, SMALL), min_size=1, max_size=3).map(tuple)),
        st.builds(rules.Member, codes, st.lists(code_words, min_size=1, max_size=3).map(tuple)),
        st.builds(rules.IsMissing, st.builds(rules.FieldRef, st.sampled_from(["visit", "sex", "pulse"])), st.booleans()),
    ),
    lambda inner: st.one_of(st.builds(rules.Not, inner), st.builds(rules.Logic, st.sampled_from(["and", "or"]), inner, inner)),
    max_leaves=5,
)  # fmt: skip
records = st.fixed_dictionaries(
    {
        "visit": st.none() | st.sampled_from([date(2020, 1, 1), date(2021, 6, 15)]),
        "sex": st.none() | st.sampled_from(["female", "male"]),
        "outcome": st.none() | st.sampled_from(["well", "ill"]),
        "pulse": st.none() | st.sampled_from([0, 1, 2, 3, 2**53 - 1]),
        "radius": st.none() | st.sampled_from([0.0, 0.5, 1.0, 2.0, 1e308, -1e308]),
        "glucose": st.none() | st.sampled_from([0.1, 0.2, 0.3]),
    }
)


def _contract(folder: Path) -> Contract:
    return load_contract(CLINIC, folder)


@settings(max_examples=300)
@given(expression=statements, table=st.lists(records, min_size=1, max_size=5))
def test_columns_and_records_agree(tmp_path_factory: Any, expression: rules.Expression, table: list[dict[str, Any]]) -> None:
    """For every rule and record the compiled expression gives the truth value of the plain evaluator, unknown included."""
    contract = _contract(tmp_path_factory.getbasetemp())
    types = {field.name: SCHEMA_TYPES[field.type] for field in contract.fields if field.name in table[0]}
    frame = pl.DataFrame(table, schema=types)
    found = frame.select(RuleCompiler(contract).truth(expression).alias("truth"))
    compiled = found["truth"].to_list() * (len(table) if found.height == 1 else 1)
    assert compiled[: len(table)] == [rules.evaluate(expression, record) for record in table]


def test_rules_of_the_contract_compile(tmp_path: Path) -> None:
    """A rule as it is written in a schema, on records that keep it, break it and leave it open."""
    contract = _contract(tmp_path)
    expression = rules.parse(contract.rules[0].check)
    frame = pl.DataFrame({"pulse": [60, 25, None, 25], "radius": [1.0, 1.0, 1.0, None]})
    assert frame.select(RuleCompiler(contract).truth(expression)).to_series().to_list() == [True, False, None, None]
