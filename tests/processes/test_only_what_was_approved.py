"""Laws 2 and 10 on real processes: what was not approved, or is not signed, addressed and in order, reaches no trainer."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flower_processes import eventually
from flwr.common.constant import SUPERLINK_NODE_ID, ErrorCode
from flwr.supercore.constant import TaskType
from hospitals_on_disk import deal, write_study
from playing_the_centre import (
    SECONDS,
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
from tapped_ward import TappedWard, superlink_of, tapped_ward

from coordinator.flower.grid import FlowerGrid
from coordinator.identity import load_centre
from coordinator.rounds.grid import Outgoing
from coordinator.studies import StudyState, folders
from silo_node.identity import signing_key
from silo_node.porter.porter import PHASES
from wardround.canonical import model_json
from wardround.identity.keys import SigningKey
from wardround.messages.confidential import encrypted_for
from wardround.messages.envelope import Envelope, digests, read, seal
from wardround.messages.offer import OFFER_ANSWER, Offer, OfferAnswer
from wardround.messages.round import ANSWER, ORDER, Reply, Task
from wardround.study.bundle import Bundle, bundle_bytes, read_bundle
from wardround.transport.channel import RuntimeChannel
from wardround.transport.flower_app import FAB_FILES, build_fab


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TappedWard]:
    """A centre and two hospitals on real processes, after a complete study; a second one, ``fresh``, is only approved."""
    folder = tmp_path_factory.mktemp("ward")
    with tapped_ward(folder, deal(folder / "hospitals", (110, 90))) as made:
        made.start_centre().up()
        for service in [made.start_planted(hospital) for hospital in made.hospitals]:
            service.up()
        for name in ("trial", "fresh"):
            made.approve(made.build(name))
        made.submit(made.folder / "trial.wardround")
        assert made.ended().phase == "complete"
        yield made


def tasks_of(ward: TappedWard, site: str) -> list[Envelope]:
    """Give the tasks that a hospital was sent over the wire in the study ``trial``, in order."""
    study_hash = bundle_of(ward, "trial").study_hash
    found = [(envelope, read(envelope, ORDER)) for envelope in ward.tap.received()]
    tasks = [(order, e) for e, order in found if isinstance(order, Task) and (order.to, order.study_hash) == (site, study_hash)]
    tasks.sort(key=lambda each: (PHASES[each[0].core.purpose], each[0].core.round, each[0].attempt))
    return [envelope for _, envelope in tasks]


def test_a_replayed_task_is_not_done_again(ward: TappedWard) -> None:
    """Every task as it was on the wire, sent again: refused as out of order; the last one gets the very reply that was kept."""
    *before, last = tasks_of(ward, "alpha")
    assert len(before) >= 4  # statistics, three rounds, closing
    task = read(last, ORDER)
    assert isinstance(task, Task)
    assert task.core.purpose == "test"
    answers = [(answer, envelope) for envelope in ward.tap.sent() if isinstance(answer := read(envelope, ANSWER), Reply)]
    (kept,) = [envelope for answer, envelope in answers if (answer.site, answer.task_id) == ("alpha", task.task_id)]
    with our_grid(ward) as grid, trainers_hear_nothing(ward, ["H-ORDER"] * len(before)):
        assert [refusal(ask(grid, "alpha", envelope)) for envelope in before] == ["H-ORDER"] * len(before)
        assert ask(grid, "alpha", last) == kept
        assert ledger(ward, "alpha")[-1]["event"] == "repeat"


def test_a_task_for_another_hospital_is_refused(ward: TappedWard) -> None:
    """Tasks that were sent to alpha, and one that alpha has not had, are refused by beta."""
    envelopes = tasks_of(ward, "alpha")
    envelopes.append(seal("task", first_task(bundle_of(ward, "fresh"), "alpha"), centre_key(ward)))
    codes = ["H-ADDRESS"] * len(envelopes)
    with our_grid(ward) as grid, trainers_hear_nothing(ward, codes, "beta"):
        assert [refusal(ask(grid, "beta", envelope)) for envelope in envelopes] == codes


def test_only_the_approved_centres_signature_counts(ward: TappedWard) -> None:
    """Unsigned, signed by another key, as another kind, or edited afterwards: refused; the same task rightly signed is done."""
    task = first_task(bundle_of(ward, "fresh"), "alpha")
    signed = seal("task", task, centre_key(ward))
    longer = seal("task", first_task(bundle_of(ward, "fresh"), "alpha", deadline_seconds=31.0), SigningKey.generate())
    attempts = {
        "unsigned": dataclasses.replace(signed, signature=""),
        "zeros": dataclasses.replace(signed, signature="00" * 64),
        "a stranger's key": seal("task", task, SigningKey.generate()),
        "a hospital's key": seal("task", task, hospital_key(ward)),
        "another kind": seal("collect", task, centre_key(ward)),
        "edited": dataclasses.replace(longer, signature=signed.signature),
    }
    with our_grid(ward) as grid:
        with trainers_hear_nothing(ward, ["H-SIGNATURE"] * len(attempts)):
            assert {name: refusal(ask(grid, "alpha", each)) for name, each in attempts.items()} == dict.fromkeys(
                attempts, "H-SIGNATURE"
            )
        with trainers_hear_nothing(ward, ["H-PROTOCOL", "H-PROTOCOL", "H-BODY"]):
            spaced = json.dumps(model_json(task)).encode()
            assert refusal(ask(grid, "alpha", dataclasses.replace(signed, message=spaced))) == "H-PROTOCOL"
            renamed = first_task(bundle_of(ward, "fresh"), "alpha", task_id="0" * 64)
            assert refusal(ask(grid, "alpha", seal("task", renamed, centre_key(ward)))) == "H-PROTOCOL"
            assert refusal(ask(grid, "alpha", dataclasses.replace(signed, arrays=(b"weights",)))) == "H-BODY"
        before = len(ward.frames(ward.hospitals[0]))
        assert isinstance(read(ask(grid, "alpha", signed), ANSWER), Reply)  # positive control: this way leads to the trainer
        orders = [frame["order"] for frame in ward.frames(ward.hospitals[0])[before:]]
        assert any(task.task_id in str(order) for order in orders)


def hospital_key(ward: TappedWard) -> SigningKey:
    """Give alpha's own signing key."""
    return signing_key(ward.hospitals[0].folder)


