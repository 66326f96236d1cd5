"""An outcome survives its release: what is read back is what was written, and nothing else is believed."""

from __future__ import annotations

import json
import shutil
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from coordinator.release.disclosure import disclose
from coordinator.release.release import write_release
from coordinator.rounds.outcome import Outcome
from wardround.canonical import sha256
from wardround.errors import Problem, Refused
from wardround_lab.demo.released import read_outcome
from wardround_lab.demo.story import Demo


def test_what_was_written_is_read_back(made: Demo) -> None:
    """Every field of what others may see comes back, to the bit; so a release made of it is the same but for the comparison."""
    back, shown = read_outcome(made.release, made.bundle), replace(disclose(made.outcome), shares={})
    for field in fields(Outcome):
        wanted, found = getattr(shown, field.name), getattr(back, field.name)
        if isinstance(wanted, np.ndarray):
            assert wanted.tobytes() == found.tobytes(), field.name
        else:
            assert wanted == found, field.name


def test_a_failure_is_read_back(made: Demo, tmp_path: Path) -> None:
    """A failed study comes back with its problems, and without weights."""
    problem = Problem("C-QUORUM", "round 1", "Enough hospitals count", "1 did", "look at the hospitals")
    outcome = Outcome(roster=made.bundle.roster.sites, history=made.outcome.history[:1], problems=(problem,))
    write_release(tmp_path / "release", made.bundle, outcome)
    back = read_outcome(tmp_path / "release", made.bundle)
    assert (back.status, back.stopped, back.problems) == ("failed", "failed", (problem,))
    assert back.best is back.last is back.encoding is None


def copy(made: Demo, folder: Path) -> Path:
    release = folder / "release"
    shutil.copytree(made.release, release)
    return release


def test_a_changed_file_is_refused(made: Demo, tmp_path: Path) -> None:
    """One changed byte of any file is found by the checksums."""
    release = copy(made, tmp_path)
    (release / "encoding.json").write_bytes((release / "encoding.json").read_bytes() + b" ")
    with pytest.raises(Refused) as error:
        read_outcome(release, made.bundle)
    assert error.value.codes == ("E-HASH",)


def test_a_missing_file_is_refused(made: Demo, tmp_path: Path) -> None:
    """A release without one of its files is none."""
    release = copy(made, tmp_path)
    (release / "history.json").unlink()
    with pytest.raises(Refused) as error:
        read_outcome(release, made.bundle)
    assert error.value.codes == ("E-READ",)


def test_another_studys_release_is_refused(made: Demo, tmp_path: Path) -> None:
    """A release that verifies but is of another study is not taken for this one's."""
    release = copy(made, tmp_path)
    history = json.loads((release / "history.json").read_bytes())
    before = sha256((release / "history.json").read_bytes())
    (release / "history.json").write_text(json.dumps({**history, "study_hash": "0" * 64}))
    sums = (release / "SHA256SUMS").read_text().replace(before, sha256((release / "history.json").read_bytes()))
    (release / "SHA256SUMS").write_text(sums)
    with pytest.raises(Refused) as error:
        read_outcome(release, made.bundle)
    assert error.value.codes == ("E-READ",)
