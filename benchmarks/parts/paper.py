"""A study of any size without records: real keys and signatures, made-up weights, and hospitals that know their answers.

A reply's change is the same draw for every hospital and round, scaled: no two parts of any two replies are alike (Flower
would store them once), and the driver of a benchmark can add them up itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from wardround import PROTOCOL
from wardround.contract.model import Contract
from wardround.identity.encryption import EncryptionKey
from wardround.identity.keys import SigningKey
from wardround.identity.roster import Coordinator, Member, Roster
from wardround.identity.tls import KeyPair, make_node_key
from wardround.messages.confidential import encrypted_for
from wardround.messages.data_report import make_report
from wardround.messages.envelope import Envelope, digests, seal
from wardround.messages.round import Evaluation, EvaluationResult, FieldSums, Reply, Result, RoundResult, StatisticsResult, Task
from wardround.metrics.pooled import BINS, ScoreCounts
from wardround.study.bundle import Bundle, Versions
from wardround.study.model import Study
from wardround.weights.fixed_point import STATISTICS_STEPS
from wardround.weights.packing import Manifest, Tensor, Vector, to_bytes

TENSORS = 25
RECORDS, VALIDATION = 600, 40
SEED = 20_240_131
DEADLINE_SECONDS = 1800.0
HALF = STATISTICS_STEPS // 2
CONTRACT = {
    "kind": "table",
    "id": "benchmark.paper",
    "version": "1.0.0",
    "status": "draft",
    "title": "Made up",
    "row_grain": "one row per stay",
    "primaryKey": ["stay_key"],
    "patientKey": "patient_key",
    "fields": [
        {"name": "stay_key", "type": "string", "privacy": "pseudonym", "constraints": {"required": True}},
        {"name": "patient_key", "type": "string", "privacy": "pseudonym", "constraints": {"required": True}},
        {"name": "age", "type": "integer", "unit": "a", "constraints": {"required": True, "minimum": 0, "maximum": 120}},
        {
            "name": "label",
            "type": "string",
            "constraints": {"required": True},
            "categories": [{"value": "no"}, {"value": "yes"}],
        },
    ],
}


@dataclass(frozen=True)
class Hospital:
    """A hospital of paper, with its private keys."""

    site: str
    key: SigningKey
    approval: SigningKey
    encryption: EncryptionKey
    node: KeyPair

    @classmethod
    def make(cls, site: str) -> Hospital:
        """Make its keys."""
        return cls(site, SigningKey.generate(), SigningKey.generate(), EncryptionKey.generate(), make_node_key())

    @property
    def member(self) -> Member:
        """Its entry on the roster."""
        return Member(
            site=self.site,
            name=f"Hospital {self.site}",
            signing_key=self.key.public,
            encryption_key=self.encryption.public,
            approval_key=self.approval.public,
            node_key=self.node.public.decode(),
        )


@dataclass(frozen=True)
class Paper:
    """A study with everybody's keys; ``draw`` is what every change is a multiple of."""

    bundle: Bundle
    key: SigningKey
    encryption: EncryptionKey
    hospitals: dict[str, Hospital]
    draw: Vector

    def change(self, site: str, round_number: int) -> Vector:
        """Give a hospital's change of weights in a round."""
        scale = 1 + list(self.hospitals).index(site) / 1024 + round_number / 16
        return self.draw * np.float32(scale)

    def reply(self, site: str, task: Task) -> Envelope:
        """Answer a task."""
        arrays = (to_bytes(self.change(site, task.core.round)),) if task.core.purpose == "round" else ()
        reply = Reply(
            site=site,
            study_hash=task.study_hash,
            task_id=task.task_id,
            approval="a" * 64,
            ledger="b" * 64,
            records=RECORDS,
            result=self._result(task),
            share_metrics="consortium",
            bodies=digests(arrays),
        )
        return encrypted_for(seal("reply", reply, self.hospitals[site].key, arrays), self.encryption.public)

    def _result(self, task: Task) -> Result:
        if task.core.purpose == "statistics":
            sums = (FieldSums(field="age", records=RECORDS, total=str(RECORDS * HALF), squares=str(RECORDS * HALF**2)),)
            found = RECORDS + VALIDATION
            report = make_report(self.bundle.contract, found=found, quarantined=0, passed=True, findings=(), small_cell=1)
            return StatisticsResult(validation=VALIDATION, test=0, sums=sums, report=report)
        half = VALIDATION // 2
        positives, negatives = [0] * BINS, [0] * BINS
        positives[150], negatives[100] = half, VALIDATION - half
        losing = VALIDATION * ((900 - task.core.round) << 10)
        evaluation = Evaluation(counts=ScoreCounts(positives=tuple(positives), negatives=tuple(negatives), loss_units=losing))
        if task.core.purpose == "round":
            return RoundResult(evaluation=evaluation, training_loss_units=1 << 19)
        return EvaluationResult(purpose=task.core.purpose, evaluation=evaluation)


def make_paper(hospitals: int, megabytes: float, rounds: int) -> Paper:
    """Make a study with a model of so many MB (10^6 bytes)."""
    random = np.random.default_rng(SEED)
    size = int(megabytes * 1e6) // 4 // TENSORS
    manifest = Manifest(tensors=tuple(Tensor(name=f"layer.{number:02}", shape=(size,)) for number in range(TENSORS)))
    known = {site: Hospital.make(site) for site in (f"h{number:03}" for number in range(hospitals))}
    key, encryption = SigningKey.generate(), EncryptionKey.generate()
    bundle = Bundle(
        study=_study(rounds, hospitals),
        contract=Contract.model_validate_json(json.dumps(CONTRACT)),
        roster=Roster(
            coordinator=Coordinator(name="The centre", signing_key=key.public, encryption_key=encryption.public),
            silos=tuple(hospital.member for hospital in known.values()),
        ),
        versions=Versions(protocol=PROTOCOL, packages={"numpy": np.__version__}),
        weights=random.standard_normal(manifest.size, dtype=np.float32),
        manifest=manifest,
    )
    return Paper(bundle, key, encryption, known, np.float32(0.01) * random.standard_normal(manifest.size, dtype=np.float32))


def _study(rounds: int, hospitals: int) -> Study:
    study = {
        "name": "benchmark",
        "version": "1.0.0",
        "title": "Benchmark",
        "question": "How much does it take?",
        "author": "benchmarks",
        "schema": {"id": CONTRACT["id"], "version": CONTRACT["version"]},
        "target": {"field": "label", "positive": "yes"},
        "features": ["age"],
        "network": {"name": "FullyConnectedNet", "arguments": {"hidden_channels": [4]}},
        "training": {"optimiser": {"learning_rate": 0.1}},
        "seed": SEED,
        "split": {"train": 0.9, "validation": 0.1, "test": 0},
        "rounds": {"maximum": rounds, "deadline_seconds": DEADLINE_SECONDS, "retries": 0},
        "convergence": {"patience": rounds},
        "silos": {"minimum": hospitals},
    }
    return Study.model_validate_json(json.dumps(study))
