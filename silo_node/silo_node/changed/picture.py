"""What a study's records looked like when it was approved: kept here, so that it can be said later how they changed.

    approvals/records/STUDY_HASH-DATA.json       counts, and each field's distribution, in full
    approvals/records/STUDY_HASH-DATA.records    a keyed digest of each record's key and of its content; no record

``DATA`` is the beginning of the keyed fingerprint that the approval signs. Both files are for the hospital alone (0600): small
counts stand in them as they are. They are of all records of the cohort, of training, validation and test together, and no
process that speaks to the outside reads them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import ValidationError

from silo_node.cohort import Cohort
from silo_node.data_key import records_key
from silo_node.training.distributions import cell_counts
from wardround.canonical import model_bytes
from wardround.comparison import Moments
from wardround.contract.model import Contract
from wardround.files import write_atomic
from wardround.messages.distribution import scale_of, told_fields
from wardround.study.model import Study
from wardround.values import Count, FieldName, Instant, Sha256, Value, instant

FOLDER = Path("approvals") / "records"
OWNER_ONLY = 0o600
NAMED = 12
"""Digits of the fingerprint in a file's name."""
MOST_MEMBERS = 1_000_000
"""Records of which single digests are kept, 16 bytes each; of more only how many there are is compared."""
DIGEST_BYTES = 8

Members = NDArray[np.uint64]
"""A row for each record, in ascending order: digest of its key, digest of its content; ``(n_records, 2)``."""


class FieldPicture(Value):
    """One field.

    Attributes:
        scale: digest of its cells; only counts on the same cells are compared.
        counts: records in each cell, the last one those without a value.
        mean, variance: of a number's values, in the schema's unit.
    """

    field: FieldName
    scale: Sha256
    counts: tuple[Count, ...]
    mean: float | None = None
    variance: float | None = None

    @property
    def records(self) -> int:
        """How many records there are."""
        return sum(self.counts)

    @property
    def moments(self) -> Moments | None:
        """Mean and variance with the number of values; None where there are none."""
        present = self.records - self.counts[-1]
        return None if self.mean is None or self.variance is None else Moments(present, self.mean, self.variance)

    def share(self, cell: int) -> float:
        """Give the share of records in a cell."""
        return self.counts[cell] / self.records if self.records else 0.0


class Picture(Value):
    """A study's records at one moment.

    Attributes:
        data: their keyed fingerprint; ``taken_at``: when they were looked at.
        found: records in the table; ``set_aside``: by the check; ``records``: those of the study, ``train``: for training.
    """

    format: Literal[1] = 1
    study_hash: Sha256
    data: Sha256
    taken_at: Instant
    found: Count
    set_aside: Count
    records: Count
    train: Count
    fields: tuple[FieldPicture, ...]


@dataclass(frozen=True)
class Taken:
    """A picture, and the digests of its records; None of too many."""

    picture: Picture
    members: Members | None


def take(folder: Path, cohort: Cohort, contract: Contract, study: Study, study_hash: str, data: str) -> Taken:
    """Take the picture of a study's records, whose keyed fingerprint is ``data``."""
    records = pl.concat([cohort.train, cohort.validation, cohort.test])
    picture = Picture(
        study_hash=study_hash,
        data=data,
        taken_at=instant(datetime.now(UTC)),
        found=cohort.counts.found,
        set_aside=cohort.counts.quarantined,
        records=records.height,
        train=cohort.train.height,
        fields=tuple(_field(records[name], contract, name) for name in told_fields(study)),
    )
    return Taken(picture, _members(folder, records, contract))


def keep(folder: Path, taken: Taken) -> None:
    """Write a picture down, beside those of other records.

    Raises:
        Refused: O-WRITE.
    """
    head, members = _paths(folder, taken.picture.study_hash, taken.picture.data)
    if taken.members is not None:
        write_atomic(members, taken.members.astype("<u8").tobytes(), OWNER_ONLY)
    write_atomic(head, model_bytes(taken.picture), OWNER_ONLY)


def forget_others(folder: Path, study_hash: str, data: str | None) -> None:
    """Remove a study's pictures of other records than those that are approved now; all, where it was approved without any."""
    kept = () if data is None else _paths(folder, study_hash, data)
    for path in (folder / FOLDER).glob(f"{study_hash}-*"):
        if path not in kept:
            path.unlink(missing_ok=True)


def recall(folder: Path, study_hash: str) -> Taken | None:
    """Give the picture that a study's last approval kept; None when there is none that can be read.

    There is one, or two where an approval was cut off: then the last one. Whether it is of the approval that stands is said by
    its ``data``.
    """
    try:
        heads = sorted((folder / FOLDER).glob(f"{study_hash}-*.json"), key=lambda path: path.stat().st_mtime_ns)
        picture = Picture.model_validate_json(heads[-1].read_bytes())
    except (OSError, IndexError, ValidationError):
        return None
    return Taken(picture, _read_members(_paths(folder, study_hash, picture.data)[1], picture.records))


def _paths(folder: Path, study_hash: str, data: str) -> tuple[Path, Path]:
    name = f"{study_hash}-{data[:NAMED]}"
    return folder / FOLDER / f"{name}.json", folder / FOLDER / f"{name}.records"


def _field(values: pl.Series, contract: Contract, name: str) -> FieldPicture:
    scale = scale_of(contract, name)
    counts = (*cell_counts(values, scale), values.null_count())
    found = FieldPicture(field=name, scale=scale.scale_digest(), counts=counts)
    numbers = values.drop_nulls().cast(pl.Float64).to_numpy() if scale.numeric else np.empty(0)
    if not len(numbers):
        return found
    return found.model_copy(update={"mean": float(numbers.mean()), "variance": float(numbers.var())})


# ------------------------------------------------------------------------------------------------------------- members


def _members(folder: Path, records: pl.DataFrame, contract: Contract) -> Members | None:
    key = records_key(folder)
    if key is None or records.height > MOST_MEMBERS:
        return None
    parts = (records.select(contract.primary_key), records)
    digests = np.stack([np.fromiter(_digests(key, part), np.uint64, records.height) for part in parts], axis=1)
    return digests[np.lexsort((digests[:, 1], digests[:, 0]))]


def _digests(key: bytes, records: pl.DataFrame) -> Iterator[int]:
    for row in records.iter_rows():
        yield int.from_bytes(hashlib.blake2b(repr(row).encode(), key=key, digest_size=DIGEST_BYTES).digest(), "little")


def _read_members(path: Path, records: int) -> Members | None:
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return None if len(data) != 2 * DIGEST_BYTES * records else np.frombuffer(data, "<u8").reshape(-1, 2)
