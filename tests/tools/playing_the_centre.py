"""Playing the centre over a ward's own SuperLink, with the centre's own keys: what a malicious one would do."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from flower_processes import eventually
from hospitals_on_disk import Hospital
from ledgers import ledger_of
from tapped_ward import TappedWard, superlink_of

from coordinator.flower.control import Control
from coordinator.flower.grid import FlowerGrid
from coordinator.flower.run import serve_run
from coordinator.identity import load_centre
from coordinator.rounds.grid import Outgoing
from coordinator.rounds.normalisation import make_encoding
from silo_node.identity import approval_key
from silo_node.porter.approvals import approve
from wardround.canonical import sha256
from wardround.identity.approval import Approver
from wardround.identity.keys import SigningKey
from wardround.identity.roster import Member, read_party
from wardround.messages.confidential import encrypted_for
from wardround.messages.envelope import Envelope, digests, read, seal
from wardround.messages.round import ANSWER, Purpose, Reply, SiloRefusal, StatisticsResult, Task, TaskCore, Working
from wardround.study.bundle import Bundle, read_bundle
from wardround.study.encoding import Encoding
from wardround.weights.fixed_point import plan_sum
from wardround.weights.packing import Vector, to_bytes

SECONDS = 40.0


def hospital_of(ward: TappedWard, site: str) -> Hospital:
    """Give a hospital by its site."""
    return next(hospital for hospital in ward.hospitals if hospital.folder.name == site)


def ledger(ward: TappedWard, site: str) -> list[dict]:
    """Give a hospital's ledger."""
    return ledger_of(hospital_of(ward, site).folder)


def centre_key(ward: TappedWard) -> SigningKey:
    """Give the key of the real centre."""
    return load_centre(ward.centre).key


def bundle_of(ward: TappedWard, name: str) -> Bundle:
    """Read a bundle of the ward."""
    return read_bundle(ward.folder / f"{name}.wardround")


def approve_for(hospital: Hospital, bundle: Bundle, valid: timedelta) -> None:
    """Approve a study for a time that the command would not take."""
    key = approval_key(hospital.folder, Path(os.environ["WARDROUND_PASSPHRASE_FILE"]).read_bytes().strip())
    identity = read_party(hospital.folder / "request.json", Member)
    approve(hospital.folder, bundle, identity, key, Approver(name="Dr A", role="DPO"), valid)


def nodes(ward: TappedWard, control: Control) -> dict[str, int]:
    """Give Flower's ids of the hospitals' nodes."""
    requests = [hospital.folder / "request.json" for hospital in ward.hospitals]
    members = [Member.model_validate_json(request.read_bytes()) for request in requests]
    return {member.site: control.register(member.node_key.encode()) for member in members}


@contextmanager
def our_grid(ward: TappedWard) -> Iterator[FlowerGrid]:
    """Serve a run of our own beside the conductor's, over the same SuperLink to the same nodes."""
    link = superlink_of(ward)
    with link.control() as control, serve_run(link) as run:
        yield FlowerGrid(run.channel, run.run_id, nodes(ward, control))


def ask(grid: FlowerGrid, site: str, envelope: Envelope) -> Envelope:
    """Send one message and give what came back."""
    (message_id,) = grid.push_messages([Outgoing(site, envelope, SECONDS)])
    (incoming,) = eventually(lambda: grid.pull_messages([message_id], 1), SECONDS, "an answer")
    assert incoming.envelope is not None
    return incoming.envelope


def refusal(envelope: Envelope) -> str:
    """Give the code of a refusal."""
    answer = read(envelope, ANSWER)
    assert isinstance(answer, SiloRefusal), answer
    return answer.code


@contextmanager
def trainers_hear_nothing(ward: TappedWard, refused: Sequence[str] = (), site: str = "alpha") -> Iterator[None]:
    """In this block no frame reaches any trainer, nothing is released, and a hospital's ledger shows these refusals."""
    sites = [hospital.folder.name for hospital in ward.hospitals]
    frames = [len(ward.frames(hospital)) for hospital in ward.hospitals]
    entries = {each: len(ledger(ward, each)) for each in sites}
    yield
    assert [len(ward.frames(hospital)) for hospital in ward.hospitals] == frames
    new = {each: ledger(ward, each)[entries[each] :] for each in sites}
    assert not [entry for each in sites for entry in new[each] if entry["event"] in ("release", "working")]
    assert [entry["code"] for entry in new[site] if entry["event"] == "refusal"] == list(refused)


def first_task(bundle: Bundle, to: str, **changes: object) -> Task:
    """Make the first task of a study as the conductor would."""
    core = TaskCore(study_hash=bundle.study_hash, purpose="statistics", round=0)
    task = Task(to=to, study_hash=bundle.study_hash, task_id=core.task_id(), core=core, deadline_seconds=30.0)
    return task.model_copy(update=changes)


@dataclass
class Played:
    """One study, conducted with one hospital by whoever has the centre's keys, as far and as often as they like."""

    ward: TappedWard
    grid: FlowerGrid
    bundle: Bundle
    site: str
    records: int | None = None
    encoding: Encoding | None = None

    def begin(self) -> Reply:
        """Have the hospital's statistics, honestly: everything later needs them."""
        reply = read(ask(self.grid, self.site, self.first()), ANSWER)
        assert isinstance(reply, Reply), reply
        assert isinstance(reply.result, StatisticsResult)
        self.records = reply.records
        self.encoding = make_encoding(self.bundle.study, self.bundle.contract, [reply.result])
        return reply

    def first(self) -> Envelope:
        """Ask for the hospital's statistics."""
        return self.sealed(first_task(self.bundle, self.site))

    def task(self, purpose: Purpose, number: int, weights: Vector | None = None, **changes: object) -> Envelope:
        """Make a task as the conductor would, whatever the number, with these weights or the initial ones."""
        assert self.encoding is not None
        sent = self.bundle.weights if weights is None else weights
        core = TaskCore(
            study_hash=self.bundle.study_hash,
            purpose=purpose,
            round=number,
            weights=sha256(to_bytes(sent)),
            encoding=self.encoding.encoding_digest(),
            plan=plan_sum(sent, self.bundle.manifest, 1000) if purpose == "round" else None,
        )
        arrays = (to_bytes(sent),)
        fields = {
            "to": self.site,
            "study_hash": self.bundle.study_hash,
            "task_id": core.task_id(),
            "core": core,
            "encoding": self.encoding,
            "records": self.records,
            "deadline_seconds": 30.0,
            "bodies": digests(arrays),
        }
        return self.sealed(Task.model_validate({**fields, **changes}), arrays)

    def sealed(self, task: Task, arrays: tuple[bytes, ...] = ()) -> Envelope:
        """Sign a task with the centre's own key, and encrypt its arrays to the hospital."""
        member = self.bundle.roster.member(self.site)
        assert member is not None
        envelope = seal("task", task, centre_key(self.ward), arrays)
        return encrypted_for(envelope, member.encryption_key) if arrays else envelope

    def visit(self, purpose: Purpose, number: int, weights: Vector | None = None, **changes: object) -> Reply | SiloRefusal:
        """Send a task, and give what the hospital says in the end."""
        envelope = self.task(purpose, number, weights, **changes)
        answer = read(ask(self.grid, self.site, envelope), ANSWER)
        while isinstance(answer, Working):
            answer = read(ask(self.grid, self.site, envelope), ANSWER)
        assert answer is not None
        return answer
