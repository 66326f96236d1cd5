"""What `silo status` says of the last training: how far, and whether it was resumed or begun anew, and why."""

from __future__ import annotations

import pytest
from paper_records import rows, write_site

from silo_node.house import run_folder
from silo_node.training_state import TRAINING_STATE, TrainingState, read_training_state, write_training_state

STATE = TrainingState(
    study_hash="a" * 64,
    work="b" * 64,
    round=4,
    phase="training",
    epoch=3,
    epochs=10,
    percent=27,
    at="2026-01-02T03:04:05Z",
)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "round 4: training, epoch 3 of 10, 27 %, at 2026-01-02T03:04:05Z."),
        ({"start": "resumed", "after": 2}, "resumed after epoch 2"),
        (
            {"start": "restarted", "why": ("processor", "torch")},
            "begun anew, since a checkpoint could not be used (processor, torch)",
        ),
    ],
)
def test_status_tells_of_the_last_training(tmp_path, wardround, changes, words):
    """In words and as JSON, also while nothing runs."""
    site = write_site(tmp_path, rows(20))
    state = STATE.model_copy(update=changes)
    write_training_state(run_folder(site), state)
    assert read_training_state(run_folder(site)) == state
    told = wardround("silo", "status", "--site", site.path)
    assert told.status == 1
    assert words in " ".join(told.out.split())
    shown = wardround("silo", "status", "--site", site.path, "--format", "json").json()
    assert TrainingState.model_validate(shown["training"], strict=False) == state


@pytest.mark.parametrize("content", [None, b"", b"{}", b"\xff", b'{"epoch": "rm -rf"}'])
def test_a_state_that_cannot_be_read_is_no_state(tmp_path, wardround, content):
    """Without the file, or with a damaged one, the rest of the status is told."""
    site = write_site(tmp_path, rows(20))
    if content is not None:
        (run_folder(site) / TRAINING_STATE).write_bytes(content)
    told = wardround("silo", "status", "--site", site.path)
    assert "does not run" in told.out
    assert "training" not in told.out
    assert wardround("silo", "status", "--site", site.path, "--format", "json").json()["training"] is None
