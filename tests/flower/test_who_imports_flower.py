"""Flower is imported in three rooms, and by nobody who does not need it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("platform/wardround/transport", "silo_node/silo_node/flower", "coordinator/coordinator/flower")
PACKAGES = (
    "platform/wardround",
    "silo_node/silo_node",
    "coordinator/coordinator",
    "lab/wardround_lab",
    "schemas/wardround_schemas",
)
FLOWERS = {"flwr", "grpc", "httpx", "uvicorn", "starlette", "fastapi"}


def _imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


def _loaded_by(module: str) -> set[str]:
    probe = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout.split())


def test_flower_is_imported_in_three_rooms_only():
    """Its names stand nowhere else, inside functions neither."""
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    users = {path for path in files if _imported(path) & FLOWERS}
    assert users
    assert {path for path in users if not any(path.is_relative_to(ROOT / room) for room in ROOMS)} == set()


@pytest.mark.parametrize(
    "module",
    [
        "wardround_lab.local_grid",
        "coordinator.rounds.conductor",
        "silo_node.porter.porter",
        "wardround.console",
        "coordinator.commands",
        "coordinator.house",
        "silo_node.commands",
        "silo_node.house",
    ],
)
def test_who_does_not_speak_to_it_does_not_pay_for_flower(module):
    """A simulation starts without it, and so does every command of a centre or a hospital: its supervisor starts Flower."""
    assert "flwr" not in _loaded_by(module)


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("coordinator.flower.grid, coordinator.flower.run", {"sqlalchemy", "fastapi", "uvicorn", "torch"}),
        ("silo_node.flower.node", {"sqlalchemy", "fastapi", "uvicorn", "torch", "polars"}),
    ],
)
def test_conductor_and_porter_load_flowers_clients_only(module, heavy):
    """Not its servers and databases: half a second and 50 MB in every process."""
    loaded = _loaded_by(module)
    assert "flwr" in loaded
    assert not heavy & loaded
