"""The reference pages say what the code does: their examples are read by it."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from wardround.contract import dicom_dictionary, imaging, library, model, rules, units
from wardround.errors import Refused
from wardround.strict_yaml import parse_text

PAGES = Path(__file__).resolve().parents[3] / "docs" / "reference"


def _page(name):
    return (PAGES / name).read_text(encoding="utf-8")


def _blocks(name, kind):
    return re.findall(rf"^```{kind}\n(.*?)^```$", _page(name), re.MULTILINE | re.DOTALL)


def _lines(name, kind):
    return [line for block in _blocks(name, kind) for line in block.splitlines() if line]


def test_the_example_schema_is_in_order(tmp_path):
    """A schema copied from the page passes `schema check`."""
    (tmp_path / "page.yaml").write_text(_blocks("schema.md", "yaml")[0], encoding="utf-8")
    assert library.load(tmp_path / "page.yaml").id == "diabetes.visits"


def test_the_example_of_images_has_every_key_and_needs_its_table_alone(tmp_path):
    """All that is wrong with the one on the page is that its made-up table is not installed."""
    (block,) = [block for block in _blocks("schema.md", "yaml") if block.startswith("kind: imaging")]
    (tmp_path / "page.yaml").write_text(block, encoding="utf-8")
    with pytest.raises(Refused) as refused:
        library.load_imaging(tmp_path / "page.yaml")
    assert refused.value.codes == ("S-UNKNOWN",)
    kinds = [kind for kind in vars(imaging).values() if isinstance(kind, type) and kind.__module__ == imaging.__name__]
    keys = {field.alias or name for kind in kinds for name, field in kind.model_fields.items()}
    assert len(kinds) == 9
    assert {key for key in keys if not re.search(rf"\b{key}:", block)} == set()


def test_the_page_names_the_shipped_schemas_of_images_and_the_edition():
    """One row for each, and the edition of the dictionary that the code holds."""
    page = _page("schema.md").partition("## Images")[2]
    for listing in library.available(kind="imaging"):
        assert f"\n| `{listing.id}` |" in page
    assert f"edition {dicom_dictionary.EDITION}" in page


@pytest.mark.parametrize("module", [model, imaging])
def test_the_page_names_every_key(module):
    """No key of a schema is undocumented."""
    kinds = [kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, BaseModel)]
    keys = {field.alias or name for kind in kinds for name, field in kind.model_fields.items()} - {"self"}
    assert len(kinds) > 8
    assert {key for key in keys if not re.search(rf"\b{key}\b", _page("schema.md"))} == set()


def test_the_page_lists_exactly_the_known_units():
    """One line for each dimension, with all its codes."""
    rows = re.findall(r"^\| ([a-z ]+) \| (`.+`) \|$", _page("schema.md").partition("## Units")[2], re.MULTILINE)
    listed = {(name.replace(" ", "_"), code) for name, codes in rows for code in re.findall(r"`([^`]+)`", codes)}
    assert listed == {(unit.dimension, unit.code) for unit in units.table().values()}


@pytest.mark.parametrize("line", _lines("rules.md", "rules"))
def test_the_example_rules_are_read(line):
    """Each rule of the page fits the schema that the page names."""
    assert rules.check_types(rules.parse(line), library.find("heart.disease@1.0.0"), "page") == []


@pytest.mark.parametrize("line", _lines("rules.md", "refused-rules"))
def test_the_refused_rules_are_refused(line):
    """Each counter-example is refused, by the reader or by the types."""
    try:
        found = rules.check_types(rules.parse(line), library.find("heart.disease@1.0.0"), "page")
    except Refused as refused:
        found = list(refused.problems)
    assert found


@pytest.mark.parametrize("block", _blocks("yaml.md", "yaml"))
def test_the_example_file_is_read(block):
    """What the page calls plain YAML is read."""
    assert parse_text(block, "page").data


@pytest.mark.parametrize("word", _lines("yaml.md", "refused-words"))
def test_the_words_to_quote_are_refused_unquoted(word):
    """The page's list is the reader's."""
    with pytest.raises(Refused) as refused:
        parse_text(f"a: {word}", "page")
    assert refused.value.codes == ("Y-SURPRISE",)
