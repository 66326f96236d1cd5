"""What may identify people in a DICOM file is found wherever it stands, and what stands there is never said."""

from __future__ import annotations

import csv
import re
import struct
from collections import Counter
from pathlib import PurePath

import pytest
from dicom_bytes import BIG_ENDIAN, DEFLATED, IMPLICIT, JPEG_LOSSLESS, Form, ordered
from slow_scan import slow_scan

from silo_node.dicom.basic_profile import editions, profile
from silo_node.dicom.header import UnreadableHeader
from silo_node.dicom.judge import PrivateName, Rules
from silo_node.dicom.privacy import scan
from silo_node.dicom.traces import Trace, summed

CANARY = b"CANARY41"
PLAIN = Form()
RULES = Rules()
TABLE = profile()
NAME = PurePath("study_1/IM0001.dcm")
PATIENT_NAME, PATIENT_ID, BIRTH_DATE = 0x00100010, 0x00100020, 0x00100030
UNLISTED_SEQUENCE = 0x00081250  # Related Series Sequence
LISTED_SEQUENCE = 0x00400275  # Request Attributes Sequence
CODE_VALUE = 0x00080100  # in no list
VALUES = {
    "AS": b"043Y", "DA": b"19710312", "DT": b"19710312091733", "TM": b"091733", "DS": b"74.130", "IS": b"741300",
    "US": struct.pack("<H", 7413), "UR": b"http://canary41.example",
}  # fmt: skip
"""What is planted by VR; in all others the token itself, which is no UID either."""

