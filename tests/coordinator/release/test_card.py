"""The model card says what the report says, and fits Markdown."""

import html

import pytest
from studies_on_paper import author

from coordinator.release.card import plain, write_card
from coordinator.release.history import History, history_of
from coordinator.release.report import render_report
from wardround.canonical import model_bytes
from wardround.study.kind import predicted

HEADINGS = ["Model details", "Intended use", "Data", "Evaluation", "Training", "Caveats and limits", "Provenance"]


@pytest.mark.parametrize("status", ["complete", "partial", "failed"])
def test_the_headings_are_those_of_a_model_card(bundle, request, status):
    card = write_card(bundle, request.getfixturevalue(status), None)
    found = [line.removeprefix("## ") for line in card.splitlines() if line.startswith("## ")]
    assert [heading for heading in found if heading in HEADINGS] == HEADINGS
    assert f"**Status: {status.upper()}.**" in card
    assert bundle.study_hash in card


def test_a_failed_study_has_no_model_to_describe(bundle, failed):
    card = write_card(bundle, failed, None)
    assert "## FAILED: there is no model" in card
    assert "C-FAILED" in card
    assert "model.safetensors" not in card
    assert "The model gives" not in card


def test_every_row_of_a_table_has_the_same_cells(bundle, partial, comparison):
    """A name with a bar in it must not make a column."""
    renamed = comparison.model_copy(
        update={"models": tuple(m.model_copy(update={"name": f"a | {m.name}"}) for m in comparison.models)}
    )
    lines = write_card(bundle, partial, renamed).splitlines()
    tables = [line.replace("\\|", "").count("|") for line in lines if line.startswith("|")]
    assert set(tables) == {9, 8, 6}


def test_figures_come_from_the_outcome(bundle, complete):
    card = write_card(bundle, complete, None)
    metrics = complete.test.pooled
    assert f"| pooled | {metrics.auroc:.3f} (± {metrics.auroc_error:.4f}) | {metrics.accuracy:.3f} (" in card
    assert "| St. South | *withheld* | *withheld* | *withheld* | 25 | 12 | 12 |" in card


def test_plain_is_one_line_that_means_nothing_to_markdown():
    assert plain("a\n# b") == "a \\# b"
    assert plain("<b> _x_ `y` [z](w) \\") == "\\<b\\> \\_x\\_ \\`y\\` \\[z\\](w) \\\\"


def test_the_author_is_named_by_a_verified_signature_or_as_nobody(bundle, complete):
    """Card, report and history say the same: whose key signed the study, or that nobody did."""
    signed = bundle.signed(*author())
    fingerprint = signed.author.fingerprint
    assert f"signed by A. Scientist, Institute, fingerprint {fingerprint}" in write_card(signed, complete, None)
    assert fingerprint in render_report(signed, complete, None, ())
    history = History.model_validate_json(model_bytes(history_of(signed, complete)))
    assert history.author == signed.authorship
    assert history.author.holds()
    assert history.author.authorship.study_hash == history.study_hash
    assert "signed by nobody" in write_card(bundle, complete, None)
    assert "signed by nobody" in render_report(bundle, complete, None, ())
    assert history_of(bundle, complete).author is None


PREPARED = (
    "Schema of the images: Lesions in synthetic images that look like computed tomography (phantom.lesion 1.0.0)",
    "(phantom.lesion.examples 1.0.0), which follows from that of the images",
    "turn the axes to RAS; resample to 2 × 2 × 2 mm (bilinear); scale intensities -60 to 180 to 0 to 1",
    "fill up with 0 to at least 32 × 32 × 16",
    "The network sees: 32 × 32 × 16, grey, which slides over the whole image, neighbours overlapping by 25.0 %",
)


@pytest.mark.parametrize("write", [write_card, lambda *given: render_report(*given, ())])
def test_who_uses_a_model_of_images_reads_what_to_do_with_them(bundle_of_images, make_outcome, write):
    """Card and report name both schemas and all that becomes of an image before the network sees it; features are of tables."""
    what = predicted(bundle_of_images.study, bundle_of_images.contract)
    outcome = make_outcome(of=bundle_of_images, what=what)
    text = html.unescape(write(bundle_of_images, outcome, None).replace("\\", ""))
    text = text.replace("</dt><dd>", ": ")
    for words in PREPARED:
        assert words in text, words
    assert bundle_of_images.imaging.contract_hash() in text
    assert "Features" not in text


def test_features_are_named_where_there_are_any(bundle, complete):
    """A study of a table has no preparation of images."""
    card = write_card(bundle, complete, None)
    assert "- Features: 3: radius\\_mean, texture\\_mean, area\\_mean" in card
    assert "Preparation" not in card
