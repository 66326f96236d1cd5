from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl
from clinic_on_disk import CLINIC, load_contract
from hypothesis import given
from hypothesis import strategies as st

from silo_node.mapping.cells import SCHEMA_TYPES
from silo_node.mapping.facts import Facts
from silo_node.validation.constraints import Check, context_checks, duplicates, repeats, rule_check, value_checks
from wardround.contract import rules
from wardround.contract.model import Contract

RECORD = st.fixed_dictionaries(
    {
        "patient_key": st.sampled_from([None, "P1", "P2", "p3", ""]),
        "visit": st.sampled_from([None, date(1999, 12, 31), date(2000, 1, 1), date(2030, 12, 31), date(2031, 1, 1)]),
        "sex": st.sampled_from([None, "female", "male", "Male"]),
        "pulse": st.sampled_from([None, 19, 20, 29, 300, 301]),
        "radius": st.sampled_from([None, -1.0, 0.0, 0.5, 50.0, 50.1, 101.0]),
        "glucose": st.sampled_from([None, None, 0.5, 29.0, 30.0, 61.0]),
        "note": st.sampled_from([None, "x", "ok", "much too long a note"]),
        "outcome": st.sampled_from([None, "well", "ILL"]),
    }
)


def _checks(contract: Contract, facts: Facts) -> list[Check]:
    found = [duplicates(contract.primary_key, "once", facts), duplicates(("note",), "once", facts)]
    for field in contract.fields:
        found += value_checks(contract, field, facts, mapped_codes=False)
        found += context_checks(contract, field, facts)
    return found + [rule_check(contract, rule, rules.parse(rule.check), facts) for rule in contract.rules]


@given(records=st.lists(RECORD, min_size=1, max_size=8))
def test_nothing_that_is_broken_goes_unsuspected(tmp_path_factory: Any, records: list[dict[str, Any]]) -> None:
    """The cheap pass clears a check only when no record breaks it, or fewer than its share."""
    contract = load_contract(CLINIC, tmp_path_factory.getbasetemp())
    table = pl.DataFrame(records, schema={field.name: SCHEMA_TYPES[field.type] for field in contract.fields})
    facts = Facts()
    for check in _checks(contract, facts):
        broken = table.select(check.broken.fill_null(value=False).alias("broken"))["broken"].sum()
        suspected = table.select(facts.asked).select(check.suspicion.fill_null(value=True).alias("s")).item()
        over = broken > (check.limit or 0) * table.height
        assert suspected or not over, (check.code, check.fields, check.rule)
        if check.code in ("T-NULL", "T-RANGE", "T-ENUM", "T-PATTERN", "T-RULE"):
            assert bool(suspected) == bool(broken), "a clean table must not pay for details"


@given(
    parts=st.lists(st.lists(st.sampled_from([0, 1, 2**32, 2**63, 2**64 - 1]) | st.integers(0, 2**64 - 1), max_size=4), min_size=1)
)
def test_hashes_that_repeat_are_seen(parts: list[list[int]]) -> None:
    """Wherever they stand, in as many chunks as they come."""
    hashes = pl.concat([pl.Series(part, dtype=pl.UInt64) for part in parts], rechunk=False)
    assert repeats(hashes) == (len(set(hashes)) < len(hashes))
