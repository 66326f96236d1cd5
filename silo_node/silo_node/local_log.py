"""The hospital's own log: what happened and why, with traces; it stays in the hospital, readable by its owner only."""

from __future__ import annotations

import logging
from pathlib import Path

from wardround.json_log import open_log as open_json_log

LOG_FILE = "node.log"


def open_log(folder: Path, name: str, file: str = LOG_FILE) -> logging.Logger:
    """Open a hospital's log in a folder; nothing of it goes to the terminal or to other logs."""
    return open_json_log(folder / file, f"silo_node.sites.{name}")
