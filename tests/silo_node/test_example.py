"""The example of ``wardround silo review``: what leaves, made from synthetic records by the node's own code."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hospitals_on_disk import deal, prepare

from silo_node.configuration import load_site
from silo_node.dry_run import dry_run, how_many, ranges_as_encoding
from silo_node.example import MOST_WEIGHTS, Example, lines, make_example
from silo_node.policy import Policy
from silo_node.porter.porter import encoding_fits
from wardround.study.bundle import read_bundle
from wardround.study.model import Cohort
from wardround.weights.packing import Manifest, Tensor


@pytest.fixture(scope="module")
def ward(tmp_path_factory, approvers_passphrase):
    """Give two hospitals and a study, which nobody has approved."""
    from hospitals_on_disk import Answer

    from wardround.console import run

    def wardround(*words):
        return Answer(run([str(word) for word in words]), "", "")

    folder = tmp_path_factory.mktemp("ward")
    return prepare(wardround, folder, deal(folder, (60, 60)), approve=False)


def studied(ward):
    return load_site(Path(ward.hospitals[0].site)), read_bundle(ward.bundle)


def test_the_review_shows_an_example_and_says_that_it_is_synthetic(ward, wardround):
    """Both visits, tensor by tensor and figure by figure, in a process of its own; approved is nothing, and nothing is left."""
    answer = wardround("silo", "review", ward.bundle, "--site", ward.hospitals[0].site, "--format", "json")
    assert answer.status == 0, answer.err
    example = Example.model_validate_json(json.dumps(answer.json()["example"]))
    bundle = read_bundle(ward.bundle)
    assert example.codes == ()
    statistics, first = example.visits
    assert (statistics.purpose, first.purpose) == ("statistics", "round")
    assert [each.field for each in statistics.result.sums] == list(bundle.study.features)
    assert [(each.name, each.shape) for each in first.tensors] == [(each.name, each.shape) for each in bundle.manifest.tensors]
    assert first.bytes > bundle.manifest.byte_count
    assert any(number for each in first.tensors for number in each.first)
    assert first.records == statistics.records >= 200
    text = "\n".join(f"{name} {words}" for name, words in lines(example))
    assert f"of {example.records} SYNTHETIC records" in text
    assert f"{bundle.manifest.tensors[0].name} (" in text
    folder = ward.hospitals[0].folder
    assert [path.name for path in folder.iterdir() if path.name in ("approvals", "ledger", "inbox", "journal")] == []


def test_what_may_not_be_approved_is_not_tried(ward, wardround):
    """A study that the policy forbids runs nothing here."""
    policy = ward.hospitals[0].folder / "policy.yaml"
    before = policy.read_text()
    try:
        policy.write_text(before.replace("authors: null", 'authors: ["12345 12345 12345 12345 12345 12345"]'))
        answer = wardround("silo", "review", ward.bundle, "--site", ward.hospitals[0].site, "--format", "json")
    finally:
        policy.write_text(before)
    assert answer.status == 1
    assert answer.json()["example"] is None


def test_no_record_of_the_hospital_is_opened(ward, tmp_path, monkeypatch):
    """The example is the same where there are none; and its process can make no socket by its end."""
    site, bundle = studied(ward)
    said = tmp_path / "said"
    (tmp_path / "sitecustomize.py").write_text(
        f"""
import atexit, pathlib, socket

def tried():
    try:
        socket.socket().close()
    except PermissionError:
        pathlib.Path({str(said)!r}).write_text("refused")

