"""Small real studies and their outcomes: three hospitals, four rounds, counts from scores that separate better each round."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from labels_on_paper import labels, sides
from masks_on_paper import guesses, overlaps
from numbers_on_paper import errors
from studies_on_paper import node_key

from coordinator.release.comparison import Comparison, ModelRow, SiteRecords
from coordinator.rounds.outcome import Outcome
from wardround.canonical import sha256
from wardround.contract.implied_table import implied_table
from wardround.contract.library import find, find_imaging
from wardround.errors import Problem
from wardround.identity.keys import SigningKey
from wardround.identity.roster import Coordinator, Member, Roster
from wardround.messages.data_report import DataReport, FindingSummary, ShownCell, WithheldCell
from wardround.messages.record import RoundRecord, SiloRecord
from wardround.metrics.pooled import Counts, count_scores, pool
from wardround.strict_yaml import load, parse
from wardround.study.bundle import Bundle, Versions
from wardround.study.encoding import Encoding, Ends, NumberColumn
from wardround.study.kind import Predicted
from wardround.study.model import Study
from wardround.weights.packing import manifest_of, pack, to_bytes

SITES = {"north": ("North General", 90, 30), "river": ("Riverside", 45, 20), "south": ("St. South", 25, 12)}
"""By site: name, training records, validation and test records."""
ROUNDS = 4
FEATURES = ("radius_mean", "texture_mean", "area_mean")


BINARY = Predicted("binary")


def counts(seed: int, records: int, separation: float, what: Predicted = BINARY) -> Counts:
    random = np.random.default_rng(seed)
    if what.kind == "mask":
        return overlaps(records, *np.clip(0.3 + 0.2 * separation - 0.1 * np.arange(len(what.classes)), 0.05, 0.95))
    if what.kind == "classes":
        return guesses(records, len(what.classes), separation)
    if what.kind == "number":
        return errors(records, 0.08 / (1.2 + separation), 0.45 + 0.01 * (seed // 100))
    if what.kind == "labels":
        told = [sides(records // part, records - records // part - 1, round(20 * separation)) for part in (2, 3)]
        return labels(records, *told)
    positive = np.arange(records) % 3 == 0
    logits = np.where(positive, separation, -separation) + random.normal(size=records)
    losses = np.logaddexp(0.0, np.where(positive, -logits, logits))
    return count_scores(logits, positive, losses)


@pytest.fixture(scope="session")
def roster() -> Roster:
    keys = [SigningKey.generate().public for _ in range(2 + 3 * len(SITES))]
    members = [
        Member(
            site=site,
            name=name,
            signing_key=keys[2 + 3 * index],
            encryption_key=keys[3 + 3 * index],
            approval_key=keys[4 + 3 * index],
            node_key=node_key(site).public.decode(),
        )
        for index, (site, (name, _, _)) in enumerate(SITES.items())
    ]
    return Roster(
        coordinator=Coordinator(name="Trusted Centre", signing_key=keys[0], encryption_key=keys[1]), silos=tuple(members)
    )


@pytest.fixture(scope="session")
def make_bundle(roster) -> Callable[..., Bundle]:
    def make(**changes) -> Bundle:
        contract = find("breast.cytology")
        study = {
            "name": "malignancy",
            "version": "1.0.0",
            "title": "Malignancy from nuclear features",
            "question": "Can the nuclei of a fine needle aspirate tell malignant from benign?",
            "author": "A. Scientist",
            "schema": {"id": contract.id, "version": contract.version},
            "target": {"field": "diagnosis", "positive": "malignant"},
            "features": FEATURES,
            "network": {"name": "FullyConnectedNet", "arguments": {"hidden_channels": (4,)}},
            "training": {"optimiser": {"learning_rate": 0.1}},
            "seed": 7,
            "rounds": {"maximum": ROUNDS},
            "convergence": {"patience": 2},
            "silos": {"minimum": 2, "minimum_validation": 10},
        }
        state = {"hidden.weight": np.ones((4, 3), dtype=np.float32), "out.bias": np.zeros((), dtype=np.float32)}
        manifest = manifest_of(state)
        versions = Versions(protocol=1, packages={"torch": "2.13.0"})
        return Bundle(Study.model_validate(study | changes), contract, roster, versions, pack(state, manifest), manifest)

    return make


@pytest.fixture(scope="session")
def bundle(make_bundle) -> Bundle:
    return make_bundle()


@pytest.fixture(scope="session")
def bundle_of_images(bundle) -> Bundle:
    """The demonstration's study of masks in place of the one of a table."""
    demo = Path(str(files("wardround_lab.demo")))
    imaging = find_imaging("phantom.lesion", [demo / "schemas"])
    study = parse(Study, load(demo / "phantom-lesions.yaml"))
    return Bundle(study, implied_table(imaging), bundle.roster, bundle.versions, bundle.weights, bundle.manifest, imaging=imaging)


