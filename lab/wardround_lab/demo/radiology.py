"""The demonstration on images: where are the lesions?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.markup import escape
from rich.table import Table

from silo_node.configuration import Site
from wardround_lab.demo.departments import SCHEMA, make_hospitals
from wardround_lab.demo.story import SCHEMAS, Story
from wardround_lab.demo.tables import plain_table

MOST_ASIDE: Final = "0.15"
"""The share of series that may be set aside, as the study has it; in the three exports with a fault it is one series."""


def _check_words(folder: Path) -> tuple[str, ...]:
    return "--schema", SCHEMA, "--schema-path", str(folder / SCHEMAS), "--max-fraction", MOST_ASIDE


def checked(sites: Sequence[Site]) -> Table:
    """Say what the check of each hospital's export found: files, series, and what set some of them aside."""
    table = plain_table("Exports")
    table.add_column("hospital")
    for heading in ("files", "series", "set aside"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("why")
    for site in sites:
        (path,) = (site.folder / "reports").glob(f"check-{SCHEMA}-*.json")
        report = json.loads(path.read_bytes())
        files, series = report["files"], report["examples"]
        why = [f"{each['code']} {each['count']}" for each in report["findings"] if each["standing"] == "sets examples aside"]
        counts = (files["found"], series["found"], series["set_aside"])
        table.add_row(escape(site.file.name), *map(str, counts), ", ".join(why))
    return table


RADIOLOGY = Story(
    title="synthetic images with lesions of known truth",
    study="phantom-lesions.yaml",
    note=(
        "Synthetic images: a program made them, with no patient in them, and a model that learned from them is good for nothing "
        "but to show how it learned. Pooled and alone are shown because a demonstration has all images at hand; a real study has "
        "not, and withholds what the hospitals withhold."
    ),
    check="every file of every export held against the schema (silo check)",
    make_hospitals=make_hospitals,
    check_words=_check_words,
    checked=checked,
    images=True,
    schemas=True,
)
