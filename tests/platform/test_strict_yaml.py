"""The YAML reader: plain data as it stands, every surprise refused with its line, and never any other failure."""

import json
import re

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from wardround.errors import CATALOGUE, Refused
from wardround.strict_yaml import MAXIMUM_BYTES, load, nearest, parse, parse_text
from wardround.values import Value


def _refused(text):
    with pytest.raises(Refused) as refused:
        parse_text(text, "f.yaml")
    return [(problem.code, problem.place) for problem in refused.value.problems]


# ---------------------------------------------------------------------------------------------------------- what reads


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-3", -3),
        ("+3", 3),
        ("0", 0),
        ("1.5", 1.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e-3", 0.001),
        ("-1.5E+3", -1500.0),
        ("9007199254740991", 2**53 - 1),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("word", "word"),
        ("'NO'", "NO"),
        ('"010"', "010"),
        ("|-\n  no", "no"),
        ("2021-01-01", "2021-01-01"),
        ("12:30", "12:30"),
        ("1.2.3", "1.2.3"),
        ("1e", "1e"),
        ("e5", "e5"),
        ("-", "-"),
        (".", "."),
        ("[1, a]", [1, "a"]),
        ("{}", {}),
        ("Norway", "Norway"),
        ("none", "none"),
    ],
)
def test_plain_values_are_what_they_look_like(text, value):
    """Decimal numbers, true, false, null; all else is text; dates and times of day stay text."""
    found = parse_text(f"a: {text}\n", "f.yaml").data["a"] if text != "-" else "-"
    assert found == value
    assert type(found) is type(value)


def test_keys_are_text():
    """A code map's keys are the codes as they stand."""
    assert parse_text("{1: a, 1.50: b, true: c, null: d}", "f").data == {"1": "a", "1.50": "b", "true": "c", "null": "d"}


def test_an_empty_file_is_an_empty_mapping():
    """Nothing is nothing, and the model says what is missing."""
    assert parse_text("# only a comment\n", "f").data == {}


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False).map(lambda number: number + 0.0)
    | st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcxyz", min_size=1, max_size=5), inner, max_size=4),
    max_leaves=10,
)


@given(json_values)
def test_what_is_written_in_quotes_comes_back(value):
    """JSON with escapes is YAML of this kind: any data survives."""
    assert parse_text(json.dumps({"v": value}), "f").data == {"v": value}


@given(st.dictionaries(st.text("abcnoyes0123_.", min_size=1, max_size=6), json_values, max_size=4))
def test_what_another_writer_writes_is_read_alike_or_refused(value):
    """PyYAML's own output is read as that data or refused; only 1e3 is a number here (YAML 1.2) and a text there."""
    text = yaml.safe_dump(value, allow_unicode=False)
    assume(not re.search(r"[0-9.][eE]", text))
    try:
        found = parse_text(text, "f").data
    except Refused:
        return
    assert found == value


# ------------------------------------------------------------------------------------------------------ what is refused

SURPRISES = ["NO", "no", "No", "yes", "YES", "on", "Off", "y", "N", "010", "00", "-07", "0x1F", "0o17", "0b101", "1_000"]
SURPRISES += [".inf", "-.INF", ".nan", ".NaN", "010.5", "010e2", "1_0.5", "-0.0", "-0e3", "1e999", "-1e400"]
SURPRISES += ["9007199254740992", "-9007199254740992", "9" * 5000]


@pytest.mark.parametrize("word", SURPRISES, ids=lambda word: word[:20])
def test_what_readers_understand_differently_is_refused(word):
    """Unquoted, as a value, in a list; quoted, it is text."""
    assert _refused(f"x: 1\na: {word}\n") == [("Y-SURPRISE", "f.yaml, line 2")]
    assert _refused(f"a: [1, {word}]\n") == [("Y-SURPRISE", "f.yaml, line 1")]
    assert parse_text(f"a: '{word}'", "f").data == {"a": word}


@pytest.mark.parametrize("word", ["NO", "yes", "010", "0x1F", "1_000"])
def test_surprises_are_refused_as_keys_too(word):
    """A code map with an unquoted NO would have the key False elsewhere."""
    assert _refused(f"a: 1\n{word}: 2\n") == [("Y-SURPRISE", "f.yaml, line 2")]


