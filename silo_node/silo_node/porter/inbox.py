"""The hospital's inbox: bundles that were offered or brought as files, and what was decided about each."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from silo_node.centre_software import heard
from silo_node.naming import is_meant
from silo_node.policy import PolicyFile
from silo_node.porter.approvals import APPROVALS, INBOX, REJECTED_SUFFIX, Approvals, file_state, membership_problems
from silo_node.porter.policy_check import policy_problems
from wardround.canonical import canonical_bytes, model_json
from wardround.errors import Problem, Refused, refuse
from wardround.files import write_atomic
from wardround.identity.encryption import EncryptionKey
from wardround.identity.keys import PublicKey
from wardround.identity.roster import Member
from wardround.messages.confidential import decrypted
from wardround.messages.envelope import Envelope, bodies_hold, signed_by
from wardround.messages.offer import Offer, OfferState
from wardround.study.bundle import SUFFIX, Bundle, bundle_bytes, parse_bundle, read_bundle
from wardround.values import Instant, Sha256, Slug, Value, instant

MOST_BUNDLES = 200
"""Bundles kept at most: a centre that offers more is refused."""
MOST_BYTES = 8 * 1024**3
"""Bytes of them all at most."""

Reason = Literal["not-ours", "data", "ethics", "legal", "effort", "other"]


class Rejection(Value):
    """A person decided against a study."""

    protocol: Literal[1] = 1
    site: Slug
    study_hash: Sha256
    reason: Reason
    rejected_at: Instant


@dataclass(frozen=True)
class Entry:
    """One study in the inbox; ``codes`` say why an approval does not hold, or what the hospital's policy does not allow."""

    bundle: Bundle
    state: OfferState
    expires_at: str | None = None
    codes: tuple[str, ...] = ()


