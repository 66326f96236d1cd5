"""A hospital: evaluate the weights that came, then train one local epoch, all in one message."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from torch.nn.functional import binary_cross_entropy_with_logits

from stock_flower.task import network

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Do a round; a line with the time of the first step goes beside the records."""
    torch.set_num_threads(1)
    path = Path(str(context.node_config["data"]))
    parts = {name: torch.from_numpy(array) for name, array in np.load(path).items()}
    net = network(parts["inputs"].shape[1])
    net.load_state_dict(message.content["arrays"].to_torch_state_dict())
    with torch.no_grad():
        scores = net(parts["validation_inputs"]).reshape(-1)
        loss = float(binary_cross_entropy_with_logits(scores, parts["validation_labels"]))
    with path.with_suffix(".steps").open("a") as steps:
        steps.write(f"{time.time()}\n")
    _epoch(net, parts["inputs"], parts["labels"], int(context.run_config["batch"]), float(context.run_config["rate"]))
    metrics = MetricRecord({"loss": loss, "num-examples": len(parts["labels"])})
    return Message(RecordDict({"arrays": ArrayRecord(net.state_dict()), "metrics": metrics}), reply_to=message)


def _epoch(net: torch.nn.Module, inputs: torch.Tensor, labels: torch.Tensor, batch_size: int, rate: float) -> None:
    optimiser = torch.optim.SGD(net.parameters(), lr=rate)
    for batch in torch.randperm(len(labels)).split(batch_size):
        optimiser.zero_grad(set_to_none=True)
        binary_cross_entropy_with_logits(net(inputs[batch]).reshape(-1), labels[batch]).backward()
        optimiser.step()
