"""A hospital's ledger after a whole study, with a journal at the centre: verified elsewhere, exported, reconciled."""

from __future__ import annotations

import json
import re
import shutil
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path

import pytest
from approved_study import Unseen
from hospitals_on_disk import Command, Ready, deal, prepare
from ledgers import last_segment

from coordinator.identity import load_centre
from coordinator.journal.journal import FILE, FOLDER, DiskJournal
from coordinator.rounds.conductor import Conductor
from coordinator.rounds.encrypted_grid import EncryptedGrid, encryption_keys
from coordinator.studies import folders, submit
from silo_node.configuration import load_site
from silo_node.identity import approval_key, load_identity, signing_key
from silo_node.node import open_node
from silo_node.porter.approvals import approve
from silo_node.training.trainer import Trainer
from wardround.chain import Chain, read_chain
from wardround.identity.approval import Approver
from wardround.ledger.folder import read_entries
from wardround.ledger.lines import GENESIS, write_line
from wardround.study.bundle import read_bundle
from wardround_lab.local_grid import LocalGrid

PURPOSES = ["statistics", "round", "round", "round", "closing", "test"]


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> Ready:
    """Conduct a study as the centre does, with its journal, over two hospitals that remember as in deployment."""
    from wardround.console import run

    def wardround(*words):
        from hospitals_on_disk import Answer

        return Answer(run([str(word) for word in words]), "", "")

    folder = tmp_path_factory.mktemp("told")
    ready = prepare(wardround, folder, deal(folder, (120, 90)))
    bundle, centre = read_bundle(ready.bundle), load_centre(ready.centre)
    with ExitStack() as stack:
        doors = {}
        for hospital in ready.hospitals:
            node = open_node(load_site(Path(hospital.site)), Trainer, centre.coordinator.signing_key)
            stack.callback(node.close)
            doors[hospital.folder.name] = lambda envelope, node=node: node.visit(envelope).envelope
        grid = stack.enter_context(LocalGrid(doors))
        journal = stack.enter_context(closing(DiskJournal(submit(ready.centre, bundle).path, bundle)))
        encrypted = EncryptedGrid(grid, encryption_keys(bundle.roster), centre.encryption)
        assert Conductor(bundle, centre.key, encrypted, Unseen(), journal).run().status == "complete"
    return ready


@pytest.fixture
def ready(told, tmp_path) -> Ready:
    """Give a copy of everything, to be spoilt."""
    folder = Path(shutil.copytree(told.folder, tmp_path / "told"))
    hospitals = [type(each)(folder / each.folder.name) for each in told.hospitals]
    return Ready(folder, hospitals, folder / told.bundle.name, folder / told.centre.name)


def reconciled(wardround: Command, ready: Ready, ledger: Path | None = None, silo: str = "alpha"):
    """Reconcile at the centre."""
    where = ledger or ready.hospitals[0].folder / "ledger"
    return wardround(
        "coordinator", "reconcile", "trial", "--dir", ready.centre, "--silo", silo, "--ledger", where, "--format", "json"
    )


def problems(answer) -> list[str]:
    """Give the codes that a command ended with."""
    return [each["code"] for each in answer.json()["problems"]]


def test_both_sides_agree(wardround, ready):
    """Every release but the last, after which no task comes, was counted; the centre finds each in its journal."""
    site = ready.hospitals[0].site
    own = wardround("silo", "ledger", "reconcile", "--site", site, "--format", "json")
    assert own.status == 0, own
    found = own.json()
    assert [each["purpose"] for each in found["releases"]] == PURPOSES
    assert (found["counted"], found["refused"], found["unacknowledged"]) == (5, 0, 1)
    assert found["releases"][-1]["receipt"] is None
    lines = wardround("silo", "ledger", "reconcile", "--site", site).out
    assert "6 releases: 5 counted, 0 refused, 1 never acknowledged." in lines
    centre = reconciled(wardround, ready)
    assert centre.status == 0, centre
    assert centre.json()["journal"] == {"admitted": 6, "refused": 0, "late": 0}
    assert (centre.json()["receipts"], centre.json()["rehearsed"], centre.json()["unheard"]) == (5, 0, [])


