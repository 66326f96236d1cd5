"""``wardround coordinator``: the centre's commands."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click
from pydantic import ValidationError

from coordinator.brought import read_brought
from coordinator.canary_command import begin, canary
from coordinator.certificates import expires, renew_brought
from coordinator.certificates import renew as renew_certificate
from coordinator.doctor_command import doctor
from coordinator.enrol_command import enrol
from coordinator.history_command import history
from coordinator.identity import KEYS, PUBLIC, CentreFile, init_centre
from coordinator.reconcile_command import reconcile_command
from coordinator.remove_command import remove_hospital
from coordinator.service_commands import start, status, stop, submit, watch
from coordinator.statistics_command import statistics
from wardround.canonical import model_json
from wardround.console import format_option, print_json, say
from wardround.directory import check_format
from wardround.errors import Problem, Refused, refuse
from wardround.identity.address import check_host, split_address
from wardround.values import instant

DEFAULT_ADDRESS = "localhost:8443"


def _host(_context: click.Context, _parameter: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(check_host(name) for name in names)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


also_named_option = click.option(
    "--also-named", "also_named", multiple=True, callback=_host, help="Another DNS name or IP address for the server certificate."
)
certificates_option = click.option(
    "--certificates",
    "files",
    nargs=3,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="CERTIFICATE KEY AUTHORITY",
    help="The institution's, in PEM: for this server (with those between it and the root), its key, and the root.",
)
folder_argument = click.argument("folder", type=click.Path(path_type=Path, file_okay=False))


@click.group()
def coordinator() -> None:
    """Run the trusted centre."""


@coordinator.command()
@folder_argument
@click.option("--name", required=True, help="The centre's name, as hospitals will read it.")
@click.option("--address", default=DEFAULT_ADDRESS, show_default=True, help="HOST:PORT that hospitals connect to.")
@click.option("--listen", help="ADDRESS:PORT to listen on [default: 0.0.0.0 and the port of --address].")
@also_named_option
@certificates_option
@format_option
def init(
    folder: Path,
    name: str,
    address: str,
    listen: str | None,
    also_named: tuple[str, ...],
    files: tuple[Path, Path, Path] | None,
    form: str,
) -> None:
    """Make the centre in FOLDER: its keys, its own certificate authority, its server certificate, and centre.yaml.

    With --certificates they are the institution's, and no authority is made here; hospitals pin the institution's.

    Private keys are made here, are readable by you only, and never leave. coordinator.json is public: study bundles name it.
    """
    settings = _settings(name, address, listen)
    _refuse_names(files, also_named)
    brought = None if files is None else read_brought(files, split_address(address)[0], datetime.now(UTC))
    made = init_centre(folder, settings, also_named, brought)
    until = instant(expires(folder))
    if form == "json":
        print_json(
            {
                "coordinator": model_json(made),
                "fingerprint": made.fingerprint,
                "address": address,
                "certificate_expires_at": until,
            }
        )
        return
    say(f"Made the keys of {name} in {folder / KEYS} (readable by you only).")
    say(f"  fingerprint {made.fingerprint}")
    say(f"  address     {address}, certificate until {until}")
    say(f"Give {folder / PUBLIC} to study authors; hospitals compare the fingerprint by phone.")
    say(f"Next: wardround coordinator enrol REQUEST --dir {folder}, for the request.json of each hospital")


def _settings(name: str, address: str, listen: str | None) -> CentreFile:
    """Put the settings together.

    Raises:
        Refused: Y-VALUE for each option that is not in order.
    """
    try:
        return CentreFile(name=name, address=address, listen=listen or f"0.0.0.0:{split_address(address)[1]}")
    except ValidationError as error:
        faults = {str(each["loc"][0]): each["msg"].removeprefix("Value error, ") for each in error.errors()}
    except ValueError as error:
        faults = {"address": str(error)}
    raise Refused(
        [
            Problem(
                "Y-VALUE", f"--{option}", "Names and addresses are of one form", rule, "see: wardround coordinator init --help"
            )
            for option, rule in faults.items()
        ]
    )


def _refuse_names(files: tuple[Path, ...] | None, also_named: tuple[str, ...]) -> None:
    """Refuse names for a certificate that others made.

    Raises:
        Refused: X-USAGE.
    """
    if files is not None and also_named:
        raise refuse(
            "X-USAGE",
            "--also-named",
            "A certificate names what its authority wrote into it",
            "names are given for a certificate that is brought",
            "leave --also-named out, and ask the institution for a certificate with these names",
        )


@coordinator.command()
@folder_argument
@also_named_option
@certificates_option
@click.option("--hospitals-join-again", is_flag=True, help="Take --certificates of another AUTHORITY than hospitals have pinned.")
@format_option
def renew(
    folder: Path,
    also_named: tuple[str, ...],
    files: tuple[Path, Path, Path] | None,
    form: str,
    *,
    hospitals_join_again: bool,
) -> None:
    """Issue a new server certificate for the centre in FOLDER, before the old one expires or for other names.

    Hospitals need do nothing. It names the address in centre.yaml, every name of the old certificate, and --also-named.
    With --certificates it is the institution's, signed by the authority that hospitals have pinned.
    """
    check_format(folder)
    _refuse_names(files, also_named)
    moved = False
    if files is None:
        renew_certificate(folder, also_named)
    else:
        moved = renew_brought(folder, files, another_authority=hospitals_join_again)
    until = instant(expires(folder))
    if form == "json":
        print_json({"certificate_expires_at": until, "authority_changed": moved})
        return
    say(f"{'Made' if files is None else 'Took'} a new server certificate, until {until}.")
    if moved:
        say("The authority is another one: hospitals cannot connect before they have joined again. Write each a new invitation:")
        say(f"  wardround coordinator enrol {folder / 'silos'}/SITE.json --dir {folder}")
    say(f"Next: wardround coordinator stop {folder}, then start: the running centre still shows the old one")


coordinator.add_command(doctor)
coordinator.add_command(enrol)
coordinator.add_command(remove_hospital)
coordinator.add_command(history)
coordinator.add_command(statistics)
coordinator.add_command(reconcile_command)


for _service in (start, stop, submit, canary, begin, status, watch):
    coordinator.add_command(_service)
