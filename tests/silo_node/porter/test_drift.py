"""Trap weights: what a study's rounds cannot have made is refused, over restarts; what an honest centre sends never is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from lives import live
from paper_hospitals import PaperHospital
from studies_on_paper import RECORDS, SITES

from coordinator.journal.journal import FOLDER, read_entries
from coordinator.rounds.outcome import Outcome
from silo_node.porter import drift
from silo_node.work import Done, Work
from wardround.messages.envelope import Envelope, read, seal
from wardround.messages.round import ORDER, Reply, SiloRefusal, Task
from wardround.weights.norm import l2_norm

LARGEST = 2.0
ROUNDS = {"maximum": 3, "deadline_seconds": 30, "retries": 1, "maximum_change_norm": LARGEST}


def moved(weights: np.ndarray, distance: float, seed: int = 0) -> np.ndarray:
    """Move weights by a distance, in some direction."""
    direction = np.random.default_rng(seed).normal(size=weights.size)
    result: np.ndarray = (weights + direction * (distance / np.linalg.norm(direction))).astype(np.float32)
    return result


@pytest.fixture
def limited(open_house):
    """A hospital that has approved a study whose changes have a largest norm, after its statistics."""
    house = open_house(rounds=ROUNDS)
    assert isinstance(house.visit("statistics"), Reply)
    return house


def code(house, purpose, number, weights, **changes) -> str:
    """Send weights that are refused; nothing of them reaches the worker or stays here."""
    kept = sorted(house.folder.glob("journal/*/weights"))
    before = [path.read_bytes() for path in kept]
    refused: str = house.code(house.sealed(house.task(purpose, number, weights=weights, **changes), weights))
    assert [path.read_bytes() for path in kept] == before
    return refused


def file_of(house) -> Path:
    """Give the file of the latest round's weights."""
    path: Path = house.folder / "journal" / house.paper.bundle.study_hash / drift.FILE
    return path


def test_trap_weights_are_refused_and_written_down(limited):
    """Further than one round may go is H-DRIFT, in the ledger with its round; as far as that is trained on."""
    first = limited.paper.bundle.weights
    assert isinstance(limited.visit("round", 1), Reply)
    assert code(limited, "round", 2, moved(first, 1.01 * LARGEST)) == "H-DRIFT"
    entry = limited.entries()[-1]
    assert (entry["event"], entry["code"], entry["purpose"], entry["round"]) == ("refusal", "H-DRIFT", "round", 2)
    second = moved(first, 0.99 * LARGEST)
    assert isinstance(limited.visit("round", 2, weights=second), Reply)
    assert code(limited, "round", 3, moved(second, 1.01 * LARGEST, seed=1)) == "H-DRIFT"
    assert isinstance(limited.visit("round", 3, weights=moved(second, 0.99 * LARGEST, seed=1)), Reply)


@pytest.mark.parametrize("purpose", ["closing", "test"])
def test_the_last_visits_are_held_to_it_too(limited, purpose):
    """Weights that are only evaluated answer questions about records as well."""
    assert isinstance(limited.visit("round", 1), Reply)
    first = limited.paper.bundle.weights
    assert code(limited, purpose, 1, moved(first, 1.01 * LARGEST)) == "H-DRIFT"
    assert isinstance(limited.visit(purpose, 1, weights=moved(first, 0.99 * LARGEST)), Reply)


def test_of_one_age_there_is_one_set_of_weights(limited):
    """Asked again for a round in a later attempt, or for a test of weights that were here, it must be the very same ones."""
    first = limited.paper.bundle.weights
    second, third = moved(first, 1.0), moved(first, 1.5)
    assert isinstance(limited.visit("round", 1), Reply)
    assert isinstance(limited.visit("round", 2, weights=second), Reply)
    nearly = second.copy()
    nearly[0] = np.nextafter(nearly[0], np.float32(9))
    assert code(limited, "round", 2, nearly, attempt=1) == "H-DRIFT"
    assert isinstance(limited.visit("round", 3, weights=third), Reply)
    assert code(limited, "test", 1, nearly) == "H-DRIFT"
    assert isinstance(limited.visit("test", 1, weights=second), Reply)


