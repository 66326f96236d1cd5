"""``wardround silo map``: propose what local columns mean, as a draft that a person answers and confirms."""

from __future__ import annotations

import difflib
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wardround.console import format_option, print_json, say, terminal
from wardround.errors import EXIT_DONE, EXIT_NOT_IN_ORDER, refuse

if TYPE_CHECKING:
    from silo_node.configuration import Site
    from silo_node.drafting.local_table import LocalTable
    from silo_node.drafting.proposal import Draft, Proposal
    from wardround.canonical import Json

EXISTING = click.Path(path_type=Path)
DRAFT_MODE = 0o600
"""A draft names a table's columns before anybody has seen that they are names: for its owner only."""


@click.command("map")
@click.option("--site", "site_path", type=EXISTING, required=True, help="The hospital's site.yaml.")
@click.option("--schema", "schema_name", help="The schema to map to, as ID or ID@VERSION.")
@click.option("--file", "file", type=EXISTING, help="A CSV or Parquet file that site.yaml does not know yet.")
@click.option("--source", "source", help="Or: a key under 'sources' of site.yaml; not needed when there is only one.")
@click.option("--header", help="The columns' names in order, A,B,..., for a file without a header line; or: first-line.")
@click.option("--schema-path", type=EXISTING, multiple=True, help="A further folder of schemas; may stand several times.")
@click.option("--confirm", is_flag=True, help="Show what the answered draft changes in site.yaml, ask, and change it.")
@click.option("--yes", is_flag=True, help="With --confirm: do not ask.")
@format_option
def map_command(  # noqa: PLR0913  (click's)
    site_path: Path,
    schema_name: str | None,
    file: Path | None,
    source: str | None,
    header: str | None,
    schema_path: tuple[Path, ...],
    form: str,
    *,
    confirm: bool,
    yes: bool,
) -> int:
    """Propose which local columns are the schema's fields, and write a draft beside site.yaml.

    It looks at the file's header and at the shapes of its cells: names in English, German, French and Spanish, units in
    names, ranges, codes, dates, marks for missing. Each line of the draft says how sure it is and why; what is not clear
    stands there as a question, ???. No command reads records by a draft: answer the questions, look at every line, then
    run it with --confirm. What site.yaml says already stays as it is.

    What is printed holds names of local columns; the draft, and what --confirm shows, hold local codes too. All of it stays
    in the hospital.
    """
    if confirm:
        return _confirm(site_path, schema_path, form, yes=yes)
    if schema_name is None:
        raise _usage("A mapping is to a schema, or --confirm takes up a draft", "neither was given", "give --schema or --confirm")
    return _propose(site_path, schema_name, schema_path, form, (source, file, header))


def _usage(rule: str, finding: str, step: str) -> Exception:
    return refuse("X-USAGE", "wardround silo map", rule, finding, step)


# ------------------------------------------------------------------------------------------------------------- propose


def _propose(
    site_path: Path,
    schema_name: str,
    schema_path: tuple[Path, ...],
    form: str,
    where: tuple[str | None, Path | None, str | None],
) -> int:
    from silo_node.configuration import load_site
    from silo_node.drafting.local_table import look
    from silo_node.drafting.proposal import propose
    from silo_node.drafting.writing import draft_path, write_draft
    from wardround.contract.library import find
    from wardround.files import write_new
    from wardround.strict_yaml import read_text

    site, text = load_site(site_path), read_text(site_path)
    path = draft_path(site_path)
    if path.exists():
        raise _draft_is_there(path)
    contract = find(schema_name, schema_path)
    standing = site.file.schemas.get(contract.id)
    source, file, header = where
    if standing is not None and source is None and file is None:
        source = standing.source
    table = look(site, source, file, header)
    if standing is not None and table.key != standing.source:
        finding = f"the mapping of {contract.id} reads the source {standing.source!r}"
        raise _usage("A schema has one source", finding, "leave --file and --source out, or change the site file first")
    mapped = set(standing.columns) if standing else set()
    taken = {column.column for name in mapped if standing and (column := standing.column(name))}
    draft = propose(contract, table.columns, table.decimal, mapped, {*taken, *(standing.ignore if standing else ()), ""})
    if not any(each.chosen or each.asked for each in draft.proposals):
        say(f"site.yaml says of {contract.id} all that can be proposed; nothing was written.")
        return EXIT_DONE
    try:
        write_new(path, write_draft(site, text, contract, table, draft).encode(), DRAFT_MODE)
    except FileExistsError:
        raise _draft_is_there(path) from None
    _tell(site, table, draft, path, form)
    return EXIT_DONE


def _draft_is_there(path: Path) -> Exception:
    return refuse(
        "O-EXISTS",
        path.name,
        "A draft that somebody may have answered is never overwritten",
        "there is one already",
        "confirm it (wardround silo map --confirm), or remove it",
    )


