"""Who asks: the study's author, a person with a key, and the two signatures that a study bundle may carry.

``author.json`` in a bundle: the author's signature over the study hash. ``coordinator.json``: the centre's, over the study
hash and the author's key, made when the study is submitted. Neither is part of the study hash, so that signing needs no
circle; an approval names the author's key instead. A name in a signature is what its owner typed: only a fingerprint that
was compared on another way says who it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from wardround.canonical import canonical_bytes, model_bytes, model_json
from wardround.errors import Refused, refuse
from wardround.files import write_new
from wardround.identity.keys import PublicKey, Signature, SigningKey, fingerprint, load_key, verify
from wardround.identity.roster import read_party
from wardround.values import PersonName, Sha256, Value

AUTHORSHIP = "authorship"
SUBMISSION = "submission"
KEY_SUFFIX = ".pem"
PARTY_SUFFIX = ".json"


class Author(Value):
    """A person who asks studies, and the public key by which others know this person again."""

    kind: Literal["author"] = "author"
    name: PersonName
    institution: PersonName
    signing_key: PublicKey

    @property
    def fingerprint(self) -> str:
        """What the author reads over the phone."""
        return fingerprint(self.signing_key)

    @property
    def stated(self) -> str:
        """The name with the institution, as a study states its author."""
        return f"{self.name}, {self.institution}"

    def is_stated(self, text: str) -> bool:
        """Say whether a study's ``author`` is this person: the name, with or without the institution."""
        return text in (self.name, self.stated)


class Authorship(Value):
    """What an author signs: this study is mine."""

    protocol: Literal[1] = 1
    study_hash: Sha256
    author: Author


class SignedAuthorship(Value):
    """``author.json`` in a bundle."""

    authorship: Authorship
    signature: Signature

    @property
    def author(self) -> Author:
        """Who signed, by their own words, and with which key."""
        return self.authorship.author

    def holds(self) -> bool:
        """Say whether it is signed by the key that it names. Whose key that is, only a compared fingerprint says."""
        return verify(self.author.signing_key, self.signature, AUTHORSHIP, model_bytes(self.authorship))


class Submission(Value):
    """What a centre signs: I ask this study of its hospitals, and its author is who has this key (None: nobody signed)."""

    protocol: Literal[1] = 1
    study_hash: Sha256
    author: PublicKey | None


class SignedSubmission(Value):
    """``coordinator.json`` in a bundle."""

    submission: Submission
    signature: Signature

    def holds(self, coordinator: PublicKey) -> bool:
        """Say whether it is signed by a centre's key."""
        return verify(coordinator, self.signature, SUBMISSION, model_bytes(self.submission))


def sign_authorship(study_hash: str, author: Author, key: SigningKey) -> SignedAuthorship:
    """Sign a study as its author."""
    authorship = Authorship(study_hash=study_hash, author=author)
    return SignedAuthorship(authorship=authorship, signature=key.sign(AUTHORSHIP, model_bytes(authorship)))


def sign_submission(study_hash: str, author: PublicKey | None, key: SigningKey) -> SignedSubmission:
    """Sign a study as the centre that asks it."""
    submission = Submission(study_hash=study_hash, author=author)
    return SignedSubmission(submission=submission, signature=key.sign(SUBMISSION, model_bytes(submission)))


def party_path(key_path: Path) -> Path:
    """Give the file of the public half, beside the key's."""
    return key_path.with_suffix(PARTY_SUFFIX)


def create_author(key_path: Path, name: PersonName, institution: PersonName, passphrase: bytes) -> Author:
    """Make a person's key and, beside it, the public ``.json`` for others: both, or none.

    Raises:
        Refused: K-EXISTS when one of the two files is there already; O-WRITE.
    """
    key = SigningKey.generate()
    author = Author(name=name, institution=institution, signing_key=key.public)
    if party_path(key_path).exists():
        raise _party_exists(key_path)
    key.save(key_path, passphrase)
    try:
        write_new(party_path(key_path), canonical_bytes(model_json(author)))
    except FileExistsError:
        key_path.unlink()
        raise _party_exists(key_path) from None
    except BaseException:
        key_path.unlink()
        raise
    return author


def _party_exists(key_path: Path) -> Refused:
    return refuse(
        "K-EXISTS",
        party_path(key_path).name,
        "Keys are never overwritten, nor what belongs to them",
        "there is such a file already",
        "name another file, or move that one away first",
    )


def load_author(key_path: Path, passphrase: bytes) -> tuple[Author, SigningKey]:
    """Read a person's key and the public half beside it.

    Raises:
        Refused: K-MISSING, K-MODE, K-FORMAT, K-PASSPHRASE of the key; Y-FILE, K-FORMAT of the public half.
    """
    key = load_key(key_path, passphrase)
    author = read_party(party_path(key_path), Author)
    if author.signing_key != key.public:
        raise refuse(
            "K-FORMAT",
            party_path(key_path).name,
            "The file beside an author's key names that key",
            "it names another one",
            "restore the two files that were made together",
        )
    return author, key
