"""The release of a study of images holds what a prediction needs, and is believed only whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import click.testing
import onnx
import pytest
import torch
from models_on_paper import DEMO
from studies_on_paper import encryption_key, node_key, signing_key

from coordinator.release.release import write_release
from coordinator.rounds.outcome import Outcome
from wardround.canonical import sha256
from wardround.contract.imaging import ImagingContract
from wardround.errors import Refused
from wardround.identity.roster import Coordinator, Member, Roster
from wardround.models.commands import make_bundle
from wardround.study.bundle import Bundle
from wardround.study.check import load_study
from wardround.study.encoding import encoding_by
from wardround_lab.model_commands import export
from wardround_lab.predict import load_model


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    study, contract, imaging = load_study(DEMO / "phantom-lesions.yaml", (DEMO / "schemas",))
    centre = Coordinator(name="Centre", signing_key=signing_key("c").public, encryption_key=encryption_key("c").public)
    members = tuple(
        Member(
            site=site,
            name=site,
            signing_key=signing_key(f"{site}/s").public,
            encryption_key=encryption_key(f"{site}/e").public,
            approval_key=signing_key(f"{site}/a").public,
            node_key=node_key(site).public.decode(),
        )
        for site in ("east", "north", "west")
    )
    return make_bundle(study, contract, Roster(coordinator=centre, silos=members), imaging=imaging)


@pytest.fixture(scope="module")
def release(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("released") / "release"
    outcome = Outcome(roster=bundle.roster.sites)
    outcome.count(bundle.roster.sites)
    outcome.rounds, outcome.stopped, outcome.best_round = 1, "maximum", 1
    outcome.best = outcome.last = bundle.weights
    outcome.encoding = encoding_by(bundle.contract, bundle.study, {})
    outcome.succeed()
    write_release(folder, bundle, outcome)
    return folder


def test_it_holds_the_contract_of_the_images(release: Path, bundle: Bundle) -> None:
    """The release names its contract, and the sums cover it."""
    data = (release / "imaging.json").read_bytes()
    assert ImagingContract.model_validate_json(data) == bundle.imaging
    assert f"{sha256(data)}  imaging.json" in (release / "SHA256SUMS").read_text().splitlines()
    assert "imaging.json" in (release / "report.html").read_text()
    model = load_model(release)
    assert (model.imaging, model.study_hash) == (bundle.imaging, bundle.study_hash)
    assert model.shape.dense
    with torch.no_grad():
        assert model.network(torch.zeros(model.shape.taken(1))).shape == model.shape.given(1)


@pytest.mark.parametrize("what", ["changed", "missing", "not listed"])
def test_another_contract_of_images_is_refused(release: Path, tmp_path: Path, what: str) -> None:
    copy = tmp_path / "release"
    shutil.copytree(release, copy)
    file, sums = copy / "imaging.json", copy / "SHA256SUMS"
    if what == "changed":
        file.write_bytes(file.read_bytes().replace(b"lesion", b"lesiom", 1))
    elif what == "missing":
        file.unlink()
    else:
        sums.write_text("".join(line for line in sums.read_text().splitlines(keepends=True) if "imaging" not in line))
    with pytest.raises(Refused) as error:
        load_model(copy)
    assert error.value.codes == (("E-READ",) if what == "missing" else ("E-HASH",))
    assert error.value.problems[0].place == "imaging.json"


def test_the_command_writes_a_bundle(release: Path, tmp_path: Path) -> None:
    """A folder for MONAI, with the release's own weights and card."""
    out = tmp_path / "bundle"
    words = [str(release), "--to", "monai-bundle", "--out", str(out), "--format", "json"]
    done = click.testing.CliRunner().invoke(export, words, catch_exceptions=False)
    assert json.loads(done.output) == {
        "out": str(out),
        "format": "monai-bundle",
        "bytes": sum(path.stat().st_size for path in out.rglob("*") if path.is_file()),
    }
    assert (out / "models" / "model.safetensors").read_bytes() == (release / "model.safetensors").read_bytes()
    assert (out / "docs" / "MODEL_CARD.md").read_bytes() == (release / "MODEL_CARD.md").read_bytes()
    with pytest.raises(Refused) as error:
        click.testing.CliRunner().invoke(export, words, catch_exceptions=False)
    assert error.value.codes == ("O-EXISTS",)


@pytest.mark.parametrize(("known", "other"), [(b'"UNet"', b'"WNet"'), (b'"num_res_units"', b'"num_red_units"')])
def test_a_network_that_is_not_known_is_refused(release: Path, tmp_path: Path, known: bytes, other: bytes) -> None:
    """A release of another version, say: its sums hold, and its network is none that is known here."""
    copy = tmp_path / "release"
    shutil.copytree(release, copy)
    study, sums = copy / "study.json", copy / "SHA256SUMS"
    before = study.read_bytes()
    assert known in before
    study.write_bytes(before.replace(known, other))
    sums.write_text(sums.read_text().replace(sha256(before), sha256(study.read_bytes())))
    with pytest.raises(Refused) as error:
        load_model(copy)
    assert (error.value.codes, error.value.problems[0].place) == (("E-READ",), "study.json")


def test_the_command_writes_one_file(release: Path, tmp_path: Path) -> None:
    """What a release exports is checked and said; nothing is written over."""
    out = tmp_path / "model.onnx"
    words = [str(release), "--to", "onnx", "--out", str(out)]
    done = click.testing.CliRunner().invoke(export, words, catch_exceptions=False)
    assert done.exit_code == 0
    assert "it gives what the release gives" in done.output
    onnx.checker.check_model(onnx.load(out))
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    with pytest.raises(Refused) as error:
        click.testing.CliRunner().invoke(export, words, catch_exceptions=False)
    assert error.value.codes == ("O-EXISTS",)
