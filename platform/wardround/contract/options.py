"""Options that several commands of ``wardround schema`` share."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

SCHEMA_PATH_VARIABLE: Final = "WARDROUND_SCHEMA_PATH"

schema_path_option = click.option(
    "--schema-path",
    "schema_path",
    type=click.Path(path_type=Path),
    multiple=True,
    envvar=SCHEMA_PATH_VARIABLE,
    show_envvar=True,
    help="A further schema folder (tables/<id>/<version>.yaml); may be given several times.",
)
