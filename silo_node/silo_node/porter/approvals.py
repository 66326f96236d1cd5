"""Approvals: a file, signed by a person's key at the hospital, that lets exactly one study run here.

Default deny: without a valid approval nothing of a study reaches the trainer. An approval signs the study hash (study,
schema, initial weights, roster with keys), the rule of its cohort, the digest of the local code, what exactly may leave and
how often, the hospital's policy, the records that were looked at, and an expiry. No process writes one by itself: only
``wardround silo approve`` does.

    approvals/<study hash>.json           the approval that holds
    approvals/<study hash>.paused.json    while it is there, nothing of the study is done, and nothing leaves
    approvals/<study hash>.rejected.json  a person's no; it stands above any approval until the study is approved anew
    approvals/given/<digest>.json         every approval that was ever given: the ledger names them by their digests
    approvals/policies/<digest>.json      every policy under which one was given
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import ValidationError

from silo_node.identity import successions
from silo_node.policy import Policy, PolicyFile
from silo_node.porter.manifest import EgressManifest, egress_manifest
from silo_node.porter.policy_check import policy_problems
from silo_node.running_code import OUR_PACKAGES
from wardround.canonical import canonical_bytes, digest, model_bytes, model_json
from wardround.errors import Problem, Refused, raise_all, refuse
from wardround.files import write_atomic
from wardround.identity.approval import (
    KIND,
    AnyApproval,
    Approval,
    ApprovedData,
    Approver,
    EarlierApproval,
    PrivacyBudget,
    SignedApproval,
)
from wardround.identity.keys import SigningKey
from wardround.identity.roster import Member
from wardround.identity.software import code_digest
from wardround.identity.succession import follow
from wardround.study.bundle import Bundle, bundle_bytes, read_bundle
from wardround.values import Instant, Sha256, Slug, Value, instant

APPROVALS = "approvals"
GIVEN = "given"
POLICIES = "policies"
PAUSED_SUFFIX = ".paused.json"
REJECTED_SUFFIX = ".rejected.json"
INBOX = "inbox"


PausedBy: TypeAlias = Literal["person", "gate"]


class Pause(Value):
    """A study is held up; what was approved stays approved. ``paused_by``: a person, or the gate, which kept a result back."""

    protocol: Literal[1] = 1
    site: Slug
    study_hash: Sha256
    paused_at: Instant
    paused_by: PausedBy = "person"


@dataclass(frozen=True)
class Approved:
    """A study that may run here now.

    Attributes:
        approval: what was approved; ``signed``: with its signature.
        policy: the hospital's policy when it was approved.
    """

    bundle: Bundle
    signed: SignedApproval
    approval: Approval
    policy: Policy

    @cached_property
    def manifest(self) -> EgressManifest:
        """What may leave."""
        return egress_manifest(self.bundle)

    @cached_property
    def digest(self) -> str:
        """The approval's digest."""
        return self.approval.approval_digest()


def cohort_digest(bundle: Bundle) -> Sha256:
    """Give the digest of the rule that selects a study's records."""
    return digest("cohort", 1, model_json(bundle.study.cohort))


def approve(
    folder: Path,
    bundle: Bundle,
    identity: Member,
    key: SigningKey,
    approver: Approver,
    valid: timedelta,
    data: ApprovedData = ApprovedData(),  # noqa: B008  (frozen)
) -> Approval:
    """Write the approval of a study, and keep the bundle and the policy under which it was given.

    Raises:
        Refused: P-ROSTER when this hospital is not on the study's roster with exactly its own keys; G- codes for all that its
            policy does not allow; Y- codes of the policy itself. Nothing is written then.
    """
    raise_all(objections(folder, bundle, identity))
    now, manifest, policy = datetime.now(UTC), egress_manifest(bundle), PolicyFile(folder).read()
    approval = Approval(
        site=identity.site,
        study_hash=bundle.study_hash,
        author=bundle.author_key,
        code_digest=code_digest(OUR_PACKAGES),
        egress=manifest.egress_digest(),
        releases=manifest.releases,
        approved_at=instant(now),
        expires_at=instant(now + valid),
        approver=approver,
        policy=policy.policy_digest(),
        cohort=cohort_digest(bundle),
        data=data,
        privacy=PrivacyBudget(),
        nonce=secrets.token_hex(16),
    )
    signed = SignedApproval(approval=approval, signature=key.sign(KIND, model_bytes(approval)))
    write_atomic(folder / INBOX / f"{bundle.study_hash}.wardround", bundle_bytes(bundle), mode=0o600)
    written = canonical_bytes(model_json(signed))
    write_atomic(folder / APPROVALS / POLICIES / f"{approval.policy}.json", model_bytes(policy), mode=0o600)
    write_atomic(folder / APPROVALS / GIVEN / f"{approval.approval_digest()}.json", written, mode=0o600)
    write_atomic(folder / APPROVALS / f"{bundle.study_hash}.json", written, mode=0o600)
    (folder / APPROVALS / f"{bundle.study_hash}{REJECTED_SUFFIX}").unlink(missing_ok=True)  # last: a no stands until the yes does
    return approval


