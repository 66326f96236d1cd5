"""A training that was cut off anywhere ends with the same bits as one that was left alone."""

from __future__ import annotations

import json
import logging
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from silo_node.training import checkpoint
from silo_node.training.checkpoint import FILE, CheckpointHead, Keeper, Training
from silo_node.training.encode import TableExamples
from silo_node.training.fingerprint import Fingerprint, take_fingerprint
from silo_node.training.loop import Watch, train
from silo_node.training.losses import BinaryCrossEntropy
from silo_node.training.sealed_file import read_sealed, write_sealed
from silo_node.training.snapshot import Unfit
from wardround.models.build import build_network, initial_weights, read_weights, write_weights
from wardround.study.model import Network, Optimiser
from wardround.study.model import Training as Settings
from wardround.study.shape import Shape
from wardround.weights.packing import to_bytes

WIDTH = 5
TRAINING = Training(site="north", study_hash="a" * 64, work="b" * 64, records="c" * 64)
LOG = logging.getLogger("tests.checkpoint")
OPTIMISERS = (
    Optimiser(learning_rate=0.1),
    Optimiser(learning_rate=0.1, momentum=0.9),
    Optimiser(learning_rate=0.05, momentum=0.5, weight_decay=0.01),
    Optimiser(name="adam", learning_rate=0.01),
    Optimiser(name="adam", learning_rate=0.01, weight_decay=0.1),
)


class Killed(Exception):
    """The trainer died."""


class Doomed(Keeper):
    """A keeper whose process dies at the end of an epoch: before anything of it is kept, or after."""

    def __init__(self, folder, epoch, *, kept, training=TRAINING):
        super().__init__(folder, training, LOG, 0.0)
        self.epoch = epoch
        self.kept = kept

    def boundary(self, epoch, take):
        if epoch == self.epoch and not self.kept:
            raise Killed
        super().boundary(epoch, take)
        if epoch == self.epoch:
            raise Killed


def examples(count=40, seed=0):
    random = np.random.default_rng(seed)
    inputs = random.normal(size=(count, WIDTH)).astype(np.float32)
    return TableExamples(inputs, inputs[:, 0] + random.normal(size=count) > 0)


RECORDS = examples()


def run(how: Settings, dropout=0.3, keeper=None, watch=None, seed=5):
    """Train from the same initial weights in a fresh network; give the weights' bytes and the loss."""
    net = Network(name="FullyConnectedNet", arguments={"hidden_channels": (6, 3), "dropout": dropout})
    vector, manifest = initial_weights(net, Shape.of_table(WIDTH), seed=3)
    network = build_network(net, Shape.of_table(WIDTH))
    write_weights(network, vector, manifest)
    loss = train(network, RECORDS, how, BinaryCrossEntropy(), seed, watch, keeper)
    return to_bytes(read_weights(network)[0]), loss


@settings(max_examples=40)
@given(
    st.sampled_from(OPTIMISERS),
    st.integers(2, 6),
    st.sampled_from([None, 1, 7, 16]),
    st.sampled_from([0.0, 0.3]),
    st.lists(st.tuples(st.integers(1, 5), st.booleans()), min_size=1, max_size=3),
)
def test_a_training_that_was_killed_ends_with_the_same_bits(tmp_path_factory, optimiser, epochs, batch, dropout, deaths):
    """Killed at any ends of epochs, before or after they were kept, and resumed each time in new objects: change and loss."""
    how = Settings(optimiser=optimiser, local_epochs=epochs, batch_size=batch)
    undisturbed = run(how, dropout)
    folder = tmp_path_factory.mktemp("journal")
    for epoch, kept in deaths:
        try:
            assert run(how, dropout, Doomed(folder, epoch, kept=kept)) == undisturbed
        except Killed:
            torch.randn(7)  # whatever the next process drew before
    watch = Watch()
    assert run(how, dropout, Keeper(folder, TRAINING, LOG, 0.0), watch) == undisturbed
    assert watch.percent == 100


def test_what_was_done_is_not_done_again(tmp_path):
    """A resumed training begins after the last kept epoch, and says so; the progress goes on from there."""
    how = Settings(optimiser=OPTIMISERS[1], local_epochs=5, batch_size=8)
    with pytest.raises(Killed):
        run(how, keeper=Doomed(tmp_path, 3, kept=True))
    seen, told = [], []

    class Seeing(Watch):
        def count(self):
            super().count()
            seen.append(self.percent)

    run(how, keeper=Keeper(tmp_path, TRAINING, LOG, 0.0, told.append), watch=Seeing())
    assert (told[0].how, told[0].epoch) == ("resumed", 3)
    assert len(seen) == 2 * 5, "two epochs of five batches were left"
    assert seen[0] == 64
    assert seen == sorted(seen)
    assert seen[-1] == 100


def test_what_a_killed_trainer_left_beside_is_removed(tmp_path):
    """A trainer killed while it writes leaves up to a model's bytes beside the file; the next write removes them."""
    left = tmp_path / f".{FILE}.ab12_cd3"
    left.write_bytes(b"half")
    run(Settings(optimiser=OPTIMISERS[0], local_epochs=2), keeper=Keeper(tmp_path, TRAINING, LOG, 0.0))
    assert not left.exists()


def test_a_short_training_writes_nothing(tmp_path):
    """Before a checkpoint is worth its while nothing is written, however many epochs there are."""
    run(Settings(optimiser=OPTIMISERS[0], local_epochs=20), keeper=Keeper(tmp_path / "study", TRAINING, LOG, 60.0))
    assert not (tmp_path / "study").exists()


