"""A proxy that the environment names is for the web: our processes speak to loopback past it, whatever it says."""

from __future__ import annotations

import os
import subprocess
import sys

from approved_study import fixed_keys
from hospitals_on_disk import write_hospital
from studies_on_paper import paper

from coordinator import house as centre_house
from coordinator.identity import CentreFile, init_centre
from silo_node import house as silo_house
from silo_node.configuration import load_site
from silo_node.joining import Joined

PROXY = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
ASK = """
import sys
from pathlib import Path
from coordinator.flower.control import Control
with Control(sys.argv[1], Path(sys.argv[2]).read_bytes(), Path(sys.argv[3]).read_text(), patience=3.0) as control:
    print(len(control.nodes()))
"""


def test_the_conductor_and_the_porter_take_no_proxy(tmp_path, superlink):
    """With the environment that its supervisor gives it, a conductor reaches the SuperLink; else it asks the proxy."""
    with fixed_keys("no proxy"):
        init_centre(tmp_path / "centre", CentreFile(name="C", address="localhost:8443", listen="127.0.0.1:8443"))
    site = load_site(write_hospital(tmp_path / "alpha", "alpha", range(3)).folder / "site.yaml")
    joined = Joined("localhost:8443", tmp_path / "authority.pem", paper().bundle.roster.coordinator, "2026-01-01T00:00:00Z")
    conductor = centre_house.children(tmp_path / "centre", "127.0.0.1:8443")[1]
    porter = silo_house.children(site, joined)[2]
    assert (conductor.name, porter.name) == ("conductor", "porter")
    token = superlink.folder / "token"
    command = [sys.executable, "-c", ASK, superlink.link.address, str(superlink.authority_file), str(token)]

    def reaches(more) -> bool:
        environment = {**os.environ, **PROXY, **more}
        return subprocess.run(command, env=environment, check=False, capture_output=True).returncode == 0

    assert not reaches({})
    assert reaches(conductor.environment)
    assert reaches(porter.environment)
