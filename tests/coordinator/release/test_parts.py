"""The parts of report and card, each against what the history says."""

from dataclasses import replace

import pytest

from coordinator.release.attendance import codes_of, explain, runs_of
from coordinator.release.comparison import Comparison, ModelRow
from coordinator.release.curves import curves_of
from coordinator.release.evaluation import alternatives_of, headline_of, site_rows
from coordinator.release.figures import byte_count, cell, columns_of, count, listing, of_silo, plural, resolution, seconds, wilson
from coordinator.release.holdings import findings_of, holdings_of, weights_of
from coordinator.release.settings import course_of, limits_of, settings_of
from coordinator.release.traffic import lines_of, totals_of, traffic_of
from wardround.contract.library import find, find_imaging
from wardround.messages.data_report import FindingSummary, ShownCell, WithheldCell
from wardround.messages.record import SiloRecord
from wardround.study.images import Images
from wardround.study.kind import Predicted
from wardround.study.model import Target

BINARY = Predicted("binary")


@pytest.fixture
def names(bundle) -> dict[str, str]:
    return {member.site: member.name for member in bundle.roster.silos}


@pytest.mark.parametrize(
    ("positive", "records", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_published_intervals(positive, records, low, high):
    """Newcombe 1998, table I, method 3."""
    assert wilson(positive / records, records) == pytest.approx((low, high), abs=5e-5)


def test_figures_are_written_for_people():
    assert [count(value) for value in (0, 1234567, None)] == ["0", "1\u202f234\u202f567", "–"]
    assert [byte_count(value) for value in (0, 1023, 1536, 5 * 2**20, 3 * 2**30)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "5.0 MiB",
        "3.00 GiB",
    ]
    assert [seconds(value) for value in (0.25, 12.34, 600)] == ["250 ms", "12.3 s", "10.0 min"]
    assert [listing(value) for value in ([], ["a"], ["a", "b", "c"])] == ["none", "a", "a, b and c"]
    assert [plural(value, "round") for value in (1, 2)] == ["1 round", "2 rounds"]
    assert [resolution(value) for value in (None, 0.0, 0.00123)] == ["", "± 0", "± 0.0012"]


def test_withheld_unknown_and_zero_are_three_things():
    assert [cell(value).text for value in (ShownCell(count=0), WithheldCell(), None)] == ["0", "withheld", "–"]
    assert [cell(value).shown for value in (ShownCell(count=0), WithheldCell(), None)] == [True, False, False]


def test_each_reason_for_no_figures_has_its_word():
    counted = {"site": "a", "status": "counted"}
    cases = {
        "not asked": None,
        "did not count (R-LATE)": SiloRecord(site="a", status="refused", code="R-LATE"),
        "withheld": SiloRecord(**counted, evaluation="withheld"),
        "too few records": SiloRecord(**counted, evaluation="not used"),
    }
    for word, silo in cases.items():
        assert {figure.text for figure in of_silo(silo, columns_of(BINARY)).values()} == {word}


def test_visits_that_went_alike_stand_in_one_line(partial, failed, complete):
    assert [run.label for run in runs_of(complete)] == ["statistics", "rounds 1 to 4", "closing evaluation", "test"]
    runs = runs_of(partial)
    assert [run.label for run in runs] == ["statistics", "round 1", "rounds 2 to 3", "round 4", "closing evaluation", "test"]
    assert [(mark.status, mark.code) for mark in runs[2].marks] == [("counted", ""), ("silent", "R-SILENT"), ("counted", "")]
    assert sum(run.visits for run in runs) == len(partial.history)
    assert [(run.label, run.closed) for run in runs_of(failed)][-2:] == [("round 3", False), ("round 3, attempt 2", False)]


def test_late_replies_are_not_drawn_together_with_punctual_ones(complete, names):
    complete.history[2] = complete.history[2].model_copy(update={"late": ("south",)})
    assert [run.label for run in runs_of(complete)][1:4] == ["round 1", "round 2", "rounds 3 to 4"]
    assert ("R-LATE", ("St. South",)) in [(use.code, use.places) for use in codes_of(complete, names)]


def test_a_hospital_that_is_not_asked_any_more_is_shown(complete):
    complete.history[-1] = complete.history[-1].model_copy(update={"silos": complete.history[-1].silos[:2]})
    assert [mark.status for mark in runs_of(complete)[-1].marks] == ["counted", "counted", "not asked"]


def test_codes_are_counted_where_they_came_up(partial, names):
    found = {use.code: (use.places, use.times) for use in codes_of(partial, names)}
    assert found["R-SILENT"] == (("Riverside",), 2)
    assert found["H-DATA"] == (("St. South",), 1)


def test_the_status_is_explained(complete, partial, failed, names):
    assert explain(complete, names) == "All 3 hospitals counted in every one of 7 visits."
    assert explain(partial, names).startswith("Only 1 of 3 hospitals counted throughout.")
    assert "no model" in explain(failed, names)


def test_the_curves_show_the_weights_that_were_evaluated(bundle, complete, names):
    """A round evaluates the weights that came: those of the round before. The closing visit evaluates the last."""
    curves = curves_of(bundle.study, complete, names)
    (pooled,) = curves.pooled
    assert [number for number, _ in pooled.points] == [0, 1, 2, 3, 4]
    assert pooled.points[-1][1] == complete.history[5].pooled.loss
    assert curves.best == (4, complete.best_metrics.loss)


def test_the_pooled_line_breaks_where_other_hospitals_evaluate(bundle, partial, names):
    """Figures are compared only between the same patients."""
    curves = curves_of(bundle.study, partial, names)
    assert [[number for number, _ in line.points] for line in curves.pooled] == [[0], [1, 2], [3, 4]]
    assert [[number for number, _ in line.points] for line in curves.loss] == [[1], [2, 3], [4]]
    assert [number for number, _ in curves.sites[1].points] == [0, 3, 4]


def test_the_training_loss_is_a_mean_over_records(bundle, complete, names):
    silos = complete.history[1].silos
    expected = sum(silo.records * silo.training_loss for silo in silos) / sum(silo.records for silo in silos)
    assert curves_of(bundle.study, complete, names).loss[0].points[0] == (1, pytest.approx(expected))


def test_withheld_evaluations_are_no_points(bundle, make_outcome, names):
    curves = curves_of(bundle.study, make_outcome(withheld=bundle.roster.sites), names)
    assert curves.pooled == ()
    assert curves.best is None
    assert all(line.points == () for line in curves.sites)


def test_the_headline_is_the_test(complete, names):
    headline = headline_of(complete, names, BINARY)
    assert headline.records == "test"
    assert headline.figures["accuracy"].text == f"{complete.test.pooled.accuracy:.3f}"
    assert headline.basis.startswith("On 62 test records (21 positive) of North General, Riverside and St. South")


def test_without_test_records_the_headline_says_that_it_flatters(complete, names):
    complete.test = None
    headline = headline_of(complete, names, BINARY)
    assert headline.records == "validation"
    assert "flatter" in headline.basis
    assert site_rows(complete, names, BINARY) == ()


def test_holdings_are_what_the_reports_let_out(complete, comparison, names):
    *_, south = holdings_of(complete, names, None)
    assert [figure.text for figure in (south.found, south.quarantined, south.used)] == ["withheld"] * 3
    assert [figure.text for figure in (south.train, south.validation, south.test)] == ["25", "12", "12"]
    *_, south = holdings_of(complete, names, comparison)
    assert [figure.text for figure in (south.found, south.quarantined, south.used)] == ["52", "3", "49"]


def test_a_hospital_without_a_report_has_unknown_counts(complete, names):
    complete.reports.clear()
    assert {row.found.text for row in holdings_of(complete, names, None)} == {"–"}
    assert findings_of(complete, names) == ()


def test_weights_are_shares_of_all_sums(complete, partial, names):
    """The shares of all hospitals are the whole; who was absent weighs nothing in that round."""
    for outcome in (complete, partial):
        assert sum(weight.share for weight in weights_of(outcome, names)) == pytest.approx(1)
    river = weights_of(partial, names)[1]
    assert (river.rounds, river.of) == (2, 4)
    assert river.share == pytest.approx(0.5 * 45 / 160)


def test_traffic_is_what_the_records_say(failed):
    down = sum(silo.bytes_down for record in failed.history for silo in record.silos)
    assert totals_of(failed)["down"] == byte_count(down)
    assert {row.label: row.visits for row in traffic_of(failed)} == {"statistics": "1", "rounds of training": "4"}
    assert [line.closed for line in lines_of(failed)] == [True, True, True, False, False]
    assert lines_of(failed)[0].metric == "–"


def test_the_course_says_why_it_stopped_and_what_is_released(bundle, complete, failed, make_outcome):
    assert "the most that the study allows" in course_of(bundle.study, complete)
    assert "no longer improved" in course_of(bundle.study, replace(complete, stopped="converged"))
    assert "last weights are released" in course_of(bundle.study, make_outcome(withheld=bundle.roster.sites))
    assert course_of(bundle.study, failed) == "2 rounds of training closed before the study failed."


def test_no_privacy_is_claimed(bundle, complete):
    """Privacy claims are accounted or not made."""
    assert any("no ε is claimed" in limit for limit in limits_of(bundle, complete))
    assert any("fewer than 10 validation records" in limit for limit in limits_of(bundle, complete))


def test_hospitals_with_made_up_records_are_named(bundle, complete, names):
    """First of all that the result does not say; and of nobody it is said without a finding."""
    site = bundle.roster.sites[0]
    told = FindingSummary(code="T-SYNTHETIC", severity="warning")
    report = complete.reports[site].model_copy(update={"findings": (told,)})
    limits = limits_of(bundle, replace(complete, reports={**complete.reports, site: report}))
    assert limits[0] == f"SYNTHETIC records, not of patients: those of {names[site]}. No figure on them says anything."
    assert not any("SYNTHETIC" in limit for limit in limits_of(bundle, complete))


def test_the_comparison_sets_the_federated_model_first(comparison, names):
    found = alternatives_of(comparison, names, Predicted("binary"))
    assert [row.kind for row in found.rows] == ["federated", "pooled", "alone", "alone", "alone"]
    assert [row.own for row in found.rows] == [None, None, 0, 1, 2]
    assert f"{comparison.federated.overall.auroc:.3f}" in found.verdict
    assert "between" in found.verdict


def test_a_hospital_that_is_not_on_the_roster_is_no_part_of_a_comparison(complete, comparison, names):
    """Records of a hospital that the study does not know are our own bug, not a row."""
    stray = comparison.records[0].model_copy(update={"site": "elsewhere"})
    with pytest.raises(ValueError, match="elsewhere"):
        holdings_of(complete, names, comparison.model_copy(update={"records": (stray,)}))


def test_a_comparison_has_one_federated_model(comparison):
    with pytest.raises(ValueError, match="exactly one federated"):
        Comparison(models=comparison.models[:4])
    with pytest.raises(ValueError, match="one hospital's"):
        ModelRow(name="x", kind="pooled", site="north", per_site={}, overall=comparison.federated.overall)


def test_images_with_a_table_of_their_own(bundle_of_images):
    """Both schemas by their own names; what a network classifies is seen at once, and nothing slides."""
    imaging = find_imaging("dermoscopy.lesion")
    seen = Images(channels=3, preparation=(), window=(64, 48))
    study = bundle_of_images.study.model_copy(update={"target": Target(field="malignant", positive="yes"), "images": seen})
    told = dict(settings_of(replace(bundle_of_images, study=study, contract=find(imaging.table.id), imaging=imaging)))
    assert told["Schema of the images"].endswith(
        "(dermoscopy.lesion 1.0.0), images in JPEG; an example is an image, numbers as they are stored"
    )
    assert told["Schema of the table"].endswith(f"({imaging.table.id} {imaging.table.version})")
    assert (told["Preparation"], told["In training, at random"]) == ("none", "nothing")
    assert told["The network sees"] == "64 × 48, colour"
