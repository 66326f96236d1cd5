"""The allow-list of networks and their typed arguments, as data: no code of a network is imported here.

``wardround.models`` builds them. Sizes of input and output are never arguments: they follow from features, images and target.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from wardround.errors import Problem
from wardround.strict_yaml import nearest
from wardround.study.architectures.base import Architecture, Count, groups_of
from wardround.study.architectures.classifiers import DenseNet121, EfficientNetB0, ResNet18, ResNet50
from wardround.study.architectures.segmenters import DynUNet, SegResNet, UNet
from wardround.study.architectures.tables import FullyConnectedNet
from wardround.study.model import Network
from wardround.study.shape import Shape

MOST_WEIGHTS = 500_000_000
"""Weights of a network at most: 2 GB on the wire, each way, for each hospital and round."""

NETWORKS: dict[str, type[Architecture]] = {
    each.__name__: each for each in (FullyConnectedNet, DenseNet121, ResNet18, ResNet50, EfficientNetB0, UNet, SegResNet, DynUNet)
}
"""Every network that a study may name; one more is a class and a name here."""

LEAST_VALUES = 2
"""Values over which a normalisation takes a mean and a variance, at least: of one value nothing would be left."""


def arguments_of(network: Network) -> Architecture:
    """Give a network's checked arguments; ``KeyError`` or ``ValidationError`` when ``problems_of`` finds any."""
    return NETWORKS[network.name].model_validate(dict(network.arguments))


def weight_count(network: Network, shape: Shape) -> int:
    """Give how many weights of a checked network travel, without building it: parameters, and moments of batch normalisation."""
    return arguments_of(network).weights(shape, Count(shape.dimensions, network.normalisation))


def words_of(network: Network) -> str:
    """Name a network for people, with its normalisation where it has one."""
    known = NETWORKS.get(network.name)
    return f"{network.name} with {network.normalisation} normalisation" if known and known.NORMALISES else network.name


def problems_of(network: Network, place: str, shape: Shape) -> list[Problem]:
    """Say what is wrong with a network: its name, its arguments, what it is to serve, its windows or its size."""
    if network.name not in NETWORKS:
        guess = nearest(network.name, NETWORKS)
        known = ", ".join(sorted(NETWORKS))
        return [
            _problem(
                place,
                "Networks come from an allow-list",
                f"the network {network.name!r} is not on it",
                f"did you mean {guess!r}?" if guess else f"choose one of: {known}",
            )
        ]
    found = _key_problems(network, place)
    try:
        arguments = arguments_of(network)
    except ValidationError as error:
        return found + [_argument_problem(network.name, place, item) for item in error.errors()]
    kind = _kind_problems(network.name, arguments, place, shape)
    if kind:
        return found + kind
    return found + _window_problems(network, arguments, place, shape) + _size_problems(network, place, shape)


def _problem(place: str, rule: str, finding: str, next_step: str) -> Problem:
    return Problem("P-NETWORK", place, rule, finding, next_step)


def _key_problems(network: Network, place: str) -> list[Problem]:
    """Refuse the key of a normalisation that there is not, whatever it says."""
    if NETWORKS[network.name].NORMALISES or "normalisation" not in network.model_fields_set:
        return []
    rule = "Only networks for images normalise between their layers"
    return [_problem(place, rule, f"{network.name} has no normalisation to choose", "take the key 'normalisation' out")]


def _argument_problem(network: str, place: str, item: ErrorDetails) -> Problem:
    """Put what pydantic found into our words; what was found where the arguments do not fit each other has no location."""
    loc, message = item["loc"], item["msg"].removeprefix("Value error, ")
    name, words = ".".join(str(part) for part in loc), sorted(NETWORKS[network].model_fields)
    if item["type"] == "extra_forbidden":
        guess = nearest(str(loc[0]), words)
        next_step = f"did you mean {guess!r}?" if guess else f"its arguments are: {', '.join(words) or 'none'}"
        return _problem(place, f"{network} has typed arguments", f"the argument {name!r} is unknown", next_step)
    if not loc:
        rule = f"The arguments of {network} fit each other"
        return _problem(place, rule, message, "give both, with the right number of entries")
    return _problem(place, message, f"the argument {name!r} of {network} is not accepted", f"correct {name!r}")


def _kind_problems(name: str, arguments: Architecture, place: str, shape: Shape) -> list[Problem]:
    """Refuse a network for tables on images, a segmenter for one class an image, and the other way round."""
    if shape.dimensions in arguments.DIMENSIONS and shape.dense == arguments.DENSE:
        return []
    fit = [each for each, known in NETWORKS.items() if shape.dimensions in known.DIMENSIONS and shape.dense == known.DENSE]
    rule, finding = f"{name} {_serves(arguments)}", f"the study needs {_needed(shape)}"
    return [_problem(place, rule, finding, f"choose one of: {', '.join(fit)}")]


def _serves(arguments: Architecture) -> str:
    if not any(arguments.DIMENSIONS):
        return "takes rows of a table"
    sizes = " or ".join(str(each) for each in arguments.DIMENSIONS)
    return f"takes images of {sizes} dimensions and {'marks every voxel' if arguments.DENSE else 'tells one thing of each'}"


def _needed(shape: Shape) -> str:
    if not shape.dimensions:
        return "one for rows of a table"
    kind = "marks every voxel" if shape.dense else "tells one thing of each image"
    return f"one that takes images of {shape.dimensions} dimensions and {kind}"


def _window_problems(network: Network, arguments: Architecture, place: str, shape: Shape) -> list[Problem]:
    """Refuse a window that is too small, that the steps of a segmenter do not divide, or that leaves nothing to normalise."""
    step, window = arguments.step, shape.window
    finding = f"the window is {_size(window)}"
    if any(edge < step for edge in window):
        rule = f"{network.name} with these arguments sees windows of {step} voxels or more along each axis"
        return [_problem(place, rule, finding, f"choose {_size(_up(edge, step) for edge in window)} or more, or smaller steps")]
    if arguments.DENSE and any(edge % step for edge in window):
        rule = f"{network.name} with these arguments sees windows whose edges are multiples of {step}"
        smaller, larger = _size(edge // step * step for edge in window), _size(_up(edge, step) for edge in window)
        return [_problem(place, rule, finding, f"choose {smaller} or {larger}")]
    values = prod(edge // step for edge in window) * _share(network, arguments)
    if not arguments.NORMALISES or values >= LEAST_VALUES:
        return []
    rule = (
        f"The smallest layer of {network.name} keeps {LEAST_VALUES} values or more for its {network.normalisation} normalisation"
    )
    larger = _size([_up(window[0] + 1, step), *window[1:]])
    others = "more channels" if network.normalisation == "group" else "'normalisation: group'"
    return [_problem(place, rule, f"{finding}, of which it keeps 1", f"choose {larger} or more, or {others}")]


def _share(network: Network, arguments: Architecture) -> int:
    """Give how many channels share a mean in the smallest layer."""
    return arguments.deepest // groups_of(arguments.deepest) if network.normalisation == "group" else 1


def _up(edge: int, step: int) -> int:
    return -(-edge // step) * step


def _size(edges: Iterable[int]) -> str:
    return " × ".join(str(edge) for edge in edges)


def _size_problems(network: Network, place: str, shape: Shape) -> list[Problem]:
    weights = weight_count(network, shape)
    if weights <= MOST_WEIGHTS:
        return []
    rule, finding = f"A network has at most {MOST_WEIGHTS} weights", f"this one would have {weights}"
    return [_problem(place, rule, finding, "choose smaller layers")]
