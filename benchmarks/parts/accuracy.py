"""Federated against pooled and alone: every model of a study measured on the same test records, seed by seed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from simulate import Watcher

from coordinator.identity import create_centre, load_centre
from silo_node.configuration import load_site
from silo_node.identity import approval_key, create_identity, load_identity
from silo_node.porter.approvals import approve
from silo_node.training.study_examples import Part
from wardround.contract.imaging import ImagingContract
from wardround.contract.library import table_or_implied
from wardround.identity.approval import Approver
from wardround.metrics.pooled import NO_RECORDS, Metrics, pool
from wardround.models.commands import make_bundle, make_roster
from wardround.study.bundle import Bundle
from wardround.study.encoding import Encoding
from wardround.study.kind import predicted
from wardround.study.model import Study
from wardround.weights.packing import Vector
from wardround_lab.demo.baselines import Ward, gather, learn_alone, learn_pooled, score_counts
from wardround_lab.simulate import simulate

ALLOWANCE: Final = 0.02
"""By how much federated may be worse than pooled."""

ALL: Final = "all"
"""Of the test records of all hospitals together."""


@dataclass(frozen=True)
class Row:
    """One model of one seed: its figures on the test records of each hospital and of all."""

    name: str
    figures: dict[str, Metrics]
    rounds: int
    best: int
    seconds: float


@dataclass(frozen=True)
class Measure:
    """What is compared: larger is better."""

    name: str
    of: Callable[[Metrics], float | None]

    def at(self, row: Row, place: str) -> float | None:
        """Give it of a model's figures at one place; None where the records there cannot say."""
        return self.of(row.figures[place])


def with_keys(folder: Path, paths: Sequence[Path]) -> None:
    """Give hospitals, and a centre in the same folder, their keys."""
    for path in paths:
        site = load_site(path)
        create_identity(site.folder, site.file.site, site.file.name)
    create_centre(folder / "centre", "Benchmark")


def approved(folder: Path, paths: Sequence[Path], study: Study, imaging: ImagingContract) -> Bundle:
    """Make the bundle of a study of images, which all hospitals approve."""
    sites = [load_site(path) for path in paths]
    members = [load_identity(site.folder) for site in sites]
    roster = make_roster(load_centre(folder / "centre").coordinator, members)
    bundle = make_bundle(study, table_or_implied(imaging), roster, imaging)
    person = Approver(name="Benchmark", role="benchmark")
    for site, member in zip(sites, members, strict=True):
        approve(site.folder, bundle, member, approval_key(site.folder), person, timedelta(days=1))
    return bundle


def figures(bundle: Bundle, wards: Sequence[Ward], weights: Vector, encoding: Encoding) -> dict[str, Metrics]:
    """Measure a model on everybody's test records."""
    what = predicted(bundle.study, bundle.contract)
    counts = {}
    for ward in wards:
        found = score_counts(bundle, weights, encoding, Part(ward.cohort.test, ward.cohort.images))
        counts[ward.name] = found  # None where the split gives a small hospital no test record
    there = [found for found in counts.values() if found is not None]
    told = {name: what.measure(NO_RECORDS if found is None else found) for name, found in counts.items()}
    return {ALL: what.measure(pool(there)), **told}


def run(folder: Path, paths: Sequence[Path], bundle: Bundle, seed: int, what: Measure) -> list[Row]:
    """Conduct and train all models of one seed."""
    sites = [load_site(path) for path in paths]
    begun = time.perf_counter()
    outcome = simulate(bundle, sites, load_centre(folder / "centre"), Watcher())
    assert outcome.status == "complete", outcome.problems
    assert outcome.best is not None
    assert outcome.encoding is not None
    seconds = time.perf_counter() - begun
    wards = gather(bundle, sites)
    rows = [Row("federated", figures(bundle, wards, outcome.best, outcome.encoding), outcome.rounds, outcome.best_round, seconds)]
    show(seed, rows[-1], what)
    for name, ward in [("pooled", None), *((f"{ward.name} alone", ward) for ward in wards)]:
        begun = time.perf_counter()
        learned = learn_pooled(bundle, wards, outcome.encoding) if ward is None else learn_alone(bundle, ward)
        seconds = time.perf_counter() - begun
        measured = figures(bundle, wards, learned.weights, learned.encoding)
        rows.append(Row(name, measured, learned.rounds, learned.best_round, seconds))
        show(seed, rows[-1], what)
    return rows


def head(places: Sequence[str], what: Measure) -> None:
    """Print the head of the table of all models."""
    print(f"{what.name} (test records); loss over all; best round of all; seconds\n")
    heads = ("seed", "model", ALL, *places, "loss", "rounds", "seconds")
    print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")


def show(seed: int, row: Row, what: Measure) -> None:
    """Print a model's line of the table."""
    cells = [f"{_number(what.at(row, place))} ({found.records})" for place, found in row.figures.items()]
    rounds = f"{row.best} of {row.rounds}"
    line = [str(seed), row.name, *cells, _number(row.figures[ALL].loss), rounds, f"{row.seconds:.0f}"]
    print("| " + " | ".join(line) + " |", flush=True)


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def summary(seeds: Sequence[Sequence[Row]], what: Measure) -> int:
    """Print mean and spread over seeds; gives the exit status: 1 where federated is worse than pooled by more than is allowed."""
    places = list(seeds[0][0].figures)
    print("\n| mean (lowest to highest) | " + " | ".join(places) + " |\n" + "|---" * (1 + len(places)) + "|")
    models = list(zip(*seeds, strict=True))
    for rows in models:
        print(f"| {rows[0].name} | " + " | ".join(_spread([what.at(row, place) for row in rows]) for place in places) + " |")
    federated, others = models[0], models[1:]
    for rows in others:
        cells = [_spread(_differences(federated, rows, place, what), "+.3f") for place in places]
        print(f"| federated - {rows[0].name} | " + " | ".join(cells) + " |")
    difference = statistics.mean(each for each in _differences(federated, others[0], ALL, what) if each is not None)
    met = difference >= -ALLOWANCE
    print(f"target: federated at least pooled - {ALLOWANCE} in the mean" + ("" if met else ", missed"))
    return 0 if met else 1


def _differences(ours: Sequence[Row], theirs: Sequence[Row], place: str, what: Measure) -> list[float | None]:
    pairs = [(what.at(one, place), what.at(other, place)) for one, other in zip(ours, theirs, strict=True)]
    return [None if one is None or other is None else one - other for one, other in pairs]


def _spread(values: Sequence[float | None], form: str = ".3f") -> str:
    """Give a mean, and the lowest and highest, of the seeds that can say."""
    known = [each for each in values if each is not None]
    if not known:
        return "none"
    return f"{statistics.mean(known):{form}} ({min(known):{form}} to {max(known):{form}})"
