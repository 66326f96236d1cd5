"""Every page holds together: links lead somewhere, YAML is read, commands are run, generated parts are current."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from silo_node.configuration import SiteFile
from silo_node.policy import Policy
from wardround.contract.library import check as check_contract
from wardround.contract.model import Contract
from wardround.errors import CATALOGUE
from wardround.strict_yaml import parse, parse_text
from wardround.study.model import Study

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} (.+?)\s*$", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
CODE_SPAN = re.compile(r"`[^`\n]*`")
COMMAND_LINE = re.compile(r"^(\$ )?(wardround|make|python3?|pip|sha256sum) \S", re.MULTILINE)
CODE = re.compile(r"(?<![\w-])([A-Z]-[A-Z]{2,})(?![\w-])")
MACHINE_PATH = re.compile(
    r"(?<![\w.])/(work|tmp|root|home|Users|mnt|srv)/|[A-Z]:\\\\|https?://\S*(pypi|simple/|index)", re.IGNORECASE
)
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
MODELS: tuple[tuple[type, frozenset[str]], ...] = (
    (Study, frozenset({"question", "features", "network"})),
    (SiteFile, frozenset({"site", "sources", "schemas"})),
    (Policy, frozenset({"small_cell", "logs"})),
    (Contract, frozenset({"kind", "fields", "primaryKey"})),
)
"""A YAML block with all of these keys is a whole file of this kind."""


def slug(heading: str) -> str:
    """Give the anchor of a heading, as code hosts make it: lower case, without signs, spaces as ``-``."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", plain.lower()).strip().replace(" ", "-")


def anchors(path: Path) -> set[str]:
    """Give the anchors of a page."""
    return {slug(heading) for heading in HEADING.findall(FENCED.sub("", path.read_text(encoding="utf-8")))}


def test_links_lead_somewhere(page: Any) -> None:
    """A link inside the repository leads to a file that is there, and to a heading that the page has."""
    prose = CODE_SPAN.sub("", FENCED.sub("", page.text))
    for target in LINK.findall(prose):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        name, _, anchor = target.partition("#")
        path = page.path if not name else (page.path.parent / name).resolve()
        assert path.exists(), f"{page.name}: {target}"
        assert path.is_relative_to(ROOT), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(path), f"{page.name}: {target}"


def test_yaml_is_read_by_the_strict_loader(page: Any) -> None:
    """A reader may copy every YAML block: the strict loader takes it, and a whole file of a known kind fits its model."""
    for block in page.blocks:
        if block.language in ("yaml", "yml"):
            document = parse_text(block.text, f"{page.name}:{block.line}")
            keys = set(document.data) if isinstance(document.data, dict) else set()
            for model, wanted in MODELS:
                if wanted <= keys:
                    value = parse(model, document)  # type: ignore[type-var]
                    if isinstance(value, Contract):
                        check_contract(value, page.name)


def test_every_setting_of_the_policy_is_explained() -> None:
    """The policy's page has a row for each setting, and no other."""
    text = (ROOT / "docs" / "reference" / "policy.md").read_text(encoding="utf-8")
    rows = {name.partition(".")[0] for name in re.findall(r"^\| `([a-zA-Z_.]+)` \|", text, re.MULTILINE)}
    assert rows == set(Policy.model_fields)


def test_no_command_is_untested(page: Any) -> None:
    """Commands stand in console blocks, which are run, or in blocks that say why they are not."""
    for block in page.blocks:
        if block.not_run is not None:
            assert len(block.not_run) > len("no reason"), f"{page.name}:{block.line}: a reason"
            continue
        assert block.language not in ("sh", "bash", "shell"), f"{page.name}:{block.line}: write it as a console block"
        if block.language == "console":
            assert block.commands, f"{page.name}:{block.line}: a console block without a command"
        elif "file" not in block.settings:
            found = COMMAND_LINE.search(block.text)
            assert found is None, f"{page.name}:{block.line}: {found and found[0]!r} is not run"


def test_a_file_to_save_is_named_in_the_text_before_it(page: Any) -> None:
    """A block that the tests save under a name tells the reader the same name."""
    for block in page.blocks:
        if "file" in block.settings:
            at = page.text.splitlines()[max(0, block.line - 8) : block.line - 1]
            around = "\n".join([*at, *page.text.splitlines()[block.line : block.line + block.text.count("\n") + 6]])
            assert f"`{block.settings['file']}`" in around, f"{page.name}:{block.line}"


def test_nothing_of_a_machine_is_in_a_page(page: Any) -> None:
    """Pages hold no paths or package indexes of the machine that they were written on."""
    found = MACHINE_PATH.search(page.text)
    assert found is None, f"{page.name}: {found and found[0]!r}"


def test_every_code_that_a_page_names_exists(page: Any) -> None:
    """A page speaks of codes that the catalogue has."""
    named = {code for code in CODE.findall(page.text) if f"{code.split('-')[0]}-" in {f"{known[0]}-" for known in CATALOGUE}}
    assert named <= set(CATALOGUE)


def test_every_test_that_a_page_names_exists(page: Any) -> None:
    """A page that says which test shows something names one that is there."""
    for name, function in TEST.findall(page.text):
        path = ROOT / name
        assert path.is_file(), f"{page.name}: {name}"
        found = {node.name for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)}
        assert function in found, f"{page.name}: {name} has no {function}"


def test_the_threat_model_names_a_test_in_every_row() -> None:
    """Whatever the threat model says is stopped, a test shows; what none shows belongs under "Not covered"."""
    text = (ROOT / "docs" / "explanation" / "security.md").read_text(encoding="utf-8")
    tables = re.findall(r"^\| could [^\n]*shown by \|\n\|[-|]+\|\n((?:\|[^\n]*\n)+)", text, re.MULTILINE)
    assert len(tables) == text.count("| shown by |"), "every table is seen"
    for row in "".join(tables).splitlines():
        assert TEST.search(row), row


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    """Give ``docs/generate.py`` as a module."""
    spec = importlib.util.spec_from_file_location("wardround_docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_parts_are_current(generator: ModuleType) -> None:
    """What is made from the code is what the code says now; ``make docs`` writes it."""
    stale = [path.name for path, text in generator.current_pages().items() if path.read_text(encoding="utf-8") != text]
    assert not stale, "run: make docs"


def test_every_key_of_a_study_is_described(generator: ModuleType) -> None:
    """The table of the study file has every key once, and units only for keys that are there."""
    keys = re.findall(r"^\| `([^`]+)`", generator.study_table(), re.MULTILINE)
    assert len(keys) == len(set(keys))
    assert {key.split(".")[0] for key in keys} == {field.alias or name for name, field in Study.model_fields.items()}
    assert set(generator.UNITS) <= set(keys)
