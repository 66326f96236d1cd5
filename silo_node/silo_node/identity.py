"""A hospital's own keys and identity, made in its directory by ``wardround silo init``.

keys/signing.pem       signs what the node sends
keys/encryption.pem    the centre encrypts weights and bundles to it
keys/approval.pem      signs approvals; a person's, whose passphrase opens it: no process of the node can
keys/node.key          the SuperNode signs in at the centre with it
keys/data.key          keys the fingerprints of records in approvals and ledger
keys/runtime.secret    what the hospital's own processes show each other; goes nowhere
request.json           the public halves, for the centre and study authors, and whom the centre may call
policy.yaml            what the hospital allows (``silo_node.policy``); the default one where there is none yet
successions/           how the hospital came to its present keys, if it had others before (``silo_node.rekeying``)
format                 how the directory is to be read (``wardround.directory``)
"""

from __future__ import annotations

import secrets
from pathlib import Path

from pydantic import ValidationError

from silo_node.data_key import new_data_key
from silo_node.policy import PolicyFile
from wardround.directory import check_format, write_format
from wardround.errors import Refused, refuse
from wardround.files import new_private_folder, write_atomic, write_new
from wardround.identity.encryption import EncryptionKey, load_encryption_key
from wardround.identity.keys import SigningKey, load_key, read_private
from wardround.identity.roster import Member, Request
from wardround.identity.succession import SignedSuccession, read_successions
from wardround.identity.tls import make_node_key, node_key_public

KEYS = "keys"
SIGNING = "signing.pem"
ENCRYPTION = "encryption.pem"
APPROVAL = "approval.pem"
NODE_KEY = "node.key"
RUNTIME_SECRET = "runtime.secret"  # noqa: S105  (a file's name)
REQUEST = "request.json"
SECRET_BYTES = 32
REKEY = "rekey"
REKEY_ANSWER = "invitation.json"
"""In ``REKEY``: while it is there, new keys are being taken up."""
SUCCESSIONS = "successions"


def create_identity(
    folder: Path, site: str, name: str, passphrase: bytes | None = None, *, city: str | None = None, contact: str | None = None
) -> Member:
    """Make the hospital's keys, all or none, its ``request.json`` (public halves only), and a default policy if it has none.

    Args:
        folder: the hospital's directory.
        site: its name in rosters.
        name: its name for people.
        passphrase: opens the key that signs approvals; the command always gives one.
        city: where the hospital is, for the centre's operator; in the request only.
        contact: whom the operator calls there; in the request only.

    Raises:
        Refused: K-EXISTS when there are keys already; Y-VALUE when the name cannot be shown safely; V-FORMAT.
    """
    check_no_identity(folder, site)
    signing, approval, node = SigningKey.generate(), SigningKey.generate(), make_node_key()
    encryption = EncryptionKey.generate()
    try:
        request = Request(
            site=site,
            name=name,
            signing_key=signing.public,
            encryption_key=encryption.public,
            approval_key=approval.public,
            node_key=node.public.decode(),
            city=city,
            contact=contact,
        )
    except ValidationError:
        raise refuse(
            "Y-VALUE",
            f"site {site}",
            "A hospital's name is one line of 1 to 200 printable characters",
            "the name in the site file is not",
            "mend 'name' in site.yaml",
        ) from None
    try:
        with new_private_folder(folder / KEYS) as keys:
            signing.save(keys / SIGNING)
            encryption.save(keys / ENCRYPTION)
            approval.save(keys / APPROVAL, passphrase)
            write_new(keys / NODE_KEY, node.private, mode=0o600)
            new_data_key(keys)
            write_new(keys / RUNTIME_SECRET, secrets.token_bytes(SECRET_BYTES), mode=0o600)
            write_atomic(folder / REQUEST, request.file_bytes())
            PolicyFile(folder).write_default()
            write_format(folder)
    except FileExistsError:
        raise _exist_already(site) from None
    return request.member


def check_no_identity(folder: Path, site: str) -> None:
    """Check that keys can be made in a folder.

    Raises:
        Refused: K-EXISTS when there are keys already; V-FORMAT.
    """
    check_format(folder)
    if _holds_something(folder / KEYS):
        raise _exist_already(site)


def _holds_something(folder: Path) -> bool:
    return folder.exists() and (not folder.is_dir() or any(folder.iterdir()))


def _exist_already(site: str) -> Refused:
    return refuse(
        "K-EXISTS",
        f"site {site}",
        "Keys are never overwritten",
        "this site has keys already",
        "use them, or move them away first",
    )


def load_identity(folder: Path) -> Member:
    """Read the hospital's identity and check that its keys belong to it.

    Raises:
        Refused: V-FORMAT when a newer release made the directory; K-REKEY when new keys were half taken up; K-MISSING, K-MODE,
            K-FORMAT.
    """
    check_format(folder)
    if (folder / REKEY / REKEY_ANSWER).exists():
        raise refuse(
            "K-REKEY",
            REKEY,
            "New keys are taken up whole before anything else is done",
            "this was begun, and cut off",
            "start the node, which goes on with it: wardround silo start --site site.yaml",
        )
    member = read_request(folder).member
    if signing_key(folder).public != member.signing_key:
        raise _other_key("signing key")
    if encryption_key(folder).public != member.encryption_key:
        raise _other_key("encryption key")
    if node_key_public(read_private(folder / KEYS / NODE_KEY)) != member.node_key:
        raise _other_key("node key")
    return member


def read_request(folder: Path) -> Request:
    """Read the hospital's request.

    Raises:
        Refused: K-MISSING, K-FORMAT.
    """
    try:
        return Request.model_validate_json((folder / REQUEST).read_bytes())
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


def successions(folder: Path) -> tuple[SignedSuccession, ...]:
    """Give the successions by which the hospital came to its present keys, the oldest first.

    Raises:
        Refused: I-SUCCESSION.
    """
    return read_successions(sorted(successions_folder(folder).glob("*.json"), key=lambda path: (len(path.stem), path.stem)))


def successions_folder(folder: Path) -> Path:
    """Give the folder of successions that were taken up."""
    return folder / SUCCESSIONS


def _other_key(which: str) -> Refused:
    return refuse(
        "K-FORMAT", REQUEST, "The identity names this site's keys", f"the {which} is another one", "restore keys and file"
    )


def signing_key(folder: Path) -> SigningKey:
    """Read the key that signs this hospital's replies."""
    return load_key(folder / KEYS / SIGNING)


def encryption_key(folder: Path) -> EncryptionKey:
    """Read the key to which the centre encrypts what it sends."""
    return load_encryption_key(folder / KEYS / ENCRYPTION)


def approval_key(folder: Path, passphrase: bytes | None = None) -> SigningKey:
    """Read the approver's key; only the approve command does.

    Raises:
        Refused: K-PASSPHRASE when the passphrase does not open it; K-MISSING, K-MODE, K-FORMAT.
    """
    return load_key(folder / KEYS / APPROVAL, passphrase)


def change_passphrase(folder: Path, old: bytes, new: bytes) -> None:
    """Protect the approver's key by another passphrase; the key, and all that it signed, stay the same.

    Raises:
        Refused: as ``approval_key``; O-WRITE.
    """
    write_atomic(folder / KEYS / APPROVAL, approval_key(folder, old).pem(new), mode=0o600)
