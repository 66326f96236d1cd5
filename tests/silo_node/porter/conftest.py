"""A hospital's door with a spy behind it: real keys, approvals, gate and ledger; no records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from ledgers import entries_of
from paper_hospitals import PaperHospital, report
from studies_on_paper import CENTRE_READS, Paper, encoding, paper

from silo_node.confinement import Confinement
from silo_node.policy import POLICY_FILE, PolicyFile
from silo_node.porter import approvals
from silo_node.porter.approvals import Approvals, approve, resume
from silo_node.porter.gate import Gate, Release
from silo_node.porter.ledger import Ledger
from silo_node.porter.porter import Porter
from silo_node.work import Busy, Done, NotDone, Stepped, Work
from wardround.canonical import model_bytes
from wardround.identity.approval import ApprovedData, Approver
from wardround.identity.keys import SigningKey
from wardround.messages.confidential import decrypted, encrypted_for
from wardround.messages.envelope import Envelope, digests, read, seal, signed_by
from wardround.messages.round import (
    ANSWER,
    RECEIPT,
    Collect,
    Purpose,
    Reply,
    SiloRefusal,
    StatisticsResult,
    Task,
    Withdraw,
    Working,
)
from wardround.study.bundle import Bundle
from wardround.weights.fixed_point import plan_sum
from wardround.weights.packing import to_bytes

SITE = "beta"
RECORDS = 60
TRIED = Stepped(rows=32, step_us=1500, needed_mib=3, available_mib=4000)
PERSON = Approver(name="Dr A", role="data protection officer")


@dataclass
class Spy:
    """A worker that writes down what it was asked for, and does what it is told."""

    paper: Paper
    asked: list[Work] = field(default_factory=list)
    outcome: Callable[[Work], Done | NotDone | Busy] | None = None
    withdrawn: list[str] = field(default_factory=list)
    tried: list[int] = field(default_factory=list)
    trial: Stepped | NotDone = TRIED
    confined: Confinement | None = None

    def try_out(self, bundle: Bundle, rows: int) -> Stepped | NotDone:
        """Take note, and give what was set."""
        assert bundle.study_hash == self.paper.bundle.study_hash
        self.tried.append(rows)
        return self.trial

    def confinement(self) -> Confinement | None:
        """Give what was set."""
        return self.confined

    def withdraw(self, task_id: str) -> None:
        """Take note."""
        self.withdrawn.append(task_id)

    def perform(self, work: Work) -> Done | NotDone | Busy:
        """Do what ``outcome`` says, or honest work."""
        self.asked.append(work)
        return self.honest(work) if self.outcome is None else self.outcome(work)

    def honest(self, work: Work) -> Done:
        """Give what a trainer would."""
        hospital = PaperHospital(self.paper, SITE, RECORDS)
        result = hospital._result(work.task)
        if isinstance(result, StatisticsResult):
            result = result.model_copy(update={"report": report(RECORDS + 50)})
        change = hospital.change(work.task.core.round) if work.task.core.purpose == "round" else None
        return Done(RECORDS, result, change)


@dataclass
class House:
    """The hospital, from both sides of its door."""

    paper: Paper
    folder: Path
    spy: Spy
    porter: Porter
    ledger: Ledger

    def task(self, purpose: Purpose, number: int | None = None, **changes: Any) -> Task:
        """Make a task as the conductor does; changes are those of the task or, with ``core_``, of its core."""
        weights = changes.pop("weights", self.paper.bundle.weights)
        plan = plan_sum(weights, self.paper.bundle.manifest, 225) if purpose == "round" else None
        if number is None:
            number = {"statistics": 0, "round": 1}.get(purpose, 3)
        core = self.paper.core(purpose, number, weights, plan)
        core = core.model_copy(update={k.removeprefix("core_"): changes.pop(k) for k in [*changes] if k.startswith("core_")})
        arrays = () if purpose == "statistics" else (to_bytes(weights),)
        if "receipt" in changes:
            changes.setdefault("receipt_signature", self.paper.key.sign(RECEIPT, model_bytes(changes["receipt"])))
        fields = {
            "to": SITE,
            "study_hash": core.study_hash,
            "task_id": core.task_id(),
            "core": core,
            "encoding": None if purpose == "statistics" else encoding(),
            "records": None if purpose == "statistics" else RECORDS,
            "deadline_seconds": 30.0,
            "bodies": digests(arrays),
        }
        return Task.model_construct(**{**Task.model_validate(fields).__dict__, **changes})

    def sealed(self, task: Task, weights: np.ndarray | None = None, key: SigningKey | None = None) -> Envelope:
        """Sign a task as the coordinator (or with another key)."""
        arrays = (
            () if task.core.purpose == "statistics" else (to_bytes(self.paper.bundle.weights if weights is None else weights),)
        )
        return self.encrypted(seal("task", task, key or self.paper.key, arrays))

    def encrypted(self, envelope: Envelope) -> Envelope:
        """Encrypt an envelope's arrays to the hospital."""
        return encrypted_for(envelope, self.paper.parties[SITE].member.encryption_key)

    def opened(self, release: Release) -> Envelope:
        """Decrypt an answer as the centre does."""
        plain = decrypted(release.envelope, CENTRE_READS)
        assert plain is not None
        return plain

    def follow_up(self, kind: Literal["collect", "withdraw"], task: Task, **changes: Any) -> Envelope:
        """Ask after a task, or withdraw it."""
        model = Collect if kind == "collect" else Withdraw
        fields = {"to": SITE, "study_hash": task.study_hash, "task_id": task.task_id, **changes}
        return seal(kind, model.model_validate(fields), self.paper.key)

    def visit(self, purpose: Purpose, number: int | None = None, **changes: Any) -> Reply | SiloRefusal | Working:
        """Send a task and read the answer."""
        task = self.task(purpose, number, **changes)
        return self.read(self.porter.visit(self.sealed(task, changes.get("weights"))))

    def read(self, release: Release) -> Reply | SiloRefusal | Working:
        """Read an answer, whose signature must hold."""
        assert signed_by(release.envelope, "reply", self.paper.parties[SITE].key.public)
        answer = read(release.envelope, ANSWER)
        assert answer is not None
        return answer

    def code(self, envelope: Envelope) -> str:
        """Send a message that is refused, and give the code; the worker must not have been asked."""
        before = len(self.spy.asked)
        answer = self.read(self.porter.visit(envelope))
        assert isinstance(answer, SiloRefusal), "this must be refused"
        assert len(self.spy.asked) == before, "nothing of a refused task reaches the worker"
        assert answer.report is None
        return answer.code

    def decides(self, policy: str) -> None:
        """Have the hospital write another policy; nothing is restarted."""
        (self.folder / POLICY_FILE).write_text(policy)

    def goes_on(self) -> None:
        """Have a person look at what the gate kept back, and resume the study."""
        assert resume(self.folder, self.paper.bundle.study_hash)

    def entries(self) -> list[dict[str, Any]]:
        """Give the ledger's entries, verified from the files, but for those that hold an approval."""
        return entries_of(self.folder / "ledger", self.paper.parties[SITE].member.signing_key)

    def reopen(self) -> None:
        """Open the door anew, as after a restart."""
        self.ledger.close()
        self.porter.close()
        member = self.paper.parties[SITE].member
        self.ledger = Ledger(self.folder / "ledger", self.paper.parties[SITE].key)
        gate = Gate(SITE, self.paper.parties[SITE].key, self.ledger, PolicyFile(self.folder))
        encryption = self.paper.parties[SITE].encryption
        self.porter = Porter(SITE, self.folder, encryption, Approvals(self.folder, member), gate, self.spy)


