"""A centre's own files."""

import stat

import pytest
import yaml

from coordinator.identity import (
    CentreFile,
    CentreFiles,
    centre_files,
    create_centre,
    enrolled,
    init_centre,
    load_centre,
    load_centre_file,
)
from wardround.errors import Refused
from wardround.identity.tls import names_of

SETTINGS = CentreFile(name="The centre", address="centre.example:8443", listen="127.0.0.1:9443")
PRIVATE = {"coordinator.pem", "encryption.pem", "authority.key", "authority.pem", "server.key", "server.pem", "token", "secret"}


def codes(call) -> tuple[str, ...]:
    with pytest.raises(Refused) as caught:
        call()
    return caught.value.codes


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Make one whole centre, to be looked at only."""
    folder = tmp_path_factory.mktemp("here") / "centre"
    init_centre(folder, SETTINGS, ["10.1.2.3"])
    return folder


def test_a_whole_centre_has_its_files_for_its_owner_only(made):
    """Every file of keys/ is 0600 in a folder of 0700, and beside it stand what people read, and the format."""
    keys = made / "keys"
    assert {path.name for path in keys.iterdir()} == PRIVATE
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys.iterdir()} == {0o600}
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700
    assert {path.name for path in made.iterdir()} == {"keys", "coordinator.json", "centre.yaml", "format"}


def test_a_whole_centre_is_read_back(made):
    """Settings, identity and key come back; the certificate names the address's host, the other names and loopback."""
    assert load_centre_file(made) == SETTINGS
    centre = load_centre(made)
    coordinator, key = centre.coordinator, centre.key
    assert coordinator.name == "The centre"
    assert key.public == coordinator.signing_key
    assert names_of(centre_files(made).certificate.read_bytes()) == ["centre.example", "10.1.2.3", "localhost", "127.0.0.1"]


def test_token_and_secret_are_of_this_centre(made, tmp_path):
    """Two centres share neither, and both are long."""
    init_centre(tmp_path, SETTINGS)
    for name in ("token", "secret"):
        one, other = ((folder / "keys" / name).read_bytes() for folder in (made, tmp_path))
        assert one != other
        assert len(one) >= 32


def test_keys_are_never_overwritten(made, tmp_path):
    """A second init is K-EXISTS and changes nothing; so is one over a simulation's centre."""
    before = {path: path.read_bytes() for path in made.rglob("*") if path.is_file()}
    assert codes(lambda: init_centre(made, SETTINGS)) == ("K-EXISTS",)
    assert {path: path.read_bytes() for path in made.rglob("*") if path.is_file()} == before
    create_centre(tmp_path, "Simulation")
    assert codes(lambda: init_centre(tmp_path, SETTINGS)) == ("K-EXISTS",)
    assert codes(lambda: create_centre(tmp_path, "Simulation")) == ("K-EXISTS",)


def test_an_init_that_cannot_write_leaves_no_keys(tmp_path):
    """After a full or closed disk the same command works again."""
    (tmp_path / "centre.yaml").mkdir()  # cannot be replaced by a file
    assert codes(lambda: init_centre(tmp_path, SETTINGS)) == ("O-WRITE",)
    assert {path.name for path in tmp_path.iterdir()} == {"centre.yaml"}
    (tmp_path / "centre.yaml").rmdir()
    init_centre(tmp_path, SETTINGS)


def test_a_simulations_centre_opens_no_connection(tmp_path):
    """It has a signing key only, and says so with every file that is absent."""
    create_centre(tmp_path, "Simulation")
    load_centre(tmp_path)
    assert codes(lambda: centre_files(tmp_path)) == ("K-MISSING",) * len(CentreFiles.__dataclass_fields__)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"adress": "a.example:1"}, "Y-KEY"),
        ({"address": "a.example"}, "Y-VALUE"),
        ({"listen": "everywhere:8443"}, "Y-VALUE"),
        ({"listen": 8443}, "Y-VALUE"),
    ],
)
def test_settings_are_strict(tmp_path, change, code):
    """An operator who edits centre.yaml is told the line."""
    content = {"name": "The centre", "address": "a.example:8443", "listen": "0.0.0.0:8443", **change}
    (tmp_path / "centre.yaml").write_text(yaml.safe_dump(content))
    assert code in codes(lambda: load_centre_file(tmp_path))


@pytest.mark.parametrize("name", ["", "a\nb", "\x1b[1A"])
def test_a_centres_name_can_be_shown(tmp_path, name):
    """Hospitals read it on their terminals."""
    assert codes(lambda: create_centre(tmp_path, name)) == ("Y-VALUE",)
    assert not list(tmp_path.iterdir())


def test_nobody_is_enrolled_at_first(made):
    """No folder, no hospitals."""
    assert enrolled(made) == ()
