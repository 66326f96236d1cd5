"""The hospital's own check of its releases against the centre's receipts, and against what its porter remembers."""

from __future__ import annotations

from pathlib import Path

from silo_node.ledger.account import Account, Left, receipt_problem
from silo_node.porter.memory import FILE, JOURNAL, REPLY
from wardround.chain import read_chain
from wardround.errors import Problem
from wardround.ledger.verification import missing_head
from wardround.messages.envelope import read
from wardround.messages.round import ANSWER, Reply
from wardround.messages.stored import restore


def disagreements(account: Account) -> list[Problem]:
    """Give every difference: receipts that do not fit, and replies in the porter's memory that the ledger does not have.

    Raises:
        Refused: L-BROKEN when a porter's journal was changed.
    """
    found = list(account.problems)
    journals = None if account.source.directory is None else account.source.directory / JOURNAL
    if journals is None or not journals.is_dir():
        return found
    heads = {each.hash for each in account.left}
    for study in sorted(path for path in journals.iterdir() if path.is_dir()):
        sent = _replies(study)
        releases = [each for each in account.releases if each.entry.study == study.name]
        found += [
            receipt_problem(
                account.course.place(each.sequence),
                "its receipt names a reply that the porter did not send",
            )
            for each in releases
            if _differs(each, sent)
        ]
        head = _last_head(study)
        if head is not None and head not in heads:
            found.append(missing_head(account.source.folder, head, account.course))
    return found


def _differs(left: Left, sent: dict[str, set[str]]) -> bool:
    task = getattr(left.entry, "task", None)
    return left.receipt is not None and task in sent and left.receipt.reply not in sent[task]


def _replies(study: Path) -> dict[str, set[str]]:
    """Give the digests of the replies that the porter sent, by task."""
    found: dict[str, set[str]] = {}
    for link in read_chain(study / FILE):
        if link.entry.get("event") == "reply":
            found.setdefault(str(link.entry["task"]), set()).add(str(link.entry["reply"]))
    return found


def _last_head(study: Path) -> str | None:
    """Give the head that the last reply named, from the bytes that the porter keeps; None when there are none that are whole."""
    try:
        envelope = restore((study / REPLY).read_bytes())
    except OSError:
        return None
    reply = None if envelope is None else read(envelope, ANSWER)
    return reply.ledger if isinstance(reply, Reply) else None
