"""The entries of a hospital's ledger: one frozen value for everything that left, and for what the centre said of it.

approval  a study begins to be answered under an approval: which, by whom, for whom, of which tensors
release   a result left: of which records, how many bytes, under which approval
refusal   a code left instead
repeat    the same bytes went again
working   the centre was told how far a task is
offer     the centre was told what was decided about an offered study
confinement  how the process that opens the records is confined, as it found out at its start; nothing left
canary    figures of machine and network left, and a body of zeros
receipt   what the centre says it did with a release, signed by it
rekey     the hospital has new keys: the last entry that is signed with the old one
blocked   the gate kept something back that nobody had approved, and held the study up

Digests stand for what left; no value of a record is here. ``to`` is the signing key of the centre that was answered.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, StringConstraints, TypeAdapter, model_validator

from wardround.canonical import model_bytes
from wardround.confinement import Measures
from wardround.identity.approval import SignedApproval
from wardround.identity.keys import PublicKey, Signature, verify
from wardround.identity.roster import Coordinator
from wardround.identity.succession import SignedSuccession
from wardround.messages.offer import OfferState
from wardround.messages.round import RECEIPT, CentreCode, FiguresFor, Purpose, Receipt, SiloCode
from wardround.reference import Reference
from wardround.study.model import Text
from wardround.values import Count, Instant, Sha256, Slug, Value, Version
from wardround.weights.packing import Tensor

Figure: TypeAlias = Literal[
    "records",
    "validation_size",
    "test_size",
    "sums",
    "report",
    "distributions",
    "scores",
    "labels",
    "overlaps",
    "errors",
    "training_loss",
    "change_of_weights",
]
"""What a result holds: counts of records, sums of features, the outgoing report, distributions of fields, score histograms, those
of several labels, sums of overlaps or of errors, the mean training loss, the change of the weights."""

Digests: TypeAlias = Annotated[tuple[Sha256, ...], Field(max_length=2)]


class Stamped(Value):
    """What every entry has: the moment in which it was written, by the hospital's own clock (UTC)."""

    time: Instant


class ApprovalUsed(Stamped):
    """From here on a study may be answered under this approval.

    Attributes:
        name, version: of the study; ``coordinator``: who gets what leaves under it.
        tensors: names and shapes of what a change of weights consists of.
    """

    event: Literal["approval"] = "approval"
    study: Sha256
    approval: Sha256
    name: Slug
    version: Version
    title: Text
    coordinator: Coordinator
    tensors: Annotated[tuple[Tensor, ...], Field(min_length=1)]
    signed: SignedApproval

    @model_validator(mode="after")
    def _names_what_it_holds(self) -> ApprovalUsed:
        held = self.signed.approval
        if (held.approval_digest(), held.study_hash) != (self.approval, self.study):
            msg = "the entry names another approval than it holds"
            raise ValueError(msg)
        return self


class Released(Stamped):
    """A result left.

    Attributes:
        work: what was done, however often its sum's plan was raised; with ``result`` and ``arrays`` it is the release's identity.
        policy: digest of the policy that held: the hospital's of that moment, or of the approval where that one is stricter.
        data: keyed fingerprint of the records behind the result; other records, another fingerprint.
        figures: what the result holds; ``result``, ``result_bytes``: digest and size of its canonical form.
        arrays, bytes: digests of the arrays that went with it, and how many bytes they are together.
        norm: Euclidean norm of the change of weights, to six digits; None where there is none.
        share_metrics: whom the result says that the hospital lets see its own figures.
    """

    event: Literal["release"] = "release"
    study: Sha256
    task: Sha256
    work: Sha256
    purpose: Purpose
    round: Count
    approval: Sha256
    policy: Sha256
    data: Sha256 | None = None
    to: PublicKey
    records: Count
    figures: tuple[Figure, ...]
    result: Sha256
    result_bytes: Count
    arrays: Digests
    bytes: Count
    norm: Annotated[float, Field(ge=0)] | None
    share_metrics: FiguresFor = "coordinator"


class RefusalSent(Stamped):
    """A code left; with the digest of the outgoing data report where that went along.

    Attributes:
        study, task, purpose, round: of what was asked, as far as it could be read.
        approval: under which it was looked at, if it came so far.
        to: None where nobody that this hospital knows asked.
        share_metrics: as in a release; it is about the report.
        reference: under which the hospital's own logs tell what happened.
    """

    event: Literal["refusal"] = "refusal"
    study: Sha256 | None
    task: Sha256 | None
    purpose: Purpose | None
    round: Count | None
    approval: Sha256 | None
    to: PublicKey | None
    code: SiloCode
    report: Sha256 | None
    share_metrics: FiguresFor = "coordinator"
    reference: Reference | None = None


