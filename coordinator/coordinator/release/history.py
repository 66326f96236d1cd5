"""``history.json``: the outcome as a closed value, with every visit, who counted, and why not."""

from __future__ import annotations

from typing import Literal

from coordinator.rounds.outcome import Outcome, Status, WithheldFor
from wardround.identity.author import SignedAuthorship
from wardround.messages.data_report import DataReport, WithheldCell
from wardround.messages.record import RoundRecord
from wardround.metrics.pooled import Metrics
from wardround.study.bundle import Bundle
from wardround.values import Count, Sha256, Slug, Value


class StatedProblem(Value):
    """Why a study failed, in the five parts that every message has."""

    code: str
    place: str
    rule: str
    finding: str
    next_step: str


class History(Value):
    """What happened, from the first visit to the last.

    Attributes:
        author: the author's signature over the study hash, to be verified by whoever knows the key; null: nobody signed.
        counted: hospitals that counted in every visit that closed; ``of``: hospitals on the roster.
        best_round: how many rounds made the released weights; ``best_metrics``: their pooled validation metrics.
        test: the pooled metrics of the released weights on the test records.
        ledgers: the head of each hospital's ledger in its last admitted reply.
        reports: the hospitals' outgoing data reports, or that one is withheld.
        withheld: hospitals whose own figures are not shown here, and why; ``best_withheld``: nor are the pooled ones of the
            best weights.
    """

    kind: Literal["history"] = "history"
    format: Literal[1] = 1
    study_hash: Sha256
    author: SignedAuthorship | None = None
    status: Status
    summary: str
    counted: tuple[Slug, ...]
    of: Count
    stopped: Literal["converged", "maximum", "failed"]
    rounds: Count
    best_round: Count
    best_metrics: Metrics | None
    best_evaluated_by: tuple[Slug, ...]
    test: Metrics | None
    problems: tuple[StatedProblem, ...]
    ledgers: dict[Slug, Sha256]
    reports: dict[Slug, DataReport | WithheldCell]
    withheld: dict[Slug, WithheldFor]
    best_withheld: bool
    visits: tuple[RoundRecord, ...]


def history_of(bundle: Bundle, outcome: Outcome) -> History:
    """Describe an outcome. A failed one has no best round and no figures, whatever was computed before."""
    failed, withheld = outcome.status == "failed", outcome.withheld or {}
    reported = sorted({*outcome.reports, *withheld})
    return History(
        study_hash=bundle.study_hash,
        author=bundle.authorship,
        status=outcome.status,
        summary=outcome.summary,
        counted=outcome.counted,
        of=len(outcome.roster),
        stopped=outcome.stopped,
        rounds=outcome.rounds,
        best_round=0 if failed else outcome.best_round,
        best_metrics=None if failed else outcome.best_metrics,
        best_evaluated_by=() if failed else outcome.best_evaluated_by,
        test=None if failed or outcome.test is None else outcome.test.pooled,
        problems=tuple(StatedProblem(**problem.as_json()) for problem in outcome.problems),
        ledgers=dict(sorted(outcome.ledgers.items())),
        reports={site: WithheldCell() if site in withheld else outcome.reports[site] for site in reported},
        withheld=dict(sorted(withheld.items())),
        best_withheld=outcome.best_withheld and not failed,
        visits=tuple(outcome.history),
    )
