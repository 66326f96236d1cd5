"""A check's answer from before, for records that did not change: ``reports/check-….answer``.

The answer is known again by a digest over everything that it depends on: the content of the source's files, byte by byte,
the site file but for what no check reads, the policy, the contract, the study, the day, and the code that is installed.
Neither size, time nor inode of a file is believed: a file that was changed and given its old time and size is found out.
An answer is kept only if the file's content was the same before and after the check. It holds what the local report
holds, for its owner only. Training never asks here; it reads the records itself, every time.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from silo_node.configuration import Site
from silo_node.local_report.question import Question
from silo_node.running_code import OUR_PACKAGES
from silo_node.validation.reports import OWNER_ONLY, LocalReport, file_name
from wardround.canonical import model_json
from wardround.files import write_atomic
from wardround.identity.software import code_digest
from wardround.values import Sha256, Value

SUFFIX = "answer"
FIRST_ZONE = timezone(timedelta(hours=14))
"""Where a day begins first on earth."""
NOT_READ_BY_CHECKS = ("name", "resources", "proxy")
"""Keys of the site file on which no answer depends; every other one counts."""


class _Head(Value):
    """The first line of a kept answer; the rest of the file is the report, with the SHA-256 that stands here."""

    basis: Sha256
    report: Sha256


_REPORTS = TypeAdapter(LocalReport)


def basis_of(site: Site, question: Question, day: str) -> str | None:
    """Give the digest over everything that the answer depends on; nothing where it cannot be known before the check.

    Args:
        site: the hospital.
        question: what is asked.
        day: today, see ``day_of``; what a check says may depend on the date, so an answer is good for a day.
    """
    if question.imaging is not None:  # thousands of files, which the check itself knows by their index
        return None
    mapping = site.file.schemas.get(question.contract.id)
    paths = () if mapping is None or mapping.source not in site.file.sources else site.record_paths(mapping.source)
    if not paths:  # a database server's records are known to no digest
        return None
    try:
        content = [_content(path) for path in paths]
    except OSError:
        return None
    depends = {
        "content": content,
        "site": site.file.model_dump(mode="json", by_alias=True, exclude=set(NOT_READ_BY_CHECKS)),
        "policy": model_json(site.policy()),
        "contract": question.contract.contract_hash(),
        "study": None if question.study is None else model_json(question.study),
        "study_hash": question.study_hash,
        "code": code_digest(OUR_PACKAGES),
        "day": day,
    }
    return hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()


def _content(path: Path) -> str:
    if not path.is_file():  # a pipe or a device would be read without end
        raise FileNotFoundError
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def day_of(now: datetime) -> str:
    """Give the day in UTC, at the hospital, and where it begins first: a check may go by any of them."""
    return " ".join(each.date().isoformat() for each in (now.astimezone(UTC), now.astimezone(), now.astimezone(FIRST_ZONE)))


def recall(site: Site, question: Question, basis: str | None) -> LocalReport | None:
    """Give the answer that was kept for the same basis, if there is one and it is whole."""
    if basis is None:
        return None
    try:
        head, _, body = _path(site, question).read_bytes().partition(b"\n")
        told = _Head.model_validate_json(head)
        if told != _Head(basis=basis, report=hashlib.sha256(body).hexdigest()):
            return None
        return _REPORTS.validate_json(body)
    except (OSError, ValidationError):
        return None


def keep(site: Site, question: Question, basis: str | None, day: str, report: LocalReport) -> None:
    """Keep an answer, if everything that it depends on is what it was before the check; else forget the one before.

    Raises:
        Refused: O-WRITE.
    """
    path = _path(site, question)
    if basis is None or basis_of(site, question, day) != basis:
        path.unlink(missing_ok=True)
        return
    body = _REPORTS.dump_json(report, by_alias=True)
    head = _Head(basis=basis, report=hashlib.sha256(body).hexdigest())
    write_atomic(path, head.model_dump_json().encode() + b"\n" + body, OWNER_ONLY)


def _path(site: Site, question: Question) -> Path:
    return site.directory("reports") / file_name(question.contract, question.study_name, SUFFIX)
