"""Whose environment holds what: a variable with credentials goes to the process that needs them, and to no other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from exports_on_disk import DECLARED, export_site, typed, write_export
from supervised import process_of, sleeper

from silo_node.configuration import Site, load_site
from silo_node.extraction.extract import extract
from silo_node.house import children
from silo_node.joining import Joined
from wardround.errors import Refused
from wardround.supervision.running import Running

SERVER = {**DECLARED["sql"], "url": "mysql+pymysql://127.0.0.1:9/x"}
SECRETS = {"OF_THE_PROXY": "ward:pl4nted-proxy", "OF_ONE": "ward:pl4nted-one", "OF_ANOTHER": "ward:pl4nted-another"}
SOURCES = {
    "sql": DECLARED["sql"],
    "one": {**SERVER, "credentials": {"variable": "OF_ONE"}},
    "another": {**SERVER, "credentials": {"variable": "OF_ANOTHER"}},
}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A hospital whose proxy and whose two databases have their credentials in variables, which are all set."""
    write_export(tmp_path, "sql", typed())
    path = export_site(tmp_path, SOURCES, "sql").path
    proxy = {"url": "http://127.0.0.1:9", "credentials": {"variable": "OF_THE_PROXY"}}
    path.write_text(json.dumps({**json.loads(path.read_text()), "proxy": proxy}))
    for name, value in {**SECRETS, "https_proxy": "http://ward:pl4nted-url@127.0.0.1:9"}.items():
        monkeypatch.setenv(name, value)
    return load_site(path)


def planted(environ: bytes) -> set[str]:
    """Name the credentials that an environment holds."""
    values = {**SECRETS, "https_proxy": "pl4nted-url"}
    return {name for name, value in values.items() if value.encode() in environ}


def test_no_process_of_the_node_is_given_a_databases_credentials(site, tmp_path):
    """In the environment that each of them is really started with; the SuperNode alone is given the proxy's."""
    joined = Joined("centre.example.org:8443", tmp_path / "authority.pem", "key", "2026-01-01T00:00:00Z")  # type: ignore[arg-type]
    found = {}
    for child in children(site, joined):
        kept = {"environment": child.environment, "whole_environment": child.whole_environment}
        running = Running(sleeper(tmp_path, child.name, **kept), tmp_path / f"{child.name}.out")
        try:
            running.start()
            found[child.name] = planted(Path(f"/proc/{process_of(tmp_path, child.name)}/environ").read_bytes())
        finally:
            running.end(0.0)
    assert found == {"trainer": set(), "supernode": {"OF_THE_PROXY"}, "porter": set()}


@pytest.mark.parametrize(("source", "expected"), [("sql", set()), ("one", {"OF_ONE", "https_proxy"})])
def test_what_reads_a_source_is_given_the_credentials_of_that_source_alone(site, tmp_path, monkeypatch, source, expected):
    """Its driver may have to go through the proxy that the environment names; a file is read without any of them."""
    said = tmp_path / "said"
    (tmp_path / "sitecustomize.py").write_text(
        f"import pathlib; pathlib.Path({str(said)!r}).write_bytes(pathlib.Path('/proc/self/environ').read_bytes())\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    if expected:
        with pytest.raises(Refused):  # nobody listens there, or the driver is not installed
            extract(site, source)
    else:
        assert extract(site, source).records == 12
    assert planted(said.read_bytes()) == expected
