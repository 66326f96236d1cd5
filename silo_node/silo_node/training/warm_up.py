"""Pay for every first time before the first task comes: an optimiser's step imports a second of machinery."""

from __future__ import annotations

import io
from typing import get_args

import numpy as np
import polars as pl
import torch

from silo_node.training.encode import Examples
from silo_node.training.loop import evaluate, train
from wardround.models.build import build_network
from wardround.study.model import Network, Optimiser, Training
from wardround.study.shape import Shape


def warm_up() -> None:
    """Build, train with every optimiser, evaluate and read, all of it tiny; torch's global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        tiny = Network(name="FullyConnectedNet", arguments={"hidden_channels": (2,), "dropout": 0.5})
        network = build_network(tiny, Shape.of_table(1))
    examples = Examples(np.zeros((2, 1), np.float32), np.array([True, False]))
    for name in get_args(Optimiser.model_fields["name"].annotation):
        train(network, examples, Training(optimiser=Optimiser(name=name, learning_rate=0.1)), seed=0)
    evaluate(network, examples)
    pl.read_csv(io.BytesIO(b"a,b\n1,2\n"))
