"""``wardround coordinator``: the centre's commands."""

from __future__ import annotations

from pathlib import Path

import click
from pydantic import ValidationError

from coordinator.canary_command import begin, canary
from coordinator.certificates import expires
from coordinator.certificates import renew as renew_certificate
from coordinator.doctor_command import doctor
from coordinator.enrol_command import enrol
from coordinator.history_command import history
from coordinator.identity import KEYS, PUBLIC, CentreFile, init_centre
from coordinator.reconcile_command import reconcile_command
from coordinator.remove_command import remove_hospital
from coordinator.service_commands import start, status, stop, submit, watch
from wardround.canonical import model_json
from wardround.console import format_option, print_json, say
from wardround.directory import check_format
from wardround.errors import Problem, Refused
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
@format_option
def init(folder: Path, name: str, address: str, listen: str | None, also_named: tuple[str, ...], form: str) -> None:
    """Make the centre in FOLDER: its keys, its own certificate authority, its server certificate, and centre.yaml.

    Private keys are made here, are readable by you only, and never leave. coordinator.json is public: study bundles name it.
    """
    made = init_centre(folder, _settings(name, address, listen), also_named)
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


@coordinator.command()
@folder_argument
@also_named_option
@format_option
def renew(folder: Path, also_named: tuple[str, ...], form: str) -> None:
    """Issue a new server certificate for the centre in FOLDER, before the old one expires or for other names.

    Hospitals need do nothing. It names the address in centre.yaml, every name of the old certificate, and --also-named.
    """
    check_format(folder)
    renew_certificate(folder, also_named)
    until = instant(expires(folder))
    if form == "json":
        print_json({"certificate_expires_at": until})
        return
    say(f"Made a new server certificate, until {until}.")
    say(f"Next: wardround coordinator stop {folder}, then start: the running centre still shows the old one")


coordinator.add_command(doctor)
coordinator.add_command(enrol)
coordinator.add_command(remove_hospital)
coordinator.add_command(history)
coordinator.add_command(reconcile_command)


for _service in (start, stop, submit, canary, begin, status, watch):
    coordinator.add_command(_service)
