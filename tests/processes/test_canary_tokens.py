"""Law 1 over failures of every kind: a hospital in which everything is a token, and in which everything goes wrong.

Unique tokens stand in every cell, header, file and folder name, in side files, in the environment and in every error; what
leaves is captured in a relay that ends TLS, over whole studies in which each round and each study fails in another way,
with messages of the centre that are wrong in every way, and while people of the hospital type their own commands.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from flower_processes import eventually
from hospitals_on_disk import Answer, Hospital, deal
from ledgers import ledger_of
from planted_tokens import Planted, assert_every_form_is_found, files_of, opened_by_centre, plant
from playing_the_centre import Played, approve_for, ask, bundle_of, our_grid, refusal, trainers_hear_nothing
from tapped_ward import TappedWard, tapped_ward
from traces import Traces
from wrong_messages import offer_of, send_beyond_form, wrong_messages

from coordinator.studies import StudyState
from silo_node.confinement import CONFINEMENT
from silo_node.explanation import look_up
from wardround.messages.canary import CANARY_ANSWER
from wardround.messages.envelope import read
from wardround.messages.offer import OFFER_ANSWER, OfferAnswer
from wardround.messages.round import ANSWER, SiloRefusal

TOKEN, LEAK = "Qz6KanarieFehler", "Qz7KontrolleLautGesagt"
ENVIRONMENT = {"PATIENT_REGISTER": "Qz6KanarieUmgebungRegister", "RIS_PASSWORD": "Qz6KanarieUmgebungKennwort"}
SIDE_FILES = {
    "Qz6KanarieSerie.dcm": "(0010,0010) PN [Qz6KanariePatient^Erika]\n(0010,0020) LO [Qz6KanariePatientNummer]\n",
    "Qz6KanarieNotiz.txt": "# Qz6KanarieKommentar: please call back\n",
}
SHORT = {
    "value": "H-FAILED",
    "memory": "H-MEMORY",
    "exit": "H-FAILED",
    "panic": "H-FAILED",
    "unspeakable": "H-FAILED",
    "loud": "H-FAILED",
    "wrong count": "H-CHANGED",
    "porter value": "H-FAILED",
    "ledger disk full": "H-FAILED",
}
"""What fails in each round, and what the centre is told."""
LONG = {
    **SHORT,
    "recursion": "H-FAILED",
    "huge": "H-FAILED",
    "group": "H-FAILED",
    "disk full": "H-FAILED",
    "denied": "H-FAILED",
    "decode": "H-FAILED",
    "not finite": "H-NONFINITE",
    "porter exit": "H-FAILED",
    "porter panic": "H-FAILED",
    "porter unspeakable": "H-FAILED",
    "killed": "H-FAILED",
    "aborted": "H-FAILED",
    "odd": "H-GATE",
}
"""The gate holds the study up over the last one."""
WITHOUT_TRACE = ("memory", "wrong count", "not finite", "killed", "aborted", "odd")
"""Kinds that leave no trace of an error: there was none, or nobody lived to write it."""
SHORT_TABLES, LONG_TABLES = ("gone", "cells"), ("gone", "encoding", "cells", "column", "ragged")
"""What is wrong with the records of a study; the centre is told H-DATA."""
LARGEST_NORM = 2.0
APPROVED_SECONDS = 1
COMMAND_SECONDS = 120


@dataclass
class Told:
    """Everything that was said at the centre."""

    texts: list[str] = field(default_factory=list)

    def hear(self, ward: TappedWard, *words: object) -> None:
        """Run a command of the centre, and keep what it says."""
        answer = ward.wardround(*words)
        self.texts.append(answer.out + answer.err)


def spoil(table: Path, kind: str) -> None:
    """Make a hospital's records unfit in one way."""
    text = table.read_text()
    header, *lines = text.splitlines()
    match kind:
        case "gone":
            table.unlink()
        case "encoding":
            table.write_bytes(text.encode() + b"\xff\xfe")
        case "cells":
            table.write_text(re.sub(r"(?m)^([^,]*,[^,]*),[^,]*", r"\1," + TOKEN, text.replace(header, "", 1)).join((header, "")))
        case "column":
            table.write_text("\n".join(line.partition(",")[2] for line in [header, *lines]))
        case "ragged":
            table.write_text("\n".join([header, *lines, f"{TOKEN},{TOKEN}", ",".join([TOKEN] * 60)]))


