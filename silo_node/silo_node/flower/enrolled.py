"""``python -m silo_node.flower.enrolled``: would the centre let this hospital's node in? Asked as the SuperNode signs in.

The question is Flower's own sign-in (``ActivateNode``), signed with the node's key, with a heartbeat interval that no
SuperLink takes: one that does not know the key says so first, one that knows it refuses the interval. So the answer
tells the two apart, and nothing changes at the centre, whether the node runs meanwhile or not. That Flower answers in
this order is held by ``tests/flower/test_enrolled.py``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from silo_node.way_out import WayOut, handed_on
from wardround.transport.environment import SWITCHED_OFF, flower_environment

Enrolled: TypeAlias = Literal["yes", "no", "refused", "unknown"]
"""``refused``: the signature is not accepted, or the clock in it; ``unknown``: there was no answer that says it."""

MODULE = "silo_node.flower.enrolled"
NO_INTERVAL = 0.0
PATIENCE_SECONDS = 20.0


def ask_enrolled(
    address: str, authority: Path, node_key: Path, seconds: float = PATIENCE_SECONDS, way_out: WayOut | None = None
) -> Enrolled:
    """Ask the centre, in a process of its own with the environment of a SuperNode: no proxy but the site's, no telemetry."""
    paths = ("--authority", str(authority.absolute()), "--node-key", str(node_key.absolute()))
    with tempfile.TemporaryDirectory() as home:
        try:
            done = subprocess.run(  # noqa: S603  (our own command line)
                [sys.executable, "-m", MODULE, "--centre", address, *paths],
                env={**flower_environment(Path(home)), **({} if way_out is None else way_out.environment())},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                check=False,
                timeout=seconds,
            )
        except subprocess.TimeoutExpired:
            return "unknown"
    answers: dict[bytes, Enrolled] = {word.encode(): word for word in get_args(Enrolled)}
    return answers.get(done.stdout.strip(), "unknown")


def main() -> None:
    """Ask once, and print the answer in a word."""
    parser = argparse.ArgumentParser(description="Ask the centre whether it would let a node in.")
    parser.add_argument("--centre", required=True, help="host:port of the centre")
    parser.add_argument("--authority", required=True, type=Path)
    parser.add_argument("--node-key", required=True, type=Path)
    arguments = parser.parse_args()
    os.environ.update(SWITCHED_OFF)
    print(_ask(arguments.centre, arguments.authority, arguments.node_key))  # noqa: T201  (told to whoever started us)


def _ask(centre: str, authority: Path, node_key: Path) -> Enrolled:
    # the environment comes first
    import httpx  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key  # noqa: PLC0415
    from flwr.proto.fleet_pb2 import ActivateNodeRequest  # noqa: PLC0415
    from flwr.supercore.error import ApiErrorCode, FlowerError  # noqa: PLC0415
    from flwr.supercore.primitives.asymmetric import public_key_to_bytes  # noqa: PLC0415
    from flwr.supernode.fleet_http_client import FleetHttpClient  # noqa: PLC0415
    from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor  # noqa: PLC0415

    from silo_node.flower.tunnel import fleet_client  # noqa: PLC0415
    from wardround.transport.channel import HeaderInterceptor  # noqa: PLC0415

    key = load_ssh_private_key(node_key.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        return "unknown"
    public = key.public_key()
    version = HeaderInterceptor(lambda _: {})
    way_out = handed_on()
    route = None if way_out is None else way_out.route()
    kind = FleetHttpClient if route is None else fleet_client(route)
    with kind.from_server_address(
        centre, insecure=False, root_certificates=str(authority), interceptors=[version, NodeAuthHttpInterceptor(key, public)]
    ) as client:
        try:
            client.ActivateNode(ActivateNodeRequest(public_key=public_key_to_bytes(public), heartbeat_interval=NO_INTERVAL))
        except httpx.HTTPStatusError as error:
            if error.response.status_code == httpx.codes.UNAUTHORIZED:
                return "refused"
            answers: dict[int, Enrolled] = {
                ApiErrorCode.FLEET_INVALID_HEARTBEAT_INTERVAL: "yes",
                ApiErrorCode.FLEET_NODE_ACTIVATION_FAILED: "no",
            }
            told = FlowerError.from_json(error.response.text)
            return "unknown" if told is None else answers.get(told.code, "unknown")
        except httpx.HTTPError:
            return "unknown"
    return "unknown"


if __name__ == "__main__":
    main()
