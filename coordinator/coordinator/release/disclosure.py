"""What of an outcome others may see: everybody who gets the release, other hospitals among them.

The centre has every hospital's own figures, to add them up. A hospital whose policy does not share them (``share_metrics``)
is shown as withheld, and so is what would give it away: as many further hospitals as it takes, and sums over all.
Everything in a release is made from what this module leaves. It is a promise of the centre's software: the centre itself sees
the figures, in its journal.

Of several labels, each hospital may withhold some. Where one hospital is hidden, pooled figures of a label that another one
withholds are not shown: fewer stand behind them, so that those of the hidden one could follow.

Errors of a number are released in few digits: so many that models can be compared, and that a mean over hundreds of records does
not give the sum back to within a record.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import floor, log10

from coordinator.release.curves import mean_loss
from coordinator.release.suppression import Audit, hidden_with
from coordinator.rounds.outcome import Outcome, WithheldFor
from wardround.messages.record import RoundRecord, SiloRecord
from wardround.metrics.labels import over_labels
from wardround.metrics.pooled import Metrics

HIDDEN_AT_LEAST = 3
"""Hospitals that are hidden together, where one is and there are so many."""
DIGITS = 3
"""Significant digits of errors and losses in a release, and decimal places of R², where a number is predicted."""
_EVALUATES = (("round", "closing"), ("test",))
"""Visits that evaluate the same records."""


def disclose(outcome: Outcome) -> Outcome:
    """Give the outcome as others may see it; one that was given so before stays as it is."""
    if outcome.withheld is not None:
        return outcome
    return _in_few_digits(_with_statistics(_figures_disclosed(outcome)))


def _figures_disclosed(outcome: Outcome) -> Outcome:
    seen = {silo.site for record in outcome.history for silo in record.silos if silo.status == "counted"} | outcome.reports.keys()
    protected = {site for site in outcome.roster if site in seen and outcome.shares.get(site) != "consortium"}
    if not protected:
        return replace(outcome, withheld={})
    records = [record.counted for record in outcome.history]
    scores = [[record.evaluated_by for record in outcome.history if record.purpose in kinds] for kinds in _EVALUATES]
    families = [records, *scores]
    hidden = hidden_with(protected, outcome.roster, [_largest(family) for family in families if family])
    in_records = _shown(records, hidden, protected)
    in_scores = [_shown(family, hidden, protected) for family in scores]
    reasons: dict[str, WithheldFor] = {site: "own policy" if site in protected else "another hospital" for site in hidden}
    withheld = [_withheld_labels(outcome.history, kinds) for kinds in _EVALUATES]
    shown = [
        _record(
            record,
            frozenset(hidden),
            total=frozenset(record.counted) in in_records,
            pooled=frozenset(record.evaluated_by) in in_scores[record.purpose == "test"],
            labels=withheld[record.purpose == "test"],
        )
        for record in outcome.history
    ]
    best = frozenset(outcome.best_evaluated_by) in in_scores[0]
    return _with_history(
        replace(
            outcome,
            withheld=reasons,
            best_metrics=_without(outcome.best_metrics, withheld[0]) if best else None,
            best_withheld=outcome.best_metrics is not None and not best,
            reports={site: report for site, report in outcome.reports.items() if site not in hidden},
        ),
        shown,
    )


def _withheld_labels(history: Iterable[RoundRecord], kinds: tuple[str, ...]) -> frozenset[str]:
    """Name the labels that a hospital withholds whose figures are used: over fewer hospitals than the others."""
    told = [silo.metrics.labels for record in history if record.purpose in kinds for silo in record.silos if silo.metrics]
    return frozenset(label.name for labels in told for label in labels if label.metrics is None)


def _without(metrics: Metrics | None, labels: frozenset[str]) -> Metrics | None:
    """Give pooled metrics without some labels; the means are then over the others."""
    if metrics is None or not labels:
        return metrics
    left = [each if each.name not in labels else each.model_copy(update={"metrics": None}) for each in metrics.labels]
    return over_labels(metrics.records, left)


def _with_statistics(outcome: Outcome) -> Outcome:
    """Leave of the statistics those of hospitals that show both their figures and how their fields are distributed.

    The common scale is released: mean and deviation over all. So where one hospital is hidden, further ones are, in the roster's
    order, until three are: one that knows its own has the sum of two others at most.
    """
    if outcome.statistics is None:
        return outcome
    told, withheld = outcome.statistics, outcome.withheld or {}
    own = {site for site, result in told.items() if result.distributions is None or result.distributions.share != "consortium"}
    hidden = {*(own | withheld.keys()) & told.keys()}
    for site in outcome.roster:
        if hidden and len(hidden) < HIDDEN_AT_LEAST and site in told:
            hidden.add(site)
    reasons: dict[str, WithheldFor] = {
        site: "own policy" if site in own or withheld.get(site) == "own policy" else "another hospital"
        for site in outcome.roster
        if site in hidden
    }
    return replace(outcome, untold=reasons, statistics={site: told[site] for site in told if site not in hidden})


def _in_few_digits(outcome: Outcome) -> Outcome:
    """Give the errors and losses of a study that predicts a number in few digits."""
    if outcome.encoding is None or outcome.encoding.number is None:
        return outcome
    best = None if outcome.best_metrics is None else _rounded(outcome.best_metrics)
    return _with_history(replace(outcome, best_metrics=best), [_record_rounded(record) for record in outcome.history])


def _record_rounded(record: RoundRecord) -> RoundRecord:
    silos = tuple(
        silo.model_copy(
            update={
                "metrics": None if silo.metrics is None else _rounded(silo.metrics),
                "training_loss": _significant(silo.training_loss),
            }
        )
        for silo in record.silos
    )
    pooled = None if record.pooled is None else _rounded(record.pooled)
    return record.model_copy(update={"silos": silos, "pooled": pooled, "training_loss": _significant(record.training_loss)})


def _rounded(metrics: Metrics) -> Metrics:
    """Round metrics of a number; the bias to the place of the RMSE's last digit, since it may be as near to zero as it likes."""
    if metrics.rmse is None:
        return metrics
    bias = None if metrics.bias is None else round(metrics.bias, _places(metrics.rmse)) + 0.0
    return metrics.model_copy(
        update={
            "loss": _significant(metrics.loss),
            "r2": None if metrics.r2 is None else round(metrics.r2, DIGITS) + 0.0,
            "rmse": _significant(metrics.rmse),
            "mae": _significant(metrics.mae),
            "bias": bias,
        }
    )


