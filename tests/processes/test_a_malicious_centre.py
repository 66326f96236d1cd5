"""A centre that has every key and wants more than was approved, on real processes: stopped, and recorded by its code.

Most tests play the centre: they sign with its own key, over its own SuperLink, to nodes that run as they always do. What
the hospital says of an attack is looked up twice: in what came back to the centre, and in the hospital's own ledger and log.
"""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
import subprocess
import sys
import time
import typing
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_ssh_private_key
from flower_processes import eventually
from flwr.common.constant import SUPERLINK_NODE_ID, ErrorCode
from flwr.supercore.constant import TaskType
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor
from hospitals_on_disk import deal
from playing_the_centre import (
    SECONDS,
    Played,
    approve_for,
    ask,
    bundle_of,
    centre_key,
    first_task,
    hospital_of,
    ledger,
    nodes,
    our_grid,
    refusal,
    trainers_hear_nothing,
)
from tapped_ward import TappedWard, pid_of, superlink_of, tapped_ward
from ward_on_processes import Service

from coordinator.flower.grid import FlowerGrid
from coordinator.rounds.grid import Outgoing
from wardround import __version__
from wardround.canonical import canonical_bytes
from wardround.messages.canary import Canary
from wardround.messages.confidential import encrypted_for
from wardround.messages.envelope import Envelope, digests, read, seal
from wardround.messages.offer import OFFER_ANSWER, Offer, OfferAnswer
from wardround.messages.round import ANSWER, Reply, SiloRefusal
from wardround.messages.stored import store
from wardround.study.bundle import Bundle, bundle_bytes
from wardround.transport.channel import HeaderInterceptor, RuntimeChannel
from wardround.transport.flower_app import FAB_FILES
from wardround.weights.packing import to_bytes

ROGUE = Path(__file__).parents[1] / "tools" / "rogue_hospital.py"
LARGEST_NORM = 2.0
ROUNDS = {"maximum": 3, "deadline_seconds": 60, "retries": 1, "maximum_change_norm": LARGEST_NORM}
LIVES_SECONDS = 25
"""How long the approval of the study ``ending`` holds: long enough for one task; it ends while other tests run."""
BOMB_BYTES = 96 * 2**20
MEMORY_BYTES = 32 * 2**20
"""What a SuperNode may grow by while it gets a bomb: far less than the bomb, and more than its garbage."""


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TappedWard]:
    """A centre and two hospitals on real processes, with studies that nobody has submitted; one of them they have approved."""
    folder = tmp_path_factory.mktemp("ward")
    with tapped_ward(folder, deal(folder / "hospitals", (110, 90))) as made:
        made.start_centre().up()
        for service in [made.start_planted(hospital) for hospital in made.hospitals]:
            service.up()
        for name in ("approved", "unasked", "ending"):
            made.build(name, rounds=ROUNDS)
        made.approve(made.folder / "approved.wardround")
        yield made


@dataclass
class Ending:
    """A study that was begun at alpha, and the moment (monotonic) at which its approval has ended."""

    played: Played
    ends: float


@pytest.fixture(scope="module", autouse=True)
def ending(ward: TappedWard) -> Ending:
    """Begin a study under an approval that ends while the other tests run."""
    bundle = bundle_of(ward, "ending")
    with our_grid(ward) as grid:
        approve_for(hospital_of(ward, "alpha"), bundle, timedelta(seconds=LIVES_SECONDS))
        ends = time.monotonic() + LIVES_SECONDS + 1
        played = Played(ward, grid, bundle, "alpha")
        played.begin()
    return Ending(played, ends)


def node_log(ward: TappedWard, site: str) -> str:
    """Give a hospital's own log of its node."""
    return (hospital_of(ward, site).folder / "logs" / "node.log").read_text()


def ask_all(grid: FlowerGrid, site: str, envelopes: list[Envelope]) -> list[str]:
    """Send many messages that are all refused; gives the codes, in their order."""
    waiting = grid.push_messages([Outgoing(site, envelope, SECONDS) for envelope in envelopes])
    came: dict[str, Envelope] = {}

    def look() -> bool:
        for incoming in grid.pull_messages([each for each in waiting if each not in came], 1):
            assert incoming.envelope is not None
            came[incoming.reply_to] = incoming.envelope
        return len(came) == len(waiting)

    eventually(look, SECONDS, "all answers")
    return [refusal(came[each]) for each in waiting]


