"""No key, secret or token is ever shown: not by its object, not by what holds it, not by an error about its file."""

from __future__ import annotations

import ast
import base64
import traceback
from dataclasses import dataclass
from pathlib import Path

import pytest

from coordinator.flower.run import SuperLinkAddress
from coordinator.flower.superlink import Settings
from silo_node.flower.node import SuperNodeAddress
from wardround.errors import Refused
from wardround.identity.encryption import EncryptionKey, load_encryption_key
from wardround.identity.keys import SigningKey, load_key, private_pem
from wardround.identity.tls import KeyPair, issue_server, make_authority, make_node_key, node_key_public
from wardround.messages.confidential import EncryptedArrays
from wardround.transport.channel import Credentials, Secret

SECRET = b"S3cr3t-of-the-runtime-0123456789"
TOKEN = "T0ken-of-the-control-0123456789"  # noqa: S105  (a test's)
SIGNING, ENCRYPTION = SigningKey.generate(), EncryptionKey.generate()
AUTHORITY = make_authority("The centre")
PATH = Path("keys")
HOLDERS: dict[str, tuple[object, tuple[bytes, ...]]] = {
    "signing key": (SIGNING, (SIGNING.pem(),)),
    "encryption key": (ENCRYPTION, (private_pem(ENCRYPTION._private),)),
    "node key": (pair := make_node_key(), (pair.private,)),
    "authority": (AUTHORITY, (AUTHORITY.private,)),
    "server": (server := issue_server(AUTHORITY, ["localhost"]), (server.private,)),
    "secret": (Secret(SECRET), (SECRET,)),
    "credentials by secret": (Credentials(Secret(SECRET)), (SECRET,)),
    "credentials by token": (Credentials(TOKEN), (TOKEN.encode(),)),
    "superlink's address": (SuperLinkAddress("a:1", b"", TOKEN, Secret(SECRET)), (SECRET, TOKEN.encode())),
    "superlink's settings": (Settings(("a", 1), ("b", 2), PATH, PATH, PATH, TOKEN, SECRET), (SECRET, TOKEN.encode())),
    "supernode's address": (SuperNodeAddress("a:1", Secret(SECRET)), (SECRET,)),
    "a body's key": (EncryptedArrays(SECRET, ()), (SECRET,)),
}
PART = 16
"""So many characters of a key in a row count as shown."""


def forms(secret: bytes) -> set[str]:
    """Give every part of a secret, as text, hexadecimal, base64, and as Python writes bytes."""
    lines = [line for line in secret.splitlines() if not line.startswith(b"-----")] or [secret]
    texts = {form for line in lines for form in (line.decode(), line.hex(), base64.b64encode(line).decode(), repr(line)[2:-1])}
    return {text[at : at + PART] for text in texts for at in range(max(len(text) - PART, 0) + 1)}


def shown(text: str, secrets: tuple[bytes, ...]) -> set[str]:
    """Give the parts of secrets that stand in a text."""
    return {part for secret in secrets for part in forms(secret) if part in text}


@dataclass
class Wrapped:
    """Something that holds a holder, as code does that knows nothing of it."""

    inside: object


def trace_with_locals(holder: object) -> str:
    """Give the trace of an error in a function that holds it, as a library prints it that shows local variables."""

    def fails(local: object) -> None:
        raise LookupError(local)

    with pytest.raises(LookupError) as caught:
        fails(holder)
    found = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    return "".join(traceback.format_list(found.stack[-1:])) + "".join(found.format_exception_only())


@pytest.mark.parametrize("name", HOLDERS)
def test_an_object_shows_no_secret(name):
    """repr, str, format, as a part of something else, and in a trace with its local variables."""
    holder, secrets = HOLDERS[name]
    texts = [repr(holder), str(holder), f"{holder}", repr(Wrapped(holder)), repr([holder]), repr({"key": holder})]
    texts.append(trace_with_locals(holder))
    assert "local = " in texts[-1]
    assert shown("\n".join(texts), secrets) == set()
    control = texts[0] + secrets[0].decode().splitlines()[-1 if len(secrets[0].splitlines()) == 1 else 1]
    assert shown(control, secrets), "positive control: a shown secret is found"


def _damaged(pem: bytes) -> dict[str, bytes]:
    """Give key files that cannot be read, each with most of a true key in it."""
    lines = pem.splitlines()
    return {
        "cut": b"\n".join(lines[:-1]),
        "bent": pem[: len(pem) // 2] + b"!" + pem[len(pem) // 2 + 1 :],
        "without its head": b"\n".join(lines[1:-1]),
        "of another kind": make_node_key().private,
    }


@pytest.mark.parametrize("how", _damaged(SIGNING.pem()))
def test_an_error_about_a_key_file_shows_nothing_of_it(tmp_path, how):
    """Neither the refusal nor the errors behind it, with every local variable, hold a piece of the file."""
    for load, pem in ((load_key, SIGNING.pem()), (load_encryption_key, private_pem(ENCRYPTION._private))):
        path = tmp_path / "a.pem"
        path.touch(mode=0o600)
        path.write_bytes(_damaged(pem)[how])
        with pytest.raises(Refused) as refused:
            load(path)
        assert shown("".join(traceback.format_exception(refused.value)), (pem,)) == set()
    assert node_key_public(_damaged(make_node_key().private)["without its head"]) is None


NAMES = ("private", "secret", "token", "passphrase", "password")


def test_whatever_holds_a_secret_says_how_it_is_shown():
    """A class with a field of text or bytes that is named as a secret has a text form of its own, everywhere in the product."""
    found, bare = 0, []
    root = Path(__file__).parents[2]
    for source in (path for part in ("platform", "silo_node", "coordinator", "lab") for path in (root / part).rglob("*.py")):
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.ClassDef):
                fields = [
                    each
                    for each in node.body
                    if isinstance(each, ast.AnnAssign)
                    and isinstance(each.target, ast.Name)
                    and each.target.id.strip("_") in NAMES
                    and ast.unparse(each.annotation) in ("str", "bytes")
                ]
                masked = any(isinstance(each, ast.FunctionDef) and each.name == "__repr__" for each in node.body)
                found += bool(fields)
                if fields and not masked:
                    bare.append(f"{source.name}: {node.name}")
    assert found >= 2
    assert bare == []


def test_a_key_pair_is_masked_where_its_public_half_is_shown():
    """What is shown of a pair is no private half."""
    assert "private" not in repr(KeyPair(b"-----secret-----", b"public")).replace("private=…", "")
