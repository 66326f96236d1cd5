"""The judge of the tests by mutants: what it changes, what it leaves alone, and that it knows where every finding is made."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import get_args

import pytest

from wardround.messages.data_report import FindingCode

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Give the tool, whose modules find each other in their own folder."""
    monkeypatch.syspath_prepend(str(HERE))
    import mutation_run

    yield mutation_run
    for name in ("mutation_run", "operators", "rules", "trial"):
        sys.modules.pop(name, None)


def changed(tool: ModuleType, source: str) -> set[str]:
    return {each.apply(source.encode()).decode() for each in tool.mutants("module.py", source.encode())}


def test_boundaries_are_moved_and_comparisons_turned_round(tool):
    assert {"def f(x):\n    return (x <= 3)\n", "def f(x):\n    return (x >= 3)\n", "def f(x):\n    return x < (4)\n"} <= changed(
        tool, "def f(x):\n    return x < 3\n"
    )


def test_masks_lose_a_part(tool):
    assert {"def f(a, b):\n    return (a)\n", "def f(a, b):\n    return (a | b)\n"} <= changed(
        tool, "def f(a, b):\n    return a & b\n"
    )


def test_what_is_yielded_is_left_out_and_the_function_still_yields(tool):
    assert "def f(x):\n    if False: yield\n" in changed(tool, "def f(x):\n    yield x\n")


def test_conditions_are_taken_as_fulfilled_and_as_not(tool):
    assert {"def f(x):\n    if (True):\n        x()\n", "def f(x):\n    if (False):\n        x()\n"} <= changed(
        tool, "def f(x):\n    if x:\n        x()\n"
    )


def test_elements_of_lists_and_filled_nulls_are_dropped(tool):
    assert {"CODES = (('T-ENUM',))\n", "CODES = (('T-NULL',))\n"} <= changed(tool, "CODES = ('T-NULL', 'T-ENUM')\n")
    assert "def f(x):\n    return (x)\n" in changed(tool, "def f(x):\n    return x.fill_null(value=False)\n")


def test_words_for_people_are_left_alone(tool):
    source = '"""Of 3 things."""\n\n\ndef f(x: Literal["error"]) -> int:\n    assert x > 3\n    raise ValueError(f"{x + 1}")\n'
    assert changed(tool, source) == {source.replace('raise ValueError(f"{x + 1}")', "pass")}


def test_letters_of_more_than_one_byte_move_nothing(tool):
    source = "def f(x):\n    return 'ä' if x == 'größer' else 'µ' + x\n"
    assert "def f(x):\n    return 'ä' if (x != 'größer') else 'µ' + x\n" in changed(tool, source)


def test_every_mutant_of_a_module_can_be_read(tool):
    path = "silo_node/silo_node/validation/constraints.py"
    source = (ROOT / path).read_bytes()
    found = tool.mutants(path, source)
    assert len(found) > 150
    for mutant in found:
        compile(mutant.apply(source), path, "exec")
    assert len({mutant.apply(source) for mutant in found} | {source}) == len(found) + 1


def test_every_code_has_a_place_where_it_is_made(tool):
    """`make test-mutants` leaves each of them out; a code that is made in a way that it does not know would not be judged."""
    found = set()
    for pattern in tool.RULES_IN:
        for path in ROOT.glob(pattern):
            source = path.read_bytes()
            for rule in tool.dropped_rules(str(path.relative_to(ROOT)), source):
                compile(rule.apply(source), path, "exec")
                found.add(tool.code_of(rule))
    assert found - {"rules"} == set(get_args(FindingCode))


def test_every_survivor_that_is_explained_is_still_a_change_of_the_code(tool):
    texts = tool.read()
    assert tool.stale(texts, tool.accepted()) == []
    moved = tool.Accepted("silo_node/silo_node/validation/codes.py", "moved", "x == 1", None, "it was there once")
    assert tool.stale(texts, [*tool.accepted(), moved]) == [moved]


def test_traced_text_does_the_same_and_tells_what_runs(tool):
    ran = []
    space = {"_mutation_ran": lambda path, line: ran.append((path, line))}
    source = b"def f(x):\n    '''Say so.'''\n    if x > 1:\n        return 1\n    elif x:\n        return 2\n    return 3\n"
    exec(sys.modules["trial"].traced("module.py", source), space)  # noqa: S102  (our own text)
    assert [space["f"](each) for each in (2, 1, 0)] == [1, 2, 3]
    assert ran == [("module.py", line) for line in (3, 4, 3, 5, 6, 3, 5, 7)]


def test_the_interval_of_a_share_is_wilsons(tool):
    assert tool.interval(0.9, 100) == pytest.approx((0.8256, 0.9448), abs=1e-4)
    assert tool.interval(1.0, 50)[1] == 1.0
