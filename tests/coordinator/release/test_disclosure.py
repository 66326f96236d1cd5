"""A hospital that does not share its figures: nothing in a release shows them, and nothing in it lets them be computed."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from predicting import LABELS, NUMBER

from coordinator.release.disclosure import _significant, disclose
from coordinator.release.history import history_of
from coordinator.release.release import write_release
from coordinator.rounds.outcome import Outcome
from wardround.canonical import model_json
from wardround.messages.record import RoundRecord, SiloRecord
from wardround.metrics.labels import over_labels
from wardround.metrics.pooled import BINS, ScoreCounts, measure, pool

SITES = tuple("abcdef")


def scores(right: int, wrong: int) -> ScoreCounts:
    """So many positive records that the model gets right, and so many that it gets wrong."""
    positives = [0] * BINS
    positives[200], positives[50] = right, wrong
    return ScoreCounts(positives=tuple(positives), negatives=(0,) * BINS, loss_units=1000 * right + 7000 * wrong)


def visit(purpose, number, train, counted, evaluated):
    """One visit: ``train`` by site, ``evaluated``: site → score counts."""
    total = sum(train[site] for site in counted)
    silos = tuple(
        SiloRecord(
            site=site,
            status="counted",
            records=train[site],
            share=train[site] / total if purpose == "round" else None,
            evaluation="shown" if site in evaluated else "none" if purpose == "statistics" else "withheld",
            metrics=measure(evaluated[site]) if site in evaluated else None,
            training_loss=1 / train[site] if purpose == "round" else None,
            seconds=train[site] / 7,
            bytes_down=10,
            bytes_up=train[site],
        )
        if site in counted
        else SiloRecord(site=site, status="silent", code="R-SILENT")
        for site in SITES
    )
    pooled = measure(pool(evaluated.values())) if evaluated else None
    return RoundRecord(
        purpose=purpose,
        round=number,
        attempt=0,
        outcome="closed",
        records=total,
        silos=silos,
        pooled=pooled,
        evaluated_by=tuple(sorted(evaluated)),
        seconds=1.0,
    )


Attendance = st.lists(st.tuples(st.sets(st.sampled_from(SITES)), st.sets(st.sampled_from(SITES))), min_size=3, max_size=7)
Sharing = st.sets(st.sampled_from(SITES))


def outcome_of(attendance, sharing, seed):
    """An outcome in which these hospitals counted and were evaluated, with figures of their own.

    Every hospital evaluates the same number of records in each visit, and gets each time as many right as another figure says.
    """
    random = np.random.default_rng(seed)
    train, held = ({site: int(n) for site, n in zip(SITES, random.integers(20, 900, 6), strict=True)} for _ in range(2))
    purposes = ["statistics", *["round"] * (len(attendance) - 2), "test"]
    history = []
    for number, (purpose, (counted, evaluated)) in enumerate(zip(purposes, attendance, strict=True)):
        there = sorted(counted & evaluated) if purpose != "statistics" else []
        right = {site: int(random.integers(0, held[site] + 1)) for site in there}
        found = {site: scores(right[site], held[site] - right[site]) for site in there}
        history.append(visit(purpose, number, train, sorted(counted), found))
    shares = {site: "consortium" if site in sharing else "coordinator" for site in SITES}
    best = history[-2]
    return Outcome(
        roster=SITES,
        history=history,
        shares=shares,
        test=history[-1],
        best_metrics=best.pooled,
        best_evaluated_by=best.evaluated_by,
        status="partial",
    )


def published(bundle, outcome):
    """Give what stands in ``history.json``, as somebody reads it who has nothing else."""
    return json.loads(json.dumps(model_json(history_of(bundle, disclose(outcome)))))


def equations(history):
    """Give all that a release says of hospitals' figures, as [([(hospital, figure), …], their sum)].

    Training records are the same in all visits; so are validation records, in all visits but the test. What a model gets right
    differs by visit.
    """
    found = [each for number, record in enumerate(history["visits"]) for each in of_visit(number, record)]
    if history["best_metrics"] is not None:
        best = history["best_metrics"]["records"]
        found.append(([(site, "validation") for site in history["best_evaluated_by"]], best))
    return found


def of_visit(number, record):
    """Give what is said of all together in a visit, then of each."""
    counted = [silo for silo in record["silos"] if silo["status"] == "counted"]
    everybody = [silo["site"] for silo in counted]
    part = "test" if record["purpose"] == "test" else "validation"
    said = [
        (everybody, "records", record["records"]),
        (everybody, f"loss {number}", record["training_loss"] and record["training_loss"] * record["records"]),
        (everybody, f"bytes {number}", record["bytes_up"]),
        *of_metrics(record["evaluated_by"], part, number, record["pooled"]),
    ]
    for silo in counted:
        own = [silo["site"]]
        said += [
            (own, "records", silo["records"]),
            (own, f"loss {number}", silo["training_loss"] and silo["training_loss"] * silo["records"]),
            (own, f"bytes {number}", silo["bytes_up"]),
            (own, f"seconds {number}", silo["seconds"]),
            (everybody, "records", silo["share"] and silo["records"] / silo["share"]),
            *of_metrics(own, part, number, silo["metrics"]),
        ]
    return [([(site, figure) for site in sites], value) for sites, figure, value in said if value is not None]


def of_metrics(sites, part, number, metrics):
    if metrics is None:
        return []
    records = metrics["records"]
    right, loss = records * metrics["accuracy"], records * metrics["loss"]
    return [(sites, part, records), (sites, f"right {number}", right), (sites, f"score {number}", loss)]


def found_out(equations, sites, insiders=SITES):
    """Give every (hospital, figure) of some hospitals that follows for somebody: an outsider, or another hospital."""
    unknowns = sorted({unknown for row, _ in equations for unknown in row})
    out = set()
    for figure in sorted({figure for _, figure in unknowns}):
        place = {site: n for n, site in enumerate(SITES)}
        unit = np.eye(len(SITES))
        rows = [sum(unit[place[site]] for site, _ in row) for row, _ in equations if row and {f for _, f in row} == {figure}]
        for who in (None, *insiders):
            known = [*rows, *([unit[place[who]]] if who else [])]
            rank = np.linalg.matrix_rank(np.array(known))
            for site in sites:
                if site != who and np.linalg.matrix_rank(np.array([*known, unit[place[site]]])) == rank:
                    out.add((site, figure))
    return out


@given(Attendance, Sharing, st.integers(0, 99))
def test_nothing_that_is_published_gives_a_figure_away(bundle, attendance, sharing, seed):
    """All tables and all rounds together, for outsiders and for each other hospital."""
    history = published(bundle, outcome_of(attendance, sharing, seed))
    kept = [site for site in SITES if site not in sharing]
    assert found_out(equations(history), kept) == set()
    for record in history["visits"]:
        for silo in record["silos"]:
            if silo["site"] in kept and silo["status"] == "counted":
                assert silo["withheld"]
                assert [silo[name] for name in ("records", "share", "metrics", "training_loss", "seconds", "bytes_up")] == [
                    None
                ] * 6


@given(Attendance, Sharing, st.integers(0, 99), st.integers(100, 199))
def test_two_releases_of_a_study_give_no_more_than_one(bundle, attendance, sharing, seed, later):
    """A study that is run again with the same hospitals, over other figures: both releases hide the same, and add to nothing."""
    both = [published(bundle, outcome_of(attendance, sharing, each)) for each in (seed, later)]
    assert both[0]["withheld"] == both[1]["withheld"]
    kept = [site for site in SITES if site not in sharing]
    assert found_out([*equations(both[0]), *equations(both[1])], kept) == set()


def test_the_attack_finds_what_is_not_hidden(bundle):
    """The tests above can fail: without the hidden further ones, and with all sums shown, the attack finds the figure."""
    everybody = set(SITES)
    outcome = outcome_of([(everybody, everybody)] * 3 + [(everybody - {"b"}, everybody)], everybody - {"b"}, 1)
    whole = json.loads(json.dumps(model_json(history_of(bundle, outcome))))
    for record in whole["visits"]:
        for silo in record["silos"]:
            if silo["site"] == "b":
                silo.update(dict.fromkeys(("records", "share", "metrics", "training_loss", "seconds", "bytes_up")))
    assert {("b", "records"), ("b", "validation"), ("b", "right 1")} <= found_out(equations(whole), ["b"])
    assert found_out(equations(published(bundle, outcome)), ["b"]) == set()


def test_with_everybody_sharing_nothing_is_withheld(complete):
    """An outcome of hospitals that all share is published as it is."""
    assert replace(disclose(complete), withheld=None) == complete


def test_silence_is_no_permission(complete):
    """A hospital that never said that others may see its figures does not share them."""
    assert set(disclose(replace(complete, shares={})).withheld) == set(complete.roster)


def test_sums_over_all_are_still_shown(complete):
    """One of three hospitals does not share: nobody's own figures are shown, and all pooled ones are."""
    shown = disclose(replace(complete, shares={**complete.shares, "south": "coordinator"}))
    assert shown.withheld == {"north": "another hospital", "river": "another hospital", "south": "own policy"}
    assert shown.reports == {}
    assert shown.test.pooled == complete.test.pooled
    assert shown.best_metrics == complete.best_metrics
    assert [record.records for record in shown.history] == [record.records for record in complete.history]
    assert not any(record.withheld for record in shown.history)


