"""``wardround study author`` and ``wardround study sign``: the key of a person who asks studies, and the signature by it."""

from __future__ import annotations

from pathlib import Path

import click
from pydantic import TypeAdapter, ValidationError

from wardround.canonical import Json, model_json
from wardround.console import format_option, print_json, say
from wardround.errors import refuse
from wardround.identity.author import KEY_SUFFIX, Author, create_author, load_author, party_path
from wardround.identity.keys import SigningKey
from wardround.identity.passphrase import AUTHOR, new_passphrase, passphrase_option, read_passphrase
from wardround.study.bundle import Bundle, read_bundle
from wardround.values import PersonName

NOBODY = "signed by nobody"

_NAME: TypeAdapter[str] = TypeAdapter(PersonName)

author_option = click.option(
    "--author", type=click.Path(path_type=Path, dir_okay=False), help="The key of the study's author, who signs the bundle."
)


def open_author(key_path: Path, passphrase_file: Path | None) -> tuple[Author, SigningKey]:
    """Open an author's key; its passphrase is asked for when no file is given.

    Raises:
        Refused: K- and Y- codes.
    """
    return load_author(key_path, read_passphrase(passphrase_file, AUTHOR))


def signed_by_words(bundle: Bundle) -> str:
    """Say who signed a bundle as its author; the signature was verified when the bundle was read."""
    return NOBODY if bundle.author is None else f"{bundle.author.fingerprint}  {bundle.author.stated}"


def author_json(bundle: Bundle) -> Json:
    """Give who signed a bundle as its author, for programs: null for nobody."""
    return None if bundle.author is None else {**model_json(bundle.author), "fingerprint": bundle.author.fingerprint}


@click.group()
def author() -> None:
    """Look after the key of a person who asks studies."""


@author.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--name", required=True, help="Your name, as studies state their author.")
@click.option("--institution", required=True, help="Where you work.")
@passphrase_option
@format_option
def init(file: Path, name: str, institution: str, passphrase_file: Path | None, form: str) -> None:
    """Make your key in FILE (NAME.pem), protected by a passphrase, and beside it the public NAME.json for hospitals.

    With the key you sign the studies that you ask (study build --author). Hospitals write its fingerprint into their policy,
    once you have read it to them over the phone. The key is readable by you only, and never leaves.
    """
    if file.suffix != KEY_SUFFIX:
        raise refuse(
            "X-USAGE", str(file), f"The file of a key ends with {KEY_SUFFIX}", "it does not", f"name it so: me{KEY_SUFFIX}"
        )
    try:
        _NAME.validate_python(name), _NAME.validate_python(institution)
    except ValidationError:
        raise refuse(
            "X-USAGE",
            "--name, --institution",
            "Each is one line of 1 to 200 printable characters",
            "one of the two is empty, too long or not printable",
            "give both",
        ) from None
    made = create_author(file, name, institution, new_passphrase(passphrase_file, AUTHOR))
    if form == "json":
        print_json({"author": model_json(made), "fingerprint": made.fingerprint})
        return
    say(f"Made the key of {made.name} in {file} (readable by you only).")
    say(f"  fingerprint {made.fingerprint}")
    say(f"Next: give {party_path(file)} to the hospitals and read them the fingerprint over the phone.")
    say(f"In a study write either line:  author: {made.name}  or  author: {made.stated}")


@click.command()
@click.argument("bundle_path", metavar="BUNDLE", type=click.Path(path_type=Path))
@click.option(
    "--author", "key_path", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The key of the study's author."
)
@passphrase_option
@format_option
def sign(bundle_path: Path, key_path: Path, passphrase_file: Path | None, form: str) -> None:
    """Sign BUNDLE as the author of its study, where somebody else built it; the study hash stays the same.

    Your signature says that this study, with these hospitals, is yours: what it is, is shown before your passphrase is asked
    for. Hospitals that approved the unsigned bundle are asked anew, since an approval names the author's key.
    """
    unsigned = read_bundle(bundle_path)
    if form != "json":
        say(_what_is_signed(unsigned))
    bundle = unsigned.signed(*open_author(key_path, passphrase_file))
    bundle.write(bundle_path)
    if form == "json":
        print_json({"bundle": str(bundle_path), "study_hash": bundle.study_hash, "author": author_json(bundle)})
        return
    say(f"Signed {bundle_path}\n  study hash  {bundle.study_hash}\n  author      {signed_by_words(bundle)}")


def _what_is_signed(bundle: Bundle) -> str:
    """Say what an author is about to sign, before the passphrase is asked for."""
    study, roster = bundle.study, bundle.roster
    centre = ("centre", roster.coordinator.fingerprint, roster.coordinator.name)
    parties = [centre, *((member.site, member.fingerprint, member.name) for member in roster.silos)]
    width = max(len(site) for site, _, _ in parties)
    lines = [f"  {site.ljust(width)}  {fingerprint}  {name}" for site, fingerprint, name in parties]
    return "\n".join([f"{study.name} {study.version}, by {study.author}: {study.title}", *lines])