def test_all_surprises_of_a_file_come_at_once():
    """Each with its own line, double keys among them."""
    assert _refused("a: NO\nb: 010\nc: fine\na: 1\n") == [
        ("Y-SURPRISE", "f.yaml, line 1"),
        ("Y-SURPRISE", "f.yaml, line 2"),
        ("Y-DUPKEY", "f.yaml, line 4"),
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: &x 1\nb: *x\n", 1),
        ("b: 1\na: *x\n", 2),
        ("a: !!str 1\n", 1),
        ("a: !python/object:os.system x\n", 1),
        ("b: 1\n<<: {a: 1}\n", 2),
        ("a: 1\n---\nb: 2\n", 2),
        ("? [a]\n: 1\n", 1),
        ("? {a: 1}\n: 1\n", 1),
        ("a: [1\n", 2),
        ("a: 1\n\tb: 2\n", 2),
        ("a: b: c\n", 1),
        ('a: "\\ud800"\n', 1),
        ('"\\udfff": 1\n', 1),
        ("a: b\n c\u2028d\n", 2),
        ("\n" * 4 + "- " * 60 + "a\n", 5),
        ("[" * 60 + "]" * 60, 1),
    ],
)
def test_what_is_not_the_plain_subset_is_refused_with_its_line(text, line):
    """Anchors, aliases, tags, merge keys, further documents, odd keys, broken syntax, half characters, deep nesting."""
    assert _refused(text) == [("Y-SYNTAX", f"f.yaml, line {line}")]


@pytest.mark.parametrize("text", ['a: "\\U00110000"', 'a: "\\Uffffffff"', "a: \x00", "a: \ufffe", "[" * 20000])
def test_what_no_line_can_be_given_for_is_refused_too(text):
    """Characters beyond Unicode or YAML, and nesting beyond the stack."""
    assert [code for code, _ in _refused(text)] == ["Y-SYNTAX"]


def test_a_huge_text_is_refused_before_it_is_read():
    """The limit is on the text, not on what it unfolds to."""
    assert _refused("#" * (MAXIMUM_BYTES + 1)) == [("Y-SYNTAX", "f.yaml")]


def test_an_alias_bomb_is_refused_before_it_unfolds():
    """Nine nested aliases would be a thousand million items."""
    lines = ["a: &a [x,x,x,x,x,x,x,x,x,x]"]
    lines += [f"{b}: &{b} [{','.join(['*' + a] * 10)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)]
    assert [code for code, _ in _refused("\n".join(lines))] == ["Y-SYNTAX"]


pieces = st.sampled_from(
    [
        *("a", "b:", ": ", "- ", "\n", "  ", "\t", "[", "]", "{", "}", ",", "'", '"', "&x", "*x", "!", "|", ">", "#", "?", "%"),
        *("---", "...", "\\", "<<", "0", "1", "e", ".", "_", "NO", "null", "\u2028", "\ud800", "\x00", "\ufeff", "é"),
    ]
)


@given(st.text(max_size=40) | st.lists(pieces, max_size=25).map("".join))
def test_no_text_fails_in_another_way(text):
    """Any text is read or refused with codes of the catalogue, and what is read is plain JSON."""
    codes, data = (), None
    try:
        data = parse_text(text, "f.yaml").data
    except Refused as refused:
        codes = refused.codes
    assert all(code in CATALOGUE and code.startswith("Y-") for code in codes)
    assert json.loads(json.dumps(data, allow_nan=False)) == data


# -------------------------------------------------------------------------------------------------------------- models


class Inner(Value):
    rate: float = Field(default=0.5, gt=0, alias="learningRate")
    names: tuple[str, ...] = ()


class Outer(Value):
    title: str
    count: int = 0
    inner: Inner = Inner()
    several: tuple[Inner, ...] = ()
    by_name: dict[str, Inner] = Field(default_factory=dict)
    either: Inner | str | None = None


def _problems(text):
    with pytest.raises(Refused) as refused:
        parse(Outer, parse_text(text, "f.yaml"))
    return refused.value.problems


@pytest.mark.parametrize(
    ("text", "line", "key", "guess"),
    [
        ("title: x\ncuont: 1\n", 2, "cuont", "'count'"),
        ("title: x\ninner:\n  learningrate: 1\n", 3, "inner.learningrate", "'learningRate'"),
        ("title: x\nseveral:\n  - names: []\n  - nmaes: []\n", 4, "several.1.nmaes", "'names'"),
        ("title: x\nby_name:\n  one: {}\n  two: {name: []}\n", 4, "by_name.two.name", "'names'"),
        ("title: x\nzzz: 1\n", 2, "zzz", "known keys here: by_name, count"),
    ],
)
def test_an_unknown_key_gets_its_line_and_the_nearest_known_one(text, line, key, guess):
    """At every depth: in mappings, in lists, in mappings of mappings."""
    (problem,) = _problems(text)
    assert (problem.code, problem.place) == ("Y-KEY", f"f.yaml, line {line}")
    assert repr(key) in problem.finding
    assert guess in problem.next_step


def test_an_unknown_key_in_a_choice_is_found():
    """A value that may be of two kinds still names the key."""
    assert ("Y-KEY", "f.yaml, line 3") in [(p.code, p.place) for p in _problems("title: x\neither:\n  nmes: [a]\n")]


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("count: 1\n", "Y-MISSING", 1),
        ("title: 5\n", "Y-VALUE", 1),
        ("title: true\n", "Y-VALUE", 1),
        ("title: x\ncount: '5'\n", "Y-VALUE", 2),
        ("title: x\ncount: 1.0\n", "Y-VALUE", 2),
        ("title: x\ncount: true\n", "Y-VALUE", 2),
        ("title: x\ninner: []\n", "Y-VALUE", 2),
        ("title: x\ninner:\n  learningRate: 0\n", "Y-VALUE", 3),
        ("title: x\nseveral:\n  - names: [a,\n      1]\n", "Y-VALUE", 4),
        ("just text", "Y-VALUE", 1),
        ("[1]", "Y-VALUE", 1),
    ],
)
def test_wrong_values_are_refused_with_their_line(text, code, line):
    """No value is converted into the type that is wanted."""
    (problem,) = _problems(text)
    assert (problem.code, problem.place) == (code, f"f.yaml, line {line}")


