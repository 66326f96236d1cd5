"""The page: self-contained, accessible, and honest about what it does not know."""

import json
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from predicting import CLASSES, LABELS, MASKS, NUMBER, predict
from studies_on_paper import node_key

from coordinator.release.card import write_card
from coordinator.release.disclosure import disclose
from coordinator.release.release import contents_of, write_release
from coordinator.release.report import render_report
from wardround.errors import CATALOGUE
from wardround.identity.roster import Roster
from wardround.metrics.labels import over_labels

HOSTILE = "<script>alert(1)</script> \"' & {{ 7*7 }} $x$ --> | [a](b)"
VOID = {"meta", "link", "br", "img", "input", "hr"}
KINDS = {"classes": CLASSES, "labels": LABELS, "masks": MASKS, "numbers": NUMBER}
SVG_LEAVES = {"path", "line", "circle", "use"}  # closed in place


class Page(HTMLParser):
    """Every element with its attributes, its own text, and whether all of them are closed in order."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open and data.strip():
            self.texts.append((self._open[-1], data.strip()))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def render(bundle, outcome, comparison=None) -> str:
    return render_report(bundle, outcome, comparison, contents_of(bundle, outcome, comparison))


def visible(text: str) -> str:
    """The page's text without markup, style and white space."""
    bare = re.sub(r"<style>.*?</style>|<[^>]+>", " ", text, flags=re.DOTALL)
    return " ".join(bare.split())


@pytest.fixture(params=["complete", "partial", "failed", "withheld", "compared", *KINDS])
def page(request, bundle, make_outcome, comparison, make_comparison, monkeypatch) -> str:
    if request.param in KINDS:
        what = KINDS[request.param]
        predict(monkeypatch, what)
        return render(bundle, make_outcome(what=what), make_comparison(what))
    if request.param == "withheld":
        return render(bundle, make_outcome(withheld=bundle.roster.sites))
    outcome = request.getfixturevalue("complete" if request.param == "compared" else request.param)
    return render(bundle, outcome, comparison if request.param == "compared" else None)


def test_the_page_is_whole_by_itself(page):
    """No script, and nothing is fetched: no address of any kind but places on the page."""
    parsed = Page(page)
    assert not {"script", "link", "img", "iframe", "object", "embed", "form"} & {tag for tag, _ in parsed.elements}
    addresses = [
        value for _, found in parsed.elements for name, value in found.items() if name in {"href", "src", "xlink:href", "srcset"}
    ]
    assert all(value.startswith("#") for value in addresses)
    assert not re.search(r"https?:|@import|url\((?!#)", page)
    assert not [name for _, found in parsed.elements for name in found if name.startswith("on")]


