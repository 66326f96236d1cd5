from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from clinic_on_disk import CLINIC, SMALL_CELL, load_contract, make_site, rows
from clinic_study import make_study
from hypothesis import given
from hypothesis import strategies as st

from silo_node.cohort import Cohort, assemble, fingerprint, split
from silo_node.validation.check import CheckFailed
from wardround.contract.model import Contract
from wardround.errors import Refused
from wardround.study.model import Split

HASH = hashlib.sha256(b"a study").hexdigest()
HEIGHT = 120


def run(folder: Path, contract: Contract, content: str | None = None, *, study_hash: str = HASH, **changed: Any) -> Cohort:
    site = make_site(folder, rows(height=HEIGHT) if content is None else content)
    return assemble(site, contract, make_study(folder, **changed), study_hash)


def failed(folder: Path, contract: Contract, content: str, **changed: Any) -> tuple[str, ...]:
    with pytest.raises(CheckFailed) as refused:
        run(folder, contract, content, **changed)
    assert not refused.value.outgoing.passed
    assert {each.code for each in refused.value.outgoing.findings} >= set(refused.value.codes)
    assert refused.value.exit_status == 1
    return refused.value.codes


def _all(cohort: Cohort) -> pl.DataFrame:
    return pl.concat([cohort.train, cohort.validation, cohort.test])


def test_the_parts_hold_what_the_study_declares(tmp_path: Path, clinic: Contract) -> None:
    """Keys, features and target, nothing else; every record in one part; about the shares that were asked for."""
    cohort = run(tmp_path, clinic)
    assert cohort.train.columns == ["patient_key", "visit", "pulse", "radius", "outcome"]
    assert _all(cohort)["patient_key"].n_unique() == HEIGHT
    counts = cohort.counts
    assert (counts.found, counts.quarantined, counts.not_selected, counts.without_target) == (HEIGHT, 0, 0, 0)
    assert counts.train + counts.validation + counts.test == HEIGHT
    assert 0.55 < counts.train / HEIGHT < 0.85
    assert cohort.outgoing.passed


def test_the_split_is_the_one_that_the_design_fixes(tmp_path: Path, clinic: Contract) -> None:
    """HMAC-SHA-256 of the patient key under the study's hash, first eight bytes against the cumulative shares."""
    cohort = run(tmp_path, clinic, split={"train": 0.5, "validation": 0.25, "test": 0.25})
    for part, low, high in ((cohort.train, 0.0, 0.5), (cohort.validation, 0.5, 0.75), (cohort.test, 0.75, 1.0)):
        for patient in part["patient_key"]:
            digest = hmac.new(bytes.fromhex(HASH), patient.encode(), hashlib.sha256).digest()
            assert low <= int.from_bytes(digest[:8], "big") / 2**64 < high


def test_the_order_of_rows_changes_nothing(tmp_path: Path, clinic: Contract) -> None:
    """A re-export in another order gives the same parts in the same order, and the same fingerprint."""
    header, *lines = rows(height=HEIGHT).splitlines()
    first = run(tmp_path, clinic)
    again = run(tmp_path, clinic, "\n".join([header, *reversed(lines)]) + "\n")
    assert again.fingerprint == first.fingerprint
    for one, other in ((first.train, again.train), (first.validation, again.validation), (first.test, again.test)):
        assert one.equals(other)


def test_another_record_or_study_moves_nobody_else(tmp_path: Path, clinic: Contract) -> None:
    """A patient's side depends on the patient and the study alone, and another study deals anew."""
    first = run(tmp_path, clinic)
    fewer = run(tmp_path, clinic, rows(height=HEIGHT - 20))
    assert set(fewer.train["patient_key"]) <= set(first.train["patient_key"])
    other = run(tmp_path, clinic, study_hash=hashlib.sha256(b"another").hexdigest())
    assert set(other.train["patient_key"]) != set(first.train["patient_key"])
    assert other.fingerprint != first.fingerprint


