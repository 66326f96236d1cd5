"""What a study's rounds share at a hospital: records, network, examples, and how trainings are carried out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

import torch
from torch import nn

from silo_node.cohort import Cohort
from silo_node.configuration import DeviceName
from silo_node.policy import Policy
from silo_node.training.examples import Examples
from silo_node.training.execution import CPU, Execution
from silo_node.training.fitting import fit
from silo_node.training.losses import Loss, make_loss
from silo_node.training.made_up import made_up
from silo_node.training.memory import MIB, give_back, growth_bytes, is_out_of_memory
from silo_node.training.study_examples import Part, image_examples, study_examples
from wardround.models.build import build_network, write_weights
from wardround.study.bundle import Bundle
from wardround.study.encoding import Encoding
from wardround.study.inputs import shape_of

USUAL_CACHE: Final = 2**30
"""Bytes of prepared images that are kept where nobody can tell how much memory there is."""
WHOLE_LOGITS: Final = 10
"""How often the logits of a whole image lie in memory while it is drawn on and measured, about: windows are added up, and
probabilities, targets and terms of a loss are as large."""
LOG = logging.getLogger(__name__)

Result = TypeVar("Result")


@dataclass
class Desk:
    """A study's desk; under another policy the records are looked at anew.

    Attributes:
        data: keyed fingerprint of the records; None where there is no key.
        network: on the execution's device, once a task needed it.
        encoding: digest of the encoding by which the examples were made.
        records: digest of the training examples; it stays in the hospital.
    """

    bundle: Bundle
    cohort: Cohort
    policy: Policy
    execution: Execution
    loss: Loss
    data: str | None = None
    network: nn.Module | None = None
    encoding: str | None = None
    train: Examples | None = None
    validation: Examples | None = None
    test: Examples | None = None
    records: str = ""
    log: logging.Logger = LOG

    def prepare(self, encoding: Encoding, limit_bytes: int | None) -> nn.Module:
        """Build the network and make the examples, once.

        Args:
            encoding: how records become numbers.
            limit_bytes: this process's memory limit.

        Raises:
            MemoryError, RuntimeError: the network does not fit into memory with a single image.
            UnfitExampleError: an image is not what it was when it was checked, or cannot be prepared.
        """
        digest = encoding.encoding_digest()
        if self.network is not None and self.encoding == digest:
            return self.network
        bundle, cohort = self.bundle, self.cohort
        shape = shape_of(bundle.study, bundle.contract, bundle.imaging)
        with torch.random.fork_rng(devices=[]):  # the layers draw weights that nobody uses
            network = build_network(bundle.study.network, shape).to(self.execution.device)
        room = 0 if cohort.images is None else self._fit(network, encoding, limit_bytes)
        parts = (cohort.train, cohort.validation, cohort.test)
        records = sum(part.height for part in parts)
        # each part keeps its share: training is gone over most often, and is the largest
        shares = [room * part.height // max(records, 1) for part in parts]
        self.train, self.validation, self.test = (
            study_examples(bundle, [Part(part, cohort.images)], encoding, share)
            for part, share in zip(parts, shares, strict=True)
        )
        self.records = self.train.digest()
        self.network, self.encoding = network, digest
        self._tell()
        return network

    def _tell(self) -> None:
        """Say in the hospital's own log how images are computed here, and how many are kept in memory."""
        if self.cohort.images is None:
            return
        from silo_node.imaging.dataset import ImageExamples  # noqa: PLC0415  (pydicom, only where images are read)

        assert isinstance(self.train, ImageExamples)  # noqa: S101  (the study reads some)
        batch = min(self.bundle.study.training.batch_size or self.train.size, self.train.size)
        self.log.info(
            "study %s: %d images a batch, computed %d at once; of %d images for training, %d are kept in memory (%d MiB)",
            self.bundle.study.name,
            batch,
            self.execution.at_once(batch),
            self.train.size,
            self.train.cached,
            self.train.cached_bytes // MIB,
        )

    def unprepared(self, encoding: Encoding) -> int:
        """Count the images of all parts that cannot be prepared as the study asks."""
        parts = [Part(part, self.cohort.images) for part in (self.cohort.train, self.cohort.validation, self.cohort.test)]
        return image_examples(self.bundle, parts, encoding, 0).unprepared()

    def give_way(self) -> bool:
        """Let go of half of the prepared images that are kept; says whether there were any."""
        gave = [part.give_way() for part in (self.train, self.validation, self.test) if part is not None]
        if any(gave):
            self.log.warning(
                "no memory was left: half of the images that were kept in memory are made anew each time from here on"
            )
        return any(gave)

    def with_room(self, work: Callable[[], Result]) -> Result:
        """Do some work that leaves nothing behind; where there is no memory for it, images that are kept give way.

        Raises:
            MemoryError, RuntimeError: there is none without them either.
        """
        while True:
            try:
                return work()
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error) or not self.give_way():
                    raise
            give_back()  # not within the clause: the error's trace holds what did not fit

    def _beside(self, encoding: Encoding, outputs: int) -> int:
        """Say how much memory is taken while no step is: to prepare one image, or to draw on a whole one, about."""
        one = image_examples(self.bundle, [Part(self.cohort.train.head(1), self.cohort.images)], encoding, 0)
        preparing = growth_bytes(one.digest)
        if not self.bundle.study.target.mask or not one.size:
            return preparing
        return max(preparing, WHOLE_LOGITS * outputs * one.whole(0)[1].numel() * torch.float32.itemsize)

    def _fit(self, network: nn.Module, encoding: Encoding, limit_bytes: int | None) -> int:
        """Fit how many images are computed at once to the memory; gives how many bytes are left to keep prepared ones in."""
        bundle = self.bundle
        shape = shape_of(bundle.study, bundle.contract, bundle.imaging)
        sample = partial(made_up, shape=shape.taken(1)[1:], kind=bundle.study.target.kind, outputs=shape.outputs)
        beside = self._beside(encoding, shape.outputs)
        write_weights(network, bundle.weights, bundle.manifest)
        records = self.cohort.train.height
        fitted = fit(network, sample, bundle.study.training, self.loss, records, self.execution, limit_bytes, beside)
        self.execution = fitted.execution
        return USUAL_CACHE if fitted.cache_bytes is None else fitted.cache_bytes


def execution_of(bundle: Bundle, device: torch.device, setting: DeviceName) -> Execution:
    """Say where a study is computed.

    Tables are computed on the processor, unless the site file names a GPU: for them it is no slower, and its bits are the same on
    more machines. Images are computed where the machine is fastest.
    """
    return Execution(device if bundle.imaging is not None or setting == "cuda" else CPU)


def make_desk(
    bundle: Bundle,
    cohort: Cohort,
    policy: Policy,
    device: torch.device,
    setting: DeviceName,
    data: str | None,
    log: logging.Logger = LOG,
) -> Desk:
    """Make a study's desk."""
    loss = make_loss(bundle.study.training, bundle.study.target.kind)
    return Desk(bundle, cohort, policy, execution_of(bundle, device, setting), loss, data, log=log)
