"""Playing the centre over a ward's own SuperLink, with the centre's own keys: what a malicious one would do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from flower_processes import eventually
from hospitals_on_disk import Hospital
from ledgers import ledger_of
from tapped_ward import TappedWard, superlink_of

from coordinator.flower.control import Control
from coordinator.flower.grid import FlowerGrid
from coordinator.flower.run import serve_run
from coordinator.identity import load_centre
from coordinator.rounds.grid import Outgoing
from wardround.identity.keys import SigningKey
from wardround.identity.roster import Member
from wardround.messages.envelope import Envelope, read
from wardround.messages.round import ANSWER, SiloRefusal, Task, TaskCore
from wardround.study.bundle import Bundle, read_bundle

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


def first_task(ward: TappedWard, bundle: Bundle, to: str, **changes: object) -> Task:
    """Make the first task of a study as the conductor would."""
    core = TaskCore(study_hash=bundle.study_hash, purpose="statistics", round=0)
    task = Task(to=to, study_hash=bundle.study_hash, task_id=core.task_id(), core=core, deadline_seconds=30.0)
    return task.model_copy(update=changes)