def report(bundle: Bundle, *, hide: bool = False, passed: bool = True) -> DataReport:
    shown = [WithheldCell(), WithheldCell(), WithheldCell()] if hide else [ShownCell(count=n) for n in (180, 12, 168)]
    finding = FindingSummary(code="T-RANGE", severity="error", field="radius_mean", records=shown[1])
    return DataReport(
        schema_id=bundle.contract.id,
        schema_version=bundle.contract.version,
        contract_hash=bundle.contract.contract_hash(),
        passed=passed,
        found=shown[0],
        quarantined=shown[1],
        valid=shown[2],
        findings=(finding,),
    )


@dataclass(frozen=True)
class Visits:
    """How the visits of an outcome go: by (purpose, round), what becomes of a site that does not simply count."""

    bundle: Bundle
    absent: dict[tuple[str, int], dict[str, str]]
    withheld: frozenset[str] = frozenset()
    failed: frozenset[tuple[str, int]] = frozenset()
    what: Predicted = BINARY

    def records(self, purpose: str, number: int) -> int:
        absent = self.absent.get((purpose, number), {})
        return sum(train for site, (_, train, _) in SITES.items() if site not in absent)

    def silo(self, purpose: str, number: int, site: str) -> tuple[SiloRecord, Counts | None]:
        code = self.absent.get((purpose, number), {}).get(site)
        if code is not None:
            status = "silent" if code == "R-SILENT" else "refused"
            return SiloRecord(site=site, status=status, code=code, bytes_down=900, bytes_up=70 * (status == "refused")), None
        place = list(SITES).index(site)
        _, train, evaluated = SITES[site]
        counted = {
            "site": site,
            "status": "counted",
            "records": train,
            "seconds": 0.4 + place,
            "bytes_down": 900,
            "bytes_up": 800,
        }
        if purpose == "round":
            counted |= {"training_loss": 0.7 / number + 0.05 * place, "share": train / self.records(purpose, number)}
        if purpose == "statistics":
            return SiloRecord(**counted), None
        if site in self.withheld:
            return SiloRecord(**counted, evaluation="withheld"), None
        age = number - (purpose == "round")
        found = counts(100 * place + (purpose == "test"), evaluated, 0.1 + 0.5 * age - 0.1 * place, self.what)
        return SiloRecord(**counted, evaluation="shown", metrics=self.what.measure(found)), found

    def visit(self, purpose: str, number: int, attempt: int = 0) -> RoundRecord:
        parts = [self.silo(purpose, number, site) for site in SITES]
        used = {silo.site: found for silo, found in parts if found is not None}
        missed = (purpose, number) in self.failed
        return RoundRecord(
            purpose=purpose,
            round=number,
            attempt=attempt,
            outcome="failed" if missed else "closed",
            shortfall=("C-QUORUM",) if missed else (),
            weights=None if purpose == "statistics" else sha256(to_bytes(self.bundle.weights)),
            stepped=None,
            records=sum(silo.records or 0 for silo, _ in parts),
            silos=tuple(silo for silo, _ in parts),
            pooled=self.what.measure(pool(used.values()), curves=purpose != "round") if used else None,
            evaluated_by=tuple(used),
            seconds=1.5 + number,
        )


