"""Models that no study made: a network of each kind with drawn weights, tiny windows, and a study that could have made it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import wardround_lab
from wardround.contract.implied_table import implied_table
from wardround.contract.library import find, find_imaging
from wardround.models.build import build_network, initial_weights, write_weights
from wardround.study.check import load_study
from wardround.study.encoding import Encoding
from wardround.study.model import Network, Study, Target
from wardround.study.shape import Shape
from wardround_lab.predict import Model

DEMO = Path(wardround_lab.__file__).parent / "demo"
DENSE = Shape(dimensions=3, inputs=1, outputs=2, window=(16, 16, 8), dense=True)

CASES: list[tuple[str, dict[str, Any], Shape]] = [
    ("FullyConnectedNet", {"hidden_channels": (4,)}, Shape.of_table(5)),
    ("DenseNet121", {"init_features": 8, "growth_rate": 4}, Shape(dimensions=2, inputs=1, window=(64, 64))),
    ("ResNet18", {"width": 0.125}, Shape(dimensions=3, inputs=1, window=(32, 32, 32))),
    ("ResNet50", {"width": 0.125}, Shape(dimensions=2, inputs=3, window=(64, 64))),
    ("EfficientNetB0", {}, Shape(dimensions=2, inputs=1, window=(64, 64))),
    ("UNet", {"channels": (4, 8), "strides": (2,), "num_res_units": 1}, DENSE),
    ("SegResNet", {"blocks_down": (1, 1), "blocks_up": (1,)}, DENSE),
    ("DynUNet", {"filters": (4, 8, 8), "strides": (2, 2)}, DENSE),
]
"""A network of each entry of the allow-list."""


def made_model(name: str, arguments: dict[str, Any], shape: Shape, seed: int = 1) -> Model:
    """Give a model with drawn weights; its study is the demonstration's, but for the network."""
    network = Network(name=name, arguments=arguments)
    built = build_network(network, shape)
    write_weights(built, *initial_weights(network, shape, seed))
    built.eval()
    imaging = find_imaging("phantom.lesion", (DEMO / "schemas",)) if shape.dimensions else None
    study = _study("phantom-lesions.yaml" if shape.dense or imaging else "breast-mass.yaml")
    contract = find("breast.cytology") if imaging is None else implied_table(imaging)
    if shape.dimensions and not shape.dense:
        study = study.model_copy(update={"target": Target(field="kind", positive="odd")})
    encoding = Encoding(
        data_schema=contract.id,
        version=contract.version,
        encoding_hash=contract.encoding_hash(),
        target=study.target.field,
        positive=study.target.positive,
        columns=(),
    )
    return Model(study.model_copy(update={"network": network}), contract, encoding, built, imaging, shape, "a" * 64)


def _study(name: str) -> Study:
    study, *_ = load_study(DEMO / name, (DEMO / "schemas",))
    return study
