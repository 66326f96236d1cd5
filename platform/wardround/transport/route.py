"""A proxy between a hospital and its centre, as a value."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Route:
    """A proxy as it is used; its text form never shows credentials.

    Attributes:
        host, port: where it listens.
        secure: whether it is spoken to over TLS.
        credentials: user and password for it (Basic, RFC 7617).
        authority: path of the only certificates that vouch for it; the machine's own when not given.
    """

    host: str
    port: int
    secure: bool = False
    credentials: tuple[str, str] | None = field(default=None, repr=False)
    authority: Path | None = None

    def __str__(self) -> str:
        """Give ``host:port``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
