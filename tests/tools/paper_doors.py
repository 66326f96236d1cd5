"""A hospital's porter with an inbox, for what comes to its door before any work is done."""

from __future__ import annotations

from pathlib import Path

from studies_on_paper import Paper, paper

from silo_node.policy import PolicyFile
from silo_node.porter.approvals import Approvals
from silo_node.porter.gate import Gate
from silo_node.porter.inbox import Inbox
from silo_node.porter.ledger import Ledger
from silo_node.porter.porter import Porter
from wardround.messages.envelope import Envelope, read, signed_by
from wardround.messages.offer import OFFER_ANSWER
from wardround.messages.round import ANSWER, SiloRefusal

SITE = "beta"
STUDY = paper()


class Door:
    """A hospital's porter with an inbox, and nobody behind it."""

    def __init__(self, folder: Path, study: Paper = STUDY, coordinator: str | None = None) -> None:
        party = study.parties[SITE]
        self.folder = folder
        self.party = party
        self.ledger = Ledger(folder / "ledger", party.key)
        approvals = Approvals(folder, party.member)
        self.inbox = Inbox(folder, party.member, approvals, coordinator or study.key.public, party.encryption)
        gate = Gate(SITE, party.key, self.ledger, PolicyFile(folder))
        self.porter = Porter(SITE, folder, party.encryption, approvals, gate, None, inbox=self.inbox)

    def ask(self, envelope: Envelope) -> str:
        """Give the state that is answered, or the code of a refusal."""
        answer = self.porter.visit(envelope).envelope
        assert signed_by(answer, "reply", self.party.key.public)
        refusal = read(answer, ANSWER)
        if isinstance(refusal, SiloRefusal):
            return refusal.code
        said = read(answer, OFFER_ANSWER)
        assert said is not None
        return said.state
