"""To strangers nothing is said of any study: the joined centre's signature is looked at before anything else."""

from __future__ import annotations

from datetime import timedelta

import pytest
from paper_doors import SITE, STUDY, Door
from studies_on_paper import paper, signing_key

from silo_node.porter.approvals import approve
from wardround.canonical import canonical_bytes, model_json
from wardround.identity.approval import Approver
from wardround.messages.canary import Canary
from wardround.messages.confidential import encrypted_for
from wardround.messages.envelope import Envelope, seal
from wardround.messages.round import Collect, Task, Withdraw

STRANGER = signing_key("a stranger")


@pytest.fixture
def door(tmp_path):
    """A hospital that joined the study's centre, and approved its study."""
    made = Door(tmp_path)
    person = Approver(name="Dr A", role="DPO")
    approve(tmp_path, STUDY.bundle, made.party.member, made.party.approval_key, person, timedelta(days=1))
    yield made
    made.ledger.close()


def orders(study_hash: str) -> list[tuple[str, object]]:
    core = STUDY.core("statistics", 0).model_copy(update={"study_hash": study_hash})
    given = {"to": SITE, "study_hash": study_hash, "task_id": core.task_id()}
    return [
        ("task", Task(**given, core=core, attempt=0, deadline_seconds=30.0)),
        ("collect", Collect(**given)),
        ("withdraw", Withdraw(**given)),
        ("canary", Canary(to=SITE, study_hash=study_hash, nonce="1" * 64, wardround="0.1.0", rows=1, bodies=("0" * 64,))),
    ]


def sealed(kind, order, key) -> Envelope:
    return encrypted_for(seal(kind, order, key), STUDY.parties[SITE].member.encryption_key)


@pytest.mark.parametrize("which", range(4), ids=["task", "collect", "withdraw", "canary"])
def test_a_stranger_does_not_learn_whether_a_study_is_approved(door, which):
    """An approved study and one that nobody has heard of: the same word. The joined centre hears which is which."""
    approved, unknown = orders(STUDY.bundle.study_hash)[which], orders("0" * 64)[which]
    assert [door.ask(sealed(*each, STRANGER)) for each in (approved, unknown)] == ["H-SIGNATURE", "H-SIGNATURE"]
    assert door.ask(sealed(*unknown, STUDY.key)) == "H-STUDY"


def test_the_signature_is_looked_at_before_the_approvals(door, monkeypatch):
    """Not even by how long the answer takes: no approval is read for a stranger."""
    monkeypatch.setattr(door.porter._approvals, "require", lambda _hash: pytest.fail("a stranger had an approval read"))
    for kind, order in orders(STUDY.bundle.study_hash):
        assert door.ask(sealed(kind, order, STRANGER)) == "H-SIGNATURE"


def test_another_centre_is_a_stranger(tmp_path):
    """A hospital that joined another centre than the study's hears nothing of the study's, approved or not."""
    door = Door(tmp_path, coordinator=STRANGER.public)
    assert door.ask(sealed(*orders(STUDY.bundle.study_hash)[0], STUDY.key)) == "H-SIGNATURE"
    door.ledger.close()


def test_a_stranger_is_told_no_more_than_a_code(door):
    """The two refusals differ in nothing but what the stranger sent, the ledger's head, and a random reference."""
    import json

    said = []
    for study_hash in (STUDY.bundle.study_hash, paper(seed=9).bundle.study_hash):
        kind, order = orders(study_hash)[1]
        answer = json.loads(door.porter.visit(sealed(kind, order, STRANGER)).envelope.message)
        sent = model_json(order)
        assert all(answer[name] == sent[name] for name in ("study_hash", "task_id"))
        own = ("study_hash", "task_id", "ledger", "reference")
        said.append(canonical_bytes({name: value for name, value in answer.items() if name not in own}))
    assert said[0] == said[1]
