"""``reports/fix-plan.yaml``: the plan as lines to copy into the site file, with the reasons as comments.

For its owner only: reasons and questions may hold local codes and names of columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from silo_node.configuration import Column, Site, SiteFile
from silo_node.fix_plan.plan import Plan, Step
from silo_node.fix_plan.texts import many, quoted
from silo_node.local_report.question import Question
from silo_node.validation.reports import OWNER_ONLY, as_json
from wardround.canonical import model_json
from wardround.files import write_atomic

if TYPE_CHECKING:
    from wardround.canonical import Json

FIX_PLAN = "fix-plan.yaml"

HEAD = """\
# Proposed changes to site.yaml, for a person to look at. Nothing was applied.
# What stands under a schema below is its whole mapping, changes made. Keep what is right, put it in the place of the one
# in the site file, and check again.
# This file may hold local codes and names of columns. It stays in the hospital.
"""


def write_plan(site: Site, question: Question, plan: Plan) -> Path:
    """Write the plan for its owner only, and give its path.

    Raises:
        Refused: O-WRITE.
    """
    path = site.make_directory("reports") / FIX_PLAN
    write_atomic(path, as_yaml(site.file, question.contract.id, plan).encode(), OWNER_ONLY)
    return path


def as_yaml(before: SiteFile, schema: str, plan: Plan) -> str:
    """Give the plan as a part of a site file, with comments."""
    return "".join(f"{line}\n" for line in (*HEAD.splitlines(), *_lines(before, schema, plan)))


def step_words(step: Step) -> str:
    """Say in one line what a change does, without a local text."""
    effects = [f"frees {many(step.frees, 'record')}"] if step.frees else []
    gone = len(step.before.findings) - len(step.after.findings)
    if gone > 0:
        effects.append(f"{many(gone, 'finding')} fewer")
    return f"{_about(step)}: {', '.join(effects) or 'shows what else is wrong'}"


def plan_json(plan: Plan) -> dict[str, Json]:
    """Give the plan for programs; the texts stand in the file alone."""
    return {
        "kind": "fix-plan",
        "format": 1,
        "steps": [
            {"place": step.change.place, "about": _about(step), "frees": step.frees, "valid": step.after.valid}
            for step in plan.steps
        ],
        "questions": plan.questions,
        "before": {"passed": plan.before.passed, "valid": plan.before.valid, "set_aside": plan.before.quarantined},
        "after": as_json(plan.after),
    }


def _about(step: Step) -> str:
    change = step.change
    if change.decimal is not None:
        return "the source's decimal mark"
    if change.missing:
        return "marks for missing in every column"
    if change.ignore:
        return f"{many(len(change.ignore), 'column')} to ignore"
    return f"the column of {change.place}"


def _lines(before: SiteFile, schema: str, plan: Plan) -> Iterator[str]:
    mapping, was = plan.file.schemas[schema], before.schemas[schema]
    aside = f"{plan.before.quarantined} records set aside before, {plan.after.quarantined} after"
    yield f"# Checked in memory with all of it: {aside}; the check {'passes' if plan.after.passed else 'does not pass'}."
    if plan.asked:
        yield "#"
        yield "# Questions, which only a person can answer:"
        yield from (f"#   {place}: {text}" for place, text in plan.asked)
    if not plan.steps:
        yield "#"
        yield "# Nothing that was found can be solved here alone."
        return
    yield ""
    if plan.file.sources != before.sources:
        yield "sources:"
        yield from _reasons(plan, "source", "  ")
        yield f"  {mapping.source}: {quoted(model_json(plan.file.sources[mapping.source]))}"
    yield "schemas:"
    yield f"  {schema}:"
    yield f"    source: {mapping.source}"
    for key, now, then in (("missing", mapping.missing, was.missing), ("ignore", mapping.ignore, was.ignore)):
        if now != then:
            yield from _reasons(plan, key, "    ")
            yield f"    {key}: {quoted(list(now))}"
    yield "    columns:"
    for name, column in mapping.columns.items():
        if column != was.columns[name]:
            yield from _reasons(plan, name, "      ")
        yield f"      {name}: {_column(column)}"


def _reasons(plan: Plan, place: str, indent: str) -> Iterator[str]:
    for step in plan.steps:
        if step.change.place == place:
            yield from (f"{indent}# {line}" for line in step.change.why)
            yield f"{indent}# {step_words(step)}"


def _column(column: str | Column) -> str:
    if isinstance(column, str):
        return quoted(column)
    given: dict[str, Json] = {key: value for key, value in model_json(column).items() if value is not None}
    return quoted(given)
