"""New keys for a hospital that stays the same: made beside the old ones, taken up when the centre knows them.

    rekey/                   new keys that wait, made whole by ``silo rekey``
    rekey/succession.json    what goes to the centre
    rekey/invitation.json    the centre's answer; from the moment that it is there, the new keys are the hospital's
    successions/N.json       every succession that was taken up, the oldest first

Until the answer is there, everything runs with the old keys; what is in ``rekey/`` can be thrown away. Once it is there, the
steps below are taken, and taken again after a death, until ``rekey/`` is gone: the ledger names the new key in an entry under
the old one, the new keys take the places of the old ones, and so the old private keys are gone.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

from silo_node.identity import (
    ENCRYPTION,
    KEYS,
    NODE_KEY,
    REKEY,
    REKEY_ANSWER,
    REQUEST,
    SIGNING,
    load_identity,
    read_request,
    signing_key,
    successions,
    successions_folder,
)
from silo_node.joining import Joined, check_invitation, pin
from wardround.errors import refuse
from wardround.files import new_private_folder, sync_folder, write_atomic, write_new
from wardround.identity.encryption import EncryptionKey
from wardround.identity.invitation import read_invitation
from wardround.identity.keys import SigningKey, read_private
from wardround.identity.succession import SignedSuccession, not_signed, parse_succession, succeed
from wardround.identity.tls import make_node_key
from wardround.ledger.entries import AnyEntry, KeysRenewed
from wardround.ledger.folder import FOLDER
from wardround.ledger.writing import LedgerWriter
from wardround.values import instant

STATEMENT = "succession.json"
NEW_FILES = (SIGNING, ENCRYPTION, NODE_KEY)
DONE = ".rekey.done"


def prepare(folder: Path, approval: SigningKey, now: datetime | None = None) -> SignedSuccession:
    """Make new keys that wait, all or none, and the statement that goes to the centre. The old ones go on working.

    Raises:
        Refused: K-EXISTS when new keys wait already; K-REKEY and K- codes of the old ones, and when the approval key is not
            this hospital's; O-WRITE.
    """
    before = load_identity(folder)
    signing, encryption, node = SigningKey.generate(), EncryptionKey.generate(), make_node_key()
    after = before.model_copy(
        update={"signing_key": signing.public, "encryption_key": encryption.public, "node_key": node.public.decode()}
    )
    moment = now or datetime.now(UTC)
    signed = succeed(before, after, moment, old=signing_key(folder), approval=approval, new=signing)
    if not signed.holds():
        raise refuse(
            "K-FORMAT",
            f"{KEYS}/approval.pem",
            "The approval key is the one that the hospital's request names",
            "it is another one",
            "restore the key file",
        )
    try:
        with new_private_folder(folder / REKEY) as waiting:
            signing.save(waiting / SIGNING)
            encryption.save(waiting / ENCRYPTION)
            write_new(waiting / NODE_KEY, node.private, mode=0o600)
            write_new(waiting / STATEMENT, signed.file_bytes(), mode=0o600)
    except FileExistsError:
        raise refuse(
            "K-EXISTS",
            REKEY,
            "New keys are made once, and then taken up",
            "new keys wait already",
            f"send {REKEY}/{STATEMENT} to the centre's operator; to begin again before it was enrolled there, remove {REKEY}/",
        ) from None
    return signed


def waiting(folder: Path) -> SignedSuccession | None:
    """Give the succession of new keys that wait; None when there are none.

    Raises:
        Refused: I-SUCCESSION when it is not as it was written.
    """
    path = folder / REKEY / STATEMENT
    if not path.exists():
        return None
    signed = parse_succession(path)
    if signed is None or not signed.holds():
        raise not_signed(f"{REKEY}/{STATEMENT}")
    return signed


def accept(folder: Path, path: Path, fingerprint: str | None = None, now: datetime | None = None) -> Joined | None:
    """Take the centre's invitation, if it is of new keys that wait here, and take them up. The node must not run.

    Gives nothing, and does nothing, when it is another invitation.

    Raises:
        Refused: as ``check_invitation``; I-SUCCESSION when the new keys are not for the keys of now; K- and L- codes; O-WRITE.
    """
    statement = waiting(folder)
    if statement is None or read_invitation(path).invitation.member.keys != statement.after.keys:
        return None
    if load_identity(folder) != statement.before:
        raise not_signed(f"{REKEY}/{STATEMENT}")
    signed = check_invitation(folder, statement.after, path, fingerprint, now)
    write_atomic(folder / REKEY / REKEY_ANSWER, signed.file_bytes(), mode=0o600)
    return take_up(folder)


def take_up(folder: Path) -> Joined | None:
    """Go on with a renewal that the centre has answered, from wherever it was left; None when there is none.

    Raises:
        Refused: L-BUSY when the node runs; I-SUCCESSION, K- and L- codes when files were changed; O-WRITE. It is gone on with
            at the next try.
    """
    staged = folder / REKEY
    shutil.rmtree(folder / DONE, ignore_errors=True)
    statement = waiting(folder)
    if statement is None or not (staged / REKEY_ANSWER).exists():
        return None
    _keep(folder, statement)
    key = signing_key(folder)
    if key.public == statement.before.signing_key:
        _write_down(folder, key, statement)
    elif key.public != statement.after.signing_key:
        raise not_signed(f"{KEYS}/{SIGNING}")
    for name in NEW_FILES:
        write_atomic(folder / KEYS / name, read_private(staged / name), mode=0o600)
    request = read_request(folder)
    write_atomic(folder / REQUEST, request.model_copy(update=vars(statement.after)).file_bytes())
    joined = pin(folder, read_invitation(staged / REKEY_ANSWER))
    try:
        staged.rename(folder / DONE)  # at once, so that no half of it is ever found
        sync_folder(folder)
    except OSError as error:
        raise refuse(
            "O-WRITE",
            REKEY,
            "New keys that were taken up wait no longer",
            f"the folder cannot be moved ({type(error).__name__})",
            "check the folder's rights, then start the node",
        ) from None
    shutil.rmtree(folder / DONE, ignore_errors=True)
    return joined


def _keep(folder: Path, statement: SignedSuccession) -> None:
    """Keep the succession among those that were taken up, once."""
    known = successions(folder)
    if statement not in known:
        write_atomic(successions_folder(folder) / f"{len(known) + 1}.json", statement.file_bytes(), mode=0o600)


def _write_down(folder: Path, key: SigningKey, statement: SignedSuccession) -> None:
    """Write into the ledger, under the old key, which key comes after it; once."""
    seen: list[AnyEntry] = []
    writer = LedgerWriter(folder / FOLDER, key, seen.append)
    try:
        if not any(isinstance(entry, KeysRenewed) and entry.statement == statement for entry in seen):
            writer.append(KeysRenewed(time=instant(datetime.now(UTC)), statement=statement))
    finally:
        writer.close()
