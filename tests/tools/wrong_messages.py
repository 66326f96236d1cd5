"""Messages of a centre that has its own keys, each wrong in another way, with the code that a hospital answers."""

from __future__ import annotations

import json
from dataclasses import replace

from flower_processes import eventually
from playing_the_centre import SECONDS, Played, centre_key, first_task

from coordinator.rounds.grid import Outgoing
from wardround import __version__
from wardround.canonical import canonical_bytes
from wardround.identity.keys import SigningKey
from wardround.messages.canary import Canary
from wardround.messages.confidential import encrypted_for
from wardround.messages.envelope import Envelope, digests, seal
from wardround.messages.offer import Offer
from wardround.messages.round import Collect, Withdraw
from wardround.study.bundle import bundle_bytes
from wardround.weights.packing import to_bytes

NOTHING = "0" * 64


def wrong_messages(played: Played) -> list[tuple[str, Envelope]]:
    """Give all of them, for a study that was begun; none of them is a task that the hospital may do."""
    return [*_unreadable(played), *_wrongly_signed(played), *_wrongly_addressed(played), *_wrong_bodies(played)]


def send_beyond_form(played: Played) -> None:
    """Send what is no envelope of ours at all; Flower's bare error comes back."""
    good = played.first()
    (message_id,) = played.grid.push_messages([Outgoing(played.site, replace(good, arrays=(b"x",) * 3), SECONDS)])
    (incoming,) = eventually(lambda: played.grid.pull_messages([message_id], 1), SECONDS, "an answer")
    assert incoming.envelope is None


def offer_of(played: Played, to: str | None = None) -> Envelope:
    """Offer the study's bundle to the hospital, or to another one by the same way."""
    body = (bundle_bytes(played.bundle),)
    offer = Offer(to=to or played.site, study_hash=played.bundle.study_hash, bodies=digests(body))
    return _encrypted(played, seal("offer", offer, centre_key(played.ward), body))


def _encrypted(played: Played, envelope: Envelope) -> Envelope:
    member = played.bundle.roster.member(played.site)
    assert member is not None
    return encrypted_for(envelope, member.encryption_key)


def _rewritten(played: Played, signed_as: str, **changes: object) -> Envelope:
    """Change keys of a task and sign it anew, as a message of some kind."""
    good = played.first()
    message = canonical_bytes({**json.loads(good.message), **changes})
    return replace(good, message=message, signature=centre_key(played.ward).sign(signed_as, message))


def _unreadable(played: Played) -> list[tuple[str, Envelope]]:
    good = played.first()
    found = [
        replace(good, message=b""),
        replace(good, message=b"\xff\xfe\x00\x80"),
        replace(good, message=b"[" * 100_000),
        replace(good, message=good.message[:-1]),
        replace(good, message=good.message + b"\n"),
        _rewritten(played, "shell", kind="shell"),
        _rewritten(played, "reply", kind="reply"),
        _rewritten(played, "task", protocol=2),
        _rewritten(played, "task", task_id=NOTHING),
        _rewritten(played, "task", metrics=["patient_key"]),
    ]
    return [("H-PROTOCOL", each) for each in found]


def _wrongly_signed(played: Played) -> list[tuple[str, Envelope]]:
    task, stranger = first_task(played.bundle, played.site), SigningKey.generate()
    good, body = played.sealed(task), (to_bytes(played.bundle.weights),)
    follow = {"to": played.site, "study_hash": played.bundle.study_hash, "task_id": task.task_id}
    canary = Canary(
        to=played.site,
        study_hash=played.bundle.study_hash,
        nonce=NOTHING,
        wardround=__version__,
        rows=8,
        bodies=digests(body),
    )
    found = [
        replace(good, signature=""),
        replace(good, signature="no hexadecimal digits"),
        replace(good, signature="00" * 64),
        seal("task", task, stranger),
        seal("collect", task, centre_key(played.ward)),
        seal("collect", Collect.model_validate(follow), stranger),
        seal("withdraw", Withdraw.model_validate(follow), stranger),
        _encrypted(played, seal("canary", canary, stranger, body)),
        replace(offer_of(played), signature="00" * 64),
    ]
    return [("H-SIGNATURE", each) for each in found]


def _wrongly_addressed(played: Played) -> list[tuple[str, Envelope]]:
    bundle, key = played.bundle, centre_key(played.ward)
    follow = {"to": "another", "study_hash": bundle.study_hash, "task_id": NOTHING}
    return [
        ("H-ADDRESS", seal("task", first_task(bundle, "another"), key)),
        ("H-ADDRESS", seal("collect", Collect.model_validate(follow), key)),
        ("H-SIGNATURE", offer_of(played, "another")),
        ("H-STUDY", seal("task", first_task(bundle, played.site, study_hash=NOTHING), key)),
        ("H-ORDER", seal("withdraw", Withdraw.model_validate({**follow, "to": played.site}), key)),
        ("H-ORDER", played.task("round", 100)),
    ]


def _wrong_bodies(played: Played) -> list[tuple[str, Envelope]]:
    task, other = played.task("round", 1), played.task("closing", 1)
    found = [
        replace(task, arrays=(), body_key=""),
        replace(task, arrays=(b"\0" * len(task.arrays[0]),)),
        replace(task, arrays=other.arrays),
        replace(task, arrays=(b"plain",), body_key=""),
        replace(task, arrays=(*task.arrays, *task.arrays)),
        replace(played.first(), arrays=(b"unasked",)),
        played.task("round", 1, bodies=(NOTHING,)),
    ]
    return [("H-BODY", each) for each in found]
