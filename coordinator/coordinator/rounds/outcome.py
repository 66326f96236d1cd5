"""What became of a study: complete, partial or failed, and everything that the release is made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from wardround.errors import EXIT_DONE, EXIT_NOT_IN_ORDER, EXIT_PARTIAL, Problem
from wardround.messages.data_report import DataReport
from wardround.messages.record import RoundRecord
from wardround.messages.round import FiguresFor, StatisticsResult
from wardround.metrics.pooled import Metrics
from wardround.study.encoding import Encoding
from wardround.weights.packing import Vector

Status: TypeAlias = Literal["complete", "partial", "failed"]
WithheldFor: TypeAlias = Literal["own policy", "another hospital"]
"""Why a hospital's figures are not shown: its policy does not share them, or another's would follow from them."""
EXIT_STATUS: dict[Status, int] = {"complete": EXIT_DONE, "partial": EXIT_PARTIAL, "failed": EXIT_NOT_IN_ORDER}


@dataclass
class Outcome:
    """What became of a study.

    Attributes:
        status: ``complete`` only if every hospital of the roster counted in every visit.
        counted: hospitals that counted in every visit that closed.
        visits, whole_visits: visits that closed, and those of them in which the whole roster counted.
        fewest: the fewest hospitals that counted in a visit that closed.
        rounds: the number of the last round of training that closed.
        failed_rounds: rounds in which too few hospitals counted, and which were passed over.
        stopped: why the rounds ended.
        best: the best weights by the study's metric; the last ones where every evaluation was withheld.
        best_round: how many rounds made them; ``best_metrics``: their pooled validation metrics.
        test: the record of the test visit, of the best weights.
        ledgers: the head of each hospital's ledger in its last admitted reply: a ledger that was cut short after it shows.
        reports: the hospitals' outgoing data reports, of those who counted and those whose records did not pass.
        shares: whom each hospital lets see its own figures, by the strictest of all its answers.
        statistics: what each hospital told in the first visit, where the study asks for distributions; None: it does not.
        untold: of whom nothing of it may be shown, and why; like ``withheld``.
        withheld: the hospitals whose own figures are not in this outcome any more, and why; None: it is whole, as the centre
            has it (``coordinator.release.disclosure``).
        best_withheld: the pooled figures of the best weights are not in it any more either.
        problems: why the study failed, if it did; why the test could not be read, if it is partial.
    """

    roster: tuple[str, ...]
    status: Status = "failed"
    counted: tuple[str, ...] = ()
    visits: int = 0
    whole_visits: int = 0
    fewest: int = 0
    rounds: int = 0
    failed_rounds: int = 0
    stopped: Literal["converged", "maximum", "failed"] = "failed"
    encoding: Encoding | None = None
    best: Vector | None = None
    best_round: int = 0
    best_metrics: Metrics | None = None
    best_evaluated_by: tuple[str, ...] = ()
    last: Vector | None = None
    test: RoundRecord | None = None
    history: list[RoundRecord] = field(default_factory=list)
    ledgers: dict[str, str] = field(default_factory=dict)
    reports: dict[str, DataReport] = field(default_factory=dict)
    shares: dict[str, FiguresFor] = field(default_factory=dict)
    statistics: dict[str, StatisticsResult] | None = None
    untold: dict[str, WithheldFor] = field(default_factory=dict)
    withheld: dict[str, WithheldFor] | None = None
    best_withheld: bool = False
    problems: tuple[Problem, ...] = ()

    def share(self, site: str, word: FiguresFor) -> None:
        """Take note of whom a hospital's answer lets see its figures; what was once kept from others stays so in this study."""
        if self.shares.get(site) != "coordinator":
            self.shares[site] = word

    def count(self, sites: tuple[str, ...]) -> None:
        """Take note of a visit that closed with these hospitals."""
        self.counted = tuple(s for s in self.roster if s in sites and (self.visits == 0 or s in self.counted))
        self.fewest = len(sites) if self.visits == 0 else min(self.fewest, len(sites))
        self.visits += 1
        self.whole_visits += sites == self.roster

    def fail(self, problems: tuple[Problem, ...]) -> None:
        """End as failed: there is no result, whatever was computed before."""
        self.status, self.stopped, self.problems = "failed", "failed", problems

    def succeed(self) -> None:
        """End with a result: complete, or partial when a hospital was missing in any visit, a round was passed over, or the test
        could not be read.
        """
        whole = self.counted == self.roster and not self.problems and not self.failed_rounds
        self.status = "complete" if whole else "partial"

    @property
    def summary(self) -> str:
        """Give the status as people read it, such as ``partial (3 of 4 hospitals in 2 of 14 visits)``."""
        if self.status == "partial":
            short = self.visits - self.whole_visits
            found = [f"{self.fewest} of {len(self.roster)} hospitals in {short} of {self.visits} visits"] if short else []
            found += [f"{self.failed_rounds} rounds passed over"] if self.failed_rounds else []
            found += ["no test figures"] if self.problems else []
            return f"partial ({'; '.join(found)})"
        return self.status

    @property
    def exit_status(self) -> int:
        """The exit status of a command that ends with this outcome."""
        return EXIT_STATUS[self.status]
