"""Randomness for training: HKDF (RFC 5869) from the study's seed, for reproducible shuffles and dropout.

Never for privacy: the study's seed is known to everybody on the roster.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SEED_BITS = 63


def derive_seed(study_seed: int, site: str, round_number: int, purpose: str) -> int:
    """Give a seed of 63 bits that depends on all four arguments and on nothing else."""
    info = f"wardround/1/randomness\0{site}\0{round_number}\0{purpose}".encode()
    raw = HKDF(algorithm=SHA256(), length=8, salt=None, info=info).derive(study_seed.to_bytes(8, "big"))
    return int.from_bytes(raw, "big") >> (64 - SEED_BITS)
