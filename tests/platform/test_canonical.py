"""One canonical form, one digest: RFC 8785, and nothing that JSON readers would disagree on."""

import hashlib
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.canonical import canonical_bytes, digest, digest_bytes, is_canonical, model_bytes, model_json, sha256
from wardround.errors import Broken
from wardround.values import Value

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
number = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False).map(lambda x: x + 0.0)
plain = st.recursive(
    st.none() | st.booleans() | number | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)


def _same(left, right):
    """Equality that tells true from 1, as JSON does, and takes 1.0 for 1, as JSON does."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if (isinstance(left, float) and isinstance(right, int)) or (isinstance(left, int) and isinstance(right, float)):
        return float(left) == float(right)
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    return left == right


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"b": 1, "a": [True, None]}, b'{"a":[true,null],"b":1}'),
        ({"\u20ac": 1, "\r": 2, "1": 3, "\U0001f600": 4, "\ufb33": 5}, '{"\\r":2,"1":3,"€":1,"😀":4,"\ufb33":5}'.encode()),
        ([333333333.33333329, 1e30, 4.50, 2e-3, 1e-27], b"[333333333.3333333,1e+30,4.5,0.002,1e-27]"),
        ("\u20ac$\u000f\nA'\u0042\u0022\u005c\\\"/", '"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'.encode()),
        ([1.0, 0.0, 100000000000000000000.0], b"[1,0,100000000000000000000]"),
    ],
)
def test_the_examples_of_rfc_8785(value, expected):
    """Keys by UTF-16 code units, numbers as ECMAScript writes them, shortest escapes."""
    assert canonical_bytes(value) == expected


@given(plain)
def test_the_canonical_form_is_the_same_data(value):
    """Reading it back gives what was written, and it is its own canonical form."""
    data = canonical_bytes(value)
    assert _same(json.loads(data, parse_int=lambda digits: float(digits) if len(digits) > 15 else int(digits)), value)
    assert is_canonical(data)


@given(st.dictionaries(text, plain, min_size=2, max_size=6), st.randoms())
def test_the_order_of_keys_does_not_matter(value, random):
    """Two orders of one mapping have one digest."""
    keys = list(value)
    random.shuffle(keys)
    assert digest("t", 1, {key: value[key] for key in keys}) == digest("t", 1, value)


@given(plain, plain)
def test_different_data_have_different_digests(left, right):
    """A digest fixes the data."""
    assert (digest("t", 1, left) == digest("t", 1, right)) is _same(left, right)


@given(plain)
def test_kind_and_version_separate_digests(value):
    """A digest of one kind or version is never one of another."""
    assert len({digest("a", 1, value), digest("a", 2, value), digest("b", 1, value), sha256(canonical_bytes(value))}) == 4


def test_the_digest_is_the_one_that_the_reference_describes():
    """SHA-256 over wardround/<kind>/<version>, a zero byte and the canonical bytes: anybody can compute it."""
    expected = hashlib.sha256(b'wardround/thing/3\0{"a":1}').hexdigest()
    assert digest("thing", 3, {"a": 1}) == digest_bytes("thing", 3, b'{"a":1}') == expected


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        -math.inf,
        -0.0,
        2**53,
        -(2**53),
        {"a": [1, {"b": -0.0}]},
        {1: "a"},
        b"x",
        {1, 2},
        pytest.param(object(), id="an object"),
        "\ud800",
    ],
    ids=repr,
)
def test_what_has_no_canonical_form_is_our_own_fault(value):
    """Not finite, negative zero, inexact integers, half characters, and what JSON does not have."""
    with pytest.raises(Broken):
        canonical_bytes(value)


def test_the_fault_does_not_repeat_the_value():
    """Not even a bug's message holds data."""
    with pytest.raises(Broken) as broken:
        canonical_bytes({"a": "SMITH\ud800"})
    assert "SMITH" not in str(broken.value)


@pytest.mark.parametrize(
    "data",
    [
        b'{"b":1,"a":2}',
        b'{"a": 1}',
        b'{"a":1.0}',
        b'{"a":1,"a":1}',
        b"[1]\n",
        b"NaN",
        b"-0",
        b'"\\u0041"',
        b"\xff",
        b"",
        b"[" * 9999,
    ],
)
def test_other_spellings_are_not_canonical(data):
    """Order, space, number form, double keys, escapes, broken text."""
    assert not is_canonical(data)


class Inner(Value):
    rate: float = 0.5


class Outer(Value):
    inner: Inner = Inner()
    names: tuple[str, ...] = ()
    note: str | None = None


def test_defaults_are_filled_in():
    """What was left out is part of the canonical form: a changed default is a changed value."""
    assert model_json(Outer()) == {"inner": {"rate": 0.5}, "names": [], "note": None}
    assert model_bytes(Outer()) == model_bytes(Outer(inner=Inner(rate=0.5), note=None))