def test_trap_weights(ward: TappedWard) -> None:
    """Weights that moved further than the study's changes may are H-DRIFT on both sides, and never reach the trainer."""
    with our_grid(ward) as grid:
        played = Played(ward, grid, bundle_of(ward, "approved"), "alpha")
        played.begin()
        assert isinstance(played.visit("round", 1), Reply)
        trap = played.bundle.weights.copy()
        trap[0] += np.float32(1.01 * LARGEST_NORM)
        with trainers_hear_nothing(ward, ["H-DRIFT"] * 4):
            visits = [("round", 2, 0), ("round", 2, 1), ("closing", 1, 0), ("test", 1, 0)]
            found = [played.visit(purpose, number, trap, attempt=attempt) for purpose, number, attempt in visits]
            assert [each.code for each in found if isinstance(each, SiloRefusal)] == ["H-DRIFT"] * 4
        assert "the weights of round 2 are not what the rounds can have made" in node_log(ward, "alpha")
        trap[0] -= np.float32(0.02 * LARGEST_NORM)
        assert isinstance(played.visit("round", 2, trap), Reply)  # positive control: as far as a round may go


def test_ten_times_the_rounds(ward: TappedWard) -> None:
    """After the approved rounds every further one is H-ORDER, in whatever attempt; no more results leave than were approved."""
    with our_grid(ward) as grid:
        played = Played(ward, grid, bundle_of(ward, "approved"), "beta")
        played.begin()
        first = ask(grid, "beta", played.task("round", 1))
        assert ask(grid, "beta", played.task("round", 1, attempt=1)) == first  # asked again: no other result
        assert isinstance(played.visit("round", 2), Reply)
        assert isinstance(played.visit("round", 3), Reply)
        many = [played.task("round", number, attempt=number % 2) for number in range(4, 31, 2)]
        many += [played.task("round", 3, attempt=attempt) for attempt in (2, 50)]
        many += [played.task("closing", 30), played.task("test", 30)]
        with trainers_hear_nothing(ward, ["H-ORDER"] * len(many), "beta"):
            assert ask_all(grid, "beta", many) == ["H-ORDER"] * len(many)
    results = [each for each in ledger(ward, "beta") if each["event"] == "release" and each["study"] == played.bundle.study_hash]
    assert [(each["purpose"], each["round"]) for each in results] == [("statistics", 0), *(("round", n) for n in (1, 2, 3))]


def rewritten(ward: TappedWard, kind: str, envelope: Envelope, change: Callable[[dict], None]) -> Envelope:
    """Change a message's text and sign it anew, with the centre's key, as this kind."""
    value = json.loads(envelope.message)
    change(value)
    message = canonical_bytes(value)
    return dataclasses.replace(envelope, message=message, signature=centre_key(ward).sign(kind, message))


def test_other_messages_and_more_metrics(ward: TappedWard) -> None:
    """Another type of message, another purpose, one more figure to send, a canary that asks for more: all H-PROTOCOL."""
    bundle = bundle_of(ward, "approved")
    asked = seal("task", first_task(bundle, "alpha"), centre_key(ward))
    body = (to_bytes(bundle.weights),)
    canary = seal(
        "canary",
        Canary(to="alpha", study_hash=bundle.study_hash, nonce="a" * 64, wardround=__version__, rows=8, bodies=digests(body)),
        centre_key(ward),
        body,
    )
    attempts = [
        rewritten(ward, "shell", asked, lambda value: value.update(kind="shell")),
        rewritten(ward, "reply", asked, lambda value: value.update(kind="reply")),
        rewritten(ward, "task", asked, lambda value: value["core"].update(purpose="records")),
        rewritten(ward, "task", asked, lambda value: value["core"].update(metrics=["patient_key"])),
        rewritten(ward, "task", asked, lambda value: value.update(metrics={"age": "histogram"})),
        rewritten(ward, "task", asked, lambda value: value.update(protocol=2)),
        rewritten(ward, "canary", canary, lambda value: value.update(figures=["hostname"])),
        rewritten(ward, "canary", canary, lambda value: value.update(rows=10**9)),
    ]
    with our_grid(ward) as grid, trainers_hear_nothing(ward, ["H-PROTOCOL"] * len(attempts)):
        assert ask_all(grid, "alpha", attempts) == ["H-PROTOCOL"] * len(attempts)


