"""What the next trainer makes of the note and the last words of the one before."""

from __future__ import annotations

import pytest

from silo_node.training.last_words import LONGEST_WORDS, NOTE, LastWords

RUST = "memory allocation of 4800000 bytes failed\nstack backtrace:\n"
CPP = "terminate called after throwing an instance of 'std::bad_alloc'\n"
WORK = "5f" * 32


@pytest.fixture
def printed(tmp_path):
    file = tmp_path / "trainer.out"
    file.write_text("an older trainer: memory allocation of 7 bytes failed\n")
    return file


def died(tmp_path, printed, words):
    """A trainer that began some work and printed its last words; gives the next one."""
    LastWords(tmp_path, printed).begin(WORK)
    with printed.open("a") as file:
        file.write(words)
    return LastWords(tmp_path, printed)


@pytest.mark.parametrize("words", [RUST, CPP, RUST + "x" * (LONGEST_WORDS - 100), "x" * LONGEST_WORDS + RUST])
def test_memory_is_understood_once_and_for_this_work_only(tmp_path, printed, words):
    """The same work asked for again is tried again: the limit may be another one by then."""
    assert not died(tmp_path, printed, words).take_lost("other work")
    following = died(tmp_path, printed, words)
    assert following.take_lost(WORK)
    assert not following.take_lost(WORK)
    assert not LastWords(tmp_path, printed).take_lost(WORK)


@pytest.mark.parametrize("words", ["", "Segmentation fault\n"])
def test_another_death_is_not_taken_for_it(tmp_path, printed, words):
    """Words of a trainer before that one are not this one's."""
    assert not died(tmp_path, printed, words).take_lost(WORK)


def test_work_that_ended_left_no_note(tmp_path, printed):
    """What is printed after the work is not about it."""
    first = LastWords(tmp_path, printed)
    first.begin(WORK)
    first.end()
    printed.write_text(RUST)
    assert not LastWords(tmp_path, printed).take_lost(WORK)


def test_a_file_that_was_cut_meanwhile_is_read_whole(tmp_path, printed):
    """Its supervisor rotates what is printed."""
    printed.write_text("x" * 1000)
    LastWords(tmp_path, printed).begin(WORK)
    printed.write_text(RUST)
    assert LastWords(tmp_path, printed).take_lost(WORK)


@pytest.mark.parametrize("note", ["", "{}", "no note"])
def test_a_broken_note_and_no_file_say_nothing(tmp_path, note):
    """Nothing is known then, and the count of deaths decides."""
    (tmp_path / NOTE).write_text(note)
    assert not LastWords(tmp_path, tmp_path / "missing").take_lost(WORK)
