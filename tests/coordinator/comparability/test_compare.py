"""Hospitals side by side: what is planted is found, what is even is not remarked, and what is withheld is used for nothing."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from studies_on_paper import paper
from told_wards import TO_CM_H2O, result_of, ward

from coordinator.comparability.compare import compare_for_coordinator, compare_for_others
from coordinator.comparability.page import render
from coordinator.release.disclosure import disclose
from coordinator.rounds.outcome import Outcome
from wardround.canonical import model_json
from wardround.comparison import Moments, psi, psi_by_chance, standardised_difference, suspected_unit
from wardround.contract.library import find
from wardround.contract.model import WrongUnit
from wardround.messages.data_report import FindingSummary

SITES = ("alpha", "beta", "delta", "gamma")
PAPER = paper(SITES, statistics={"distributions": True})


def compared(**wards):
    results = {site: result_of(PAPER, wards.get(site, ward(number, 300 + 40 * number))) for number, site in enumerate(SITES)}
    return compare_for_coordinator(PAPER.bundle, results)


def remarks(found):
    return {(site.site, field.field, remark.kind, remark.level) for field, site, remark in found.remarks}


def test_even_hospitals_are_not_remarked():
    """Four draws from the same patients: nothing is large."""
    assert not [each for each in remarks(compared()) if each[3] == "large"]


@pytest.mark.parametrize(
    ("change", "field", "kind"),
    [
        ({"factor": TO_CM_H2O}, "pressure", "unit"),
        ({"age": 75}, "age", "drift"),
        ({"age": 75}, "age", "mean"),
        ({"missing": 0.5}, "pressure", "missing"),
        ({"sick": 0.8}, "disease", "prevalence"),
    ],
)
def test_what_is_planted_is_found_and_named(change, field, kind):
    """At the hospital, in the field, of its kind; and at no other hospital as large as there."""
    found = compared(beta=ward(9, 400, **change))
    assert ("beta", field, kind, "large") in remarks(found)
    assert not [each for each in remarks(found) if each[2] == "unit" and each[0] != "beta"]
    first = next(site for each, site, remark in found.remarks if (each.field, remark.kind) == (field, kind))
    assert first.site == "beta", "who differs most stands first"


def test_the_unit_is_named():
    """The words say which unit, by the table of units."""
    found = compared(beta=ward(9, 400, factor=TO_CM_H2O))
    words = next(remark.words for _, _, remark in found.remarks if remark.kind == "unit")
    assert "cm[H2O]" in words
    assert "mm[Hg]" in words


def test_no_unit_is_suspected_of_patients_of_another_kind():
    """A third more or less is no unit of pressure but one; and no unit is looked for where means are near."""
    field = PAPER.bundle.contract.field("pressure")
    rest = Moments(1000, 125, 256)
    for shift in np.linspace(0.75, 1.2, 40):
        assert suspected_unit(field, Moments(300, 125 * shift, 256), rest) is None
    assert suspected_unit(field, Moments(300, 125 * TO_CM_H2O, 256), rest) == "cm[H2O]"


@pytest.mark.parametrize(
    ("schema", "name", "own", "rest", "unit"),
    [
        ("kidney.chronic", "glucose", 6.1, 110, "mmol/L"),
        ("kidney.chronic", "creatinine", 133, 1.5, "umol/L"),
        ("kidney.chronic", "haemoglobin", 7.8, 12.6, "mmol/L"),
        ("kidney.chronic", "urea", 19.6, 42, "mg/dL of urea_nitrogen"),
        ("kidney.chronic", "urea", 7.0, 42, "mmol/L"),
        ("kidney.chronic", "potassium", 17.2, 4.4, "mg/dL"),
        ("icu.mortality", "bilirubin", 20.5, 1.2, "umol/L"),
        ("icu.mortality", "urea_nitrogen", 51.4, 24, "mg/dL of urea"),
        ("heart.disease", "chol", 6.3, 243, "mmol/L"),
        ("heart.disease", "trestbps", 17.3, 130, "kPa"),
        ("kidney.chronic", "glucose", 160, 110, None),
    ],
)
def test_a_unit_of_the_substance_is_named(schema, name, own, rest, unit):
    """Of the same dimension, or another one by the field's analyte, where the schema names no wrong unit of its own."""
    field = find(schema).field(name)
    assert not field.reference or not field.reference.wrong_units
    assert suspected_unit(field, Moments(500, own, (own / 3) ** 2), Moments(2000, rest, (rest / 3) ** 2)) == unit


