"""The trainer's own process, killed for real: what it had kept is gone on with, what it had finished is given again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

from flower_processes import eventually
from paper_records import done, planned, real_paper, rows, work, write_site

from silo_node.porter.bench_client import BenchClient
from silo_node.training.trainer import Trainer
from silo_node.training_state import read_training_state
from silo_node.work import Busy
from wardround.study.bundle import SUFFIX
from wardround.weights.packing import to_bytes

STUDY = real_paper(
    training={"optimiser": {"learning_rate": 0.001, "name": "adam"}, "batch_size": 1, "local_epochs": 250},
    network={"name": "FullyConnectedNet", "arguments": {"hidden_channels": (8,), "dropout": 0.2}},
)
"""Much longer than the time between two checkpoints."""
PATIENCE = 0.2
CHECKPOINT_SECONDS = 0.3


@contextmanager
def trainer_process(site):
    """Run the trainer of a hospital as its supervisor does; it is killed in the end."""
    run = site.folder / "run"
    run.mkdir(exist_ok=True)
    (run / "trainer.sock").unlink(missing_ok=True)
    words = ["--site", str(site.path.absolute()), "--socket", "trainer.sock", "--patience", str(PATIENCE)]
    words += ["--checkpoint-seconds", str(CHECKPOINT_SECONDS)]
    process = subprocess.Popen(
        [sys.executable, "-m", "silo_node.training.process", *words], cwd=run, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    try:
        eventually((run / "trainer.sock").exists, 90.0, "the trainer is ready")
        yield process
    finally:
        process.kill()
        process.wait()


def test_killed_in_training_and_after_it(tmp_path):
    """Killed in mid-training it goes on after its checkpoint to the very bytes of a training that nobody disturbed; killed
    after the result, it gives the same bytes at once, under another plan too."""
    site = write_site(tmp_path, rows(30))
    STUDY.bundle.write(site.make_directory("inbox") / f"{STUDY.bundle.study_hash}{SUFFIX}")
    count = done(Trainer(site).perform(work(STUDY, "statistics"))).records
    asked = work(STUDY, "round", records=count)
    client = BenchClient(tmp_path / "run" / "trainer.sock", PATIENCE)
    checkpoint = site.directory("journal") / asked.task.study_hash / "checkpoint"
    with trainer_process(site) as process:
        while not checkpoint.exists():
            assert isinstance(client.perform(asked), Busy)
        known = client.perform(asked)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert client.perform(asked).epoch >= known.epoch, "as far as it was last known"
    with trainer_process(site):
        epochs = []
        while isinstance(outcome := client.perform(asked), Busy):
            epochs.append(outcome.epoch)
    begun = [epoch for epoch in epochs if epoch]  # a visit may find it still reading its records
    assert begun == epochs[len(epochs) - len(begun) :] == sorted(begun)
    state = read_training_state(tmp_path / "run")
    assert (state.start, state.phase) == ("resumed", "done")
    assert state.after > 0
    undisturbed = done(Trainer(site).perform(asked))
    assert to_bytes(done(outcome).change) == to_bytes(undisturbed.change)
    assert outcome.result == undisturbed.result
    assert not checkpoint.exists()
    with trainer_process(site):
        begun = time.monotonic()
        wider = planned(asked, tuple(exponent + 3 for exponent in asked.task.core.plan.exponents))
        assert to_bytes(done(client.perform(wider)).change) == to_bytes(undisturbed.change)
        assert time.monotonic() - begun < PATIENCE + 2.0
    log = (site.folder / "logs" / "trainer.log").read_text()
    assert log.count("goes on after epoch") == 1
    assert log.count("given again") == 1
