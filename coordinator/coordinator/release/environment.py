"""``environment.json``: on what the centre computed. Names of packages and systems only: no host, user or folder."""

from __future__ import annotations

import platform
from typing import Literal

from wardround import PROTOCOL
from wardround.identity.software import RUNTIME, code_digest, package_versions
from wardround.study.bundle import Bundle, Versions
from wardround.values import Sha256, Value

OWN_PACKAGES = ("coordinator", "wardround", "wardround_schemas")
_DISTRIBUTIONS = ("wardround-workspace", "wardround-platform", "wardround-coordinator", "wardround-schemas", "wardround-lab")
_REPORTING = ("jinja2", "matplotlib")


class Environment(Value):
    """What the centre computed with.

    Attributes:
        machine: processor architecture; ``system``: operating system and version.
        packages: versions of our packages and of others that decide what is computed, as far as installed.
        code: digest over the centre's own code.
        bundle: what the study's author built the bundle with.
    """

    kind: Literal["environment"] = "environment"
    format: Literal[1] = 1
    protocol: int
    python: str
    implementation: str
    system: str
    machine: str
    packages: dict[str, str]
    code: Sha256
    bundle: Versions


def environment_of(bundle: Bundle) -> Environment:
    """Describe this process's environment and the bundle's."""
    return Environment(
        protocol=PROTOCOL,
        python=platform.python_version(),
        implementation=platform.python_implementation(),
        system=f"{platform.system()} {platform.release()}",
        machine=platform.machine(),
        packages=package_versions((*_DISTRIBUTIONS, *RUNTIME, *_REPORTING)),
        code=code_digest(OWN_PACKAGES),
        bundle=bundle.versions,
    )