atexit.register(tried)
"""
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    table = ward.hospitals[0].table
    hidden = table.rename(table.with_suffix(".hidden"))
    try:
        example = make_example(site.path, ward.bundle, bundle)
    finally:
        hidden.rename(table)
    assert (len(example.visits), example.codes) == (2, ())
    assert said.read_text() == "refused"


def test_the_dry_run_is_not_told_of_the_proxy(ward, tmp_path, monkeypatch):
    """It has no way out, and learns neither a proxy nor the credentials for one from its environment."""
    site, bundle = studied(ward)
    said = tmp_path / "said"
    (tmp_path / "sitecustomize.py").write_text(
        f"import os, pathlib; pathlib.Path({str(said)!r}).write_text(repr(dict(os.environ)))\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("HTTPS_PROXY", "http://node:proxyword@127.0.0.1:9")
    monkeypatch.setenv("OF_THE_NODE", "node:otherword")
    before = site.path.read_text()
    try:
        site.path.write_text(before + "proxy: {url: 'http://127.0.0.1:9', credentials: {variable: OF_THE_NODE}}\n")
        make_example(site.path, ward.bundle, bundle, seconds=0.001)
    finally:
        site.path.write_text(before)
    assert "PYTHONPATH" in said.read_text()
    assert "word@" not in said.read_text()
    assert "otherword" not in said.read_text()


def test_the_policy_holds_in_the_example(ward, tmp_path):
    """What it would withhold in the study is withheld, and what it would refuse is refused by its code."""
    site, bundle = studied(ward)
    policy = site.folder / "policy.yaml"
    before = policy.read_text()
    try:
        policy.write_text(before.replace("maximum_update_norm: null", "maximum_update_norm: 0.000001"))
        example = dry_run(load_site(site.path), bundle, tmp_path)
    finally:
        policy.write_text(before)
    assert [visit.purpose for visit in example.visits] == ["statistics"]
    assert example.codes == ("H-NORM",)
    assert "ended early: H-NORM" in dict(lines(example))["example"]


def test_how_the_trainer_is_confined_is_no_matter_of_the_example(ward, tmp_path):
    """What the policy requires of the trainer is asked of the trainer: synthetic records need no such walls."""
    site, bundle = studied(ward)
    policy = site.folder / "policy.yaml"
    before = policy.read_text()
    try:
        policy.write_text(before.replace("required_confinement: []", "required_confinement: [network-kernel, not-root]"))
        assert load_site(site.path).policy().required_confinement == ("network-kernel", "not-root")
        example = dry_run(load_site(site.path), bundle, tmp_path)
    finally:
        policy.write_text(before)
    assert (len(example.visits), example.codes) == (2, ())


def test_the_cohort_rule_is_kept_and_one_that_nobody_can_keep_is_said(ward, tmp_path):
    """The example has records where the study has some; where it can have none, a code says so."""
    site, bundle = studied(ward)
    for name in ("some", "none"):
        (tmp_path / name).mkdir()
    some = replace(bundle, study=bundle.study.model_copy(update={"cohort": Cohort(where="radius_mean > 20")}))
    assert len(dry_run(site, some, tmp_path / "some").visits) == 2
    none = replace(bundle, study=bundle.study.model_copy(update={"cohort": Cohort(where="radius_mean > 99999")}))
    assert dry_run(site, none, tmp_path / "none").codes == ("S-SYNTH",)


def test_a_dry_run_that_takes_too_long_is_ended(ward, tmp_path, monkeypatch):
    """The kernel ends it; the review goes on, and the folder with its keys is gone."""
    site, bundle = studied(ward)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert make_example(site.path, ward.bundle, bundle, seconds=0.001).codes == ("X-EXAMPLE",)
    assert list(tmp_path.iterdir()) == []


def test_what_dies_in_the_example_is_a_code(ward, tmp_path):
    """No text of an exception, and no trace."""
    site, bundle = studied(ward)
    damaged = tmp_path / "damaged.wardround"
    damaged.write_bytes(ward.bundle.read_bytes()[:-40])
    assert make_example(site.path, damaged, bundle).codes[0].startswith(("B-", "H-"))


def test_a_large_network_is_not_tried(ward):
    """Its names, shapes and bytes stand in the review anyway."""
    site, bundle = studied(ward)
    large = replace(bundle, manifest=Manifest(tensors=(Tensor(name="w", shape=(MOST_WEIGHTS + 1,)),)))
    example = make_example(site.path, ward.bundle, large)
    assert example == Example(too_large=True)
    assert "not tried" in dict(lines(example))["example"]


def test_enough_records_are_made_for_the_policy(ward):
    """But not without end."""
    _, bundle = studied(ward)
    usual = how_many(bundle, Policy())
    assert how_many(bundle, Policy(minimum_records=1000)) * bundle.study.split.train > 1000 > usual
    assert how_many(bundle, Policy(minimum_records=1_000_000)) < 1_000_000


def test_its_encoding_is_one_that_a_porter_takes(ward):
    """From ranges alone, as no other hospital's sums are there."""
    _, bundle = studied(ward)
    assert encoding_fits(ranges_as_encoding(bundle.study, bundle.contract), bundle.study, bundle.contract)
