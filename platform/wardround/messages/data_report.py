"""What a hospital says to the outside about its records: codes, the schema's own names, and counts that are large enough.

No free string: codes come from a closed list, fields and rules are names of the shared schema (``foreign_names`` holds a
report against it), everything else is a number. Counts of one to ten (by default) are withheld together with everything
from which they could be computed, and withheld is not zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations, product
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from wardround.contract.model import Contract
from wardround.contract.severities import EXPLAINABLE, Reason
from wardround.values import Count, FieldName, SchemaId, Sha256, Slug, Value, Version

FindingCode: TypeAlias = Literal[
    "T-FILE",
    "T-ENCODING",
    "T-DELIM",
    "T-NOHEADER",
    "T-HDRDUP",
    "T-MISSCOL",
    "T-EXTRACOL",
    "T-RAGGED",
    "T-EMPTY",
    "T-FEW",
    "T-TYPE",
    "T-INTFRAC",
    "T-NONFINITE",
    "T-RANGE",
    "T-PLAUS",
    "T-ENUM",
    "T-MAP",
    "T-PATTERN",
    "T-NULL",
    "T-MISSLIM",
    "T-ALLNULL",
    "T-LABEL",
    "T-RULE",
    "T-DUPKEY",
    "T-QUARANTINE",
    "T-PARTS",
    "T-STALE",
    "T-SIZE",
    "T-QUERY",
    "T-CELL",
    "T-FK",
    "T-JOIN",
    "T-TIE",
    "T-UNIT",
    "T-UNITMIX",
    "T-DRIFT",
    "T-LEADZERO",
    "T-SCI",
    "T-BIGINT",
    "T-SENTINEL",
    "T-CASE",
    "T-BOOL",
    "T-PHI-ID",
    "T-PHI-TEXT",
    "T-CODEVER",
    "T-DATEFMT",
    "T-FUTURE",
    "T-TZ",
    "T-VARYING",
    "T-OVERLAP",
    "T-DUPROW",
    "T-DATESHIFT",
    "T-CONST",
    "T-LABELMISS",
    "T-LEAK",
    "T-SYNTHETIC",
]
"""What can be wrong with records; each has its entry in ``docs/reference/errors.md``."""

ImageCode: TypeAlias = Literal[
    "D-FILE",
    "D-NOTDICOM",
    "D-TRUNC",
    "D-HEADER",
    "D-BOMB",
    "D-NOPIXELS",
    "D-OBJECT",
    "D-MODALITY",
    "D-SOPCLASS",
    "D-KIND",
    "D-SYNTAX",
    "D-PHOTO",
    "D-PIXLEN",
    "D-DECODE",
    "D-CRASH",
    "D-UID",
    "D-PATIENT",
    "D-BITS",
    "D-VIEW",
    "D-CONTRAST",
    "D-SIZE",
    "D-SPACING",
    "D-RESCALE",
    "D-NOPLANE",
    "D-ORIENT",
    "D-DUPSLICE",
    "D-GAP",
    "D-UNEVEN",
    "D-TILT",
    "D-MULTIFRAME",
    "D-SLICES",
    "D-STEP",
    "D-PLANE",
    "D-BODYPART",
    "D-PHI",
    "D-PRIVATE",
    "D-OVERLAY",
    "D-METHOD",
    "D-BURNED",
    "D-PATH",
    "D-PREAMBLE",
    "D-TRAILING",
    "D-NOIMAGE",
    "D-SEVERAL",
    "D-PREPARE",
    "D-MASK",
    "D-MASKS",
    "D-MASKFILE",
    "D-MASKREF",
    "D-MASKFIT",
    "D-MASKCLASS",
    "D-MASKOVER",
    "D-MASKEMPTY",
    "D-MASKSTRAY",
    "D-MASKPHI",
    "D-PATHNAME",
    "D-NOFILE",
    "D-FORMAT",
    "D-METADATA",
    "D-INTENSITY",
    "D-COPY",
    "D-ROW",
    "D-TABLE",
    "D-UNNAMED",
    "D-FACE",
    "D-NOTAG",
    "D-TAG",
    "D-THICK",
    "D-CONST",
    "D-NOROW",
    "D-JOIN",
]
"""What can be wrong with the image of a record; each has its entry there, too."""

AnyCode: TypeAlias = FindingCode | ImageCode


class ShownCell(Value):
    """A count that may leave: zero, or at least the hospital's threshold."""

    count: Count


class WithheldCell(Value):
    """A count that may not leave; it is not zero."""

    withheld: Literal[True] = True