CLEAN = (
    (0x00080008, "CS", b"ORIGINAL\\PRIMARY\\AXIAL"), (0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.2"),
    (0x00080018, "UI", b"1.2.3.4.5"),
    (0x00080020, "DA", b""), (0x00080022, "DA", b"00010101"), (0x00080030, "TM", b"000000.00"), (0x00080050, "SH", b""),
    (0x00080060, "CS", b"CT"), (0x00080080, "LO", b"  "), (0x0008002A, "DT", b"00010101010101.000000+0000"),
    (PATIENT_NAME, "PN", b"Anonymized"), (PATIENT_ID, "LO", b"REMOVED"), (BIRTH_DATE, "DA", b"19000101"),
    (0x00101010, "AS", b"000Y"),
    (0x00101030, "DS", b"0.00"), (0x00120062, "CS", b"YES"), (0x00120063, "LO", b"PS3.15 basic profile"),
    (0x0020000D, "UI", b"1.2.3"), (0x0020000E, "UI", b"1.2.3.4"), (0x00280010, "US", b"\2\0"),
)  # fmt: skip
"""The attributes of a file in which nothing identifies anybody."""


def clean(form=PLAIN, *without):
    return [form.element(tag, vr, value) for tag, vr, value in CLEAN if tag not in without]


def placed(row):
    """The tag of a row; of repeating groups one of them."""
    return int(row.tag.replace("xxxxxx", "020005").replace("x", "0").replace("60003", "60023"), 16)


ROWS = {placed(row): row for row in (*TABLE.single.values(), *(one.row for one in TABLE.repeated))}


def planted(form, tag):
    """An attribute that holds the token, or a sequence that does."""
    vr = ROWS[tag].vr.partition(" ")[0] or "LO"
    if vr == "SQ":
        return form.sequence(tag, form.element(CODE_VALUE, "SH", CANARY))
    value = VALUES.get(vr, CANARY)
    return form.element(tag, vr, value[::-1] if vr == "US" and form.order == ">" else value)


@pytest.fixture
def found(tmp_path):
    """Write a file, look at it, and see that no token is in what is said of it."""

    def look(content, rules=RULES, name=NAME):
        path = tmp_path / "file"
        path.write_bytes(content)
        traces = scan(path, name, rules)
        summary = summed([traces], rules.profile)
        said = repr(traces) + summary.model_dump_json() + "\n".join(summary.lines()) + repr(summary)
        for token in (CANARY.decode(), *(value.decode("latin-1") for value in VALUES.values() if len(value) > 3)):
            assert token.casefold() not in said.casefold()
        return traces

    return look


def by_place(traces, place, *codes):
    return {trace.tag for trace in traces if trace.place == place and trace.code in (codes or ("D-PHI", "D-OVERLAY"))}


# ---------------------------------------------------------------------------------------------------------- the table


def test_the_table_is_the_whole_one():
    """The counts of PS3.15 2026c, table E.1-1, by action."""
    counts = Counter(row.action for row in ROWS.values())
    expected = {"D": 93, "Z": 42, "X": 415, "U": 55, "Z/D": 6, "X/Z": 11, "X/D": 23, "X/Z/D": 8, "X/Z/U*": 2}
    assert counts == expected
    assert len(TABLE.single) + len(TABLE.repeated) == sum(expected.values()) == 655
    assert sum(bool(row.vr) for row in TABLE.single.values()) == 627
    assert editions() == {"basic-2026c"}
    with pytest.raises(KeyError):
        profile("basic-1993")


@pytest.mark.parametrize(
    ("tag", "keyword", "vr", "action"),
    [
        (0x00100010, "PatientName", "PN", "Z"),
        (0x0020000D, "StudyInstanceUID", "UI", "U"),
        (0x00081140, "ReferencedImageSequence", "SQ", "X/Z/U*"),
        (0x00420011, "EncapsulatedDocument", "OB", "D"),
        (0x00100011, "PersonNamesToUseSequence", "", "X"),
        (0x50FE3000, "CurveData", "", "X"),
        (0x60023000, "OverlayData", "OB or OW", "X"),
        (0x601E4000, "OverlayComments", "LT", "X"),
    ],
)
def test_rows_of_the_table(tag, keyword, vr, action):
    row = TABLE.of(tag)
    assert (row.keyword, row.vr, row.action) == (keyword, vr, action)


@pytest.mark.parametrize("tag", [0x00280010, 0x60020010, 0x51003000, 0x61003000, 0x00090010])
def test_what_is_in_no_row(tag):
    assert TABLE.of(tag) is None


def test_the_table_is_that_of_dicom_anonymizer():
    """Row by row and action by action: a de-identifier that others wrote from the same edition."""
    from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c as theirs

    lists = {
        "D": theirs.D_TAGS, "Z": theirs.Z_TAGS, "X": theirs.X_TAGS, "U": theirs.U_TAGS, "Z/D": theirs.Z_D_TAGS,
        "X/Z": theirs.X_Z_TAGS, "X/D": theirs.X_D_TAGS, "X/Z/D": theirs.X_Z_D_TAGS, "X/Z/U*": theirs.X_Z_U_STAR_TAGS,
    }  # fmt: skip
    single = {one[0] << 16 | one[1]: action for action, tags in lists.items() for one in tags if len(one) == 2}
    assert {tag: row.action for tag, row in TABLE.single.items()} == single
    repeated = {
        (one[2] << 16 | one[3], one[0] << 16 | one[1], action) for action, tags in lists.items() for one in tags if len(one) == 4
    }
    assert {(one.mask, one.bits, one.row.action) for one in TABLE.repeated} == repeated


def test_the_table_names_attributes_as_pydicom_does():
    from pydicom.datadict import dictionary_has_tag, dictionary_keyword, dictionary_VR

    for tag, row in ROWS.items():
        if dictionary_has_tag(tag):
            assert (row.keyword, row.vr) == (dictionary_keyword(tag), dictionary_VR(tag)) or "x" in row.tag


# ------------------------------------------------------------------------------------------------- where it may stand


@pytest.mark.parametrize(
    "form", [PLAIN, Form(IMPLICIT), Form(BIG_ENDIAN), Form(DEFLATED)], ids=["plain", "implicit", "big", "deflated"]
)
def test_every_listed_attribute_is_found_at_the_top(found, form):
    """All 655, those whose VR is not known included; but the commands of group 0, which no file holds there."""
    tags = {tag for tag in ROWS if tag >> 16 not in (0, 2)}
    assert len(tags) == 652
    traces = found(form.file(b"".join(planted(form, tag) for tag in sorted(tags))))
    assert by_place(traces, "top") == tags


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("form", [PLAIN, Form(IMPLICIT), Form(BIG_ENDIAN)], ids=["plain", "implicit", "big"])
@pytest.mark.parametrize("sequence", [UNLISTED_SEQUENCE, LISTED_SEQUENCE, 0x00210010], ids=["unlisted", "listed", "private"])
def test_every_listed_attribute_is_found_in_sequences(found, form, sequence, undefined):
    """At depth 3, within sequences that the table names, that it does not name, and private ones."""
    item = b"".join(planted(form, tag) for tag in sorted(ROWS) if tag >> 16 != 2)
    nested = form.sequence(UNLISTED_SEQUENCE, form.sequence(sequence, b"", item, undefined=undefined), undefined=undefined)
    traces = found(form.file(form.sequence(UNLISTED_SEQUENCE, nested, undefined=undefined)))
    assert by_place(traces, "nested") >= set(ROWS) - {0x00020003}
    assert not by_place(traces, "top")


@pytest.mark.parametrize("pixels", [PLAIN.pixels(), PLAIN.pixels(b"\0" * 70_000)], ids=["few", "many"])
def test_every_listed_attribute_is_found_behind_the_pixel_data(found, pixels):
    tags = {tag for tag in ROWS if tag >> 16 not in (0, 2)}
    traces = found(PLAIN.file(b"".join(clean()) + pixels + b"".join(planted(PLAIN, tag) for tag in sorted(tags))))
    assert by_place(traces, "after") == tags
    assert not by_place(traces, "top")


def test_behind_compressed_pixel_data(found):
    form = Form(JPEG_LOSSLESS)
    behind = form.element(0xFFFCFFFC, "OB", b"CANARY41")
    assert found(form.file(b"".join(clean()) + form.fragments(b"\1" * 70_000, b"\2" * 10))) == frozenset()
    assert found(form.file(b"".join(clean()) + form.fragments(b"\1" * 70_000) + behind)) == {Trace("D-PHI", "after", 0xFFFCFFFC)}


@pytest.mark.parametrize(
    "behind",
    [CANARY, b"\xff" * 4000, PLAIN.pixels(b"9"), b"\x10\x00\x10\x00PN\0\0\x08\0\0\0" + CANARY],
    ids=["text", "junk", "pixels", "PN"],
)
def test_what_cannot_be_read_behind_the_pixel_data_is_said(found, behind):
    assert Trace("D-TRAILING", "file") in found(PLAIN.file(b"".join(clean()) + PLAIN.pixels() + behind))


def test_zeros_behind_the_pixel_data_are_padding(found):
    assert found(PLAIN.file(b"".join(clean()) + PLAIN.pixels() + bytes(4096))) == frozenset()


@pytest.mark.parametrize("tag", [0x00020016, 0x00020017, 0x00020018, 0x00020026, 0x00020100, 0x00020102, 0x00021234])
def test_group_2_holds_what_reading_needs_and_no_more(found, tag):
    content = PLAIN.file(b"".join(clean()), meta=PLAIN.element(tag, "OB" if tag == 0x00020102 else "LO", CANARY))
    assert found(content) == {Trace("D-PHI", "meta", tag)}
    implicit = Form(IMPLICIT)
    content = implicit.file(b"".join(clean(implicit)), meta=PLAIN.element(tag, "LO", CANARY))
    assert found(content) == {Trace("D-PHI", "meta", tag)}


@pytest.mark.parametrize("tag", [0x00020016, 0x00020102, 0x00021234, 0x00000600])
@pytest.mark.parametrize("form", [PLAIN, Form(IMPLICIT)], ids=["plain", "implicit"])
def test_elements_of_group_2_are_no_hiding_place_within_a_data_set(found, form, tag):
    nested = form.sequence(UNLISTED_SEQUENCE, form.element(tag, "LO", CANARY))
    assert found(form.file(ordered(*clean(form), nested))) == {Trace("D-PHI", "nested", tag)}


def test_private_attributes(found):
    """Creators and elements, at the top and nested, even where the block has no creator."""
    private = [
        PLAIN.element(0x00090010, "LO", CANARY),
        PLAIN.element(0x00091001, "UN", CANARY),
        PLAIN.element(0x00291101, "LO", CANARY),
    ]
    inner = PLAIN.element(0x00110010, "LO", CANARY) + PLAIN.element(0x00111001, "DA", b"19710312")
    nested = [PLAIN.sequence(UNLISTED_SEQUENCE, inner), PLAIN.sequence(0x00291102, inner), PLAIN.sequence(0x00291103)]
    traces = found(PLAIN.file(ordered(*clean(), *private, *nested)))
    top, deep = by_place(traces, "top", "D-PRIVATE"), by_place(traces, "nested", "D-PRIVATE")
    assert top == {0x00090010, 0x00091001, 0x00291101, 0x00291102}
    assert deep == {0x00110010, 0x00111001}
    assert len(traces) == 6


def test_a_private_sequence_without_a_vr_hides_nothing(found):
    inner = Form(IMPLICIT).element(PATIENT_NAME, "PN", CANARY)
    for tag in (0x00291101, UNLISTED_SEQUENCE, 0x00081251):
        value = Form(IMPLICIT).sequence(tag, inner)[8:]
        assert by_place(found(PLAIN.file(ordered(*clean(), PLAIN.element(tag, "UN", value)))), "nested") == {PATIENT_NAME}
    implicit = Form(IMPLICIT)
    content = b"".join([*clean(implicit), implicit.sequence(0x00291101, inner)])
    assert by_place(found(implicit.file(content)), "nested") == {PATIENT_NAME}


def test_only_named_private_attributes_of_their_creator_are_safe(found):
    rules = Rules(safe=frozenset({PrivateName("GOOD MAKER", 0x0019, 0x01)}))
    good, bad = PLAIN.element(0x00190010, "LO", b"GOOD MAKER"), PLAIN.element(0x00190011, "LO", b"OTHER MAKER")
    block = [
        good,
        bad,
        PLAIN.element(0x00191001, "DS", b"7.5"),
        PLAIN.element(0x00191002, "DS", b"7.5"),
        PLAIN.element(0x00191101, "DS", b"7.5"),
    ]
    traces = found(PLAIN.file(ordered(*clean(), *block)), rules)
    assert by_place(traces, "top", "D-PRIVATE") == {0x00190011, 0x00191002, 0x00191101}
    without_creator = PLAIN.sequence(UNLISTED_SEQUENCE, good + block[2], block[2])
    traces = found(PLAIN.file(ordered(*clean(), without_creator)), rules)
    assert traces == {Trace("D-PRIVATE", "nested", 0x00191001)}
    sequence = PLAIN.sequence(0x00191001, PLAIN.element(PATIENT_NAME, "PN", CANARY))
    assert found(PLAIN.file(ordered(*clean(), good, sequence)), rules) == {Trace("D-PHI", "nested", PATIENT_NAME)}


def test_overlays_and_curves(found):
    overlay = PLAIN.element(0x60023000, "OW", CANARY)
    in_pixels = PLAIN.element(0x60040100, "US", struct.pack("<H", 16))
    of_its_own = PLAIN.element(0x60020100, "US", struct.pack("<H", 1))
    empty = PLAIN.element(0x60063000, "OW", bytes(8))
    curve = PLAIN.element(0x50001001, "LO", CANARY)
    traces = found(PLAIN.file(ordered(*clean(), overlay, in_pixels, of_its_own, empty, curve)))
    assert traces == {Trace("D-OVERLAY", "top", tag) for tag in (0x60023000, 0x60040100, 0x50001001)}


@pytest.mark.parametrize("form", [PLAIN, Form(IMPLICIT), Form(BIG_ENDIAN)], ids=["plain", "implicit", "big"])
def test_every_hiding_place_at_once(found, form):
    """Preamble, private blocks, overlays, curves, behind the pixel data and the file's own name: in every form none is missed."""
    inner = form.element(0x00110010, "LO", CANARY) + form.element(0x00111001, "LO", CANARY)
    elements = [
        form.sequence(UNLISTED_SEQUENCE, inner + form.element(0x60043000, "OB", CANARY)),
        form.element(0x00090010, "LO", CANARY),
        form.element(0x00091001, "LO", CANARY),
        form.element(PATIENT_NAME, "PN", CANARY),
        form.sequence(0x00291102, inner, undefined=True),
        form.element(0x50001001, "LO", CANARY),
        form.element(0x60023000, "OB", CANARY),
    ]
    behind = form.pixels() + form.element(0xFFFCFFFC, "OB", CANARY)
    content = form.file(b"".join([*elements, behind]), preamble=CANARY.ljust(128, b"\0"))
    assert found(content, name=PurePath("ward/canary.dcm")) == {
        *(Trace("D-PRIVATE", "nested", tag) for tag in (0x00110010, 0x00111001)),
        *(Trace("D-PRIVATE", "top", tag) for tag in (0x00090010, 0x00091001, 0x00291102)),
        *(Trace("D-OVERLAY", "top", tag) for tag in (0x50001001, 0x60023000)),
        Trace("D-OVERLAY", "nested", 0x60043000),
        Trace("D-PHI", "top", PATIENT_NAME),
        Trace("D-PHI", "after", 0xFFFCFFFC),
        Trace("D-PREAMBLE", "file"),
        Trace("D-PATH", "value"),
        Trace("D-METHOD", "file"),
    }


@pytest.mark.parametrize(("head", "place"), [(b"", "file"), (b"II*\0", "image"), (b"MM\0*", "image")])
def test_the_preamble_is_zero(found, head, place):
    for form in (PLAIN, Form(IMPLICIT)):
        content = form.file(b"".join(clean(form)), preamble=(head + CANARY).ljust(128, b"\0"))
        assert found(content) == {Trace("D-PREAMBLE", place)}


# ---------------------------------------------------------------------------------------------------- what is a dummy


@pytest.mark.parametrize(
    "form", [PLAIN, Form(IMPLICIT), Form(BIG_ENDIAN), Form(DEFLATED)], ids=["plain", "implicit", "big", "deflated"]
)
def test_nothing_is_found_in_a_clean_file(found, form):
    elements = clean(PLAIN if form.syntax == DEFLATED else form)
    if form.syntax == BIG_ENDIAN:
        elements = [form.element(tag, vr, value[::-1] if vr == "US" else value) for tag, vr, value in CLEAN]
    assert found(form.file(b"".join(elements) + form.pixels())) == frozenset()


def test_every_listed_attribute_may_be_empty_or_a_dummy(found):
    dummies = {
        "AS": b"000D",
        "DA": b"00010101",
        "DT": b"19000101",
        "TM": b"000000",
        "DS": b"0.0",
        "IS": b"0",
        "US": b"\0\0",
        "UI": b"1.2.3",
    }
    for value in (b"", b"ANONYMIZED"):
        elements = [
            PLAIN.sequence(tag)
            if row.vr == "SQ"
            else PLAIN.element(tag, row.vr.partition(" ")[0] or "LO", value and dummies.get(row.vr, value))
            for tag, row in sorted(ROWS.items())
            if tag >> 16 not in (0, 2) and tag not in {one for one, _, _ in CLEAN}
        ]
        assert found(PLAIN.file(ordered(*clean(), *elements))) == frozenset()


@pytest.mark.parametrize(
    ("vr", "value"),
    [
        ("PN", b"ANONYMIZED^ANONYMOUS"), ("PN", b"^^^^"), ("LO", b"removed "), ("LO", b"De-Identified"),
        ("LO", b"REDACTED\\REMOVED"),
        ("DA", b"00010101\\19000101"), ("DT", b"000101010000"), ("TM", b"0000"), ("IS", b"0\\0"), ("UR", b"http://anonymized.invalid"),
    ],
)  # fmt: skip
def test_dummies(found, vr, value):
    assert found(PLAIN.file(ordered(*clean(PLAIN, PATIENT_NAME), PLAIN.element(PATIENT_NAME, vr, value)))) == frozenset()


@pytest.mark.parametrize(
    ("vr", "value"),
    [
        ("PN", b"A B"), ("PN", b"ANONYMIZED^Smith"), ("PN", b"X"), ("LO", b"9F1C"), ("LO", b"REMOVED 12"), ("DA", b"20010101"),
        ("DA", b"19000102"), ("DT", b"00010101120000"), ("TM", b"000001"), ("AS", b"090Y"), ("IS", b"7"), ("DS", b"0.1"),
        ("US", b"\x20\x20"), ("UI", b"1.2.3"), ("UR", b"http://anonymized.example"), ("LO", b"\xc3\xa4"), ("OB", b"  "),
    ],
)  # fmt: skip
def test_what_is_no_dummy(found, vr, value):
    traces = found(PLAIN.file(ordered(*clean(PLAIN, PATIENT_NAME), PLAIN.element(PATIENT_NAME, vr, value))), name=PurePath("f"))
    assert traces == {Trace("D-PHI", "top", PATIENT_NAME)}


def test_a_uid_may_stand_where_it_is_to_be_replaced_and_a_word_may_not(found):
    """Whether a UID was replaced cannot be seen; what is none names something."""
    uid, word = PLAIN.element(0x0020000D, "UI", b"1.2.840.1"), PLAIN.element(0x0020000D, "UI", CANARY)
    assert found(PLAIN.file(ordered(*clean(PLAIN, 0x0020000D), uid))) == frozenset()
    assert found(PLAIN.file(ordered(*clean(PLAIN, 0x0020000D), word))) == {Trace("D-PHI", "top", 0x0020000D)}


@pytest.mark.parametrize(("tag", "passes"), [(0x00081140, True), (0x00081110, False), (0x0040A730, True), (0x0040A073, True)])
def test_a_listed_sequence_may_hold_uids_only_where_they_are_replaced(found, tag, passes):
    references = PLAIN.sequence(tag, PLAIN.element(0x00081150, "UI", b"1.2.840.1"))
    expected = set() if passes else {Trace("D-PHI", "top", tag)}
    assert found(PLAIN.file(ordered(*clean(), references))) == expected
    words = PLAIN.sequence(tag, PLAIN.sequence(UNLISTED_SEQUENCE, PLAIN.element(CODE_VALUE, "SH", b"7")))
    assert found(PLAIN.file(ordered(*clean(), words))) == {Trace("D-PHI", "top", tag)}


def test_pseudonyms_of_the_site_are_no_names(found):
    pseudonym = [PLAIN.element(PATIENT_NAME, "PN", b"P-0f3a"), PLAIN.element(PATIENT_ID, "LO", b"P-0f3a")]
    content = PLAIN.file(ordered(*clean(PLAIN, PATIENT_NAME, PATIENT_ID), *pseudonym))
    path = PurePath("P-0f3a/IM1")
    rules = Rules(pseudonym=re.compile("P-[0-9a-f]{4}"))
    assert found(content, rules, path) == frozenset()
    assert found(content, name=path) == {
        Trace("D-PHI", "top", PATIENT_NAME),
        Trace("D-PHI", "top", PATIENT_ID),
        Trace("D-PATH", "value"),
    }
    longer = PLAIN.file(ordered(*clean(PLAIN, PATIENT_ID), PLAIN.element(PATIENT_ID, "LO", b"P-0f3a Smith")))
    assert found(longer, rules) == {Trace("D-PHI", "top", PATIENT_ID)}


def test_what_a_contract_needs_may_be_kept(found):
    age = PLAIN.element(0x00101010, "AS", b"043Y")
    content = PLAIN.file(ordered(*clean(PLAIN, 0x00101010), age, PLAIN.element(0x60003000, "OW", CANARY)))
    assert found(content, Rules(kept=frozenset({0x00101010, 0x60003000}))) == frozenset()


# ------------------------------------------------------------------------------------------- what the file itself says


@pytest.mark.parametrize(
    ("without", "also", "is_said"),
    [
        ((0x00120062,), (), False),
        ((0x00120062,), (PLAIN.element(0x00120062, "CS", b"NO"),), False),
        ((0x00120063,), (), False),
        ((0x00120063,), (PLAIN.sequence(0x00120064),), False),
        ((0x00120063,), (PLAIN.sequence(0x00120064), PLAIN.sequence(0x00140001, b"")), False),
        ((0x00120063,), (PLAIN.sequence(0x00120064, PLAIN.element(CODE_VALUE, "SH", b"113100")),), True),
        ((), (), True),
    ],
)
def test_a_file_says_that_and_how_it_was_de_identified(found, without, also, is_said):
    assert (Trace("D-METHOD", "file") not in found(PLAIN.file(ordered(*clean(PLAIN, *without), *also)))) is is_said


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({0x00280301: b"YES"}, "declared"),
        ({0x00280301: b"YES", 0x00080060: b"US"}, "declared"),
        ({0x00080060: b"US"}, "suspected"),
        ({0x00080060: b"XA", 0x00280301: b""}, "suspected"),
        ({0x00080060: b"OT", 0x00280301: b"MAYBE"}, "suspected"),
        ({0x00080016: b"1.2.840.10008.5.1.4.1.1.7"}, "suspected"),
        ({0x00080016: b"1.2.840.10008.5.1.4.1.1.7.4"}, "suspected"),
        ({0x00080008: b"DERIVED\\SECONDARY"}, "suspected"),
        ({0x00080016: b"1.2.840.10008.5.1.4.1.1.77.1.1"}, None),
        ({0x00080060: b"US", 0x00280301: b"NO"}, None),
        ({}, None),
    ],
)
def test_burned_in_text_is_suspected_by_kind(found, changes, place):
    added = [PLAIN.element(tag, "UI" if tag == 0x00080016 else "CS", value) for tag, value in changes.items()]
    elements = ordered(*clean(PLAIN, *changes), *added)
    assert found(PLAIN.file(elements + PLAIN.pixels())) == ({Trace("D-BURNED", place)} if place else set())
    if place == "suspected":
        assert found(PLAIN.file(elements)) == frozenset()  # no image


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({0x00280302: b"YES"}, "declared"),
        ({0x00280302: b"YES", 0x00180015: b"FOOT"}, "declared"),
        ({0x00180015: b"HEAD"}, "suspected"),
        ({0x00180015: b"BRAIN ", 0x00080060: b"MR"}, "suspected"),
        ({0x00180015: b"HEAD", 0x00280302: b""}, "suspected"),
        ({0x00180015: b"HEAD", 0x00280302: b"NO"}, None),
        ({0x00180015: b"HEAD", 0x00080060: b"DX"}, None),
        ({0x00180015: b"CHEST"}, None),
        ({0x00180015: b""}, None),
    ],
)
def test_faces_are_suspected_in_volumes_of_heads(found, changes, place):
    """By Body Part Examined, unless the header says that none can be recognised; where it is absent, nothing is said."""
    added = [PLAIN.element(tag, "CS", value) for tag, value in ({0x00080060: b"CT"} | changes).items()]
    elements = ordered(*clean(PLAIN, 0x00080060, *changes), *added)
    assert found(PLAIN.file(elements + PLAIN.pixels())) == ({Trace("D-FACE", place)} if place else set())
    if place == "suspected":
        assert found(PLAIN.file(elements)) == frozenset()  # no image