class Inbox:
    """The inbox and the decisions of one hospital."""

    def __init__(
        self,
        folder: Path,
        identity: Member,
        approvals: Approvals,
        coordinator: PublicKey | None,
        encryption: EncryptionKey | None = None,
        log: logging.Logger | None = None,
    ) -> None:
        """Take the hospital's directory, identity and approvals, the key of the centre that it joined, and its own.

        Without its own encryption key it only says what was decided: nothing can be offered to it.
        """
        self._folder = folder
        self._identity = identity
        self._approvals = approvals
        self.coordinator = coordinator
        self._encryption = encryption
        self._policy = PolicyFile(folder)
        self._log = log or logging.getLogger(__name__)
        self._read: dict[str, tuple[tuple[int, ...], Bundle]] = {}

    def answer(self, envelope: Envelope, offer: Offer) -> OfferState | None:
        """Take an offer; None when it is not signed by the centre that this hospital joined, or not for it.

        The centre says whose signature as the author is on its bundle. One of another author, that nobody has decided about,
        is asked for and takes the place of the one that is here; an approved one never is.
        """
        if self.coordinator is None or self._encryption is None or not signed_by(envelope, "offer", self.coordinator):
            return None
        plain = decrypted(envelope, self._encryption)
        if plain is None or offer.to != self._identity.site or not bodies_hold(plain, offer.bodies):
            return None
        heard(self._folder, offer.wardround)
        state = self.state(offer.study_hash)
        held = self._known(offer.study_hash)
        if held is not None and held.author_key != offer.author and state != "rejected":
            # the same study under another author's word: a decision about the one is none about the other
            state = "refused" if (self._folder / APPROVALS / f"{offer.study_hash}.json").exists() else "unknown"
        return self._receive(bytes(plain.arrays[0]), offer) if plain.arrays and state == "unknown" else state

    def _receive(self, data: bytes, offer: Offer) -> OfferState:
        try:
            bundle = parse_bundle(data)
        except Refused:
            return "refused"
        foreign = bundle.roster.coordinator.signing_key != self.coordinator
        other = (bundle.study_hash, bundle.author_key) != (offer.study_hash, offer.author)
        if other or foreign or membership_problems(self._folder, bundle, self._identity):
            return "refused"
        canonical = bundle_bytes(bundle)
        full = self._no_room(self._path(offer.study_hash), len(canonical))
        if full is not None:
            self._log.warning("%s", full)
            return "refused"
        write_atomic(self._path(offer.study_hash), canonical, mode=0o600)
        return self.state(offer.study_hash)

    def _no_room(self, new: Path, size: int) -> Problem | None:
        """Say that the inbox holds no bundle of so many bytes beside its others; None when it does."""
        kept = [path.stat().st_size for path in (self._folder / INBOX).glob(f"*{SUFFIX}") if path != new]
        if len(kept) < MOST_BUNDLES and sum(kept) + size <= MOST_BYTES:
            return None
        return Problem(
            "A-FULL",
            INBOX,
            f"The inbox keeps {MOST_BUNDLES} bundles of {MOST_BYTES // 1024**3} GiB in all, at most",
            f"it holds {len(kept)} of {sum(kept) // 1024**2} MiB, and one more was offered",
            f"move bundles of studies that are over out of {INBOX}/; ask the centre's operator why there are so many",
        )

    def state(self, study_hash: str) -> OfferState:
        """Say what was decided about a study: by a person, or before anybody is asked by the policy as it stands now.

        Raises:
            Refused: Y- codes when the policy cannot be read.
        """
        if not self._path(study_hash).exists():
            return "unknown"
        decided: OfferState = "approved"
        try:
            self._approvals.require(study_hash)
        except Refused:
            decided = "rejected" if self._rejection(study_hash) is not None else "waiting"
        return decided if decided == "rejected" or not self._against_policy(study_hash) else "refused-by-policy"

    def _against_policy(self, study_hash: str) -> tuple[str, ...]:
        """Give the codes of everything in a study that the policy does not allow; none for a bundle that is damaged."""
        policy, bundle = self._policy.read(), self._known(study_hash)
        return () if bundle is None else tuple(problem.code for problem in policy_problems(bundle, policy))

    def _known(self, study_hash: str) -> Bundle | None:
        """Give a bundle of the inbox without its weights, read once while its file stays; None when it is damaged."""
        path = self._path(study_hash)
        try:
            state = file_state(path)
            known = self._read.get(study_hash)
            if known is None or known[0] != state:
                known = (state, read_bundle(path).lightened())
                self._read[study_hash] = known
        except (OSError, Refused):
            return None
        return known[1]

    def entries(self) -> list[Entry]:
        """Give everything in the inbox, by the studies' names; a damaged bundle is left out."""
        found: list[Entry] = []
        for path in sorted((self._folder / INBOX).glob(f"*{SUFFIX}")):
            try:
                bundle = read_bundle(path)
            except Refused:
                continue
            found.append(self._entry(bundle))
        return sorted(found, key=lambda entry: (entry.bundle.study.name, entry.bundle.study.version))

    def _entry(self, bundle: Bundle) -> Entry:
        state = self.state(bundle.study_hash)
        if state == "approved":
            return Entry(bundle, state, self._approvals.require(bundle.study_hash).approval.expires_at)
        if state == "refused-by-policy":
            return Entry(bundle, state, codes=tuple(dict.fromkeys(self._against_policy(bundle.study_hash))))
        if not (self._folder / APPROVALS / f"{bundle.study_hash}.json").exists():
            return Entry(bundle, state)
        try:
            self._approvals.require(bundle.study_hash)
        except Refused as error:
            return Entry(bundle, state, codes=error.codes)
        return Entry(bundle, state)

    def find(self, named: str) -> Bundle:
        """Give the study of the inbox that is named: by name, by name and version, or by the first digits of its hash.

        Raises:
            Refused: A-STUDY when there is none, or more than one.
        """
        bundles = [entry.bundle for entry in self.entries()]
        found = [each for each in bundles if is_meant(named, each.study_hash, (each.study.name, each.study.version))]
        if len(found) == 1:
            return found[0]
        raise refuse(
            "A-STUDY",
            f"site {self._identity.site}",
            "One study of the inbox is meant",
            "there is none of this name" if not found else f"there are {len(found)} of this name",
            "look it up by: wardround silo studies, and give its name, name and version, or the first digits of its hash",
        )

    def reject(self, bundle: Bundle, reason: Reason) -> None:
        """Write down that a person decided against a study, and withdraw an approval if there is one."""
        rejection = Rejection(
            site=self._identity.site,
            study_hash=bundle.study_hash,
            reason=reason,
            rejected_at=instant(datetime.now(UTC)),
        )
        if not self._path(bundle.study_hash).exists():
            write_atomic(self._path(bundle.study_hash), bundle_bytes(bundle), mode=0o600)
        path = self._folder / APPROVALS / f"{bundle.study_hash}{REJECTED_SUFFIX}"
        write_atomic(path, canonical_bytes(model_json(rejection)), mode=0o600)
        (self._folder / APPROVALS / f"{bundle.study_hash}.json").unlink(missing_ok=True)

    def _rejection(self, study_hash: str) -> Rejection | None:
        try:
            data = (self._folder / APPROVALS / f"{study_hash}{REJECTED_SUFFIX}").read_bytes()
            return Rejection.model_validate_json(data)
        except (OSError, ValidationError):
            return None

    def _path(self, study_hash: str) -> Path:
        return self._folder / INBOX / f"{study_hash}{SUFFIX}"
