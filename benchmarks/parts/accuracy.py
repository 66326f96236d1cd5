"""Federated against pooled and alone: every model of a study measured on the same test records, seed by seed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from simulate import Watcher

from coordinator.identity import create_centre, load_centre
from silo_node.cohort import check_for_study
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
from wardround_lab.demo.baselines import gather, learn_alone, learn_pooled, score_counts
from wardround_lab.simulate import simulate

ALLOWANCE: Final = 0.02
"""By how much federated may be worse than pooled."""

ALL: Final = "all"
"""Of the test records of all hospitals together."""

OWN: Final = "of the split"
"""Of the split's own test records of all hospitals together, where the figures are those of further ones."""


@dataclass(frozen=True)
class Row:
    """One model of one seed: its figures on all test records, on those of each hospital, and maybe at ``OWN``."""

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


def further_tests(bundle: Bundle, paths: Sequence[Path]) -> dict[str, Part]:
    """Read and check all records of sites as hospitals do, to test with: none of them has a part in the study."""
    tests = {}
    for path in paths:
        site = load_site(path)
        checked = check_for_study(site, bundle.contract, bundle.study, bundle.imaging)
        assert checked.result.passed, checked.result.findings
        tests[site.file.site] = Part(checked.result.valid, checked.images)
    return tests


def figures(bundle: Bundle, tests: Mapping[str, Part], weights: Vector, encoding: Encoding) -> dict[str, Metrics]:
    """Measure a model on everybody's test records."""
    what = predicted(bundle.study, bundle.contract)
    # None where the split gives a small hospital no test record
    counts = {name: score_counts(bundle, weights, encoding, part) for name, part in tests.items()}
    there = [found for found in counts.values() if found is not None]
    told = {name: what.measure(NO_RECORDS if found is None else found) for name, found in counts.items()}
    return {ALL: what.measure(pool(there)), **told}


def run(
    folder: Path, paths: Sequence[Path], bundle: Bundle, seed: int, what: Measure, further: Mapping[str, Part] | None = None
) -> list[Row]:
    """Conduct and train all models of one seed.

    Args:
        folder: where the centre is.
        paths: of the hospitals' ``site.yaml``.
        bundle: the study, which all approved.
        seed: of the study.
        what: is shown.
        further: test records besides the split's own, by hospital; all figures are theirs then, but for those at ``OWN``.
    """
    sites = [load_site(path) for path in paths]
    begun = time.perf_counter()
    outcome = simulate(bundle, sites, load_centre(folder / "centre"), Watcher())
    assert outcome.status == "complete", outcome.problems
    assert outcome.best is not None
    assert outcome.encoding is not None
    seconds = time.perf_counter() - begun
    wards = gather(bundle, sites)
    own = {ward.name: Part(ward.cohort.test, ward.cohort.images) for ward in wards}

    def row(name: str, weights: Vector, encoding: Encoding, rounds: int, best: int, seconds: float) -> Row:
        found = figures(bundle, own, weights, encoding)
        if further is not None:
            found = {**figures(bundle, further, weights, encoding), OWN: found[ALL]}
        measured = Row(name, found, rounds, best, seconds)
        show(seed, measured, what)
        return measured

    rows = [row("federated", outcome.best, outcome.encoding, outcome.rounds, outcome.best_round, seconds)]
    for name, ward in [("pooled", None), *((f"{ward.name} alone", ward) for ward in wards)]:
        begun = time.perf_counter()
        learned = learn_pooled(bundle, wards, outcome.encoding) if ward is None else learn_alone(bundle, ward)
        seconds = time.perf_counter() - begun
        rows.append(row(name, learned.weights, learned.encoding, learned.rounds, learned.best_round, seconds))
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
