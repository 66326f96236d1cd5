"""What a network takes and what it gives: the one thing about sizes that study, builder and training loop agree on."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from wardround.values import Value

Size = Annotated[int, Field(ge=1, le=65_536)]
"""Voxels along one axis."""
Channels = Annotated[int, Field(ge=1, le=1_000_000)]


class Shape(Value):
    """The sizes of a network's input and output.

    A table goes in as ``(records, inputs)``, images as ``(records, inputs, *window)``. What comes out is
    ``(records, outputs)``, or ``(records, outputs, *window)`` where it is dense.

    Attributes:
        dimensions: 0 for a table, 2 or 3 for images.
        inputs: columns of the table, or channels of the images.
        outputs: logits of an example, or of each voxel where dense.
        window: voxels that the network sees at once, along each axis; empty for a table.
        dense: whether every voxel has its own outputs (segmentation).
    """

    dimensions: Literal[0, 2, 3]
    inputs: Channels
    outputs: Channels = 1
    window: tuple[Size, ...] = ()
    dense: bool = False

    @model_validator(mode="after")
    def _fits(self) -> Shape:
        if len(self.window) != self.dimensions:
            msg = "the window has one size for each dimension"
            raise ValueError(msg)
        if self.dense and not self.dimensions:
            msg = "only images have voxels"
            raise ValueError(msg)
        return self

    @classmethod
    def of_table(cls, columns: int, outputs: int = 1) -> Shape:
        """Give the shape for a table: one vector of ``outputs`` for each record of ``columns`` numbers."""
        return cls(dimensions=0, inputs=columns, outputs=outputs)

    def taken(self, records: int) -> tuple[int, ...]:
        """Give the shape of a batch that goes in."""
        return (records, self.inputs, *self.window)

    def given(self, records: int) -> tuple[int, ...]:
        """Give the shape of what comes out for a batch."""
        return (records, self.outputs, *(self.window if self.dense else ()))
