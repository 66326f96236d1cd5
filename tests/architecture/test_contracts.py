"""Who may know whom: the import contracts hold, and they name what they have to name."""

import ast
import json
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).resolve().parents[2]
OPENS_RECORDS = ["torch", "monai", "polars", "pandas", "pydicom", "nibabel"]
IMPORT_ALL_OF_THE_COORDINATOR = """
import importlib, json, pkgutil, sys
import coordinator
names = [module.name for module in pkgutil.walk_packages(coordinator.__path__, "coordinator.")]
for name in names:
    importlib.import_module(name)
print(json.dumps({"names": names, "loaded": sorted({name.partition(".")[0] for name in sys.modules})}))
"""


@pytest.fixture(scope="module")
def contracts() -> dict[str, dict]:
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return {contract["id"]: contract for contract in configuration["tool"]["importlinter"]["contracts"]}


def _imports(path: Path) -> set[str]:
    """The names of all modules that a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def _calls(path: Path, *names: str) -> bool:
    """Whether a file calls one of these names, or any module's attribute of that name."""
    calls = [node.func for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    called = {getattr(function, "id", getattr(function, "attr", None)) for function in calls}
    return bool(called & set(names))


def test_the_import_contracts_hold():
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_coordinator_loads_nothing_that_opens_records():
    """The centre only adds numbers: with all its modules imported, no reader of records is in the process."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL_OF_THE_COORDINATOR], cwd=ROOT, check=True, capture_output=True, text=True
    )
    said = json.loads(done.stdout.splitlines()[-1])
    assert len(said["names"]) > 1
    assert not set(OPENS_RECORDS) & set(said["loaded"])


def test_the_coordinators_contract_forbids_the_same(contracts):
    assert set(OPENS_RECORDS) <= set(contracts["coordinator-opens-no-records"]["forbidden_modules"])


def test_whatever_speaks_flower_is_outside_of_the_wall(contracts):
    """A room of the silo that imports Flower speaks to the outside, so the contract has to name it."""
    named = set(contracts["porter-holds-no-records"]["source_modules"])
    package = ROOT / "silo_node" / "silo_node"
    speaks = {
        ".".join(("silo_node", *path.relative_to(package).with_suffix("").parts[:1]))
        for path in package.rglob("*.py")
        if any(name.partition(".")[0] in {"flwr", "grpc"} for name in _imports(path))
    }
    if (package / "flower").exists():
        speaks.add("silo_node.flower")
    assert speaks <= named


def test_only_the_gate_makes_what_may_leave():
    """The value that leaves a hospital is made in `silo_node.porter.gate` and nowhere else."""
    gate = ROOT / "silo_node" / "silo_node" / "porter" / "gate.py"
    makers = [path for path in (ROOT / "silo_node").rglob("*.py") if _calls(path, "Release", "seal")]
    assert makers == [gate]


@pytest.mark.parametrize("group", ["wardround.commands", "wardround.study_commands"])
def test_every_entry_point_resolves_to_a_command(group):
    found = entry_points(group=group)
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"][group]
    assert {point.name for point in found} == set(declared)
    for point in found:
        module, _, attribute = point.value.partition(":")
        assert isinstance(getattr(import_module(module), attribute), click.Command), point
