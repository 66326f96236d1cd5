"""Every shipped schema's own good and bad records, through the real check."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from silo_node.configuration import load_site
from silo_node.validation.check import CheckResult, check
from wardround.contract.library import find
from wardround.strict_yaml import load

EXAMPLES = Path(str(files("wardround_schemas"))) / "examples"


def _cases(kind: str) -> list[Any]:
    found = []
    for path in sorted(EXAMPLES.glob(f"*/*/{kind}/*.csv")):
        schema, version = path.parent.parent.parent.name, path.parent.parent.name
        found.append(pytest.param(path, f"{schema}@{version}", id=f"{schema}-{version}-{path.stem}"))
    return found


def _check(path: Path, name: str, folder: Path) -> CheckResult:
    contract = find(name)
    columns = "".join(f"      {field}: {field}\n" for field in contract.names)
    site = folder / "site.yaml"
    site.write_text(
        "site: north\nname: Northern Infirmary\n"
        f"sources:\n  table: {{format: csv, path: {str(path)!r}}}\n"
        f"schemas:\n  {contract.id}:\n    source: table\n    columns:\n{columns}"
    )
    return check(load_site(site), contract, max_fraction=1.0)


@pytest.mark.parametrize(("path", "name"), _cases("good"))
def test_good_records_pass_without_a_finding(path: Path, name: str, tmp_path: Path) -> None:
    """What a schema calls good is good: no error, nothing set aside."""
    result = _check(path, name, tmp_path)
    assert [finding for finding in result.findings if finding.severity == "error"] == []
    assert result.passed
    assert result.valid.height == result.found > 0


@pytest.mark.parametrize(("path", "name"), _cases("bad"))
def test_bad_records_give_their_one_finding(path: Path, name: str, tmp_path: Path) -> None:
    """Each bad file has exactly the finding that its schema's authors expect, on exactly those lines."""
    expected: Any = load(path.parent / "expected.yaml").data
    wanted = expected[path.name]
    result = _check(path, name, tmp_path)
    found = [(each.code, each.field, each.rule, list(each.lines)) for each in result.findings]
    assert found == [(wanted["code"], wanted.get("field"), wanted.get("rule"), wanted["rows"])]


def test_every_schema_has_good_and_bad_records_and_every_bad_file_an_expectation() -> None:
    """No fixture is left out, and no expectation is without its file."""
    folders = sorted(EXAMPLES.glob("*/*"))
    assert folders
    for folder in folders:
        assert list(folder.glob("good/*.csv"))
        expected: Any = load(folder / "bad" / "expected.yaml").data
        assert set(expected) == {path.name for path in folder.glob("bad/*.csv")}
