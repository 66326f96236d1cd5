"""New keys: made beside the old ones, taken up whole when the centre answers, whatever dies in between."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hospitals_on_disk import deal, prepare
from studies_on_paper import encryption_key as paper_encryption_key
from studies_on_paper import signing_key as paper_key

from silo_node import joining, rekeying
from silo_node.identity import approval_key, create_identity, load_identity, read_request, successions
from silo_node.joining import join, load_joined
from silo_node.rekeying import accept, take_up, waiting
from silo_node.rekeying import prepare as make_new_keys
from wardround.errors import Refused
from wardround.identity.invitation import invite
from wardround.identity.roster import Coordinator
from wardround.identity.succession import follow
from wardround.identity.tls import make_authority
from wardround.ledger.verification import verify_ledger
from wardround.supervision.lock import Lock

CENTRE = Coordinator(
    name="The centre", signing_key=paper_key("centre").public, encryption_key=paper_encryption_key("centre").public
)
AUTHORITY = make_authority("The centre").public.decode()
PASSPHRASE = b"correct horse battery"
CHANGED = ("signing.pem", "encryption.pem", "node.key")


def invited(folder, member):
    signed = invite(member, CENTRE, paper_key("centre"), "centre.example:8443", AUTHORITY, datetime.now(UTC), timedelta(days=30))
    path = folder.parent / "from-the-centre.json"
    path.write_bytes(signed.file_bytes())
    return path


@pytest.fixture
def hospital(tmp_path):
    """A hospital that joined a centre."""
    folder = tmp_path / "alpha"
    folder.mkdir()
    member = create_identity(folder, "alpha", "Hospital alpha", PASSPHRASE, city="Lyon", contact="A. Dupont")
    join(folder, invited(folder, member))
    return folder


def renew(folder):
    return make_new_keys(folder, approval_key(folder, PASSPHRASE))


def codes(call) -> tuple[str, ...]:
    with pytest.raises(Refused) as caught:
        call()
    return caught.value.codes


def private(folder):
    return {name: (folder / "keys" / name).read_bytes() for name in CHANGED}


def test_until_the_centre_answers_nothing_changes(hospital):
    """New keys wait beside; the old ones load, and the centre joined stays. Made again, they are refused."""
    before, keys = load_identity(hospital), private(hospital)
    signed = renew(hospital)
    assert signed.holds()
    assert (load_identity(hospital), private(hospital)) == (before, keys)
    load_joined(hospital)
    assert take_up(hospital) is None
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in (hospital / "rekey").iterdir())
    assert (hospital / "rekey").stat().st_mode & 0o777 == 0o700
    assert codes(lambda: renew(hospital)) == ("K-EXISTS",)
    assert waiting(hospital) == signed


def test_with_the_answer_they_are_the_hospitals(hospital):
    """Identity, centre, request with its contact, ledger: all of the new keys; the old private ones are nowhere."""
    before, keys, signed = load_identity(hospital), private(hospital), renew(hospital)
    joined = accept(hospital, invited(hospital, signed.after))
    assert joined == load_joined(hospital)
    assert load_identity(hospital) == signed.after
    assert successions(hospital) == (signed,)
    assert follow(before, successions(hospital)) == signed.after
    request = read_request(hospital)
    assert (request.city, request.contact) == ("Lyon", "A. Dupont")
    for key in (before.signing_key, signed.after.signing_key):
        assert verify_ledger(hospital / "ledger", key).events == {"rekey": 1}
    everything = b"".join(path.read_bytes() for path in hospital.rglob("*") if path.is_file())
    assert not any(key in everything for key in keys.values())
    assert not (hospital / "rekey").exists()
    assert approval_key(hospital, PASSPHRASE).public == before.approval_key


class Killed(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("writes", range(8))
def test_killed_at_any_write_it_is_gone_on_with(hospital, monkeypatch, writes):
    """Before the answer is on the disk: all is old. From then on `start` makes all new; in between, K-REKEY, never a mixture."""
    before, signed = load_identity(hospital), renew(hospital)
    path, left = invited(hospital, signed.after), [writes]

    def dying(write):
        def wrapped(*words, **more):
            if not left[0]:
                raise Killed
            left[0] -= 1
            return write(*words, **more)

        return wrapped

    with monkeypatch.context() as patch:
        for module in (rekeying, joining):
            patch.setattr(module, "write_atomic", dying(module.write_atomic))
        with pytest.raises(Killed):
            accept(hospital, path)
    if writes == 0:
        assert load_identity(hospital) == before
        accept(hospital, path)
    else:
        assert codes(lambda: load_identity(hospital)) == ("K-REKEY",)
        take_up(hospital)
    assert load_identity(hospital) == signed.after
    assert load_joined(hospital).coordinator == CENTRE
    assert successions(hospital) == (signed,)
    assert verify_ledger(hospital / "ledger", before.signing_key).events == {"rekey": 1}
    assert take_up(hospital) is None


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_the_ledger_it_is_written_down_once(hospital, monkeypatch, when):
    """Whether the entry is on the disk already or not."""
    before, signed = load_identity(hospital), renew(hospital)
    append = rekeying.LedgerWriter.append

    def dying(writer, entry):
        if when == "after":
            append(writer, entry)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(rekeying.LedgerWriter, "append", dying)
        with pytest.raises(Killed):
            accept(hospital, invited(hospital, signed.after))
    take_up(hospital)
    assert load_identity(hospital) == signed.after
    assert verify_ledger(hospital / "ledger", before.signing_key).events == {"rekey": 1}


def test_the_folder_goes_at_once(hospital, monkeypatch):
    """Killed while it is cleared away: nothing of it is found again."""
    signed = renew(hospital)
    with monkeypatch.context() as patch:
        patch.setattr(rekeying.shutil, "rmtree", lambda *_words, **_more: None)
        accept(hospital, invited(hospital, signed.after))
    assert (hospital / ".rekey.done").is_dir()
    assert load_identity(hospital) == signed.after
    again = renew(hospital)
    accept(hospital, invited(hospital, again.after))
    assert successions(hospital) == (signed, again)
    assert not (hospital / ".rekey.done").exists()


def test_what_does_not_belong_is_refused_and_changes_nothing(hospital):
    """Of another approver, of another centre, expired, changed, or for keys that are not those of now."""
    create_identity(hospital.parent / "other", "other", "Other", PASSPHRASE)
    assert codes(lambda: make_new_keys(hospital, approval_key(hospital.parent / "other", PASSPHRASE))) == ("K-FORMAT",)
    assert not (hospital / "rekey").exists()
    signed = renew(hospital)
    assert accept(hospital, invited(hospital, load_identity(hospital))) is None
    path = invited(hospital, signed.after)
    assert codes(lambda: accept(hospital, path, "00000")) == ("I-FINGERPRINT",)
    assert codes(lambda: accept(hospital, path, now=datetime.now(UTC) + timedelta(days=31))) == ("I-EXPIRED",)
    statement = hospital / "rekey" / "succession.json"
    statement.write_bytes(statement.read_bytes().replace(signed.old[:8].encode(), b"00000000"))
    assert codes(lambda: accept(hospital, path)) == ("I-SUCCESSION",)
    assert load_identity(hospital) == signed.before


def test_a_study_of_the_old_keys_stays_approved(tmp_path, wardround):
    """No approval is asked for again, a new one can be given, and the study runs to the same end."""
    ready = prepare(wardround, tmp_path, deal(tmp_path, (80, 80)))
    assert ready.simulate(wardround, "before").status == 0
    alpha = ready.hospitals[0]
    assert wardround("silo", "rekey", "--site", alpha.site).status == 0
    signed = waiting(alpha.folder)
    assert signed is not None
    assert wardround("silo", "join", invited(alpha.folder, signed.after), "--site", alpha.site).status == 0
    assert load_identity(alpha.folder) == signed.after
    (study,) = wardround("silo", "studies", "--site", alpha.site, "--format", "json").json()["studies"]
    assert study["state"] == "approved"
    assert ready.simulate(wardround, "after").status == 0
    first, second = ((ready.release(out) / "model.safetensors").read_bytes() for out in ("before", "after"))
    assert first == second
    words = ("silo", "approve", ready.bundle, "--site", alpha.site, "--approver", "Dr A", "--role", "DPO")
    assert wardround(*words).status == 0
    assert wardround("silo", "ledger", "verify", "--site", alpha.site).out.count("renewed") == 1


def test_the_command_asks_for_the_approvers_passphrase(hospital, wardround, monkeypatch, tmp_path):
    """Without it there are no new keys: nothing that runs can give itself some."""
    (hospital / "site.yaml").write_text("site: alpha\nname: Hospital alpha\nsources: {}\nschemas: {}\n")
    monkeypatch.delenv("WARDROUND_PASSPHRASE_FILE")
    assert "K-PASSPHRASE" in wardround("silo", "rekey", "--site", hospital / "site.yaml").err
    assert not (hospital / "rekey").exists()


def test_a_node_that_runs_keeps_its_keys(hospital, wardround):
    """They are in its processes; it is stopped first."""
    (hospital / "site.yaml").write_text("site: alpha\nname: Hospital alpha\nsources: {}\nschemas: {}\n")
    answer = wardround("silo", "rekey", "--site", hospital / "site.yaml", "--format", "json").json()
    signed = waiting(hospital)
    assert signed is not None
    assert answer["fingerprint"] == signed.after.fingerprint
    words = ("silo", "join", invited(hospital, signed.after), "--site", hospital / "site.yaml")
    with Lock(hospital / "run", "alpha"):
        assert "V-RUNNING" in wardround(*words).err
    assert load_identity(hospital) == signed.before
    assert wardround(*words, "--format", "json").json()["new_keys"] is True
    assert load_identity(hospital) == signed.after
