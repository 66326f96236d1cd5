"""A plan of changes to the site file, each proved by a check of the records in memory with the site file so changed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from silo_node.configuration import Site, SiteFile
from silo_node.fix_plan.proposals import Change, Proposals, Proposer
from silo_node.local_report.question import Question
from silo_node.mapping import resolve
from silo_node.sources.faults import UnreadableError
from silo_node.validation.check import look
from silo_node.validation.reports import LocalReport, local_report, standing
from wardround.errors import Refused

MOST_TURNS = 3
"""How often the table is looked at anew after changes: a decimal mark or a date format shows what else is wrong."""


@dataclass(frozen=True)
class Step:
    """One change, and what the records are like with it and all before it."""

    change: Change
    before: LocalReport
    after: LocalReport

    @property
    def frees(self) -> int:
        """How many records more are valid."""
        return self.after.valid - self.before.valid


@dataclass(frozen=True)
class Plan:
    """Changes in the order in which they were proved, and what is left.

    Attributes:
        file: the site file with every change.
        questions: what a person has to say: a place and a text.
        before: the check without the plan.
        after: the check with it.
    """

    steps: tuple[Step, ...]
    file: SiteFile
    asked: tuple[tuple[str, str], ...]
    before: LocalReport
    after: LocalReport

    @property
    def questions(self) -> int:
        """How many questions are left."""
        return len(self.asked)


def make_plan(site: Site, question: Question) -> Plan:
    """Look for what the site file alone can solve. Nothing is written or changed.

    Raises:
        Refused: as a check does.
    """
    before = after = local_report(question.answer(site))
    now, steps, found = site, list[Step](), Proposals()
    for _ in range(MOST_TURNS):
        found = _proposals(now, question, after)
        taken = 0
        for change in found.changes:
            tried = replace(now, file=changed(now.file, question.contract.id, change))
            try:
                answer = local_report(question.answer(tried))
            except Refused:
                continue  # the site file does not allow it: a code that stands for two things
            if _trouble(answer) >= _trouble(after):
                continue
            steps.append(Step(change, after, answer))
            now, after, taken = tried, answer, taken + 1
        if not taken:
            break
    return Plan(tuple(steps), now.file, found.questions, before, after)


def _trouble(report: LocalReport) -> tuple[int, int, int, int]:
    """Give how bad things are, to compare: fewer valid records, then findings that fail the check, then bad cells."""
    fatal = sum(standing(each) == "fails the check" for each in report.findings)
    cells = sum(each.count for each in report.findings if standing(each) == "sets records aside")
    return -report.valid, fatal, cells, len(report.findings)


def _proposals(site: Site, question: Question, report: LocalReport) -> Proposals:
    mapping = resolve(site, question.contract, question.fields)
    try:
        table, outcome = look(site, mapping)
        return Proposer(site, mapping, table, outcome, report.findings).proposals()
    except UnreadableError:
        return Proposals()


def changed(file: SiteFile, schema: str, change: Change) -> SiteFile:
    """Give a site file with one change made."""
    mapping = file.schemas[schema]
    if change.decimal is not None:
        source = file.sources[mapping.source].model_copy(update={"decimal": change.decimal})
        return file.model_copy(update={"sources": {**file.sources, mapping.source: source}})
    columns = mapping.columns if change.column is None else {**mapping.columns, change.place: change.column}
    update = {
        "columns": columns,
        "missing": tuple(dict.fromkeys((*mapping.missing, *change.missing))),
        "ignore": tuple(dict.fromkeys((*mapping.ignore, *change.ignore))),
    }
    return file.model_copy(update={"schemas": {**file.schemas, schema: mapping.model_copy(update=update)}})
