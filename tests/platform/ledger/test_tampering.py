"""A ledger of 500 entries: whatever is done to it behind an outside head is found, and found at the right entry."""

from __future__ import annotations

import itertools
import json
import random
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paper_ledgers import KEY, STRANGER, lines, write_ledger

from wardround.errors import Refused
from wardround.ledger.folder import SUFFIX, Course, read_entries, read_ledger
from wardround.ledger.lines import GENESIS, seal_line
from wardround.ledger.verification import verify_ledger

COUNT, A_DAY = 500, 60
WRITTEN = list(lines(COUNT, A_DAY))
LENGTHS = [len(line) for _, line in WRITTEN]
HEAD = json.loads(WRITTEN[-1][1])["hash"]
ENTRY = re.compile(r"\(entry (\d+)\)")

numbers = st.integers(0, COUNT - 1)


@pytest.fixture(scope="module")
def untouched(tmp_path_factory) -> Path:
    """Give the ledger as it was written."""
    return write_ledger(tmp_path_factory.mktemp("ledger") / "ledger", WRITTEN)


@pytest.fixture
def copied(untouched, tmp_path):
    """Give a function that makes a new copy of the ledger."""
    count = itertools.count()

    def make() -> Path:
        return Path(shutil.copytree(untouched, tmp_path / str(next(count))))

    return make


def refusal(folder: Path, *heads: str) -> Refused:
    """Verify a ledger that does not hold."""
    with pytest.raises(Refused) as caught:
        verify_ledger(folder, KEY.public, heads or (HEAD,))
    assert len(caught.value.problems) == 1
    return caught.value


def named(found: Refused) -> int:
    """Give the entry that a refusal names."""
    match = ENTRY.search(found.problems[0].place)
    assert match is not None, found.problems[0]
    return int(match[1])


def edit(folder: Path, entry: int, at: int, value: int) -> None:
    """Change one byte of an entry's line."""
    day = WRITTEN[entry][0]
    first = next(number for number, (each, _) in enumerate(WRITTEN) if each == day)
    path = folder / f"{day}{SUFFIX}"
    data = bytearray(path.read_bytes())
    position = sum(LENGTHS[first:entry]) + at
    assert data[position] != value
    data[position] = value
    path.write_bytes(data)


def test_untouched_it_holds(untouched):
    """All 500 entries verify, in their days, with every head that somebody outside may hold."""
    heads = [json.loads(line)["hash"] for _, line in WRITTEN]
    verified = verify_ledger(untouched, KEY.public, heads)
    assert (verified.course.length, verified.course.head, verified.course.torn) == (COUNT, HEAD, False)
    assert [each.entries for each in verified.course.segments] == [A_DAY] * 8 + [20]
    assert verified.events == {"release": 167, "receipt": 167, "refusal": 166}
    assert verified.confirmed == COUNT - 2, "the last entry but one is a release, and the last its receipt"


@given(entry=numbers, where=st.floats(0, 1, exclude_max=True), turn=st.integers(1, 255))
def test_a_changed_byte_is_found_in_its_entry(untouched, tmp_path_factory, entry, where, turn):
    """Any byte of any entry, its line break too, changed to any other: the entry is named."""
    folder = shutil.copytree(untouched, tmp_path_factory.mktemp("edited") / "ledger")
    at = int(where * LENGTHS[entry])
    edit(folder, entry, at, WRITTEN[entry][1][at] ^ turn)
    found = refusal(folder)
    assert found.codes == ("L-BROKEN",)
    assert named(found) == entry


