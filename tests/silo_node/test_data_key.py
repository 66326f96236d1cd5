"""The keyed fingerprint of records: the same for the same records of one hospital, and of no use to anybody else."""

from __future__ import annotations

import hashlib

import pytest

from silo_node.data_key import keyed_fingerprint, new_data_key
from silo_node.identity import create_identity
from wardround.errors import Refused

CONTENT, OTHER = (hashlib.sha256(text).hexdigest() for text in (b"records", b"other records"))


def test_the_same_records_have_the_same_fingerprint_in_one_hospital(tmp_path):
    """Under its key; another hospital with the very same records has another one, and it is no plain digest."""
    found = set()
    for name in ("one", "two"):
        create_identity(tmp_path / name, name, name)
        found.add(keyed_fingerprint(tmp_path / name, CONTENT))
        assert keyed_fingerprint(tmp_path / name, CONTENT) in found
        assert keyed_fingerprint(tmp_path / name, OTHER) not in found
    assert len(found) == 2
    assert CONTENT not in found


def test_keys_of_an_earlier_release_get_one(tmp_path):
    """It is made at the first look, for its owner only, and stays."""
    create_identity(tmp_path, "one", "one")
    file = tmp_path / "keys" / "data.key"
    file.unlink()
    first = keyed_fingerprint(tmp_path, CONTENT)
    assert file.stat().st_mode & 0o777 == 0o600
    assert keyed_fingerprint(tmp_path, CONTENT) == first
    with pytest.raises(FileExistsError):
        new_data_key(tmp_path / "keys")


def test_a_key_that_others_may_read_is_refused(tmp_path):
    """As any other key of the hospital."""
    create_identity(tmp_path, "one", "one")
    (tmp_path / "keys" / "data.key").chmod(0o640)
    with pytest.raises(Refused) as caught:
        keyed_fingerprint(tmp_path, CONTENT)
    assert caught.value.codes == ("K-MODE",)


def test_a_hospital_without_keys_has_no_fingerprint(tmp_path):
    """And none are made for it: nothing is approved there."""
    assert keyed_fingerprint(tmp_path, CONTENT) is None
    assert list(tmp_path.iterdir()) == []
