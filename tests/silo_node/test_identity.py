"""A hospital's own keys."""

import stat

import pytest

from silo_node.identity import create_identity, load_identity
from wardround.canonical import model_bytes
from wardround.errors import Refused
from wardround.identity.tls import make_node_key, node_key_public

PRIVATE = ["approval.pem", "data.key", "encryption.pem", "node.key", "runtime.secret", "signing.pem"]


def codes(call) -> tuple[str, ...]:
    with pytest.raises(Refused) as caught:
        call()
    return caught.value.codes


def test_keys_are_made_for_their_owner_only(tmp_path):
    """Six private files of 0600 in a folder of 0700; the request holds their public halves and nothing else."""
    member = create_identity(tmp_path, "alpha", "Hospital")
    keys = tmp_path / "keys"
    assert sorted(path.name for path in keys.iterdir()) == PRIVATE
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys.iterdir()} == {0o600}
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700
    assert len((keys / "runtime.secret").read_bytes()) == 32
    assert (tmp_path / "request.json").read_bytes() == model_bytes(member)
    assert member.node_key == node_key_public((keys / "node.key").read_bytes())
    assert load_identity(tmp_path) == member


@pytest.mark.parametrize("kept", PRIVATE)
def test_keys_are_never_overwritten(tmp_path, kept):
    """One key that is left of them is enough to refuse; nothing changes."""
    create_identity(tmp_path, "alpha", "Hospital")
    for name in PRIVATE:
        if name != kept:
            (tmp_path / "keys" / name).unlink()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert codes(lambda: create_identity(tmp_path, "alpha", "Hospital")) == ("K-EXISTS",)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_an_init_that_cannot_write_leaves_no_keys(tmp_path):
    """After a full or closed disk the same command works again."""
    (tmp_path / "request.json").mkdir()
    assert codes(lambda: create_identity(tmp_path, "alpha", "Hospital")) == ("O-WRITE",)
    assert [path.name for path in tmp_path.iterdir()] == ["request.json"]
    (tmp_path / "request.json").rmdir()
    create_identity(tmp_path, "alpha", "Hospital")


def test_a_node_key_that_is_another_is_seen(tmp_path):
    """A restored or exchanged key file is K-FORMAT, an open one K-MODE, an absent one K-MISSING: before any connection."""
    create_identity(tmp_path, "alpha", "Hospital")
    path = tmp_path / "keys" / "node.key"
    path.chmod(0o640)
    assert codes(lambda: load_identity(tmp_path)) == ("K-MODE",)
    path.chmod(0o600)
    for other in (make_node_key().private, b"x"):
        path.write_bytes(other)
        assert codes(lambda: load_identity(tmp_path)) == ("K-FORMAT",)
    path.unlink()
    assert codes(lambda: load_identity(tmp_path)) == ("K-MISSING",)


@pytest.mark.parametrize("name", ["a\nb", "\x1b[2J"])
def test_a_name_that_cannot_be_shown_is_refused(tmp_path, name):
    """It would stand on the operator's terminal beside the fingerprint."""
    assert codes(lambda: create_identity(tmp_path, "alpha", name)) == ("Y-VALUE",)
    assert not list(tmp_path.iterdir())
