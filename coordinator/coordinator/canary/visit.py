"""The visit itself: a canary to every hospital on a study's roster at once, as the weights of a round go out at once."""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection
from datetime import UTC, datetime

import wardround
from coordinator.canary.deadline import propose
from coordinator.canary.files import CanaryRequest, CanaryResult, SiloCanary, now_ms
from coordinator.canary.judgement import Landed, judge
from coordinator.rounds.grid import Grid, Outgoing
from wardround.canonical import sha256
from wardround.identity.keys import SigningKey
from wardround.identity.succession import Current, as_on_roster
from wardround.messages.canary import MOST_ROWS, Canary
from wardround.messages.envelope import digests, seal
from wardround.study.bundle import Bundle
from wardround.values import instant
from wardround.weights.packing import to_bytes

LONGEST_WAIT_SECONDS = 1.0


def fly(
    bundle: Bundle,
    key: SigningKey,
    grid: Grid,
    request: CanaryRequest,
    removed: Collection[str] = (),
    current: Current = as_on_roster,
) -> CanaryResult:
    """Send a canary to every hospital of a study that is not removed, and wait for the answers until nobody
    waits for the result any more.

    The nonce is drawn here: a conductor that died over a request makes another visit.
    """
    asked_at, nonce = instant(datetime.now(UTC)), secrets.token_hex(32)
    outgoing = _canaries(bundle, key, nonce, request, removed)
    sent = {each.site: each.envelope.byte_count for each in outgoing}
    answers = _gather(grid, outgoing, (request.until_ms - now_ms()) / 1000)
    silos = []
    for member in bundle.roster.silos:
        landed = answers.get(member.site)
        if member.site not in sent:
            silos.append(SiloCanary(site=member.site, codes=("R-REMOVED",), bytes_down=0))
        elif landed is None:
            silos.append(SiloCanary(site=member.site, codes=("R-SILENT",), bytes_down=sent[member.site]))
        else:
            silos.append(judge(landed, current(member), bundle, nonce, request.records))
    study = bundle.study
    return CanaryResult(
        request=request.request,
        study_hash=bundle.study_hash,
        name=study.name,
        version=study.version,
        asked_at=asked_at,
        records=request.records,
        assumed=request.assumed,
        silos=tuple(silos),
        deadline=propose(silos, study.rounds.deadline_seconds),
    )


def _canaries(bundle: Bundle, key: SigningKey, nonce: str, request: CanaryRequest, removed: Collection[str]) -> list[Outgoing]:
    """Make the orders; all bring the same weights, so that these are encrypted and stored once, as in a round."""
    arrays = (to_bytes(bundle.weights),)
    seconds = max((request.until_ms - now_ms()) / 1000, LONGEST_WAIT_SECONDS)
    return [
        Outgoing(
            site,
            seal(
                "canary",
                Canary(
                    to=site,
                    study_hash=bundle.study_hash,
                    nonce=nonce,
                    wardround=wardround.__version__,
                    rows=min(request.records, MOST_ROWS),
                    bodies=digests(arrays),
                ),
                key,
                arrays,
            ),
            seconds,
        )
        for site in bundle.roster.sites
        if site not in removed
    ]


def _gather(grid: Grid, outgoing: list[Outgoing], seconds: float) -> dict[str, Landed]:
    """Give the answers by site; who is not there cannot be reached, or was silent."""
    begun, clock = time.monotonic(), time.time()
    waiting = dict(zip(grid.push_messages(outgoing), outgoing, strict=True))
    found: dict[str, Landed] = {}
    while waiting and (left := begun + seconds - time.monotonic()) > 0:
        for incoming in grid.pull_messages([*waiting], min(left, LONGEST_WAIT_SECONDS)):
            sent, took = waiting.pop(incoming.reply_to), time.monotonic() - begun
            if incoming.envelope is not None:
                asked = sha256(sent.envelope.message)
                found[sent.site] = Landed(incoming.envelope, took, clock + took / 2, sent.envelope.byte_count, asked)
    return found