def test_receipts_name_heads_on_both_sides(ready):
    """A receipt in the ledger names the head of its release, and a head of the centre's journal: the line about that reply."""
    member = load_identity(ready.hospitals[0].folder)
    journal = {link.hash: link.entry for link in read_chain(next(folders(ready.centre)).path / FOLDER / FILE)}
    releases = {}
    for line, entry in read_entries(ready.hospitals[0].folder / "ledger", member.signing_key):
        if entry.event == "release":
            releases[line.hash] = entry.task
        elif entry.event == "receipt":
            assert releases[entry.ledger] == entry.task_id
            about = journal[entry.journal]
            assert (about["event"], about["site"], about["reply"]) == ("admitted", "alpha", entry.reply)
            assert about["ledger"] == entry.ledger


def test_verified_on_another_machine(wardround, ready, tmp_path):
    """A copied folder and the hospital's public keys are enough; how far the centre confirms the ledger is said."""
    shutil.copytree(ready.hospitals[0].folder / "ledger", tmp_path / "copy")
    shutil.copy(ready.hospitals[0].folder / "request.json", tmp_path / "alpha.json")
    where = ("--copy", tmp_path / "copy", "--identity", tmp_path / "alpha.json")
    found = wardround("silo", "ledger", "verify", *where, "--format", "json").json()
    assert (found["site"], found["events"]["release"], found["events"]["approval"], found["torn"]) == ("alpha", 6, 1, False)
    shown = wardround("silo", "ledger", "show", *where, "--format", "json").json()
    assert shown["head"] == found["head"] == shown["entries"][-1]["hash"]
    assert shown["entries"][found["confirmed"]]["purpose"] == "closing"
    assert wardround("silo", "ledger", "verify", *where, "--head", shown["entries"][3]["hash"]).status == 0
    last = wardround("silo", "ledger", "show", *where, "--last", "2", "--format", "json").json()["entries"]
    assert last == shown["entries"][-2:]
    text = wardround("silo", "ledger", "verify", *where).out
    assert f"The centre confirmed entry {found['confirmed']} and all before it" in text
    missed = wardround("silo", "ledger", "verify", *where, "--head", "0" * 64)
    assert (missed.status, "L-ANCHOR" in missed.err) == (1, True)
    wrong = wardround("silo", "ledger", "verify", *where[:2], "--identity", ready.hospitals[1].folder / "request.json")
    assert (wrong.status, "L-FORGED" in wrong.err) == (1, True)


@pytest.mark.parametrize(
    "words", [(), ("--copy", "nowhere"), ("--copy", "."), ("--copy", "ledger"), ("--site", "s", "--copy", ".")]
)
def test_which_ledger_must_be_said(wardround, ready, monkeypatch, tmp_path, words):
    """Neither, both, a folder without a ledger, a ledger without public keys: each is wrong usage, and says what to name."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ready.hospitals[0].folder / "ledger", tmp_path / "bare")
    words = tuple("bare" if word == "ledger" else word for word in words)
    answer = wardround("silo", "ledger", "verify", *words)
    assert answer.status == 2, answer
    assert re.search("X-USAGE|Y-FILE", answer.err), answer


def test_the_ledger_is_shown_one_entry_in_a_line(wardround, ready):
    """Whole, however narrow the terminal: time, what it was, and the hash's beginning can be copied from it."""
    site = ("--site", ready.hospitals[0].site)
    entries = wardround("silo", "ledger", "show", *site, "--format", "json").json()["entries"]
    heading, *lines, _ = wardround("silo", "ledger", "show", *site).out.splitlines()
    assert heading.split() == ["entry", "time", "event", "study", "what", "records", "bytes", "hash"]
    assert len(lines) == len(entries)
    for line, entry in zip(lines, entries, strict=True):
        words = line.split()
        assert words[:3] == [str(entry["sequence"]), entry["time"], entry["event"]]
        assert words[-1] == entry["hash"][:12]