def test_checkpoints_keep_their_distance(tmp_path, monkeypatch):
    """Between two checkpoints lies the stated time, counted from the begin or from the last one."""
    now = [100.0]
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now[0])
    told = []
    keeper = Keeper(tmp_path, TRAINING, LOG, 5.0, told.append)
    keeper.begin()
    for epoch, at in enumerate((104.9, 105.0, 106.0, 109.9, 110.0), start=1):
        now[0] = at
        keeper.boundary(epoch, lambda: b"state")
    assert told[1:] == [2, 5]


def kept(folder, **changes):
    """Keep a whole checkpoint after epoch 2, of this training but for some changes."""
    head = {"site": "north", "study_hash": "a" * 64, "work": "b" * 64, "records": "c" * 64}
    whole = {**head, "fingerprint": take_fingerprint(), "epoch": 2, **changes}
    write_sealed(folder / "checkpoint", "checkpoint", CheckpointHead(**whole), b"state")
    return folder / "checkpoint"


def test_another_fingerprint_begins_anew(tmp_path, caplog):
    """A checkpoint of another environment is dropped, and the log says what had changed."""
    fingerprint = take_fingerprint()
    for name, value in (("torch", "0.1"), ("processor", "abacus"), ("threads", 99), ("settings", ("ONEDNN_MAX_CPU_ISA=AVX",))):
        path = kept(tmp_path, fingerprint=fingerprint.model_copy(update={name: value}))
        start = Keeper(tmp_path, TRAINING, LOG, 0.0).begin()
        assert (start.how, start.epoch, start.why) == ("restarted", 0, (name,))
        assert not path.exists()
        assert name in caplog.text


def test_other_records_begin_anew(tmp_path):
    """When the hospital's records changed in between, nothing trained on the old ones is mixed in."""
    kept(tmp_path, records="d" * 64)
    assert Keeper(tmp_path, TRAINING, LOG, 0.0).begin().why == ("records",)


@pytest.mark.parametrize("change", [{"site": "south"}, {"study_hash": "d" * 64}])
def test_a_foreign_checkpoint_is_dropped(tmp_path, change):
    """A whole file of another hospital or study is not used."""
    path = kept(tmp_path, **change)
    assert Keeper(tmp_path, TRAINING, LOG, 0.0).begin().why == ("foreign",)
    assert not path.exists()


def test_a_checkpoint_of_an_earlier_round_is_no_news(tmp_path):
    """The unfinished training of another round goes without a word: nobody asks for it any more."""
    path = kept(tmp_path, work="d" * 64)
    assert Keeper(tmp_path, TRAINING, LOG, 0.0).begin().how == "anew"
    assert not path.exists()


@given(st.data())
def test_a_damaged_checkpoint_is_dropped(tmp_path_factory, data):
    """Cut anywhere, or with any byte changed, it is not used."""
    folder = tmp_path_factory.mktemp("journal")
    path = kept(folder)
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        path.write_bytes(whole[:at])
    else:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :])
    start = Keeper(folder, TRAINING, LOG, 0.0).begin()
    assert (start.how, start.why) == ("restarted", ("damaged",))
    assert not path.exists()


def test_a_state_of_another_network_is_unfit(tmp_path):
    """A state that does not fit raises, rather than training on from half of it."""
    kept(tmp_path)
    with pytest.raises(Unfit):
        run(Settings(optimiser=OPTIMISERS[1], local_epochs=3), keeper=Keeper(tmp_path, TRAINING, LOG, 60.0))


def test_a_full_disk_stops_no_training(tmp_path, caplog):
    """Where a checkpoint cannot be written, the training goes on to the same bits, and the log says so."""
    how = Settings(optimiser=OPTIMISERS[3], local_epochs=3)
    (tmp_path / "study").write_text("in the way")
    assert run(how, keeper=Keeper(tmp_path / "study" / "x", TRAINING, LOG, 0.0)) == run(how)
    assert "not kept" in caplog.text


def test_a_checkpoint_is_data_and_private(tmp_path):
    """What is kept is JSON and safetensors, no pickle, for its owner only; and it holds no record."""
    with pytest.raises(Killed):
        run(Settings(optimiser=OPTIMISERS[3], local_epochs=3), keeper=Doomed(tmp_path / "study", 2, kept=True))
    path = tmp_path / "study" / "checkpoint"
    assert path.stat().st_mode & 0o777 == 0o600
    sealed = read_sealed(path, "checkpoint")
    assert CheckpointHead.model_validate_json(sealed.head).epoch == 2
    body = bytes(sealed.body)
    header = json.loads(body[8 : 8 + int.from_bytes(body[:8], "little")])
    assert {name.split("/")[0] for name in header} == {"network", "optimiser", "order", "generator"}
    held = sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name.startswith(("network", "optimiser")))
    steps = 6
    assert held == 3 * (5 * 6 + 6 + 6 * 3 + 3 + 3 + 1) + steps, "weights, two moments, and the steps: nothing else"


def test_the_fingerprint_is_the_same_in_one_process_and_names_what_differs():
    """Twice in a process it is equal; a difference is named by its field; it goes through JSON unchanged."""
    first, second = take_fingerprint(), take_fingerprint()
    assert first == second
    assert first.differences(second) == ()
    assert first.differences(second.model_copy(update={"capability": "NONE", "deterministic": True})) == (
        "capability",
        "deterministic",
    )
    assert Fingerprint.model_validate_json(first.model_dump_json()) == first
    assert first.torch == torch.__version__
    assert first.processor


def test_the_fingerprint_sees_the_settings(monkeypatch):
    """A setting that chooses kernels is part of it; what has nothing to do with computing is not, and could be a secret."""
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    monkeypatch.setenv("SOME_TOKEN", "secret")
    settings_of = take_fingerprint().settings
    assert "ONEDNN_MAX_CPU_ISA=SSE41" in settings_of
    assert "secret" not in " ".join(settings_of)
