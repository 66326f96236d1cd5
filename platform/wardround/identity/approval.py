"""An approval: what exactly a person at a hospital allowed, signed with the approval key that the roster names.

The hospital's porter obeys it, and its ledger holds it, so that an auditor sees under whose word something left.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, StringConstraints, model_validator

from wardround.canonical import digest, model_bytes, model_json
from wardround.identity.keys import PublicKey, Signature, verify
from wardround.values import Count, Instant, PersonName, Sha256, Slug, Value

KIND = "approval"
Nonce = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]


class Approver(Value):
    """The person who answers for the approval."""

    name: PersonName
    role: PersonName


class ApprovedData(Value):
    """The records that a person had before them.

    Attributes:
        fingerprint: of the records that the study would have used then, keyed by the hospital; None where they were not read.
        fixed: whether other records are refused; else a change is written down and goes on.
    """

    fingerprint: Sha256 | None = None
    fixed: bool = False

    @model_validator(mode="after")
    def _fixed_to_something(self) -> ApprovedData:
        if self.fixed and self.fingerprint is None:
            msg = "records that were not read cannot be fixed"
            raise ValueError(msg)
        return self


class PrivacyBudget(Value):
    """What protects single people in what leaves. Nothing does: no noise is added, and no budget is accounted."""

    mechanism: Literal["none"] = "none"


class _Given(Value):
    """What every version of an approval says."""

    site: Slug
    study_hash: Sha256
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


class EarlierApproval(_Given):
    """An approval as it was until the policy and the records were part of it. Ledgers hold such; nothing runs under one."""

    protocol: Literal[1] = 1


class Approval(_Given):
    """What exactly was approved, by whom, until when. Times are UTC.

    Attributes:
        author: the key of who signed the study as its author; None where nobody did. The study hash does not hold it.
        egress: digest of what exactly may leave (``silo_node.porter.manifest``): tensors, figures, how often.
        releases: the most different results that may leave under this approval, over every restart. The same bytes again
            are the same result, however often a round is repeated or the node restarted.
        policy: digest of the hospital's policy when it was given: a looser one later does not hold for this study.
        cohort: digest of the rule that selects records, by itself; it is part of the study hash, too.
        data: the records that were looked at.
        privacy: what is spent of people's privacy.
        nonce: makes each approval one of its own: approving again allows as many releases again.
    """

    protocol: Literal[2] = 2
    author: PublicKey | None
    policy: Sha256
    cohort: Sha256
    data: ApprovedData
    privacy: PrivacyBudget


AnyApproval: TypeAlias = Annotated[Approval | EarlierApproval, Field(discriminator="protocol")]


class SignedApproval(Value):
    """The file: an approval and its signature."""

    approval: AnyApproval
    signature: Signature

    def holds(self, approval_key: PublicKey) -> bool:
        """Say whether it is signed by a hospital's approval key."""
        return verify(approval_key, self.signature, KIND, model_bytes(self.approval))
