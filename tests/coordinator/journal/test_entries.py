"""What is written into a journal is what is read from it, and nothing is read that this version does not know."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from studies_on_paper import paper

from coordinator.journal.entries import (
    ENTRY,
    JOURNAL_FORMAT,
    AnyEntry,
    ReplyAdmitted,
    ReplyLate,
    ReplyRefused,
    StudyBegun,
    StudyEnded,
    SumClosed,
    VisitClosed,
    VisitOpened,
    VisitResumed,
)
from coordinator.journal.journal import FILE, FOLDER, DiskJournal, read_entries
from wardround.canonical import canonical_bytes, model_json
from wardround.chain import Chain
from wardround.errors import Refused
from wardround.messages.record import RoundRecord, SiloRecord
from wardround.messages.round import TaskCore
from wardround.metrics.pooled import Metrics
from wardround.weights.fixed_point import SumPlan

STUDY = paper()
SHA256 = st.binary(min_size=32, max_size=32).map(bytes.hex)
SIGNATURES = st.binary(min_size=64, max_size=64).map(bytes.hex)
COUNTS = st.integers(0, 2**53 - 1)
SLUGS = st.from_regex(r"\A[a-z][a-z0-9_-]{0,62}\Z")
SITES = st.lists(SLUGS, max_size=4, unique=True).map(tuple)
NOT_NEGATIVE = st.floats(0, 1e300, allow_subnormal=True).map(abs)  # -0.0 has no canonical form
REALS = st.floats(-1e300, 1e300).map(lambda value: value + 0.0)
CODES = st.sampled_from(["H-FAILED", "H-RANGE", "H-DATA", "R-PROTOCOL", "R-LATE", "R-SILENT"])
SHORTFALLS = st.lists(st.sampled_from(["C-QUORUM", "C-REQUIRED", "C-SHARE", "C-RANGE", "C-STATISTICS"]), max_size=3).map(tuple)
PURPOSES = st.sampled_from(["statistics", "round", "closing", "test"])
VERSIONS = st.from_regex(r"\A[0-9A-Za-z.+_-]{1,60}\Z")


def maybe(strategy: st.SearchStrategy) -> st.SearchStrategy:
    return st.none() | strategy


PLANS = st.builds(
    SumPlan, bits=st.integers(30, 62), raised=st.integers(0, 2), exponents=st.lists(st.integers(-300, 300), max_size=6).map(tuple)
)
CORES = st.builds(
    TaskCore,
    study_hash=SHA256,
    purpose=PURPOSES,
    round=COUNTS,
    weights=maybe(SHA256),
    encoding=maybe(SHA256),
    plan=maybe(PLANS),
)
METRICS = st.builds(
    Metrics,
    records=COUNTS,
    positives=COUNTS,
    **dict.fromkeys(
        ("loss", "auroc", "auroc_error", "accuracy", "sensitivity", "specificity", "calibration_error"), maybe(NOT_NEGATIVE)
    ),
)
SILOS = st.builds(
    SiloRecord,
    site=SLUGS,
    status=st.sampled_from(["counted", "refused", "silent", "not asked"]),
    code=maybe(CODES),
    records=maybe(COUNTS),
    share=maybe(st.floats(0, 1).map(abs)),
    evaluation=st.sampled_from(["shown", "withheld", "not used", "none"]),
    metrics=maybe(METRICS),
    training_loss=maybe(REALS),
    seconds=maybe(NOT_NEGATIVE),
    bytes_down=COUNTS,
    bytes_up=COUNTS,
)
RECORDS = st.builds(
    RoundRecord,
    purpose=PURPOSES,
    round=COUNTS,
    attempt=COUNTS,
    raised=COUNTS,
    outcome=st.sampled_from(["closed", "failed"]),
    shortfall=SHORTFALLS,
    weights=maybe(SHA256),
    stepped=maybe(SHA256),
    records=COUNTS,
    silos=st.lists(SILOS, max_size=3).map(tuple),
    pooled=maybe(METRICS),
    evaluated_by=SITES,
    late=SITES,
    seconds=NOT_NEGATIVE,
)
HEARD = {
    "task_id": SHA256,
    "attempt": COUNTS,
    "site": SLUGS,
    "reply": SHA256,
    "message": st.text(max_size=200),
    "signature": SIGNATURES,
    "seconds": NOT_NEGATIVE,
    "bytes_down": COUNTS,
    "bytes_up": COUNTS,
}
ENTRIES: dict[type, st.SearchStrategy] = {
    StudyBegun: st.builds(StudyBegun, written_by=VERSIONS, study_hash=SHA256, roster=SHA256),
    VisitOpened: st.builds(
        VisitOpened, core=CORES, task_id=SHA256, attempt=COUNTS, asked=SITES, deadline_seconds=st.floats(1e-3, 1e9)
    ),
    VisitResumed: st.builds(VisitResumed, task_id=SHA256, attempt=COUNTS),
    ReplyAdmitted: st.builds(ReplyAdmitted, records=COUNTS, **HEARD),
    ReplyRefused: st.builds(ReplyRefused, code=CODES, **HEARD),
    ReplyLate: st.builds(ReplyLate, task_id=SHA256, site=SLUGS, reply=SHA256),
    SumClosed: st.builds(SumClosed, task_id=SHA256, attempt=COUNTS, records=COUNTS, sum=SHA256),
    VisitClosed: st.builds(VisitClosed, task_id=SHA256, attempt=COUNTS, record=RECORDS),
    StudyEnded: st.builds(
        StudyEnded,
        status=st.sampled_from(["complete", "partial", "failed"]),
        summary=st.text(max_size=200),
        rounds=COUNTS,
        codes=st.lists(st.text(max_size=40), max_size=3).map(tuple),
    ),
}


def written(folder: Path, *entries: dict) -> Path:
    """Write lines as a journal does, whatever they say."""
    chain = Chain(folder / FILE)
    for entry in entries:
        chain.append(entry)
    chain.close()
    return folder


def test_every_kind_of_line_has_a_strategy():
    """No kind of line is left out below."""
    assert set(ENTRIES) == set(AnyEntry.__args__)


@pytest.mark.parametrize("kind", ENTRIES, ids=lambda kind: kind.__name__)
@settings(max_examples=25)
@given(st.data())
def test_what_is_written_is_what_is_read(kind, data):
    """Any line of any kind, through the file on disk: the same value, and the same bytes when it is written again."""
    entry = data.draw(ENTRIES[kind])
    begun = data.draw(ENTRIES[StudyBegun])
    with tempfile.TemporaryDirectory() as name:
        folder = written(Path(name), model_json(begun), model_json(entry))
        assert read_entries(folder) == [begun, entry]
    assert model_json(ENTRY.validate_json(canonical_bytes(model_json(entry)))) == model_json(entry)


@pytest.mark.parametrize("kind", ENTRIES, ids=lambda kind: kind.__name__)
@settings(max_examples=10)
@given(st.data())
def test_an_unknown_or_missing_key_is_refused(kind, data):
    """One key more, or one that is needed less: the line is refused by its number, naming the version that began the journal."""
    entry = model_json(data.draw(ENTRIES[kind]))
    begun = model_json(StudyBegun(written_by="7.8.9", study_hash="a" * 64, roster="b" * 64))
    needed = sorted(name for name, field in kind.model_fields.items() if field.is_required())
    missing = data.draw(st.sampled_from(needed))
    for changed in ({**entry, "surprise": 1}, {key: value for key, value in entry.items() if key != missing}):
        with tempfile.TemporaryDirectory() as name, pytest.raises(Refused) as refused:
            read_entries(written(Path(name), begun, begun, changed))
        assert refused.value.codes == ("J-FORMAT",)
        assert "line 3" in str(refused.value)
        assert "7.8.9" in str(refused.value)


BEGUN = model_json(StudyBegun(written_by="7.8.9", study_hash=STUDY.bundle.study_hash, roster="b" * 64))


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (
            [BEGUN, {"event": "dreamt"}],
            "line 2: the line is whole, and not one of them; the journal was begun by Wardround 7.8.9",
        ),
        ([BEGUN, {}], "line 2"),
        ([BEGUN, {**BEGUN, "event": "STUDY"}], "line 2"),
        ([{**BEGUN, "format": JOURNAL_FORMAT + 1}], "of format 2, written by Wardround 7.8.9"),
        ([{**BEGUN, "format": 9, "more": [1]}, {"event": "dreamt"}], "of format 9, written by Wardround 7.8.9"),
        ([{**BEGUN, "format": 9, "written_by": "\x1b[2J" * 50}], "of format 9, written by Wardround of an unknown version"),
        ([{**BEGUN, "format": 0}], "line 1"),
        ([{**BEGUN, "format": "1"}], "line 1"),
    ],
)
def test_a_journal_of_another_version_is_refused_by_its_version(tmp_path, lines, says):
    """An unknown kind of line, or another format: J-FORMAT names the version to go on with, for readers and conductors alike."""
    written(tmp_path / FOLDER, *lines)
    before = (tmp_path / FOLDER / FILE).read_bytes()
    for read in (lambda: read_entries(tmp_path / FOLDER), lambda: DiskJournal(tmp_path, STUDY.bundle)):
        with pytest.raises(Refused) as refused:
            read()
        assert refused.value.codes == ("J-FORMAT",)
        assert says in str(refused.value)
    assert (tmp_path / FOLDER / FILE).read_bytes() == before


@pytest.mark.parametrize("first", [{**BEGUN, "study_hash": "c" * 64}, model_json(VisitResumed(task_id="a" * 64, attempt=0))])
def test_a_journal_of_another_study_is_refused(tmp_path, first):
    """A journal that begins with another study, or with none, is gone on with by nobody, and nothing is added to it."""
    written(tmp_path / FOLDER, first)
    before = (tmp_path / FOLDER / FILE).read_bytes()
    with pytest.raises(Refused) as refused:
        DiskJournal(tmp_path, STUDY.bundle)
    assert refused.value.codes == ("J-STUDY",)
    assert (tmp_path / FOLDER / FILE).read_bytes() == before
    with pytest.raises(Refused) as again:
        DiskJournal(tmp_path, STUDY.bundle)
    assert again.value.codes == ("J-STUDY",), "the lock was given back"


@given(st.sampled_from(sorted(ENTRIES, key=lambda kind: kind.__name__)), st.data())
@settings(max_examples=30)
def test_a_line_is_a_frozen_value(kind, data):
    """Nobody changes a fact after it was written."""
    entry = data.draw(ENTRIES[kind])
    with pytest.raises(ValidationError):
        entry.event = "ended"
