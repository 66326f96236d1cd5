"""``wardround silo rekey``: new keys for this hospital, which stays the same in every study."""

from __future__ import annotations

from pathlib import Path

import click

from silo_node.configuration import Site, load_site
from silo_node.decision_commands import site_option
from silo_node.house import run_folder
from silo_node.identity import REKEY, approval_key, load_identity
from silo_node.rekeying import STATEMENT, prepare
from wardround.canonical import model_json
from wardround.console import format_option, print_json, say
from wardround.errors import refuse
from wardround.identity.passphrase import passphrase_option, read_passphrase
from wardround.supervision.lock import holder


@click.command()
@site_option
@passphrase_option
@format_option
def rekey(site_path: Path, passphrase_file: Path | None, form: str) -> None:
    """Make new keys for this hospital, and the statement that goes to the centre. The old ones go on working until then.

    The new signing, encryption and node key are signed for with the old signing key and with the approver's key and
    passphrase. The approver's key stays, and so does every approval. Studies under way go on: their rosters name the old
    keys, and both sides know what follows from them. If somebody may have the old keys, this is not enough: have the
    centre remove this hospital, and begin anew.
    """
    site = load_site(site_path)
    load_identity(site.folder)
    signed = prepare(site.folder, approval_key(site.folder, read_passphrase(passphrase_file)))
    file, before, after = site.folder / REKEY / STATEMENT, signed.before, signed.after
    if form == "json":
        print_json({"succession": model_json(signed.succession), "fingerprint": after.fingerprint, "file": str(file)})
        return
    say(f"Made new keys of {after.name}, which wait in {file.parent} (readable by you only).")
    say(f"  fingerprint of now  {before.fingerprint}")
    say(f"  new fingerprint     {after.fingerprint}")
    say(f"Next: send {file} to the centre's operator and read them both fingerprints over the phone.")
    say("  When the new invitation is here, stop the node, then run: wardround silo join INVITATION, and start it again")


def refuse_running(site: Site) -> None:
    """Refuse while the node runs: it holds the keys that would be replaced.

    Raises:
        Refused: V-RUNNING.
    """
    found = holder(run_folder(site))
    if found is not None:
        raise refuse(
            "V-RUNNING",
            f"site {site.file.site}",
            "New keys are taken up while the node does not run",
            f"it runs: {found}",
            f"stop it, run this again, then start it: wardround silo stop --site {site.path}",
        )
