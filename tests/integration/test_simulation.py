"""A whole study by the commands that people use: hospitals on disk, one process, real porters and trainers."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hospitals_on_disk import Command, deal, prepare, write_hospital, write_study
from ledgers import last_segment, ledger_of


def digest_of(release: Path) -> str:
    """Give the digest line of the released model."""
    return next(line for line in (release / "SHA256SUMS").read_text().splitlines() if line.endswith(" model.safetensors"))


def test_a_whole_study(tmp_path: Path, wardround: Command) -> None:
    """From files to a release that verifies, with every hospital counted and every release in its ledger.

    The hospitals are large: a few test records, which ones following from new keys, would fall below the smallest cell at times.
    """
    ready = prepare(wardround, tmp_path, deal(tmp_path, (200, 190, 179)))
    answer = ready.simulate(wardround)
    assert answer.status == 0, answer.err
    assert answer.json()["status"] == "complete"
    assert answer.json()["counted"] == ["alpha", "beta", "gamma"]
    subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=ready.release(), check=True, capture_output=True)
    history = json.loads((ready.release() / "history.json").read_text())
    purposes = [record["purpose"] for record in history["visits"]]
    assert purposes == ["statistics", "round", "round", "round", "closing", "test"]
    assert history["withheld"] == dict.fromkeys(("alpha", "beta", "gamma"), "own policy"), "as policies are by default"
    assert history["test"]["records"] > 0, "what all are together is shown"
    for hospital in ready.hospitals:
        entries = ledger_of(hospital.folder)
        assert [entry["purpose"] for entry in entries if entry["event"] == "release"] == purposes
        receipts = [entry for entry in entries if entry["event"] == "receipt"]
        assert [entry["verdict"] for entry in receipts] == ["counted"] * 5, "each next task brings the receipt for the last"


def test_the_same_study_gives_the_same_bytes_whatever_the_order_of_rows(tmp_path: Path, wardround: Command) -> None:
    """Conducted twice, the second time from re-sorted exports, a study releases the same model."""
    ready = prepare(wardround, tmp_path, deal(tmp_path, (120, 90)))
    assert ready.simulate(wardround, "first").status == 0
    for hospital in ready.hospitals:
        header, *rows = hospital.table.read_text().splitlines()
        hospital.table.write_text("\n".join([header, *reversed(rows)]) + "\n")
        shutil.rmtree(hospital.folder / "ledger")
    assert ready.simulate(wardround, "second").status == 0
    assert digest_of(ready.release("first")) == digest_of(ready.release("second"))


def test_nothing_runs_without_approval(tmp_path: Path, wardround: Command) -> None:
    """Every hospital that has not approved is named, nothing runs, nothing is written."""
    ready = prepare(wardround, tmp_path, deal(tmp_path, (120, 90, 80)), approve=False)
    one = ready.hospitals[0]
    assert wardround("silo", "approve", ready.bundle, "--site", one.site, "--approver", "A", "--role", "B").status == 0
    answer = ready.simulate(wardround)
    assert answer.status == 1
    problems = answer.json()["problems"]
    assert [(problem["code"], problem["place"]) for problem in problems] == [
        ("A-MISSING", "site beta"),
        ("A-MISSING", "site gamma"),
    ]
    assert not ready.release().exists()
    assert ledger_of(one.folder) == []


def test_one_changed_setting_is_another_study(tmp_path: Path, wardround: Command) -> None:
    """An approval of a study does not cover the same study with one setting changed."""
    ready = prepare(wardround, tmp_path, deal(tmp_path, (120, 90)))
    study = write_study(tmp_path / "changed.yaml", seed=8)
    requests = [word for hospital in ready.hospitals for word in ("--silo", str(hospital.folder / "request.json"))]
    changed = tmp_path / "changed.wardround"
    coordinator = ready.centre / "coordinator.json"
    assert wardround("study", "build", study, "--coordinator", coordinator, *requests, "--out", changed).status == 0
    answer = wardround("simulate", changed, *ready.sites, "--out", tmp_path / "out", "--centre", ready.centre, "--format", "json")
    assert answer.status == 1
    assert {problem["code"] for problem in answer.json()["problems"]} == {"A-MISSING"}


def test_from_a_study_file(tmp_path: Path, wardround: Command) -> None:
    """From a study file, simulate writes the bundle to approve, says which command approves it, and then runs."""
    hospitals = deal(tmp_path, (120, 90))
    sites = [word for hospital in hospitals for word in ("--site", hospital.site)]
    for hospital in hospitals:
        assert wardround("silo", "init", "--site", hospital.site).status == 0
    command = ("simulate", write_study(tmp_path / "study.yaml"), *sites, "--out", tmp_path / "out")
    refused = wardround(*command)
    assert refused.status == 1
    bundle = tmp_path / "out" / "trial.wardround"
    assert f"wardround silo approve {bundle}" in refused.err
    assert wardround("silo", "approve", bundle, *sites, "--approver", "A", "--role", "B").status == 0
    assert wardround(*command).status == 0
    again = wardround(*command)
    assert again.status == 2
    assert "O-EXISTS" in again.err


def test_a_hospital_with_bad_records_makes_the_result_partial(tmp_path: Path, wardround: Command) -> None:
    """A hospital whose records break the schema is refused by code, and the result says that it is partial."""
    ready = prepare(wardround, tmp_path, deal(tmp_path, (120, 90, 80)))
    bad = ready.hospitals[1].table
    bad.write_text(bad.read_text().replace(",benign", ",unclear-Meyer"))
    answer = ready.simulate(wardround)
    assert answer.status == 3
    assert answer.json()["status"] == "partial"
    assert answer.json()["counted"] == ["alpha", "gamma"]
    history = json.loads((ready.release() / "history.json").read_text())
    beta = next(silo for silo in history["visits"][0]["silos"] if silo["site"] == "beta")
    assert (beta["status"], beta["code"]) == ("refused", "H-DATA")
    written = b"".join(path.read_bytes() for path in ready.release().iterdir())
    assert b"Meyer" not in written
    assert b"Status: PARTIAL" in (ready.release() / "MODEL_CARD.md").read_bytes()


def test_too_few_hospitals_fail_loudly(tmp_path: Path, wardround: Command) -> None:
    """Without its quorum a study fails with status 1 and releases no model."""
    ready = prepare(wardround, tmp_path, deal(tmp_path, (120, 90, 80)), silos={"minimum": 3})
    ready.hospitals[2].table.unlink()
    answer = ready.simulate(wardround)
    assert answer.status == 1
    assert answer.json()["status"] == "failed"
    assert [problem["code"] for problem in answer.json()["problems"]] == ["C-FAILED"]
    assert not (ready.release() / "model.safetensors").exists()
    assert (ready.release() / "report.html").exists()


def test_a_required_hospital_must_count(tmp_path: Path, wardround: Command) -> None:
    """A study that requires a hospital fails without it, however many others count."""
    ready = prepare(wardround, tmp_path, deal(tmp_path, (120, 90, 80)), silos={"minimum": 2, "required": ["gamma"]})
    ready.hospitals[2].table.write_text("")
    answer = ready.simulate(wardround)
    assert answer.status == 1
    assert "C-REQUIRED" in answer.json()["problems"][0]["finding"]


def test_sites_are_the_roster(tmp_path: Path, wardround: Command) -> None:
    """A site that is missing, or given twice, is refused before anything runs."""
    ready = prepare(wardround, tmp_path, deal(tmp_path, (120, 90)))
    base = ("simulate", ready.bundle, "--out", tmp_path / "out", "--centre", ready.centre)
    one = ("--site", ready.hospitals[0].site)
    for sites in (one, (*one, *ready.sites)):
        answer = wardround(*base, *sites)
        assert answer.status == 2
        assert "P-ROSTER" in answer.err


def test_an_edited_ledger_stops_a_hospital(tmp_path: Path, wardround: Command) -> None:
    """A hospital whose ledger was changed does not open its door."""
    ready = prepare(wardround, tmp_path, deal(tmp_path, (120, 90)))
    assert ready.simulate(wardround, "first").status == 0
    ledger = last_segment(ready.hospitals[0].folder)
    ledger.write_bytes(ledger.read_bytes().replace(b'"round":2', b'"round":9', 1))
    answer = ready.simulate(wardround, "second")
    assert answer.status == 1
    assert answer.json()["problems"][0]["code"] == "L-BROKEN"


@pytest.mark.parametrize("target", ["keys/signing.pem", "keys/approval.pem"])
def test_private_keys_are_private(tmp_path: Path, wardround: Command, target: str) -> None:
    """Keys are made for their owner only, and are never made twice."""
    hospital = write_hospital(tmp_path / "alpha", "alpha", range(40))
    assert wardround("silo", "init", "--site", hospital.site).status == 0
    before = (hospital.folder / target).read_bytes()
    assert (hospital.folder / target).stat().st_mode & 0o777 == 0o600
    again = wardround("silo", "init", "--site", hospital.site)
    assert again.status == 2
    assert "K-EXISTS" in again.err
    assert (hospital.folder / target).read_bytes() == before


def test_an_approval_allows_only_so_many_releases(tmp_path: Path, wardround: Command) -> None:
    """The most results allowed hold over restarts: the same results again may leave, others need another approval."""
    ready = prepare(wardround, tmp_path, deal(tmp_path, (120, 90, 80)))  # 6 results allowed, 6 needed
    assert ready.simulate(wardround, "first").status == 0
    assert ready.simulate(wardround, "again").status == 0
    kept = ready.hospitals[2].table.rename(tmp_path / "kept.csv")  # without gamma every round gives other results
    exhausted = ready.simulate(wardround, "other")
    assert exhausted.status == 1
    assert "H-GATE" in exhausted.json()["problems"][0]["finding"]
    kept.rename(ready.hospitals[2].table)
    assert wardround("silo", "approve", ready.bundle, *ready.sites, "--approver", "Dr A", "--role", "DPO").status == 0
    assert ready.simulate(wardround, "paused").status == 1, "the gate holds it up until a person has looked"
    for hospital in ready.hospitals:
        assert wardround("silo", "resume", ready.bundle, "--site", hospital.site).status == 0
    assert ready.simulate(wardround, "third").status == 0


def test_a_study_that_cannot_be_tested_again_still_has_its_model(tmp_path: Path, wardround: Command) -> None:
    """When hospitals do not read their test records for other weights again, the model is released without test figures."""
    study = {
        "rounds": {"maximum": 30, "deadline_seconds": 60, "retries": 0},
        "convergence": {"patience": 1, "minimum_change": 1.0},
    }
    ready = prepare(wardround, tmp_path, deal(tmp_path, (120, 90, 80)), **study)
    kept = ready.hospitals[2].table.rename(tmp_path / "kept.csv")
    assert ready.simulate(wardround, "without").status == 3
    kept.rename(ready.hospitals[2].table)
    assert wardround("silo", "approve", ready.bundle, *ready.sites, "--approver", "Dr A", "--role", "DPO").status == 0
    answer = ready.simulate(wardround, "with")
    assert answer.status == 3, answer.err
    assert "no test figures" in answer.json()["summary"]
    assert [problem["code"] for problem in answer.json()["problems"]] == ["C-FAILED"]
    assert (ready.release("with") / "model.safetensors").exists()
    assert "H-ORDER" in answer.json()["problems"][0]["finding"]
    assert "out of order" in (ready.hospitals[0].folder / "logs" / "node.log").read_text()


def test_check_says_what_the_study_will_say(tmp_path: Path, wardround: Command) -> None:
    """A target with one class, or too few records to train on, fails the check for the study already."""
    ready = prepare(wardround, tmp_path, deal(tmp_path, (120, 90)))
    one = ready.hospitals[0]
    good = one.table.read_text()
    for text, code in ((good.replace(",malignant", ",benign"), "T-LABEL"), ("\n".join(good.splitlines()[:13]) + "\n", "T-FEW")):
        one.table.write_text(text)
        for study in (ready.bundle, tmp_path / "study.yaml"):
            answer = wardround("silo", "check", "--site", one.site, "--study", study, "--format", "json")
            assert answer.status == 1, (study, code)
            assert code in {finding["code"] for finding in answer.json()["findings"]}


def test_the_place_of_the_release_is_tried_first(tmp_path: Path, wardround: Command) -> None:
    """Where no release can be written, nothing is conducted and no hospital's release is spent."""
    ready = prepare(wardround, tmp_path, deal(tmp_path, (120, 90)))
    (tmp_path / "file").write_text("")
    answer = ready.simulate(wardround, "file/inner")
    assert answer.status == 2
    assert answer.json()["problems"][0]["code"] == "O-WRITE"
    assert ledger_of(ready.hospitals[0].folder) == []


