"""Writing a ledger: a file a day, one writer, nothing half-written, and a torn end dropped."""

from __future__ import annotations

import errno
import json

import pytest
from paper_ledgers import KEY, STRANGER, entry

from wardround.errors import Refused
from wardround.ledger.folder import read_entries
from wardround.ledger.lines import GENESIS
from wardround.ledger.writing import LedgerWriter


def write(folder, *times: str) -> list[str]:
    """Append an entry at each of these times; gives the heads."""
    writer = LedgerWriter(folder, KEY)
    try:
        return [writer.append(entry(0, when, GENESIS)) for when in times]
    finally:
        writer.close()


def days(folder) -> dict[str, int]:
    """Give how many lines each file has."""
    return {path.name: path.read_bytes().count(b"\n") for path in sorted(folder.iterdir())}


def test_a_file_a_day_and_one_chain(tmp_path):
    """A new day begins a new file; numbers and hashes go on, over restarts too."""
    heads = write(tmp_path, "2026-07-01T23:59:59Z", "2026-07-02T00:00:00Z")
    heads += write(tmp_path, "2026-07-02T10:00:00Z", "2026-07-05T00:00:00Z")
    assert days(tmp_path) == {"2026-07-01.jsonl": 1, "2026-07-02.jsonl": 2, "2026-07-05.jsonl": 1}
    lines = [line for line, _ in read_entries(tmp_path, KEY.public)]
    assert [line.sequence for line in lines] == [0, 1, 2, 3]
    assert [line.hash for line in lines] == heads
    assert [line.previous for line in lines] == [GENESIS, *heads[:-1]]
    assert all(line.signed_by(KEY.public) for line in lines)
    assert {path.stat().st_mode & 0o077 for path in tmp_path.iterdir()} == {0}


def test_a_line_is_canonical_json(tmp_path):
    """What is on disk is what the reference says, in the order of its keys."""
    (head,) = write(tmp_path, "2026-07-01T10:00:00Z")
    text = (tmp_path / "2026-07-01.jsonl").read_text().rstrip("\n")
    line = json.loads(text)
    assert json.dumps(line, separators=(",", ":"), sort_keys=True) == text
    assert [*line] == ["entry", "hash", "previous", "sequence", "signature"]
    assert (line["hash"], line["sequence"], line["entry"]["event"]) == (head, 0, "release")


def test_a_clock_that_is_set_back_writes_on(tmp_path):
    """Before the day of the open file, entries still go to its end: no earlier file is written again."""
    write(tmp_path, "2026-07-03T10:00:00Z", "2026-07-01T10:00:00Z")
    write(tmp_path, "2026-07-02T10:00:00Z")
    assert days(tmp_path) == {"2026-07-03.jsonl": 3}
    assert len(list(read_entries(tmp_path, KEY.public))) == 3


@pytest.mark.parametrize("left", [b"", b'{"entry":{"event":"rel'])
def test_a_day_whose_first_line_was_cut_off_begins_again(tmp_path, left):
    """Killed while the first line of a day was written: the file goes, and the ledger goes on, whatever day it is."""
    write(tmp_path, "2026-07-01T10:00:00Z")
    (tmp_path / "2026-07-09.jsonl").write_bytes(left)
    write(tmp_path, "2026-07-02T10:00:00Z")
    assert days(tmp_path) == {"2026-07-01.jsonl": 1, "2026-07-02.jsonl": 1}


def test_a_torn_line_is_dropped(tmp_path):
    """Killed in the middle of a line, at any byte: the next writer drops it and goes on from the line before."""
    write(tmp_path, "2026-07-01T10:00:00Z", "2026-07-01T10:00:01Z")
    path = tmp_path / "2026-07-01.jsonl"
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for end in range(first, len(whole)):
        path.write_bytes(whole[:end])
        writer = LedgerWriter(tmp_path, KEY)
        writer.close()
        assert path.read_bytes() == whole[:first]


def test_one_writer(tmp_path):
    """A second one is refused, whatever day it is; the lock goes with the first."""
    writer = LedgerWriter(tmp_path, KEY)
    with pytest.raises(Refused) as caught:
        LedgerWriter(tmp_path, KEY)
    assert caught.value.codes == ("L-BUSY",)
    writer.close()
    LedgerWriter(tmp_path, KEY).close()


def test_another_key_does_not_go_on(tmp_path):
    """A ledger is of one key: with another, even a true one, it is refused before anything is written."""
    write(tmp_path, "2026-07-01T10:00:00Z")
    before = (tmp_path / "2026-07-01.jsonl").read_bytes()
    with pytest.raises(Refused) as caught:
        LedgerWriter(tmp_path, STRANGER)
    assert caught.value.codes == ("L-FORGED",)
    assert (tmp_path / "2026-07-01.jsonl").read_bytes() == before


@pytest.mark.parametrize("when", ["2026-07-01T10:00:01Z", "2026-07-02T10:00:00Z"])
def test_a_full_disk_takes_nothing_and_the_ledger_goes_on(tmp_path, monkeypatch, when):
    """An entry that the disk does not take is not there at all, in an old file or a new one; the next one is."""
    writer = LedgerWriter(tmp_path, KEY)
    head = writer.append(entry(0, "2026-07-01T10:00:00Z", GENESIS))
    before = days(tmp_path)

    def full(_descriptor):
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr("wardround.append_only.os.fsync", full)
        with pytest.raises(Refused) as caught:
            writer.append(entry(0, when, GENESIS))
    assert caught.value.codes == ("O-WRITE",)
    assert (days(tmp_path), writer.head) == (before, head)
    writer.append(entry(0, "2026-07-01T11:00:00Z", GENESIS))
    writer.close()
    assert days(tmp_path) == {"2026-07-01.jsonl": 2}
    assert len(list(read_entries(tmp_path, KEY.public))) == 2


def test_an_entry_is_on_disk_before_its_head_is_known(tmp_path, monkeypatch):
    """The flush comes after the bytes, and before the head is given."""
    sizes = []
    writer = LedgerWriter(tmp_path, KEY)
    writer.append(entry(0, "2026-07-01T10:00:00Z", GENESIS))
    path = tmp_path / "2026-07-01.jsonl"
    monkeypatch.setattr("wardround.append_only.os.fsync", lambda _descriptor: sizes.append((path.stat().st_size, writer.head)))
    before = writer.head
    writer.append(entry(0, "2026-07-01T10:00:01Z", GENESIS))
    writer.close()
    assert sizes == [(path.stat().st_size, before)]