@pytest.fixture(autouse=True)
def one_code(monkeypatch):
    """Hash the installed code once for all tests of the porter; those about the code set their own digest."""
    monkeypatch.setattr(approvals, "code_digest", lambda _packages: "c" * 64)


@pytest.fixture
def open_house(tmp_path):
    """Give a function that opens a hospital which has approved a study."""
    opened: list[House] = []

    def make(
        *,
        approved: bool = True,
        small_cell: int = 11,
        metrics_minimum: int = 11,
        policy: str = "",
        joined: bool = False,
        data: ApprovedData = ApprovedData(),  # noqa: B008  (frozen)
        **study: Any,
    ) -> House:
        made = paper(**study)
        party = made.parties[SITE]
        folder = tmp_path / f"house{len(opened)}"
        folder.mkdir()
        (folder / POLICY_FILE).write_text(f"small_cell: {small_cell}\nmetrics_minimum: {metrics_minimum}\n{policy}")
        if approved:
            approve(folder, made.bundle, party.member, party.approval_key, PERSON, timedelta(days=1), data)
        spy, ledger = Spy(made), Ledger(folder / "ledger", party.key)
        centre = made.bundle.roster.coordinator.signing_key if joined else None
        gate = Gate(SITE, party.key, ledger, PolicyFile(folder), centre)
        porter = Porter(SITE, folder, party.encryption, Approvals(folder, party.member), gate, spy)
        opened.append(House(made, folder, spy, porter, ledger))
        return opened[-1]

    yield make
    for house in opened:
        house.ledger.close()
        house.porter.close()


@pytest.fixture
def house(open_house) -> House:
    """Give a hospital that has approved the study."""
    return open_house()
