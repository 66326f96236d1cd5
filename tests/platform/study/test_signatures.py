"""The signatures in a study bundle: of this study, by who it says, or the bundle is not read."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from studies_on_paper import author, paper, signing_key

from wardround.canonical import canonical_bytes, is_canonical, model_bytes, sha256
from wardround.errors import Refused
from wardround.identity.author import sign_authorship, sign_submission
from wardround.study.bundle import Bundle, bundle_bytes, parse_bundle
from wardround.study.difference import differences

PAPER = paper()
PLAIN = PAPER.bundle
AUTHOR, KEY = author()
SIGNED = PLAIN.signed(AUTHOR, KEY)
BOTH = SIGNED.countersigned(PAPER.key)
NAMES = ("author.json", "coordinator.json")


def code(data: bytes) -> str:
    with pytest.raises(Refused) as refused:
        parse_bundle(data)
    (found,) = refused.value.codes
    return found


def members(bundle: Bundle) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(bundle_bytes(bundle))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rebuilt(held: dict[str, bytes]) -> bytes:
    """Give the bundle of some members with a right table of contents, as an attacker would."""
    import json

    table = json.loads(held["manifest.json"])
    table["files"] = {name: sha256(content) for name, content in held.items() if name != "manifest.json"}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in sorted({**held, "manifest.json": canonical_bytes(table)}.items()):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, content)
    return stream.getvalue()


@pytest.mark.parametrize("bundle", [PLAIN, SIGNED, PLAIN.countersigned(PAPER.key), BOTH])
def test_signatures_come_back_and_are_no_part_of_the_study_hash(bundle):
    """One form with each of them and without; the study stays the same."""
    read = parse_bundle(bundle_bytes(bundle))
    assert bundle_bytes(read) == bundle_bytes(bundle) == rebuilt(members(bundle))
    assert read.study_hash == bundle.study_hash == PLAIN.study_hash
    assert (read.authorship, read.submission) == (bundle.authorship, bundle.submission)
    assert read.lightened().author_key == bundle.author_key


def test_who_signed_is_told():
    """By key, not by name."""
    assert (PLAIN.author, PLAIN.author_key) == (None, None)
    assert (SIGNED.author, SIGNED.author_key) == (AUTHOR, KEY.public)


@pytest.mark.parametrize("name", NAMES)
@given(st.data())
def test_every_flipped_bit_of_a_signature_member_is_found(name, data):
    """Whoever changes a byte of it and writes the table of contents anew: refused, and nothing of it is believed."""
    held = members(BOTH)
    place, bit = data.draw(st.integers(0, len(held[name]) - 1)), data.draw(st.integers(0, 7))
    changed = bytearray(held[name])
    changed[place] ^= 1 << bit
    assert code(rebuilt({**held, name: bytes(changed)})) in ("B-READ", "B-SIGNATURE")


@pytest.mark.parametrize("name", NAMES)
def test_every_byte_of_a_signature_member_counts(name):
    """All places, one bit each."""
    held = members(BOTH)
    for place in range(len(held[name])):
        changed = bytearray(held[name])
        changed[place] ^= 1 << place % 8
        assert code(rebuilt({**held, name: bytes(changed)})) in ("B-READ", "B-SIGNATURE")


def test_a_changed_bundle_with_the_old_table_is_found_before():
    """As any member, a signature is one of the table's."""
    held = members(SIGNED)
    held["author.json"] = held["author.json"].replace(b"Institute", b"institute")
    with zipfile.ZipFile(stream := io.BytesIO(), "w") as archive:
        for name, content in sorted(held.items()):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, content)
    assert code(stream.getvalue()) == "B-HASH"


def test_a_signature_of_another_study_does_not_hold():
    """Taken from one bundle into another."""
    other = paper(seed=8).bundle
    held = members(other)
    held["author.json"] = members(SIGNED)["author.json"]
    assert code(rebuilt(held)) == "B-SIGNATURE"
    held = members(other)
    held["coordinator.json"] = members(PLAIN.countersigned(PAPER.key))["coordinator.json"]
    assert code(rebuilt(held)) == "B-SIGNATURE"


def test_who_signs_is_who_the_study_names():
    """A signature under another name is refused, made and read."""
    stranger, key = author("B. Other", "another")
    with pytest.raises(Refused) as refused:
        PLAIN.signed(stranger, key)
    assert refused.value.codes == ("P-AUTHOR",)
    held = {**members(PLAIN), "author.json": model_bytes(sign_authorship(PLAIN.study_hash, stranger, key))}
    assert code(rebuilt(held)) == "B-SIGNATURE"


def test_a_study_is_signed_once():
    """Nobody signs over another one's signature."""
    with pytest.raises(Refused) as refused:
        SIGNED.signed(*author(key="another"))
    assert refused.value.codes == ("P-AUTHOR",)


def test_the_centre_is_the_rosters():
    """Another key's countersignature is none."""
    submission = sign_submission(PLAIN.study_hash, None, signing_key("a stranger"))
    assert code(rebuilt({**members(PLAIN), "coordinator.json": model_bytes(submission)})) == "B-SIGNATURE"


def test_what_the_centre_signed_names_the_authors_key():
    """Who takes the author's signature out, or puts another one in, takes the centre's with it."""
    held = members(BOTH)
    assert code(rebuilt({name: content for name, content in held.items() if name != "author.json"})) == "B-SIGNATURE"
    namesake, key = author(key="a namesake")
    held["author.json"] = model_bytes(sign_authorship(PLAIN.study_hash, namesake, key))
    assert code(rebuilt(held)) == "B-SIGNATURE"
    without = {name: content for name, content in held.items() if name != "coordinator.json"}
    assert parse_bundle(rebuilt(without)).author_key == key.public, "a namesake with a key: a name proves nothing"


def test_a_signature_has_one_form():
    """Other JSON of the same value, or with more in it, is not read."""
    held = members(SIGNED)
    for text in (
        held["author.json"] + b"\n",
        held["author.json"].replace(b'{"', b'{ "', 1),
        held["author.json"][:-1] + b',"z":1}',
    ):
        assert is_canonical(held["author.json"])
        assert code(rebuilt({**held, "author.json": text})) == "B-READ"


def test_another_authors_key_is_a_difference():
    """A person who approved the one is told of the other."""
    namesake = PLAIN.signed(*author(key="a namesake"))
    (found,) = differences(SIGNED, namesake)
    assert (found.place, found.before, found.after) == ("author.signing_key", KEY.public, namesake.author_key)
    (found,) = differences(SIGNED, PLAIN)
    assert (found.place, found.after) == ("author", None)
    assert differences(SIGNED, replace(SIGNED, submission=BOTH.submission)) == []
