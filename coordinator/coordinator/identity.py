"""The centre's own keys and identity, made in its directory by ``wardround coordinator init``.

    keys/coordinator.pem              signs tasks, receipts and invitations
    keys/encryption.pem               hospitals encrypt their changes of weights to it
    keys/authority.key, .pem          signs the server certificate; hospitals pin the certificate
    keys/server.key, .pem             the public listener's (and what ``coordinator.brought`` says, if the institution made it)
    keys/token, keys/secret           what the centre's own processes show each other
    coordinator.json                  the public identity, for study authors
    centre.yaml                       name and addresses
    silos/SITE.json                   who is enrolled
    silos/SITE.removed.json           that it is not any more (``coordinator.removal``)
    format                            how the directory is to be read (``wardround.directory``)

A simulation's centre has the first two and ``coordinator.json`` only: it opens no connection.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import ValidationError

from coordinator.brought import Brought, files_of, make_loopback
from wardround.canonical import canonical_bytes, model_json
from wardround.directory import check_format, write_format
from wardround.errors import Problem, Refused, raise_all, refuse
from wardround.files import new_private_folder, write_atomic, write_new
from wardround.identity.address import Address, ListenAddress, split_address
from wardround.identity.encryption import EncryptionKey, load_encryption_key
from wardround.identity.keys import SigningKey, load_key
from wardround.identity.roster import Coordinator, Member
from wardround.identity.tls import issue_server, make_authority
from wardround.strict_yaml import load, parse
from wardround.values import PersonName, Value

KEYS = "keys"
SIGNING = "coordinator.pem"
ENCRYPTION = "encryption.pem"
PUBLIC = "coordinator.json"
SETTINGS = "centre.yaml"
SILOS = "silos"
REMOVED_SUFFIX = ".removed.json"
SECRET_BYTES = 32


class CentreFile(Value):
    """``centre.yaml``: who the centre is and where it is found.

    Attributes:
        address: ``host:port`` that hospitals connect to; invitations carry it, the server certificate names it.
        listen: ``address:port`` that the public listener takes.
    """

    name: PersonName
    address: Address
    listen: ListenAddress


@dataclass(frozen=True)
class CentreFiles:
    """The paths of what the SuperLink needs, and the conductor to speak to it."""

    authority: Path
    certificate: Path
    key: Path
    token: Path
    secret: Path


@dataclass(frozen=True)
class Centre:
    """A centre's public identity and its private keys."""

    coordinator: Coordinator
    key: SigningKey
    encryption: EncryptionKey


def make_centre(name: str) -> Centre:
    """Make new keys and the public identity that they belong to.

    Raises:
        Refused: Y-VALUE when the name cannot be shown safely.
    """
    key, encryption = SigningKey.generate(), EncryptionKey.generate()
    try:
        coordinator = Coordinator(name=name, signing_key=key.public, encryption_key=encryption.public)
    except ValidationError:
        raise refuse(
            "Y-VALUE",
            "--name",
            "A centre's name is one line of 1 to 200 printable characters",
            "this name is not",
            "give another name",
        ) from None
    return Centre(coordinator, key, encryption)


def create_centre(folder: Path, name: str) -> Coordinator:
    """Make a centre's own two keys and its ``coordinator.json`` (the public halves only): all that a simulation needs.

    Raises:
        Refused: K-EXISTS when there is a key already; Y-VALUE; V-FORMAT.
    """
    check_format(folder)
    made = make_centre(name)
    (folder / KEYS).mkdir(mode=0o700, parents=True, exist_ok=True)
    made.key.save(folder / KEYS / SIGNING)
    made.encryption.save(folder / KEYS / ENCRYPTION)
    write_atomic(folder / PUBLIC, canonical_bytes(model_json(made.coordinator)))
    write_format(folder)
    return made.coordinator