def test_a_round_without_one_of_them_is_withheld(partial):
    """Where a hospital was missing, the sum over the others would give it away: that round's sums are withheld, and marked."""
    shown = disclose(replace(partial, shares={}))
    short = [record for record in shown.history if "river" not in record.counted]
    assert [(record.records, record.pooled, record.withheld) for record in short] == [(None, None, True)] * 2
    assert shown.history[1].records == partial.history[1].records


def test_one_that_was_disclosed_stays_so(complete):
    """A release that is made again of what was published is the same."""
    once = disclose(replace(complete, shares={"north": "coordinator"}))
    assert disclose(once) == once


@pytest.mark.parametrize("own", ["coordinator", "consortium"])
def test_no_file_of_a_release_shows_them(tmp_path, bundle, complete, comparison, own):
    """Shares, records and losses of a hospital stand in history, report and card only when it shares them."""
    outcome = replace(complete, shares={**complete.shares, "south": own})
    write_release(tmp_path / "release", bundle, outcome, comparison=comparison)
    texts = {path.name: path.read_text() for path in (tmp_path / "release").iterdir() if path.suffix != ".safetensors"}
    share, metrics = 100 * 25 / 160, complete.test.silos[2].metrics
    shown = [f"{share:.1f} %" in texts[name] for name in ("report.html", "MODEL_CARD.md")]
    shown += [f"{metrics.calibration_error:.3f}" in texts[name] for name in ("report.html", "MODEL_CARD.md")]
    shown += [str(metrics.loss) in texts["history.json"], "comparison.json" in texts]
    assert shown == [own == "consortium"] * 6
    assert (
        "Figures that are not shared with others, only with the coordinator: those of St. South." in texts["MODEL_CARD.md"]
    ) is (own == "coordinator")
    if own == "coordinator":
        assert texts["report.html"].count("withheld") > 12
        assert json.loads(texts["history.json"])["reports"]["south"] == {"withheld": True}


