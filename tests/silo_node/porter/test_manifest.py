"""What exactly may leave is derived from the bundle, and is all that a whole study sends."""

from __future__ import annotations

import numpy as np
from paper_records import real_paper
from studies_on_paper import paper

from silo_node.porter.manifest import egress_manifest
from wardround.messages.confidential import encrypt_arrays
from wardround.weights.packing import to_bytes

BUNDLE = real_paper().bundle


def test_every_tensor_is_named_with_its_bytes():
    """Together they are the change of weights, whose encrypted size is the one that is said."""
    (rounds,) = [visit for visit in egress_manifest(BUNDLE).visits if visit.purpose == "round"]
    assert [(tensor.name, tensor.shape) for tensor in rounds.tensors] == [
        (each.name, each.shape) for each in BUNDLE.manifest.tensors
    ]
    data = to_bytes(np.zeros(BUNDLE.manifest.size, dtype=np.float32))
    assert sum(tensor.bytes for tensor in rounds.tensors) == len(data)
    (encrypted,) = encrypt_arrays((data,)).arrays
    assert rounds.bytes_on_the_wire == len(encrypted)
    assert rounds.times == BUNDLE.study.rounds.maximum


def test_only_numeric_features_have_sums():
    """A coded field leaves nothing of the kind."""
    (statistics,) = [visit for visit in egress_manifest(BUNDLE).visits if visit.purpose == "statistics"]
    (sums,) = [figure for figure in statistics.figures if figure.fields]
    assert sums.fields == ("age", "pressure")
    assert sums.numbers == 3 * 2
    assert statistics.tensors == ()


def test_another_study_has_another_digest():
    """More rounds, another network or feature: what leaves is another thing, and its approval too."""
    changes = ({}, {"rounds": {"maximum": 4, "deadline_seconds": 30.0}}, {"features": ("age", "pain")})
    digests = {egress_manifest(real_paper(**change).bundle).egress_digest() for change in changes}
    wide = real_paper(network={"name": "FullyConnectedNet", "arguments": {"hidden_channels": [5]}})
    assert len(digests | {egress_manifest(wide.bundle).egress_digest()}) == 4
    assert egress_manifest(paper().bundle).egress_digest() == egress_manifest(paper().bundle).egress_digest()


def test_the_releases_are_those_of_all_visits(house):
    """A whole study gives exactly as many results as the manifest says."""
    for purpose, number in (("statistics", 0), ("round", 1), ("round", 2), ("round", 3), ("closing", 3), ("test", 2)):
        house.visit(purpose, number)
    released = [entry["purpose"] for entry in house.entries() if entry["event"] == "release"]
    visits = egress_manifest(house.paper.bundle).visits
    assert released == [visit.purpose for visit in visits for _ in range(visit.times)]
