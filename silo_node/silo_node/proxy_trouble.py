"""That the hospital's proxy does not lead to the centre, as its SuperNode writes it for ``silo status``."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from wardround.values import Instant, Value

PROXY_TROUBLE = "proxy.json"


class ProxyTrouble(Value):
    """What the proxy does not do, and since when (UTC)."""

    since: Instant
    code: str
    finding: str


def read_proxy_trouble(path: Path) -> ProxyTrouble | None:
    """Read what is wrong with the proxy; None when nothing is, as far as anybody here knows."""
    try:
        return ProxyTrouble.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