@pytest.fixture(params=["short", pytest.param("long", marks=pytest.mark.faults)])
def kinds(request: pytest.FixtureRequest) -> dict[str, str]:
    """What fails, in the order of the rounds."""
    return SHORT if request.param == "short" else LONG


@pytest.fixture
def planted(tmp_path: Path) -> Planted:
    """What is looked for."""
    return Planted(tmp_path / "hospitals", TOKEN, *ENVIRONMENT.values(), *SIDE_FILES, *re.findall(r"Qz6\w+", str(SIDE_FILES)))


@pytest.fixture
def ward(tmp_path: Path, planted: Planted) -> Iterator[TappedWard]:
    """A hospital in which everything fails, and an honest one whose node says a text aloud on purpose."""
    dealt = deal(tmp_path / "hospitals", (110, 90))
    hospitals = [plant(hospital.folder, index, planted) for index, hospital in enumerate(dealt)]
    for name, text in SIDE_FILES.items():
        (hospitals[0].folder / name).write_text(text)
    with tapped_ward(tmp_path, hospitals) as made:
        yield made


def begin(ward: TappedWard, name: str, hospitals: list[Hospital], **changes: object) -> Path:
    """Build a study, have it approved, and submit it."""
    bundle = ward.build(name, hospitals, **changes)
    ward.approve(bundle, hospitals)
    ward.submit(bundle)
    return bundle


def refusals_of(ward: TappedWard, site: str) -> list[SiloRefusal]:
    """Give the refusals that a hospital sent, as they were on the wire."""
    found = [read(envelope, ANSWER) or read(envelope, CANARY_ANSWER) for envelope in ward.tap.sent()]
    return [each for each in found if isinstance(each, SiloRefusal) and each.site == site]


def visits(ward: TappedWard, state: StudyState) -> list[dict]:
    """Give a study's visits, as its release tells them."""
    found: list[dict] = json.loads((ward.centre / str(state.release) / "history.json").read_text())["visits"]
    return found


def fail_in_every_round(ward: TappedWard, kinds: dict[str, str], told: Told) -> dict[str, str]:
    """One study, one kind of failure a round; gives the reference of each."""
    rounds = {"maximum": len(kinds), "deadline_seconds": 90, "retries": 1}
    bundle = begin(ward, "rounds", ward.hospitals, silos={"minimum": 1}, rounds=rounds)
    with ThreadPoolExecutor(1) as people:
        answers = people.submit(type_meanwhile, ward, bundle)
        state = ward.ended("rounds", 300.0)
        assert state.phase == "partial", state
        assert_hospital_was_told(answers.result())
    seen = {}
    for visit in visits(ward, state):
        (alpha,) = (silo for silo in visit["silos"] if silo["site"] == "alpha")
        if visit["purpose"] == "round":
            kind = list(kinds)[visit["round"] - 1]
            assert (kind, alpha["code"]) == (kind, kinds[kind])
            seen[kind] = alpha["reference"]
    for form in ("text", "json"):
        told.hear(ward, "coordinator", "status", ward.centre, "--format", form)
        told.hear(ward, "coordinator", "history", "rounds", "--dir", ward.centre, "--format", form)
    assert all(reference in told.texts[1] for reference in seen.values()), "the operator sees what to quote"
    report = (ward.centre / str(state.release) / "report.html").read_text()
    assert any(reference in report for reference in seen.values())
    log = (ward.centre / "logs" / "conductor.log").read_text()
    assert all(f"{kinds[kind]}, reference {reference}" in log for kind, reference in seen.items())
    return seen


