"""One line of a ledger: canonical JSON ``{"entry": …, "hash": …, "previous": …, "sequence": …, "signature": …}``.

``signature`` is the hospital's Ed25519 signature over entry, previous hash and sequence; ``hash`` covers those and the
signature, and is the next line's ``previous``. So a signature that holds vouches for its own line and, through the hashes,
for every byte before it: to verify a ledger, hash every line and check the last signature. Where that one does not hold,
the first that does not is of the first entry that the hospital did not write.

Lines are compared as bytes. Reading one as JSON, and writing it anew to see whether it was canonical, would take twenty
times as long, and would find nothing more: what the hospital signed is what it wrote.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from wardround.canonical import model_bytes
from wardround.identity.keys import PublicKey, SigningKey, verify
from wardround.ledger.entries import ENTRY, AnyEntry

KIND = "ledger"
GENESIS = "0" * 64
"""Stands for the line before the first."""
_DOMAIN = b"wardround/ledger/1\0"
_START = b'{"entry":'
_SIGNATURE = 128
_FORM = re.compile(
    rb'(\{"entry":\{.*\}),"hash":"([0-9a-f]{64})"(,"previous":"([0-9a-f]{64})","sequence":(\d{1,15}),"signature":"([0-9a-f]{128})"\})',
    re.DOTALL,
)


@dataclass(slots=True)
class Line:
    """A line whose hash holds. Attributes: ``head`` is all of it up to the hash, as bytes; the rest is what the line says."""

    sequence: int
    hash: str
    previous: str
    signature: str
    head: bytes

    @property
    def content(self) -> bytes:
        """The entry's canonical JSON."""
        return self.head[len(_START) :]

    def entry(self) -> AnyEntry:
        """Read the entry; ``ValidationError`` when it is none that this version knows."""
        return ENTRY.validate_json(self.content)

    def text(self, key: str) -> str:
        """Give the text of a key of the entry, without reading the rest; empty when it has none.

        In canonical JSON no text holds a bare quotation mark, so what looks like a key is one. Of keys that an approval has
        inside, none is asked for.
        """
        start = self.head.find(f'"{key}":"'.encode())
        if start < 0:
            return ""
        start += len(key) + 4
        return self.head[start : self.head.find(b'"', start)].decode(errors="replace")

    def signed_by(self, public: PublicKey) -> bool:
        """Say whether the hospital with this signing key wrote the line, and so every one before it."""
        return verify(public, self.signature, KIND, _signed(self.head, self.previous, self.sequence))


def _signed(head: bytes, previous: str, sequence: int) -> bytes:
    return head + f',"previous":"{previous}","sequence":{sequence}}}'.encode()


def write_line(entry: AnyEntry, sequence: int, previous: str, key: SigningKey) -> tuple[bytes, str]:
    """Give the bytes of the next line, with its line break, and its hash."""
    return seal_line(model_bytes(entry), sequence, previous, key)


def seal_line(content: bytes, sequence: int, previous: str, key: SigningKey) -> tuple[bytes, str]:
    """Give the bytes of the next line and its hash, from an entry's canonical JSON."""
    head = _START + content
    signature = key.sign(KIND, _signed(head, previous, sequence))
    tail = f',"previous":"{previous}","sequence":{sequence},"signature":"{signature}"}}'.encode()
    hashed = hashlib.sha256(_DOMAIN + head + tail).hexdigest()
    return head + b',"hash":"' + hashed.encode() + b'"' + tail + b"\n", hashed


def next_line(data: bytes, sequence: int, previous: str) -> Line | None:
    """Read a line (without its break) that must be the next one; None when it is not, whatever the reason."""
    signature = data[-_SIGNATURE - 2 : -2].decode("latin-1")
    tail = f',"previous":"{previous}","sequence":{sequence},"signature":"{signature}"}}'.encode("latin-1")
    split = len(data) - len(tail) - 74  # ,"hash":"…64…"
    head = data[:split]
    hashed = hashlib.sha256(_DOMAIN + head + tail).hexdigest()
    if split < len(_START) or data[split:] != b',"hash":"' + hashed.encode() + b'"' + tail or not head.startswith(_START):
        return None
    return Line(sequence, hashed, previous, signature, head)


def any_line(data: bytes) -> Line | None:
    """Read a line wherever it may belong; None when it is not whole, or is not what its own hash says."""
    found = _FORM.fullmatch(data)
    return None if found is None else next_line(data, int(found[5]), found[4].decode())
