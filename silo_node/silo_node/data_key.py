"""The keyed fingerprint of a study's records: says whether they are the same as before, to nobody but this hospital.

A plain digest of few records could be found by trying. The key, ``keys/data.key``, is made here and never leaves.
"""

from __future__ import annotations

import hmac
import secrets
from contextlib import suppress
from pathlib import Path

from wardround.directory import KEYS
from wardround.files import write_new
from wardround.identity.keys import read_private
from wardround.values import Sha256

DATA_KEY = "data.key"
KEY_BYTES = 32
_DOMAIN = b"wardround/data/1\0"
_RECORDS = b"wardround/records/1\0"


def new_data_key(keys: Path) -> None:
    """Make the key in the hospital's folder of keys."""
    write_new(keys / DATA_KEY, secrets.token_bytes(KEY_BYTES), mode=0o600)


def keyed_fingerprint(folder: Path, fingerprint: str) -> Sha256 | None:
    """Give the fingerprint of a study's records (``Cohort.fingerprint``) under the hospital's key, in hexadecimal digits.

    None for a hospital without keys, where nothing is approved. One whose keys are from before there was such a key gets one.

    Raises:
        Refused: K-MODE when others may read the key; O-WRITE when it cannot be made.
    """
    key = _key(folder)
    return None if key is None else hmac.digest(key, _DOMAIN + bytes.fromhex(fingerprint), "sha256").hex()


def records_key(folder: Path) -> bytes | None:
    """Give the key under which single records are known again, to this hospital alone; None for a hospital without keys.

    Raises:
        Refused: K-MODE when others may read the data key; O-WRITE when it cannot be made.
    """
    key = _key(folder)
    return None if key is None else hmac.digest(key, _RECORDS, "sha256")


def _key(folder: Path) -> bytes | None:
    keys = folder / KEYS
    if not keys.is_dir():
        return None
    if not (keys / DATA_KEY).exists():
        with suppress(FileExistsError):  # another process of this hospital was first
            new_data_key(keys)
    return read_private(keys / DATA_KEY)
