"""What a SuperNode prints is heard from its start on, however much it is, and though its file is cut in between."""

from __future__ import annotations

import pytest

from silo_node.supernode_words import CONNECTED, LARGEST_READ_BYTES, NOT_LET_IN, SuperNodeWords, read_kept_out


@pytest.fixture
def printed(tmp_path):
    """The file of what it prints."""
    return tmp_path / "supernode.out"


@pytest.fixture
def noted():
    """What is written into the hospital's log."""
    lines: list[str] = []
    return lines


@pytest.fixture
def words(tmp_path, printed, noted):
    """Somebody who listens."""
    return SuperNodeWords(printed, tmp_path / "let-in", tmp_path / "kept-out", noted.append)


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


def test_a_node_that_is_removed_is_written_down_once(printed, words, noted, tmp_path):
    """A newcomer that is refused was never in; one that was is written down at its first refusal, until it is in again."""
    say(printed, NOT_LET_IN)
    assert words.explain(1).codes == ("N-REFUSED",)
    assert (noted, read_kept_out(tmp_path / "kept-out")) == ([], None)
    say(printed, CONNECTED)
    assert words.connected()
    for _ in range(3):
        words.begin()
        say(printed, NOT_LET_IN)
        assert not words.connected()
        words.explain(1)
    kept_out = read_kept_out(tmp_path / "kept-out")
    assert kept_out is not None
    assert [line.partition(":")[0] for line in noted] == ["N-REFUSED"]
    words.begin()
    say(printed, CONNECTED)
    assert words.connected()
    assert read_kept_out(tmp_path / "kept-out") is None
    assert len(noted) == 2


def test_what_cannot_be_read_is_no_fact(tmp_path):
    """A damaged note of being kept out says nothing, and stops nobody from asking."""
    (tmp_path / "kept-out").write_bytes(b"{")
    assert read_kept_out(tmp_path / "kept-out") is None
