"""Errors that a person can act on: five parts, a stable code, all at once."""

import re

import pytest

from wardround import errors
from wardround.errors import CATALOGUE, Broken, Problem, Refused, WardroundError, raise_all, refuse, sentence

PROBLEM = Problem("Y-KEY", "study.yaml, line 3", "Unknown keys are refused", "the key 'lerning' is not known", "correct it")


@pytest.mark.parametrize("code", CATALOGUE)
def test_codes_and_titles_are_well_formed(code):
    """A letter and a word or two; a title in one line; an exit status that a command may have."""
    entry = CATALOGUE[code]
    assert re.fullmatch(r"[A-Z](-[A-Z]+){1,2}", code)
    assert entry.title
    assert entry.title == entry.title.strip().rstrip(".")
    assert "\n" not in entry.title
    assert entry.exit_status in (errors.EXIT_NOT_IN_ORDER, errors.EXIT_USAGE)


def test_titles_are_distinct():
    """Two codes that say the same are one code."""
    titles = [entry.title for entry in CATALOGUE.values()]
    assert len(titles) == len(set(titles))


def test_a_code_without_an_entry_is_our_own_fault():
    """No message without a page."""
    with pytest.raises(Broken):
        Problem("Z-NONE", "here", "rule", "finding", "next")


def test_the_text_has_all_five_parts():
    """Code, place, finding, rule, next step."""
    assert str(PROBLEM) == (
        "Y-KEY study.yaml, line 3: the key 'lerning' is not known. Unknown keys are refused.\n  Next: correct it."
    )
    assert PROBLEM.as_json() == {
        "code": "Y-KEY",
        "place": "study.yaml, line 3",
        "rule": "Unknown keys are refused",
        "finding": "the key 'lerning' is not known",
        "next_step": "correct it",
    }


@pytest.mark.parametrize(("text", "ended"), [("a", "a."), ("a.", "a."), ("a?", "a?"), ("a!", "a!"), ("", ".")])
def test_a_sentence_ends_once(text, ended):
    """No second full stop after a mark."""
    assert sentence(text) == ended


def test_all_problems_travel_together():
    """Codes in order, texts joined, the gravest exit status."""
    checked = Problem("T-RANGE", "t.x", "rule", "finding", "next")
    refused = Refused(iter([checked, PROBLEM]))
    assert refused.codes == ("T-RANGE", "Y-KEY")
    assert str(refused) == f"{checked}\n{PROBLEM}"
    assert refused.exit_status == 2
    assert Refused([checked]).exit_status == 1


def test_a_refusal_has_a_reason():
    """Refusing for nothing is a bug."""
    with pytest.raises(Broken):
        Refused([])


def test_raise_all_raises_only_when_there_is_something():
    """The end of every check: nothing, or everything."""
    raise_all([])
    with pytest.raises(Refused) as refused:
        raise_all([PROBLEM, PROBLEM])
    assert refused.value.problems == (PROBLEM, PROBLEM)


def test_refuse_makes_the_exception_of_one_problem():
    """The short form says the same as the long one."""
    assert refuse("Y-KEY", "p", "r", "f", "n").problems == (Problem("Y-KEY", "p", "r", "f", "n"),)


def test_a_problem_cannot_be_changed_afterwards():
    """What was found stays found."""
    with pytest.raises(AttributeError):
        PROBLEM.code = "Y-VALUE"


def test_the_tree_of_exceptions():
    """Bad input and our own bugs are two branches; one catches both only on purpose."""
    assert issubclass(Refused, WardroundError)
    assert issubclass(Broken, WardroundError)
    assert not issubclass(Broken, Refused)
    assert not issubclass(Refused, Broken)
