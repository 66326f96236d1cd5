"""``wardround coordinator enrol``: let a hospital in, and write its invitation."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click

from coordinator.enrolment import Enrolment, check_enrolment, check_succession, enrol_succession
from coordinator.enrolment import enrol as enrol_hospital
from wardround.canonical import Json, model_json
from wardround.console import format_option, print_json, say
from wardround.errors import EXIT_DONE, EXIT_NOT_IN_ORDER, refuse
from wardround.identity.roster import Request, read_party
from wardround.identity.succession import SignedSuccession, parse_succession

DEFAULT_DAYS = 30


@click.command()
@click.argument("request", type=click.Path(path_type=Path))
@click.option("--dir", "folder", required=True, type=click.Path(path_type=Path, file_okay=False), help="The centre's directory.")
@click.option("--city", help="Where the hospital is [default: what its request says].")
@click.option("--contact", help="Whom to call there [default: what its request says].")
@click.option(
    "--days",
    default=DEFAULT_DAYS,
    show_default=True,
    type=click.IntRange(1, 365),
    help="How long the invitation can be followed.",
)
@click.option("--again", is_flag=True, help="Let in a hospital again that was removed.")
@click.option("--yes", is_flag=True, help="Do not ask: the fingerprint was compared already.")
@format_option
def enrol(
    request: Path, folder: Path, city: str | None, contact: str | None, days: int, form: str, *, again: bool, yes: bool
) -> int:
    """Enrol the hospital that sent REQUEST (its request.json), and write its signed invitation.

    Compare the fingerprint with the hospital by phone before you say yes: whoever holds these keys is that hospital from
    then on. Call a number that you know, not one that stands in the request. The same request again writes a new invitation.

    REQUEST may also be what `silo rekey` wrote at a hospital that is enrolled: its new keys take the place of the old ones, in
    the studies under way, too, as soon as its node comes with them.
    """
    signed = parse_succession(request)
    if signed is not None:
        return _renew(folder, signed, timedelta(days=days), form, yes=yes)
    asking = read_party(request, Request)
    member, city, contact = asking.member, city or asking.city, contact or asking.contact
    before = check_enrolment(folder, member, again=again)
    if not yes and not _confirmed(asking.model_copy(update={"city": city, "contact": contact}), again=before):
        click.echo("Nothing was enrolled.", err=True)
        return EXIT_NOT_IN_ORDER
    _report(enrol_hospital(folder, member, timedelta(days=days), city=city, contact=contact, again=again), form)
    return EXIT_DONE


def _renew(folder: Path, signed: SignedSuccession, valid: timedelta, form: str, *, yes: bool) -> int:
    """Accept new keys of an enrolled hospital."""
    again = check_succession(folder, signed)
    if not yes:
        click.echo(f"{signed.after.name} (site {signed.after.site}) has new keys" + (", accepted already" * again), err=True)
        click.echo(f"  fingerprint until now  {signed.before.fingerprint}", err=True)
        click.echo(f"  new fingerprint        {signed.after.fingerprint}", err=True)
        if not _compared():
            click.echo("Nothing was changed.", err=True)
            return EXIT_NOT_IN_ORDER
    done = enrol_succession(folder, signed, valid)
    if form == "json":
        print_json({**_told(done), "fingerprint_before": signed.before.fingerprint})
        return EXIT_DONE
    say(f"New keys of: {done.member.name} (site {done.member.site}).")
    say(f"  fingerprint {done.member.fingerprint}")
    say(f"  invitation  {done.invitation_path}, until {done.invitation.expires_at}")
    say("The old keys are in use until its node comes with the new ones; then a running centre begins anew by itself.")
    say(f"Next: send the invitation to the hospital, which stops its node, runs: wardround silo join {done.invitation_path.name}")
    say("  --site site.yaml, and starts it again")
    return EXIT_DONE


def _confirmed(asking: Request, *, again: bool) -> bool:
    """Ask on the terminal, beside what programs read.

    Raises:
        Refused: X-USAGE when nobody can answer.
    """
    click.echo(f"{asking.name} (site {asking.site})" + (", enrolled already with these keys" if again else ""), err=True)
    for label, told in (("city", asking.city), ("contact", asking.contact)):
        if told is not None:
            click.echo(f"  {label:<11} {told}", err=True)
    click.echo(f"  fingerprint {asking.fingerprint}", err=True)
    return _compared()


def _compared() -> bool:
    """Ask whether the fingerprint was compared.

    Raises:
        Refused: X-USAGE when nobody can answer.
    """
    try:
        return click.confirm("Did you compare it with the hospital by phone, and is it the same?", err=True)
    except click.Abort:
        raise refuse(
            "X-USAGE",
            "wardround coordinator enrol",
            "A person compares the fingerprint",
            "nobody answered",
            "run it on a terminal; or with --yes, once the fingerprint was compared",
        ) from None


def _told(done: Enrolment) -> dict[str, Json]:
    return {
        "silo": model_json(done.member),
        "fingerprint": done.member.fingerprint,
        "again": done.again,
        "let_in": done.let_in,
        "entry": str(done.silo_path),
        "invitation": str(done.invitation_path),
        "address": done.invitation.address,
        "expires_at": done.invitation.expires_at,
    }


def _report(done: Enrolment, form: str) -> None:
    member, invitation = done.member, done.invitation
    if form == "json":
        print_json(_told(done))
        return
    done_what = "Let in again" if done.let_in else "Invited again" if done.again else "Enrolled"
    say(f"{done_what}: {member.name} (site {member.site}).")
    say(f"  fingerprint {member.fingerprint}")
    say(f"  invitation  {done.invitation_path}, until {invitation.expires_at}")
    if done.let_in:
        say("If its keys are the ones that were removed: a centre that runs lets them in at its next start, not before.")
    say(
        f"Next: send the invitation to the hospital, which runs: wardround silo join {done.invitation_path.name} --site site.yaml"
    )