def test_rounds_that_were_missed_count(limited):
    """After a missed round, two may have passed; but never more than lie between, and the test lies between what was seen."""
    first = limited.paper.bundle.weights
    assert isinstance(limited.visit("round", 1), Reply)
    last = moved(first, 1.99 * LARGEST)
    assert code(limited, "round", 3, moved(first, 2.01 * LARGEST)) == "H-DRIFT"
    assert isinstance(limited.visit("round", 3, weights=last), Reply)
    between = ((first.astype(float) + last) / 2).astype(np.float32)
    assert code(limited, "test", 1, first) == "H-DRIFT"  # too far before what came last
    assert code(limited, "test", 1, last) == "H-DRIFT"  # too far after the beginning
    assert isinstance(limited.visit("test", 1, weights=between), Reply)


def test_without_a_norm_the_range_of_the_sum_is_held(open_house):
    """A study without a limit of its own: what the exponents of no plan reach is refused."""
    house = open_house()
    assert isinstance(house.visit("statistics"), Reply)
    assert isinstance(house.visit("round", 1), Reply)
    weights = house.paper.bundle.weights
    assert code(house, "round", 2, weights * np.float32(2.0**37)) == "H-DRIFT"
    assert isinstance(house.visit("round", 2, weights=weights * np.float32(2.0**20)), Reply)


def test_it_holds_over_restarts(limited):
    """Another porter knows what the one before was sent."""
    first = limited.paper.bundle.weights
    second = moved(first, LARGEST * 0.99)
    assert isinstance(limited.visit("round", 1), Reply)
    assert isinstance(limited.visit("round", 2, weights=second), Reply)
    limited.reopen()
    assert code(limited, "round", 2, first, attempt=1) == "H-DRIFT"
    assert code(limited, "round", 3, moved(first, -1.5)) == "H-DRIFT"  # from the initial weights it would be within two rounds
    assert isinstance(limited.visit("round", 3, weights=moved(second, LARGEST * 0.99, seed=2)), Reply)


@pytest.mark.parametrize(
    ("damage", "restarts"),
    [
        (Path.unlink, False),
        (Path.unlink, True),
        (lambda path: path.write_bytes(b""), True),
        (lambda path: path.write_bytes(b"torn"), True),
        (lambda path: path.write_bytes(bytes(4 * path.stat().st_size)), True),
    ],
    ids=["missing under the porter", "missing", "empty", "torn", "another's"],
)
def test_what_is_lost_lets_no_more_through_than_the_studys_rounds(limited, damage, restarts):
    """Without the last weights the initial ones are the measure: an honest study goes on, and the sum of rounds still holds."""
    first = limited.paper.bundle.weights
    assert isinstance(limited.visit("round", 1), Reply)
    assert isinstance(limited.visit("round", 2, weights=moved(first, 1.0)), Reply)
    damage(file_of(limited))
    if restarts:
        limited.reopen()
    assert code(limited, "round", 3, moved(first, 2.01 * LARGEST)) == "H-DRIFT"
    assert isinstance(limited.visit("round", 3, weights=moved(first, 1.5)), Reply)


def test_one_model_is_kept_and_dropped_at_the_end(limited):
    """On disk, for the owner only, one set of weights however many rounds; none once the test is read."""
    first = limited.paper.bundle.weights
    for number, weights in ((1, first), (2, moved(first, 1.0)), (3, moved(first, 1.5))):
        assert isinstance(limited.visit("round", number, weights=weights), Reply)
        if number > 1:  # the initial ones are in the bundle
            assert file_of(limited).read_bytes() == weights.tobytes()
    assert file_of(limited).stat().st_mode & 0o777 == 0o600
    assert isinstance(limited.visit("test", 2, weights=moved(first, 1.5)), Reply)
    assert not file_of(limited).exists()
    assert isinstance(limited.visit("test", 2, weights=moved(first, 1.5)), Reply)