def type_meanwhile(ward: TappedWard, bundle: Path) -> dict[str, Answer]:
    """Type what people of a hospital type while a study runs, each command in a process of its own."""
    alpha = ward.hospitals[0]

    def refused() -> list[str]:
        return [entry["reference"] for entry in ledger_of(alpha.folder) if entry["event"] == "refusal"]

    commands = {
        "explain": ("explain", eventually(refused, COMMAND_SECONDS, "a refusal")[0]),
        "doctor": ("doctor", "--format", "json"),
        "check": ("check", "--study", str(bundle)),
        "review": ("review", str(bundle)),
    }
    answers = {}
    for name, words in commands.items():
        done = subprocess.run(
            [sys.executable, "-m", "wardround", "silo", *words, "--site", alpha.site],
            env={**os.environ, **ENVIRONMENT},
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        answers[name] = Answer(done.returncode, done.stdout, done.stderr)
    return answers


def assert_hospital_was_told(answers: dict[str, Answer]) -> None:
    """The commands did their work, over what must not leave: one shows a token, one asked the centre, one tried the study."""
    assert {name: answer.status for name, answer in answers.items()} == dict.fromkeys(answers, 0), answers
    assert f"ValueError: {TOKEN} in an offer" in answers["explain"].out
    assert [line["state"] for line in answers["doctor"].json()["lines"] if line["name"] == "enrolled"] == ["ok"]
    assert "in order. 110 records found" in answers["check"].out
    assert "The node would send:" in answers["review"].out


def fail_at_the_gate(ward: TappedWard, told: Told) -> None:
    """The trainer puts a token into a result: kept back and written down, and nothing of the study goes on."""
    alpha = ward.hospitals[0]
    begin(ward, "gate", [alpha], silos={"minimum": 1}, rounds={"maximum": 1, "deadline_seconds": 60, "retries": 0})
    state = ward.ended("gate")
    assert (state.phase, {silo["code"] for visit in visits(ward, state) for silo in visit["silos"]}) == ("failed", {"H-GATE"})
    study = bundle_of(ward, "gate").study_hash
    (blocked,) = (each for each in ledger_of(alpha.folder) if each["event"] == "blocked" and each["study"] == study)
    assert blocked["parts"] == [{"why": "word", "place": "result.sums.*.field"}]
    told.hear(ward, "coordinator", "history", "gate", "--dir", ward.centre)
    with our_grid(ward) as grid:
        played = Played(ward, grid, bundle_of(ward, "gate"), "alpha")
        with trainers_hear_nothing(ward, ["H-GATE"], alpha.folder.name):
            assert refusal(ask(grid, "alpha", played.first())) == "H-GATE"


def fail_by_other_records(ward: TappedWard, planted: Planted, told: Told) -> None:
    """One number is another one than those that were approved, with the records fixed."""
    alpha = ward.hospitals[0]
    (table,) = alpha.folder.rglob("*-Ausfuhr.csv")
    whole = table.read_text()
    rounds = {"maximum": 1, "deadline_seconds": 60, "retries": 0}
    bundle = ward.build("fixed", [alpha], silos={"minimum": 1}, rounds=rounds)
    ward.command("silo", "approve", bundle, "--site", alpha.site, "--approver", "Dr A", "--role", "DPO", "--data-fixed")
    first = whole.splitlines()[1].split(",")
    table.write_text(whole.replace(first[2], planted.number(first[2][:-1]), 1))
    ward.submit(bundle)
    state = ward.ended("fixed")
    assert (state.phase, {silo["code"] for visit in visits(ward, state) for silo in visit["silos"]}) == ("failed", {"H-CHANGED"})
    told.hear(ward, "coordinator", "history", "fixed", "--dir", ward.centre)
    table.write_text(whole)


def fail_by_message(ward: TappedWard) -> None:
    """The centre sends what is wrong in every way, and asks for a study that may not go on, for every reason there is."""
    alpha = ward.hospitals[0]
    rounds = {"maximum": 3, "deadline_seconds": 60, "retries": 1, "maximum_change_norm": LARGEST_NORM}
    path = ward.build("asked", [alpha], silos={"minimum": 1}, rounds=rounds)
    ward.approve(path, [alpha])
    with our_grid(ward) as grid:
        played = Played(ward, grid, bundle_of(ward, "asked"), "alpha")
        played.begin()
        messages = wrong_messages(played)
        with trainers_hear_nothing(ward, [code for code, _ in messages], alpha.folder.name):
            for code, message in messages:
                assert refusal(ask(grid, "alpha", message)) == code, message
            send_beyond_form(played)
        failed = played.visit("round", 1)
        assert isinstance(failed, SiloRefusal)
        trap = played.bundle.weights.copy()
        trap[0] += np.float32(1.01 * LARGEST_NORM)
        with trainers_hear_nothing(ward, ["H-DRIFT"], alpha.folder.name):
            assert refusal(ask(grid, "alpha", played.task("round", 2, trap))) == "H-DRIFT"
        refuse_by_decision(ward, played, path)


def refuse_by_decision(ward: TappedWard, played: Played, path: Path) -> None:
    """The policy cannot be read any more or forbids the study, it is paused, it is rejected, its approval has ended."""
    alpha, decided = ward.hospitals[0], ("--site", ward.hospitals[0].site)
    policy, before = alpha.folder / "policy.yaml", (alpha.folder / "policy.yaml").read_text()

    def is_refused(code: str) -> None:
        with trainers_hear_nothing(ward, [code], alpha.folder.name):
            assert refusal(ask(played.grid, "alpha", played.first())) == code

    for text in (f"{TOKEN}: {TOKEN}\n", f"'{TOKEN}", "small_cell: 11\nmaximum_rounds: 1\n"):
        policy.write_text(text)
        is_refused("H-POLICY")
    policy.write_text(before)
    ward.command("silo", "pause", path, *decided)
    is_refused("H-STUDY")
    ward.command("silo", "resume", path, *decided)
    ward.command("silo", "reject", path, *decided, "--reason", "data")
    is_refused("H-STUDY")
    answer = read(ask(played.grid, "alpha", offer_of(played)), OFFER_ANSWER)
    assert isinstance(answer, OfferAnswer)
    assert answer.state == "rejected"
    approve_for(alpha, played.bundle, timedelta(seconds=APPROVED_SECONDS))
    time.sleep(APPROVED_SECONDS + 1)
    is_refused("H-STUDY")
    log = (alpha.folder / "logs" / "node.log").read_text()
    assert [code in log for code in ("A-PAUSED", "A-MISSING", "A-EXPIRED")] == [True] * 3


def refuse_every_study(ward: TappedWard, told: Told) -> None:
    """A study that a person rejects, and one that a policy of after the approval overrules: the conductor hears it."""
    alpha = ward.hospitals[0]
    policy, before = alpha.folder / "policy.yaml", (alpha.folder / "policy.yaml").read_text()
    rounds = {"maximum": 2, "deadline_seconds": 60, "retries": 0}
    rejected = ward.build("rejected", [alpha], silos={"minimum": 1}, rounds=rounds)
    ward.command("silo", "reject", rejected, "--site", alpha.site, "--reason", "ethics")
    overruled = ward.build("overruled", [alpha], silos={"minimum": 1}, rounds=rounds)
    ward.approve(overruled, [alpha])
    policy.write_text("small_cell: 11\nmaximum_rounds: 1\n")
    for path, offer in ((rejected, "rejected"), (overruled, "refused-by-policy")):
        ward.submit(path)
        state = ward.ended(path.stem)
        assert (state.phase, state.silos[0].offer) == ("failed", offer)
        for form in ("text", "json"):
            told.hear(ward, "coordinator", "status", ward.centre, "--format", form)
    policy.write_text(before)


def fail_before_every_study(ward: TappedWard, tables: tuple[str, ...], told: Told) -> None:
    """Records that are unfit, a policy that allows nothing any more, a canary that fails: one study each."""
    alpha = ward.hospitals[0]
    (table,) = alpha.folder.rglob("*-Ausfuhr.csv")
    whole, rounds = table.read_bytes(), {"maximum": 1, "deadline_seconds": 60, "retries": 0}
    for kind in tables:
        spoil(table, kind)
        begin(ward, kind, [alpha], silos={"minimum": 1}, rounds=rounds)
        state = ward.ended(kind)
        assert (state.phase, {silo["code"] for visit in visits(ward, state) for silo in visit["silos"]}) == ("failed", {"H-DATA"})
        table.write_bytes(whole)
    policy = alpha.folder / "policy.yaml"
    allowed = policy.read_text()
    begin(ward, "confined", [alpha], silos={"minimum": 1}, rounds=rounds)
    policy.write_text("small_cell: 11\nrequired_confinement: [memory-limit]\n")
    state = ward.ended("confined")
    assert state.phase == "failed"
    assert {silo["code"] for visit in visits(ward, state) for silo in visit["silos"]} <= {"H-CONFINEMENT"}
    policy.write_text(allowed)
    bundle = ward.build("canary", [alpha], silos={"minimum": 1}, rounds=rounds)
    ward.approve(bundle, [alpha])
    ward.command("coordinator", "submit", bundle, "--dir", ward.centre, "--hold")
    ward.until(lambda state: state.silos[0].offer == "approved", "canary")
    for form in ("text", "json"):
        told.hear(ward, "coordinator", "canary", "canary", "--dir", ward.centre, "--format", form)
    assert "H-FAILED" in told.texts[-2]


def assert_hospital_finds_everything(ward: TappedWard, references: dict[str, str]) -> None:
    """Every refusal on the wire has a reference, all different but for those of one work; the trace stands under it."""
    alpha = ward.hospitals[0]
    sent = refusals_of(ward, "alpha")
    assert all(each.reference is not None for each in sent)
    for kind, reference in references.items():
        found = look_up(alpha.folder, reference)
        assert found.lines, kind
        assert [each.code for each in found.sent] == [LONG[kind]], kind
        if kind not in WITHOUT_TRACE:
            assert any(line.exception for line in found.lines), kind
        if kind in ("value", "exit", "panic", "loud", "huge", "disk full", "denied"):
            assert TOKEN in " ".join(line.exception or "" for line in found.lines), kind
    answer = ward.command("silo", "explain", references["value"], "--site", alpha.site)
    assert f"ValueError: {TOKEN}" in answer.out
    logs = [*(alpha.folder / "logs").iterdir(), alpha.folder / "run" / CONFINEMENT]
    assert all(path.stat().st_mode & 0o077 == 0 for path in logs)


def command_lines(ward: TappedWard, name: str) -> bytes:
    """Give the names and command lines of every process of a service, as `ps` shows them to everybody on the machine."""
    found = []
    for process in ward.services[name].processes():
        for file in ("cmdline", "comm"):
            try:
                found.append(Path(f"/proc/{process}/{file}").read_bytes())
            except OSError:
                continue
    return b"\0".join(found)


def test_no_token_leaves_whatever_fails(ward: TappedWard, planted: Planted, kinds: dict[str, str]) -> None:
    """Whatever fails in a hospital, and however: of all tokens, none is in a byte to the centre, or in a file there."""
    alpha, beta = ward.hospitals
    told = Told()
    ward.start_centre().up()
    failures = json.dumps({"token": TOKEN, "rounds": list(kinds)})
    services = [ward.start_planted(alpha, ENVIRONMENT, failures=failures), ward.start_planted(beta, leak=LEAK)]
    for service in services:
        service.up()
    references = fail_in_every_round(ward, kinds, told)
    fail_before_every_study(ward, SHORT_TABLES if kinds is SHORT else LONG_TABLES, told)
    fail_at_the_gate(ward, told)
    fail_by_other_records(ward, planted, told)
    fail_by_message(ward)
    if kinds is LONG:
        refuse_every_study(ward, told)
    assert_hospital_finds_everything(ward, references)
    shown = b"\0".join(command_lines(ward, alpha.folder.name).split(str(alpha.folder).encode()))
    centre_shown = command_lines(ward, "centre")
    for service in reversed(ward.services.values()):
        service.end()

    traces, capture = planted.traces(), ward.tap.up
    assert traces.found(capture) == set()
    assert traces.found(ward.tap.down) == set()
    opened = opened_by_centre(ward)
    parts = b"\0".join(part for each in opened for part in (each.message, each.signature.encode(), *each.arrays))
    assert traces.found(parts) == set()
    assert Traces([text[::-1] for text in planted.texts]).found(capture + parts) == set(), "nor backwards"
    centre = {**files_of(ward.centre), "output": (ward.folder / "centre.out").read_bytes(), "told": "".join(told.texts).encode()}
    assert any(name.startswith("releases/") for name in centre)
    assert traces.found("\0".join(centre).encode() + b"\0".join(centre.values())) == set()
    assert traces.found(centre_shown) == set()
    secret = Traces({TOKEN, *ENVIRONMENT.values(), *re.findall(r"Qz6\w+", str(SIDE_FILES))})
    assert secret.found(shown) == set(), "the hospital's own process list shows its folder, and nothing of what is in it"

    assert_the_failures_were_real(ward, kinds)
    assert Traces([LEAK]).found(capture) == {LEAK.lower()}, "positive control: what does leak is found"
    assert_every_form_is_found(planted, capture)


def assert_the_failures_were_real(ward: TappedWard, kinds: dict[str, str]) -> None:
    """The tokens were there: in the hospital's logs and what its processes printed, and in the trainer's environment."""
    logs = ward.hospitals[0].folder / "logs"
    trainer = (logs / "trainer.log").read_text()
    node = (logs / "node.log").read_text()
    assert f"ValueError: {TOKEN}" in trainer
    assert re.search(f"{TOKEN} .* in a thread", trainer)
    assert f"{TOKEN} in a finaliser" in trainer
    assert f"{TOKEN} in a canary" in trainer
    assert f"{TOKEN} in an offer" in node
    assert f"UserWarning: {TOKEN}" in trainer
    assert (logs / "trainer.out").read_text().count(TOKEN) >= 4, "what is printed, by Python and by native code"
    assert "some.library" in trainer
    assert f"{TOKEN.lower()} in a result" in trainer
    assert base64.b64encode(TOKEN.encode()).decode() not in trainer
    if "killed" in kinds:
        assert "trainers were lost over the same work" in node
