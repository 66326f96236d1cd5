"""Looking at a centre changes nothing, least of all a folder in which there is none."""

import pytest


@pytest.mark.parametrize("words", [("status",), ("watch", "--until-done")])
def test_a_folder_without_a_centre_is_said_to_be_none(wardround, tmp_path, words):
    """A mistyped folder is an error that names it; it is neither a centre without studies, nor made."""
    command, *options = words
    answer = wardround("coordinator", command, tmp_path / "mistyped", *options)
    assert (answer.status, answer.out) == (2, "")
    assert "Y-FILE" in answer.err
    assert list(tmp_path.iterdir()) == []
