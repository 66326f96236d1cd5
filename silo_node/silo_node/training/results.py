"""Results that outlive the trainer: on disk before anybody hears of them, and given again without training.

    journal/<study hash>/result     the last training's result of a study

What is kept is the change itself, whatever plan of the sum it was asked for under.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from silo_node.training.sealed_file import Damaged, Sealed, drop, read_sealed, write_sealed
from silo_node.work import Done, Work
from wardround.messages.round import RecordCount, RoundResult
from wardround.values import Sha256, Slug, Value
from wardround.weights.packing import Manifest, as_wire, from_bytes

KIND = "result"
FILE = "result"


class ResultHead(Value):
    """Whose result it is, and all of it but the change."""

    site: Slug
    study_hash: Sha256
    work: Sha256
    records: RecordCount
    result: RoundResult
    data: Sha256 | None


@dataclass(frozen=True)
class _Kept:
    work: str
    done: Done
    durable: bool


class Shelf:
    """The last result of each study's training; in memory alone where there is no folder."""

    def __init__(self, site: str, folder: Path | None, log: logging.Logger) -> None:
        """Take the hospital's name, the folder of all studies' journals, and the hospital's own log."""
        self._site = site
        self._folder = folder
        self._log = log
        self._kept: dict[str, _Kept] = {}

    def find(self, work: Work) -> Done | None:
        """Give the result of this work, if it is the last of its study; one of other work that is on disk is let go of.

        Raises:
            Refused: O-WRITE when it is there, but could not be made durable yet.
        """
        study = work.task.study_hash
        if study not in self._kept:
            found = self._read(study, work.bundle.manifest)
            if found is not None:
                self._kept[study] = found
        kept = self._kept.get(study)
        if kept is None:
            return None
        if kept.work != work.task.core.work_id():
            if kept.durable:  # as large as the weights, and read again where it is asked for after all
                del self._kept[study]
            return None
        self._make_durable(study)
        return kept.done

    def keep(self, work: Work, done: Done) -> None:
        """Put a training's result in the place of the study's last one; it is on disk when this returns.

        Raises:
            Refused: O-WRITE when it cannot be written; the result is not lost, and ``find`` tries again.
        """
        study = work.task.study_hash
        self._kept[study] = _Kept(work.task.core.work_id(), done, durable=False)
        self._make_durable(study)

    def _make_durable(self, study: str) -> None:
        kept = self._kept[study]
        result, change = kept.done.result, kept.done.change
        if kept.durable or self._folder is None or not isinstance(result, RoundResult) or change is None:
            return
        head = ResultHead(
            site=self._site,
            study_hash=study,
            work=kept.work,
            records=kept.done.records,
            result=result,
            data=kept.done.data,
        )
        write_sealed(self._folder / study / FILE, KIND, head, as_wire(change))
        self._kept[study] = replace(kept, durable=True)

    def _read(self, study: str, manifest: Manifest) -> _Kept | None:
        if self._folder is None:
            return None
        path = self._folder / study / FILE
        try:
            sealed = read_sealed(path, KIND)
            return None if sealed is None else self._judge(sealed, study, manifest)
        except (Damaged, ValidationError):
            self._log.warning("a kept result of study %s is damaged or foreign; it is dropped, never used", study[:12])
            drop(path)
            return None

    def _judge(self, sealed: Sealed, study: str, manifest: Manifest) -> _Kept:
        head = ResultHead.model_validate_json(sealed.head)
        change = from_bytes(sealed.body, manifest)
        if change is None or (head.site, head.study_hash) != (self._site, study):
            raise Damaged
        return _Kept(head.work, Done(head.records, head.result, change, head.data), durable=True)