# -------------------------------------------------------------------------------------------------------------- paths


@pytest.mark.parametrize(
    ("path", "places"),
    [
        ("SMITH_JOHN/IM1", {"value", "name"}), ("ward/Smith.dcm", {"value"}), ("a/smith-7.dcm", {"value"}),
        ("4711-12/x", {"value"}),
        ("x/471112.dcm", {"value", "number"}), ("pre4711-12post/x", {"value"}), ("p19430117/x", {"value", "date"}),
        ("Doe^Jane/1", {"name"}), ("Doe, Jane/1", {"name"}), ("Meyer_Anna/1", {"name"}), ("MEYER ANNA/1", {"name"}),
        ("1999-12-31/x", {"date"}), ("x/scan_20040826185059", {"date"}), ("31.12.1999/x", {"date"}), ("19991231/x", {"date"}),
        ("7740123/IM1", {"number"}), ("MRN1234567/IM1", {"number"}),
        ("study_1/IM0001.dcm", set()), ("Series_One/IM000017", set()), ("00000017/00000018.dcm", set()), ("CT_small.dcm", set()),
        ("1.2.840.113619.2.55.3.20040826.185059.5457/1.2.276.0.7230010.dcm", set()), ("AX_T1_POST/I10", set()),
        ("smithers/1", set()),
        ("0f9d8a7b6c5d4e3f2a1b/x", set()), ("2f1e1c1a-9c4c-4b8e-8a53-0d2f6a7b8c9d.dcm", set()), ("12345/99999", set()),
        ("brain_scan/left_lung", set()), ("Chest_Phantom/x", set()),
    ],
)  # fmt: skip
def test_names_of_files_and_folders(found, path, places):
    person = {PATIENT_NAME: ("PN", b"Smith^John"), PATIENT_ID: ("LO", b"4711-12"), BIRTH_DATE: ("DA", b"19430117")}
    elements = [PLAIN.element(tag, vr, value) for tag, (vr, value) in person.items()]
    traces = found(PLAIN.file(ordered(*clean(PLAIN, *person), *elements)), name=PurePath(path))
    assert {trace.place for trace in traces if trace.code == "D-PATH"} == places