def given_approvals(folder: Path, identity: Member) -> list[AnyApproval]:
    """Give every approval of a hospital that was ever given, the oldest first; what is not signed by its key is left out."""
    found: list[AnyApproval] = []
    for path in (folder / APPROVALS / GIVEN).glob("*.json"):
        with suppress(OSError, ValidationError):
            signed = SignedApproval.model_validate_json(path.read_bytes())
            if signed.holds(identity.approval_key):
                found.append(signed.approval)
    return sorted(found, key=lambda approval: (approval.approved_at, approval.nonce))


def given_approval(folder: Path, identity: Member, study_hash: str) -> Approval | None:
    """Give the approval of a study that stands here now, whether or not it holds; None when there is none that can be read."""
    with suppress(OSError, ValidationError):
        signed = SignedApproval.model_validate_json((folder / APPROVALS / f"{study_hash}.json").read_bytes())
        if signed.holds(identity.approval_key) and isinstance(signed.approval, Approval):
            return signed.approval
    return None


def pause(folder: Path, site: str, study_hash: str, by: PausedBy = "person") -> None:
    """Hold a study up: from now on nothing of it is done or leaves, until ``resume``.

    Where the gate holds it up it stays the gate's: whoever resumes it is told what was kept back.
    """
    if by == "person" and read_pause(folder, study_hash) == "gate":
        return
    held = Pause(site=site, study_hash=study_hash, paused_at=instant(datetime.now(UTC)), paused_by=by)
    write_atomic(folder / APPROVALS / f"{study_hash}{PAUSED_SUFFIX}", canonical_bytes(model_json(held)), mode=0o600)


def read_pause(folder: Path, study_hash: str) -> PausedBy | None:
    """Say who holds a study up; None when nobody does. A file that cannot be read holds it up as well."""
    try:
        data = (folder / APPROVALS / f"{study_hash}{PAUSED_SUFFIX}").read_bytes()
        return Pause.model_validate_json(data).paused_by
    except FileNotFoundError:
        return None
    except (OSError, ValidationError):
        return "person"


def resume(folder: Path, study_hash: str) -> bool:
    """Let a study go on that was held up; False when it was not. It needs its approval as before.

    Raises:
        Refused: O-WRITE when the pause cannot be removed; it holds.
    """
    path = folder / APPROVALS / f"{study_hash}{PAUSED_SUFFIX}"
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise refuse(
            "O-WRITE",
            f"{APPROVALS}/{path.name}",
            "A study goes on when its pause is removed",
            f"the file cannot be removed ({type(error).__name__})",
            "check the folder's rights",
        ) from None
    return True


def objections(folder: Path, bundle: Bundle, identity: Member) -> list[Problem]:
    """Say why a study may not be approved at a hospital, whoever would: not its own study, or not allowed by its policy.

    Raises:
        Refused: Y- codes when the policy cannot be read.
    """
    return [*membership_problems(folder, bundle, identity), *policy_problems(bundle, PolicyFile(folder).read())]


def membership_problems(folder: Path, bundle: Bundle, identity: Member) -> list[Problem]:
    """Say whether a hospital is on a study's roster with exactly its own keys, or with those that they follow; none if so.

    Raises:
        Refused: I-SUCCESSION when a file of the hospital's own successions was changed.
    """
    member = bundle.roster.member(identity.site)
    if member is not None and follow(member, successions(folder)).keys == identity.keys:
        return []
    return [
        Problem(
            "P-ROSTER",
            f"site {identity.site}",
            "A hospital approves only studies that name it with its own keys",
            "it is not on the study's roster" if member is None else "the roster has other keys for it",
            "ask the study's author to build the bundle with this site's request.json",
        )
    ]