@given(
    patients=st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=30),
    shares=st.sampled_from([(0.7, 0.15, 0.15), (0.5, 0.5, 0.0), (0.34, 0.33, 0.33), (0.1, 0.2, 0.7)]),
)
def test_a_patient_is_on_one_side(tmp_path_factory: Any, patients: list[str], shares: tuple[float, float, float]) -> None:
    """All records of a patient stay together, none is lost, and a share of zero gets nobody."""
    from clinic_on_disk import CLINIC, load_contract

    contract = load_contract(CLINIC, tmp_path_factory.getbasetemp())
    records = pl.DataFrame(
        {"patient_key": patients, "visit": range(len(patients))}, schema={"patient_key": pl.String, "visit": pl.Int64}
    )
    parts = split(records, contract, Split(train=shares[0], validation=shares[1], test=shares[2]), HASH)
    sides = [set(part["patient_key"]) for part in parts]
    assert sum(len(side) for side in sides) == len(set(patients))
    assert sorted(visit for part in parts for visit in part["visit"]) == list(range(len(patients)))
    assert shares[2] > 0 or parts[2].is_empty()


def test_a_contract_may_call_its_patients_what_it_likes(tmp_path: Path) -> None:
    """No name of a field is one that the split uses itself."""
    from clinic_on_disk import CLINIC, COLUMNS, load_contract

    content = json.loads(json.dumps(CLINIC).replace('"patient_key"', '"patient"'))
    columns = {name.replace("patient_key", "patient"): column for name, column in COLUMNS.items()}
    site = make_site(tmp_path, rows(height=HEIGHT), columns=columns)
    cohort = assemble(site, load_contract(content, tmp_path), make_study(tmp_path), HASH)
    assert cohort.counts.train + cohort.counts.validation + cohort.counts.test == HEIGHT
    assert "patient" in cohort.train.columns


def test_bad_records_are_set_aside_up_to_the_studys_limit(tmp_path: Path, clinic: Contract) -> None:
    """Within the limit they are missing from the cohort; beyond it the hospital does not take part."""
    content = rows((3, "Puls", "x"), (4, "Puls", "999"), height=HEIGHT)
    cohort = run(tmp_path, clinic, content, quarantine={"max_fraction": 0.02})
    assert cohort.counts.quarantined == 2
    assert {"P3", "P4"}.isdisjoint(_all(cohort)["patient_key"])
    assert failed(tmp_path, clinic, content, quarantine={"max_fraction": 0.01})[-1] == "T-QUARANTINE"


def test_other_fields_may_be_as_bad_as_they_like(tmp_path: Path, clinic: Contract) -> None:
    """A study is not stopped by what it does not read."""
    content = rows(*[(at, "Geschlecht", "?") for at in range(HEIGHT)], height=HEIGHT)
    assert run(tmp_path, clinic, content).counts.quarantined == 0


def test_the_cohort_rule_selects_what_is_certainly_true(tmp_path: Path, clinic: Contract) -> None:
    """A record for which the rule is false or unknown is not selected."""
    content = rows((70, "Glu", ""), height=HEIGHT)
    cohort = run(tmp_path, clinic, content, cohort={"where": "pulse < 170 and glucose > 9"})
    kept = {f"P{at}" for at in range(110) if (100 + at) * 0.0555 > 9} - {"P70"}
    assert set(_all(cohort)["patient_key"]) == kept
    assert cohort.counts.not_selected == HEIGHT - len(kept)


def test_records_without_a_target_teach_nothing(tmp_path: Path, clinic: Contract) -> None:
    """They are left out and counted."""
    cohort = run(tmp_path, clinic, rows((0, "Befund", ""), (5, "Befund", ""), height=HEIGHT))
    assert cohort.counts.without_target == 2
    assert {"P0", "P5"}.isdisjoint(_all(cohort)["patient_key"])


LABELS = {"labels": [{"field": "outcome", "positive": "ill"}, {"field": "sex", "positive": "male"}]}


