"""Flower's bundle is a constant of the release: its hash, its content, and that Flower reads it."""

import io
import zipfile
from pathlib import Path

from flwr.common.config import get_fab_config

from wardround.canonical import sha256
from wardround.transport.flower_app import FAB_FILES, FAB_HASH, build_fab, is_ours

DEPLOYMENT = Path(__file__).resolve().parents[2] / "deployment" / "flower-app"


def test_the_hash_is_a_constant():
    """Built anew, the bundle has the hash that hospitals compare with."""
    assert sha256(build_fab()) == FAB_HASH
    assert is_ours(build_fab(), FAB_HASH)
    assert not is_ours(build_fab() + b"x", FAB_HASH)
    assert not is_ours(build_fab(), sha256(b"x"))


def test_flower_reads_it():
    """It has what Flower wants of a bundle, and no run configuration."""
    app = get_fab_config(build_fab())["tool"]["flwr"]["app"]
    assert set(app) == {"publisher", "components"}
    assert set(app["components"]) == {"serverapp", "clientapp"}


def test_there_is_nothing_in_it_but_two_shims_that_refuse():
    """One line each, which ends the process that imports it."""
    with zipfile.ZipFile(io.BytesIO(build_fab())) as archive:
        assert set(archive.namelist()) == {*FAB_FILES, ".info/CONTENT"}
        shims = [archive.read(name) for name in archive.namelist() if name.endswith(".py")]
    assert len(shims) == 2
    assert all(shim.count(b"\n") == 1 and shim.startswith(b"raise SystemExit(") for shim in shims)


def test_the_folder_for_operators_holds_the_same():
    """What people read in deployment/flower-app is what is sent."""
    found = {path.relative_to(DEPLOYMENT).as_posix(): path.read_bytes() for path in DEPLOYMENT.rglob("*") if path.is_file()}
    found = {name: data for name, data in found.items() if "__pycache__" not in name}
    assert found == FAB_FILES
