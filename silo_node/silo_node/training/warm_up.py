"""Pay for every first time before the first task comes: an optimiser's step imports a second of machinery."""

from __future__ import annotations

import io
from typing import get_args

import numpy as np
import polars as pl
import torch

from silo_node.training.encode import TableExamples
from silo_node.training.evaluation import evaluate
from silo_node.training.loop import train
from silo_node.training.losses import BinaryCrossEntropy
from wardround.models.build import build_network
from wardround.study.model import Network, Optimiser, Training
from wardround.study.shape import Shape


def warm_up() -> None:
    """Build, train with every optimiser, evaluate and read, all of it tiny; torch's global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        tiny = Network(name="FullyConnectedNet", arguments={"hidden_channels": (2,), "dropout": 0.5})
        network = build_network(tiny, Shape.of_table(1))
    examples = TableExamples(np.zeros((2, 1), np.float32), np.array([True, False]))
    for name in get_args(Optimiser.model_fields["name"].annotation):
        training = Training(optimiser=Optimiser(name=name, learning_rate=0.1))
        train(network, examples, training, BinaryCrossEntropy(), seed=0)
    evaluate(network, examples)
    pl.read_csv(io.BytesIO(b"a,b\n1,2\n"))
