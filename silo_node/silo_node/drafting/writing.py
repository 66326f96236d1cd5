"""The draft of a site file as text: what a person wrote, and the proposals with their confidence, evidence and questions."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

from silo_node.configuration import Site, SiteFile
from silo_node.draft_marks import DRAFT_KEY, DRAFT_SUFFIX, QUESTION
from silo_node.drafting.fit import counted_as
from silo_node.drafting.local_table import LocalTable
from silo_node.drafting.proposal import Candidate, Draft, Proposal
from silo_node.drafting.yaml_text import add, entry, indented, put_first, same, scalar, without_notes
from wardround.canonical import Json
from wardround.contract.model import Contract
from wardround.errors import Broken
from wardround.strict_yaml import parse, parse_text

_HEAD = (
    "#~ A DRAFT of {name}: no command reads records by it. Notes like this one are taken away when it is confirmed.",
    '#~ Answer each "{question}", look at every line, then run: wardround silo map --confirm --site {name}',
)
_ANSWERED = frozenset({"unit", "factor", "date_format", "decimal"})
"""Keys whose question is no value of theirs, so that the rest can be judged without them."""


def draft_path(site: Path) -> Path:
    """Give where the draft of a site file lies: beside it."""
    return site.with_name(site.stem + DRAFT_SUFFIX)


def digest(text: str) -> str:
    """Give what marks the site file that a draft was made from."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_draft(site: Site, text: str, contract: Contract, table: LocalTable, draft: Draft) -> str:
    """Give the draft's text.

    Raises:
        Refused: Y-SYNTAX, Y-VALUE, Y-KEY: the table has names that no site file can hold, or entries cannot be added.
    """
    name = site.path.name
    data = deepcopy(site.document.data)
    if not isinstance(data, dict):
        msg = "a site file that is no mapping"
        raise Broken(msg)
    new = text
    if table.new is not None:
        new = add(new, ("sources",), entry(table.key, table.new, table.notes), name)
        _at(data, "sources")[table.key] = table.new
    standing = site.file.schemas.get(contract.id)
    marks: list[Json] = _shared_marks(contract, draft) if standing is None else [*standing.missing]
    values = {each.field.name: _value(each, marks) for each in draft.proposals}
    columns: dict[str, Json] = {field: value for field, value in values.items() if value is not None}
    lines = [line for each in draft.proposals for line in _lines(each, values[each.field.name])]
    if standing is not None:
        new = add(new, ("schemas", contract.id, "columns"), lines, name) if lines else new
        _at(_at(_at(data, "schemas"), contract.id), "columns").update(columns)
    else:
        mapping: dict[str, Json] = {"source": table.key}
        block = entry("source", table.key)
        if marks:
            mapping["missing"] = marks
            times = sum(draft.marks[str(mark)] for mark in marks)
            block += entry("missing", marks, [f"often means missing; {counted_as(times, 'cell')} of the columns below"])
        mapping["columns"] = columns
        block += ["columns:", *indented(lines)]
        if draft.unused:
            mapping["ignore"] = list(draft.unused)
            block += entry("ignore", list(draft.unused), ["no field seems to be one of these"])
        new = add(new, ("schemas",), [f"{scalar(contract.id)}:", *indented(block)], name)
        _at(data, "schemas")[contract.id] = mapping
    mark = digest(text)
    head = [line.format(name=name, question=QUESTION) for line in _HEAD]
    new = put_first(new, [*head, *entry(DRAFT_KEY, mark, [f"of the {name} that it was made from"])])
    if not same(new, {DRAFT_KEY: mark, **data}, name):
        msg = "the draft would not say what was proposed"
        raise Broken(msg)
    answered = replace(parse_text(new, draft_path(site.path).name), data=_without_open(data))
    parse(SiteFile, answered)  # what no answer can mend is refused now
    return new


def _without_open(data: Json) -> Json:
    if isinstance(data, dict):
        return {key: _without_open(value) for key, value in data.items() if not (key in _ANSWERED and value == QUESTION)}
    return [_without_open(each) for each in data] if isinstance(data, list) else data


def _at(data: Json, key: str) -> dict[str, Json]:
    found = data[key] if isinstance(data, dict) else None
    if not isinstance(found, dict):
        msg = f"no mapping at {key!r}"
        raise Broken(msg)
    return found


def _shared_marks(contract: Contract, draft: Draft) -> list[Json]:
    known = {mark.value for mark in contract.missing_values}
    return [mark for mark in draft.marks if mark not in known]


def _value(proposal: Proposal, marks: Sequence[Json]) -> Json:
    """Give what the mapping would say of a field; ``None`` when nothing."""
    if proposal.chosen is None and not proposal.asked:
        return None
    about = proposal.chosen or (proposal.candidates[0] if proposal.candidates else None)
    column = proposal.chosen.column if proposal.chosen else QUESTION
    more = {} if about is None else _details(about, marks)
    return {"column": column, **more} if more else column


def _details(candidate: Candidate, marks: Sequence[Json]) -> dict[str, Json]:
    fit = candidate.fit
    told = {"unit": fit.unit, "factor": fit.factor, "date_format": fit.date_format}
    found: dict[str, Json] = {key: value for key, value in told.items() if value is not None}
    if fit.codes is not None:
        found["codes"] = dict(sorted(fit.codes))
    if fit.marks:  # a column's own list stands in place of the one for all
        found["missing"] = [*marks, *sorted(fit.marks)]
    return found


def _lines(proposal: Proposal, value: Json) -> list[str]:
    name, chosen = proposal.field.name, proposal.chosen
    if chosen is not None:
        notes = [f"{chosen.confidence:.0%}: {'; '.join(part for part in (chosen.why, *chosen.fit.evidence) if part)}"]
        return entry(name, value, [*notes, *(f"answer {ask}" for ask in chosen.fit.asks)])
    if value is None:
        return [f"#~ {name}: no column seems to be it; the schema allows that"]
    if not proposal.candidates:
        return entry(name, value, [f"answer which column it is; {_wanted(proposal)}"])
    perhaps = ", ".join(f"{scalar(each.column)} ({each.confidence:.0%})" for each in proposal.candidates)
    first = proposal.candidates[0]
    notes = [f"answer which column it is, perhaps {perhaps}" + ("" if proposal.needed else "; or take the line away")]
    return entry(name, value, [*notes, *(f"answer {ask}" for ask in first.fit.asks)])


def _wanted(proposal: Proposal) -> str:
    if proposal.field.constraints.pattern is not None:
        return "none has texts of the schema's form and a like name: the export may lack it"
    return "none has a like name and fitting cells: the export may lack it"


def confirmed(text: str, name: str) -> str:
    """Give the site file that an answered draft becomes: without the draft's mark and notes."""
    data = parse_text(text, name).data
    if not isinstance(data, dict):
        return text
    wanted = {key: value for key, value in data.items() if key != DRAFT_KEY}
    for bare in (without_notes(text), text):
        lines = [line for line in bare.splitlines(keepends=True) if not line.startswith(f"{DRAFT_KEY}:")]
        if same("".join(lines), wanted, name):
            return "".join(lines)
    msg = "the confirmed file would not say what the draft says"
    raise Broken(msg)
