"""An approval: what exactly a person at a hospital allowed, signed with the approval key that the roster names.

The hospital's porter obeys it, and its ledger holds it, so that an auditor sees under whose word something left.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from wardround.canonical import digest, model_bytes, model_json
from wardround.identity.keys import PublicKey, Signature, verify
from wardround.values import Count, Instant, PersonName, Sha256, Slug, Value

KIND = "approval"
Nonce = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]


class Approver(Value):
    """The person who answers for the approval."""

    name: PersonName
    role: PersonName


class Approval(Value):
    """What exactly was approved, by whom, until when. Times are UTC.

    Attributes:
        author: the key of who signed the study as its author; None where nobody did. The study hash does not hold it.
        egress: digest of what exactly may leave (``silo_node.porter.manifest``): tensors, figures, how often.
        releases: the most different results that may leave under this approval, over every restart. The same bytes again
            are the same result, however often a round is repeated or the node restarted.
        nonce: makes each approval one of its own: approving again allows as many releases again.
    """

    protocol: Literal[1] = 1
    site: Slug
    study_hash: Sha256
    author: PublicKey | None
    code_digest: Sha256
    egress: Sha256
    releases: Annotated[Count, Field(ge=1)]
    approved_at: Instant
    expires_at: Instant
    approver: Approver
    nonce: Nonce

    def approval_digest(self) -> str:
        """Give the digest that replies and ledger entries carry."""
        return digest("approval", 1, model_json(self))


class SignedApproval(Value):
    """The file: an approval and its signature."""

    approval: Approval
    signature: Signature

    def holds(self, approval_key: PublicKey) -> bool:
        """Say whether it is signed by a hospital's approval key."""
        return verify(approval_key, self.signature, KIND, model_bytes(self.approval))