def partly(outcome, site, purposes=("round", "closing", "test")):
    """Give an outcome in which a hospital withholds its last label: of that one, the pooled figures are the others'."""

    def of(record):
        if record.purpose not in purposes:
            return record
        silos = [
            each if each.site != site else each.model_copy(update={"metrics": over_labels(each.metrics.records, untold(each))})
            for each in record.silos
        ]
        others = [silo.metrics.labels[-1].metrics for silo in silos]
        assert others.count(None) == 1
        return record.model_copy(update={"silos": tuple(silos)})

    history = [of(record) for record in outcome.history]
    return replace(outcome, history=history, test=history[-1])


def untold(silo):
    return [*silo.metrics.labels[:-1], silo.metrics.labels[-1].model_copy(update={"metrics": None})]


def test_a_label_that_fewer_hospitals_tell_is_withheld_where_one_is_hidden(make_outcome):
    """Its sum is over two of the three hidden ones: each of them would have the other's from it. No mean holds it either."""
    exact = partly(make_outcome(what=LABELS), "north")
    shown = disclose(replace(exact, shares={**exact.shares, "river": "coordinator"}))
    evaluated = [record.pooled for record in shown.history if record.pooled is not None]
    assert len(evaluated) == 6
    for pooled in (*evaluated, shown.test.pooled, shown.best_metrics):
        assert (pooled.labels[0].metrics is None, pooled.labels[1].metrics) == (False, None)
        assert (pooled.auroc, pooled.loss) == (pooled.labels[0].metrics.auroc, pooled.labels[0].metrics.loss)
    assert disclose(shown) == shown
    everybody = disclose(replace(exact, shares=dict.fromkeys(exact.roster, "consortium")))
    assert everybody.test.pooled == exact.test.pooled


