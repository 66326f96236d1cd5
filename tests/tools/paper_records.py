"""Made-up records of the small study, the study with its true network, and the work of its tasks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from studies_on_paper import CONTRACT, Paper, contract, encoding, paper

from silo_node.configuration import Site, load_site
from silo_node.work import Done, NotDone, Work
from wardround.messages.round import Purpose, Task
from wardround.models.commands import make_bundle
from wardround.weights.fixed_point import plan_sum
from wardround.weights.packing import Vector

SITES = ("alpha", "beta", "north")


def rows(count: int, *, seed: int = 0, missing: int = 0, without_target: int = 0) -> str:
    """Give a CSV of made-up people: the first ``missing`` have no pressure, the last ``without_target`` no disease."""
    random = np.random.default_rng(seed)
    lines = ["record_id,patient_key,age,pressure,pain,disease"]
    for index in range(count):
        age, pressure = int(random.integers(20, 95)), min(max(round(float(random.normal(130, 20)), 1), 45), 290)
        disease = "present" if age + pressure / 4 + random.normal() * 5 > 90 else "absent"
        pain = ("none", "some", "much", "")[int(random.integers(0, 4))]
        shown = "" if index < missing else str(pressure)
        lines.append(f"r{index},p{index},{age},{shown},{pain},{disease if index < count - without_target else ''}")
    return "\n".join(lines) + "\n"


def write_site(folder: Path, content: str, small_cell: int = 3) -> Site:
    """Write a hospital's records, site file and policy, in shared form; JSON is YAML."""
    (folder / "records.csv").write_text(content)
    columns = {field["name"]: field["name"] for field in CONTRACT["fields"]}
    site = {
        "site": "north",
        "name": "Northern Infirmary",
        "sources": {"table": {"format": "csv", "path": "records.csv"}},
        "schemas": {CONTRACT["id"]: {"source": "table", "columns": columns}},
    }
    (folder / "site.yaml").write_text(json.dumps(site))
    (folder / "policy.yaml").write_text(json.dumps({"small_cell": small_cell}))
    return load_site(folder / "site.yaml")


def real_paper(*, optional_target: bool = False, **study: Any) -> Paper:
    """Give the study with its true network's initial weights, for a roster with this hospital."""
    made = paper(SITES, **study)
    schema = contract()
    if optional_target:
        *others, target = schema.fields
        free = target.model_copy(update={"constraints": target.constraints.model_copy(update={"required": False})})
        schema = schema.model_copy(update={"fields": (*others, free)})
    return Paper(make_bundle(made.bundle.study, schema, made.bundle.roster), made.key, made.parties)


def work(
    made: Paper, purpose: Purpose, number: int = 1, weights: Vector | None = None, *, records: int = 1, total: int = 1000
) -> Work:
    """Give the work of a task."""
    if purpose == "statistics":
        core = made.core(purpose, 0)
        task = Task(to="north", study_hash=core.study_hash, task_id=core.task_id(), core=core, deadline_seconds=9.0)
        return Work(made.bundle, task, None)
    sent = made.bundle.weights if weights is None else weights
    plan = plan_sum(sent, made.bundle.manifest, total) if purpose == "round" else None
    core = made.core(purpose, number, sent, plan)
    task = Task(
        to="north",
        study_hash=core.study_hash,
        task_id=core.task_id(),
        core=core,
        encoding=encoding(),
        records=records,
        deadline_seconds=9.0,
    )
    return Work(made.bundle, task, sent)


def planned(asked: Work, exponents: tuple[int, ...]) -> Work:
    """Give the same work as a task with other exponents of the sum."""
    core = asked.task.core
    other = core.model_copy(update={"plan": core.plan.model_copy(update={"exponents": exponents})})
    return replace(asked, task=asked.task.model_copy(update={"core": other, "task_id": other.task_id()}))


def done(outcome: Done | NotDone) -> Done:
    """Give an outcome that must be a result."""
    assert isinstance(outcome, Done), outcome
    return outcome
