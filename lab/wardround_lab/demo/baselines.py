"""The federated model beside what it should equal and what it should beat; possible only where all records are at hand.

    federated   the study's own best weights
    pooled      trained on the training records of all hospitals in one place, which no hospital would allow
    alone       trained on the training records of one hospital; one model for each

Equal for all: network, initial weights, loss, optimiser (its state new in every round, as in the study), batch size,
local epochs a round, the most rounds, and the rule that ends the rounds and chooses the best. Different: pooled chooses
by the validation records of all hospitals, alone by its own hospital's only; pooled takes the study's encoding (which
was made from the sums over the same records), alone makes one from its own hospital's training records. A round of
pooled takes more steps than a round of any hospital, for it has more batches. All are measured on the same test
records, by the same counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Literal, TypeAlias

import torch

from coordinator.release.comparison import Comparison, ModelRow, SiteRecords
from coordinator.rounds.normalisation import make_encoding
from coordinator.rounds.outcome import Outcome
from coordinator.rounds.policy import Progress
from silo_node.cohort import Cohort, assemble
from silo_node.configuration import Site, load_site
from silo_node.training.examples import Examples
from silo_node.training.field_sums import field_sums
from silo_node.training.loop import train
from silo_node.training.losses import make_loss
from silo_node.training.scoring import count
from silo_node.training.study_examples import Part, study_examples
from wardround.errors import Broken
from wardround.messages.round import StatisticsResult
from wardround.metrics.pooled import NO_RECORDS, Counts, Metrics, pool
from wardround.models.build import build_network, read_weights, write_weights
from wardround.study.bundle import Bundle
from wardround.study.encoding import Encoding
from wardround.study.inputs import shape_of
from wardround.study.kind import predicted
from wardround.study.randomness import derive_seed
from wardround.weights.packing import Vector

Kind: TypeAlias = Literal["federated", "pooled", "alone"]
NOBODY = ""
"""The site name that pooled training draws its seeds for; no hospital has it."""

CACHE_BYTES = 2**30
"""How much memory prepared images may take, in each of a training's two parts."""


@dataclass(frozen=True)
class Ward:
    """One hospital and its records for a study, read by the hospital's own code."""

    site: Site
    cohort: Cohort

    @property
    def name(self) -> str:
        """The hospital's site name."""
        return self.site.file.site


@dataclass(frozen=True)
class Learned:
    """A model that was trained in one place.

    Attributes:
        weights: the best by the study's own rule; the last where no validation could say.
        rounds: rounds that were trained; ``best_round`` of them made the weights.
    """

    weights: Vector
    encoding: Encoding
    rounds: int
    best_round: int


def gather(bundle: Bundle, sites: Sequence[Site]) -> tuple[Ward, ...]:
    """Read every hospital's records, in the order of the sites.

    Raises:
        CheckFailed: when a hospital's records do not pass the check.
    """
    return tuple(Ward(site, assemble(site, bundle.contract, bundle.study, bundle.study_hash, bundle.imaging)) for site in sites)


def compare(bundle: Bundle, sites: Sequence[Site], outcome: Outcome, note: str = "", *, side_by_side: bool = False) -> Comparison:
    """Train the pooled model and each hospital's own, and measure all of them on everybody's test records.

    Args:
        bundle: the study.
        sites: its hospitals, at hand.
        outcome: the study's.
        note: what a reader of the figures must know.
        side_by_side: train each hospital's own in a second process, which reads the records once more: pooled takes about as
            long as all of them together.
    """
    if outcome.best is None or outcome.encoding is None:
        msg = "a study without a result has nothing to compare"
        raise Broken(msg)
    with ExitStack() as stack:
        apart = None
        if side_by_side:
            pool = stack.enter_context(ProcessPoolExecutor(1, mp_context=get_context("spawn")))
            apart = pool.submit(_alone_apart, bundle, [site.path for site in sites])
        wards = gather(bundle, sites)
        with one_thread():
            together = learn_pooled(bundle, wards, outcome.encoding)
            rows = [
                _row(bundle, "Federated", "federated", _on_tests(bundle, wards, outcome.best, outcome.encoding)),
                _row(bundle, "Pooled", "pooled", _on_tests(bundle, wards, together.weights, together.encoding)),
            ]
        rows += _alone(bundle, wards) if apart is None else apart.result()
    return Comparison(models=tuple(rows), records=tuple(_records(ward) for ward in wards), note=note)


def _alone_apart(bundle: Bundle, paths: Sequence[Path]) -> list[ModelRow]:
    return _alone(bundle, gather(bundle, [load_site(path) for path in paths]))


def _alone(bundle: Bundle, wards: Sequence[Ward]) -> list[ModelRow]:
    """Train each hospital's own model, and measure it on everybody's test records."""
    rows = []
    with one_thread():
        for ward in wards:
            own = learn_alone(bundle, ward)
            counts = _on_tests(bundle, wards, own.weights, own.encoding)
            rows.append(_row(bundle, f"{ward.site.file.name} alone", "alone", counts, ward.name))
    return rows


