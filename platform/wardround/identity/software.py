"""The digest of the code that runs here: what an approval signs beside the study."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from importlib.resources.abc import Traversable

from wardround.canonical import Json, digest, sha256

CODE_SUFFIXES = (".py", ".yaml", ".json", ".j2", ".css")
RUNTIME = ("torch", "monai", "numpy", "polars", "pydantic", "cryptography", "safetensors", "rfc8785", "pyyaml")
"""Packages of others whose versions decide what is computed or sent."""


def _files_of(package: str) -> dict[str, Json]:
    found: dict[str, Json] = {}
    pending: list[tuple[str, Traversable]] = [(package, files(package))]
    while pending:
        path, folder = pending.pop()
        for child in folder.iterdir():
            inner = f"{path}/{child.name}"
            if child.is_dir() and child.name != "__pycache__":
                pending.append((inner, child))
            elif child.name.endswith(CODE_SUFFIXES):
                found[inner] = sha256(child.read_bytes())
    return found


def package_versions(names: Iterable[str] = RUNTIME) -> dict[str, str]:
    """Give the installed versions of some packages; those that are absent are left out."""
    found: dict[str, str] = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def code_digest(packages: Iterable[str]) -> str:
    """Give the digest over every file of our packages (path and SHA-256) and the versions of Python and the rest."""
    ours: dict[str, Json] = {}
    for package in packages:
        ours |= _files_of(package)
    return digest("code", 1, {"files": ours, "versions": {"python": platform.python_version(), **package_versions()}})
