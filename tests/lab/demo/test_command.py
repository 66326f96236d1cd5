"""Where ``wardround demo`` writes: never over anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from wardround.console import run
from wardround.errors import Refused
from wardround_lab.demo.command import empty_folder, new_folder


def test_each_run_gets_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a folder named, a second run leaves the first one's alone."""
    monkeypatch.chdir(tmp_path)
    first, second = new_folder(), new_folder()
    assert (str(first), str(second)) == ("wardround-demo/run-1", "wardround-demo/run-2")
    assert first.is_dir()
    assert second.is_dir()


def test_a_file_in_the_way_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that bears the default folder's name is refused, not looped over."""
    monkeypatch.chdir(tmp_path)
    Path("wardround-demo").write_text("mine")
    with pytest.raises(Refused) as error:
        new_folder()
    assert error.value.codes[0] in {"O-EXISTS", "O-WRITE"}
    assert Path("wardround-demo").read_text() == "mine"


def test_a_folder_that_holds_something_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command refuses a folder with anything in it, says what to do, and touches nothing."""
    (tmp_path / "mine.txt").write_text("mine")
    assert run(["demo", "--folder", str(tmp_path)]) == 2
    words = capsys.readouterr().err
    assert "O-EXISTS" in words
    assert "--folder" in words
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_empty_folder_will_do(tmp_path: Path) -> None:
    """A named folder may be absent or empty."""
    assert empty_folder(tmp_path) == tmp_path
    assert empty_folder(tmp_path / "new" / "one").is_dir()
