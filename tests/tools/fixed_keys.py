"""Keys that are the same in every run of the tests.

The split of records follows from the study's hash, and that from the keys: with new keys every run would have other
training, validation and test records, and what is only likely (a figure, a count that is not withheld, a class at every
hospital) would fail now and then.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from unittest.mock import patch

from studies_on_paper import encryption_key, node_key, signing_key

from wardround.identity.encryption import EncryptionKey
from wardround.identity.keys import SigningKey


@contextmanager
def fixed_keys(seed: str = "tests") -> Iterator[None]:
    """Have every new key follow from a seed and from how many were made before it."""
    numbers = count()

    def new() -> str:
        return f"{seed}/{next(numbers)}"

    with (
        patch.object(SigningKey, "generate", lambda: signing_key(new())),
        patch.object(EncryptionKey, "generate", lambda: encryption_key(new())),
        patch("silo_node.identity.make_node_key", lambda: node_key(new())),
    ):
        yield
