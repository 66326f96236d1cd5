"""A hospital's own keys and identity, made in its directory by ``wardround silo init``."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from wardround.canonical import canonical_bytes, model_json
from wardround.errors import refuse
from wardround.files import write_atomic
from wardround.identity.keys import SigningKey, load_key
from wardround.identity.roster import Member

KEYS = "keys"
SIGNING = "signing.pem"
APPROVAL = "approval.pem"
REQUEST = "request.json"


def create_identity(folder: Path, site: str, name: str) -> Member:
    """Make the hospital's keys and its ``request.json`` (public halves only).

    Raises:
        Refused: K-EXISTS when there are keys already.
    """
    keys = folder / KEYS
    for existing in (SIGNING, APPROVAL):
        if (keys / existing).exists():
            raise refuse(
                "K-EXISTS",
                f"site {site}",
                "Keys are never overwritten",
                "this site has keys already",
                "use them, or move them away first",
            )
    keys.mkdir(mode=0o700, parents=True, exist_ok=True)
    signing, approval = SigningKey.generate(), SigningKey.generate()
    signing.save(keys / SIGNING)
    approval.save(keys / APPROVAL)
    member = Member(site=site, name=name, signing_key=signing.public, approval_key=approval.public)
    write_atomic(folder / REQUEST, canonical_bytes(model_json(member)))
    return member


def load_identity(folder: Path) -> Member:
    """Read the hospital's identity and check that its keys belong to it.

    Raises:
        Refused: K-MISSING, K-MODE, K-FORMAT.
    """
    try:
        member = Member.model_validate_json((folder / REQUEST).read_bytes())
    except OSError:
        raise refuse(
            "K-MISSING",
            REQUEST,
            "A site has keys of its own",
            "this site has no identity yet",
            "run: wardround silo init --site site.yaml",
        ) from None
    except ValidationError:
        raise refuse("K-FORMAT", REQUEST, "The identity file is as init wrote it", "it was changed", "restore the file") from None
    if signing_key(folder).public != member.signing_key:
        raise refuse(
            "K-FORMAT", REQUEST, "The identity names this site's keys", "the signing key is another one", "restore keys and file"
        )
    return member


def signing_key(folder: Path) -> SigningKey:
    """Read the key that signs this hospital's replies."""
    return load_key(folder / KEYS / SIGNING)


def approval_key(folder: Path) -> SigningKey:
    """Read the approver's key; only the approve command does."""
    return load_key(folder / KEYS / APPROVAL)
