"""The centre's own key and identity, made in its directory by ``wardround coordinator init``."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from wardround.canonical import canonical_bytes, model_json
from wardround.errors import refuse
from wardround.files import write_atomic
from wardround.identity.keys import SigningKey, load_key
from wardround.identity.roster import Coordinator

KEYS = "keys"
SIGNING = "coordinator.pem"
PUBLIC = "coordinator.json"


def create_centre(folder: Path, name: str) -> Coordinator:
    """Make the centre's signing key and its ``coordinator.json`` (the public half only).

    Raises:
        Refused: K-EXISTS when there is a key already.
    """
    key = SigningKey.generate()
    (folder / KEYS).mkdir(mode=0o700, parents=True, exist_ok=True)
    key.save(folder / KEYS / SIGNING)
    coordinator = Coordinator(name=name, signing_key=key.public)
    write_atomic(folder / PUBLIC, canonical_bytes(model_json(coordinator)))
    return coordinator


def load_centre(folder: Path) -> tuple[Coordinator, SigningKey]:
    """Read the centre's identity and key, and check that they belong together.

    Raises:
        Refused: K-MISSING, K-MODE, K-FORMAT.
    """
    try:
        coordinator = Coordinator.model_validate_json((folder / PUBLIC).read_bytes())
    except OSError:
        raise refuse(
            "K-MISSING",
            PUBLIC,
            "A centre has a key of its own",
            "there is none in this folder",
            "run: wardround coordinator init DIR",
        ) from None
    except ValidationError:
        raise refuse("K-FORMAT", PUBLIC, "The file is as init wrote it", "it was changed", "restore the file") from None
    key = load_key(folder / KEYS / SIGNING)
    if key.public != coordinator.signing_key:
        raise refuse("K-FORMAT", PUBLIC, "The file names this centre's key", "the key is another one", "restore key and file")
    return coordinator, key
