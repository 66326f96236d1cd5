"""A small study in memory: contract, roster with real keys, bundle, encoding. No file, no torch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, derive_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from wardround import PROTOCOL
from wardround.canonical import sha256
from wardround.contract.model import Contract
from wardround.identity.author import Author
from wardround.identity.encryption import EncryptionKey
from wardround.identity.keys import SigningKey
from wardround.identity.roster import Coordinator, Member, Roster
from wardround.identity.tls import KeyPair, node_key_pair
from wardround.messages.round import Purpose, TaskCore
from wardround.metrics.pooled import BINS, ScoreCounts
from wardround.study.bundle import Bundle, Versions
from wardround.study.encoding import CodeColumn, Column, Encoding, NumberColumn, bounds
from wardround.study.model import Study
from wardround.weights.fixed_point import SumPlan
from wardround.weights.packing import manifest_of, pack, to_bytes

CONTRACT: dict[str, Any] = {
    "kind": "table",
    "id": "test.heart",
    "version": "1.0.0",
    "status": "active",
    "title": "A small table",
    "row_grain": "one row per patient",
    "primaryKey": ["record_id"],
    "patientKey": "patient_key",
    "fields": [
        {"name": "record_id", "type": "string", "constraints": {"required": True}, "privacy": "pseudonym"},
        {"name": "patient_key", "type": "string", "constraints": {"required": True}, "privacy": "pseudonym"},
        {
            "name": "age",
            "type": "integer",
            "unit": "a",
            "constraints": {"required": True, "minimum": 0, "maximum": 120},
            "plausible": {"low": 18, "high": 100},
        },
        {"name": "pressure", "type": "number", "unit": "mm[Hg]", "constraints": {"minimum": 40, "maximum": 300}},
        {"name": "pain", "type": "string", "categories": [{"value": "none"}, {"value": "some"}, {"value": "much"}]},
        {
            "name": "disease",
            "type": "string",
            "constraints": {"required": True},
            "categories": [{"value": "absent"}, {"value": "present"}],
        },
    ],
}
FEATURES = ("age", "pressure", "pain")

STUDY: dict[str, Any] = {
    "name": "trial",
    "version": "1.0.0",
    "title": "A trial",
    "question": "Does it hold",
    "author": "A. Scientist",
    "schema": {"id": "test.heart", "version": "1.0.0"},
    "target": {"field": "disease", "positive": "present"},
    "features": FEATURES,
    "network": {"name": "FullyConnectedNet", "arguments": {"hidden_channels": (3,)}},
    "training": {"optimiser": {"learning_rate": 0.1}, "batch_size": None},
    "seed": 7,
    "rounds": {"maximum": 3, "deadline_seconds": 30.0, "retries": 1},
    "convergence": {"metric": "loss", "patience": 3},
    "silos": {"minimum": 2},
}
SITES = ("alpha", "beta", "gamma")
RECORDS = {"alpha": 120, "beta": 60, "gamma": 45, "delta": 33}


@dataclass(frozen=True)
class Party:
    """A hospital as the tests see it: with its private keys."""

    member: Member
    key: SigningKey
    approval_key: SigningKey
    encryption: EncryptionKey


def signing_key(name: str) -> SigningKey:
    """Give the key of a name: always the same, so that study hashes and splits are."""
    return SigningKey(Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest()))


def encryption_key(name: str) -> EncryptionKey:
    """Give the encryption key of a name: always the same, as ``signing_key``."""
    return EncryptionKey(X25519PrivateKey.from_private_bytes(hashlib.sha256(f"{name} reads".encode()).digest()))


def node_key(name: str) -> KeyPair:
    """Give the node key of a name: always the same, as ``signing_key``."""
    return node_key_pair(derive_private_key(int(hashlib.sha256(name.encode()).hexdigest(), 16), SECP384R1()))


CENTRE_READS = encryption_key("centre")


def author(name: str = "A. Scientist", key: str = "author") -> tuple[Author, SigningKey]:
    """Give an author, as the paper study names one, with a key."""
    made = signing_key(key)
    return Author(name=name, institution="Institute", signing_key=made.public), made


def party(site: str, keys: str = "") -> Party:
    """Make a hospital; with another word for ``keys`` it has other ones."""
    key, approval = signing_key(f"{site} signs{keys}"), signing_key(f"{site} approves{keys}")
    encryption = encryption_key(f"{site}{keys}")
    member = Member(
        site=site,
        name=f"Hospital {site}",
        signing_key=key.public,
        encryption_key=encryption.public,
        approval_key=approval.public,
        node_key=node_key(f"{site} signs in{keys}").public.decode(),
    )
    return Party(member, key, approval, encryption)


def contract(**changes: Any) -> Contract:
    """Make the contract, with some top-level keys changed."""
    return Contract.model_validate_json(_json({**CONTRACT, **changes}))


def study(**changes: Any) -> Study:
    """Make the study, with some top-level keys changed."""
    return Study.model_validate_json(_json({**STUDY, **changes}))


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value)


def state(seed: int = 1) -> dict[str, np.ndarray]:
    """Draw a state of three tensors: weights, a zero bias and a scalar."""
    random = np.random.default_rng(seed)
    return {
        "layer.weight": random.normal(size=(3, 7)).astype(np.float32),
        "layer.bias": np.zeros(3, dtype=np.float32),
        "slope": np.float32(0.25).reshape(()),
    }


@dataclass(frozen=True)
class Paper:
    """A study with everybody's keys."""

    bundle: Bundle
    key: SigningKey
    parties: dict[str, Party]

    def core(self, purpose: Purpose, number: int, weights: np.ndarray | None = None, plan: SumPlan | None = None) -> TaskCore:
        """Give a task's core as the conductor would make it."""
        if purpose == "statistics":
            return TaskCore(study_hash=self.bundle.study_hash, purpose=purpose, round=number)
        sent = self.bundle.weights if weights is None else weights
        return TaskCore(
            study_hash=self.bundle.study_hash,
            purpose=purpose,
            round=number,
            weights=sha256(to_bytes(sent)),
            encoding=encoding().encoding_digest(),
            plan=plan,
        )