def test_a_change_above_the_studys_norm_does_not_leave(limited):
    """The gate holds the study's limit, without any of the policy's."""
    big = np.full(limited.paper.bundle.manifest.size, 0.5, np.float32)
    assert l2_norm(big) > LARGEST
    honest = limited.spy.honest

    def outcome(work: Work) -> Done:
        done = honest(work)
        return Done(done.records, done.result, big)

    limited.spy.outcome = outcome
    answer = limited.visit("round", 1)
    assert isinstance(answer, SiloRefusal)
    assert (answer.code, limited.entries()[-1]["code"]) == ("H-NORM", "H-NORM")


class RealDoor(PaperHospital):
    """A hospital of paper with the real porter of a house in it, which may be away."""

    house: object
    away: Callable[[str, int], bool]
    restarts: bool

    def knock(self, envelope: Envelope) -> Envelope | None:
        """Let the porter answer what comes through."""
        order = read(envelope, ORDER)
        assert order is not None
        if isinstance(order, Task) and self.away(order.core.purpose, order.core.round):
            refusal = SiloRefusal(site=self.site, study_hash=order.study_hash, task_id=order.task_id, code="H-FAILED")
            return seal("reply", refusal, self.paper.parties[self.site].key)
        if self.restarts:
            self.house.reopen()
        return self.house.opened(self.house.porter.visit(self.house.encrypted(envelope)))


AWAY: dict[str, Callable[[str, int], bool]] = {
    "never": lambda _purpose, _round: False,
    "in the first rounds": lambda purpose, number: purpose == "round" and number <= 2,
    "in every second round": lambda purpose, number: purpose == "round" and number % 2 == 0,
    "until the test": lambda purpose, _round: purpose in ("round", "closing"),
    "in the closing": lambda purpose, _round: purpose == "closing",
}


@pytest.mark.parametrize("away", AWAY)
@pytest.mark.parametrize(
    ("losses", "dies_at"),
    [(lambda age: (900 - age) << 10, 0), (lambda age: (900 + age) << 10, 17), (lambda age: (900 + age % 2) << 10, 29)],
    ids=["the last is best", "the first is best", "the second is best"],
)
def test_an_honest_centre_is_never_refused(open_house, tmp_path, away, losses, dies_at):
    """A real conductor and a real porter, absent or restarted before each task; a round that failed; a death and a resume."""
    house = open_house(rounds={**ROUNDS, "maximum": 6, "max_failed_rounds": 6, "retries": 0}, silos={"minimum": 2})
    alone = [PaperHospital(house.paper, site, RECORDS[site], losses=losses) for site in SITES if site != "beta"]
    for other in alone:  # in round 4 nobody counts: it is passed over
        honest = other.knock
        other.knock = lambda envelope, honest=honest, other=other: failing(honest, other, envelope)  # type: ignore[method-assign]
    door = RealDoor(house.paper, "beta", RECORDS["beta"], losses=losses)
    door.house, door.away, door.restarts = house, AWAY[away], True
    hospitals = [*alone, door]
    outcome = live(tmp_path / "centre", house.paper, hospitals, dies_at)
    if dies_at:
        assert not isinstance(outcome, Outcome)
        outcome = live(tmp_path / "centre", house.paper, hospitals)
    assert isinstance(outcome, Outcome)
    assert outcome.failed_rounds == 1
    assert {entry.get("code") for entry in house.entries()} <= {None}
    assert any(entry["event"] == "release" and entry["purpose"] == "test" for entry in house.entries())
    assert read_entries(tmp_path / "centre" / FOLDER)


def failing(honest: Callable[[Envelope], Envelope | None], hospital: PaperHospital, envelope: Envelope) -> Envelope | None:
    """Refuse in round 4, else answer as ever."""
    order = read(envelope, ORDER)
    if isinstance(order, Task) and (order.core.purpose, order.core.round) == ("round", 4):
        refusal = SiloRefusal(site=hospital.site, study_hash=order.study_hash, task_id=order.task_id, code="H-FAILED")
        return seal("reply", refusal, hospital.paper.parties[hospital.site].key)
    return honest(envelope)