def test_an_empty_file_has_one_problem_that_names_every_key():
    """Whoever saved nothing is told once."""
    for text in ("", "# nothing yet\n", "{}"):
        (problem,) = _problems(text)
        assert (problem.code, problem.finding, problem.next_step) == ("Y-MISSING", "it holds nothing", "add 'title'")


def test_one_thing_may_not_be_given_under_two_names():
    """A field's Python name beside its name in files is an unknown key, never a silent choice."""
    (problem,) = _problems("title: x\ninner: {learningRate: 1, rate: 2}\n")
    assert problem.code == "Y-KEY"


def test_no_message_holds_the_value():
    """What a person wrote as a value may be a secret or a record; it is not repeated."""
    problems = _problems("title: x\ncount: 'SMITH-JOHN'\ninner: {learningRate: -77123}\n")
    assert len(problems) == 2
    assert not any("SMITH" in str(problem) or "77123" in str(problem) for problem in problems)


# --------------------------------------------------------------------------------------------------------------- files


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path):
    """Editors that write one do no harm."""
    (tmp_path / "f.yaml").write_bytes(b"\xef\xbb\xbftitle: x\n")
    assert load(tmp_path / "f.yaml").data == {"title": "x"}


@pytest.mark.parametrize(
    ("content", "code"), [(b"title: caf\xe9\n", "Y-ENCODING"), ("title: x\n".encode("utf-16"), "Y-ENCODING"), (None, "Y-FILE")]
)
def test_files_that_cannot_be_read_are_refused(content, code, tmp_path):
    """Not UTF-8, or not there."""
    file = tmp_path / "f.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(Refused) as refused:
        load(file)
    assert refused.value.codes == (code,)


def test_a_folder_is_no_file(tmp_path):
    """A folder is refused as such."""
    with pytest.raises(Refused, match="folder"):
        load(tmp_path)


# -------------------------------------------------------------------------------------------------------- nearest word

LETTERS = "abcdefghijklmnopqrstuvwxyz_"
word = st.text(LETTERS, min_size=2, max_size=12)


@given(word, st.data())
def test_one_edit_away_is_always_near(right, data):
    """Deletion, insertion, substitution and swapping of neighbours all lead back, also for short words."""
    at = data.draw(st.integers(0, len(right) - 1))
    letter = data.draw(st.sampled_from(LETTERS))
    edits = [right[:at] + right[at + 1 :], right[:at] + letter + right[at:], right[:at] + letter + right[at + 1 :]]
    edits += [right[:at] + right[at + 1 : at + 2] + right[at : at + 1] + right[at + 2 :]]
    assert all(nearest(edit, [right, "q" * 30]) == right for edit in edits)


def test_nothing_is_near_to_nonsense():
    """A hint that is wrong is worse than none."""
    assert nearest("zzzz", ["radius", "texture"]) is None


def test_a_model_without_aliases_is_read_too():
    """The reader serves any pydantic model."""

    class Plain(BaseModel):
        model_config = ConfigDict(extra="forbid")
        size: int

    assert parse(Plain, parse_text("size: 3", "f")).size == 3
