"""``wardround schema diff``: what changed between two versions of a schema, and which number the later one needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from wardround.console import format_option, print_json, say, say_rows
from wardround.contract import library
from wardround.contract.compatibility import Comparison
from wardround.contract.imaging_compatibility import compare_any
from wardround.contract.options import schema_path_option
from wardround.errors import EXIT_USAGE, raise_all

if TYPE_CHECKING:
    from wardround.canonical import Json


@click.command("diff")
@click.argument("old")
@click.argument("new")
@schema_path_option
@format_option
def diff_command(old: str, new: str, schema_path: tuple[Path, ...], form: str) -> int:
    """Say what changed from one version of a schema to another: each difference with its class, for models, records and images.

    OLD and NEW are an id, id@version or a file. major: what was in order may be so no longer, or means something else; minor:
    it still is and means the same; patch: words. Ends with S-COMPAT when NEW's version is too small for what changed.
    """
    before, after = library.find_any(old, schema_path), library.find_any(new, schema_path)
    comparison = compare_any(before, after, "wardround schema diff")
    if form == "json":
        problems = comparison.problems()
        print_json(as_json(comparison))
        return EXIT_USAGE if problems else 0
    _tell(comparison)
    raise_all(comparison.problems())
    return 0


def as_json(comparison: Comparison) -> dict[str, Json]:
    """Give a comparison for programs."""
    changes: list[Json] = [{"class": str(each.grade), "where": each.where, "what": each.what} for each in comparison.changes]
    return {
        "id": comparison.new.id,
        "old": comparison.old.version,
        "new": comparison.new.version,
        "changes": changes,
        "class": None if comparison.grade is None else str(comparison.grade),
        "required_version": comparison.required_version,
        "encoding_hash_changed": None if comparison.same_encoding is None else not comparison.same_encoding,
        "problems": [dict(problem.as_json()) for problem in comparison.problems()],
    }


def _tell(comparison: Comparison) -> None:
    old, new = comparison.old, comparison.new
    if comparison.changes:
        say_rows([("class", "where", "what"), *((str(each.grade), each.where, each.what) for each in comparison.changes)])
    say(f"{new.id} {old.version} to {new.version}: {in_words(comparison)}.")
    if comparison.same_encoding is not None:
        another = "another: a model of one does not fit the other as it is"
        say(f"encoding hash   {'the same' if comparison.same_encoding else another}")


def in_words(comparison: Comparison) -> str:
    """Say how many differences there are, of which class, and what version they ask for."""
    count = len(comparison.changes)
    if count == 0:
        return "no difference"
    differences = "1 difference" if count == 1 else f"{count} differences"
    return f"{differences}, in all {comparison.grade}: version {comparison.required_version} or later"
