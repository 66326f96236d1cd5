"""What does not fit into the memory that a hospital allows: a code leaves, the trainer stays, other studies go on."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from contextlib import contextmanager
from functools import cache

import numpy as np
import pytest
import torch
from paper_records import done, real_paper, rows, work, write_site
from supervised import eventually

from silo_node.porter.bench_client import BenchClient
from silo_node.training import memory
from silo_node.training.execution import Execution
from silo_node.training.memory import MIB, NO_ROOM_STATUS, ROOM_BYTES, NoRoom, counted_bytes, is_out_of_memory, limit_memory
from silo_node.training.trainer import Trainer
from silo_node.work import Busy, NotDone
from wardround.models.build import build_network, read_weights
from wardround.study.bundle import SUFFIX, bundle_bytes
from wardround.study.inputs import shape_of

WIDE = {"name": "FullyConnectedNet", "arguments": {"hidden_channels": [60_000]}}
RECORDS = 3000
"""Times 60,000 units of four bytes: 0.7 GB for one layer of one pass over all of them."""
START_SECONDS = 180.0
PATIENCE_SECONDS = 30.0


LIBRARIES = "from silo_node.training import memory, serve; serve.warm_up(); print(memory.counted_bytes())"


@cache
def libraries():
    """Say how many bytes the libraries take here, of those that the limit counts; they take the same for every test."""
    return int(subprocess.run([sys.executable, "-c", LIBRARIES], check=True, capture_output=True, text=True).stdout)


def allow(site, memory):
    """Write a memory limit into a site file."""
    content = json.loads(site.path.read_text())
    site.path.write_text(json.dumps({**content, "resources": {"memory": memory}}))


@contextmanager
def trainer_process(folder, *papers):
    """A trainer's process over a folder, with some studies in its inbox; gives its handle and the porter's side."""
    (folder / "inbox").mkdir(exist_ok=True)
    (folder / "trainer.sock").unlink(missing_ok=True)  # as the supervisor does
    for each in papers:
        (folder / "inbox" / f"{each.bundle.study_hash}{SUFFIX}").write_bytes(bundle_bytes(each.bundle))
    words = ("--site", folder / "site.yaml", "--socket", "trainer.sock", "--patience", PATIENCE_SECONDS)
    with (folder / "trainer.out").open("ab") as printed:
        process = subprocess.Popen(
            [sys.executable, "-m", "silo_node.training.process", *(str(word) for word in words)],
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stderr=printed,
        )
    try:
        eventually(lambda: (folder / "trainer.sock").exists() or process.poll() is not None, START_SECONDS)
        yield process, BenchClient(folder / "trainer.sock", PATIENCE_SECONDS)
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel limits memory on Linux only")
def test_too_wide_a_network_ends_as_a_code_and_other_studies_go_on(tmp_path):
    """Within one process: a round that does not fit is H-MEMORY, every time it is asked; a small study then trains as ever."""
    limit = f"{(libraries() + ROOM_BYTES) // MIB + 100} MiB"
    allow(write_site(tmp_path, rows(RECORDS)), limit)
    wide, small = real_paper(network=WIDE), real_paper()
    with trainer_process(tmp_path, wide, small) as (process, client):
        records = done(client.perform(work(wide, "statistics"))).records
        for number in (1, 2):
            assert client.perform(work(wide, "round", number, records=records, total=RECORDS)) == NotDone("H-MEMORY")
        records = done(client.perform(work(small, "statistics"))).records
        trained = done(client.perform(work(small, "round", records=records, total=RECORDS)))
        assert trained.change is not None
        assert process.poll() is None
        client._drop()
    told = [json.loads(line) for line in (tmp_path / "logs" / "trainer.log").read_text().splitlines()]
    assert [each["message"].startswith(f"a task did not fit into memory; the limit is {limit}") for each in told].count(True) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel limits memory on Linux only")
def test_without_a_limit_the_same_work_is_done(tmp_path):
    """It was the limit, and nothing else."""
    write_site(tmp_path, rows(RECORDS))
    wide = real_paper(network=WIDE)
    with trainer_process(tmp_path, wide) as (_, client):
        records = done(client.perform(work(wide, "statistics"))).records
        done(client.perform(work(wide, "round", records=records, total=RECORDS)))
        client._drop()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel limits memory on Linux only")
def test_a_limit_below_the_libraries_is_said_at_the_start(tmp_path):
    """A trainer that could do nothing ends with a status of its own, and its log says how much the libraries take."""
    allow(write_site(tmp_path, rows(20)), "128 MiB")
    with trainer_process(tmp_path) as (process, _):
        assert process.wait(START_SECONDS) == NO_ROOM_STATUS
    assert "the libraries alone take" in (tmp_path / "logs" / "trainer.log").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel limits memory on Linux only")
@pytest.mark.parametrize("more", [20, 60])
def test_records_that_do_not_fit_are_a_code_whatever_ends_first(tmp_path, more):
    """Reading too many records is H-MEMORY, whether Python, OpenSSL or polars finds no memory, and polars ends the process."""
    allow(write_site(tmp_path, many_rows(300_000)), f"{(libraries() + ROOM_BYTES) // MIB + more} MiB")
    made = real_paper()
    with trainer_process(tmp_path, made) as (process, client):
        outcome = client.perform(work(made, "statistics"))
        client._drop()
        assert not isinstance(outcome, NotDone) or outcome == NotDone("H-MEMORY")
        if isinstance(outcome, NotDone) and process.poll() is None:  # it goes on with others, if it has the room, or ends
            return
        process.wait(START_SECONDS)
    with trainer_process(tmp_path, made) as (process, client):
        if isinstance(outcome, Busy):
            assert client.perform(work(made, "statistics")) == NotDone("H-MEMORY")
            assert "took the trainer before with it" in (tmp_path / "logs" / "trainer.log").read_text()
        client._drop()
        assert process.poll() is None


def test_an_error_with_no_memory_left_is_taken_for_it(monkeypatch):
    """Libraries have many words for it; that nothing is left is the fact."""
    monkeypatch.setattr(memory, "counted_bytes", lambda: 1000 * MIB)
    error, limit = ValueError("[digital envelope routines] not able to copy ctx"), 1000 * MIB + ROOM_BYTES
    assert not is_out_of_memory(error)
    assert not is_out_of_memory(error, limit)
    assert is_out_of_memory(error, limit - 1) is (sys.platform == "linux")


def many_rows(count):
    """Give the same thousand people again and again, under other names."""
    head, *lines = rows(1000).splitlines()
    people = [line.split(",", 2) for line in lines]
    copies = (f"{record}x{at},{patient}x{at},{rest}" for at in range(count // 1000) for record, patient, rest in people)
    return "\n".join([head, *copies]) + "\n"


def test_a_limit_that_is_none_is_refused_before_it_is_set():
    """Nobody can work under less than what is in use by now and some room for records."""
    limit_memory(None)
    if sys.platform == "linux":
        with pytest.raises(NoRoom):
            limit_memory(counted_bytes() + ROOM_BYTES // 2)


def too_much_for_torch():
    torch.empty(2**60)


def too_much_for_numpy():
    np.empty(2**58)


def too_much_for_python():
    bytearray(2**62)


@pytest.mark.parametrize("asking", [too_much_for_torch, too_much_for_numpy, too_much_for_python])
def test_each_librarys_own_word_is_understood(asking):
    """Torch, NumPy and Python say it each in their own way."""
    with pytest.raises((MemoryError, RuntimeError)) as caught:
        asking()
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize(
    "error", [RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ValueError("out of memory"), OSError()]
)
def test_other_errors_are_not_taken_for_it(error):
    """A bug must not look like a full machine."""
    assert not is_out_of_memory(error)


def test_what_a_study_held_is_dropped(tmp_path, monkeypatch):
    """After a task that did not fit, the trainer holds nothing of its study; the next task reads the records again."""
    made = real_paper()
    trainer = Trainer(write_site(tmp_path, rows(200)), logging.getLogger("test.memory"))
    records = done(trainer.perform(work(made, "statistics"))).records
    assert trainer._desks

    def full(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("silo_node.training.study_examples.encode", full)
        assert trainer.perform(work(made, "round", records=records)) == NotDone("H-MEMORY")
    assert not trainer._desks
    done(trainer.perform(work(made, "round", records=records)))


class Kept:
    """Examples of which some are kept, and that give way."""

    def __init__(self, kept):
        self.kept = kept

    def give_way(self):
        self.kept, before = self.kept // 2, self.kept
        return before > 0


def full(desk, most):
    """Work that finds memory only once no more than this is kept."""
    if desk.train.kept > most:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
    return "done"


def desk_that_keeps(tmp_path, kept):
    """A desk of the small study, with examples that give way."""
    made = real_paper()
    trainer = Trainer(write_site(tmp_path, rows(200)), logging.getLogger("test.memory"))
    done(trainer.perform(work(made, "statistics")))
    desk = trainer._desks[made.bundle.study_hash]
    desk.train = Kept(kept)
    return trainer, desk, made


def test_what_is_kept_gives_way_to_an_evaluation(tmp_path, caplog):
    """Half, and half again, as long as there is any; each time it is said."""
    _, desk, _ = desk_that_keeps(tmp_path, 8)
    with caplog.at_level(logging.WARNING):
        assert desk.with_room(lambda: full(desk, 2)) == "done"
    assert (desk.train.kept, len(caplog.records)) == (2, 2)
    desk.train.kept = 8
    with pytest.raises(RuntimeError, match="allocate"):
        desk.with_room(lambda: full(desk, -1))
    assert desk.train.kept == 0


def test_what_is_kept_gives_way_before_batches_are_cut_smaller(tmp_path):
    """Cutting changes last bits, and so the execution; letting go changes nothing."""
    trainer, desk, made = desk_that_keeps(tmp_path, 1)
    desk.execution, desk.train.size = Execution(micro_batch=4), 8
    network = build_network(made.bundle.study.network, shape_of(made.bundle.study, made.bundle.contract, None))
    asked = work(made, "round")
    for seen in [(0, 4), (0, 2), (0, 1)]:
        trainer._make_room(asked, desk, network)
        assert (desk.train.kept, desk.execution.micro_batch) == seen
    with pytest.raises(MemoryError):
        trainer._make_room(asked, desk, network)
    assert (read_weights(network)[0] == asked.weights).all(), "from the weights that came"
