"""Flower's app bundle (FAB): a constant of a Wardround release, with no study and no code of ours in it.

Flower wants a bundle for every run. Ours holds two shims that refuse to run: what runs at a hospital is what is
installed there. A hospital compares the SHA-256 with ``FAB_HASH`` and never unpacks what came. The bundle is built here
byte by byte (stored, not compressed), so that it depends on no tool's version.
"""

from __future__ import annotations

import io
import zipfile

from wardround.canonical import sha256

FAB_HASH = "1f2b9d67f9b07e0a749bc390e14737673173317b56e0eae9ba3bb5796661cf93"
"""SHA-256 of the bundle; a test builds it anew."""

_REFUSAL = b'raise SystemExit("Wardround runs from its own installation; this bundle holds no code.")\n'
_PROJECT = b"""\
[project]
name = "wardround"
version = "1.0.0"
description = "Names Wardround's two sides to Flower; holds no code."

[tool.flwr.app]
publisher = "wardround"

[tool.flwr.app.components]
serverapp = "wardround_app.server:app"
clientapp = "wardround_app.client:app"
"""

FAB_FILES: dict[str, bytes] = {
    "pyproject.toml": _PROJECT,
    "wardround_app/client.py": _REFUSAL,
    "wardround_app/server.py": _REFUSAL,
}
"""What is in the bundle, by path; ``deployment/flower-app`` holds the same files for people to read."""

_CONTENT = ".info/CONTENT"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_READABLE = 0o100644 << 16


def build_fab() -> bytes:
    """Build the bundle."""
    listing = "\n".join(f"{path},{sha256(data)},{8 * len(data)}" for path, data in FAB_FILES.items())
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path, data in {**FAB_FILES, _CONTENT: listing.encode()}.items():
            entry = zipfile.ZipInfo(path, _EPOCH)
            entry.create_system = 3  # the same on every system
            entry.external_attr = _READABLE
            archive.writestr(entry, data)
    return buffer.getvalue()


def is_ours(fab: bytes, claimed_hash: str) -> bool:
    """Say whether a bundle that came, and the hash it was announced under, are the ones of this release."""
    return claimed_hash == FAB_HASH and sha256(fab) == FAB_HASH
