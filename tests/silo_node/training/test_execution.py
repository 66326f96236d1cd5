"""Where a training is computed, and with how many examples at once: chosen by the hospital, never silently another way."""

from __future__ import annotations

import json
import logging
import os

import numpy as np
import pytest
import torch
from paper_records import done, real_paper, rows, work, write_site

from silo_node.configuration import load_site
from silo_node.confinement import Confinement
from silo_node.house import _cannot_start
from silo_node.training import serve
from silo_node.training.desk import execution_of
from silo_node.training.durable import Durable
from silo_node.training.encode import TableExamples
from silo_node.training.execution import CPU, WORKSPACE, Execution, choose_device
from silo_node.training.fingerprint import take_fingerprint
from silo_node.training.memory import NO_DEVICE_STATUS
from silo_node.training.trainer import Trainer
from silo_node.work import NotDone
from wardround.errors import Refused
from wardround.weights.packing import to_bytes

LOG = logging.getLogger("tests.execution")
PAPER = real_paper(training={"optimiser": {"learning_rate": 0.01, "momentum": 0.5}, "batch_size": 32, "local_epochs": 2})


@pytest.fixture
def gpu(monkeypatch):
    """Say whether torch finds a GPU; nothing is computed on it. Torch's settings are put back."""
    before = torch.are_deterministic_algorithms_enabled()
    flags = (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark)
    monkeypatch.delenv(WORKSPACE, raising=False)
    yield lambda there: monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    torch.use_deterministic_algorithms(before)
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark = flags
    os.environ.pop(WORKSPACE, None)


@pytest.mark.parametrize(("setting", "there", "expected"), [("auto", False, CPU), ("cpu", True, CPU), ("cpu", False, CPU)])
def test_without_a_gpu_or_against_it_the_processor_computes(gpu, setting, there, expected):
    """And torch's settings stay as they were."""
    gpu(there)
    before = torch.are_deterministic_algorithms_enabled()
    assert choose_device(setting) == expected
    assert torch.are_deterministic_algorithms_enabled() is before
    assert WORKSPACE not in os.environ


@pytest.mark.parametrize("setting", ["auto", "cuda"])
def test_a_gpu_is_told_to_compute_the_same_bits_again(gpu, setting):
    """Fixed workspace, no benchmarked kernels, no shortened floats."""
    gpu(True)
    assert choose_device(setting) == torch.device("cuda", 0)
    assert torch.are_deterministic_algorithms_enabled()
    flags = (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark)
    assert flags == (False, False, False)
    assert os.environ[WORKSPACE] == ":4096:8"


def test_a_gpu_that_is_not_there_is_refused_and_never_replaced(gpu, tmp_path):
    """By a trainer in this process, by one in its own, whose supervisor then says why; a word that is no device, at once."""
    gpu(False)
    site = write_site(tmp_path, rows(20))
    content = json.loads(site.path.read_text())
    site.path.write_text(json.dumps({**content, "resources": {"device": "cuda"}}))
    with pytest.raises(Refused, match="M-DEVICE"):
        Trainer(load_site(site.path))
    found = Confinement(process=1, holds=(), fails=())
    with pytest.raises(SystemExit) as ended:
        serve._trainer(load_site(site.path), LOG, Durable(tmp_path, tmp_path), found)
    assert ended.value.code == NO_DEVICE_STATUS
    assert [each.code for each in _cannot_start(NO_DEVICE_STATUS).problems] == ["M-DEVICE"]
    site.path.write_text(json.dumps({**content, "resources": {"device": "tpu"}}))
    with pytest.raises(Refused, match="Y-VALUE"):
        load_site(site.path)


def test_tables_are_computed_on_the_processor_unless_a_gpu_is_named(gpu):
    """A hospital that buys a GPU gets the bits that it had."""
    gpu(True)
    assert execution_of(PAPER.bundle, choose_device("auto"), "auto") == Execution(CPU)


def test_how_many_at_once_is_part_of_the_fingerprint():
    """So is the device; a process that cuts no batch has the fingerprint that it always had."""
    plain = take_fingerprint()
    assert plain == take_fingerprint(Execution())
    assert (plain.device, plain.micro_batch) == ("cpu", None)
    assert plain.differences(take_fingerprint(Execution(micro_batch=4))) == ("micro_batch",)


def test_a_trainer_without_memory_begins_again_with_half_as_many_at_once(tmp_path, monkeypatch, caplog):
    """Until they fit; the result has the bits of the smaller number from the start, and the next round begins with it."""
    site = write_site(tmp_path, rows(200))

    def cut(micro):
        trainer = Trainer(site, LOG)
        monkeypatch.setattr("silo_node.training.desk.execution_of", lambda *_: Execution(micro_batch=micro))
        return trainer, done(trainer.perform(work(PAPER, "statistics"))).records

    small, count = cut(8)
    asked = [work(PAPER, "round", number, records=count) for number in (1, 2)]
    expected = [to_bytes(done(small.perform(each)).change) for each in asked]
    honest, seen = TableExamples.batch, []

    def full(self, indexes, draw):
        if draw is not None:
            seen.append(len(indexes))
            if len(indexes) > 8:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return honest(self, indexes, draw)

    monkeypatch.setattr(TableExamples, "batch", full)
    large, _ = cut(32)
    assert [to_bytes(done(large.perform(each)).change) for each in asked] == expected
    assert seen[:3] == [32, 16, 8]
    assert max(seen[3:]) == 8, "the second round did not try again"
    assert [record.args for record in caplog.records if "at once" in record.message] == [(16,), (8,)]
    whole, _ = cut(None)
    assert whole.perform(asked[0]) == NotDone("H-MEMORY"), "a batch that may not be cut is not"
    monkeypatch.setattr(TableExamples, "batch", honest)
    uncut, _ = cut(None)
    np.testing.assert_allclose(done(uncut.perform(asked[0])).change, done(small.perform(asked[0])).change, atol=1e-6)
