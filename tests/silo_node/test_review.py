"""``wardround silo review``: one screen from which a person decides."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
import yaml
from hospitals_on_disk import SCHEMA, deal, prepare, write_study

from silo_node.configuration import load_site
from silo_node.identity import load_identity
from silo_node.porter.manifest import egress_manifest
from silo_node.review import review_study, summary
from wardround.study.bundle import read_bundle


@pytest.fixture
def ready(tmp_path, wardround):
    return prepare(wardround, tmp_path, deal(tmp_path, (60, 60)))


def build(wardround, ready, name, **changes):
    """Build another version of the study."""
    study = write_study(ready.folder / f"{name}.yaml", **changes)
    requests = [word for each in ready.hospitals for word in ("--silo", each.folder / "request.json")]
    out = ready.folder / f"{name}.wardround"
    answer = wardround("study", "build", study, "--coordinator", ready.centre / "coordinator.json", *requests, "--out", out)
    assert answer.status == 0, answer.err
    return out


def review(wardround, ready, bundle, *words):
    """Review without the example, which takes seconds: tests/silo_node/test_example.py looks at it."""
    return wardround("silo", "review", bundle, "--site", ready.hospitals[0].site, "--no-example", *words)


def test_it_says_what_leaves_tensor_by_tensor(ready, wardround):
    """As JSON it is the manifest whose digest the approval signs; in words it is every kind of visit."""
    bundle = read_bundle(ready.bundle)
    found = review(wardround, ready, ready.bundle, "--format", "json").json()
    assert found["egress_digest"] == egress_manifest(bundle).egress_digest()
    assert [visit["purpose"] for visit in found["leaves"]["visits"]] == ["statistics", "round", "closing", "test"]
    text = review(wardround, ready, ready.bundle).out
    for words in ("leaves first, once", "leaves each round", "3 times at most: the change of", "leaves then, once"):
        assert words in text
    assert "leaves at the end, once" in text
    assert f"the change of {len(bundle.manifest.tensors)} tensors" in text


def test_it_counts_our_records_and_withholds_small_counts(ready, wardround):
    """A count below the policy's smallest is not shown; without reading the records, none is."""
    found = review(wardround, ready, ready.bundle, "--format", "json").json()["records"]
    assert (found["found"], found["valid"], found["withheld_below"]) == (60, 60, 11)
    assert 20 <= found["train"] <= 52  # 36 is expected; the study hash, new in each run, divides the patients
    small = {name: found[name] for name in ("validation", "test")}
    assert all(count is None or count >= 11 for count in small.values())
    text = review(wardround, ready, ready.bundle).out
    assert "60 found, 60 valid" in text
    if None in small.values():
        assert "fewer than 11" in text
    assert review(wardround, ready, ready.bundle, "--no-records", "--format", "json").json()["records"] is None


def test_records_that_cannot_take_part_are_said_by_their_codes(ready, wardround):
    """A missing file hides nothing else of the review."""
    ready.hospitals[0].table.unlink()
    answer = review(wardround, ready, ready.bundle, "--format", "json")
    assert answer.status == 0
    assert answer.json()["records"] == {"codes": ["T-FILE"]}
    assert "cannot take part now: T-FILE" in review(wardround, ready, ready.bundle).out


def test_it_says_whether_others_see_our_figures(ready, wardround):
    """By the policy of now; silence is a no."""
    assert "no: the coordinator sees this hospital's own figures" in review(wardround, ready, ready.bundle, "--no-records").out
    (ready.hospitals[0].folder / "policy.yaml").write_text("share_metrics: consortium\n")
    assert "yes: this hospital's own figures stand in the release" in review(wardround, ready, ready.bundle, "--no-records").out
    found = review(wardround, ready, ready.bundle, "--no-records", "--format", "json").json()
    assert found["share_metrics"] == "consortium"


def test_what_changed_since_the_last_approved_version_is_named(ready, wardround):
    """Place by place; of the first version there is nothing to compare with, and what was not approved does not count."""
    assert review(wardround, ready, ready.bundle, "--format", "json").json()["changes"] is None
    never_approved = build(wardround, ready, "never", version="1.0.1", seed=99)
    second = build(wardround, ready, "second", version="1.1.0", rounds={"maximum": 9, "deadline_seconds": 60, "retries": 1})
    changes = review(wardround, ready, second, "--format", "json").json()["changes"]
    assert changes["since_study_hash"] == read_bundle(ready.bundle).study_hash
    places = {each["place"]: (each["before"], each["after"]) for each in changes["differences"]}
    assert places == {"study.version": ("1.0.0", "1.1.0"), "study.rounds.maximum": (3, 9)}
    text = review(wardround, ready, second).out
    assert "2 places since the version that Dr A approved" in text
    assert "study.rounds.maximum: 3 -> 9" in text
    assert read_bundle(never_approved).study_hash != changes["since_study_hash"]


def test_a_withdrawn_version_is_compared_with_too(ready, wardround):
    """What a person once approved is what they know."""
    assert wardround("silo", "revoke", "trial", "--site", ready.hospitals[0].site).status == 0
    second = build(wardround, ready, "second", version="1.1.0")
    assert review(wardround, ready, second, "--format", "json").json()["changes"] is not None


