"""The centre: Flower's own FedAvg. A line with the time is written before the first round and after every round."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from flwr.app import ArrayRecord, Context, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from stock_flower.task import network

FEATURES = 13
app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Conduct the rounds."""
    settings = context.run_config
    nodes, times = int(settings["nodes"]), Path(str(settings["times"]))
    torch.manual_seed(int(settings["seed"]))
    strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=nodes, min_available_nodes=nodes)

    def note(server_round: int, _arrays: ArrayRecord) -> MetricRecord | None:
        with times.open("a") as file:
            file.write(f"{server_round} {time.time()}\n")
        return None

    initial = ArrayRecord(network(FEATURES).state_dict())
    result = strategy.start(grid, initial, num_rounds=int(settings["rounds"]), evaluate_fn=note)
    losses = [float(metrics["loss"]) for _, metrics in sorted(result.train_metrics_clientapp.items())]
    with times.open("a") as file:
        file.write(f"losses {losses}\n")
