"""The tree is the architecture: these laws keep it so."""

import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "platform": "wardround",
    "silo_node": "silo_node",
    "coordinator": "coordinator",
    "schemas": "wardround_schemas",
    "lab": "wardround_lab",
}
LONGEST_FILE = 500  # lines
SOURCES = sorted(path for folder, package in PACKAGES.items() for path in (ROOT / folder / package).rglob("*.py"))


def _pyproject(folder: str) -> dict:
    return tomllib.loads((ROOT / folder / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_sources_are_found():
    assert len(SOURCES) > len(PACKAGES)


@pytest.mark.parametrize("folder", [*PACKAGES, "tests", "benchmarks", "."])
def test_no_folder_shadows_a_module(folder):
    """A platform/__init__.py would shadow Python's own `platform` for every command run from the root."""
    assert not (ROOT / folder / "__init__.py").exists()


def test_no_test_folder_is_a_package():
    assert not list((ROOT / "tests").rglob("__init__.py"))


@pytest.mark.parametrize(("folder", "package"), PACKAGES.items())
def test_each_package_is_typed(folder, package):
    assert (ROOT / folder / package / "py.typed").read_bytes() == b""
    assert (ROOT / folder / package / "__init__.py").is_file()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_bears_a_name_of_the_standard_library(path):
    names = {path.stem, path.parent.name} - {"__init__", "__main__"}
    assert not names & set(sys.stdlib_module_names)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_long(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


def test_each_folder_of_code_is_a_package():
    """Without its __init__.py a folder is in no import contract's graph."""
    assert not [path for path in SOURCES if not (path.parent / "__init__.py").is_file()]


def test_the_umbrella_asks_for_what_the_dists_ask_for():
    """One range for each dependency, in the root and in the dist, and our dists pin each other exactly."""
    root = _pyproject(".")["project"]
    asked = set()
    for folder in PACKAGES:
        project = _pyproject(folder)["project"]
        assert project["version"] == root["version"]
        assert project["requires-python"] == root["requires-python"]
        asked |= set(project.get("dependencies", []))
        asked |= {one for extra in project.get("optional-dependencies", {}).values() for one in extra}
    ours = {one for one in asked if one.startswith("wardround-")}
    assert {one.partition("==")[2] for one in ours} == {root["version"]}
    assert asked - ours == set(root["dependencies"])


def test_the_umbrella_declares_the_commands_of_the_dists():
    declared: dict[str, dict[str, str]] = {}
    for folder in PACKAGES:
        for group, commands in _pyproject(folder)["project"].get("entry-points", {}).items():
            declared.setdefault(group, {}).update(commands)
    assert declared == _pyproject(".")["project"]["entry-points"]
