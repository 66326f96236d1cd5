"""The page: self-contained, accessible, and honest about what it does not know."""

import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from studies_on_paper import node_key

from coordinator.release.card import write_card
from coordinator.release.release import contents_of
from coordinator.release.report import render_report
from wardround.errors import CATALOGUE
from wardround.identity.roster import Roster

HOSTILE = "<script>alert(1)</script> \"' & {{ 7*7 }} $x$ --> | [a](b)"
VOID = {"meta", "link", "br", "img", "input", "hr"}
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
    return render_report(bundle, outcome, comparison, contents_of(outcome, comparison))


def visible(text: str) -> str:
    """The page's text without markup, style and white space."""
    bare = re.sub(r"<style>.*?</style>|<[^>]+>", " ", text, flags=re.DOTALL)
    return " ".join(bare.split())


@pytest.fixture(params=["complete", "partial", "failed", "withheld", "compared"])
def page(request, bundle, make_outcome, comparison) -> str:
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
    assert values == [(" absent", "withheld")] * 5
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
