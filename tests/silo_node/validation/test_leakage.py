"""Features that give the target away, and targets that are not there: found where they are, and nowhere by chance."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from clinic_on_disk import CLINIC, load_contract, make_site, rows
from clinic_study import make_study

from silo_node.cohort import Cohort, assemble
from silo_node.configuration import load_site
from silo_node.local_report.question import Question
from silo_node.validation.check import CheckFailed
from silo_node.validation.leakage import leaks, leaks_of_number
from wardround.contract.model import Contract

HASH = "5" * 64
HEIGHT = 120
FEATURES = {
    "number": {"type": "number", "unit": "1"},
    "count": {"type": "integer", "unit": "1"},
    "code": {"type": "string", "categories": [{"value": value} for value in "abcd"]},
}


@pytest.fixture
def features(tmp_path: Path) -> Contract:
    """Give a contract with one feature of each kind."""
    limits = {"constraints": {"minimum": -1000, "maximum": 1000}}
    own = [{"name": name, **about, **({} if name == "code" else limits)} for name, about in FEATURES.items()]
    key = {"name": "patient", "type": "string", "privacy": "pseudonym", "constraints": {"required": True}}
    outcome = {"name": "outcome", "type": "string", "categories": [{"value": "well"}, {"value": "ill"}]}
    head = {
        "kind": "table",
        "id": "test.features",
        "version": "1.0.0",
        "status": "draft",
        "title": "Features",
        "row_grain": "one",
    }
    keys = {"primaryKey": ["patient"], "patientKey": "patient"}
    return load_contract({**head, **keys, "fields": [key, *own, outcome]}, tmp_path)


def ill(height: int, seed: int = 0, share: float = 0.4) -> np.ndarray:
    return np.random.default_rng(seed).random(height) < share


def found(contract: Contract, classes: np.ndarray, **columns: Any) -> dict[str, bool]:
    """Give the features that leak, and whether each is the target itself."""
    table = pl.DataFrame({**columns, "outcome": np.where(classes, "ill", "well")})
    return {each.field: each.same for each in leaks(table, contract, list(columns), "outcome", "ill")}


def test_the_target_under_another_name(features: Contract) -> None:
    """As a code, as a whole number, as a number."""
    sick = ill(200)
    columns = {"code": np.where(sick, "c", "a"), "count": sick.astype(int) * 3, "number": np.where(sick, -1.5, 2.5)}
    assert found(features, sick, **columns) == {"code": True, "count": True, "number": True}


def test_encodings_of_the_target(features: Contract) -> None:
    """Several values for each class; a threshold; a correlation with little noise; that a value is there at all."""
    sick, random = ill(400), np.random.default_rng(1)
    assert found(features, sick, code=np.where(sick, random.choice(["a", "b"], 400), random.choice(["c", "d"], 400))) == {
        "code": False
    }
    assert found(features, sick, count=random.integers(0, 90, 400) + 100 * sick) == {"count": False}
    assert found(features, sick, number=sick * 100 + random.normal(0, 0.5, 400)) == {"number": False}
    measured = pl.Series(random.normal(0, 1, 400)).set(pl.Series(~sick), None)
    assert found(features, sick, number=measured) == {"number": True}
    many = ill(30_000)
    slips = many ^ (np.arange(30_000) % 4000 == 0)
    assert found(features, many, code=np.where(slips, "a", "b")) == {"code": False}


def test_good_features_do_not_leak(features: Contract) -> None:
    """Strong as they are: a few in a hundred are told wrongly, or a value is missing in one class more than in the other."""
    sick, random = ill(3000), np.random.default_rng(2)
    wrong = sick ^ (random.random(3000) < 0.02)
    number = pl.Series(sick * 4 + random.normal(0, 1, 3000)).set(pl.Series(sick & (random.random(3000) < 0.5)), None)
    assert found(features, sick, code=np.where(wrong, "a", "b"), count=wrong * 1, number=number) == {}
    assert found(features, ill(3000, share=0.0005), code=np.full(3000, "a")) == {}


@pytest.mark.parametrize("height", [4, 12, 20, 30, 40, 60])
def test_small_hospitals_are_no_alarm(features: Contract, height: int) -> None:
    """What tells nothing is not accused at any size, whatever is dealt, though perfect separation is common in few records."""
    random = np.random.default_rng(height)
    for seed in range(150):
        sick = ill(height, seed, 0.2)
        columns = {
            "code": random.choice(list("abcd"), height),
            "count": random.integers(0, 9, height),
            "number": random.normal(0, 1, height),
        }
        assert found(features, sick, **columns) == {}
    few = np.arange(16) < 8
    assert found(features, few, code=np.where(few, "a", "b")) == {}


@pytest.mark.parametrize(("half", "leak"), [(23, {"code": True}), (22, {})])
def test_what_tells_every_class_is_told_from_forty_bits_on(features: Contract, half: int, leak: dict[str, bool]) -> None:
    """46 records, half of them ill, are dealt in 2**42.9 ways, of which two values have four; 44 in 2**40.9."""
    sick = np.arange(2 * half) < half
    assert found(features, sick, code=np.where(sick, "a", "b")) == leak


def leaking(contract: Contract, numbers: np.ndarray, **columns: Any) -> dict[str, bool]:
    """Give the features that leak a number, and whether each is the number itself."""
    table = pl.DataFrame({**columns, "target": numbers})
    return {each.field: each.same for each in leaks_of_number(table, contract, list(columns), "target")}


def test_what_explains_a_number_leaks(features: Contract) -> None:
    """A number on a line with it, in another unit or rounded; a code whose values each stand for one of its numbers."""
    random = np.random.default_rng(4)
    rate = np.rint(random.normal(120, 20, 200))
    steps = random.integers(0, 4, 200)
    assert leaking(features, rate, number=rate, count=np.rint(-rate * 10 + 3)) == {"number": True, "count": False}
    assert leaking(features, steps * 30.0, code=np.array(list("abcd"))[steps]) == {"code": False}


def test_what_tells_a_number_well_does_not_leak(features: Contract) -> None:
    """Strong features do not, few records do not, and values that are the same everywhere do not."""
    random = np.random.default_rng(5)
    rate = random.normal(120, 20, 500)
    steps = random.integers(0, 4, 500)
    columns = {"number": rate + random.normal(0, 2, 500), "count": np.full(500, 7)}
    assert leaking(features, rate, **columns, code=np.array(list("abcd"))[steps]) == {}
    assert leaking(features, rate[:19], number=rate[:19]) == {}
    assert leaking(features, steps[:39] * 30.0, code=np.array(list("abcd"))[steps[:39]]) == {}
    missing = pl.Series(rate).set(pl.Series(random.random(500) < 0.99), None)
    assert leaking(features, rate, number=missing) == {}


def test_a_study_of_a_number_does_not_learn_from_it_either(tmp_path: Path, clinic: Contract) -> None:
    """An error where it is the number in the very same figures; and nothing to learn from one value."""
    asked = {
        "target": {"field": "pulse", "number": True},
        "features": ["radius"],
        "training": {"loss": "mse", "optimiser": {"learning_rate": 0.1}},
        "convergence": {"metric": "r2"},
    }
    study = make_study(tmp_path, **asked)
    told = [(at, name, str(value)) for at in range(HEIGHT) for name, value in (("Puls", 40 + at), ("Radius_cm", (40 + at) / 20))]
    site = make_site(tmp_path, rows(*[(at, name, value.replace(".", ",")) for at, name, value in told], height=HEIGHT))
    outgoing = assemble(site, clinic, study, HASH).outgoing
    assert [(each.code, each.severity, each.field) for each in outgoing.findings if each.code == "T-LEAK"] == [
        ("T-LEAK", "warning", "radius")
    ]
    same = make_site(tmp_path, rows(*[(at, "Puls", "70") for at in range(HEIGHT)], height=HEIGHT))
    with pytest.raises(CheckFailed) as refused:
        assemble(same, clinic, study, HASH)
    assert refused.value.codes == ("T-LABEL",)
    assert "all selected records have the same" in str(refused.value)


def run(folder: Path, contract: Contract, content: str) -> Cohort:
    return assemble(make_site(folder, content), contract, make_study(folder), HASH)


def failed(folder: Path, contract: Contract, content: str) -> tuple[str, ...]:
    with pytest.raises(CheckFailed) as refused:
        run(folder, contract, content)
    assert not refused.value.outgoing.passed
    return refused.value.codes


LEAKING = rows(*[(at, "Puls", ("60", "90")[at % 2]) for at in range(HEIGHT)], height=HEIGHT)
"""The pulse is 60 in the well and 90 in the ill."""


def test_a_study_does_not_learn_from_its_own_target(tmp_path: Path, clinic: Contract) -> None:
    """An error where it is the same; a warning that travels where it only tells, or where the contract says so."""
    assert failed(tmp_path, clinic, LEAKING) == ("T-LEAK",)
    told = rows(*[(at, "Puls", str((60, 120)[at % 2] + at % 50)) for at in range(HEIGHT)], height=HEIGHT)
    outgoing = run(tmp_path, clinic, told).outgoing
    assert [(each.code, each.severity, each.field) for each in outgoing.findings] == [("T-LEAK", "warning", "pulse")]
    assert outgoing.passed
    assert outgoing.findings[0].records is None
    weighed = load_contract({**CLINIC, "checks": [{"code": "T-LEAK", "severity": "warning"}]}, tmp_path)
    assert run(tmp_path, weighed, LEAKING).outgoing.passed


def test_what_the_selected_records_show_stands_in_the_hospitals_own_report(tmp_path: Path, clinic: Contract) -> None:
    """A warning that travels in the outgoing report of a study is seen by the hospital that checks for this study."""
    told = rows(*[(at, "Puls", str((60, 120)[at % 2] + at % 50)) for at in range(HEIGHT)], height=HEIGHT)
    site, study = make_site(tmp_path, told), make_study(tmp_path)
    answer = Question(clinic, study, HASH).answer(site, profiled=True)
    assert [(each.code, each.severity) for each in answer.findings] == [("T-LEAK", "warning")]
    assert answer.outgoing == assemble(site, clinic, study, HASH).outgoing
    assert answer.profiles


def test_a_leak_can_be_explained(tmp_path: Path, clinic: Contract) -> None:
    """What comes up on the selected records is explained as everything else is."""
    site = make_site(tmp_path, LEAKING)
    content = json.loads(site.path.read_text())
    exception = {"code": "T-LEAK", "field": "pulse", "reason": "known_and_accepted", "until": "2999-01-01"}
    content["schemas"]["test.clinic"]["exceptions"] = [exception]
    site.path.write_text(json.dumps(content))
    outgoing = assemble(load_site(site.path), clinic, make_study(tmp_path), HASH).outgoing
    assert [(each.code, each.severity, each.explained) for each in outgoing.findings] == [
        ("T-LEAK", "warning", "known_and_accepted")
    ]


def test_a_target_that_most_records_lack_is_told(tmp_path: Path, clinic: Contract) -> None:
    """A warning above half, an error when nobody has one, another share by the contract."""
    empty = [(at, "Befund", "") for at in range(0, HEIGHT, 2)]
    half = rows(*empty, *[(at, "Befund", "gk"[at // 2 % 2]) for at in range(1, HEIGHT, 2)], height=HEIGHT)
    assert run(tmp_path, clinic, half).outgoing.findings == ()
    more = rows(*empty, (1, "Befund", ""), *[(at, "Befund", "gk"[at // 2 % 2]) for at in range(3, HEIGHT, 2)], height=HEIGHT)
    assert [(each.code, each.severity) for each in run(tmp_path, clinic, more).outgoing.findings] == [("T-LABELMISS", "warning")]
    settings = [{"code": "T-LABELMISS", "fields": ["outcome"], "max_fraction": 0.4, "severity": "error"}]
    strict = load_contract({**CLINIC, "checks": settings}, tmp_path)
    assert failed(tmp_path, strict, half) == ("T-LABELMISS",)
    none = rows(*[(at, "Befund", "") for at in range(HEIGHT)], height=HEIGHT)
    assert failed(tmp_path, clinic, none) == ("T-LABELMISS",)