Cell: TypeAlias = ShownCell | WithheldCell
MOST_COMBINED = 10
"""Findings of one field that are held together in every combination; no honest report has more."""

_Name: TypeAlias = tuple[str | None, ...]
"""What a count of a report is of."""


class FindingSummary(Value):
    """One kind of finding.

    Attributes:
        field: a field of the schema, where the finding is about one.
        rule: the schema's id of a cross-field rule, where the finding is about one.
        records: how many records it concerns, where it concerns records.
        explained: why it is so, by the hospital's word; what would be an error is then a warning.
    """

    code: AnyCode
    severity: Literal["error", "warning"]
    field: FieldName | None = None
    rule: Slug | None = None
    records: Cell | None = None
    explained: Reason | None = None

    @model_validator(mode="after")
    def _explained_is_no_error(self) -> FindingSummary:
        if self.explained is not None and (self.severity != "warning" or self.code not in EXPLAINABLE):
            msg = "what is explained is a warning, of a kind that may be explained"
            raise ValueError(msg)
        return self


class DataReport(Value):
    """The result of a check, as it may leave the hospital.

    Attributes:
        found: records in the hospital's table.
        quarantined: records set aside because they break the schema; ``found`` − ``valid``.
        valid: records that obey it.
    """

    kind: Literal["data-report"] = "data-report"
    format: Literal[1] = 1
    schema_id: SchemaId
    schema_version: Version
    contract_hash: Sha256
    passed: bool
    found: Cell
    quarantined: Cell
    valid: Cell
    findings: Annotated[tuple[FindingSummary, ...], Field(max_length=100_000)] = ()

    @property
    def synthetic(self) -> bool:
        """Whether the hospital says that its records were made up, and are not of patients."""
        return any(finding.code == "T-SYNTHETIC" for finding in self.findings)


class CountedFinding(Value):
    """A finding with its true count, before the counts are weighed against the threshold; it never leaves."""

    code: AnyCode
    severity: Literal["error", "warning"]
    field: FieldName | None = None
    rule: Slug | None = None
    records: Count | None = None
    sets_aside: bool = False
    explained: Reason | None = None


def make_report(
    contract: Contract, *, found: int, quarantined: int, passed: bool, findings: Sequence[CountedFinding], small_cell: int
) -> DataReport:
    """Make the outgoing report; all or nothing.

    When any count, or any count that follows from the others, lies between 1 and ``small_cell`` − 1, then every count
    but zeros is withheld, except the number of valid records when it is large enough itself: the number that trained
    leaves anyway, and by itself it gives nothing else away.

    Args:
        contract: names the schema.
        found: records in the table.
        quarantined: records set aside.
        passed: whether the check passed.
        findings: with their true counts.
        small_cell: the hospital's threshold.
    """
    valid = found - quarantined
    counts = [finding.records for finding in findings if finding.records is not None]
    aside = [finding.records for finding in findings if finding.sets_aside and finding.records is not None]
    hide = any(0 < each < small_cell for each in _derivable(found, quarantined, counts, aside))
    return DataReport(
        schema_id=contract.id,
        schema_version=contract.version,
        contract_hash=contract.contract_hash(),
        passed=passed,
        found=_cell(found, hide=hide),
        quarantined=_cell(quarantined, hide=hide),
        valid=_cell(valid, hide=0 < valid < small_cell),
        findings=tuple(
            FindingSummary(
                code=finding.code,
                severity=finding.severity,
                field=finding.field,
                rule=finding.rule,
                records=None if finding.records is None else _cell(finding.records, hide=hide),
                explained=finding.explained,
            )
            for finding in findings
        ),
    )


def without_counts(report: DataReport) -> DataReport:
    """Give the same report with every count but zeros withheld: for where other numbers that leave would give them away."""

    def hidden(cell: Cell) -> Cell:
        return cell if isinstance(cell, ShownCell) and cell.count == 0 else WithheldCell()

    findings = tuple(
        each if each.records is None else each.model_copy(update={"records": hidden(each.records)}) for each in report.findings
    )
    cells = {"found": hidden(report.found), "quarantined": hidden(report.quarantined), "valid": hidden(report.valid)}
    return report.model_copy(update={**cells, "findings": findings})


