"""From checked records to a network's input, by the study's common encoding."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from silo_node.training.examples import Draw
from wardround.errors import Broken
from wardround.study.encoding import CodeColumn, Encoding, NumberColumn
from wardround.study.model import Label

Labels: TypeAlias = NDArray[np.bool_] | NDArray[np.int64] | NDArray[np.float32]


@dataclass(frozen=True)
class TableExamples:
    """Encoded records: ``inputs`` float32 of shape ``(n_records, width)``, ``labels`` of shape ``(n_records,)``: bool where one
    value is looked for, int64 (the number of the class) where there are several, float32 on the scale of its range where a number
    is predicted; of several labels ``(n_records, n_labels)``, float32, NaN where one is not known.
    """

    inputs: NDArray[np.float32]
    labels: Labels

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
        """Give some records as tensors of torch's own; nothing is drawn for a table."""
        inputs, labels = self._tensors
        chosen = torch.from_numpy(indexes)
        return inputs[chosen], labels[chosen]

    def give_way(self) -> bool:
        """Let go of nothing: encoded records are not made again."""
        return False

    @cached_property
    def _tensors(self) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.from_numpy(self.inputs), as_targets(self.labels)


def encode(records: pl.DataFrame, encoding: Encoding) -> TableExamples:
    """Encode records, and what is to be predicted of them.

    Raises:
        Broken: for a value that checked records cannot have: an unknown category, a required value that is missing.
    """
    return TableExamples(inputs_of(records, encoding), labels_of(records, encoding))


def inputs_of(records: pl.DataFrame, encoding: Encoding) -> NDArray[np.float32]:
    """Encode records: ``(n_records, width)``; computed in float64, stored as float32.

    Raises:
        Broken: as ``encode``.
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
    return inputs.astype(np.float32)


def labels_of(records: pl.DataFrame, encoding: Encoding) -> Labels:
    """Give what is to be predicted of records: of two, bool; of several, the number of the class; of a number, float32.

    Of several labels float32, ``(n_records, n_labels)``: 1 where one holds, 0 where not, NaN where that is missing.

    Raises:
        Broken: for a value that checked records cannot have: none, one that is no class, or one outside of the range.
    """
    if encoding.labels:
        return _several(records, encoding.labels)
    if encoding.target is None:
        msg = "masks are no field of a record"
        raise Broken(msg)
    values = records[encoding.target]
    if values.null_count():
        raise _unchecked(encoding.target)
    if encoding.number is not None:
        exact = values.cast(pl.Float64).to_numpy()
        if not ((encoding.number.low <= exact) & (exact <= encoding.number.high)).all():
            raise _unchecked(encoding.target)
        return encoding.number.scaled(exact).astype(np.float32)
    if encoding.positive is not None:
        return (values == encoding.positive).to_numpy().astype(np.bool_)
    numbers = values.replace_strict(list(encoding.classes), range(len(encoding.classes)), default=None, return_dtype=pl.Int64)
    if numbers.null_count():
        raise _unchecked(encoding.target)
    return numbers.to_numpy().astype(np.int64)


def _several(records: pl.DataFrame, labels: Sequence[Label]) -> NDArray[np.float32]:
    columns = [(records[label.field] == label.positive).cast(pl.Float32).fill_null(np.nan).to_numpy() for label in labels]
    found: NDArray[np.float32] = np.stack(columns, axis=1)
    if np.isnan(found).all(axis=1).any():
        raise _unchecked(", ".join(label.field for label in labels))
    return found


def as_targets(labels: Labels) -> torch.Tensor:
    """Give labels as what a loss takes: zeros and ones, or numbers, in float32; or numbers of classes in int64."""
    return torch.from_numpy(labels if labels.dtype == np.int64 else labels.astype(np.float32))


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
