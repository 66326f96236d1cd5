"""Explained exceptions of a site file, held against the contract: what may be explained, of which field or rule, once."""

from __future__ import annotations

from collections.abc import Iterator

from silo_node.configuration import ExplainedException, SchemaMapping, Site
from wardround.contract.model import Contract
from wardround.contract.severities import EXPLAINABLE, known_codes
from wardround.errors import Problem
from wardround.strict_yaml import nearest

BY_RULE = "T-RULE"
"""The one code whose findings name a rule, not a field."""

_RULE = "An exception explains a finding on a share or a whole column, of one field or rule of the schema"


def exception_problems(site: Site, contract: Contract, mapping: SchemaMapping) -> Iterator[Problem]:
    """Give everything that is wrong with the exceptions of one schema."""
    seen: set[tuple[str, str | None, str | None]] = set()
    for index, each in enumerate(mapping.exceptions):
        place = site.document.place(("schemas", contract.id, "exceptions", index))
        found = _code(each) or _about(each, contract)
        about = (each.code, each.field, each.rule)
        if found is None and about in seen:
            found = (f"exception {index + 1} explains what another one explains", "remove one of the two")
        seen.add(about)
        if found is not None:
            yield Problem("M-EXCEPTION", place, _RULE, *found)


def _code(exception: ExplainedException) -> tuple[str, str] | None:
    """Say what is wrong with the code; codes are words of the catalogue, whatever stands in the file is not repeated."""
    if exception.code not in known_codes():
        guess = nearest(exception.code, known_codes())
        listed = ", ".join(sorted(EXPLAINABLE.intersection(known_codes())))
        return "its code is none of a check", f"did you mean {guess!r}?" if guess else f"choose one of: {listed}"
    if exception.code not in EXPLAINABLE:
        return f"{exception.code} cannot be explained away", "mend the records or the mapping, and remove the exception"
    return None


def _about(exception: ExplainedException, contract: Contract) -> tuple[str, str] | None:
    wanted, other = ("rule", "field") if exception.code == BY_RULE else ("field", "rule")
    name = getattr(exception, wanted)
    if name is None or getattr(exception, other) is not None:
        return f"one of {exception.code} names a {wanted}, and nothing else", f"write {wanted}: and its name"
    rules = {rule.id: rule for rule in contract.rules}
    known = list(rules) if wanted == "rule" else list(contract.names)
    if name not in known:
        guess = nearest(name, known)
        see = f"see: wardround schema show {contract.id}"
        return f"the schema has no {wanted} of this name", f"did you mean {guess!r}?" if guess else see
    if exception.code == "T-ALLNULL" and contract.field(name).required:
        finding = f"that the required field {name!r} has no value cannot be explained away"
        return finding, "map the column that holds it, and remove the exception"
    if wanted == "rule" and rules[name].severity == "error":
        return f"the rule {name!r} sets records aside, and cannot be explained away", "mend the records, and remove the exception"
    return None
