"""The environment of every process that runs Flower's own code: it calls nobody, installs nothing, keeps to its folder."""

from __future__ import annotations

import os
from pathlib import Path

SWITCHED_OFF = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "FLWR_INTERNAL_GRPC_FLEET_API": "0",
    "FLWR_INTERNAL_GRPC_CONTROL_API": "0",
}
PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "SYSTEMROOT")
"""What a Flower process gets of our own environment; in particular no proxy, credential or other FLWR_ setting."""
NO_PROXY = {"no_proxy": "*", "NO_PROXY": "*"}
"""For processes of ours that speak over Flower's clients, which ask the proxy of the environment even for loopback."""


def flower_environment(home: Path) -> dict[str, str]:
    """Give the whole environment for a Flower process whose FLWR_HOME is a folder of ours."""
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {**passed, **SWITCHED_OFF, "FLWR_HOME": str(home), "HOME": str(home), "PYTHONUNBUFFERED": "1"}
