"""From checked records to a network's input, by the study's common encoding."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from silo_node.training.examples import Draw
from wardround.errors import Broken
from wardround.study.encoding import CodeColumn, Encoding, NumberColumn


@dataclass(frozen=True)
class TableExamples:
    """Encoded records: ``inputs`` float32 of shape ``(n_records, width)``, ``labels`` bool of shape ``(n_records,)``."""

    inputs: NDArray[np.float32]
    labels: NDArray[np.bool_]

    @property
    def size(self) -> int:
        """The number of records."""
        return len(self.labels)

    def digest(self) -> str:
        """Give the SHA-256 of the encoded records. It stays in the hospital: a digest of records can be guessed."""
        whole = hashlib.sha256(repr(self.inputs.shape).encode())
        whole.update(np.ascontiguousarray(self.inputs).data)
        whole.update(np.ascontiguousarray(self.labels).data)
        return whole.hexdigest()

    def batch(self, indexes: NDArray[np.int64], draw: Draw | None) -> tuple[torch.Tensor, torch.Tensor]:  # noqa: ARG002
        """Give some records as tensors of torch's own, the labels as zeros and ones; nothing is drawn for a table."""
        inputs, labels = self._tensors
        chosen = torch.from_numpy(indexes)
        return inputs[chosen], labels[chosen]

    @cached_property
    def _tensors(self) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.from_numpy(self.inputs), torch.from_numpy(self.labels.astype(np.float32))


def encode(records: pl.DataFrame, encoding: Encoding) -> TableExamples:
    """Encode records; computed in float64, stored as float32.

    Raises:
        Broken: for a value that checked records cannot have: an unknown category, a required value that is missing.
    """
    inputs = np.zeros((records.height, encoding.width), dtype=np.float64)
    start = 0
    for column in encoding.columns:
        part = inputs[:, start : start + column.width]
        if isinstance(column, NumberColumn):
            _encode_number(records[column.field], column, part)
        else:
            _encode_code(records[column.field], column, part)
        start += column.width
    if records[encoding.target].null_count():
        raise _unchecked(encoding.target)
    labels = (records[encoding.target] == encoding.positive).to_numpy().astype(np.bool_)
    return TableExamples(inputs.astype(np.float32), labels)


def _encode_number(values: pl.Series, column: NumberColumn, part: NDArray[np.float64]) -> None:
    missing = values.is_null().to_numpy()
    if missing.any() and not column.may_be_missing:
        raise _unchecked(column.field)
    numbers = values.cast(pl.Float64).fill_null(column.mean).to_numpy()
    part[:, 0] = (numbers - column.mean) / column.deviation
    if column.may_be_missing:
        part[:, 1] = missing


def _encode_code(values: pl.Series, column: CodeColumn, part: NDArray[np.float64]) -> None:
    for index, value in enumerate(column.values):
        part[:, index] = (values == value).fill_null(value=False).to_numpy()
    if column.may_be_missing:
        part[:, -1] = values.is_null().to_numpy()
    if not (part.sum(axis=1) == 1).all():
        raise _unchecked(column.field)


def _unchecked(field: str) -> Broken:
    return Broken(f"records that were not checked reached the encoding: {field}")
