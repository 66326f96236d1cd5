"""Whatever changes in a bundle changes its hash and is named."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from paper_records import SITES, real_paper
from studies_on_paper import paper

from wardround.canonical import model_json
from wardround.study.difference import differences
from wardround.study.model import Study

BUNDLE = real_paper().bundle


def leaves(value, path=()):
    """Every place in a JSON document that has no places of its own."""
    if isinstance(value, dict) and value:
        for name, part in value.items():
            yield from leaves(part, (*path, name))
    else:
        yield path


def at(document, path):
    for name in path:
        document = document[name]
    return document


OTHER = {
    "version": "1.0.1",
    "schema.version": "1.0.1",
    "schema.id": "test.kidney",
    "cohort.where": "age >= 40",
    "target.field": "record_id",
    "features": ["age", "pain"],
    "network.name": "FullConnectedNet",
    "network.arguments.hidden_channels": [4],
    "training.loss": None,
    "training.optimiser.name": "adam",
    "training.batch_size": 16,
    "split.train": 0.6,
    "strategy": None,
    "statistics.distributions": True,
    "rounds.maximum_change_norm": 2.5,
    "convergence.metric": "auroc",
    "silos.required": ["alpha"],
    "silos.max_weight_share": 0.5,
}
"""Other values where adding to the present one gives none that is allowed; None: there is only one value by now."""


def another(name, value):
    if name in OTHER:
        return OTHER[name]
    return f"{value} indeed" if isinstance(value, str) and name not in ("name", "target.positive") else another_plain(value)


def another_plain(value):
    return f"{value}-b" if isinstance(value, str) else value + (1 if isinstance(value, int) else 0.01)


def changed(path):
    """The bundle with another value at one place of its study; what must add up to one is made to."""
    document = model_json(BUNDLE.study)
    at(document, path[:-1])[path[-1]] = another(".".join(path), at(document, path))
    if path[0] == "split":
        rest = "validation" if path[1] != "validation" else "test"
        document["split"][rest] = round(1 - sum(share for part, share in document["split"].items() if part != rest), 9)
    return replace(BUNDLE, study=Study.model_validate_json(json.dumps(document)))


PLACES = [path for path in leaves(model_json(BUNDLE.study)) if OTHER.get(".".join(path), "") is not None]


@pytest.mark.parametrize("path", PLACES, ids=".".join)
def test_every_setting_of_a_study_is_in_its_hash_and_named(path):
    """A new setting is tested by itself: the places are those of the model."""
    after = changed(path)
    assert after.study_hash != BUNDLE.study_hash
    found = differences(BUNDLE, after)
    named = {each.place for each in found}
    assert f"study.{'.'.join(path)}" in named
    assert named <= {f"study.{'.'.join(path)}", "study.split.validation", "study.split.test"}
    (there,) = [each for each in found if each.place == f"study.{'.'.join(path)}"]
    assert (there.change, there.before, there.after) == (
        "changed",
        at(model_json(BUNDLE.study), path),
        at(model_json(after.study), path),
    )


def test_the_same_bundle_has_none():
    """Read again or made again."""
    assert differences(BUNDLE, BUNDLE) == []
    assert differences(BUNDLE, replace(BUNDLE, weights=BUNDLE.weights.copy())) == []


def test_one_weight_is_named():
    """By the digest of all."""
    weights = BUNDLE.weights.copy()
    weights[0] = np.nextafter(weights[0], 1, dtype=np.float32)
    (found,) = differences(BUNDLE, replace(BUNDLE, weights=weights))
    assert (found.place, found.change) == ("initial_weights", "changed")


def test_hospitals_and_their_keys_are_named():
    """One more, one less, and one whose keys are others."""
    other = paper((*SITES[:-1], "west")).bundle.roster
    alpha, *rest = other.silos
    other = other.model_copy(update={"silos": (alpha.model_copy(update={"signing_key": "0" * 64}), *rest)})
    found = {each.place: each.change for each in differences(BUNDLE, replace(BUNDLE, roster=other))}
    assert (found["roster.silos.north"], found["roster.silos.west"]) == ("removed", "added")
    assert found["roster.silos.alpha.signing_key"] == "changed"


def test_fields_of_the_schema_are_named_by_their_names():
    """Whether a field's limits, its unit, its place or the field itself changed."""
    contract = BUNDLE.contract
    age = next(field for field in contract.fields if field.name == "age")
    rest = tuple(field for field in contract.fields if field.name != "age")
    older = age.model_copy(update={"constraints": age.constraints.model_copy(update={"maximum": 119})})
    for fields, place, change in (
        ((*rest, older), "contract.fields.age.constraints.maximum", "changed"),
        (rest, "contract.fields.age", "removed"),
        ((*rest, age), "contract.fields", "changed"),
    ):
        found = differences(BUNDLE, replace(BUNDLE, contract=contract.model_copy(update={"fields": fields})))
        assert (found[0].place, found[0].change) == (place, change)


def test_other_packages_are_said_though_the_study_is_the_same():
    """They made the bundle, and are what it was tried with."""
    versions = BUNDLE.versions.model_copy(update={"packages": {**BUNDLE.versions.packages, "torch": "2.12.0"}})
    after = replace(BUNDLE, versions=versions)
    assert after.study_hash == BUNDLE.study_hash
    assert [each.place for each in differences(BUNDLE, after)] == ["packages.torch"]


def test_a_number_is_not_a_truth():
    """JSON's true and 1 are equal to Python only."""
    network = BUNDLE.study.network
    one, true = (network.model_copy(update={"arguments": {**network.arguments, "bias": value}}) for value in (1, True))
    before, after = (replace(BUNDLE, study=BUNDLE.study.model_copy(update={"network": each})) for each in (one, true))
    assert [each.place for each in differences(before, after)] == ["study.network.arguments.bias"]
