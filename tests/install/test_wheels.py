"""Each side installs only its own wheels, in a clean environment, with its dependencies from the package index."""

import json
import os
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.install

ROOT = Path(__file__).resolve().parents[2]
DISTS = ["schemas", "platform", "silo_node", "coordinator", "lab"]
# Ask a clean environment which of these packages it can find, importing none of them.
FIND = "import importlib.util, json, sys; print(json.dumps([n for n in sys.argv[1:] if importlib.util.find_spec(n)]))"


def _run(*command: str | Path, cwd: Path) -> str:
    """Run without any trace of the environment that the tests run in."""
    kept = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    done = subprocess.run(command, cwd=cwd, env=kept, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The five wheels, built once."""
    folder = tmp_path_factory.mktemp("wheels")
    sources = [ROOT / name for name in DISTS]
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        folder,
    ]
    _run(*build, *sources, cwd=folder)
    built = {wheel.name.partition("-")[0].removeprefix("wardround_"): wheel for wheel in folder.glob("*.whl")}
    assert sorted(built) == sorted(DISTS)
    return built


def _install(folder: Path, *requirements: str) -> Path:
    """Make a clean environment in `folder` and install; gives the folder of its programs."""
    venv.create(folder / "env", with_pip=True)
    programs = folder / "env" / "bin"
    _run(programs / "python", "-m", "pip", "install", "--quiet", "--no-compile", *requirements, cwd=folder)
    return programs


def _found(programs: Path, names: list[str], *, cwd: Path) -> set[str]:
    return set(json.loads(_run(programs / "python", "-c", FIND, *names, cwd=cwd)))


def _commands(programs: Path, *, cwd: Path) -> set[str]:
    """The names of the subcommands that `wardround --help` lists."""
    listed = _run(programs / "wardround", "--help", cwd=cwd).partition("Commands:")[2]
    return set(re.findall(r"^  (\w+)", listed, flags=re.MULTILINE))


def test_a_wheel_holds_its_package_and_no_other(wheels):
    for name, wheel in wheels.items():
        with zipfile.ZipFile(wheel) as archive:
            tops = {entry.partition("/")[0] for entry in archive.namelist() if ".dist-info/" not in entry}
            package = {"platform": "wardround", "schemas": "wardround_schemas", "lab": "wardround_lab"}.get(name, name)
            assert tops == {package}
            source = ROOT / name / package
            kept = {str(path.relative_to(ROOT / name)) for path in source.rglob("*.py")} | {f"{package}/py.typed"}
            assert kept <= set(archive.namelist())


def test_the_schemas_wheel_holds_the_contracts(wheels):
    """A contract that stays behind in the repository is a contract that no hospital has."""
    package = ROOT / "schemas" / "wardround_schemas"
    contracts = {str(path.relative_to(package.parent)) for path in package.rglob("*.yaml")}
    assert contracts
    with zipfile.ZipFile(wheels["schemas"]) as archive:
        assert contracts <= set(archive.namelist())


def test_a_hospital_installs_no_coordinator(wheels, tmp_path):
    programs = _install(tmp_path, str(wheels["schemas"]), f"{wheels['platform']}[models]", str(wheels["silo_node"]))
    _run(programs / "python", "-c", "import silo_node.commands", cwd=tmp_path)
    ours = _found(programs, ["wardround", "silo_node", "coordinator", "wardround_lab"], cwd=tmp_path)
    assert ours == {"wardround", "silo_node"}
    commands = _commands(programs, cwd=tmp_path)
    assert {"schema", "study", "silo"} <= commands
    assert not {"coordinator", "simulate", "demo"} & commands
    _run(programs / "wardround", "silo", "--help", cwd=tmp_path)
    assert json.loads(_run(programs / "wardround", "schema", "list", "--format", "json", cwd=tmp_path))


def test_a_centre_installs_nothing_that_opens_records(wheels, tmp_path):
    programs = _install(tmp_path, *(str(wheels[name]) for name in ("schemas", "platform", "coordinator")))
    _run(programs / "wardround", "coordinator", "--help", cwd=tmp_path)
    readers = ["torch", "monai", "polars", "pandas", "pydicom", "nibabel"]
    ours = _found(programs, ["coordinator", "silo_node", "wardround_lab", *readers], cwd=tmp_path)
    assert ours == {"coordinator"}
    commands = _commands(programs, cwd=tmp_path)
    assert {"schema", "study", "coordinator"} <= commands
    assert not {"silo", "simulate", "demo"} & commands
