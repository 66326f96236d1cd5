"""What a SuperNode prints is heard from its start on, however much it is, and though its file is cut in between."""

from __future__ import annotations

import pytest

from silo_node.supernode_words import CONNECTED, LARGEST_READ_BYTES, NOT_LET_IN, SuperNodeWords


@pytest.fixture
def printed(tmp_path):
    """The file of what it prints."""
    return tmp_path / "supernode.out"


@pytest.fixture
def words(tmp_path, printed):
    """Somebody who listens."""
    return SuperNodeWords(printed, tmp_path / "let-in")


def say(path, text):
    with path.open("ab") as file:
        file.write(text)


def test_it_hears_from_the_last_start_on(printed, words, tmp_path):
    """What an earlier SuperNode said is not taken for this one's; that a node was in is written down."""
    assert not words.connected()
    say(printed, CONNECTED + b" 1\n")
    assert words.connected()
    assert (tmp_path / "let-in").exists()
    words.begin()
    assert not words.connected()
    say(printed, CONNECTED + b" 2\n")
    assert words.connected()


def test_a_centre_that_is_away_for_long_is_no_end_of_listening(printed, words):
    """A SuperNode that has filled its file with tries is heard when it gets in, also across two looks."""
    say(printed, b"trying again\n" * 100_000)
    assert not words.connected()
    say(printed, CONNECTED[:5])
    assert not words.connected()
    say(printed, CONNECTED[5:] + b" 3\n" + b"x" * (LARGEST_READ_BYTES + 1))
    assert words.connected()


def test_a_file_that_was_cut_is_read_from_its_beginning(printed, words):
    """What was heard before stays heard, what is said after the cut is heard."""
    say(printed, b"x" * 1000 + NOT_LET_IN)
    assert words.explain(1).codes == ("N-REFUSED",)
    printed.write_bytes(b"")
    assert words.explain(1).codes == ("N-REFUSED",)
    words.begin()
    assert words.explain(1) is None
    say(printed, b"y" * 100)
    words.begin()
    printed.write_bytes(CONNECTED)
    assert words.connected()


def test_who_is_tried_again(printed, words):
    """A newcomer for some seconds; one that was in, for as long as its patience is."""
    assert words.worth_another_try(1.0)
    assert not words.worth_another_try(1000.0)
    say(printed, CONNECTED)
    assert words.connected()
    assert words.worth_another_try(1000.0)
