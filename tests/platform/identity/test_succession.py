"""A succession: three signatures make one hospital's new keys its own, and nothing less does."""

import json

import pytest
from paper_successions import renewed, succession
from pydantic import ValidationError
from studies_on_paper import party, signing_key

from wardround.errors import Refused
from wardround.identity.succession import Succession, follow, parse_succession, read_successions

FIRST, BETA = party("alpha"), party("beta")
SECOND, THIRD = renewed(FIRST, "2"), renewed(FIRST, "3")
STRANGER = signing_key("a stranger")
SIGNED, NEXT = succession(FIRST, SECOND), succession(SECOND, THIRD)


def test_a_hospital_is_followed_to_its_newest_keys():
    """From wherever a roster names it; others stay as they are."""
    for member in (FIRST.member, SECOND.member, THIRD.member):
        assert follow(member, [NEXT, SIGNED]) == THIRD.member
    assert follow(FIRST.member, []) == FIRST.member
    assert follow(BETA.member, [SIGNED, NEXT]) == BETA.member


@pytest.mark.parametrize("which", ["old", "approval", "new"])
def test_it_takes_all_three_signatures(which):
    """Whoever has only the node's keys, only the approver's, or somebody else's new key, renews nothing."""
    forged = succession(FIRST, SECOND, **{which: STRANGER})
    assert SIGNED.holds()
    assert not forged.holds()
    assert follow(FIRST.member, [forged]) == FIRST.member


def test_a_circle_ends():
    """Whatever files somebody puts there, nothing hangs."""
    assert follow(FIRST.member, [SIGNED, succession(SECOND, FIRST)]) in (FIRST.member, SECOND.member)


@pytest.mark.parametrize("field", ["site", "name", "approval_key", "signing_key", "encryption_key", "node_key"])
def test_only_the_three_keys_change_and_all_of_them(field):
    """Another name, another approver or a key that stays: it is no succession."""
    changed = "other" if field in ("site", "name") else getattr(FIRST.member, field)
    if field == "approval_key":
        changed = STRANGER.public
    with pytest.raises(ValidationError):
        Succession(
            before=FIRST.member, after=SECOND.member.model_copy(update={field: changed}), made_at=SIGNED.succession.made_at
        )


def test_a_file_is_read_as_it_was_written(tmp_path):
    """Anything else is none; one that was kept and changed is refused."""
    path = tmp_path / "1.json"
    path.write_bytes(SIGNED.file_bytes())
    assert parse_succession(path) == SIGNED
    assert read_successions([path]) == (SIGNED,)
    changed = json.loads(SIGNED.file_bytes())
    changed["succession"]["made_at"] = "2026-07-01T12:00:01Z"
    for content in (json.dumps(changed).encode(), b"x", b"{}", FIRST.member.model_dump_json().encode()):
        path.write_bytes(content)
        with pytest.raises(Refused) as caught:
            read_successions([path])
        assert caught.value.codes == ("I-SUCCESSION",)
    assert parse_succession(tmp_path / "absent.json") is None