def test_a_changed_study_under_the_approved_hash(ward: TappedWard) -> None:
    """A bundle with another learning rate that calls itself the approved one is refused, and the approved one stays."""
    bundle = bundle_of(ward, "approved")
    kept = hospital_of(ward, "alpha").folder / "inbox" / f"{bundle.study_hash}.wardround"
    before, member = kept.read_bytes(), bundle.roster.member("alpha")
    assert member is not None
    optimiser = bundle.study.training.optimiser.model_copy(update={"learning_rate": 9.9})
    training = bundle.study.training.model_copy(update={"optimiser": optimiser})
    changed = bundle_bytes(dataclasses.replace(bundle, study=bundle.study.model_copy(update={"training": training})))
    body = (changed,)
    offer = Offer(to="alpha", study_hash=bundle.study_hash, bodies=digests(body))
    kept.unlink()  # else the hospital says that it has it, and looks at nothing
    try:
        with our_grid(ward) as grid, trainers_hear_nothing(ward, ["H-STUDY"]):
            envelope = encrypted_for(seal("offer", offer, centre_key(ward), body), member.encryption_key)
            answer = read(ask(grid, "alpha", envelope), OFFER_ANSWER)
            assert isinstance(answer, OfferAnswer)
            assert answer.state == "refused"
            entry = ledger(ward, "alpha")[-1]
            assert (entry["event"], entry["state"], entry["study"]) == ("offer", "refused", bundle.study_hash)
            assert not kept.exists()
            kept.write_bytes(changed)  # and put there by hand
            assert refusal(ask(grid, "alpha", seal("task", first_task(bundle, "alpha"), centre_key(ward)))) == "H-STUDY"
    finally:
        kept.write_bytes(before)


def approvals_of(ward: TappedWard, site: str) -> Path:
    """Give the folder of a hospital's approvals."""
    return hospital_of(ward, site).folder / "approvals"


def refused_for(ward: TappedWard, grid: FlowerGrid, bundle: Bundle, code: str) -> None:
    """Ask alpha for the first task of a study: H-STUDY to the centre, and why only in the hospital's own log."""
    before = len(node_log(ward, "alpha"))
    with trainers_hear_nothing(ward, ["H-STUDY"]):
        assert refusal(ask(grid, "alpha", seal("task", first_task(bundle, "alpha"), centre_key(ward)))) == "H-STUDY"
    assert f"study {bundle.study_hash[:12]} refused: {code}" in node_log(ward, "alpha")[before:]


def test_an_approval_of_something_else_is_put_in_place(ward: TappedWard) -> None:
    """Another study's approval, or another hospital's of this very study, lets nothing in; no approval at all does not either."""
    unasked, approved = bundle_of(ward, "unasked"), bundle_of(ward, "approved")
    inbox = hospital_of(ward, "alpha").folder / "inbox"
    place = approvals_of(ward, "alpha") / f"{unasked.study_hash}.json"
    with our_grid(ward) as grid:
        refused_for(ward, grid, unasked, "A-MISSING")
        shutil.copy(ward.folder / "unasked.wardround", inbox / f"{unasked.study_hash}.wardround")
        shutil.copy(approvals_of(ward, "alpha") / f"{approved.study_hash}.json", place)
        refused_for(ward, grid, unasked, "A-INVALID")
        ward.approve(ward.folder / "unasked.wardround", [hospital_of(ward, "beta")])
        shutil.copy(approvals_of(ward, "beta") / f"{unasked.study_hash}.json", place)
        refused_for(ward, grid, unasked, "A-INVALID")
    place.unlink()