def _significant(value: float | None) -> float | None:
    return None if value is None else round(value, _places(value))


def _places(value: float) -> int:
    """Give how many decimal places leave so many significant digits of a number; fewer than none before the point."""
    return DIGITS - 1 - floor(log10(abs(value))) if value else DIGITS


def _with_history(outcome: Outcome, history: list[RoundRecord]) -> Outcome:
    """Put another history in; the test's record is one of its records."""
    test = next((new for old, new in zip(outcome.history, history, strict=True) if old is outcome.test), outcome.test)
    return replace(outcome, history=history, test=test)


def _largest(family: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """Give the set of hospitals whose sum is to be shown above all."""
    return max(reversed(list(family)), key=len)


def _shown(family: Iterable[tuple[str, ...]], hidden: tuple[str, ...], protected: set[str]) -> set[frozenset[str]]:
    """Choose the sets of hospitals over which sums are shown: the largest first, of equally large ones the later."""
    audit, sets = Audit(hidden, protected), list(dict.fromkeys(frozenset(sites) for sites in reversed(list(family))))
    return {sites for sites in sorted(sets, key=len, reverse=True) if audit.shows(sites)}


def _record(record: RoundRecord, hidden: frozenset[str], *, total: bool, pooled: bool, labels: frozenset[str]) -> RoundRecord:
    """Give a visit's record without the figures of hidden hospitals, and without sums that may not be shown."""
    changes: dict[str, object] = {
        "silos": tuple(_silo(silo, total=total) if silo.site not in hidden else _hidden(silo) for silo in record.silos),
        "withheld": not total or (record.pooled is not None and not pooled),
    }
    if total:
        changes["training_loss"] = mean_loss(record)
        changes["bytes_down"] = sum(silo.bytes_down or 0 for silo in record.silos)
        changes["bytes_up"] = sum(silo.bytes_up or 0 for silo in record.silos)
    else:
        changes["records"] = None
    changes["pooled"] = _without(record.pooled, labels) if pooled else None
    return record.model_copy(update=changes)


def _silo(silo: SiloRecord, *, total: bool) -> SiloRecord:
    """Give the part of a hospital that is shown; its share of a total that is not would give the total."""
    return silo if total else silo.model_copy(update={"share": None})


def _hidden(silo: SiloRecord) -> SiloRecord:
    """Give the part of a hospital whose figures are not shown: that it counted, or why not."""
    unsaid = ("records", "share", "metrics", "training_loss", "seconds", "bytes_down", "bytes_up")
    evaluation = "none" if silo.evaluation == "none" else "withheld"
    return silo.model_copy(update={**dict.fromkeys(unsaid), "evaluation": evaluation, "withheld": True})