def test_without_an_analyte_units_of_its_dimension_are_named_alone():
    """A glucose in mmol/L is then far off and nothing more."""
    field = find("kidney.chronic@1.0.0").field("glucose")
    assert field.analyte is None
    rest = Moments(2000, 110, 1600)
    assert suspected_unit(field, Moments(500, 6.1, 4), rest) is None
    assert suspected_unit(field, Moments(500, 1.1, 0.16), rest) == "g/L"


def test_a_wrong_unit_that_the_schema_names_comes_first():
    """Of several that come to the same; one that no table converts has the schema's factor."""
    field = find("kidney.chronic").field("glucose")
    own = tuple(WrongUnit(unit=unit, factor=factor) for unit, factor in (("mg/mL", 0.01), ("%", 0.25)))
    named = field.model_copy(update={"reference": field.reference.model_copy(update={"wrong_units": own})})
    rest = Moments(2000, 110, 1600)
    assert suspected_unit(named, Moments(500, 1.1, 0.16), rest) == "mg/mL"
    assert suspected_unit(named, Moments(500, 27.5, 100), rest) == "%"


def test_the_index_is_that_of_its_definition():
    """Against sums written out; smoothed, so that an empty group has a logarithm."""
    own, rest = [10, 30, 60], [20, 20, 60]
    a = [(each + 0.5) / 101.5 for each in own]
    b = [(each + 0.5) / 101.5 for each in rest]
    assert psi(own, rest) == pytest.approx(sum((x - y) * math.log(x / y) for x, y in zip(a, b, strict=True)))
    assert psi([0, 10], [10, 0]) > 1
    assert psi([10], [10]) is None
    assert psi([10, 10], [0, 0]) is None


def test_by_chance_is_what_equal_hospitals_exceed_once_in_twenty():
    """By drawing them."""
    random = np.random.default_rng(3)
    limit, shares = psi_by_chance(5, 200, 600), [0.1, 0.2, 0.4, 0.2, 0.1]
    draws = [psi(random.multinomial(200, shares).tolist(), random.multinomial(600, shares).tolist()) for _ in range(2000)]
    assert 0.03 < np.mean([draw > limit for draw in draws]) < 0.07


def test_the_difference_of_means_is_in_deviations():
    """Half a deviation is 0.5; where nothing varies there is none."""
    assert standardised_difference(Moments(10, 5, 4), Moments(20, 4, 4)) == 0.5
    assert standardised_difference(Moments(10, 5, 0), Moments(20, 4, 0)) is None


def test_made_up_records_are_named():
    """In the figures and on the page."""
    results = {site: result_of(PAPER, ward(number, 300 + 40 * number)) for number, site in enumerate(SITES)}
    told = FindingSummary(code="T-SYNTHETIC", severity="warning")
    report = results["beta"].report.model_copy(update={"findings": (told,)})
    results["beta"] = results["beta"].model_copy(update={"report": report})
    found = compare_for_coordinator(PAPER.bundle, results)
    assert found.synthetic == ("beta",)
    assert "SYNTHETIC records, not of patients" in render(PAPER.bundle, found)
    assert "SYNTHETIC" not in render(PAPER.bundle, compared())


def test_a_hospital_whose_policy_forbids_it_is_used_for_nothing():
    """It is shown as withheld, and the others are compared as if it were not there."""
    wards = {site: ward(number, 300 + 40 * number) for number, site in enumerate(SITES)}
    results = {site: result_of(PAPER, wards[site], share=None if site == "beta" else "consortium") for site in SITES}
    with_it = compare_for_coordinator(PAPER.bundle, results)
    without = compare_for_coordinator(PAPER.bundle, {site: each for site, each in results.items() if site != "beta"})
    hidden = {site.hidden for field in with_it.fields for site in field.sites if site.site == "beta"}
    assert hidden == {"policy"}
    assert [site for field in with_it.fields for site in field.sites if site.site != "beta"] == [
        site for field in without.fields for site in field.sites if site.site != "beta"
    ]


