"""``wardround silo changed``: how this hospital's records have changed since a study was approved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from silo_node.decision_commands import study_argument, which_study
from silo_node.identity import load_identity
from silo_node.porter.approvals import given_approval, missing_approval
from wardround.canonical import model_json
from wardround.console import format_option, print_json, say, say_rows
from wardround.directory import check_format
from wardround.errors import EXIT_DONE, EXIT_NOT_IN_ORDER, Refused, refuse

if TYPE_CHECKING:
    from silo_node.changed.compare import Change, FieldChange
    from silo_node.changed.picture import Taken
    from silo_node.configuration import Site
    from wardround.canonical import Json
    from wardround.study.bundle import Bundle

NOTHING = "–"
HEAD = ("field", "moved", "PSI", "mean before", "now", "deviations", "missing before", "now")


@click.command()
@study_argument
@click.option("--site", "site_path", required=True, type=click.Path(path_type=Path), help="The hospital's site.yaml.")
@format_option
def changed(study: str, site_path: Path, form: str) -> int:
    """Say how the records have changed since STUDY, a bundle or one of the inbox, was approved here.

    The records are read and checked as for training, and held against the picture of them that the approval kept: how many are
    new and gone, and field by field how values, missing values and units have moved. A page and a JSON file are written to
    reports/; nothing of it leaves the hospital.

    Exit status 0: the records are those of the approval. 1: they are others, or cannot take part now. 2: nothing to compare with.
    """
    from silo_node.changed.page import write_change
    from silo_node.cohort import assemble
    from silo_node.configuration import load_site
    from silo_node.validation.result import CheckFailed

    site = load_site(site_path)
    check_format(site.folder)
    bundle = which_study(site, study)
    approval = given_approval(site.folder, load_identity(site.folder), bundle.study_hash)
    if approval is None:
        raise Refused([missing_approval(site.file.site, bundle.study_hash)])
    before = _before(site, bundle, approval.data.fingerprint)
    try:
        cohort = assemble(site, bundle.contract, bundle.study, bundle.study_hash, bundle.imaging)
    except CheckFailed as failure:
        return _tell_codes(bundle, sorted(set(failure.codes)), form)
    from silo_node.changed.compare import compare
    from silo_node.changed.picture import take
    from silo_node.data_key import keyed_fingerprint

    data = keyed_fingerprint(site.folder, cohort.fingerprint)
    if data is None or data == before.picture.data:
        return _tell_same(bundle, approval.approved_at, form)
    now = take(site.folder, cohort, bundle.contract, bundle.study, bundle.study_hash, data)
    change = compare(bundle, before, now)
    report, page = (f"{path.parent.name}/{path.name}" for path in write_change(site, bundle, change))
    if form == "json":
        found: dict[str, Json] = {"study_hash": bundle.study_hash, "same": False, "codes": [], "change": model_json(change)}
        print_json({**found, "local_report": report, "local_page": page})
    else:
        _tell(change, approval.approved_at, page)
    return EXIT_NOT_IN_ORDER


def _before(site: Site, bundle: Bundle, data: str | None) -> Taken:
    """Give the picture of the records that were approved.

    Raises:
        Refused: X-USAGE when there is none.
    """
    from silo_node.changed.picture import recall

    found = None if data is None else recall(site.folder, bundle.study_hash)
    if found is None or found.picture.data != data:
        none = "it kept none, since it was given without records (--no-records, or they could not take part)"
        why = none if data is None else "it kept none that can be read"
        raise refuse(
            "X-USAGE",
            f"{bundle.study.name} {bundle.study.version}",
            "Records are held against the picture that the approval kept",
            why,
            "approve the study again: from then on it can be said how the records change",
        )
    return found


def _tell_codes(bundle: Bundle, codes: list[str], form: str) -> int:
    if form == "json":
        print_json({"study_hash": bundle.study_hash, "same": False, "codes": list(codes), "change": None})
    else:
        say(f"The records cannot take part now: {', '.join(codes)}. wardround silo check says more.")
    return EXIT_NOT_IN_ORDER


def _tell_same(bundle: Bundle, approved_at: str, form: str) -> int:
    if form == "json":
        print_json({"study_hash": bundle.study_hash, "same": True, "codes": [], "change": None})
    else:
        say(f"The records are those of the approval of {approved_at}.")
    return EXIT_DONE


def _tell(change: Change, approved_at: str, page: str) -> None:
    from silo_node.changed import words

    say(f"The records are not those of the approval of {approved_at}.")
    say_rows([HEAD, *(_row(each) for each in change.worst_first)], right=range(2, len(HEAD)))
    for line in words.lines(change):
        say(line)
    say(f"To see it with charts, open {page} in a browser; it stays in the hospital.")
    say("Mend the export or the site file, or review the study and approve it anew for the records of now.")


def _row(each: FieldChange) -> tuple[str, ...]:
    return (
        each.field,
        "unit?" if each.unit is not None else each.level,
        _figure(each.psi, "{:.2f}"),
        _figure(each.before.mean, "{:.4g}"),
        _figure(each.now.mean, "{:.4g}"),
        _figure(each.difference, "{:+.2f}"),
        f"{each.missing_before:.1%}",
        f"{each.missing:.1%}",
    )


def _figure(value: float | None, form: str) -> str:
    return NOTHING if value is None else form.format(value)
