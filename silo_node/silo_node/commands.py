"""``wardround silo``: what a hospital does. Each command is a module of its own."""

from __future__ import annotations

import click

from silo_node.approve_command import approve_command
from silo_node.changed_command import changed
from silo_node.check_command import check
from silo_node.decision_commands import pause_command, reject, resume_command, revoke
from silo_node.doctor_command import doctor
from silo_node.explain_command import explain
from silo_node.extract_command import extract
from silo_node.init_command import init, passphrase
from silo_node.join_command import join
from silo_node.ledger_command import ledger
from silo_node.map_command import map_command
from silo_node.policy_command import policy
from silo_node.preview_command import preview
from silo_node.rekey_command import rekey
from silo_node.review_command import review
from silo_node.service_commands import start, status, stop, studies
from wardround.supervision.no_dump import no_core_dumps


@click.group()
def silo() -> None:
    """Inside the hospital: check records, approve studies, see what left."""
    no_core_dumps()  # of records, and of keys that a passphrase opened


silo.add_command(init)
silo.add_command(passphrase)
silo.add_command(join)
silo.add_command(rekey)
silo.add_command(policy)
silo.add_command(map_command)
silo.add_command(extract)
silo.add_command(check)
silo.add_command(doctor)
silo.add_command(explain)
silo.add_command(review)
silo.add_command(approve_command)
silo.add_command(changed)
silo.add_command(preview)
silo.add_command(ledger)

for _service in (start, stop, status, studies, reject, pause_command, resume_command, revoke):
    silo.add_command(_service)
