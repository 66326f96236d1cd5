"""How severe a finding is: the catalogue's word, unless the contract weighs it otherwise (``checks``, ``investigative``).

What may be weighed is in ``wardround.contract.severities``; every contract was held against that when it was read.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from silo_node.sources.faults import Fault
from silo_node.validation.constraints import Check
from wardround.contract.model import Contract
from wardround.contract.severities import PERSONAL, STRUCTURE, WEIGHED_RECORDS, reach, setting_for, why_fixed

if TYPE_CHECKING:
    from silo_node.validation.engine import Broken, Outcome


def settled(check: Check, contract: Contract) -> Check:
    """Give a check as severe, and as patient, as the contract has it."""
    setting = setting_for(contract, check.code, check.fields)
    fixed = why_fixed(check.code) is not None or (check.level == "record" and check.code not in WEIGHED_RECORDS)
    if setting is None or fixed:
        return check
    limit = check.limit if setting.max_fraction is None else setting.max_fraction
    return replace(check, severity=setting.severity or check.severity, limit=limit)


def weighed(outcome: Outcome, contract: Contract) -> Outcome:
    """Weigh what the engine found: by the contract's settings, and what is about investigative fields as a warning.

    A record that fails a check of an investigative field stays, and loses that value: it is missing from then on.
    """
    investigative = {field.name for field in contract.fields if field.investigative}
    lost: dict[str, pl.Series] = {}
    kept: list[Broken] = []
    for each in outcome.broken:
        check = settled(each.check, contract)
        if check.limit is not None and int(each.mask.sum()) <= check.limit * len(each.mask):
            continue
        informing = investigative.intersection(check.fields)
        if informing and check.code not in PERSONAL:
            check = replace(check, severity="warning")
            if check.level == "record":
                lost |= {name: lost[name] | each.mask if name in lost else each.mask for name in informing}
        kept.append(replace(each, check=check))
    return replace(outcome, typed=replace(outcome.typed, lost=lost), broken=tuple(kept))


def weighed_fault(fault: Fault, contract: Contract) -> Fault:
    """Give what is wrong with a column as severe as the contract has it; what is wrong with the file's shape, as it is."""
    if fault.field is None or fault.code in STRUCTURE or fault.code in PERSONAL:
        return fault
    if contract.field(fault.field).investigative:
        return replace(fault, warning=True)
    setting = setting_for(contract, fault.code, (fault.field,))
    fixed = why_fixed(fault.code) is not None or fault.field not in reach(contract, fault.code)
    if setting is None or setting.severity is None or fixed:
        return fault
    return replace(fault, warning=setting.severity == "warning")
