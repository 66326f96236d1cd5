"""``wardround simulate`` and the author's signature: made from a study file, and the one that hospitals approved."""

from __future__ import annotations

import pytest
from hospitals_on_disk import deal, prepare

from wardround.study.bundle import read_bundle


@pytest.fixture
def ready(tmp_path, wardround):
    """Two hospitals, a centre, an unsigned bundle that nobody has approved, and the key of its author."""
    made = prepare(wardround, tmp_path, deal(tmp_path, (60, 60)), approve=False)
    key = ("author", "init", tmp_path / "ana.pem", "--name", "A. Scientist", "--institution", "Institute")
    assert wardround("study", *key).status == 0
    return made


def test_a_study_file_is_signed_before_anybody_is_asked(ready, wardround):
    """The bundle to approve bears the author's signature; a bundle is not signed on the way."""
    words = (*ready.sites, "--out", ready.folder / "out", "--centre", ready.centre, "--author", ready.folder / "ana.pem")
    answer = wardround("simulate", ready.folder / "study.yaml", *words)
    assert (answer.status, "A-MISSING" in answer.err) == (1, True)
    assert read_bundle(ready.folder / "out" / "trial.wardround").author.name == "A. Scientist"
    given = wardround("simulate", ready.bundle, *words)
    assert (given.status, "X-USAGE" in given.err) == (2, True)


def test_the_author_is_the_one_whom_the_hospitals_approved(ready, wardround):
    """The same study under another signature than the approved one is not conducted: its release would name another author."""
    person = ("--approver", "Dr A", "--role", "DPO")
    assert wardround("silo", "approve", ready.bundle, *ready.sites, *person).status == 0
    assert wardround("study", "sign", ready.bundle, "--author", ready.folder / "ana.pem").status == 0
    refused = ready.simulate(wardround)
    assert refused.status == 1
    assert [each["code"] for each in refused.json()["problems"]] == ["A-INVALID", "A-INVALID"]
    assert not ready.release().exists()