def paper(sites: tuple[str, ...] = SITES, parties: dict[str, Party] | None = None, **changes: Any) -> Paper:
    """Make a bundle for some hospitals; changes are the study's top-level keys."""
    known = parties or {site: party(site) for site in sites}
    key = signing_key("centre")
    roster = Roster(
        coordinator=Coordinator(name="The centre", signing_key=key.public, encryption_key=CENTRE_READS.public),
        silos=tuple(known[site].member for site in sorted(known)),
    )
    tensors = state()
    manifest = manifest_of(tensors)
    bundle = Bundle(
        study=study(**changes),
        contract=contract(),
        roster=roster,
        versions=Versions(protocol=PROTOCOL, packages={"numpy": "2.0.0"}),
        weights=pack(tensors, manifest),
        manifest=manifest,
    )
    return Paper(bundle, key, known)


def encoding(**changes: Any) -> Encoding:
    """Give the encoding of the study's features, mid-range means."""
    schema = contract()
    columns: list[Column] = []
    for name in FEATURES:
        field = schema.field(name)
        if field.values:
            columns.append(CodeColumn(field=name, values=field.values, may_be_missing=not field.required))
        else:
            low, high = bounds(schema, name)
            columns.append(
                NumberColumn(field=name, mean=(low + high) / 2, deviation=(high - low) / 8, may_be_missing=not field.required)
            )
    made = Encoding(
        data_schema=schema.id,
        version=schema.version,
        encoding_hash=schema.encoding_hash(),
        target="disease",
        positive="present",
        columns=tuple(columns),
    )
    return made.model_copy(update=changes)


def scores(positive_bins: list[int], negative_bins: list[int], loss_units: int = 0) -> ScoreCounts:
    """Give score counts of single records in these bins."""
    positives, negatives = [0] * BINS, [0] * BINS
    for each in positive_bins:
        positives[each] += 1
    for each in negative_bins:
        negatives[each] += 1
    return ScoreCounts(positives=tuple(positives), negatives=tuple(negatives), loss_units=loss_units)
