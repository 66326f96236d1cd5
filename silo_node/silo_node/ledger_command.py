"""``wardround silo ledger``: what left this hospital, from its own hash-chained ledger."""

from __future__ import annotations

from pathlib import Path

import click
from rich.table import Table

from silo_node.configuration import load_site
from silo_node.porter.ledger import LEDGER_FILE
from wardround.chain import GENESIS, Link, read_chain
from wardround.console import format_option, print_json, say, terminal
from wardround.directory import check_format

HASH_SHOWN = 12


@click.command()
@click.option("--site", "site_path", required=True, type=click.Path(path_type=Path), help="The hospital's site.yaml.")
@format_option
def ledger(site_path: Path, form: str) -> None:
    """Verify this hospital's ledger and show everything that left; works offline.

    Exit status 1 when a line was changed (L-BROKEN names it).
    """
    site = load_site(site_path)
    check_format(site.folder)
    links = read_chain(site.directory("ledger") / LEDGER_FILE)
    head = links[-1].hash if links else GENESIS
    if form == "json":
        print_json({"entries": [{"sequence": link.sequence, "hash": link.hash, **link.entry} for link in links], "head": head})
        return
    if links:
        terminal().print(_table(links))
    say(f"{len(links)} entries, the chain holds; head {head}")


def _table(links: list[Link]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("entry", "event", "study", "what", "records", "bytes", "hash"):
        table.add_column(heading, justify="right" if heading in ("entry", "records", "bytes") else "left")
    for link in links:
        entry = link.entry
        what = entry.get("code") or entry.get("verdict") or f"{entry.get('purpose', '')} {entry.get('round', '')}".strip()
        table.add_row(
            str(link.sequence),
            str(entry["event"]),
            str(entry.get("study") or "–")[:HASH_SHOWN],
            str(what),
            str(entry.get("records", "")),
            str(entry.get("bytes", "")),
            link.hash[:HASH_SHOWN],
        )
    return table
