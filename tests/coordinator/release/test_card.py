"""The model card says what the report says, and fits Markdown."""

import pytest
from studies_on_paper import author

from coordinator.release.card import plain, write_card
from coordinator.release.history import History, history_of
from coordinator.release.report import render_report
from wardround.canonical import model_bytes

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
