"""The study's own rules: whether enough hospitals counted, when to stop, which weights are best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from wardround.messages.record import ShortfallCode
from wardround.metrics.labels import behind
from wardround.metrics.pooled import Metrics
from wardround.study.model import Convergence, Silos

Weights = TypeVar("Weights")
"""The weights themselves, or whatever stands for them."""
Evaluators: TypeAlias = tuple[tuple[str, ...], tuple[int | None, ...]]
"""Which hospitals evaluated, and of several labels how many of their records stand behind each."""


def shortfall(rules: Silos, counted: Mapping[str, int]) -> tuple[ShortfallCode, ...]:
    """Say why a visit with these hospitals (and their records) does not count; empty when it does."""
    found: list[ShortfallCode] = []
    if len(counted) < rules.minimum or sum(counted.values()) < rules.minimum_records:
        found.append("C-QUORUM")
    if not set(rules.required) <= set(counted):
        found.append("C-REQUIRED")
    if counted and max(counted.values()) > rules.max_weight_share * sum(counted.values()):
        found.append("C-SHARE")
    return tuple(found)


@dataclass(frozen=True)
class Candidate(Generic[Weights]):
    """Weights that were evaluated: how many rounds made them, by whom, how well."""

    round: int
    weights: Weights
    metrics: Metrics
    evaluated_by: tuple[str, ...]
    value: float

    @property
    def rank(self) -> tuple[float, float]:
        """Order candidates by the study's metric; equal ones (AUROC and Dice have steps) by the smaller loss."""
        loss = self.metrics.loss
        return self.value, float("-inf") if loss is None else -loss


def _falling(value: float | None) -> float | None:
    """Give a figure that is better when smaller as one that is better when larger."""
    return None if value is None else -value


class Progress(Generic[Weights]):
    """Judges evaluations as they come: convergence, and the best weights.

    Figures are compared only between rounds that the same hospitals evaluated, each with the same labels: another set of
    hospitals is another set of patients. Among such sets the one with most hospitals (then most records, then the latest)
    decides.
    """

    def __init__(self, rules: Convergence) -> None:
        """Begin without any evaluation."""
        self._rules = rules
        self._best: dict[Evaluators, Candidate[Weights]] = {}
        self._evaluators: Evaluators = (), ()
        self._reference: float | None = None
        self._stale = 0

    def value(self, metrics: Metrics) -> float | None:
        """Give the convergence metric as larger-is-better; None where the records cannot say."""
        match self._rules.metric:
            case "auroc":
                return metrics.auroc
            case "dice":
                return metrics.dice
            case "loss":
                return _falling(metrics.loss)
            case "mae":
                return _falling(metrics.mae)
            case "rmse":
                return _falling(metrics.rmse)
            case "r2":
                return metrics.r2

    def observe(self, round_number: int, weights: Weights, metrics: Metrics | None, evaluated_by: tuple[str, ...]) -> None:
        """Take note of the evaluation of the weights that ``round_number`` rounds made (0: the initial ones)."""
        value = None if metrics is None else self.value(metrics)
        if metrics is None or value is None:
            return
        evaluators = evaluated_by, behind(metrics)
        if round_number > 0:  # the initial weights are no result, however lucky
            known = self._best.pop(evaluators, None)
            candidate = Candidate(round_number, weights, metrics, evaluated_by, value)
            better = known is None or candidate.rank > known.rank
            self._best[evaluators] = candidate if better or known is None else known  # put back last: latest set
        self._track(value, evaluators)

    def _track(self, value: float, evaluators: Evaluators) -> None:
        if evaluators != self._evaluators or self._reference is None:
            self._evaluators, self._reference, self._stale = evaluators, value, 0
        elif value > self._reference + self._rules.minimum_change:
            self._reference, self._stale = value, 0
        else:
            self._stale += 1

    @property
    def candidates(self) -> tuple[Weights, ...]:
        """The weights that may still turn out to be the best."""
        return tuple(candidate.weights for candidate in self._best.values())

    @property
    def converged(self) -> bool:
        """Whether the metric has not improved by the minimum change for as many rounds as the study's patience."""
        return self._stale >= self._rules.patience

    @property
    def best(self) -> Candidate[Weights] | None:
        """The best trained weights; None when nothing that was trained could be evaluated."""
        candidates = list(enumerate(self._best.values()))
        if not candidates:
            return None
        return max(candidates, key=lambda each: (len(each[1].evaluated_by), each[1].metrics.records, each[0]))[1]