class Repeated(Stamped):
    """The bytes of a release went again."""

    event: Literal["repeat"] = "repeat"
    study: Sha256
    task: Sha256


class WorkingSent(Stamped):
    """The centre was told in which local epoch a task is."""

    event: Literal["working"] = "working"
    study: Sha256
    task: Sha256
    epoch: Count


class OfferAnswered(Stamped):
    """The centre was told what was decided about a study, when it was news."""

    event: Literal["offer"] = "offer"
    study: Sha256
    state: OfferState


class ConfinementFound(Stamped):
    """How the trainer that works from here on is confined, as it found out at its start; what it could not try is in neither.

    Attributes:
        required: what the hospital's policy required at that time.
    """

    event: Literal["confinement"] = "confinement"
    holds: Measures
    fails: Measures
    required: Measures


class CanaryAnswered(Stamped):
    """Figures of machine and network left, with as many zeros as the study has weights. It counts as no release."""

    event: Literal["canary"] = "canary"
    study: Sha256
    canary: Sha256
    approval: Sha256
    to: PublicKey
    result: Sha256
    result_bytes: Count
    arrays: Digests
    bytes: Count


class ReceiptTaken(Stamped):
    """What the centre did with a release, in its own words.

    Attributes:
        task_id, reply, verdict, ledger, journal: as in the receipt; ``signature``: the centre's, over exactly those.
    """

    event: Literal["receipt"] = "receipt"
    study: Sha256
    task_id: Sha256
    reply: Sha256
    verdict: Literal["counted"] | CentreCode
    ledger: Sha256 | None
    journal: Sha256 | None
    signature: Signature

    def signed_by(self, centre: PublicKey) -> bool:
        """Say whether the receipt is this centre's word."""
        receipt = Receipt(task_id=self.task_id, reply=self.reply, verdict=self.verdict, ledger=self.ledger, journal=self.journal)
        return verify(centre, self.signature, RECEIPT, model_bytes(receipt))


class KeysRenewed(Stamped):
    """From the next entry on the hospital signs with another key, to which the old one, its approver and the new one agreed."""

    event: Literal["rekey"] = "rekey"
    statement: SignedSuccession


BlockedWhy: TypeAlias = Literal[
    "kind",
    "unnamed",
    "range",
    "word",
    "number",
    "tensors",
    "small_cell",
    "metrics_minimum",
    "minimum_records",
    "times",
    "bytes",
]
"""Why something was kept back: another kind of value than approved, one that the egress manifest does not name, a number out
of its range, a word that is none of the study's or the schema's, too many of a kind, another change of weights, too few records
behind it by the policy, more results or bytes than approved."""


class BlockedPart(Value):
    """A part of what was kept back; ``place``: where, in the egress manifest's words, if it names the place."""

    why: BlockedWhy
    place: Annotated[str, StringConstraints(pattern=r"^[a-z_*]+(\.[a-z_*]+)*$", max_length=100)] | None = None


class Blocked(Stamped):
    """The gate kept something back that the approval does not let out; it left as a bare code, and the study is held up.

    Attributes:
        task: of the task, or of the canary; ``purpose`` and ``round`` where it was a task.
        parts: why, without any value.
    """

    event: Literal["blocked"] = "blocked"
    study: Sha256
    task: Sha256
    purpose: Purpose | None
    round: Count | None
    approval: Sha256
    parts: Annotated[tuple[BlockedPart, ...], Field(min_length=1, max_length=100)]


AnyEntry: TypeAlias = (
    ApprovalUsed
    | Released
    | Blocked
    | RefusalSent
    | Repeated
    | WorkingSent
    | OfferAnswered
    | ConfinementFound
    | CanaryAnswered
    | ReceiptTaken
    | KeysRenewed
)


def study_of(entry: AnyEntry) -> str | None:
    """Give the study that an entry is about, if it is about one."""
    return None if isinstance(entry, KeysRenewed | ConfinementFound) else entry.study


ENTRY: TypeAdapter[AnyEntry] = TypeAdapter(Annotated[AnyEntry, Field(discriminator="event")])
