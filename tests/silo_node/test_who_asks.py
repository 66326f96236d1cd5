"""Who asks: from the author's key to the hospital's screen, by the commands that people type."""

from __future__ import annotations

from pathlib import Path

import pytest
from hospitals_on_disk import deal, prepare, write_study

from wardround.study.bundle import read_bundle

NAME, INSTITUTION = "A. Scientist", "Institute"


@pytest.fixture
def ready(tmp_path, wardround):
    """Two hospitals, a centre, an unsigned bundle, and the key of its author."""
    made = prepare(wardround, tmp_path, deal(tmp_path, (60, 60)), approve=False)
    key = tmp_path / "ana.pem"
    assert wardround("study", "author", "init", key, "--name", NAME, "--institution", INSTITUTION).status == 0
    return made


def build(wardround, ready, name: str, *words, **changes) -> Path:
    study = write_study(ready.folder / f"{name}.yaml", **changes)
    requests = [word for each in ready.hospitals for word in ("--silo", each.folder / "request.json")]
    out = ready.folder / f"{name}.wardround"
    answer = wardround(
        "study", "build", study, "--coordinator", ready.centre / "coordinator.json", *requests, "--out", out, *words
    )
    assert answer.status == 0, answer.err
    return out


def approve(wardround, ready, bundle):
    return wardround("silo", "approve", bundle, *ready.sites, "--approver", "Dr A", "--role", "DPO")


def review(wardround, ready, bundle, *words):
    """Without the example: it is the same whoever asks, and takes seconds."""
    return wardround("silo", "review", bundle, "--site", ready.hospitals[0].site, "--no-records", "--no-example", *words)


def test_the_review_says_which_signatures_there_are(ready, wardround):
    """Nobody's, the author's, both: each is said, with the fingerprint, and what is absent is said too."""
    site = ready.hospitals[0]
    nobody = review(wardround, ready, ready.bundle)
    assert "signed by NOBODY" in nobody.out
    assert "has NOT signed this file" in nobody.out
    assert review(wardround, ready, ready.bundle, "--format", "json").json()["signatures"] == {
        "author": None,
        "coordinator": None,
    }

    key = ready.folder / "ana.pem"
    assert wardround("study", "sign", ready.bundle, "--author", key).status == 0
    signed = read_bundle(ready.bundle)
    assert (
        f"signed by {NAME}, {INSTITUTION} (fingerprint {signed.author.fingerprint})" in review(wardround, ready, ready.bundle).out
    )
    assert "the one that is installed here" in review(wardround, ready, ready.bundle).out

    for each in ready.hospitals:
        assert wardround("coordinator", "enrol", each.folder / "request.json", "--dir", ready.centre, "--yes").status == 0
    submitted = wardround("coordinator", "submit", ready.bundle, "--dir", ready.centre, "--format", "json").json()
    assert submitted["author"]["fingerprint"] == signed.author.fingerprint
    offered = ready.centre / "studies" / signed.study_hash / "bundle.wardround"
    assert wardround("silo", "join", ready.centre / "invitations" / "alpha.json", "--site", site.site).status == 0
    text = review(wardround, ready, offered).out
    assert "the centre that you joined; its signature on this file is verified" in text
    told = review(wardround, ready, offered, "--format", "json").json()
    assert told["signatures"]["coordinator"]["joined"] is True
    assert told["signatures"]["author"]["name"] == NAME
    assert told["study_hash"] == signed.study_hash


def test_a_policy_that_names_authors_refuses_nobody_and_namesakes(ready, wardround):
    """By fingerprint: the author's bundle is approved, an unsigned one and a namesake's are not."""
    namesake = ready.folder / "namesake.pem"
    made = wardround("study", "author", "init", namesake, "--name", NAME, "--institution", INSTITUTION, "--format", "json").json()
    true = wardround("study", "author", "init", ready.folder / "true.pem", "--name", NAME, "--institution", INSTITUTION)
    assert true.status == 0
    by_author = build(wardround, ready, "signed", "--author", ready.folder / "true.pem")
    by_namesake = ready.folder / "namesakes.wardround"
    by_namesake.write_bytes(ready.bundle.read_bytes())
    assert wardround("study", "sign", by_namesake, "--author", namesake).status == 0
    fingerprint = read_bundle(by_author).author.fingerprint
    assert fingerprint != made["fingerprint"]
    for hospital in ready.hospitals:
        (hospital.folder / "policy.yaml").write_text(f'authors: ["{fingerprint}"]\n')
    for bundle in (ready.bundle, by_namesake):
        refused = approve(wardround, ready, bundle)
        assert (refused.status, "G-AUTHOR" in refused.err) == (1, True)
        assert review(wardround, ready, bundle).status == 1
    assert not [path for hospital in ready.hospitals for path in hospital.folder.glob("approvals/*")]
    assert approve(wardround, ready, by_author).status == 0
    shown = wardround("silo", "policy", "--site", ready.hospitals[0].site)
    assert fingerprint in shown.out


def test_a_new_key_of_the_author_is_a_change(ready, wardround):
    """Since the version that was approved last: it is among what changed, by key."""
    assert wardround("study", "sign", ready.bundle, "--author", ready.folder / "ana.pem").status == 0
    assert approve(wardround, ready, ready.bundle).status == 0
    other = ready.folder / "other.pem"
    assert wardround("study", "author", "init", other, "--name", NAME, "--institution", INSTITUTION).status == 0
    second = build(wardround, ready, "second", "--author", other, version="1.1.0")
    places = [each["place"] for each in review(wardround, ready, second, "--format", "json").json()["changes"]["differences"]]
    assert places == ["author.signing_key", "study.version"]
    assert "author.signing_key: " in review(wardround, ready, second).out