def test_invented_hospitals(ward: TappedWard) -> None:
    """Two hospitals more make another study: a new question, whose review names them by fingerprint and as added."""
    requests = [str(hospital.folder / "request.json") for hospital in ward.hospitals]
    for name in ("ghost", "phantom"):
        folder = deal(ward.folder / name, (30,))[0].folder
        site = folder / "site.yaml"
        site.write_text(site.read_text().replace("site: alpha", f"site: {name}").replace("Hospital alpha", f"Hospital {name}"))
        ward.command("silo", "init", "--site", site)
        requests.append(str(folder / "request.json"))
    path = ward.folder / "crowded.wardround"
    words = [word for request in requests for word in ("--silo", request)]
    ward.command(
        "study", "build", ward.folder / "approved.yaml", "--coordinator", ward.centre / "coordinator.json", *words, "--out", path
    )
    crowded, approved = bundle_of(ward, "crowded"), bundle_of(ward, "approved")
    assert crowded.study == approved.study
    with our_grid(ward) as grid:
        refused_for(ward, grid, crowded, "A-MISSING")
    alpha = hospital_of(ward, "alpha")
    answer = ward.command("silo", "review", path, "--site", alpha.site, "--no-records", "--format", "json").json()
    changes = answer["changes"]
    assert isinstance(changes, dict)
    added = {each["place"] for each in changes["differences"] if each["change"] == "added"}
    assert added == {"roster.silos.ghost", "roster.silos.phantom"}
    text = ward.command("silo", "review", path, "--site", alpha.site, "--no-records").out
    assert all(member.fingerprint in text for member in crowded.roster.silos)


