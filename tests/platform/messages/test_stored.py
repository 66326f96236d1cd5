"""An envelope that was stored is the same bit by bit, or none."""

from hypothesis import given
from hypothesis import strategies as st

from wardround.messages.envelope import Envelope
from wardround.messages.stored import restore, store

envelopes = st.builds(
    Envelope,
    message=st.binary(max_size=300),
    signature=st.text("0123456789abcdef", max_size=128),
    arrays=st.lists(st.binary(max_size=100), max_size=2).map(tuple),
    body_key=st.text("0123456789abcdef", max_size=160),
)


@given(envelopes)
def test_what_is_stored_comes_back(envelope):
    """Message, signature, key and arrays, whatever bytes they hold."""
    assert restore(store(envelope)) == envelope


@given(envelopes, st.data())
def test_what_was_cut_is_none(envelope, data):
    """A file that ends early, or goes on, is no envelope; and nothing raises."""
    whole = store(envelope)
    assert restore(whole[: data.draw(st.integers(0, len(whole) - 1))]) is None
    assert restore(whole + b"x") is None


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_none(data):
    """Rubbish is no envelope; what is read stores to the same bytes."""
    found = restore(data)
    assert found is None or store(found) == data
