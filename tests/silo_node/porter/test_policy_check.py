"""A study against a hospital's policy: every reason at once, and none where there is none."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from studies_on_paper import author, paper

from silo_node.policy import Policy, parse_policy
from silo_node.porter.policy_check import policy_problems, schema_differences
from wardround.canonical import model_json
from wardround.contract.library import find, find_imaging
from wardround.contract.model import Contract
from wardround.errors import Refused
from wardround.strict_yaml import parse, parse_text
from wardround.study.model import Study

UNSIGNED = paper(cohort={"where": "pressure > 60"}).bundle
STUDY = UNSIGNED.signed(*author())
"""Three rounds of 25 weights, 100 bytes, signed by A. Scientist; features age, pressure and pain, target disease."""

RADIOGRAPHS = """
name: test-radiographs
version: 1.0.0
title: Edema
question: Is there fluid?
author: A. Scientist
schema: {id: chest.radiograph, version: 1.0.0}
target: {field: oedema, positive: present}
images:
  channels: 1
  preparation: [{name: Resize, spatial_size: [32, 32]}]
  window: [32, 32]
network: {name: DenseNet121}
training: {optimiser: {name: adam, learning_rate: 0.001}, local_epochs: 1, batch_size: 4}
seed: 1
split: {train: 0.6, validation: 0.2, test: 0.2}
rounds: {maximum: 2}
convergence: {patience: 2}
silos: {minimum: 1}
"""

IMAGES = replace(
    STUDY,
    study=parse(Study, parse_text(RADIOGRAPHS, "study.yaml")),
    contract=find("chest.findings"),
    imaging=find_imaging("chest.radiograph"),
)
"""Of radiographs: its fields are those of the table that the schema of images names."""

AUTHOR = author()[0].fingerprint
FINGERPRINT = STUDY.roster.coordinator.fingerprint


def codes(text: str) -> list[str]:
    return [problem.code for problem in policy_problems(STUDY, parse_policy(text))]


def test_the_default_allows_what_a_person_will_be_asked():
    """Nothing is limited that the hospital did not limit."""
    assert policy_problems(STUDY, Policy()) == []


@pytest.mark.parametrize(
    ("allows", "refuses", "code"),
    [
        (f'coordinators: ["{FINGERPRINT}"]', 'coordinators: ["12345 12345 12345 12345 12345 12345"]', "G-COORDINATOR"),
        (f'coordinators: ["{FINGERPRINT}"]', "coordinators: []", "G-COORDINATOR"),
        (f'authors: ["{AUTHOR}"]', 'authors: ["12345 12345 12345 12345 12345 12345"]', "G-AUTHOR"),
        (f'authors: ["{AUTHOR}"]', f'authors: ["{FINGERPRINT}"]', "G-AUTHOR"),
        ("networks: {FullyConnectedNet: {}}", "networks: {}", "G-NETWORK"),
        (
            "networks: {FullyConnectedNet: {maximum_weights: 25}}",
            "networks: {FullyConnectedNet: {maximum_weights: 24}}",
            "G-SIZE",
        ),
        ("strategies: [fedavg]", "strategies: []", "G-STRATEGY"),
        ("never_fields: {test.heart: [record_id]}", "never_fields: {test.heart: [age]}", "G-FIELD"),
        ("never_fields: {test.other: [disease]}", "never_fields: {test.heart: [disease]}", "G-FIELD"),
        ("maximum_rounds: 3", "maximum_rounds: 2", "G-ROUNDS"),
        ("required_privacy: {secure_sum: false}", "required_privacy: {secure_sum: true}", "G-PRIVACY"),
        (
            "required_privacy: {differential_privacy: null}",
            "required_privacy: {differential_privacy: {epsilon: 100.0, delta: 0.1}}",
            "G-PRIVACY",
        ),
    ],
)
def test_each_setting_allows_and_refuses(allows: str, refuses: str, code: str) -> None:
    """Each setting refuses what is beyond it, by its own code, and nothing at its limit."""
    assert codes(allows) == []
    assert codes(refuses) == [code]


def test_the_bytes_of_all_rounds_count():
    """What may leave in all is what the study may send: rounds by the size of a change."""
    large = paper(rounds={"maximum": 41, "deadline_seconds": 30.0, "retries": 1}).bundle
    policy = parse_policy("maximum_bytes: 4 KiB")
    assert 40 * large.manifest.byte_count <= 4096 < 41 * large.manifest.byte_count
    assert [problem.code for problem in policy_problems(large, policy)] == ["G-BYTES"]
    assert policy_problems(STUDY, policy) == []


def test_a_field_of_the_cohort_rule_is_used():
    """A field that only chooses the records is used, too."""
    only_rule = paper(features=["age", "pain"], cohort={"where": "pressure > 60"}).bundle
    policy = parse_policy("never_fields: {test.heart: [pressure]}")
    (problem,) = policy_problems(only_rule, policy)
    assert (problem.code, "pressure" in problem.finding) == ("G-FIELD", True)


def test_a_misspelt_field_protects_nothing_and_is_said():
    """A name that the schema does not have is refused with the nearest one, instead of silently protecting nothing."""
    (problem,) = policy_problems(STUDY, parse_policy("never_fields: {test.heart: [presure]}"))
    assert problem.code == "G-FIELD"
    assert "'pressure'" in problem.next_step


@pytest.mark.parametrize("schema", ["chest.findings", "chest.radiograph"])
def test_fields_of_images_are_shut_under_either_name(schema: str) -> None:
    """The table's fields are what a study of images uses, whichever of the two schemas the policy lists them under."""
    assert [each.code for each in policy_problems(IMAGES, parse_policy(f"never_fields: {{{schema}: [oedema]}}"))] == ["G-FIELD"]
    assert policy_problems(IMAGES, parse_policy(f"never_fields: {{{schema}: [age]}}")) == []
    (unknown,) = policy_problems(IMAGES, parse_policy(f"never_fields: {{{schema}: [oedem]}}"))
    assert unknown.code == "G-FIELD"
    assert "'oedema'" in unknown.next_step