class Approvals:
    """The approvals of one hospital; what was verified once is not read again until a file changes."""

    def __init__(self, folder: Path, identity: Member) -> None:
        """Take the hospital's directory and identity; the code that runs in this process is fixed now."""
        self._folder = folder
        self._identity = identity
        self._code = code_digest(OUR_PACKAGES)
        self._verified: dict[str, tuple[tuple[int, ...], Approved]] = {}

    def require(self, study_hash: str) -> Approved:
        """Give an approved study; the approval's end, and whether it is held up, are checked every time.

        Raises:
            Refused: A-MISSING, A-INVALID, A-EXPIRED, A-PAUSED, or a bundle's own codes.
        """
        if (self._folder / APPROVALS / f"{study_hash}{REJECTED_SUFFIX}").exists():  # also where an old approval was put back
            raise Refused([missing_approval(self._identity.site, study_hash)])
        paths = (self._folder / APPROVALS / f"{study_hash}.json", self._folder / INBOX / f"{study_hash}.wardround")
        try:
            state = tuple(number for path in paths for number in file_state(path))
        except OSError:
            raise Refused([missing_approval(self._identity.site, study_hash)]) from None
        known = self._verified.get(study_hash)
        if known is None or known[0] != state:
            known = (state, self._verify(study_hash, *paths))
            self._verified[study_hash] = known
        approval = known[1].approval
        if approval.expires_at <= instant(datetime.now(UTC)):
            raise refuse(
                "A-EXPIRED",
                f"site {self._identity.site}",
                "Approvals end",
                f"it ended at {approval.expires_at}",
                "approve it again",
            )
        paused_by = read_pause(self._folder, study_hash)
        if paused_by is not None:
            by_gate = paused_by == "gate"
            raise refuse(
                "A-PAUSED",
                f"site {self._identity.site}",
                "Nothing of a study is done or leaves while it is held up",
                "the gate kept back what was not approved, and paused it" if by_gate else "the study is paused here",
                "read the last 'blocked' entry of the ledger first; to let it go on: wardround silo resume STUDY"
                if by_gate
                else "let it go on: wardround silo resume STUDY",
            )
        return known[1]

    def _verify(self, study_hash: str, approval_path: Path, bundle_path: Path) -> Approved:
        site = self._identity.site
        try:
            signed = SignedApproval.model_validate_json(approval_path.read_bytes())
        except (OSError, ValidationError):
            raise _invalid(site, "the approval file cannot be read") from None
        approval = signed.approval
        if not signed.holds(self._identity.approval_key):
            raise _invalid(site, "it is not signed by this site's approval key")
        if (approval.site, approval.study_hash) != (site, study_hash):
            raise _invalid(site, "it is for another site or study")
        if isinstance(approval, EarlierApproval):
            raise _invalid(site, "it was given to an earlier release, without policy and records")
        if approval.code_digest != self._code:
            raise _invalid(site, "the software installed here is not the one that was approved")
        bundle = read_bundle(bundle_path)
        if bundle.study_hash != study_hash:
            raise _invalid(site, "the bundle in the inbox is another study")
        if approval.author != bundle.author_key:
            raise _invalid(site, "the author's signature on the bundle is not the one that was approved")
        if approval.egress != egress_manifest(bundle).egress_digest() or approval.cohort != cohort_digest(bundle):
            raise _invalid(site, "what would leave, or of which records, is not what was approved")
        raise_all(membership_problems(self._folder, bundle, self._identity))
        return Approved(bundle, signed, approval, self._approved_policy(approval))

    def _approved_policy(self, approval: Approval) -> Policy:
        """Give the policy under which an approval was given."""
        try:
            policy = Policy.model_validate_json((self._folder / APPROVALS / POLICIES / f"{approval.policy}.json").read_bytes())
        except (OSError, ValidationError):
            policy = None
        if policy is None or policy.policy_digest() != approval.policy:
            raise _invalid(self._identity.site, "the policy under which it was given is missing or was changed")
        return policy


def file_state(path: Path) -> tuple[int, int, int, int]:
    """Give what changes when a file is written or replaced."""
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def missing_approval(site: str, study_hash: str) -> Problem:
    """Say that a hospital has not approved a study."""
    return Problem(
        "A-MISSING",
        f"site {site}",
        "Nothing runs that the hospital did not approve",
        f"there is no approval of study {study_hash[:12]}",
        "review the bundle, then run: wardround silo approve BUNDLE --site site.yaml --approver NAME --role ROLE",
    )


def _invalid(site: str, finding: str) -> Refused:
    return refuse(
        "A-INVALID", f"site {site}", "An approval holds for what was signed", finding, "review the study and approve it again"
    )