def outcome(shares: dict[str, str | None], withheld: dict[str, str] | None = None) -> Outcome:
    results = {site: result_of(PAPER, ward(number, 300), share=shares[site]) for number, site in enumerate(SITES)}
    made = Outcome(roster=SITES, statistics=results, shares=dict.fromkeys(SITES, "consortium"))
    return made if withheld is None else replace(made, shares={**made.shares, **withheld})


@pytest.mark.parametrize(
    ("shares", "words", "hidden"),
    [
        ({}, None, {}),
        ({"beta": "coordinator"}, None, {"alpha": "others", "beta": "policy", "delta": "others"}),
        ({"gamma": None}, None, {"alpha": "others", "beta": "others", "gamma": "policy"}),
        (dict.fromkeys(SITES, "coordinator"), None, dict.fromkeys(SITES, "policy")),
    ],
)
def test_others_see_only_who_shares_and_who_gives_nobody_away(shares, words, hidden):
    """The common scale is released: where one hospital is hidden, three are, so that none follows from it."""
    shown = compare_for_others(PAPER.bundle, disclose(outcome({**dict.fromkeys(SITES, "consortium"), **shares}, words)))
    for field in shown.fields:
        assert {site.site: site.hidden for site in field.sites if site.hidden} == hidden
    left = json.dumps(model_json(shown))
    assert all(f'"site": "{site}", "hidden": "{why}", "records": null' in left for site, why in hidden.items())


def test_who_does_not_share_figures_shows_no_distribution_either():
    """They hold its number of records."""
    made = outcome(dict.fromkeys(SITES, "consortium"), {"delta": "coordinator"})
    made.reports = {site: each.report for site, each in (made.statistics or {}).items()}
    shown = compare_for_others(PAPER.bundle, disclose(made))
    assert {site.site: site.hidden for site in shown.fields[0].sites}["delta"] == "policy"


def test_the_page_says_what_stands_in_the_figures():
    """Withheld is a word, a wrong unit is the banner, the same figures give the same bytes, and nothing comes from outside."""
    results = {
        "alpha": result_of(PAPER, ward(1, 300)),
        "beta": result_of(PAPER, ward(2, 300, factor=TO_CM_H2O)),
        "delta": result_of(PAPER, ward(3, 300), share=None),
        "gamma": result_of(PAPER, ward(4, 300)),
    }
    page = render(PAPER.bundle, compare_for_coordinator(PAPER.bundle, results))
    assert page == render(PAPER.bundle, compare_for_coordinator(PAPER.bundle, results))
    assert "a wrong unit is suspected" in page
    assert "withheld: its policy" in page
    assert "<script" not in page
    assert "http://" not in page
    assert "https://" not in page


def test_hospitals_whose_names_begin_alike_are_told_apart_in_a_chart():
    """By their short names, where the long ones would be cut to the same; codes are cut, never left out."""
    found = compared()
    alike = found.model_copy(update={"hospitals": {site: f"University hospital of the city of {site}" for site in SITES}})
    page = render(PAPER.bundle, alike)
    assert "University hospital…" not in page
    assert all(f">{site}</text>" in page for site in SITES)
    assert ">…</text>" not in page


def test_many_hospitals_stand_side_by_side():
    """Of more than six a tick and a word have to do; the words in full stand beside each mark, and field by field."""
    sites = tuple(sorted([*SITES, "epsilon", "eta", "theta"]))
    many = paper(sites, statistics={"distributions": True})
    results = {
        site: result_of(many, ward(number, 300), share=None if site == "eta" else "consortium")
        for number, site in enumerate(sites)
    }
    page = render(many.bundle, compare_for_coordinator(many.bundle, results))
    glance = page[page.index('id="glance"') : page.index('id="fields"')]
    assert "✓ as the others" not in glance
    assert 'title="as the others"' in glance
    assert '<td class="mark hidden" title="withheld: its policy"><span>withheld</span></td>' in glance
    few = render(PAPER.bundle, compared())
    assert "✓ as the others" in few[few.index('id="glance"') : few.index('id="fields"')]