def test_labels_of_other_records_are_judged_by_themselves(make_outcome):
    """A label that is withheld of the test records alone is still shown of the validation records."""
    exact = partly(make_outcome(what=LABELS), "north", ("test",))
    shown = disclose(replace(exact, shares={**exact.shares, "river": "coordinator"}))
    assert shown.test.pooled.labels[1].metrics is None
    assert shown.best_metrics == exact.best_metrics


def test_errors_of_a_number_are_released_in_three_digits(make_outcome):
    """Everywhere: pooled, of each hospital, losses too. The mean of 20 errors to six digits would be their sum exactly."""
    exact = make_outcome(what=NUMBER)
    shown = disclose(exact)
    found = [record.pooled for record in shown.history] + [silo.metrics for record in shown.history for silo in record.silos]
    figures = [metrics for metrics in (*found, shown.best_metrics, shown.test.pooled) if metrics is not None]
    assert len(figures) > 20
    for metrics in figures:
        for value in (metrics.rmse, metrics.mae, metrics.loss):
            assert value == float(f"{value:.3g}")
        assert metrics.r2 == round(metrics.r2, 3)
        assert metrics.bias == round(metrics.bias, 1)  # an RMSE of 10 to 20 has one place after the point in three digits
    losses = [silo.training_loss for record in shown.history for silo in record.silos if silo.training_loss is not None]
    assert losses
    assert losses == [float(f"{value:.3g}") for value in losses]
    assert shown.test.pooled.rmse == float(f"{exact.test.pooled.rmse:.3g}") != exact.test.pooled.rmse
    assert disclose(shown) == shown


@pytest.mark.parametrize(
    ("exact", "rounded"),
    [(0.0, 0.0), (0.00123456, 0.00123), (9.996, 10.0), (123456.0, 123000.0), (99.96, 100.0), (5e-324, 5e-324)],
)
def test_digits_are_counted_from_the_first(exact, rounded):
    assert _significant(exact) == rounded


def test_a_study_of_two(bundle, make_outcome):
    """With two hospitals each could take itself off the sum: with one that does not share, no pooled figure is shown."""
    outcome = make_outcome(
        {(purpose, n): {"south": "H-DATA"} for purpose in ("statistics", "round", "closing", "test") for n in range(5)}
    )
    shown = disclose(replace(outcome, reports={}, shares={"north": "consortium", "river": "coordinator"}))
    assert shown.withheld == {"river": "own policy"}
    assert (shown.test.pooled, shown.best_metrics, shown.best_withheld) == (None, None, True)
    assert {record.records for record in shown.history} == {None}
    assert {silo.share for record in shown.history for silo in record.silos} == {None}
    assert shown.test.silos[0].metrics == outcome.test.silos[0].metrics
