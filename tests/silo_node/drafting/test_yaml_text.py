"""What is added to a site file says what it should, and nothing that a person wrote is touched."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from silo_node.drafting.yaml_text import add, entry, flow, put_first, without_notes
from wardround.errors import Refused
from wardround.strict_yaml import parse_text

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
LINES = ["new: {a: b}  #~ why"]


@settings(max_examples=150)
@given(st.dictionaries(TEXT, st.one_of(TEXT, st.lists(TEXT, max_size=3), st.dictionaries(TEXT, TEXT, max_size=2)), max_size=4))
def test_whatever_is_written_is_read_back(value: dict[str, object]) -> None:
    """Words that look like truth values or numbers, quotes, line breaks, signs beyond the first plane."""
    assert parse_text(flow(value), "x").data == value  # type: ignore[arg-type]
    assert parse_text("\n".join(entry("key", value, ["note"])) + "\n", "x").data == {"key": value}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "sources: {}\nschemas: {}\n",
        "sources: {}  # none yet\nschemas: {}",
        "sources:\n  a: {format: csv}  # ours\n\n# about schemas\nschemas:\n    s: {x: z}\n",
        "sources:\n  a:\n    format: csv\n    path: |\n      x\nschemas: {s: {x: z}}\n",
        "# head\nsources: {a: {format: csv},\n  b: {format: csv}}\nschemas:\n  s:\n    x: z",
    ],
)
@pytest.mark.parametrize("key", ["sources", "schemas"])
def test_an_entry_is_added_and_every_comment_stays(text: str, key: str) -> None:
    """In blocks, in empty braces, in full braces, with and without a last line feed."""
    before = parse_text(text, "x").data
    found = add(text, (key,), LINES, "site.yaml")
    assert parse_text(found, "x").data == {**before, key: {**before[key], "new": {"a": "b"}}}  # type: ignore[dict-item,call-overload,index]
    for comment in ("# none yet", "# ours", "# about schemas", "# head"):
        assert (comment in found) == (comment in text)


def test_lines_of_a_block_stay_byte_for_byte() -> None:
    """Whatever their spacing and quotes."""
    text = "sources:\n  'a' :   {format:  csv}\nschemas: {}\n"
    assert add(text, ("sources",), LINES, "x") == "sources:\n  'a' :   {format:  csv}\n  new: {a: b}  #~ why\nschemas: {}\n"


def test_braces_with_comments_are_refused() -> None:
    """Rather than losing what a person wrote in between."""
    with pytest.raises(Refused) as refused:
        add("sources: {a: b, # why\n  c: d}\n", ("sources",), LINES, "site.yaml")
    assert refused.value.codes == ("Y-SYNTAX",)


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ('{"sources": {}, "schemas": {}}\n', ("sources",)),
        ("schemas: {s: {columns: {a: b}}}\n", ("schemas", "s", "columns")),
        ("schemas: {s: {columns: {}}}\n", ("schemas", "s", "columns")),
    ],
)
def test_a_mapping_within_braces_is_refused(text: str, location: tuple[str, ...]) -> None:
    """A site file that a program wrote as JSON: lines put into it would be neither the one nor the other."""
    with pytest.raises(Refused, match="stands in braces") as refused:
        add(text, location, LINES, "site.yaml")
    assert refused.value.codes == ("Y-SYNTAX",)


def test_notes_are_taken_away_and_other_comments_are_not() -> None:
    """Whole lines and ends of lines."""
    assert without_notes("a: b  #~ 90%: x\n  #~ z\nc: d  # mine\n") == "a: b\nc: d  # mine\n"


def test_first_lines_come_before_the_first_key() -> None:
    """Behind a comment at the top, and behind the mark of a document."""
    assert put_first("# ours\n---\na: b\n", ["x: y"]) == "# ours\n---\nx: y\na: b\n"
