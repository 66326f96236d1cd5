"""The digest of the code that runs here: what an approval signs beside the study."""

from __future__ import annotations

import marshal
import platform
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from importlib.resources.abc import Traversable
from importlib.util import cache_from_source, source_hash
from pathlib import Path

from wardround.canonical import Json, digest, sha256

CODE_SUFFIXES = (".py", ".yaml", ".json", ".j2", ".css", ".pyc", ".so", ".pyd")
CACHE = "__pycache__"
RUNTIME = ("torch", "monai", "numpy", "polars", "pydantic", "cryptography", "safetensors", "rfc8785", "pyyaml")
"""Packages of others whose versions decide what is computed or sent."""
BESIDE = (
    *("flwr", "grpcio", "grpcio-health-checking", "protobuf", "httpx", "requests", "urllib3"),
    *("fastapi", "starlette", "uvicorn", "pycryptodome", "sqlalchemy"),
    *("click", "jinja2", "packaging", "rich"),
)
"""Packages of others that run beside them in a node: what speaks to the network, and what our own code stands on."""

_HEADER = 16
"""Bytes before the code in a compiled file (PEP 552): magic, flags, then the source's time and size, or its hash."""
_HASHED, _CHECKED = 1, 2


def _files_of(package: str) -> dict[str, Json]:
    found: dict[str, Json] = {}
    pending: list[tuple[str, Traversable]] = [(package, files(package))]
    while pending:
        path, folder = pending.pop()
        for child in folder.iterdir():
            inner = f"{path}/{child.name}"
            if child.is_dir() and child.name != CACHE:
                pending.append((inner, child))
            elif child.name.endswith(CODE_SUFFIXES):
                found[inner] = sha256(child.read_bytes())
                planted = _planted(child) if isinstance(child, Path) and child.suffix == ".py" else None
                if planted is not None:
                    found[f"{inner}, compiled"] = planted
    return found


def _planted(source: Path) -> str | None:
    """Give the digest of the compiled file that Python would run in the place of a source, where it is not of that source."""
    try:
        compiled = Path(cache_from_source(source)).read_bytes()
        text, state = source.read_bytes(), source.stat()
    except (OSError, NotImplementedError):
        return None
    flags, told = int.from_bytes(compiled[4:8], "little"), compiled[8:_HEADER]
    if flags & _HASHED:
        is_used = not flags & _CHECKED or told == source_hash(text)
    else:
        here = (int(state.st_mtime) & 0xFFFFFFFF, state.st_size & 0xFFFFFFFF)
        is_used = told == b"".join(number.to_bytes(4, "little") for number in here)
    return sha256(compiled) if is_used and not _is_compiled(text, compiled) else None


@lru_cache(maxsize=4096)
def _is_compiled(source: bytes, compiled: bytes) -> bool:
    """Say whether a compiled file is what its source compiles to; names of files in it do not matter."""
    with suppress(ValueError, EOFError, TypeError, SyntaxError):
        found: object = marshal.loads(compiled[_HEADER:])  # noqa: S302  (read, never run)
        return found == compile(source, "", "exec", dont_inherit=True)
    return False


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
    """Give the digest over every file of our packages (path and SHA-256) and the versions of Python and the rest.

    A compiled file in ``__pycache__`` that Python would run, and that is not what its source compiles to, is other code.
    """
    ours: dict[str, Json] = {}
    for package in packages:
        ours |= _files_of(package)
    others = package_versions((*RUNTIME, *BESIDE))
    return digest("code", 1, {"files": ours, "versions": {"python": platform.python_version(), **others}})