def test_every_byte_of_a_line_counts(copied):
    """Not one byte of a line is free: each of the last line's, changed, is found in it, without any outside head."""
    folder, entry = copied(), COUNT - 1
    path = folder / f"{WRITTEN[entry][0]}{SUFFIX}"
    whole = path.read_bytes()
    for at in range(len(whole) - LENGTHS[entry], len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(Refused) as caught:
            list(read_ledger(folder, KEY.public))
        assert named(caught.value) == entry


def test_every_entry_is_covered(copied):
    """One changed byte in each of the 500 entries, one after the other: each is named."""
    chance = random.Random(7)  # noqa: S311  (places to edit)
    folder = copied()
    for entry in range(COUNT):
        at = chance.randrange(LENGTHS[entry])
        was = WRITTEN[entry][1][at]
        edit(folder, entry, at, was ^ chance.randrange(1, 256))
        assert named(refusal(folder)) == entry
        path = folder / f"{WRITTEN[entry][0]}{SUFFIX}"
        path.write_bytes(b"".join(line for day, line in WRITTEN if day == WRITTEN[entry][0]))


@given(entry=numbers, where=st.floats(0, 1, exclude_max=True))
def test_a_byte_taken_out_is_found_in_its_entry(untouched, tmp_path_factory, entry, where):
    """A byte fewer: the entry is named; of the last line, at whose end a power cut may take some, the outside head is missed."""
    folder = shutil.copytree(untouched, tmp_path_factory.mktemp("shortened") / "ledger")
    path, at = folder / f"{WRITTEN[entry][0]}{SUFFIX}", int(where * LENGTHS[entry])
    line = WRITTEN[entry][1]
    path.write_bytes(path.read_bytes().replace(line, line[:at] + line[at + 1 :]))
    found = refusal(folder)
    if entry == COUNT - 1 and at == len(line) - 1:
        assert found.codes == ("L-ANCHOR",)
    else:
        assert found.codes == ("L-BROKEN",)
        assert named(found) == entry


@given(first=numbers, last=numbers)
def test_entries_taken_out_are_missed(untouched, tmp_path_factory, first, last):
    """Any run of entries taken out is named by where it should stand; at the end, by the head that somebody outside holds."""
    first, last = sorted((first, last))
    folder = write_ledger(tmp_path_factory.mktemp("removed") / "ledger", WRITTEN[:first] + WRITTEN[last + 1 :])
    found = refusal(folder)
    if last == COUNT - 1:
        assert found.codes == ("L-ANCHOR",)
    else:
        assert found.codes == ("L-BROKEN",)
        assert named(found) == first
        assert f"entry {last + 1} stands here" in found.problems[0].finding


@given(one=numbers, other=numbers)
def test_entries_in_another_order_are_found(untouched, tmp_path_factory, one, other):
    """Two entries that changed places: the first of the two places is named."""
    if one == other:
        return
    moved = [line for _, line in WRITTEN]
    moved[one], moved[other] = moved[other], moved[one]
    days = [day for day, _ in WRITTEN]
    folder = write_ledger(tmp_path_factory.mktemp("swapped") / "ledger", list(zip(days, moved, strict=True)))
    found = refusal(folder)
    assert found.codes == ("L-BROKEN",)
    assert named(found) == min(one, other)


@given(left=numbers, anchor=numbers)
def test_a_cut_end_is_missed_behind_an_outside_head(untouched, tmp_path_factory, left, anchor):
    """Cut after any entry: a head that somebody outside holds is missed if it was cut off; one that was not is found."""
    folder = write_ledger(tmp_path_factory.mktemp("cut") / "ledger", WRITTEN[: left + 1])
    head = json.loads(WRITTEN[anchor][1])["hash"]
    if anchor <= left:
        assert verify_ledger(folder, KEY.public, [head]).course.length == left + 1
    else:
        found = refusal(folder, head)
        assert found.codes == ("L-ANCHOR",)
        assert head[:12] in found.problems[0].finding


@pytest.mark.parametrize("day", sorted({day for day, _ in WRITTEN}))
def test_a_day_taken_out_is_missed(copied, day):
    """A whole file removed: the entries that are missing are named, or, for the last day, the outside head."""
    folder = copied()
    (folder / f"{day}{SUFFIX}").unlink()
    found = refusal(folder)
    last = day == WRITTEN[-1][0]
    assert found.codes == ("L-ANCHOR",) if last else ("L-BROKEN",)
    if not last:
        assert named(found) == next(number for number, (each, _) in enumerate(WRITTEN) if each == day)


def test_days_that_changed_places_are_found(copied):
    """Two files with each other's names, or one under the name of another day."""
    folder = copied()
    one, other = (folder / f"2026-07-0{day}{SUFFIX}" for day in (2, 3))
    data = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(data)
    assert named(refusal(folder)) == A_DAY
    folder = copied()
    (folder / f"{WRITTEN[-1][0]}{SUFFIX}").rename(folder / f"2026-08-01{SUFFIX}")
    found = refusal(folder)
    assert named(found) == COUNT - 20
    assert "another day" in found.problems[0].finding


def forged(first: int, last: int) -> list[tuple[str, bytes]]:
    """Give the ledger with these entries written anew by somebody without the key, hashes and all, and all after them chained."""
    made, head = WRITTEN[:first], json.loads(WRITTEN[first - 1][1])["hash"] if first else GENESIS
    for number in range(first, COUNT):
        day, line = WRITTEN[number]
        content = line[len(b'{"entry":') : line.index(b',"hash":"')]
        if number <= last:
            content = content.replace(b'"records":161', b'"records":162').replace(b"H-ORDER", b"H-OTHER")
        data, head = seal_line(content, number, head, STRANGER)
        made = [*made, (day, data)]
    return made


@given(entry=numbers)
def test_a_forged_end_is_named_by_its_first_entry(untouched, tmp_path_factory, entry):
    """Whoever writes entries anew and chains all hashes after them cannot sign: the first one is named."""
    folder = write_ledger(tmp_path_factory.mktemp("forged") / "ledger", forged(entry, entry))
    found = refusal(folder)
    assert found.codes == ("L-FORGED",)
    assert named(found) == entry


@given(entry=st.integers(1, COUNT - 2))
def test_a_forged_entry_before_true_ones_is_named(untouched, tmp_path_factory, entry):
    """An entry that was written anew, hash and all, with the true ones after it: it is named, not the one that misses it."""
    written = [*WRITTEN[:entry], forged(entry, entry)[entry], *WRITTEN[entry + 1 :]]
    found = refusal(write_ledger(tmp_path_factory.mktemp("forged") / "ledger", written))
    assert found.codes == ("L-FORGED",)
    assert named(found) == entry


def test_another_hospitals_ledger_is_named_as_such(untouched):
    """With another key nothing holds, from the first entry on."""
    with pytest.raises(Refused) as caught:
        list(read_ledger(untouched, STRANGER.public))
    assert caught.value.codes == ("L-FORGED",)
    assert named(caught.value) == 0
    assert "another hospital's" in caught.value.problems[0].finding


def test_a_torn_end_is_said_and_not_read(copied):
    """What a power cut left of a last line is no change: the entries before it hold, and it is said that something follows."""
    folder = copied()
    path = folder / f"{WRITTEN[-1][0]}{SUFFIX}"
    path.write_bytes(path.read_bytes()[:-100])
    course = Course()
    assert len(list(read_ledger(folder, KEY.public, course))) == COUNT - 1
    assert course.torn
    before = folder / f"2026-07-02{SUFFIX}"
    before.write_bytes(before.read_bytes()[:-100])
    assert named(refusal(folder)) == 2 * A_DAY - 1, "only the last line of all can be torn"


@pytest.mark.parametrize(("name", "word"), [("ledger.jsonl", "before entries were signed"), ("notes.jsonl", "no day")])
def test_a_file_of_another_form_is_refused(copied, name, word):
    """The one file of an unsigned ledger, or a file that is named by no day, is not passed over in silence."""
    folder = copied()
    (folder / name).write_text("{}\n")
    found = refusal(folder)
    assert found.codes == ("L-FORMAT",)
    assert word in found.problems[0].finding


@pytest.mark.parametrize(("key", "code"), [(KEY, "L-FORMAT"), (STRANGER, "L-FORGED")])
def test_an_entry_that_nobody_knows(tmp_path, key, code):
    """The hospital's own entry of another version is named as such; a stranger's as forged, whatever it says."""
    data, _ = seal_line(b'{"event":"vision","time":"2026-07-01T08:00:00Z"}', 0, GENESIS, key)
    folder = write_ledger(tmp_path / "ledger", [("2026-07-01", data)])
    with pytest.raises(Refused) as caught:
        list(read_entries(folder, KEY.public))
    assert caught.value.codes == (code,)
    assert named(caught.value) == 0