def test_a_dummy_in_a_path_is_no_value(found):
    assert found(PLAIN.file(b"".join(clean())), name=PurePath("anonymized/removed.dcm")) == frozenset()


# ------------------------------------------------------------------------------------------------------------ in words


def test_what_a_check_prints():
    rules = Rules()
    one = frozenset({Trace("D-PHI", "top", PATIENT_NAME), Trace("D-PRIVATE", "nested", 0x00091001), Trace("D-METHOD", "file")})
    summary = summed([one] * 3 + [frozenset({Trace("D-PHI", "top", PATIENT_NAME)}), frozenset()], rules.profile)
    assert (summary.files, summary.clean) == (5, 1)
    assert summary.lines() == [
        "D-PHI attribute (0010,0010) PatientName must be empty under basic-2026c: 4 files",
        "D-PRIVATE private attribute (0009,1001), in a sequence, must be absent under basic-2026c: 3 files",
        "D-METHOD PatientIdentityRemoved must be YES, and a DeidentificationMethod or its codes must say how: 3 files",
    ]


# ---------------------------------------------------------------------------------------------------------- real files


SEEN_BY_OURS_ALONE = {
    "valid/pydicom/priv_SQ.dcm": "a private sequence without a VR: pydicom takes it for bytes",
    "pathological/fuzz/cat09_logic_bombs/TC0445_duplicate_tags.dcm": "an attribute that stands twice: pydicom keeps the last",
}


def test_real_files_are_judged_as_by_a_slow_scan(test_data):
    """On every readable one of 269 real files: the same attributes as a walk through all that pydicom converts."""
    folder = test_data / "dicom"
    rows = list(csv.DictReader((folder / "index.csv").read_text(encoding="utf-8").splitlines()))
    missed, added, judged = {}, set(), 0
    for row in rows:
        path = folder / row["path"]
        try:
            traces = scan(path, PurePath(row["path"]), RULES)
        except UnreadableHeader:
            continue
        judged += 1
        of_elements = {trace for trace in traces if trace.tag is not None and trace.place != "meta"}
        ours, theirs = {(trace.code, trace.tag) for trace in of_elements}, slow_scan(path, TABLE)
        if theirs - ours:
            missed[row["path"]] = theirs - ours
        if ours - theirs:
            added.add(row["path"])
    assert missed == {}
    assert added == set(SEEN_BY_OURS_ALONE)
    assert judged == 253
