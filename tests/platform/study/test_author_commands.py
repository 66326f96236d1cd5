"""``wardround study author init`` and ``wardround study sign``, as a data scientist types them."""

from __future__ import annotations

import json

import pytest
from studies_on_paper import paper

from wardround.study.bundle import read_bundle


@pytest.fixture
def key(tmp_path, wardround):
    path = tmp_path / "ana.pem"
    assert wardround("study", "author", "init", path, "--name", "A. Scientist", "--institution", "Institute").status == 0
    return path


def fingerprint(words) -> str:
    return next(line.split(maxsplit=1)[1].strip() for line in words.splitlines() if "fingerprint" in line)


def test_a_key_is_made_and_its_fingerprint_said(tmp_path, wardround):
    """For people, and for programs; never the key."""
    words = ("--name", "Ana Ruiz", "--institution", "Institute")
    answer = wardround("study", "author", "init", tmp_path / "ana.pem", *words)
    assert answer.status == 0
    assert fingerprint(answer.out).count(" ") == 5
    assert "author: Ana Ruiz, Institute" in answer.out
    told = wardround("study", "author", "init", tmp_path / "luis.pem", *words, "--format", "json").json()
    assert told["author"] == json.loads((tmp_path / "luis.json").read_bytes())
    assert wardround("study", "author", "init", tmp_path / "ana.pem", *words).status == 2


@pytest.mark.parametrize(
    ("file", "name", "code"), [("ana", "Ana", "X-USAGE"), ("ana.pem", "", "X-USAGE"), ("ana.pem", "A\x1b[1m", "X-USAGE")]
)
def test_wrong_words_make_nothing(tmp_path, wardround, file, name, code):
    """A file of another ending, an empty name, one that moves the cursor."""
    answer = wardround("study", "author", "init", tmp_path / file, "--name", name, "--institution", "Institute")
    assert (answer.status, code in answer.err) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_is_signed_by_its_author_once(tmp_path, wardround, key):
    """The study hash stays; a second signature is refused, and the file is as it was."""
    path = tmp_path / "trial.wardround"
    paper().bundle.write(path)
    before = read_bundle(path)
    answer = wardround("study", "sign", path, "--author", key, "--format", "json")
    assert answer.status == 0, answer.err
    told, signed = answer.json(), read_bundle(path)
    assert signed.study_hash == before.study_hash == told["study_hash"]
    assert told["author"]["fingerprint"] == signed.author.fingerprint
    data = path.read_bytes()
    again = wardround("study", "sign", path, "--author", key)
    assert (again.status, "P-AUTHOR" in again.err, "signed already" in again.err) == (2, True, True)
    assert path.read_bytes() == data


def test_nobody_signs_for_another(tmp_path, wardround, key):
    """A study that names somebody else, and a passphrase that does not open the key: nothing is written."""
    path, secret = tmp_path / "trial.wardround", tmp_path / "secret"
    paper(author="Somebody else").bundle.write(path)
    data = path.read_bytes()
    assert "P-AUTHOR" in wardround("study", "sign", path, "--author", key).err
    secret.write_text("another passphrase")
    secret.chmod(0o600)
    assert "K-PASSPHRASE" in wardround("study", "sign", path, "--author", key, "--passphrase-file", secret).err
    assert path.read_bytes() == data