@pytest.fixture
def make_outcome(bundle) -> Callable[..., Outcome]:
    def make(absent=None, withheld=(), *, of: Bundle = bundle, what: Predicted = BINARY) -> Outcome:
        visits = Visits(of, absent or {}, frozenset(withheld), what=what)
        outcome = Outcome(roster=of.roster.sites)
        for purpose, number in [("statistics", 0), *(("round", n + 1) for n in range(ROUNDS)), ("closing", ROUNDS)]:
            record = visits.visit(purpose, number)
            outcome.history.append(record)
            outcome.count(record.counted)
        outcome.rounds, outcome.stopped, outcome.best_round = ROUNDS, "maximum", ROUNDS
        outcome.best_metrics, outcome.best_evaluated_by = outcome.history[-1].pooled, outcome.history[-1].evaluated_by
        outcome.best, outcome.last = of.weights + np.float32(0.5), of.weights + np.float32(0.75)
        columns = tuple(NumberColumn(field=name, mean=14.5, deviation=3.5, may_be_missing=False) for name in FEATURES)
        outcome.encoding = Encoding(
            data_schema=of.contract.id,
            version=of.contract.version,
            encoding_hash=of.contract.encoding_hash(),
            target="diagnosis",
            positive="malignant",
            number=Ends(low=40.0, high=300.0) if what.kind == "number" else None,
            columns=columns,
        )
        outcome.test = visits.visit("test", ROUNDS)
        outcome.history.append(outcome.test)
        outcome.count(outcome.test.counted)
        outcome.reports = {site: report(of, hide=site == "south") for site in of.roster.sites}
        outcome.shares = dict.fromkeys(of.roster.sites, "consortium")
        outcome.succeed()
        return outcome

    return make


@pytest.fixture
def complete(make_outcome) -> Outcome:
    return make_outcome()


@pytest.fixture
def partial(make_outcome) -> Outcome:
    return make_outcome(
        {("round", 2): {"river": "R-SILENT"}, ("round", 3): {"river": "R-SILENT"}, ("test", 4): {"south": "H-DATA"}}
    )


@pytest.fixture
def failed(bundle, make_outcome) -> Outcome:
    """Two rounds that count, then one that fails twice."""
    alone = {"north": "R-NONFINITE", "south": "H-FAILED"}
    visits = Visits(bundle, {("round", 3): alone}, failed=frozenset({("round", 3)}))
    outcome = replace(make_outcome(), history=[], test=None)
    for purpose, number, attempt in [("statistics", 0, 0), ("round", 1, 0), ("round", 2, 0), ("round", 3, 0), ("round", 3, 1)]:
        outcome.history.append(visits.visit(purpose, number, attempt))
    outcome.rounds = 2
    finding = "C-QUORUM: 1 counted; not: north, south"
    outcome.fail(
        (Problem("C-FAILED", "malignancy, round 3", "A visit needs 2 hospitals", finding, "mend them, and run it again"),)
    )
    return outcome


@pytest.fixture
def comparison() -> Comparison:
    return comparison_of(BINARY)


def comparison_of(what: Predicted) -> Comparison:
    def row(name: str, kind: str, step: float, site: str | None = None) -> ModelRow:
        found = {each: counts(9, SITES[each][2], 1.0 + step + 0.3 * (each == site), what) for each in SITES}
        per_site = {each: what.measure(value) for each, value in found.items()}
        overall = what.measure(pool(found.values()))
        return ModelRow(name=name, kind=kind, site=site, per_site=per_site, overall=overall)

    alone = [row(f"{name} alone", "alone", -0.6, site) for site, (name, _, _) in SITES.items()]
    records = [
        SiteRecords(site=site, name=name, found=n + 2 * m + 3, quarantined=3, used=n + 2 * m, train=n, validation=m, test=m)
        for site, (name, n, m) in SITES.items()
    ]
    return Comparison(
        models=(*reversed(alone), row("pooled", "pooled", 0.4), row("federated", "federated", 0.35)),
        records=tuple(reversed(records)),
        note="Real patients, dealt to made-up hospitals.",
    )


@pytest.fixture
def make_comparison() -> Callable[[Predicted], Comparison]:
    return comparison_of
