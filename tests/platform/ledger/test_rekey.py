"""A ledger whose hospital renewed its keys: one chain, verified from any key that it had; nobody else slips in."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from paper_ledgers import entry
from paper_successions import renewed, succession
from studies_on_paper import party, signing_key

from wardround.errors import Refused
from wardround.identity.keys import SigningKey
from wardround.ledger.entries import AnyEntry, KeysRenewed
from wardround.ledger.folder import read_entries
from wardround.ledger.lines import GENESIS, write_line
from wardround.ledger.verification import verify_ledger
from wardround.ledger.writing import LedgerWriter

PARTIES = [party("beta")]
PARTIES += [renewed(PARTIES[0], "2"), renewed(PARTIES[0], "3")]
KEYS = [each.key for each in PARTIES]
STRANGER = signing_key("a stranger")
DAY = "2026-07-01T08:00:00Z"
EACH = 5
"""Entries under each key, besides the one that names the next."""

Written = list[tuple[AnyEntry, SigningKey]]


def written(*statements) -> Written:
    """Give entries under the first key, a renewal, entries under the second, and so on."""
    found: Written = []
    for number, key in enumerate(KEYS):
        found += [(entry(index, DAY, GENESIS), key) for index in range(EACH)]
        if number < len(statements):
            found.append((KeysRenewed(time=DAY, statement=statements[number]), key))
    return found


STATEMENTS = [succession(before, after) for before, after in itertools.pairwise(PARTIES)]
GOOD = written(*STATEMENTS)


def ledger(folder: Path, entries: Written) -> Path:
    folder.mkdir()
    head, lines = GENESIS, []
    for number, (each, key) in enumerate(entries):
        line, head = write_line(each, number, head, key)
        lines.append(line)
    (folder / f"{DAY[:10]}.jsonl").write_bytes(b"".join(lines))
    return folder


def refused(folder: Path, key: SigningKey) -> tuple[str, str]:
    with pytest.raises(Refused) as caught:
        verify_ledger(folder, key.public)
    ((problem,),) = [caught.value.problems]
    return problem.code, problem.place.partition("(")[2].rstrip(")")


@pytest.mark.parametrize("length", [3, EACH + 1, EACH + 2, 2 * EACH + 2, len(GOOD)])
def test_it_holds_by_any_key_that_it_had(tmp_path, length):
    """By the first alone, offline; by the newest; also where the renewal is the last entry. By a stranger's, never."""
    folder = ledger(tmp_path / "ledger", GOOD[:length])
    had = 1 + sum(isinstance(each, KeysRenewed) for each, _ in GOOD[:length])
    for key in KEYS[:had]:
        verified = verify_ledger(folder, key.public)
        assert (verified.course.length, len(verified.course.renewals)) == (length, had - 1)
        assert len(list(read_entries(folder, key.public))) == length
    for key in (STRANGER, *KEYS[had:]):
        assert refused(folder, key) == ("L-FORGED", "entry 0")


@pytest.mark.parametrize("which", ["old", "approval", "new"])
def test_a_renewal_without_all_three_signatures_is_found(tmp_path, which):
    """Who stole the node's key alone cannot go over to a key of their own."""
    forged = succession(PARTIES[0], PARTIES[1], **{which: STRANGER})
    folder = ledger(tmp_path / "ledger", written(forged, STATEMENTS[1]))
    assert refused(folder, KEYS[0]) == ("L-FORGED", f"entry {EACH}")


def test_entries_under_the_old_key_after_the_renewal_are_found(tmp_path):
    """The old key ends with the entry that names the next; and the new one is worth nothing before it."""
    late = [*GOOD[: EACH + 3], (GOOD[EACH + 3][0], KEYS[0]), *GOOD[EACH + 4 :]]
    assert refused(ledger(tmp_path / "last", late[: EACH + 4]), KEYS[0]) == ("L-FORGED", f"entry {EACH + 3}")
    early = [*GOOD[:2], (GOOD[2][0], KEYS[1])]
    assert refused(ledger(tmp_path / "early", early), KEYS[0]) == ("L-FORGED", "entry 2")


def test_a_renewal_that_a_stranger_wrote_into_it_is_found(tmp_path):
    """The statement is true, and the entry is not the hospital's."""
    entries = [*GOOD[:3], (KeysRenewed(time=DAY, statement=STATEMENTS[0]), STRANGER), *GOOD[EACH + 1 : EACH + 3]]
    assert refused(ledger(tmp_path / "ledger", entries), KEYS[0]) == ("L-FORGED", "entry 3")


@pytest.mark.parametrize("key", KEYS)
def test_a_change_before_the_renewal_is_named_by_every_key(tmp_path, key):
    """The newest key, too, says where the chain is broken, and not that all of it is somebody else's."""
    folder = ledger(tmp_path / "ledger", GOOD)
    (path,) = folder.iterdir()
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b'"records":161', b'"records":162').replace(b"H-ORDER", b"H-OTHER")
    path.write_bytes(b"".join(lines))
    assert refused(folder, key) == ("L-BROKEN", "entry 2")


def test_it_is_written_on_with_the_new_key(tmp_path):
    """By a node that was started with it, in the same ledger."""
    folder = ledger(tmp_path / "ledger", GOOD[: EACH + 1])
    writer = LedgerWriter(folder, KEYS[1])
    writer.append(entry(2, DAY, GENESIS))
    writer.close()
    assert verify_ledger(folder, KEYS[0].public).course.length == EACH + 2
    with pytest.raises(Refused):
        LedgerWriter(folder, STRANGER)
