"""Which local column is likely to be which field: the best assignment of all, each with confidence and evidence.

A proposal is made where one column is clearly the likeliest; else the draft asks. Nothing here is read by a check.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from silo_node.drafting.assignment import assign
from silo_node.drafting.fit import Fit, fit
from silo_node.drafting.likeness import know, take_apart
from silo_node.sources.shapes import Decimal, Shape
from wardround.contract.model import Contract, ContractField

PROPOSED = 0.6
"""From this confidence on a column is proposed, when no other is nearly as likely."""
CANDIDATE = 0.25
"""From this confidence on a column is named beside a question."""
MARGIN = 0.07
"""How much likelier than the next one a proposed column is."""
MOST_CANDIDATES = 3
MOST_CONFIDENT = 0.99
KEY_LIKE = 0.3
"""How likely a column is a primary key that has its form and no text twice, whatever its name."""
TELLING_SHARE = 0.34
"""Of the columns, at most this share has a form that tells a field by itself."""


@dataclass(frozen=True)
class Candidate:
    """A column that may be a field."""

    column: str
    confidence: float
    why: str
    fit: Fit


@dataclass(frozen=True)
class Proposal:
    """What is known of one field.

    Attributes:
        field: of the schema.
        needed: whether the check wants a column for it.
        chosen: the column, when one is clearly the likeliest.
        candidates: others that it may be, likeliest first; when nothing is chosen.
    """

    field: ContractField
    needed: bool
    chosen: Candidate | None
    candidates: tuple[Candidate, ...]

    @property
    def asked(self) -> bool:
        """Whether a person has to say which column it is."""
        return self.chosen is None and (self.needed or bool(self.candidates))


@dataclass(frozen=True)
class Draft:
    """Proposals for a table.

    Attributes:
        proposals: one for each field that is not mapped yet, in the schema's order.
        unused: columns that no field has or may have.
        marks: texts that mean missing in the columns that are used, and how often they stand.
    """

    proposals: tuple[Proposal, ...]
    unused: tuple[str, ...]
    marks: Mapping[str, int]


def propose(
    contract: Contract, columns: Mapping[str, Shape], decimal: Decimal, mapped: Collection[str] = (), taken: Collection[str] = ()
) -> Draft:
    """Propose a column for each field.

    Args:
        contract: the schema.
        columns: local column → its shape.
        decimal: the decimal mark of local numbers.
        mapped: fields that have a column already.
        taken: columns that are mapped or ignored already.
    """
    free = {name: seen for name, seen in columns.items() if name not in taken}
    fields = [field for field in contract.fields if field.name not in mapped]
    table = _candidates(contract, fields, free, decimal)
    owners = assign([[each.confidence for each in row] for row in table])
    keys = {*contract.primary_key, contract.patient_key}
    held = {at: table[row][at].confidence for row, at in enumerate(owners) if at is not None}
    proposals: list[Proposal] = []
    for at, field in enumerate(fields):
        own = owners[at]
        needed = field.required or field.name in keys
        if own is not None and _clear(table, owners, at, own):
            proposals.append(Proposal(field, needed, table[at][own], ()))
            continue
        likely = [each for to, each in enumerate(table[at]) if to == own or held.get(to, 0.0) <= each.confidence]
        likely = sorted((each for each in likely if each.confidence >= CANDIDATE), key=lambda each: -each.confidence)
        proposals.append(Proposal(field, needed, None, tuple(likely[:MOST_CANDIDATES])))
    return _draft(proposals, free)


def _draft(proposals: Sequence[Proposal], free: Mapping[str, Shape]) -> Draft:
    chosen = {each.chosen.column: each for each in proposals if each.chosen is not None}
    maybe = {candidate.column for each in proposals for candidate in each.candidates}
    marks: dict[str, int] = {}
    for column, proposal in chosen.items():
        coded = {text for text, _ in (proposal.chosen.fit.codes or ())} if proposal.chosen else set()
        for mark, times in free[column].marks.items():
            if mark not in coded and mark not in proposal.field.values:
                marks[mark] = marks.get(mark, 0) + times
    return Draft(tuple(proposals), tuple(name for name in free if name not in chosen and name not in maybe), marks)


def _candidates(
    contract: Contract, fields: Sequence[ContractField], columns: Mapping[str, Shape], decimal: Decimal
) -> list[list[Candidate]]:
    known, names = know(contract), {name: take_apart(name) for name in columns}
    table: list[list[Candidate]] = []
    for field in fields:
        unique = contract.primary_key == (field.name,)
        fits = {name: fit(field, seen, decimal, names[name].units, unique=unique) for name, seen in columns.items()}
        formed = field.constraints.pattern is not None and not unique
        rare = sum(each.score > 0.9 for each in fits.values()) <= TELLING_SHARE * len(fits)  # noqa: PLR2004
        row: list[Candidate] = []
        for name, each in fits.items():
            alike, why = known.likeness(names[name], field)
            telling = each.telling or (formed and rare and each.score > 0.9)  # noqa: PLR2004
            sure = _confidence(alike, each.score, telling=telling)
            if unique:  # whatever its name, a column that could be the key is one to ask about
                sure = max(sure, KEY_LIKE * each.score)
            row.append(Candidate(name, sure, why if alike > CANDIDATE else "", each))
        table.append(row)
    return table


def _confidence(alike: float, fitting: float, *, telling: bool) -> float:
    """Name and cells both have to speak for a column, unless its cells tell by themselves."""
    both = alike * (0.1 if fitting < 0.1 else 0.4 + 0.6 * fitting)  # noqa: PLR2004
    if telling:
        both = max(both, 0.7 * fitting + 0.3 * alike * fitting)
    return round(min(MOST_CONFIDENT, both), 3)


def _clear(table: Sequence[Sequence[Candidate]], owners: Sequence[int | None], row: int, own: int) -> bool:
    """Whether no other column is nearly as likely for the field, and no field without a column for this one."""
    confidence = table[row][own].confidence
    if confidence < PROPOSED:
        return False
    better = {at: table[other][at].confidence for other, at in enumerate(owners) if at is not None and other != row}
    rivals = [each.confidence for at, each in enumerate(table[row]) if at != own and better.get(at, 0.0) <= each.confidence]
    rivals += [table[other][own].confidence for other, at in enumerate(owners) if at is None]
    return max(rivals, default=0.0) < confidence - MARGIN