@contextmanager
def one_thread() -> Iterator[None]:
    """Have torch work on one thread, as hospitals' trainers do: sums in threads depend on their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# ------------------------------------------------------------------------------------------------------------- learning


def learn_pooled(bundle: Bundle, wards: Sequence[Ward], encoding: Encoding) -> Learned:
    """Train on the training records of all hospitals in one place, with the study's encoding."""
    training = [Part(ward.cohort.train, ward.cohort.images) for ward in wards]
    validation = [Part(ward.cohort.validation, ward.cohort.images) for ward in wards]
    return learn(bundle, training, validation, encoding, NOBODY)


def learn_alone(bundle: Bundle, ward: Ward) -> Learned:
    """Train on one hospital's training records, with an encoding made from them."""
    cohort = ward.cohort
    training, validation = (Part(records, cohort.images) for records in (cohort.train, cohort.validation))
    return learn(bundle, [training], [validation], own_encoding(bundle, cohort), ward.name)


def own_encoding(bundle: Bundle, cohort: Cohort) -> Encoding:
    """Make an encoding from one hospital's training records; at home no count is too small.

    Raises:
        Refused: C-STATISTICS when the hospital has no value at all of a numeric feature.
    """
    sums = field_sums(cohort.train, bundle.contract, bundle.study.features, small_cell=1)
    result = StatisticsResult(validation=None, test=None, sums=sums, report=cohort.outgoing)
    return make_encoding(bundle.study, bundle.contract, [result])


def learn(bundle: Bundle, training: Sequence[Part], validation: Sequence[Part], encoding: Encoding, seed_name: str) -> Learned:
    """Train in one place from the study's initial weights, by the study's own settings and stopping rule.

    Args:
        bundle: the study.
        training: what to train on, in schema form.
        validation: what chooses the best round and ends the rounds.
        encoding: from records to inputs.
        seed_name: draws the order of records; a hospital's site name draws that hospital's own.
    """
    study = bundle.study
    network = build_network(study.network, shape_of(study, bundle.contract, bundle.imaging))
    examples, judges = (study_examples(bundle, parts, encoding, CACHE_BYTES) for parts in (training, validation))
    loss = make_loss(study.training, study.target.kind)
    progress: Progress[Vector] = Progress(study.convergence)
    weights = bundle.weights
    rounds = 0
    while rounds < study.rounds.maximum and not progress.converged:
        write_weights(network, weights, bundle.manifest)
        progress.observe(rounds, weights, _measured(bundle, _counts(bundle, network, judges)), (seed_name,))
        rounds += 1
        train(network, examples, study.training, loss, derive_seed(study.seed, seed_name, rounds, "local training"))
        weights = read_weights(network)[0]
    write_weights(network, weights, bundle.manifest)
    progress.observe(rounds, weights, _measured(bundle, _counts(bundle, network, judges)), (seed_name,))
    best = progress.best
    if best is None:
        return Learned(weights, encoding, rounds, rounds)
    return Learned(best.weights, encoding, rounds, best.round)


# ------------------------------------------------------------------------------------------------------------ measuring


def _counts(bundle: Bundle, network: torch.nn.Module, examples: Examples) -> Counts | None:
    return count(bundle.study, network, examples) if examples.size else None


def _measured(bundle: Bundle, counts: Counts | None) -> Metrics:
    return predicted(bundle.study, bundle.contract).measure(NO_RECORDS if counts is None else counts)


def score_counts(bundle: Bundle, weights: Vector, encoding: Encoding, part: Part) -> Counts | None:
    """Count a model's scores on some records; None where there are none."""
    network = build_network(bundle.study.network, shape_of(bundle.study, bundle.contract, bundle.imaging))
    write_weights(network, weights, bundle.manifest)
    return _counts(bundle, network, study_examples(bundle, [part], encoding))


def _on_tests(bundle: Bundle, wards: Sequence[Ward], weights: Vector, encoding: Encoding) -> dict[str, Counts | None]:
    parts = {ward.name: Part(ward.cohort.test, ward.cohort.images) for ward in wards}
    return {name: score_counts(bundle, weights, encoding, part) for name, part in parts.items()}


def _row(bundle: Bundle, name: str, kind: Kind, counts: Mapping[str, Counts | None], site: str | None = None) -> ModelRow:
    per_site = {each: _measured(bundle, found) for each, found in counts.items()}
    there = [found for found in counts.values() if found is not None]
    overall = _measured(bundle, pool(there) if there else None)
    return ModelRow(name=name, kind=kind, site=site, per_site=per_site, overall=overall)


def _records(ward: Ward) -> SiteRecords:
    counts = ward.cohort.counts
    return SiteRecords(
        site=ward.name,
        name=ward.site.file.name,
        found=counts.found,
        quarantined=counts.quarantined,
        used=counts.train + counts.validation + counts.test,
        train=counts.train,
        validation=counts.validation,
        test=counts.test,
    )