def test_the_auditors_export(wardround, ready, tmp_path):
    """The page says what left, when, under whose approval and to whom, from itself alone; the folder verifies elsewhere."""
    out = tmp_path / "export"
    assert wardround("silo", "ledger", "export", out, "--site", ready.hospitals[0].site).status == 0
    page = (out / "ledger.html").read_text()
    for words in ("Hospital alpha", "The centre", "Is a nucleus malignant", "round 3", "change of the weights", "counted, "):
        assert words in page
    assert "nobody had signed the study as its author" in page
    assert not re.search(r"(src|href)=|https?://|@import|url\(", page)
    data = json.loads((out / "ledger.json").read_text())
    (used,) = data["approvals"]
    assert used["signature_holds"]
    assert used["signed"]["approval"]["approver"]["name"] in page
    releases = [each for each in data["left"] if each["event"] == "release"]
    assert [each["purpose"] for each in releases] == PURPOSES
    assert {each["approval"] for each in releases} == {used["approval"]}
    assert {each["to"] for each in releases} == {used["coordinator"]["signing_key"]}
    rounds = [each for each in releases if each["purpose"] == "round"]
    assert all(each["norm"] > 0 and each["bytes"] == read_bundle(ready.bundle).manifest.byte_count for each in rounds)
    assert all(each["figures"][-1] == "change_of_weights" for each in rounds)
    assert all(each["norm"] is None and each["bytes"] == 0 < each["result_bytes"] for each in releases if each not in rounds)
    assert data["problems"] == []
    moved = shutil.copytree(out, tmp_path / "elsewhere")
    answer = wardround("silo", "ledger", "verify", "--copy", moved, "--format", "json")
    assert (answer.status, answer.json()["head"]) == (0, data["head"])
    assert reconciled(wardround, ready, moved).status == 0
    again = wardround("silo", "ledger", "export", out, "--site", ready.hospitals[0].site)
    assert (again.status, "O-EXISTS" in again.err) == (2, True)
    assert {path.stat().st_mode & 0o077 for path in out.rglob("*")} == {0}


def test_a_name_in_the_page_is_text(wardround, ready, tmp_path, approvers_passphrase):
    """What people typed stays text: a name with signs of HTML cannot become part of the page."""
    folder = ready.hospitals[0].folder
    bundle, person = read_bundle(ready.bundle), Approver(name="<script>alert(1)</script>", role="& <b>")
    key = approval_key(folder, approvers_passphrase.read_bytes().strip())
    approve(folder, bundle, load_identity(folder), key, person, timedelta(days=1))
    shutil.rmtree(folder / "ledger")
    assert ready.simulate(wardround).status == 0
    assert wardround("silo", "ledger", "export", tmp_path / "out", "--site", ready.hospitals[0].site).status == 0
    page = (tmp_path / "out" / "ledger.html").read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script" not in page


def test_a_cut_end_is_missed_by_who_holds_a_reply(wardround, ready):
    """Whole entries cut off at the end: the ledger itself holds; the porter's last reply and the centre's journal miss them."""
    folder = ready.hospitals[0].folder
    path = last_segment(folder)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert wardround("silo", "ledger", "verify", "--site", ready.hospitals[0].site).status == 0
    own = wardround("silo", "ledger", "reconcile", "--site", ready.hospitals[0].site, "--format", "json")
    assert (own.status, problems(own)) == (1, ["L-ANCHOR"])
    centre = reconciled(wardround, ready)
    assert (centre.status, problems(centre)) == (1, ["L-ANCHOR"])


def test_an_entry_written_anew_by_the_hospital_is_found_by_the_centre(wardround, ready):
    """A hospital that writes its ledger anew, signed, with another count: the heads that it once named are not there."""
    folder = ready.hospitals[0].folder
    known = list(read_entries(folder / "ledger", load_identity(folder).signing_key))
    path, head, written = last_segment(folder), GENESIS, b""
    for line, entry in known:
        changed = entry.model_copy(update={"records": 1}) if entry.event == "release" and entry.round == 2 else entry
        data, head = write_line(changed, line.sequence, head, signing_key(folder))
        written += data
    path.write_bytes(written)
    assert wardround("silo", "ledger", "verify", "--site", ready.hospitals[0].site).status == 0
    centre = reconciled(wardround, ready)
    assert centre.status == 1
    assert set(problems(centre)) == {"L-ANCHOR"}
    own = wardround("silo", "ledger", "reconcile", "--site", ready.hospitals[0].site, "--format", "json")
    assert "L-RECEIPT" in problems(own), "the receipts are for heads that are not here any more"