def differ_by_few(one: DataReport, other: DataReport, small_cell: int) -> bool:
    """Say whether a small group of records follows from two reports of one schema, by subtracting what they show.

    A kind of finding that a report does not name is one of no records. Where a finding is an error in one report and a warning
    in the other, it is held against itself, and each against none; several of one kind are held each against each. Of one cause
    records can be found under one code first and under others later, so the findings of a field, and all of them, are held
    together too. Groups are those of each count, and of the records that are in a whole (found, set aside, valid) and not in a
    finding.
    """
    changes = [change for each in (_of_kind, _of_kind_and_severity) for change in _changes(one, other, each)]
    changes += _changes_together(one, other)
    pairs = zip(_wholes(one), _wholes(other), strict=True)
    wholes = [after - before for before, after in pairs if before is not None and after is not None]
    groups = [*changes, *wholes, *(whole - change for whole in wholes for change in (*changes, *wholes))]
    return any(0 < abs(group) < small_cell for group in groups)


def _changes(one: DataReport, other: DataReport, name: Callable[[FindingSummary], _Name]) -> Iterator[int]:
    """Give by how many records each finding may have changed."""
    first, second = _by_name(one, name), _by_name(other, name)
    for each in first.keys() | second.keys():
        old, new = first.get(each, [0]), second.get(each, [0])
        if old == new:
            yield 0
            continue
        for before, after in product(old, new):
            if before is not None and after is not None:
                yield after - before


def _changes_together(one: DataReport, other: DataReport) -> Iterator[int]:
    """Give by how many records findings may have changed that are taken together: those of a field in every combination, and
    all; where one of them is not shown nothing is known of those with it.
    """
    before, after = (_shown_of_kinds(each) for each in (one, other))
    changes: dict[str | None, list[int]] = {}
    for name in before.keys() | after.keys():
        old, new = before.get(name, 0), after.get(name, 0)
        if old is not None and new is not None:
            changes.setdefault(name[1], []).append(new - old)
    for each in changes.values():
        yield from subset_sums(each)
    yield sum(change for each in changes.values() for change in each)


def _shown_of_kinds(report: DataReport) -> dict[_Name, int | None]:
    """Give how many records each kind of finding has, several of one kind together."""
    return {
        name: None if None in counts else sum(count for count in counts if count is not None)
        for name, counts in _by_name(report, _of_kind).items()
    }


def subset_sums(numbers: Sequence[int]) -> list[int]:
    """Give the sums of some of these numbers, in every combination; of very many: each, each two of them, and all."""
    if len(numbers) > MOST_COMBINED:
        return [*numbers, *(one + other for one, other in combinations(numbers, 2)), sum(numbers)]
    sums = {0}
    for number in numbers:
        sums |= {each + number for each in sums}
    return sorted(sums)


def _by_name(report: DataReport, name: Callable[[FindingSummary], _Name]) -> dict[_Name, list[int | None]]:
    """Give the counts of each kind of finding; None for one that is not shown."""
    found: dict[_Name, list[int | None]] = {}
    for each in report.findings:
        found.setdefault(name(each), []).append(_shown(each.records))
    return found


def _of_kind(finding: FindingSummary) -> _Name:
    return finding.code, finding.field, finding.rule


def _of_kind_and_severity(finding: FindingSummary) -> _Name:
    return finding.code, finding.severity, finding.field, finding.rule


def _wholes(report: DataReport) -> tuple[int | None, ...]:
    return tuple(_shown(cell) for cell in (report.found, report.quarantined, report.valid))


def _shown(cell: Cell | None) -> int | None:
    return cell.count if isinstance(cell, ShownCell) else None


def _cell(count: int, *, hide: bool) -> Cell:
    return WithheldCell() if hide and count > 0 else ShownCell(count=count)


def _derivable(found: int, quarantined: int, counts: Iterable[int], aside: Sequence[int]) -> Iterable[int]:
    """Give every count, and every group of records whose size follows from the counts.

    ``aside`` are the sizes of the sets whose union is set aside, so the records outside one of them, and how often
    records stand in more than one, follow from the union's size.
    """
    yield from (found, quarantined, found - quarantined)
    for count in counts:
        yield from (count, found - count)
    for count in aside:
        yield quarantined - count
    yield sum(aside) - quarantined


def foreign_names(report: DataReport, contract: Contract) -> tuple[str, ...]:
    """Give the parts of a report that name something that the schema does not have; the egress gate wants none."""
    rules = {rule.id for rule in contract.rules}
    foreign: list[str] = []
    same = (contract.id, contract.version, contract.contract_hash())
    if (report.schema_id, report.schema_version, report.contract_hash) != same:
        foreign.append("schema")
    for index, finding in enumerate(report.findings):
        if finding.field is not None and finding.field not in contract.names:
            foreign.append(f"findings.{index}.field")
        if finding.rule is not None and finding.rule not in rules:
            foreign.append(f"findings.{index}.rule")
    return tuple(foreign)
