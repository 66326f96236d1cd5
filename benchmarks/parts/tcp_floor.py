"""The floor of a large round: four forked processes on plain TCP, the same bytes, the same work, a float32 sum.

    python -m parts.tcp_floor FOLDER

The folder is that of a deployment whose study has ended: bundle, hospitals, ``encoding.json``. Prints the seconds of each
round as JSON; the last weights go to ``floor.npy``. No TLS, no signature, no digest, no ledger, no disk.
"""

from __future__ import annotations

import json
import multiprocessing
import socket
import sys
import time
from pathlib import Path
from threading import Thread

import numpy as np
import torch
from simulate import RATE, SEED, SITES
from torch.nn.functional import binary_cross_entropy_with_logits

from parts.ward import BUNDLE
from silo_node.cohort import assemble
from silo_node.configuration import load_site
from silo_node.training.encode import encode
from wardround.models.build import build_network, read_weights, write_weights
from wardround.study.bundle import Bundle, read_bundle
from wardround.study.encoding import Encoding
from wardround.study.randomness import derive_seed
from wardround.study.shape import Shape
from wardround.weights.packing import Vector


def receive(connection: socket.socket, vector: Vector) -> None:
    """Fill a vector from a connection."""
    view = memoryview(vector).cast("B")
    while view:
        view = view[connection.recv_into(view) :]


class Site:
    """A hospital of the floor: everything in memory, one connection."""

    def __init__(self, folder: Path, name: str, bundle: Bundle, encoding: Encoding) -> None:
        """Read its records and build the network."""
        cohort = assemble(load_site(folder / name / "site.yaml"), bundle.contract, bundle.study, bundle.study_hash)
        self._name, self._bundle = name, bundle
        self._network = build_network(bundle.study.network, Shape.of_table(encoding.width))
        self._train, self._validation = (
            (torch.from_numpy(each.inputs), torch.from_numpy(each.labels.astype(np.float32)))
            for each in (encode(cohort.train, encoding), encode(cohort.validation, encoding))
        )

    def serve(self, port: int) -> None:
        """Do all rounds."""
        torch.set_num_threads(1)
        weights = np.empty_like(self._bundle.weights)
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(f"{self._name}{len(self._train[1]):>15}".encode())
            for number in range(1, self._bundle.study.rounds.maximum + 1):
                receive(connection, weights)
                connection.sendall(memoryview(self._work(weights, number)).cast("B"))

    def _work(self, weights: Vector, number: int) -> Vector:
        network = self._network
        write_weights(network, weights, self._bundle.manifest)
        network.eval()
        with torch.no_grad():
            binary_cross_entropy_with_logits(network(self._validation[0]).reshape(-1), self._validation[1])
        network.train()
        optimiser = torch.optim.SGD(network.parameters(), lr=RATE)
        generator = torch.Generator().manual_seed(derive_seed(SEED, self._name, number, "local training"))
        for batch in torch.randperm(len(self._train[1]), generator=generator).split(self._bundle.study.training.batch_size or 1):
            optimiser.zero_grad(set_to_none=True)
            binary_cross_entropy_with_logits(network(self._train[0][batch]).reshape(-1), self._train[1][batch]).backward()
            optimiser.step()
        return read_weights(network)[0] - weights


def conduct(bundle: Bundle, connections: list[tuple[socket.socket, int]]) -> tuple[Vector, list[float]]:
    """Send, receive, add and step, round after round; gives the last weights and the seconds of each round."""
    weights, seconds = bundle.weights.copy(), []
    changes = [np.empty_like(weights) for _ in connections]
    total = np.float32(sum(records for _, records in connections))

    def exchange(connection: socket.socket, change: Vector) -> None:
        connection.sendall(memoryview(weights).cast("B"))
        receive(connection, change)

    for _ in range(bundle.study.rounds.maximum):
        begun = time.perf_counter()
        threads = [
            Thread(target=exchange, args=(connection, change))
            for (connection, _), change in zip(connections, changes, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for (_, records), change in zip(connections, changes, strict=True):
            np.multiply(change, np.float32(records) / total, out=change)
            weights += change
        seconds.append(time.perf_counter() - begun)
    return weights, seconds


def main() -> None:
    """Fork the hospitals and conduct."""
    folder = Path(sys.argv[1])
    bundle = read_bundle(folder / BUNDLE)
    encoding = Encoding.model_validate_json((folder / "encoding.json").read_text())
    sites = [Site(folder, name, bundle, encoding) for name in SITES]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        context = multiprocessing.get_context("fork")
        hospitals = [context.Process(target=site.serve, args=(listener.getsockname()[1],)) for site in sites]
        for hospital in hospitals:
            hospital.start()
        connections = []
        for _ in hospitals:
            connection, _ = listener.accept()
            connections.append((connection, int(connection.recv(16, socket.MSG_WAITALL).decode()[1:])))
        weights, seconds = conduct(bundle, connections)
        for hospital in hospitals:
            hospital.join()
        for connection, _ in connections:
            connection.close()
    np.save(folder / "floor.npy", weights)
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