def rewritten(ready: Ready, keep) -> None:
    """Write the centre's journal anew, as its owner could."""
    path = next(folders(ready.centre)).path / FOLDER / FILE
    entries = [link.entry for link in read_chain(path)]
    path.unlink()
    with closing(Chain(path)) as chain:
        for entry in entries:
            kept = keep(dict(entry))
            if kept is not None:
                chain.append(kept)


def test_a_journal_written_anew_is_found_by_the_hospitals_receipts(wardround, ready):
    """A centre that forgets a line, or changes one: the receipts that it signed name heads that its journal does not have."""
    rewritten(ready, lambda entry: None if entry["event"] == "admitted" and entry["site"] == "beta" else entry)
    answer = reconciled(wardround, ready)
    assert answer.status == 1
    assert set(problems(answer)) == {"L-RECEIPT"}
    answer = reconciled(wardround, ready, ready.hospitals[1].folder / "ledger", "beta")
    assert [each["purpose"] for each in answer.json()["unheard"]] == PURPOSES


def test_another_verdict_than_the_receipts_is_found(wardround, ready):
    """A journal that says of an answer another count than the hospital's ledger: the entry is named."""
    rewritten(ready, lambda entry: {**entry, "task_id": "0" * 64} if entry["event"] == "admitted" else entry)
    answer = reconciled(wardround, ready)
    assert answer.status == 1
    assert {each["code"] for each in answer.json()["problems"]} == {"L-RECEIPT"}
    assert re.search(r"\.jsonl, line \d+ \(entry \d+\)", answer.json()["problems"][0]["place"])


def test_a_receipt_that_the_centre_did_not_sign_is_found(wardround, ready):
    """A receipt that the hospital made up: its own reconciling and the centre's name it."""
    folder = ready.hospitals[0].folder
    known = list(read_entries(folder / "ledger", load_identity(folder).signing_key))
    _, last = next((line, entry) for line, entry in reversed(known) if entry.event == "receipt")
    release = next(line.hash for line, entry in reversed(known) if entry.event == "release")
    task = next(entry.task for _, entry in reversed(known) if entry.event == "release")
    made_up = last.model_copy(update={"task_id": task, "ledger": release})
    data, _ = write_line(made_up, known[-1][0].sequence + 1, known[-1][0].hash, signing_key(folder))
    with last_segment(folder).open("ab") as file:
        file.write(data)
    verify = ("silo", "ledger", "verify", "--site", ready.hospitals[0].site, "--format", "json")
    assert wardround(*verify).json()["other_receipts"] is None, "no centre is known: receipts are taken as they are"
    held = wardround(*verify, "--coordinator", ready.centre / "coordinator.json")
    assert (held.status, problems(held)) == (1, ["L-RECEIPT"])
    own = wardround("silo", "ledger", "reconcile", "--site", ready.hospitals[0].site, "--format", "json")
    assert problems(own) == ["L-RECEIPT"]
    assert "not signed" in own.json()["problems"][0]["finding"]
    assert problems(reconciled(wardround, ready)) == ["L-RECEIPT"]


def test_receipts_confirm_what_the_centre_signed(wardround, ready, tmp_path):
    """Held against the centre's own keys they confirm; against another centre's they are told, and confirm nothing."""
    verify = ("silo", "ledger", "verify", "--site", ready.hospitals[0].site)
    found = wardround(*verify, "--coordinator", ready.centre / "coordinator.json", "--format", "json").json()
    assert (found["other_receipts"], found["confirmed"], found["events"]["receipt"]) == (0, 9, 5)
    assert wardround("coordinator", "init", tmp_path / "other", "--name", "Another centre").status == 0
    other = ("--coordinator", tmp_path / "other" / "coordinator.json")
    found = wardround(*verify, *other, "--format", "json").json()
    assert (found["other_receipts"], found["confirmed"]) == (5, None)
    assert "The other 5 are of centres that were not named" in wardround(*verify, *other).out
    assert "was not looked at" in wardround(*verify).out


