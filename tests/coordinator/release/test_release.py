"""The folder: whole or absent, verifiable, and without a model where there is no result."""

import errno
import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from coordinator.release.comparison import Comparison
from coordinator.release.environment import Environment
from coordinator.release.history import History
from coordinator.release.release import FILES, contents_of, require_free, write_release
from wardround.canonical import sha256
from wardround.contract.model import Contract
from wardround.errors import Broken, Refused
from wardround.identity.roster import Roster
from wardround.study.encoding import Encoding
from wardround.study.model import Study
from wardround.weights.packing import from_safetensors

MODEL_FILES = {"model.safetensors", "last.safetensors", "encoding.json"}


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("status", ["complete", "partial", "failed"])
def test_the_sums_hold(tmp_path, bundle, request, status):
    """Every other file of a release is in SHA256SUMS, as sha256sum itself reads it, in order of name."""
    folder = tmp_path / "deep" / "release"
    write_release(folder, bundle, request.getfixturevalue(status))
    done = subprocess.run(["sha256sum", "-c", "--strict", "SHA256SUMS"], cwd=folder, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    listed = [line.split("  ")[1] for line in (folder / "SHA256SUMS").read_text().splitlines()]
    assert listed == sorted(_names(folder) - {"SHA256SUMS"})


def test_a_changed_file_does_not_verify(tmp_path, bundle, complete):
    write_release(tmp_path / "release", bundle, complete)
    with (tmp_path / "release" / "history.json").open("ab") as file:
        file.write(b" ")
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path / "release", check=False, capture_output=True)
    assert done.returncode == 1


def test_it_holds_what_it_says(tmp_path, bundle, complete, partial, failed, comparison):
    """The report's list of files is the folder's."""
    compared = replace(complete, statistics={})  # a study that asks for distributions, of whom nobody shares any
    cases = {"a": (compared, comparison), "b": (partial, None), "c": (failed, None)}
    for name, (outcome, beside) in cases.items():
        write_release(tmp_path / name, bundle, outcome, comparison=beside)
        assert _names(tmp_path / name) == {file for file, _ in contents_of(bundle, outcome, beside)}
    assert _names(tmp_path / "a") == set(FILES) - {"imaging.json"}


def test_a_failed_study_leaves_no_model(tmp_path, bundle, failed):
    """Whatever was computed before it failed: no weights, no best round, no figures."""
    assert failed.best is not None
    assert failed.best_metrics is not None
    write_release(tmp_path / "release", bundle, failed)
    names = _names(tmp_path / "release")
    assert not names & MODEL_FILES
    assert {"history.json", "report.html", "MODEL_CARD.md"} < names
    history = History.model_validate_json((tmp_path / "release" / "history.json").read_bytes())
    assert (history.status, history.best_round, history.best_metrics, history.test) == ("failed", 0, None, None)
    assert [problem.code for problem in history.problems] == ["C-FAILED"]
    assert len(history.visits) == len(failed.history)


def test_the_weights_are_the_best_and_the_last(tmp_path, bundle, complete):
    write_release(tmp_path / "release", bundle, complete)
    for name, weights in (("model", complete.best), ("last", complete.last)):
        packed = from_safetensors((tmp_path / "release" / f"{name}.safetensors").read_bytes())
        assert packed is not None
        assert np.array_equal(packed[0], weights)
        assert packed[1] == bundle.manifest


def test_the_values_can_be_read_again(tmp_path, bundle, partial, comparison):
    """Each JSON file is a closed value of ours, and reads back equal."""
    write_release(tmp_path / "release", bundle, partial, comparison=comparison)
    read = {path.name: path.read_bytes() for path in (tmp_path / "release").glob("*.json")}
    assert Study.model_validate_json(read["study.json"]) == bundle.study
    assert Contract.model_validate_json(read["contract.json"]) == bundle.contract
    assert Roster.model_validate_json(read["roster.json"]) == bundle.roster
    assert Encoding.model_validate_json(read["encoding.json"]) == partial.encoding
    assert Comparison.model_validate_json(read["comparison.json"]) == comparison
    history = History.model_validate_json(read["history.json"])
    assert history.visits == tuple(partial.history)
    assert history.reports == partial.reports
    assert (history.status, history.counted, history.of) == ("partial", ("north",), 3)
    assert Environment.model_validate_json(read["environment.json"]).bundle == bundle.versions


def test_the_environment_names_no_host(tmp_path, bundle, complete):
    """A release is published: it says on what software it was made, not on whose machine."""
    write_release(tmp_path / "release", bundle, complete)
    text = (tmp_path / "release" / "environment.json").read_text()
    found = json.loads(text)
    assert found["python"].startswith("3.")
    assert "numpy" in found["packages"]
    for private in (os.uname().nodename, str(tmp_path), str(Path.cwd()), str(Path.home())):
        assert f'"{private}' not in text


def test_equal_outcomes_give_equal_bytes(tmp_path, bundle, complete, comparison):
    for name in ("one", "two"):
        write_release(tmp_path / name, bundle, complete, comparison=comparison)
    assert {path.name: sha256(path.read_bytes()) for path in (tmp_path / "one").iterdir()} == {
        path.name: sha256(path.read_bytes()) for path in (tmp_path / "two").iterdir()
    }


def test_an_existing_release_stays(tmp_path, bundle, complete):
    """A release is written once; an empty folder is as good as none."""
    folder = tmp_path / "release"
    folder.mkdir()
    write_release(folder, bundle, complete)
    before = (folder / "SHA256SUMS").read_bytes()
    for taken in (folder, folder / "study.json"):
        with pytest.raises(Refused) as caught:
            write_release(taken, bundle, complete)
        assert caught.value.codes == ("O-EXISTS",)
        with pytest.raises(Refused):
            require_free(taken)
    assert (folder / "SHA256SUMS").read_bytes() == before
    assert _names(tmp_path) == {"release"}


@pytest.mark.parametrize("flushed", [0, 3, 9, 11])
def test_a_full_disk_leaves_nothing(tmp_path, bundle, complete, monkeypatch, flushed):
    """Wherever the writing fails, neither a release nor a part of one is left, there or beside."""
    real, calls = os.fsync, []

    def fsync(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) > flushed:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(Refused) as caught:
        write_release(tmp_path / "release", bundle, complete)
    assert caught.value.codes == ("O-WRITE",)
    assert str(tmp_path) not in str(caught.value)
    assert _names(tmp_path) == set()


def test_a_parent_that_is_a_file_is_refused(tmp_path, bundle, complete):
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused) as caught:
        write_release(tmp_path / "file" / "release", bundle, complete)
    assert caught.value.codes == ("O-WRITE",)


def test_a_result_without_weights_is_our_bug(tmp_path, bundle, complete):
    complete.best = None
    with pytest.raises(Broken):
        write_release(tmp_path / "release", bundle, complete)
    assert _names(tmp_path) == set()