def bomb() -> bytes:
    """Make a bundle for Flower that is small, and whose first file, which Flower reads, is not."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("pyproject.toml", "w", force_zip64=True) as file:
            file.write(FAB_FILES["pyproject.toml"] + b"# ")
            for _ in range(BOMB_BYTES // 2**20):
                file.write(b" " * 2**20)
        archive.writestr(".info/CONTENT", b"")
    return out.getvalue()


def peak_of(process: int) -> int:
    """Give the most memory that a process ever had, in bytes."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def test_a_zip_bomb_as_flowers_bundle(ward: TappedWard) -> None:
    """A small bundle that unpacks to a large one is never unpacked at the hospital: bare code, no memory, no file."""
    bundle, packed = bundle_of(ward, "approved"), bomb()
    assert len(packed) < 2**20
    envelope = seal("task", first_task(bundle, "beta"), centre_key(ward))
    beta, folder = ward.services["beta"], hospital_of(ward, "beta").folder
    processes = [pid_of(beta, module) for module in ("silo_node.flower.supernode", "silo_node.node_process")]
    peaks = [peak_of(process) for process in processes]
    link = superlink_of(ward)
    with link.control() as control, trainers_hear_nothing(ward):
        entries = len(ledger(ward, "beta"))
        run_id = control.start_run(packed)
        with RuntimeChannel.open(link.address, link.secret, node_id=SUPERLINK_NODE_ID, authority=link.authority) as channel:
            channel.hold(channel.acquire(TaskType.SERVER_APP) or "")
            channel.pull_input()
            grid = FlowerGrid(channel, run_id, nodes(ward, control))
            (message_id,) = grid.push_messages([Outgoing("beta", envelope, SECONDS)])
            error = eventually(lambda: channel.pull_messages([message_id]), SECONDS, "an answer")[0][0].error
        control.stop_run(run_id)
        assert (error.code, error.reason) == (ErrorCode.INVALID_FAB, "bundle")
        assert len(ledger(ward, "beta")) == entries  # it is Flower's message: the porter never sees it
    assert "bare code bundle" in node_log(ward, "beta")
    assert processes == [pid_of(beta, module) for module in ("silo_node.flower.supernode", "silo_node.node_process")]
    grown = [peak_of(process) - peak for process, peak in zip(processes, peaks, strict=True)]
    assert max(grown) < MEMORY_BYTES, grown
    assert max(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 2**25


def fleet(ward: TappedWard, key: ec.EllipticCurvePrivateKey) -> FleetHttpClient:
    """Connect to the centre's public door, signed with a key of Flower's kind."""
    signed = [HeaderInterceptor(lambda _: {}), NodeAuthHttpInterceptor(key, key.public_key())]
    authority = str(ward.centre / "keys" / "authority.pem")
    return FleetHttpClient.from_server_address(
        f"localhost:{ward.port}", insecure=False, root_certificates=authority, interceptors=signed
    )


@pytest.mark.filterwarnings("ignore:`verify=<str>` is deprecated:DeprecationWarning")  # Flower's own call
@pytest.mark.parametrize("who", ["a stranger", "another hospital"])
def test_nobody_passes_for_a_hospital_at_the_door(ward: TappedWard, who: str) -> None:
    """Well signed by a key of their own, or by that of another hospital, in alpha's name: every call there is refused."""
    enrolled = load_ssh_private_key((hospital_of(ward, "beta").folder / "keys" / "node.key").read_bytes(), None)
    assert isinstance(enrolled, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP384R1()) if who == "a stranger" else enrolled
    with superlink_of(ward).control() as control:
        known = control.nodes()
        alpha = nodes(ward, control)["alpha"]
        of_alpha = next(node.public_key for node in known if node.node_id == alpha)
        claimed = public_key_to_bytes(key.public_key()) if who == "a stranger" else of_alpha
        calls = [name for name in vars(FleetHttpClient) if name[0].isupper()]
        assert len(calls) >= 10
        seen = {}
        with fleet(ward, key) as client:
            for name in calls:
                call = getattr(client, name)
                request = typing.get_type_hints(call)["request"]()
                if "node" in request.DESCRIPTOR.fields_by_name:
                    request.node.node_id = alpha
                if "node_id" in request.DESCRIPTOR.fields_by_name:
                    request.node_id = alpha
                if "public_key" in request.DESCRIPTOR.fields_by_name:
                    request.public_key = claimed
                try:
                    call(request)
                except httpx.HTTPStatusError as error:
                    seen[name] = error.response.status_code
                else:
                    seen[name] = 200
        assert {name: status for name, status in seen.items() if status not in (401, 412)} == {}
        assert {node.public_key for node in control.nodes()} == {node.public_key for node in known}


def test_an_approval_that_ended_in_the_middle(ward: TappedWard, ending: Ending) -> None:
    """The study was begun; after the approval's end its rounds are H-STUDY, also with the old file put there again."""
    time.sleep(max(0.0, ending.ends - time.monotonic()))
    bundle, folder = ending.played.bundle, approvals_of(ward, "alpha")
    (given,) = [path for path in (folder / "given").iterdir() if bundle.study_hash in path.read_text()]
    task = ending.played.task("round", 1)
    with our_grid(ward) as grid, trainers_hear_nothing(ward, ["H-STUDY", "H-STUDY"]):
        assert refusal(ask(grid, "alpha", task)) == "H-STUDY"
        shutil.copy(given, folder / f"{bundle.study_hash}.json")
        assert refusal(ask(grid, "alpha", task)) == "H-STUDY"
    assert node_log(ward, "alpha").count(f"study {bundle.study_hash[:12]} refused: A-EXPIRED") == 2


@pytest.mark.faults
def test_a_hospital_replays_replies(ward: TappedWard) -> None:
    """Another's reply, byte for byte, and its own of before: refused by code in the centre's records; others count."""
    sent = [(read(envelope, ANSWER), envelope) for envelope in ward.tap.sent()]
    foreign = next(envelope for answer, envelope in sent if isinstance(answer, Reply) and answer.site == "alpha")
    recorded = ward.folder / "recorded"
    recorded.write_bytes(store(foreign))
    beta = ward.services["beta"]
    assert beta.end() == 0
    log = ward.folder / "rogue.out"
    with log.open("w") as output:
        words = [sys.executable, str(ROGUE), hospital_of(ward, "beta").site, str(recorded)]
        ward.services["beta"] = Service("beta", subprocess.Popen(words, stdout=output, stderr=output), log)
    eventually(lambda: "is up" in log.read_text(), 120, "the rogue is up")
    made = ward.build("replayed", silos={"minimum": 1})
    ward.approve(made)
    ward.submit(made)
    state = ward.ended("replayed")
    assert state.phase == "partial", state
    assert ward.codes(state, "beta")[:3] == ["R-SIGNATURE", "R-TASK", "R-SIGNATURE"]
    assert ward.codes(state, "alpha") == []
    history = ward.command("coordinator", "history", state.study_hash, "--dir", ward.centre, "--format", "json").out
    assert "R-SIGNATURE" in history
    assert "R-TASK" in history
