"""Hash-chained lines: what was written stays, or its change is found."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.chain import GENESIS, Chain, read_chain
from wardround.errors import Refused

ENTRIES = [
    {"event": "release", "bytes": 2**53 - 1, "text": "é\u2028"},
    {"event": "receipt", "share": 0.1},
    {"n": [1, {"a": None}]},
]


def write(path, entries=ENTRIES) -> bytes:
    chain = Chain(path)
    for entry in entries:
        chain.append(entry)
    chain.close()
    return path.read_bytes()


def found(path) -> list[dict]:
    return [link.entry for link in read_chain(path)]


def refusal(path) -> Refused:
    with pytest.raises(Refused) as caught:
        read_chain(path)
    assert caught.value.codes == ("L-BROKEN",)
    with pytest.raises(Refused):
        Chain(path)
    return caught.value


def test_entries_come_back_in_order(tmp_path):
    """Reading gives what was appended, each with its sequence and hash; the head is the last hash."""
    path = tmp_path / "folder" / "chain"
    chain = Chain(path)
    assert (chain.head, chain.length) == (GENESIS, 0)
    hashes = [chain.append(entry) for entry in ENTRIES]
    assert chain.head == hashes[-1]
    chain.close()
    links = read_chain(path)
    assert [link.entry for link in links] == ENTRIES
    assert [link.hash for link in links] == hashes
    assert [link.sequence for link in links] == [0, 1, 2]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_chain_goes_on_after_reopening(tmp_path):
    """Written in several openings or in one, the bytes are the same."""
    for entry in ENTRIES:
        write(tmp_path / "a", [entry])
    assert (tmp_path / "a").read_bytes() == write(tmp_path / "b")


def test_closing_twice_closes_nothing_else(tmp_path):
    """A second close does not close a file that was opened since under the same number."""
    chain = Chain(tmp_path / "chain")
    chain.close()
    with (tmp_path / "other").open("wb") as other:
        chain.close()
        other.write(b"x")


def test_every_changed_byte_is_found_and_named_by_line(tmp_path):
    """Each byte of each line but the last line's end, changed to three other bytes, is L-BROKEN at its line or the next."""
    data = write(tmp_path / "chain")
    path = tmp_path / "changed"
    for place in range(len(data) - 1):
        line = data[:place].count(b"\n") + 1
        for byte in {data[place] ^ 1, 0x0A, 0x39} - {data[place]}:
            path.write_bytes(data[:place] + bytes([byte]) + data[place + 1 :])
            expected = {line} if line == len(ENTRIES) else {line, line + 1}
            with pytest.raises(Refused) as caught:
                read_chain(path)
            assert caught.value.codes == ("L-BROKEN",)
            assert caught.value.problems[0].place in {f"changed, line {number}" for number in expected}


def test_a_torn_tail_is_dropped_at_any_cut(tmp_path):
    """Cut anywhere, a chain opens with its whole lines, goes on from there, and verifies."""
    data = write(tmp_path / "chain")
    path = tmp_path / "cut"
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        whole = data[:cut].count(b"\n")
        assert found(path) == ENTRIES[:whole]
        assert path.read_bytes() == data[:cut], "reading changes nothing"
        if cut % 9 and cut < len(data) - 2:
            continue  # opening flushes to disk: a ninth of the cuts, and the last ones
        chain = Chain(path)
        assert chain.length == whole
        chain.append({"after": cut})
        chain.close()
        assert found(path) == [*ENTRIES[:whole], {"after": cut}]


@pytest.mark.parametrize("order", [(1, 0, 2), (0, 2, 1), (0, 2), (1, 2), (0, 0, 1, 2), (0, 1, 1, 2), (2,)])
def test_moved_dropped_and_doubled_lines_are_found(tmp_path, order):
    """Lines stand once each in their order; only the loss of the last ones cannot be seen here."""
    lines = write(tmp_path / "chain").splitlines(keepends=True)
    (tmp_path / "chain").write_bytes(b"".join(lines[index] for index in order))
    refusal(tmp_path / "chain")


