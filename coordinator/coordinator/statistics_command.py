"""``wardround coordinator statistics``: what the hospitals told of their records before the first round, side by side."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click

from coordinator.comparability.compare import compare_for_coordinator
from coordinator.comparability.model import HIDDEN_WORDS, Comparability, SiteField
from coordinator.comparability.page import KINDS, write_for_coordinator
from coordinator.comparability.since import Earlier, since_earlier
from coordinator.journal.chronicle import read_chronicle
from coordinator.journal.entries import AnyEntry, ReplyAdmitted, VisitOpened
from coordinator.studies import HASH_SHOWN, StudyFolder, StudyState, find_study, folders
from wardround.canonical import model_json
from wardround.console import format_option, print_json, say
from wardround.directory import check_format
from wardround.errors import EXIT_DONE, EXIT_NOT_IN_ORDER, Refused, refuse
from wardround.messages.envelope import Envelope, read
from wardround.messages.round import ANSWER, Reply, StatisticsResult

NOTHING = "–"
HEAD = ("field", "hospital", "records", "mean", "missing", "positive", "PSI", "difference", "what is noticeable")


@click.command()
@click.argument("study")
@click.option("--dir", "folder", required=True, type=click.Path(path_type=Path, file_okay=False), help="The centre's directory.")
@format_option
def statistics(study: str, folder: Path, form: str) -> int:
    """Compare what the hospitals of STUDY told of their records before the first round, and write comparability.html.

    STUDY is its name, NAME-VERSION, or the beginning of its hash; it asks for statistics.distributions. What came is read from
    the journal, before training, during it and after it; the centre may run meanwhile, or not. The page and comparability.json
    go to the study's folder: they are for the coordinator. Where a hospital told a field for an earlier study of this centre,
    too, it is said how that field has moved since. Exit status 1: a wrong unit is suspected at a hospital.
    """
    check_format(folder)
    place, state = find_study(folder, study)
    bundle = place.bundle().lightened()
    if not bundle.study.statistics.distributions:
        raise refuse(
            "X-USAGE",
            f"{state.name} {state.version}",
            "Distributions are told where a study asks for them",
            "this one does not (statistics.distributions is false)",
            "build a study that does; every hospital is asked anew",
        )
    results = results_of(place, state)
    since = since_earlier(bundle, results, list(_earlier(folder, place)))
    found = compare_for_coordinator(bundle, results).model_copy(update={"since": since})
    page = write_for_coordinator(place.path, bundle, found)
    if form == "json":
        print_json(model_json(found))
    else:
        for line in _page(page, state, found):
            say(line)
    suspected = any(remark.kind == "unit" for _, _, remark in found.remarks) or any(each.level == "unit" for each in found.since)
    return EXIT_NOT_IN_ORDER if suspected else EXIT_DONE


def results_of(place: StudyFolder, state: StudyState) -> dict[str, StatisticsResult]:
    """Read what hospitals told from the study's journal, of its last attempt at the first visit.

    Raises:
        Refused: X-USAGE when no hospital has answered yet; L-, J- codes of the journal.
    """
    found: dict[str, StatisticsResult] = {}
    for result in _results(read_chronicle(place.path, state.study_hash).entries):
        found = {} if result is None else {**found, **result}
    if not found:
        raise _too_early(state)
    return found


def _results(entries: tuple[AnyEntry, ...]) -> Iterator[dict[str, StatisticsResult] | None]:
    """Give each hospital's statistics; None where the visit is made anew."""
    for entry in entries:
        if isinstance(entry, VisitOpened) and entry.core.purpose == "statistics":
            yield None
        elif isinstance(entry, ReplyAdmitted):
            answer = read(Envelope(entry.message.encode(), entry.signature), ANSWER)
            if isinstance(answer, Reply) and isinstance(answer.result, StatisticsResult):
                yield {entry.site: answer.result}


def _earlier(centre: Path, place: StudyFolder) -> Iterator[Earlier]:
    """Give the studies that were submitted before one, and told, the oldest first; what cannot be read of them is left out."""
    for other in folders(centre):
        if other.path == place.path:
            return
        state = other.read()
        with suppress(Refused):
            bundle = other.bundle().lightened()
            if state is not None and bundle.study.statistics.distributions:
                yield Earlier(bundle, results_of(other, state))


def _too_early(state: StudyState) -> Refused:
    return refuse(
        "X-USAGE",
        f"{state.name} {state.version}",
        "Statistics are told in a study's first visit",
        f"no hospital has answered it yet: the study is {state.phase}",
        "see: wardround coordinator status; ask again when the first visit is over",
    )


def _page(page: Path, state: StudyState, found: Comparability) -> list[str]:
    rows: list[tuple[str, ...]] = [HEAD]
    for field in found.fields:
        name = f"{field.field} (target)" if field.target else field.field
        rows += [(name if not number else "", *_row(site)) for number, site in enumerate(field.sites)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    remarks = [f"{site.site}, {field.field}: {remark.words}" for field, site, remark in found.remarks if remark.level == "large"]
    return [
        f"{state.name} {state.version}  {state.study_hash[:HASH_SHOWN]}",
        *table,
        *([f"SYNTHETIC records, not of patients: {', '.join(found.synthetic)}."] if found.synthetic else []),
        *(remarks or ["No large difference among what is shown. Withheld is not zero, and not even."]),
        *_since(found),
        f"Wrote {page} (for the coordinator: it shows what a release may withhold).",
    ]


def _since(found: Comparability) -> Iterator[str]:
    """Say how hospitals have moved since earlier studies."""
    if not found.since:
        return
    moved = [each for each in found.since if each.level != "even"]
    sites = len({each.site for each in found.since})
    by = f"{sites} hospital{'' if sites == 1 else 's'}"
    yield f"Told before, by {by}: {len(found.since)} fields, of which {len(moved)} have moved."
    for each in moved:
        said = " ".join(remark.words for remark in each.now.remarks)
        yield f"{each.site}, {each.field}, since {each.study} {each.version}: {said}"


def _row(site: SiteField) -> tuple[str, ...]:
    if site.hidden is not None:
        return (site.site, *([NOTHING] * (len(HEAD) - 3)), HIDDEN_WORDS[site.hidden])
    return (
        site.site,
        f"{site.records}",
        _figure(site.mean, "{:.4g}"),
        _figure(site.missing, "{:.1%}"),
        _figure(site.positive, "{:.1%}"),
        _figure(site.psi, "{:.2f}"),
        _figure(site.difference, "{:+.2f}"),
        ", ".join(f"{KINDS[remark.kind]}{'!' if remark.level == 'large' else ''}" for remark in site.remarks) or NOTHING,
    )


def _figure(value: float | None, form: str) -> str:
    return NOTHING if value is None else form.format(value)