def _tell(site: Site, table: LocalTable, draft: Draft, path: Path, form: str) -> None:
    from silo_node.draft_marks import questions
    from wardround.strict_yaml import load

    waiting = len(questions(load(path)))  # codes of one field are one question
    if form == "json":
        print_json(
            {
                "draft": path.name,
                "source": table.key,
                "records": table.records,
                "all_records": table.whole,
                "notes": list(table.notes),
                "questions": waiting,
                "fields": [_as_json(each) for each in draft.proposals],
                "unused_columns": len(draft.unused),
            }
        )
        return
    for note in table.notes:
        say(f"The file: {note}.")
    _print(draft)
    say("")
    chosen = sum(each.chosen is not None for each in draft.proposals)
    seen = "all" if table.whole else "the first"
    say(f"Looked at {seen} {table.records} records: {chosen} of {len(draft.proposals)} fields have a likely column.")
    more = (
        f"{waiting} {'question waits' if waiting == 1 else 'questions wait'} for your answer (???)."
        if waiting
        else "It asks nothing; look at every line all the same."
    )
    say(f"Wrote {path.name} beside {site.path.name}. {more}")
    say(f"Next: answer and look it through, then run: wardround silo map --confirm --site {site.path}")


def _print(draft: Draft) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("field", "local column", "sure", "what was seen"):
        table.add_column(heading, justify="right" if heading == "sure" else "left", overflow="fold")
    for each in draft.proposals:
        column, sure, seen = _words(each)
        table.add_row(each.field.name, escape(_printable(column)), sure, escape(seen))
    terminal().print(table)


def _printable(text: str) -> str:
    """Take out of a column's name what could move the cursor."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _words(proposal: Proposal) -> tuple[str, str, str]:
    chosen = proposal.chosen
    if chosen is not None:
        asks = [f"ANSWER {ask}" for ask in chosen.fit.asks]
        return (
            chosen.column,
            f"{chosen.confidence:.0%}",
            "; ".join([part for part in (chosen.why, *chosen.fit.evidence) if part] + asks),
        )
    if not proposal.asked:
        return "", "", "no column seems to be it; the schema allows that"
    perhaps = ", ".join(f"{each.column} ({each.confidence:.0%})" for each in proposal.candidates)
    return "???", "", f"ANSWER which column it is{', perhaps ' + _printable(perhaps) if perhaps else '; none seems to be it'}"


def _as_json(proposal: Proposal) -> dict[str, Json]:
    chosen = proposal.chosen
    return {
        "field": proposal.field.name,
        "column": chosen.column if chosen else None,
        "confidence": chosen.confidence if chosen else None,
        "evidence": [part for part in (chosen.why, *chosen.fit.evidence) if part] if chosen else [],
        "asks": list(chosen.fit.asks) if chosen else ["which column it is"] if proposal.asked else [],
        "candidates": [{"column": each.column, "confidence": each.confidence} for each in proposal.candidates],
    }


# ------------------------------------------------------------------------------------------------------------- confirm


def _confirm(site_path: Path, schema_path: tuple[Path, ...], form: str, *, yes: bool) -> int:
    from silo_node.configuration import load_site
    from silo_node.drafting.writing import draft_path
    from wardround.files import write_atomic
    from wardround.strict_yaml import read_text

    site, old, path = load_site(site_path), read_text(site_path), draft_path(site_path)
    if not path.exists():
        step = f"make one: wardround silo map --site {site_path} --schema NAME --file FILE"
        raise refuse("Y-FILE", path.name, "There is a draft beside the site file", "there is none", step)
    new, added = _answered(site, old, path, schema_path)
    changes = list(
        difflib.unified_diff(old.splitlines(), new.splitlines(), site_path.name, f"{site_path.name}, confirmed", lineterm="")
    )
    if form == "text":
        for line in changes:
            say(line)
    if not yes:
        if not sys.stdin.isatty():
            raise _usage("A person confirms a draft", "there is no terminal to ask on", "run it on a terminal; or with --yes")
        if not click.confirm(f"Change {site_path.name} like this?", default=False, err=True):
            click.echo("Nothing was changed.", err=True)
            return EXIT_NOT_IN_ORDER
    write_atomic(site_path, new.encode(), stat.S_IMODE(site_path.stat().st_mode))
    path.unlink()
    if form == "json":
        print_json({"site": site_path.name, "schemas": list(added)})
        return EXIT_DONE
    say(f"{site_path.name} is changed, and the draft is gone.")
    for schema in added:
        say(f"Next: wardround silo check --site {site_path} --schema {schema}")
    return EXIT_DONE


def _answered(site: Site, old: str, path: Path, schema_path: tuple[Path, ...]) -> tuple[str, tuple[str, ...]]:
    """Give the site file that the draft becomes, judged whole, and the schemas whose mappings it changes.

    Raises:
        Refused: M-DRAFT where questions wait or the site file has changed; Y-, M- and S- codes of what would not hold.
    """
    from silo_node.configuration import read_site
    from silo_node.draft_marks import DRAFT_KEY, questions
    from silo_node.drafting.writing import confirmed, digest
    from silo_node.mapping.resolve import resolve
    from wardround.contract.library import find
    from wardround.errors import raise_all
    from wardround.strict_yaml import load, parse_text, read_text

    document = load(path)
    raise_all(questions(document))
    mark = document.data.get(DRAFT_KEY) if isinstance(document.data, dict) else None
    if mark is not None and str(mark) != digest(old):
        raise refuse(
            "M-DRAFT",
            document.place((DRAFT_KEY,)),
            "A draft is confirmed on the site file that it was made from",
            f"{site.path.name} was changed since",
            "move the draft away, make it anew, and carry your answers over",
        )
    new = confirmed(read_text(path), path.name)
    after = read_site(parse_text(new, path.name), site.path)
    changed = tuple(name for name, mapping in after.file.schemas.items() if site.file.schemas.get(name) != mapping)
    for name in changed:
        resolve(after, find(name, schema_path))
    return new, changed