def test_an_edited_bundle_of_flowers_is_refused(ward: TappedWard, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rightly signed task of an approved study in a run with another FAB gets a bare code; the porter never sees it."""
    with monkeypatch.context() as patch:
        patch.setitem(FAB_FILES, "wardround_app/client.py", b"print('my code')\n")
        edited = build_fab()
    envelope = seal("task", first_task(bundle_of(ward, "fresh"), "beta"), centre_key(ward))
    link = superlink_of(ward)
    with link.control() as control, trainers_hear_nothing(ward):
        before = len(ledger(ward, "beta"))
        run_id = control.start_run(edited)
        with RuntimeChannel.open(link.address, link.secret, node_id=SUPERLINK_NODE_ID, authority=link.authority) as channel:
            channel.hold(channel.acquire(TaskType.SERVER_APP) or "")
            channel.pull_input()
            grid = FlowerGrid(channel, run_id, nodes(ward, control))
            (message_id,) = grid.push_messages([Outgoing("beta", envelope, SECONDS)])
            error = eventually(lambda: channel.pull_messages([message_id]), SECONDS, "an answer")[0][0].error
        control.stop_run(run_id)
        assert (error.code, error.reason) == (ErrorCode.INVALID_FAB, "bundle")
        assert len(ledger(ward, "beta")) == before
    log = (hospital_of(ward, "beta").folder / "logs" / "node.log").read_text()
    assert "bare code bundle" in log


def build_changed(ward: TappedWard) -> Path:
    """Build the study ``trial`` once more, with another learning rate."""
    study = write_study(ward.folder / "changed.yaml", training={"optimiser": {"learning_rate": 0.2}, "batch_size": 16})
    requests = [word for hospital in ward.hospitals for word in ("--silo", hospital.folder / "request.json")]
    path = ward.folder / "changed.wardround"
    ward.command("study", "build", study, "--coordinator", ward.centre / "coordinator.json", *requests, "--out", path)
    return path


def test_a_changed_hyper_parameter_is_a_new_question(ward: TappedWard) -> None:
    """The same name with another learning rate waits in the inbox; its tasks are refused, though the centre signs them."""
    approved = bundle_of(ward, "trial").study_hash
    path = build_changed(ward)
    changed = read_bundle(path)
    assert (changed.study.name, changed.study.version) == ("trial", "1.0.0")
    assert changed.study_hash != approved
    with our_grid(ward) as grid, trainers_hear_nothing(ward, ["H-STUDY"]):
        ward.submit(path)
        eventually(lambda: offers(ward, changed) == {"waiting"}, SECONDS, "the offer lies in both inboxes")
        envelope = seal("task", first_task(changed, "alpha"), centre_key(ward))
        assert refusal(ask(grid, "alpha", envelope)) == "H-STUDY"
        time.sleep(5)  # the conductor asks again in this time
        assert state_of(ward, changed).phase == "submitted"
        assert offers(ward, changed) == {"waiting"}
    for hospital in ward.hospitals:
        ward.command("silo", "reject", path, "--site", hospital.site, "--reason", "other")
    eventually(lambda: state_of(ward, changed).phase == "failed", SECONDS, "the rejections are heard")


def state_of(ward: TappedWard, bundle: Bundle) -> StudyState:
    """Give where a study is at the centre."""
    states = [state for folder in folders(ward.centre) if (state := folder.read())]
    return next(state for state in states if state.study_hash == bundle.study_hash)


def offers(ward: TappedWard, bundle: Bundle) -> set[str | None]:
    """Give what the hospitals have said of a study."""
    return {silo.offer for silo in state_of(ward, bundle).silos}


def test_a_strangers_offer_is_refused(ward: TappedWard) -> None:
    """Signed by a stranger, or meant for another: a bare code; a bundle of another centre is not taken. No inbox changes."""
    stranger = ward.folder / "stranger"
    ward.command("coordinator", "init", stranger, "--name", "Another centre")
    requests = [word for hospital in ward.hospitals for word in ("--silo", hospital.folder / "request.json")]
    path = ward.folder / "strange.wardround"
    words = ("--coordinator", stranger / "coordinator.json", *requests, "--out", path)
    ward.command("study", "build", ward.folder / "trial.yaml", *words)
    strange, own = read_bundle(path), centre_key(ward)
    body = (bundle_bytes(strange),)
    member = bundle_of(ward, "trial").roster.silos[0]
    offer = Offer(to="alpha", study_hash=strange.study_hash, bodies=digests(body))
    for_beta = offer.model_copy(update={"to": "beta"})
    inboxes = [sorted((hospital.folder / "inbox").iterdir()) for hospital in ward.hospitals]
    with our_grid(ward) as grid, trainers_hear_nothing(ward, ["H-SIGNATURE"] * 3):
        assert refusal(ask(grid, "alpha", seal("offer", offer, load_centre(stranger).key, body))) == "H-SIGNATURE"
        assert refusal(ask(grid, "alpha", seal("offer", for_beta, own, body))) == "H-SIGNATURE"
        unsigned = dataclasses.replace(seal("offer", offer, own, body), signature="")
        assert refusal(ask(grid, "alpha", unsigned)) == "H-SIGNATURE"
        good = encrypted_for(seal("offer", offer, own, body), member.encryption_key)
        answer = read(ask(grid, "alpha", good), OFFER_ANSWER)
        assert isinstance(answer, OfferAnswer)
        assert answer.state == "refused"
    assert [sorted((hospital.folder / "inbox").iterdir()) for hospital in ward.hospitals] == inboxes