def test_the_joined_centre_is_the_one_that_receipts_are_held_against(wardround, ready):
    """Its key is the one that was pinned, not one that stands in the ledger."""
    hospital = ready.hospitals[0]
    invited = wardround("coordinator", "enrol", hospital.folder / "request.json", "--dir", ready.centre, "--yes")
    assert invited.status == 0, invited
    invitation = ready.centre / "invitations" / "alpha.json"
    assert wardround("silo", "join", invitation, "--site", hospital.site).status == 0
    found = wardround("silo", "ledger", "verify", "--site", hospital.site, "--format", "json").json()
    assert (found["other_receipts"], len(found["centres"])) == (0, 1)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("--study", "trial"), True),
        (("--study", "trial-1.0.0", "--since", "2020-01-01"), True),
        (("--since", "2020-01-01", "--until", "2020-12-31"), False),
        (("--since", "0999-01-01", "--until", "2020-12-31"), False),
        (("--since", "2120-01-01"), False),
    ],
)
def test_a_part_of_a_ledger_says_that_it_is_one(wardround, ready, tmp_path, words, shown):
    """By study and by day; totals are of the part, the ledger that goes along is whole, and verifies."""
    site = ("--site", ready.hospitals[0].site)
    whole = wardround("silo", "ledger", "show", *site, "--format", "json").json()
    part = wardround("silo", "ledger", "show", *site, *words, "--format", "json").json()
    assert part["entries"] == (whole["entries"] if shown else [])
    assert (part["length"], part["head"], whole["part"]) == (whole["length"], whole["head"], None)
    assert "Shown is a part: " in wardround("silo", "ledger", "show", *site, *words).out
    out = tmp_path / "part"
    assert "are of a part" in wardround("silo", "ledger", "export", out, *site, *words).out
    data, page = json.loads((out / "ledger.json").read_text()), (out / "ledger.html").read_text()
    assert data["part"] == part["part"]
    assert (len(data["left"]), len(data["approvals"]), data["receipts"]) == ((6, 1, 5) if shown else (0, 0, 0))
    assert "A part of the ledger: " in page
    assert ("round 3" in page) is shown
    found = wardround("silo", "ledger", "verify", "--copy", out, "--format", "json")
    assert (found.status, found.json()["entries"]) == (0, whole["length"])


@pytest.mark.parametrize(
    ("words", "code", "status"),
    [
        (("--study", "trail"), "A-STUDY", 1),
        (("--since", "2026-02-02", "--until", "2026-02-01"), "X-USAGE", 2),
        (("--since", "yesterday"), "yesterday", 2),
    ],
)
def test_a_part_that_cannot_be_meant(wardround, ready, tmp_path, words, code, status):
    """A study that the ledger does not have, days the wrong way round, no day: refused, and nothing is written."""
    for command in (("show",), ("export", tmp_path / "part")):
        answer = wardround("silo", "ledger", *command, "--site", ready.hospitals[0].site, *words)
        assert (answer.status, code in answer.err) == (status, True), answer
    assert not (tmp_path / "part").exists()


def test_a_hospital_that_is_not_on_the_roster(wardround, ready):
    """The nearest name is given."""
    answer = reconciled(wardround, ready, silo="alfa")
    assert answer.status == 2
    assert [(each["code"], each["next_step"]) for each in answer.json()["problems"]] == [("P-ROSTER", "did you mean alpha?")]


def test_a_simulation_after_it_is_no_difference(wardround, ready):
    """Releases and receipts of a simulation of the same study are listed as such, and are no difference."""
    assert ready.simulate(wardround).status == 0
    answer = reconciled(wardround, ready)
    assert (answer.status, answer.json()["rehearsed"]) == (0, 5)
    assert [each["purpose"] for each in answer.json()["unheard"]] == PURPOSES