def test_a_forged_line_cannot_be_reviewed(tmp_path: Path, wardround: Command) -> None:
    """Texts that could move the cursor or write a line of their own are refused in studies."""
    for name, text in (("title", "a\n  study hash  0000"), ("author", "a\u202eb"), ("question", "\x1b[31mred")):
        answer = wardround("study", "check", write_study(tmp_path / "study.yaml", **{name: text}))
        assert answer.status == 2, name
        assert "Y-VALUE" in answer.err or "Y-SYNTAX" in answer.err


def test_a_cohort_is_no_person(tmp_path: Path, wardround: Command) -> None:
    """A cohort rule that reads an identifier is refused."""
    study = write_study(tmp_path / "study.yaml", cohort={"where": 'patient_key != "00000000000000aa"'})
    answer = wardround("study", "check", study)
    assert answer.status == 2
    assert "P-RULE" in answer.err


def test_a_study_that_breaks_a_policy_is_refused_with_every_reason(tmp_path: Path, wardround: Command) -> None:
    """Review shows all reasons; one hospital's policy keeps `approve` from writing anything, for any hospital."""
    ready = prepare(wardround, tmp_path, deal(tmp_path, (120, 90)), approve=False)
    beta = ready.hospitals[1]
    (beta.folder / "policy.yaml").write_text("authors: []\nmaximum_rounds: 2\nnever_fields: {breast.cytology: [diagnosis]}\n")
    expected = ["G-AUTHOR", "G-FIELD", "G-ROUNDS"]
    review = ("silo", "review", ready.bundle, "--site", beta.site, "--no-example")
    shown = wardround(*review, "--format", "json")
    assert (shown.status, [problem["code"] for problem in shown.json()["problems"]]) == (1, expected)  # type: ignore[attr-defined]
    answer = wardround(*review)
    assert all(f"{code} policy.yaml" in answer.err for code in expected)
    assert "Next: wardround silo check" not in answer.out
    approve = ("silo", "approve", ready.bundle, *ready.sites, "--approver", "Dr A", "--role", "DPO")
    refused = wardround(*approve, "--format", "json")
    assert (refused.status, [problem["code"] for problem in refused.json()["problems"]]) == (1, expected)  # type: ignore[attr-defined]
    assert not [path for hospital in ready.hospitals for path in hospital.folder.glob("approvals/*")]
    assert not [path for hospital in ready.hospitals for path in hospital.folder.glob("inbox/*")]
    (beta.folder / "policy.yaml").unlink()
    assert "Y-FILE policy.yaml" in wardround(*approve).err, "a policy that was lost allows nothing"


