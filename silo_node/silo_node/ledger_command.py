"""``wardround silo ledger``: what left this hospital, from its own signed ledger; offline, and on another machine too."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from silo_node.joining import pinned_centre
from silo_node.ledger.account import Left, read_account
from silo_node.ledger.comparison import disagreements
from silo_node.ledger.part import WHOLE, Part, find_study
from silo_node.ledger.source import Source, open_source
from wardround.canonical import Json, model_json
from wardround.console import format_option, print_json, print_problems, say, say_rows, warn
from wardround.errors import EXIT_DONE, EXIT_NOT_IN_ORDER, refuse
from wardround.identity.roster import Coordinator, read_party
from wardround.ledger.entries import AnyEntry, ApprovalUsed, RefusalSent, Released, study_of
from wardround.ledger.folder import Course, read_entries
from wardround.ledger.verification import Verified, verify_ledger
from wardround.reference import with_reference
from wardround.values import instant

HASH_SHOWN = 12
DAY_FORM = "%Y-%m-%d"
HEADINGS = ("entry", "time", "event", "study", "what", "records", "bytes", "hash")
NUMBERS = (0, 5, 6)
"""The columns of numbers, which end below each other."""

Command = Callable[..., Any]


def source_options(command: Command) -> Command:
    """Add the options that say which ledger is read."""
    for option in reversed(
        (
            click.option("--site", "site_path", type=click.Path(path_type=Path), help="The hospital's site.yaml."),
            click.option(
                "--copy",
                type=click.Path(path_type=Path, file_okay=False),
                help="Instead of --site: a copied ledger folder, an export, or a copy of a hospital's directory.",
            ),
            click.option(
                "--identity",
                type=click.Path(path_type=Path, dir_okay=False),
                help="The hospital's request.json with its public keys [default: the one beside the ledger].",
            ),
        )
    ):
        command = option(command)
    return command


def part_options(command: Command) -> Command:
    """Add the options that say which part of a ledger is shown."""
    for option in reversed(
        (
            click.option("--study", help="Only of this study: its name, NAME-VERSION, or the beginning of its hash."),
            click.option("--since", type=click.DateTime([DAY_FORM]), help="Only from this day on (UTC)."),
            click.option("--until", type=click.DateTime([DAY_FORM]), help="Only up to this day and with it (UTC)."),
        )
    ):
        command = option(command)
    return command


def _part(study: str | None, since: datetime | None, until: datetime | None) -> Part:
    days = [None if day is None else day.date().isoformat() for day in (since, until)]  # strftime has 999 for the year 0999
    if days[0] and days[1] and days[0] > days[1]:
        raise refuse(
            "X-USAGE",
            "--since, --until",
            "A part of a ledger begins before it ends",
            f"{days[0]} is after {days[1]}",
            "exchange the two days",
        )
    return Part(study, *days)


@click.group()
def ledger() -> None:
    """Show, verify, export and reconcile the ledger of what left this hospital; works offline."""


@ledger.command()
@source_options
@part_options
@click.option("--last", type=click.IntRange(min=1), help="Show the last so many entries only; all are verified.")
@format_option
def show(
    site_path: Path | None,
    copy: Path | None,
    identity: Path | None,
    study: str | None,
    since: datetime | None,
    until: datetime | None,
    last: int | None,
    form: str,
) -> None:
    """Verify the ledger and show its entries, one in a line.

    Exit status 1 when an entry was changed (L-BROKEN names it) or is not the hospital's (L-FORGED), whichever part is shown.
    """
    part = _part(study, since, until)
    source, course = open_source(site_path, copy, identity), Course()
    entries = [
        (line.sequence, line.hash, entry) for line, entry in read_entries(source.folder, source.member.signing_key, course)
    ]
    entries = _of_part(entries, part)
    shown = entries if last is None else entries[-last:]
    if form == "json":
        rows: list[Json] = [{"sequence": number, "hash": hashed, **model_json(entry)} for number, hashed, entry in shown]
        print_json({"entries": rows, "part": part.as_json(), "length": course.length, "head": course.head})
        return
    if shown:
        say_rows(_rows(shown), right=NUMBERS)
    if part != WHOLE:
        say(f"Shown is a part: {part}; {len(entries)} of the ledger's entries are of it.")
    say(f"{course.length} entries, chained and signed; head {course.head}")


def _of_part(entries: list[tuple[int, str, AnyEntry]], part: Part) -> list[tuple[int, str, AnyEntry]]:
    studies = None
    if part.study is not None:
        known: dict[str, tuple[str, str] | None] = {
            study: None for _, _, each in entries if (study := study_of(each)) is not None
        }
        known |= {each.study: (each.name, each.version) for _, _, each in entries if isinstance(each, ApprovalUsed)}
        studies = {find_study(part.study, known)}
    return [(number, hashed, entry) for number, hashed, entry in entries if part.has(study_of(entry), entry.time, studies)]


def _rows(entries: list[tuple[int, str, AnyEntry]]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [HEADINGS]
    for number, hashed, entry in entries:
        values = model_json(entry)
        what = _code(entry) or values.get("verdict") or values.get("state") or _what(values)
        study = str(values.get("study") or "–")[:HASH_SHOWN]
        records, size = (str(values.get(name, "")) for name in ("records", "bytes"))
        rows.append((str(number), entry.time, entry.event, study, str(what), records, size, hashed[:HASH_SHOWN]))
    return rows


def _code(entry: AnyEntry) -> str | None:
    return with_reference(entry.code, entry.reference) if isinstance(entry, RefusalSent) else None


def _what(values: dict[str, Json]) -> str:
    parts = values.get("parts")
    if isinstance(parts, list):
        return "kept back: " + ", ".join(dict.fromkeys(str(part["why"]) for part in parts if isinstance(part, dict)))
    holds = values.get("holds")
    if isinstance(holds, list):
        return "holds: " + (", ".join(map(str, holds)) or "nothing")
    return " ".join(str(values[name]) for name in ("purpose", "round", "name", "version") if values.get(name) is not None)


@ledger.command()
@source_options
@click.option(
    "--coordinator",
    "coordinators",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="A centre's coordinator.json, to hold receipts against; besides the centre that --site has joined.",
)
@click.option("--head", "heads", multiple=True, help="A head of this ledger that somebody outside holds; it must be in it.")
@format_option
def verify(
    site_path: Path | None,
    copy: Path | None,
    identity: Path | None,
    coordinators: tuple[Path, ...],
    heads: tuple[str, ...],
    form: str,
) -> None:
    """Verify the ledger whole: every hash, the order, the days, the hospital's signature, the receipts.

    Exit status 1 when an entry was changed, removed or reordered (L-BROKEN names it), is not the hospital's (L-FORGED), a
    --head is not there (L-ANCHOR): then entries at the end were cut off or replaced; or a receipt for what went to a centre
    is not signed by it (L-RECEIPT), as far as centres are known: the one that --site has joined, and each --coordinator.
    """
    source = open_source(site_path, copy, identity)
    centres = [read_party(path, Coordinator) for path in coordinators]
    if site_path is not None and source.directory is not None:
        centres += pinned_centre(source.directory)
    verified = verify_ledger(source.folder, source.member.signing_key, heads, [centre.signing_key for centre in centres])
    if form == "json":
        member = source.member
        print_json(
            {
                "site": member.site,
                "fingerprint": member.fingerprint,
                **verified.as_json(),
                "centres": [centre.fingerprint for centre in centres],
                "heads_found": list(heads),
            }
        )
        return
    for line in _verdict(source, verified, heads, centres):
        say(line)
    if verified.course.torn:
        warn("after the last whole entry something follows: one that was cut off, or is being written; it is not read")


def _verdict(source: Source, verified: Verified, heads: tuple[str, ...], centres: list[Coordinator]) -> list[str]:
    """Say what holds, and how far somebody outside can vouch for it."""
    member, course = source.member, verified.course
    when = "" if verified.first_time is None else f", {verified.first_time} to {verified.last_time}"
    lines = [
        f"{member.name} ({member.site}), fingerprint {member.fingerprint}",
        f"{course.length} entries in {len(course.segments)} files{when}: chained and signed, nothing changed; head {course.head}",
    ]
    if course.renewals:
        lines.append(f"Its signing key was renewed {len(course.renewals)} times, each time by an entry under the key before.")
    if heads:
        lines.append(f"It holds {'the head' if len(heads) == 1 else f'all {len(heads)} heads'} that you named.")
    receipts, others = verified.events.get("receipt", 0), verified.other_receipts
    if others is None and receipts:
        lines.append(f"Whose its {receipts} receipts are was not looked at: --coordinator names a centre's keys.")
    elif others is not None and receipts:
        names = " or ".join(f"{centre.name} (fingerprint {centre.fingerprint})" for centre in centres)
        lines.append(f"Of its {receipts} receipts {receipts - others} are signed by {names}.")
        lines += [f"The other {others} are of centres that were not named, and confirm nothing."] if others else []
    if verified.confirmed is None:
        lines.append("No receipt of a centre confirms an entry: whether entries at the end are missing, no file here can say.")
    else:
        after = course.length - verified.confirmed - 1
        lines.append(f"The centre confirmed entry {verified.confirmed} and all before it, at {verified.confirmed_at}.")
        lines.append(f"Of the {after} after it, and whether others followed them, only this ledger speaks.")
    return lines


@ledger.command()
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@source_options
@part_options
@format_option
def export(
    out: Path,
    site_path: Path | None,
    copy: Path | None,
    identity: Path | None,
    study: str | None,
    since: datetime | None,
    until: datetime | None,
    form: str,
) -> None:
    """Write what left, when and under whose approval into the new folder OUT, for an auditor.

    ledger.html is for reading, ledger.json for programs; ledger/ and request.json are the ledger itself and the hospital's
    public keys, so that the folder can be verified on another machine.
    """
    from silo_node.ledger.export import write_export

    part = _part(study, since, until)
    account = read_account(open_source(site_path, copy, identity)).of(part)
    write_export(account, out, instant(datetime.now(UTC)))
    if form == "json":
        print_json({"out": str(out), "entries": account.course.length, "part": part.as_json(), "head": account.course.head})
        return
    if part != WHOLE:
        say(f"Page and JSON are of a part, and say so: {part}; the ledger beside them is whole.")
    say(f"Wrote {account.course.length} entries to {out}: ledger.html to read, ledger.json, the ledger and public keys.")
    say(f"Whoever gets it verifies it with: wardround silo ledger verify --copy {out}")


@ledger.command()
@source_options
@format_option
def reconcile(site_path: Path | None, copy: Path | None, identity: Path | None, form: str) -> int:
    """Compare what left with the receipts that came back: counted, refused with a code, or never acknowledged.

    Exit status 1 when a receipt does not fit what left (L-RECEIPT), or the porter sent a reply that the ledger does not have
    (L-ANCHOR). A release that was never acknowledged is no error: the last one of a study has no task after it.
    """
    account = read_account(open_source(site_path, copy, identity))
    problems, releases = disagreements(account), account.releases
    refused = [each for each in releases if each.receipt is not None and each.receipt.verdict != "counted"]
    silent = [each for each in releases if each.receipt is None]
    if form == "json":
        print_json(
            {
                "releases": [_compared(each) for each in releases],
                "counted": len(releases) - len(refused) - len(silent),
                "refused": len(refused),
                "unacknowledged": len(silent),
                "head": account.course.head,
                "problems": [dict(problem.as_json()) for problem in problems],
            }
        )
        return EXIT_NOT_IN_ORDER if problems else EXIT_DONE
    for each in (*refused, *silent):
        said = "never acknowledged" if each.receipt is None else f"refused, {each.receipt.verdict}"
        say(f"  entry {each.sequence}, {_name(each)}: {said}")
    counted = len(releases) - len(refused) - len(silent)
    say(f"{len(releases)} releases: {counted} counted, {len(refused)} refused, {len(silent)} never acknowledged.")
    refusals = sum(isinstance(each.entry, RefusalSent) for each in account.left)
    say(f"{refusals} refusals left, which get no receipt.")
    print_problems(problems)
    return EXIT_NOT_IN_ORDER if problems else EXIT_DONE


def _name(left: Left) -> str:
    entry = left.entry
    if not isinstance(entry, Released):
        return entry.event
    what = f"round {entry.round}" if entry.purpose == "round" else entry.purpose
    return f"{what} of study {entry.study[:HASH_SHOWN]}"


def _compared(left: Left) -> dict[str, Json]:
    values = left.as_json()
    return {name: values[name] for name in ("sequence", "study", "purpose", "round", "task", "hash", "repeats", "receipt")}