def several(folder: Path, *changed: tuple[int, str, str], leaky: bool = False, **asked: Any) -> Cohort:
    """Give a cohort of two labels, either of which may be missing; without ``leaky`` no feature tells one of them."""
    fields = [{**each, "constraints": {}} if each["name"] == "sex" else each for each in CLINIC["fields"]]
    apart = [] if leaky else [(at, "Geschlecht", "WM"[at // 2 % 2]) for at in range(HEIGHT)]
    site = make_site(folder, rows(*apart, *changed, height=HEIGHT))
    study = make_study(folder, **{"target": LABELS, **asked})
    return assemble(site, load_contract({**CLINIC, "fields": fields}, folder), study, HASH)


def test_a_record_with_one_label_at_least_stays(tmp_path: Path) -> None:
    """What is missing is left out of loss and counts later; a record without any label teaches nothing."""
    cohort = several(tmp_path, (0, "Befund", ""), (5, "Geschlecht", ""), (7, "Befund", ""), (7, "Geschlecht", ""))
    kept = set(_all(cohort)["patient_key"])
    assert "P7" not in kept
    assert {"P0", "P5"} <= set(_all(several(tmp_path))["patient_key"])
    in_training = {"P0", "P5"} & set(cohort.train["patient_key"])
    assert kept == {f"P{at}" for at in range(HEIGHT)} - {"P7"} - ({"P0", "P5"} - in_training)
    assert cohort.counts.without_target == 1 + 2 - len(in_training)
    assert several(tmp_path).fingerprint != cohort.fingerprint


def test_a_label_is_missing_in_none_or_in_many_of_those_that_are_evaluated(tmp_path: Path) -> None:
    """How many have it and have it not is told, so how many lack it follows: the few who do are left out. They train."""
    full = several(tmp_path, split={"train": 0.4, "validation": 0.3, "test": 0.3})
    validation, train = full.validation["patient_key"].to_list(), full.train["patient_key"].to_list()
    many, few = [int(key[1:]) for key in validation[:9]], [int(key[1:]) for key in (*validation[9:11], *train[:2])]
    missing = [*((at, "Befund", "") for at in many), *((at, "Geschlecht", "") for at in few)]
    cohort = several(tmp_path, *missing, split={"train": 0.4, "validation": 0.3, "test": 0.3})
    assert cohort.validation.height == full.validation.height - 2
    assert (cohort.validation["outcome"].null_count(), cohort.validation["sex"].null_count()) == (9, 0)
    assert cohort.train["sex"].null_count() == 2
    assert cohort.test.equals(full.test)
    # who lacks both labels of which few lack one leaves the other with few as well: it is looked at again
    chain = [*((at, "Befund", "") for at in many[:4]), *((at, "Geschlecht", "") for at in (*many[:1], *few[:1]))]
    again = several(tmp_path, *chain, split={"train": 0.4, "validation": 0.3, "test": 0.3})
    nulls = again.validation["outcome"].null_count(), again.validation["sex"].null_count()
    assert all(each == 0 or each >= SMALL_CELL for each in nulls)


def test_a_label_of_a_single_class_is_told_and_the_others_are_learned(tmp_path: Path) -> None:
    """T-LABEL as a warning, of that label; refused only where no label has anything to tell."""
    only = [(at, "Befund", "g") for at in range(HEIGHT)]
    cohort = several(tmp_path, *only)
    (found,) = [each for each in cohort.report.findings if each.code == "T-LABEL"]
    assert (found.severity, found.field) == ("warning", "outcome")
    (told,) = [each for each in cohort.outgoing.findings if each.code == "T-LABEL"]
    assert told.records is None
    with pytest.raises(CheckFailed) as refused:
        several(tmp_path, *only, *((at, "Geschlecht", "W") for at in range(HEIGHT)))
    assert refused.value.codes == ("T-LABEL",)


def test_a_label_that_most_records_lack_is_told(tmp_path: Path) -> None:
    """T-LABELMISS of the label that it is; the records stay for the other one."""
    cohort = several(tmp_path, *((at, "Befund", "") for at in range(2 * HEIGHT // 3)))
    found = [(each.severity, each.field, each.count) for each in cohort.report.findings if each.code == "T-LABELMISS"]
    assert found == [("warning", "outcome", 2 * HEIGHT // 3)]
    assert cohort.counts.without_target == 0


def test_a_hospital_that_never_looks_for_a_label_may_take_part(tmp_path: Path) -> None:
    """Where its schema lets the field be empty: it is told so, once, and teaches the other one."""
    fields = [
        {**each, "missing": {"max_fraction": 1.0}, "constraints": {}} if each["name"] == "sex" else each
        for each in CLINIC["fields"]
    ]
    site = make_site(tmp_path, rows(*((at, "Geschlecht", "") for at in range(HEIGHT)), height=HEIGHT))
    contract = load_contract({**CLINIC, "fields": fields}, tmp_path)
    cohort = assemble(site, contract, make_study(tmp_path, target=LABELS), HASH)
    assert [(each.code, each.severity, each.field) for each in cohort.report.findings if each.code.startswith("T-LABEL")] == [
        ("T-LABELMISS", "warning", "sex")
    ]
    assert cohort.counts.without_target == 0


def test_a_feature_that_gives_one_of_several_labels_away_is_told(tmp_path: Path) -> None:
    """T-LEAK, against each label by itself, over the records that have it."""
    high = [(at, "Puls", str(100 + at // 2 if at % 2 else 40 + at // 4)) for at in range(HEIGHT)]
    cohort = several(tmp_path, *high, (0, "Befund", ""))
    found = [(each.severity, each.field, each.expectation) for each in cohort.report.findings if each.code == "T-LEAK"]
    assert found == [("warning", "pulse", "pulse does not give outcome away")]
    both = several(tmp_path, *high, leaky=True)
    assert [each.expectation for each in both.report.findings if each.code == "T-LEAK"] == [
        "pulse does not give outcome away",
        "pulse does not give sex away",
    ]


def test_a_single_class_is_refused(tmp_path: Path, clinic: Contract) -> None:
    """T-LABEL, also when it is the cohort rule that leaves one class."""
    only = [(at, "Befund", "g") for at in range(HEIGHT)]
    assert failed(tmp_path, clinic, rows(*only, height=HEIGHT)) == ("T-LABEL",)
    assert failed(tmp_path, clinic, rows(height=HEIGHT), cohort={"where": 'outcome == "ill"'}) == ("T-LABEL",)


def test_too_few_training_records_are_refused(tmp_path: Path, clinic: Contract) -> None:
    """Fewer than the hospital's small cell: T-FEW, before anything is trained."""
    assert failed(tmp_path, clinic, rows(height=2)) == ("T-FEW",)
    assert failed(tmp_path, clinic, rows(height=HEIGHT), cohort={"where": "pulse > 1000"}) == ("T-FEW",)


def test_a_study_that_does_not_fit_is_refused_before_any_record_is_read(tmp_path: Path, clinic: Contract) -> None:
    """Another version of the schema, an unknown field, an unreadable cohort rule: P- codes, exit status 2."""
    wrong = {"schema": {"id": "test.clinic", "version": "1.1.0"}, "features": ["puls"], "cohort": {"where": "pulse >"}}
    site = make_site(tmp_path, rows())
    (tmp_path / "records.csv").unlink()
    with pytest.raises(Refused) as refused:
        assemble(site, clinic, make_study(tmp_path, **wrong), HASH)
    assert sorted(set(refused.value.codes)) == ["P-FIELD", "P-RULE", "P-SCHEMA"]
    assert refused.value.exit_status == 2


def test_the_fingerprint_sees_every_cell(tmp_path: Path, clinic: Contract) -> None:
    """Changing one cell, or making one missing, changes it; one zero is like the other."""
    before = run(tmp_path, clinic).fingerprint
    assert run(tmp_path, clinic, rows((7, "Puls", "68"), height=HEIGHT)).fingerprint != before
    assert run(tmp_path, clinic, rows((7, "Puls", ""), height=HEIGHT)).fingerprint != before
    one = pl.DataFrame({"a": [0.0, 1.5], "b": ["x", None]})
    assert fingerprint([one]) == fingerprint([one.with_columns(a=pl.Series([-0.0, 1.5]))])
    assert fingerprint([one]) != fingerprint([one.with_columns(b=pl.Series(["x", ""]))])
    assert fingerprint([one, one]) != fingerprint([pl.concat([one, one])])