def test_the_loss_of_the_last_lines_shows_elsewhere(tmp_path):
    """A chain without its last lines is a shorter valid chain: heads that others keep (replies carry them) tell."""
    data = write(tmp_path / "chain")
    head = read_chain(tmp_path / "chain")[-1].hash
    (tmp_path / "chain").write_bytes(data[: data[:-1].rfind(b"\n") + 1])
    links = read_chain(tmp_path / "chain")
    assert [link.entry for link in links] == ENTRIES[:-1]
    assert head not in {link.hash for link in links}


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        b'{"entry":NaN,"hash":"x"}',
        b'{"entry":-0.0,"hash":"x"}',
        b'{"entry":1e999,"hash":"x"}',
        b'{"entry":9007199254740993,"hash":"x"}',
        b'{"entry":"\\ud800","hash":"x"}',
        b'{"entry":' + b"[" * 100_000 + b"]" * 100_000 + b',"hash":"x"}',
        b'{"entry":' + b"9" * 5000 + b',"hash":"x"}',
    ],
)
def test_lines_that_nobody_wrote_are_found(tmp_path, line):
    """A line that is not ours is L-BROKEN, whatever stands in it; never another exception."""
    data = write(tmp_path / "chain")
    (tmp_path / "chain").write_bytes(data + line + b"\n")
    assert refusal(tmp_path / "chain").problems[0].place == "chain, line 4"


@given(st.binary(max_size=200))
def test_garbage_is_found_or_torn(tmp_path_factory, garbage):
    """Any bytes after a chain are a torn tail (no line end) or L-BROKEN."""
    path = tmp_path_factory.mktemp("chain") / "chain"
    data = write(path)
    path.write_bytes(data + garbage)
    if b"\n" in garbage:
        refusal(path)
    else:
        assert found(path) == ENTRIES


def test_entries_without_a_canonical_form_are_not_written(tmp_path):
    """What could not be verified later is not appended, and the chain is as before."""
    data = write(tmp_path / "chain")
    chain = Chain(tmp_path / "chain")
    with pytest.raises(Exception, match="canonical"):
        chain.append({"n": float("nan")})
    chain.close()
    assert (tmp_path / "chain").read_bytes() == data


def test_a_full_disk_leaves_the_chain_as_it_was(tmp_path):
    """When the disk does not take a line whole, append is O-WRITE, the file is as before, and a shorter line still fits."""
    data = write(tmp_path / "chain")
    program = (
        "import pathlib, resource, sys\n"
        "from wardround.chain import Chain; from wardround.errors import Refused\n"
        "chain = Chain(pathlib.Path(sys.argv[1]))\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({len(data) + 300}, {len(data) + 300}))\n"
        "head = chain.head\n"
        "try: chain.append({'long': 'x' * 1000})\n"
        "except Refused as error: print(*error.codes, chain.head == head, chain.length)\n"
        "sys.stdout.write(str(pathlib.Path(sys.argv[1]).stat().st_size) + ' ')\n"
        "chain.append({'short': 1}); print(chain.length)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "chain")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["O-WRITE", "True", "3", str(len(data)), "4"]
    assert found(tmp_path / "chain") == [*ENTRIES, {"short": 1}]


def test_a_line_is_flushed_before_it_counts(tmp_path, monkeypatch):
    """The bytes are in the file when the flush is asked for; a failed flush takes them back."""
    chain = Chain(tmp_path / "chain")
    sizes = []
    monkeypatch.setattr("os.fsync", lambda _descriptor: sizes.append((tmp_path / "chain").stat().st_size))
    chain.append({"n": 1})
    assert sizes == [(tmp_path / "chain").stat().st_size]

    def broken(descriptor):
        raise OSError(5, "no")

    monkeypatch.setattr("os.fsync", broken)
    with pytest.raises(Refused) as caught:
        chain.append({"n": 2})
    assert caught.value.codes == ("O-WRITE",)
    assert found(tmp_path / "chain") == [{"n": 1}]


@pytest.mark.parametrize("number", [2.0**53, 1e16, 1e21, 1e300, 5e-324, 2.0**53 - 1])
def test_any_number_that_can_be_written_can_be_read(tmp_path, number):
    """Canonical JSON writes large numbers without a point: such a line is no less whole than another."""
    chain = Chain(tmp_path / "chain")
    chain.append({"number": number})
    chain.close()
    assert found(tmp_path / "chain") == [{"number": number}]
