"""``MODEL_CARD.md``: the headings of Mitchell et al. 2019, "Model Cards for Model Reporting", filled from the study."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from coordinator.release.attendance import codes_of, explain
from coordinator.release.by_class import table_by_class
from coordinator.release.comparison import Comparison
from coordinator.release.evaluation import SiteRow, alternatives_of, headline_of, site_rows
from coordinator.release.figures import MAIN, Figure, columns_of, listing, plural
from coordinator.release.holdings import holdings_of, weights_of
from coordinator.release.settings import author_of, course_of, digests_of, limits_of, settings_of
from coordinator.rounds.outcome import Outcome
from wardround.study.bundle import Bundle
from wardround.study.kind import Predicted, predicted
from wardround.study.networks import words_of

_TASKS = {
    "binary": "binary classification",
    "classes": "classification",
    "labels": "classification of several labels",
    "number": "regression",
    "mask": "segmentation",
}


def plain(text: str) -> str:
    """Give a text that Markdown shows as it stands, on one line."""
    return re.sub(r"([\\`*_{}\[\]<>|#~&$])", r"\\\1", " ".join(text.split()))


def write_card(bundle: Bundle, outcome: Outcome, comparison: Comparison | None) -> str:
    """Write the model card; the same inputs give the same text."""
    names = {member.site: member.name for member in bundle.roster.silos}
    what = predicted(bundle.study, bundle.contract)
    parts = [
        _head(bundle, outcome, names),
        _status(outcome, names),
        _use(bundle, outcome),
        _factors(outcome, names, comparison),
        _evaluation(outcome, names, comparison, what),
        _list("Training", settings_of(bundle)),
        _bullets("Caveats and limits", (plain(limit) for limit in limits_of(bundle, outcome))),
        _provenance(bundle, outcome),
    ]
    return "\n".join(line for part in parts for line in (*part, ""))


def _head(bundle: Bundle, outcome: Outcome, names: dict[str, str]) -> Iterator[str]:
    study = bundle.study
    yield f"# Model card: {plain(study.title)}"
    yield ""
    yield f"**Status: {outcome.status.upper()}.** {plain(explain(outcome, names))}"
    yield ""
    yield "## Model details"
    yield ""
    yield f"- Study: {plain(study.name)} {study.version}, by {plain(study.author)}"
    yield f"- Author: {plain(author_of(bundle))}"
    yield f"- Coordinated by: {plain(bundle.roster.coordinator.name)}"
    if outcome.status == "failed":
        yield "- Model: none"
    else:
        task = _TASKS[predicted(study, bundle.contract).kind]
        size = plural(bundle.manifest.size, "parameter")
        yield f"- Model: {plain(words_of(study.network))}, {size}, strategy {study.strategy}; {task}"
        yield f"- {course_of(study, outcome)}"
        yield "- Files: `model.safetensors` (weights), `encoding.json` (how a record becomes its input)"


def _status(outcome: Outcome, names: dict[str, str]) -> Iterator[str]:
    if outcome.status == "failed":
        yield "## FAILED: there is no model"
        yield ""
        yield from (
            f"- `{problem.code}` {plain(problem.place)}: {plain(problem.finding)}. {plain(problem.rule)}. "
            f"Next: {plain(problem.next_step)}."
            for problem in outcome.problems
        )
        return
    yield "## Who counted"
    yield ""
    yield f"{len(outcome.counted)} of {plural(len(outcome.roster), 'hospital')} counted in all {plural(outcome.visits, 'visit')}."
    uses = [use for use in codes_of(outcome, names) if use.code[0] in "HRC"]
    if uses:
        yield ""
    yield from (f"- `{use.code}` {plain(use.title)}: {plain(listing(use.places))} ({plural(use.times, 'time')})" for use in uses)


def _use(bundle: Bundle, outcome: Outcome) -> Iterator[str]:
    study = bundle.study
    yield "## Intended use"
    yield ""
    yield f"The question: {plain(study.question)}"
    yield ""
    if outcome.status == "failed":
        yield "There is no model to use."
        return
    schema = bundle.schema
    records = f"records that obey `{schema.id}` {schema.version} ({plain(study.cohort.where or 'all valid records')})"
    gives = {
        "binary": "the log-odds that",
        "classes": "a score for each class, whose softmax is a probability, of",
        "labels": "the log-odds of each of",
        "number": "on a scale from −1 to 1 for the ends of the schema’s range,",
        "mask": "of",
    }
    yield f"The model gives {gives[study.target.kind]} {plain(study.target.words)}, for {records}."
    yield "Any other use is out of scope, the care of patients without an approval for it above all."


def _factors(outcome: Outcome, names: dict[str, str], comparison: Comparison | None) -> Iterator[str]:
    true = comparison is not None and bool(comparison.records)
    yield "## Data"
    yield ""
    if comparison is not None and comparison.note:
        yield plain(comparison.note)
        yield ""
    yield "True counts, known since one party holds all records." if true else "As the hospitals’ outgoing reports let it out."
    yield ""
    rows = [
        _line(row.name, [row.found, row.quarantined, row.used, row.train, row.validation, row.test])
        for row in holdings_of(outcome, names, comparison)
    ]
    columns = ("hospital", "found", "set aside", "used" if true else "valid", "training", "validation", "test")
    yield from _table(columns, rows)
    weights = weights_of(outcome, names)
    if weights:
        yield ""
        yield "Weight in the sums (mean over the rounds):"
        yield ""
        yield from (f"- {plain(row.name)}: {row.text} ({row.rounds} of {plural(row.of, 'round')})" for row in weights)


def _evaluation(outcome: Outcome, names: dict[str, str], comparison: Comparison | None, what: Predicted) -> Iterator[str]:
    best, columns = headline_of(outcome, names, what), columns_of(what)
    yield "## Evaluation"
    yield ""
    yield plain(best.basis)
    if outcome.status == "failed":
        return
    yield ""
    rows = [SiteRow("pooled", best.figures), *site_rows(outcome, names, what)]
    heads = ("", *(words for _, words in columns))
    yield from _table(heads, [_line(row.name, [row.figures[name] for name, _ in columns]) for row in rows])
    by_class = None if best.metrics is None else table_by_class(best.metrics)
    if by_class is not None:
        yield ""
        yield from _table(by_class.heads, [_line(name, figures) for name, figures in by_class.rows])
    if comparison is not None:
        found = alternatives_of(comparison, names, what)
        yield ""
        yield plain(found.verdict)
        yield ""
        main, words = MAIN[what.kind]
        lines = [_line(row.name, [*row.by_site, row.overall[main]]) for row in found.rows]
        yield from _table((words, *found.sites, "all"), lines)


def _list(title: str, pairs: Sequence[tuple[str, str]]) -> Iterator[str]:
    yield from _bullets(title, (f"{plain(name)}: {plain(words)}" for name, words in pairs))


def _bullets(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield f"## {title}"
    yield ""
    yield from (f"- {line}" for line in lines)


def _provenance(bundle: Bundle, outcome: Outcome) -> Iterator[str]:
    yield from _bullets("Provenance", (f"{plain(name)}: `{digest}`" for name, digest in digests_of(bundle, outcome)))
    yield ""
    yield "Check the files with `sha256sum -c SHA256SUMS`. The software is in `environment.json`, every visit in `history.json`."


def _line(name: str, figures: Iterable[Figure]) -> str:
    return " | ".join([plain(name), *(_cell(figure) for figure in figures)])


def _table(columns: Sequence[str], lines: Iterable[str]) -> Iterator[str]:
    yield f"| {' | '.join(plain(column) for column in columns)} |"
    yield f"|{' --- |' * len(columns)}"
    yield from (f"| {line} |" for line in lines)


def _cell(figure: Figure) -> str:
    text = plain(figure.text) if figure.shown else f"*{plain(figure.text)}*"
    return f"{text} ({plain(figure.note)})" if figure.note else text
