"""An author's key: a person's, made whole or not at all, and known by its fingerprint."""

from __future__ import annotations

import pytest

from wardround.errors import Refused
from wardround.identity.author import Author, create_author, load_author, sign_authorship, sign_submission
from wardround.identity.keys import SigningKey

WORDS = b"correct horse battery"


@pytest.fixture
def made(tmp_path):
    path = tmp_path / "ana.pem"
    return path, create_author(path, "Ana Ruiz", "Institute", WORDS)


def codes(path, words=WORDS) -> tuple[str, ...]:
    with pytest.raises(Refused) as refused:
        load_author(path, words)
    return refused.value.codes


def test_a_key_comes_back_by_its_passphrase_alone(made):
    """The key's file is its owner's, protected; the other file is public and holds no secret."""
    path, author = made
    read, key = load_author(path, WORDS)
    assert (read, key.public) == (author, author.signing_key)
    assert path.stat().st_mode & 0o777 == 0o600
    assert b"ENCRYPTED" in path.read_bytes()
    assert Author.model_validate_json(path.with_suffix(".json").read_bytes()) == author
    assert codes(path, b"another passphrase") == ("K-PASSPHRASE",)
    path.chmod(0o644)
    assert codes(path) == ("K-MODE",)


@pytest.mark.parametrize("there", ["ana.pem", "ana.json"])
def test_keys_are_never_overwritten(tmp_path, there):
    """Where one of the two files is, neither is written."""
    (tmp_path / there).write_text("mine")
    with pytest.raises(Refused) as refused:
        create_author(tmp_path / "ana.pem", "Ana Ruiz", "Institute", WORDS)
    assert refused.value.codes == ("K-EXISTS",)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(there, "mine")]


def test_the_public_half_is_that_of_the_key(made, tmp_path):
    """Another person's file beside a key, one that was changed, or none: no signature is made."""
    path, _ = made
    create_author(tmp_path / "luis.pem", "Luis Vega", "Institute", WORDS)
    (tmp_path / "luis.json").replace(path.with_suffix(".json"))
    assert codes(path) == ("K-FORMAT",)
    path.with_suffix(".json").write_text("{}")
    assert codes(path) == ("K-FORMAT",)
    path.with_suffix(".json").unlink()
    assert codes(path) == ("Y-FILE",)


def test_who_is_stated_is_the_name_with_or_without_the_institution(made):
    """Nothing that only looks like it."""
    _, author = made
    assert author.is_stated("Ana Ruiz")
    assert author.is_stated("Ana Ruiz, Institute")
    for other in ("ana ruiz", "Ana Ruiz ", "Ana", "Ana Ruiz,Institute", "Luis Vega", ""):
        assert not author.is_stated(other)


def test_a_signature_is_of_one_kind():
    """What an author signed passes for no centre's word, and the other way round."""
    key = SigningKey.generate()
    author = Author(name="A", institution="B", signing_key=key.public)
    authorship, submission = sign_authorship("a" * 64, author, key), sign_submission("a" * 64, key.public, key)
    assert authorship.holds()
    assert submission.holds(key.public)
    assert not submission.holds(SigningKey.generate().public)
    assert not authorship.model_copy(update={"signature": submission.signature}).holds()
    assert not submission.model_copy(update={"signature": authorship.signature}).holds(key.public)