def test_the_page_can_be_read_without_seeing_it(page):
    """Language, title, one main heading, no level left out, captions, scopes, a description for every drawing."""
    parsed = Page(page)
    assert parsed.all("html")[0]["lang"] == "en"
    assert [text for tag, text in parsed.texts if tag == "title"]
    levels = [int(tag[1]) for tag, _ in parsed.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert len(parsed.all("caption")) == len(parsed.all("table")) > 0
    assert all("scope" in header for header in parsed.all("th"))
    assert all(drawing.get("aria-label") or drawing.get("aria-hidden") == "true" for drawing in parsed.all("svg"))
    ids = [found["id"] for _, found in parsed.elements if "id" in found]
    assert len(ids) == len(set(ids))
    assert {found["aria-labelledby"] for found in parsed.all("section")} <= set(ids)
    used = re.findall(r"url\(#([^)]+)\)", page) + [found["href"][1:] for found in parsed.all("use")]
    assert set(used) <= set(ids)


def test_the_charts_take_the_pages_colours(page):
    """A colour that matplotlib fixed would vanish in one of the two themes."""
    drawings = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert drawings
    for drawing in drawings:
        assert not re.findall(r"(?:fill|stroke)(?:=\"|: ?)#", drawing)
        assert "font-family" not in drawing
        assert "<metadata" not in drawing


def test_hostile_text_stays_text(make_bundle, make_outcome, roster):
    """Titles, authors and hospitals' names are data: they reach neither HTML, nor Jinja, nor mathematics."""
    members = tuple(member.model_copy(update={"name": f"{HOSTILE} {member.site}"}) for member in roster.silos)
    bundle = make_bundle(title=HOSTILE, question=HOSTILE, author=HOSTILE)
    hostile = Roster(coordinator=roster.coordinator.model_copy(update={"name": HOSTILE}), silos=members)
    object.__setattr__(bundle, "roster", hostile)
    outcome = make_outcome({("round", 2): {"river": "R-SILENT"}}, of=bundle)
    page = render(bundle, outcome)
    assert not Page(page).all("script")
    assert "alert(1)</" not in page
    assert "{{ 7*7 }}" in page
    assert "$x$" in page
    card = write_card(bundle, outcome, None)
    assert "<script" not in card.replace("\\<", "")
    assert "[a](" not in card


@pytest.mark.parametrize(
    ("status", "word"), [("complete", "Complete"), ("partial", "Partial (1 of 3 hospitals)"), ("failed", "Failed")]
)
def test_the_status_is_said_in_words(bundle, request, status, word):
    """Never a green run on a subset: the banner says how many of how many, and who was missing."""
    page = render(bundle, request.getfixturevalue(status))
    assert f'<div class="banner {status}"' in page
    assert word in visible(page)
    assert (f"<title>{status.upper()}: " in page) == (status != "complete")
    if status == "partial":
        assert "Riverside (missing in 2 of 7 visits) and St. South (missing in 1 of 7 visits)" in visible(page)


def test_a_failed_study_shows_why_and_no_figures(bundle, failed):
    page = visible(render(bundle, failed))
    assert "There is no model in this release" in page
    assert failed.problems[0].finding in page
    assert failed.problems[0].rule in page
    assert "How good the model is" not in page
    assert "Released:" not in page
    assert "model.safetensors" not in page


def test_every_code_is_explained(bundle, partial, failed):
    for outcome in (partial, failed):
        page = visible(render(bundle, outcome))
        codes = {silo.code for record in outcome.history for silo in record.silos if silo.code} | {
            p.code for p in outcome.problems
        }
        assert codes
        assert all(code in page and CATALOGUE[code].title in page for code in codes)


def test_withheld_is_not_zero(bundle, make_outcome):
    """What no hospital lets out is nowhere a figure."""
    outcome = make_outcome(withheld=bundle.roster.sites)
    parsed = Page(render(bundle, outcome))
    values = re.findall(r'<span class="value([^"]*)">([^<]*)</span>', render(bundle, outcome))
    assert values == [(" absent", "withheld")] * 6
    cells = [text for tag, text in parsed.texts if tag == "td"]
    assert not {"0", "0.000"} & set(cells)
    assert "No validation figures could be used" in visible(render(bundle, outcome))


def test_one_hospital_withholds(bundle, make_outcome):
    """The pooled figures say without whom they are."""
    page = visible(render(bundle, make_outcome(withheld=["river"])))
    assert "Without Riverside." in page
    assert re.search(r"Riverside\s+withheld", page)


def test_the_comparison_is_shown_only_where_there_is_one(bundle, complete, comparison):
    shown, plain = visible(render(bundle, complete, comparison)), visible(render(bundle, complete))
    for words in ("Was it worth working together?", comparison.note, "St. South alone"):
        assert words in shown
        assert words not in plain
    assert "These are the true counts" in shown
    assert "This is what the hospitals’ outgoing reports let out" in plain


def test_many_hospitals_and_rounds_still_fit(make_bundle, make_outcome, roster):
    """More hospitals than colours are drawn in one colour, and the legend says so."""
    keys = [f"{index:064x}" for index in range(60)]
    extra = tuple(
        roster.silos[0].model_copy(
            update={
                "site": f"x{index:02}",
                "name": f"Extra {index}",
                "signing_key": keys[3 * index],
                "encryption_key": keys[3 * index + 1],
                "approval_key": keys[3 * index + 2],
                "node_key": node_key(f"extra {index}").public.decode(),
            }
        )
        for index in range(9)
    )
    bundle = make_bundle()
    object.__setattr__(bundle, "roster", Roster(coordinator=roster.coordinator, silos=(*roster.silos, *extra)))
    page = render(bundle, make_outcome(of=bundle))
    assert "each of 12 hospitals" in page
    assert "· not asked" in visible(page)


def test_the_same_inputs_give_the_same_page(bundle, complete, comparison):
    assert render(bundle, complete, comparison) == render(bundle, complete, comparison)


def test_scores_are_shown_with_their_curves(bundle, complete):
    """A target with two classes: ROC, calibration and average precision, from the pooled histograms of the last visits."""
    page, pooled = render(bundle, complete), complete.test.pooled
    assert [name for name in ("roc", "calibration", "dice") if f'id="{name}-figure_1"' in page] == ["roc", "calibration"]
    assert f"{pooled.average_precision:.3f}" in visible(page)
    assert "Figures by class" not in page
    complete.test, complete.best_metrics = None, complete.history[1].pooled
    assert 'id="roc-figure_1"' not in render(bundle, complete)


def test_classes_are_shown_one_by_one(bundle, make_outcome, make_comparison, monkeypatch):
    """Several classes: each against all others, and who is taken for whom, in the study's own names."""
    predict(monkeypatch, CLASSES)
    outcome = make_outcome(what=CLASSES)
    page, pooled = render(bundle, outcome, make_comparison(CLASSES)), outcome.test.pooled
    cells = [text for tag, text in Page(page).texts if tag in ("td", "span", "small")]
    for number, each in enumerate(pooled.classes):
        assert {f"{each.auroc:.3f}", f"{each.sensitivity:.3f}", str(pooled.confusion[number][number])} <= set(cells)
    heads = [text for tag, text in Page(page).texts if tag == "th"]
    assert all(heads.count(name) == 3 for name in CLASSES.classes)  # by class; rows and columns of the matrix
    assert "reaches a mean AUROC of" in visible(page)
    card = write_card(bundle, outcome, None)
    assert "; classification" in card
    assert f"| mild | {pooled.classes[0].records} | {pooled.classes[0].auroc:.3f}" in card


def test_masks_are_shown_by_class_and_by_hospital(bundle, make_outcome, make_comparison, monkeypatch):
    """Masks: Dice and distances of each class, Dice of each hospital, and nothing that masks do not have."""
    predict(monkeypatch, MASKS)
    outcome = make_outcome(what=MASKS)
    page, pooled = render(bundle, outcome, make_comparison(MASKS)), outcome.test.pooled
    text = visible(page)
    assert [name for name in ("roc", "calibration", "dice") if f'id="{name}-figure_1"' in page] == ["dice"]
    for region in pooled.regions:
        assert f"{region.dice:.3f}" in text
        assert f"{region.surface_distance:.2f}\u202fmm" in page
        assert f"Dice: {region.name}" in text
    assert all(f"{silo.metrics.dice:.3f}" in text for silo in outcome.test.silos)
    assert "reaches a mean Dice of" in text
    assert "AUROC" not in text
    assert "positive" not in text.partition("What was asked")[0]
    card = write_card(bundle, outcome, make_comparison(MASKS))
    assert "; segmentation" in card
    assert f"| liver | {pooled.records} | {pooled.regions[0].dice:.3f}" in card


def test_numbers_are_shown_with_their_unit_and_by_hospital(bundle, make_outcome, make_comparison, monkeypatch):
    """R², RMSE, absolute and mean error, in three digits; the learning curve; and nothing that classes or masks have."""
    predict(monkeypatch, NUMBER)
    outcome = disclose(make_outcome(what=NUMBER))
    page, pooled = render(bundle, outcome, make_comparison(NUMBER)), outcome.test.pooled
    text, card = visible(page), write_card(bundle, outcome, make_comparison(NUMBER))
    assert not [name for name in ("roc", "calibration", "dice") if f'id="{name}-figure_1"' in page]
    assert 'id="validation-figure_1"' in page
    for shown in (text, card.replace("\\[", "[").replace("\\]", "]")):
        assert "RMSE (mm[Hg])" in shown
        assert f"{pooled.rmse:g}" in shown
        assert f"{pooled.r2:.3f}" in shown
        assert all(f"{silo.metrics.mae:g}" in shown for silo in outcome.test.silos)
        assert all(word not in shown for word in ("AUROC", "Dice", "Wilson"))
        assert "reaches an R² of" in shown
    assert "positive" not in text.partition("What was asked")[0]
    assert "; regression" in card


def test_labels_are_shown_one_by_one(bundle, make_outcome, make_comparison, monkeypatch):
    """A row, a ROC and a calibration curve of each; the AUROC of each at each hospital; what is withheld says so."""
    predict(monkeypatch, LABELS)
    outcome = make_outcome(what=LABELS)
    page, pooled = render(bundle, outcome, make_comparison(LABELS)), outcome.test.pooled
    text, card = visible(page), write_card(bundle, outcome, make_comparison(LABELS))
    for name, label in zip(LABELS.classes, pooled.labels, strict=True):
        assert all(f'id="{chart}-of-{name}-figure_1"' in page for chart in ("roc", "calibration"))
        assert f"ROC curve of {name} of the pooled records" in page
        for shown in (text, card):
            assert f"{label.metrics.auroc:.3f}" in shown
            assert f"AUROC: {name}" in shown
        assert f"| {name} | {label.metrics.records} | {label.metrics.positives} | {label.metrics.auroc:.3f}" in card
    for shown in (text, card):
        assert "mean AUROC" in shown
        assert f"{pooled.auroc:.3f}" in shown
        assert all(f"{silo.metrics.labels[1].metrics.auroc:.3f}" in shown for silo in outcome.test.silos)
        assert "reaches a mean AUROC of" in shown
        assert "Figures of a label are of the records of which it is known" in shown
    assert 'id="validation-figure_1"' in page
    assert "classification of several labels" in card


def test_a_label_that_is_withheld_says_so(bundle, make_outcome, monkeypatch):
    """In the table by hospital and by label: no zero, and no chart."""
    predict(monkeypatch, LABELS)
    outcome = make_outcome(what=LABELS)
    silos = [each.model_copy(update={"metrics": untold(each.metrics)}) for each in outcome.test.silos]
    outcome.history[-1] = outcome.test = outcome.test.model_copy(
        update={"silos": tuple(silos), "pooled": untold(outcome.test.pooled)}
    )
    page = render(bundle, outcome)
    assert 'id="roc-of-effusion-figure_1"' in page
    assert 'id="roc-of-oedema-figure_1"' not in page
    assert f"| oedema |{' *withheld* |' * 7}" in write_card(bundle, outcome, None)
    row = visible(page).partition("North General")[2]
    assert "withheld" in row


def untold(metrics):
    """Give metrics of which the last label is withheld."""
    return over_labels(metrics.records, [*metrics.labels[:-1], metrics.labels[-1].model_copy(update={"metrics": None})])


def test_a_number_without_a_unit_has_none(bundle, make_outcome, monkeypatch):
    """UCUM's 1 is the code of a pure number, and no unit to be read."""
    predict(monkeypatch, NUMBER._replace(unit="1"))
    text = visible(render(bundle, make_outcome(what=NUMBER)))
    assert "RMSE" in text
    assert "(1)" not in text


@pytest.mark.parametrize("kind", KINDS)
def test_withheld_stays_withheld_whatever_is_predicted(bundle, make_outcome, monkeypatch, tmp_path, kind):
    """Of hospitals that do not share, no figure of any class, and no sum from which one would follow, is in a release."""
    what = KINDS[kind]
    predict(monkeypatch, what)
    outcome = make_outcome(what=what)
    outcome.shares["river"] = "coordinator"
    write_release(tmp_path / "release", bundle, outcome)
    history = (tmp_path / "release" / "history.json").read_text()
    page = (tmp_path / "release" / "report.html").read_text()
    pooled = json.loads(history)["test"]
    # all three are hidden together: the sum of all may be shown
    assert pooled["classes"] or pooled["regions"] or pooled["rmse"] or pooled["labels"]
    assert ('id="dice-figure_1"' in page) is (kind == "masks")
    for record in outcome.history:
        for metrics in (silo.metrics for silo in record.silos if silo.metrics is not None):
            assert metrics.model_dump_json() not in history
    assert all(silo["metrics"] is None for visit in json.loads(history)["visits"] for silo in visit["silos"])
    assert all(f"{member.name} withheld" in visible(page) for member in bundle.roster.silos)
