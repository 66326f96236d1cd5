"""A study against a hospital's policy: every reason at once, and none where there is none."""

from __future__ import annotations

import pytest
from studies_on_paper import paper

from silo_node.policy import Policy, parse_policy
from silo_node.porter.policy_check import policy_problems

STUDY = paper(cohort={"where": "pressure > 60"}).bundle
"""Three rounds of 25 weights, 100 bytes, by A. Scientist; features age, pressure and pain, target disease."""

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
        ("authors: [B, A. Scientist]", "authors: [a. scientist]", "G-AUTHOR"),
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
