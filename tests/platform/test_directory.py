"""A directory says how it is to be read, and a release that cannot read it says which one can."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround import __version__
from wardround.canonical import canonical_bytes
from wardround.directory import FORMAT, FORMAT_FILE, check_format, write_format
from wardround.errors import Refused


def refused(folder):
    with pytest.raises(Refused) as caught:
        check_format(folder)
    (problem,) = caught.value.problems
    assert problem.code == "V-FORMAT"
    return problem


def test_what_was_written_is_read(tmp_path):
    """The file is canonical, and names this release."""
    write_format(tmp_path)
    check_format(tmp_path)
    assert (tmp_path / FORMAT_FILE).read_bytes() == canonical_bytes({"format": FORMAT, "written_by": __version__})


def test_a_newer_format_is_refused_and_says_who_reads_it(tmp_path):
    """Also when a newer release has added keys to the file."""
    (tmp_path / FORMAT_FILE).write_text(json.dumps({"format": FORMAT + 1, "written_by": "9.8.7", "since": "2030-01-01"}))
    problem = refused(tmp_path)
    assert "9.8.7" in problem.finding
    assert "9.8.7" in problem.next_step


def test_a_directory_from_before_the_file_is_of_format_1(tmp_path):
    """One with keys is marked; one without is left alone: it is no directory of ours yet."""
    check_format(tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "keys").mkdir()
    check_format(tmp_path)
    assert json.loads((tmp_path / FORMAT_FILE).read_bytes())["format"] == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"1",
        b"[]",
        b"{}",
        b"\xff",
        b'{"format":1}',
        b'{"format":"1","written_by":"0.1.0"}',
        b'{"format":0,"written_by":"0.1.0"}',
        b'{"format":true,"written_by":"0.1.0"}',
        b'{"format":2,"written_by":"\\u001b[2J"}',
    ],
)
def test_a_damaged_file_is_refused(tmp_path, content):
    """No command guesses how to read a directory, and nothing from the file moves the reader's cursor."""
    (tmp_path / FORMAT_FILE).write_bytes(content)
    assert refused(tmp_path).finding == "it was changed"


def test_what_cannot_be_read_is_refused(tmp_path):
    """A folder in the file's place is no format."""
    (tmp_path / FORMAT_FILE).mkdir()
    assert "cannot be read" in refused(tmp_path).finding


@given(st.binary(max_size=60))
def test_no_content_is_an_error_of_another_kind(tmp_path_factory, content):
    """Whatever stands in the file, it is this release's format, or a refusal."""
    folder = tmp_path_factory.mktemp("format")
    (folder / FORMAT_FILE).write_bytes(content)
    refused(folder)