def init_centre(
    folder: Path, settings: CentreFile, also_named: Sequence[str] = (), brought: Brought | None = None
) -> Coordinator:
    """Make a whole centre, all or nothing: keys, authority, server certificate, token, secret, and the public files.

    The certificates are the centre's own, unless the institution's are ``brought``.

    Raises:
        Refused: K-EXISTS when there are keys already; O-WRITE; V-FORMAT.
    """
    check_format(folder)
    if (folder / KEYS).is_dir() and any((folder / KEYS).iterdir()):
        raise _exist_already()
    made = make_centre(settings.name)
    private = {
        **(_own_certificates(settings, also_named) if brought is None else {**files_of(brought), **make_loopback()}),
        "token": secrets.token_urlsafe(SECRET_BYTES).encode(),
        "secret": secrets.token_bytes(SECRET_BYTES),
    }
    try:
        with new_private_folder(folder / KEYS) as keys:
            made.key.save(keys / SIGNING)
            made.encryption.save(keys / ENCRYPTION)
            for name, data in private.items():
                write_new(keys / name, data, mode=0o600)
            write_atomic(folder / SETTINGS, yaml.safe_dump(model_json(settings), sort_keys=False, allow_unicode=True).encode())
            write_atomic(folder / PUBLIC, canonical_bytes(model_json(made.coordinator)))
            write_format(folder)
    except FileExistsError:
        raise _exist_already() from None
    return made.coordinator


def _own_certificates(settings: CentreFile, also_named: Sequence[str]) -> dict[str, bytes]:
    authority = make_authority(settings.name)
    server = issue_server(authority, [split_address(settings.address)[0], *also_named])
    return {
        "authority.key": authority.private,
        "authority.pem": authority.public,
        "server.key": server.private,
        "server.pem": server.public,
    }


def _exist_already() -> Refused:
    return refuse(
        "K-EXISTS",
        KEYS,
        "Keys are never overwritten",
        "this folder holds keys already",
        "use them, or move them away first: hospitals and studies would need new ones of you",
    )


def load_centre(folder: Path) -> Centre:
    """Read the centre's identity and keys, and check that they belong together.

    Raises:
        Refused: V-FORMAT when a newer release made the directory; K-MISSING, K-MODE, K-FORMAT.
    """
    check_format(folder)
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
    key, encryption = load_key(folder / KEYS / SIGNING), load_encryption_key(folder / KEYS / ENCRYPTION)
    if (key.public, encryption.public) != coordinator.keys:
        raise refuse("K-FORMAT", PUBLIC, "The file names this centre's keys", "a key is another one", "restore keys and file")
    return Centre(coordinator, key, encryption)


def load_centre_file(folder: Path) -> CentreFile:
    """Read ``centre.yaml``.

    Raises:
        Refused: any Y- code.
    """
    return parse(CentreFile, load(folder / SETTINGS))


def centre_files(folder: Path) -> CentreFiles:
    """Give the paths of a centre's connection files; a simulation's centre has none.

    Raises:
        Refused: K-MISSING, for all that are absent.
    """
    keys = folder / KEYS
    files = CentreFiles(
        authority=keys / "authority.pem",
        certificate=keys / "server.pem",
        key=keys / "server.key",
        token=keys / "token",
        secret=keys / "secret",
    )
    raise_all(
        [
            Problem(
                "K-MISSING",
                f"{KEYS}/{path.name}",
                "A centre has its own authority, server certificate, token and secret",
                "the file is missing",
                "restore the folder keys/, or make a centre in a new folder: wardround coordinator init DIR",
            )
            for path in vars(files).values()
            if not path.is_file()
        ]
    )
    return files


def enrolled(folder: Path) -> tuple[Member, ...]:
    """Give the hospitals that are enrolled at a centre and not removed, by their site names; the folder may be growing.

    Raises:
        Refused: K-FORMAT for every file that is not as ``enrol`` wrote it.
    """
    members: list[Member] = []
    problems: list[Problem] = []
    for path in sorted((folder / SILOS).glob("[a-z]*.json")):
        if "." in path.stem or removal_path(folder, path.stem).exists():  # no site has a dot in its name
            continue
        member = read_entry(folder, path.stem)
        if member is None:
            problems.append(
                Problem(
                    "K-FORMAT",
                    f"{SILOS}/{path.name}",
                    "The file is as enrol wrote it",
                    "it was changed, or cannot be read",
                    "remove it and enrol the hospital's request.json again",
                )
            )
        else:
            members.append(member)
    raise_all(problems)
    return tuple(members)


def entry_path(folder: Path, site: str) -> Path:
    """Give the path of a hospital's entry, which is its own request."""
    return folder / SILOS / f"{site}.json"


def removal_path(folder: Path, site: str) -> Path:
    """Give the path of the record that a hospital is removed: it is, as soon as the file is there."""
    return folder / SILOS / f"{site}{REMOVED_SUFFIX}"


def read_entry(folder: Path, site: str) -> Member | None:
    """Read a hospital's entry, removed or not; None when there is none that can be read."""
    try:
        member = Member.model_validate_json(entry_path(folder, site).read_bytes())
    except (OSError, ValidationError):
        return None
    return member if member.site == site else None
