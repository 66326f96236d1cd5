"""Seeds for training: every argument matters, and nothing else."""

import hmac

from hypothesis import given
from hypothesis import strategies as st

from wardround.study.randomness import SEED_BITS, derive_seed

arguments = st.tuples(
    st.integers(0, 2**53 - 1),
    st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True),
    st.integers(0, 1000),
    st.sampled_from("abcd"),
)


@given(st.lists(arguments, min_size=2, max_size=8, unique=True))
def test_seeds_differ_by_every_argument(several):
    """Two different tuples of study seed, site, round and purpose never share a seed here; the same tuple always does."""
    seeds = [derive_seed(*each) for each in several]
    assert len(set(seeds)) == len(several)
    assert seeds == [derive_seed(*each) for each in several]
    assert all(0 <= seed < 2**SEED_BITS for seed in seeds)


def test_each_argument_alone_changes_the_seed():
    """Seed, site, round and purpose each matter; digits do not slide from the site into the round."""
    base = (1, "alpha", 1, "shuffle")
    others = [
        (2, *base[1:]),
        (1, "beta", 1, "shuffle"),
        (1, "alpha", 2, "shuffle"),
        (1, "alpha", 1, "dropout"),
        (1, "alpha1", 1, "shuffle"),
        (1, "alpha", 11, "shuffle"),
    ]
    assert len({derive_seed(*each) for each in (base, *others)}) == len(others) + 1


def test_seeds_are_the_same_in_every_version():
    """A study that is repeated years later draws the same seeds (HKDF-SHA-256, RFC 5869)."""
    extracted = hmac.digest(bytes(32), (7).to_bytes(8, "big"), "sha256")
    expanded = hmac.digest(extracted, b"wardround/1/randomness\0alpha\x003\0local training\x01", "sha256")
    assert derive_seed(7, "alpha", 3, "local training") == int.from_bytes(expanded[:8], "big") >> 1