def test_every_reason_at_once():
    """The hospital sees all of it, with place, rule, finding and next step."""
    text = """
coordinators: []
authors: []
networks: {FullyConnectedNet: {maximum_weights: 1}}
strategies: []
never_fields: {test.heart: [age, disease]}
required_privacy: {secure_sum: true, differential_privacy: {epsilon: 1.0, delta: 0.001}}
maximum_rounds: 1
"""
    problems = policy_problems(STUDY, parse_policy(text))
    assert [problem.code for problem in problems] == [
        "G-COORDINATOR",
        "G-AUTHOR",
        "G-SIZE",
        "G-STRATEGY",
        "G-FIELD",
        "G-FIELD",
        "G-PRIVACY",
        "G-PRIVACY",
        "G-ROUNDS",
    ]
    assert all(problem.place.startswith("policy.yaml, ") for problem in problems)
    assert FINGERPRINT in problems[0].finding, "what to write into the policy, if it is to be allowed"


def test_a_name_is_no_author():
    """A namesake with a key of their own, and a study that nobody signed, are not the author whom the policy lists."""
    policy = parse_policy(f'authors: ["{AUTHOR}"]')
    for bundle, finding in ((UNSIGNED.signed(*author(key="a namesake")), "fingerprint"), (UNSIGNED, "nobody")):
        (problem,) = policy_problems(bundle, policy)
        assert (problem.code, finding in problem.finding) == ("G-AUTHOR", True)
    assert policy_problems(UNSIGNED, Policy()) == [], "without a list, a person decides"
    with pytest.raises(Refused) as refused:
        parse_policy("authors: [A. Scientist]")
    assert refused.value.codes == ("Y-VALUE",), "a list of names from an older release allows nobody"


def narrowed(version: str = "1.0.0") -> Contract:
    """Give an installed schema with another range."""
    text = model_json(find("breast.cytology"))
    (field,) = [each for each in text["fields"] if each["name"] == "radius_mean"]
    field["constraints"]["maximum"] = 15.0
    return Contract.model_validate_json(json.dumps({**text, "version": version}))


def test_a_schema_is_the_installed_one_of_its_name():
    """Another content under a name that the hospital knows is refused, always; where it differs is said."""
    known, other = replace(STUDY, contract=find("breast.cytology")), replace(STUDY, contract=narrowed())
    assert policy_problems(known, Policy()) == []
    (problem,) = policy_problems(other, Policy())
    assert problem.code == "G-SCHEMA"
    assert "contract.fields.radius_mean.constraints.maximum" in problem.finding
    assert schema_differences(known.contract) == []
    assert [each.after for each in schema_differences(other.contract)] == [15.0]
    assert schema_differences(STUDY.contract) is None, "none of its name is installed"
    assert schema_differences(narrowed("9.0.0")) is None, "nor of its version"


def test_another_schema_is_allowed_by_its_hash_alone():
    """The hospital names exactly the content that it looked at."""
    other = replace(STUDY, contract=narrowed())
    allowed = parse_policy(f'other_schemas: ["{other.contract.contract_hash()}"]')
    assert policy_problems(other, allowed) == []
    assert [each.code for each in policy_problems(other, parse_policy(f"other_schemas: ['{'0' * 64}']"))] == ["G-SCHEMA"]


def test_schemas_and_networks_of_images_are_held_to_like_those_of_tables():
    """Another content under the name of an installed schema of images is said, and allowed by its own hash alone."""
    assert policy_problems(IMAGES, Policy()) == []
    assert IMAGES.imaging is not None
    other = replace(IMAGES, imaging=IMAGES.imaging.model_copy(update={"title": "Radiographs of our own"}))
    (problem,) = policy_problems(other, Policy())
    assert (problem.code, "title" in problem.finding) == ("G-SCHEMA", True)
    assert other.imaging is not None
    for schema, found in ((other.imaging, []), (other.contract, ["G-SCHEMA"])):
        policy = parse_policy(f'other_schemas: ["{schema.contract_hash()}"]')
        assert [each.code for each in policy_problems(other, policy)] == found
    assert [each.code for each in policy_problems(IMAGES, parse_policy("networks: {UNet: {}}"))] == ["G-NETWORK"]
    assert policy_problems(IMAGES, parse_policy("networks: {DenseNet121: {}}")) == []