def test_another_centre_than_the_joined_one_is_said(ready, wardround, tmp_path):
    """It is the first thing that a person has to know."""
    site = ready.hospitals[0]
    assert review(wardround, ready, ready.bundle, "--format", "json").json()["joined_centre_asks"] is None
    centre = tmp_path / "other"
    assert wardround("coordinator", "init", centre, "--name", "Another", "--address", "localhost:1").status == 0
    assert wardround("coordinator", "enrol", site.folder / "request.json", "--dir", centre, "--yes").status == 0
    assert wardround("silo", "join", centre / "invitations" / "alpha.json", "--site", site.site).status == 0
    assert review(wardround, ready, ready.bundle, "--format", "json").json()["joined_centre_asks"] is False
    assert "NOT the centre that you joined" in review(wardround, ready, ready.bundle).out


def test_it_names_every_hospital_by_its_fingerprint(ready, wardround):
    """So that a person can compare them by phone: made-up hospitals are a way to single one out."""
    text = review(wardround, ready, ready.bundle, "--no-records").out
    for member in read_bundle(ready.bundle).roster.silos:
        assert f"{member.site}: {member.name} (fingerprint {member.fingerprint})" in text


def test_it_says_how_large_a_change_may_be(ready, wardround):
    """With the study's limit, or that there is none."""
    assert "no limit but the range of the exact sum" in review(wardround, ready, ready.bundle, "--no-records").out
    limited = build(wardround, ready, "limited", rounds={"maximum": 3, "maximum_change_norm": 2.5})
    assert "an L2 norm of 2.5, for every hospital" in review(wardround, ready, limited, "--no-records").out


def test_it_says_whether_the_records_are_those_that_were_approved(ready, wardround):
    """After the approval they are; after another export they are not, until it is approved anew."""
    hospital = ready.hospitals[0]

    def same():
        return review(wardround, ready, ready.bundle, "--format", "json").json()["records_as_approved"]

    assert same() is True
    lines = hospital.table.read_text().splitlines(keepends=True)
    hospital.table.write_text("".join(lines[:-1]))
    assert same() is False
    assert "are NOT those of the approval" in review(wardround, ready, ready.bundle).out
    again = ("silo", "approve", ready.bundle, "--site", hospital.site, "--approver", "Dr A", "--role", "DPO", "--format", "json")
    (unread,) = wardround(*again, "--no-records").json()["approvals"]
    assert unread["data"] == {"fingerprint": None, "fixed": False}
    assert same() is None
    (fixed,) = wardround(*again, "--data-fixed").json()["approvals"]
    assert fixed["data"]["fixed"]
    assert fixed["privacy"] == {"mechanism": "none"}
    assert same() is True


def test_records_that_cannot_take_part_are_not_fixed(ready, wardround):
    """There is nothing to hold to: refused, and nothing is written; without the option the approval says that none were read."""
    hospital = ready.hospitals[0]
    lines = hospital.table.read_text().splitlines(keepends=True)
    hospital.table.write_text("".join(lines[:6]))
    words = ("silo", "approve", ready.bundle, "--site", hospital.site, "--approver", "Dr A", "--role", "DPO", "--format", "json")
    before = sorted((hospital.folder / "approvals" / "given").iterdir())
    answer = wardround(*words, "--data-fixed")
    assert answer.status == 2
    (problem,) = answer.json()["problems"]
    assert (problem["code"], problem["finding"]) == ("X-USAGE", "they cannot: T-FEW")
    assert sorted((hospital.folder / "approvals" / "given").iterdir()) == before
    (approval,) = wardround(*words).json()["approvals"]
    assert approval["data"] == {"fingerprint": None, "fixed": False}


def test_on_a_terminal_no_line_is_wider_than_it(ready):
    """What is said goes on below itself, under no label; nothing of it is lost. Elsewhere each line stays whole."""
    site, bundle = load_site(Path(ready.hospitals[0].site)), read_bundle(ready.bundle)
    found = review_study(site, bundle, load_identity(site.folder), count=False)
    whole, folded = summary(found), summary(found, 100)
    assert max(map(len, whole.splitlines())) > 100 >= max(map(len, folded.splitlines()))
    assert folded.split() == whole.split()
    label = len("  leaves at the end, once  ")
    more = [line for line in folded.splitlines()[1:] if line[:label].strip() == ""]
    assert len(more) >= 5
    assert summary(found, 50) == whole  # too narrow to fold: the terminal breaks lines as it likes


def test_it_says_which_exceptions_end_before_the_approval(ready, wardround):
    """Of fields that the study reads; one that lasts as long as the approval, or has ended, is no news."""
    hospital, today = ready.hospitals[0], datetime.now().astimezone().date()

    def exception(field, days):
        until = (today + timedelta(days=days)).isoformat()
        return {"code": "T-MISSLIM", "field": field, "reason": "not_collected", "until": until}

    days = {"radius_mean": 20, "texture_mean": 400, "area_mean": -1, "symmetry_mean": 20}
    site = yaml.safe_load(Path(hospital.site).read_text())
    site["schemas"][SCHEMA]["exceptions"] = [exception(*each) for each in days.items()]
    Path(hospital.site).write_text(yaml.safe_dump(site, sort_keys=False))
    found = review(wardround, ready, ready.bundle, "--no-records", "--format", "json").json()["exceptions_ending"]
    assert [(each["about"], each["until"]) for each in found] == [("radius_mean", exception("", 20)["until"])]
    text = review(wardround, ready, ready.bundle, "--no-records").out
    assert f"your exception of T-MISSLIM of radius_mean, on {found[0]['until']}" in text
    again = ("silo", "approve", ready.bundle, "--site", hospital.site, "--approver", "Dr A", "--role", "DPO", "--no-records")
    wardround(*again, "--days", "10")
    assert "your exception" not in review(wardround, ready, ready.bundle, "--no-records").out
    assert "your exception" in wardround(*again, "--days", "30").out