def test_a_policy_that_is_tightened_after_the_approval_holds(tmp_path: Path, wardround: Command) -> None:
    """What was approved before does not run under a policy that forbids it, and the release says who is missing and why."""
    ready = prepare(wardround, tmp_path, deal(tmp_path, (120, 90, 80)))
    (ready.hospitals[2].folder / "policy.yaml").write_text("never_fields: {breast.cytology: [area_mean]}\n")
    answer = ready.simulate(wardround)
    assert (answer.status, answer.json()["counted"]) == (3, ["alpha", "beta"])
    history = json.loads((ready.release() / "history.json").read_text())
    gamma = next(silo for silo in history["visits"][0]["silos"] if silo["site"] == "gamma")
    assert (gamma["status"], gamma["code"]) == ("refused", "H-POLICY")
    assert "G-FIELD" in (ready.hospitals[2].folder / "logs" / "node.log").read_text()
    assert b"G-FIELD" not in b"".join(path.read_bytes() for path in ready.release().iterdir())


def test_too_large_an_update_is_refused_at_the_hospital(tmp_path: Path, wardround: Command) -> None:
    """A hospital whose policy bounds its update is refused by a code of its own; the others go on with the plan they had."""
    ready = prepare(wardround, tmp_path, deal(tmp_path, (120, 90, 80)))
    (ready.hospitals[2].folder / "policy.yaml").write_text("maximum_update_norm: 0.000001\n")
    answer = ready.simulate(wardround)
    assert (answer.status, answer.json()["counted"]) == (3, ["alpha", "beta"])
    rounds = [
        visit for visit in json.loads((ready.release() / "history.json").read_text())["visits"] if visit["purpose"] == "round"
    ]
    assert {silo["code"] for visit in rounds for silo in visit["silos"] if silo["site"] == "gamma"} == {"H-NORM"}
    assert {visit["raised"] for visit in rounds} == {0}


def test_the_hospital_decides_what_of_its_figures_leaves(tmp_path: Path, wardround: Command) -> None:
    """Figures on fewer records than the hospital's own policy wants are withheld, whatever the study says."""
    ready = prepare(wardround, tmp_path, deal(tmp_path, (150, 60)))
    (ready.hospitals[0].folder / "policy.yaml").write_text("share_metrics: consortium\n")
    policy = ready.hospitals[1].folder / "policy.yaml"

    def evaluations(metrics_minimum: int) -> set[str]:
        policy.write_text(f"metrics_minimum: {metrics_minimum}\nshare_metrics: consortium\n")
        assert wardround("silo", "approve", ready.bundle, *ready.sites, "--approver", "Dr A", "--role", "DPO").status == 0
        assert ready.simulate(wardround, f"out{metrics_minimum}").status == 0
        visits = json.loads((ready.release(f"out{metrics_minimum}") / "history.json").read_text())["visits"]
        return {silo["evaluation"] for visit in visits[1:] for silo in visit["silos"] if silo["site"] == "beta"}

    assert evaluations(61) == {"withheld"}
    assert evaluations(1) == {"shown"}
