"""``wardround silo ledger``: what left this hospital, from its own signed ledger; offline, and on another machine too."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from silo_node.ledger.account import Left, read_account
from silo_node.ledger.comparison import disagreements
from silo_node.ledger.source import Source, open_source
from wardround.canonical import Json, model_json
from wardround.console import format_option, print_json, print_problems, say, terminal, warn
from wardround.errors import EXIT_DONE, EXIT_NOT_IN_ORDER
from wardround.ledger.entries import AnyEntry, RefusalSent, Released
from wardround.ledger.folder import Course, read_entries
from wardround.ledger.verification import Verified, verify_ledger
from wardround.reference import with_reference
from wardround.values import instant

HASH_SHOWN = 12

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


@click.group()
def ledger() -> None:
    """Show, verify, export and reconcile the ledger of what left this hospital; works offline."""


@ledger.command()
@source_options
@click.option("--last", type=click.IntRange(min=1), help="Show the last so many entries only; all are verified.")
@format_option
def show(site_path: Path | None, copy: Path | None, identity: Path | None, last: int | None, form: str) -> None:
    """Verify the ledger and show its entries, one in a line.

    Exit status 1 when an entry was changed (L-BROKEN names it) or is not the hospital's (L-FORGED).
    """
    source, course = open_source(site_path, copy, identity), Course()
    entries = [
        (line.sequence, line.hash, entry) for line, entry in read_entries(source.folder, source.member.signing_key, course)
    ]
    shown = entries if last is None else entries[-last:]
    if form == "json":
        rows: list[Json] = [{"sequence": number, "hash": hashed, **model_json(entry)} for number, hashed, entry in shown]
        print_json({"entries": rows, "length": course.length, "head": course.head})
        return
    if shown:
        terminal().print(_table(shown))
    say(f"{course.length} entries, chained and signed; head {course.head}")


def _table(entries: list[tuple[int, str, AnyEntry]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("entry", "time", "event", "study", "what", "records", "bytes", "hash"):
        table.add_column(heading, justify="right" if heading in ("entry", "records", "bytes") else "left")
    for number, hashed, entry in entries:
        values = model_json(entry)
        what = _code(entry) or values.get("holds") or values.get("verdict") or values.get("state") or _what(values)
        study = str(values.get("study") or "–")[:HASH_SHOWN]
        figures = (str(values.get(name, "")) for name in ("records", "bytes"))
        table.add_row(str(number), entry.time, entry.event, study, str(what), *figures, hashed[:HASH_SHOWN])
    return table


def _code(entry: AnyEntry) -> str | None:
    return with_reference(entry.code, entry.reference) if isinstance(entry, RefusalSent) else None


def _what(values: dict[str, Json]) -> str:
    return " ".join(str(values[name]) for name in ("purpose", "round", "name", "version") if values.get(name) is not None)


@ledger.command()
@source_options
@click.option("--head", "heads", multiple=True, help="A head of this ledger that somebody outside holds; it must be in it.")
@format_option
def verify(site_path: Path | None, copy: Path | None, identity: Path | None, heads: tuple[str, ...], form: str) -> None:
    """Verify the ledger whole: every hash, the order, the days, the hospital's signature.

    Exit status 1 when an entry was changed, removed or reordered (L-BROKEN names it), is not the hospital's (L-FORGED), or a
    --head is not there (L-ANCHOR): then entries at the end were cut off or replaced.
    """
    source = open_source(site_path, copy, identity)
    verified = verify_ledger(source.folder, source.member.signing_key, heads)
    if form == "json":
        member = source.member
        print_json({"site": member.site, "fingerprint": member.fingerprint, **verified.as_json(), "heads_found": list(heads)})
        return
    for line in _verdict(source, verified, heads):
        say(line)
    if verified.course.torn:
        warn("after the last whole entry something follows: one that was cut off, or is being written; it is not read")


def _verdict(source: Source, verified: Verified, heads: tuple[str, ...]) -> list[str]:
    """Say what holds, and how far somebody outside can vouch for it."""
    member, course = source.member, verified.course
    when = "" if verified.first_time is None else f", {verified.first_time} to {verified.last_time}"
    lines = [
        f"{member.name} ({member.site}), fingerprint {member.fingerprint}",
        f"{course.length} entries in {len(course.segments)} files{when}: chained and signed, nothing changed; head {course.head}",
    ]
    if heads:
        lines.append(f"It holds {'the head' if len(heads) == 1 else f'all {len(heads)} heads'} that you named.")
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
@format_option
def export(out: Path, site_path: Path | None, copy: Path | None, identity: Path | None, form: str) -> None:
    """Write what left, when and under whose approval into the new folder OUT, for an auditor.

    ledger.html is for reading, ledger.json for programs; ledger/ and request.json are the ledger itself and the hospital's
    public keys, so that the folder can be verified on another machine.
    """
    from silo_node.ledger.export import write_export

    account = read_account(open_source(site_path, copy, identity))
    write_export(account, out, instant(datetime.now(UTC)))
    if form == "json":
        print_json({"out": str(out), "entries": account.course.length, "head": account.course.head})
        return
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
