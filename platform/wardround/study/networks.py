"""The allow-list of networks and their typed arguments, as data: no code of a network is imported here.

``wardround.models`` builds them. Sizes of input and output are never arguments: they follow from features and target.
"""

from __future__ import annotations

import itertools
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from wardround.errors import Problem
from wardround.strict_yaml import nearest
from wardround.study.model import Network
from wardround.values import Value

Width = Annotated[int, Field(ge=1, le=65_536)]


class FullyConnectedNet(Value):
    """MONAI's ``FullyConnectedNet``: linear layers with dropout and activation between them.

    Attributes:
        hidden_channels: widths of the hidden layers; empty means logistic regression.
        dropout: share of a hidden layer's outputs that training sets to zero.
        act: activation between the layers.
        bias: whether the linear layers have a bias.
    """

    hidden_channels: Annotated[tuple[Width, ...], Field(max_length=32)] = ()
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    act: Literal["relu", "prelu", "leakyrelu", "gelu", "tanh", "sigmoid", "elu"] = "relu"
    bias: bool = True


MOST_WEIGHTS = 500_000_000
"""Weights of a network at most: 2 GB on the wire, each way, for each hospital and round."""

NETWORKS: dict[str, type[Value]] = {"FullyConnectedNet": FullyConnectedNet}
"""Every network that a study may name."""


def arguments_of(network: Network) -> Value:
    """Give a network's checked arguments; ``KeyError`` or ``ValidationError`` when ``problems_of`` finds any."""
    return NETWORKS[network.name].model_validate(dict(network.arguments))


def weight_count(network: Network, inputs: int) -> int:
    """Give how many weights a checked network has, without building it (activations with weights of their own left out)."""
    arguments = arguments_of(network)
    if not isinstance(arguments, FullyConnectedNet):
        raise TypeError(network.name)
    widths = [inputs, *arguments.hidden_channels, 1]
    return sum((before + arguments.bias) * after for before, after in itertools.pairwise(widths))


def _size_problems(network: Network, place: str, inputs: int) -> list[Problem]:
    weights = weight_count(network, inputs)
    if weights <= MOST_WEIGHTS:
        return []
    rule, finding = f"A network has at most {MOST_WEIGHTS} weights", f"this one would have {weights}"
    return [Problem("P-NETWORK", place, rule, finding, "choose smaller layers")]


def problems_of(network: Network, place: str, inputs: int = 1) -> list[Problem]:
    """Say what is wrong with a network's name, arguments or size."""
    if network.name not in NETWORKS:
        guess = nearest(network.name, NETWORKS)
        known = ", ".join(sorted(NETWORKS))
        return [
            Problem(
                "P-NETWORK",
                place,
                "Networks come from an allow-list",
                f"the network {network.name!r} is not on it",
                f"did you mean {guess!r}?" if guess else f"choose one of: {known}",
            )
        ]
    try:
        arguments_of(network)
    except ValidationError as error:
        known_arguments = NETWORKS[network.name].model_fields
        return [
            _argument_problem(network.name, place, item["type"], item["loc"], item["msg"], known_arguments)
            for item in error.errors()
        ]
    return _size_problems(network, place, inputs)


def _argument_problem(network: str, place: str, kind: str, loc: tuple[int | str, ...], message: str, known: object) -> Problem:
    name = ".".join(str(part) for part in loc)
    words = sorted(known) if isinstance(known, dict) else []
    if kind == "extra_forbidden":
        guess = nearest(str(loc[0]), words)
        next_step = f"did you mean {guess!r}?" if guess else f"its arguments are: {', '.join(words)}"
        return Problem("P-NETWORK", place, f"{network} has typed arguments", f"the argument {name!r} is unknown", next_step)
    return Problem("P-NETWORK", place, message, f"the argument {name!r} of {network} is not accepted", f"correct {name!r}")
