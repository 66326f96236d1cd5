"""``wardround silo check`` on a folder of images, as a radiology department has it."""

from __future__ import annotations

import json
import os
import re
import stat
from dataclasses import dataclass

import numpy as np
import pydicom
import pytest
from lesion_contract import LESION
from pydicom.uid import RLELossless
from segmentations_on_disk import write_segmentation_of

from silo_node.dicom import index as index_module
from silo_node.imaging import check as check_module
from wardround.console import run

SITE = """
site: north
name: North
sources:
  ct_export: {format: dicom, path: export, pseudonym: "P[0-9]+"}
  table: {format: csv, path: table.csv}
schemas:
  ct.lesion: {source: ct_export}
"""
CLEAN = {"PatientIdentityRemoved": "YES", "DeidentificationMethod": "test"}


@dataclass(frozen=True)
class Answer:
    status: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def codes(self):
        return [(each["code"], each["count"]) for each in self.json["findings"]]


@pytest.fixture
def check(tmp_path, capfd):
    """Check the export folder; ``changed`` are keys of the contract, ``site`` the site file."""

    def checked(*words, site=SITE, **changed):
        (tmp_path / "site.yaml").write_text(site)
        (tmp_path / "lesion.yaml").write_text(json.dumps({**LESION, **changed}))
        capfd.readouterr()
        where = ("--site", tmp_path / "site.yaml", "--schema", tmp_path / "lesion.yaml")
        status = run([str(word) for word in ("silo", "check", *where, *words)])
        output = capfd.readouterr()
        return Answer(status, output.out, output.err)

    return checked


@pytest.fixture
def series(write_slice):
    """Write a series against which nothing speaks, unless something is changed, with its segmentation."""

    def written(uid="1.2.3.1", without=(), slices=5, **changed):
        study = {"StudyInstanceUID": f"{uid}.9", "SeriesInstanceUID": uid, "BodyPartExamined": "CHEST"}
        paths = [
            write_slice(number, name=f"mixed/{uid}-{number}.dcm", **{**study, **CLEAN, **changed})
            for number in range(slices)
            if number not in without
        ]
        write_segmentation_of(paths, write_slice.folder / f"seg-{uid}", **CLEAN)

    return written


def test_in_order(check, series, tmp_path):
    """Exit status 0, every file accounted for, and reports and index for their owner only."""
    series()
    answer = check()
    assert (answer.status, answer.err) == (0, "")
    assert "ct.lesion 1.0.0: in order. 1 stack of slices found, 0 set aside, 1 fit." in answer.out
    assert "Pixels: 1 of 5 images" in answer.out
    for name in ("indexes/ct_export.sqlite", "reports/check-ct.lesion-1.0.0.json", "reports/check-ct.lesion-1.0.0.html"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "indexes").stat().st_mode) == 0o700


def test_an_export_as_it_comes(check, series, write_slice, export, tmp_path):
    """Two series in one folder, a missing slice, MONOCHROME1, a localiser, a cut file, a broken RLE image: each has its code."""
    series()
    series("1.2.3.2")
    series("1.2.3.3", without=[2])
    series("1.2.3.4", PhotometricInterpretation="MONOCHROME1")
    series("1.2.3.5", pixels=np.full((64, 64), 7, np.int16), PatientName="Doe^Jane")
    write_slice(20, name="localiser.dcm", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    cut = write_slice(21, name="cut.dcm")
    cut.write_bytes(cut.read_bytes()[:200])
    (export / "README").write_text("no image")
    for path in (export / "mixed").glob("1.2.3.5-*"):
        dataset = pydicom.dcmread(path)
        dataset.compress(RLELossless, generate_instance_uid=False)
        dataset.PixelData = dataset.PixelData[:40] + b"\xff" * (len(dataset.PixelData) - 40)
        dataset.save_as(path)
    answer = check("--format", "json", geometry={**LESION["geometry"], "rows": None})
    assert answer.status == 1
    assert set(answer.codes) == {
        ("D-GAP", 1),
        ("D-PHOTO", 1),
        ("D-PHI", 1),
        ("D-DECODE", 1),
        ("D-TRUNC", 1),
        ("D-QUARANTINE", 3),
        ("D-QUARANTINE", 1),
        ("D-KIND", 1),
        ("D-NOTDICOM", 1),
    }
    files, examples = answer.json["files"], answer.json["examples"]
    counted = files["images"] + sum(files["unreadable"].values()) + sum(files["of_another_kind"].values())
    assert files["found"] == 32 == counted + files["segmentations"]
    assert examples == {"are": "series", "found": 5, "fit": 2, "set_aside": 3}
    assert [(each["code"], each["keyword"], each["files"]) for each in answer.json["privacy"]["counts"]] == [
        ("D-PHI", "PatientName", 5)
    ]
    report = (tmp_path / "reports/check-ct.lesion-1.0.0.json").read_text()
    page = (tmp_path / "reports/check-ct.lesion-1.0.0.html").read_text()
    for text in (answer.out, report):
        assert ".dcm" not in text
    assert "mixed/1.2.3.3-0.dcm" in page
    told = check(geometry={**LESION["geometry"], "rows": None})
    assert "First: mixed/1.2.3.3-0.dcm" in told.out
    assert "No slice is missing between the first and the last." in told.out
    stored = (tmp_path / "indexes/ct_export.sqlite").read_bytes()
    for text in (answer.out, report, page, told.out, stored.decode("latin-1")):
        assert "Doe" not in text


def test_the_limit(check, series):
    """One of two series set aside: more than none is too much unless a share is allowed; too few is too few in any case."""
    series()
    series("1.2.3.2", RescaleSlope=0)
    assert check().status == 1
    assert check("--max-fraction", "0.5").status == 0
    few = check("--max-fraction", "1", "--format", "json", minimum_examples=2)
    assert (few.status, ("D-FEW", 1) in few.codes) == (1, True)


def test_damaged_files_have_the_same_limit(check, series, export):
    """A last slice that was cut off leaves a whole stack, shorter than it was: that is not passed over."""
    series(slices=6)
    path = export / "mixed/1.2.3.1-5.dcm"
    write_segmentation_of(sorted((export / "mixed").iterdir())[:5], export / "seg-1.2.3.1", **CLEAN)
    path.write_bytes(path.read_bytes()[:300])
    answer = check("--format", "json")
    assert (answer.status, answer.json["examples"]["fit"]) == (1, 1)
    assert check("--max-fraction", "0.2").status == 0


def test_only_what_changed_is_read_again(check, series, monkeypatch, export):
    """The second check reads no header; another notion of pseudonyms, or --no-cache, reads all."""
    read = []
    whole = index_module.read_header
    monkeypatch.setattr(index_module, "read_header", lambda path: read.append(path.name) or whole(path))

    def reads(*words, **settings):
        read.clear()
        check(*words, **settings)
        return len(read)

    series()
    assert [reads(), reads(), reads("--no-cache")] == [6, 0, 6]
    assert [reads(site=SITE.replace("P[0-9]+", "Q[0-9]+")), reads(site=SITE.replace("P[0-9]+", "Q[0-9]+"))] == [6, 0]


def test_who_may_be_known(check, series):
    """Without the hospital's own word for its pseudonyms, a patient's number is a number; the contract may ask for less."""
    series()
    answer = check("--format", "json", site=SITE.replace(', pseudonym: "P[0-9]+"', ""))
    assert ("D-PHI", 1) in answer.codes
    series(PatientIdentityRemoved="NO")
    assert ("D-METHOD", 1) in check("--format", "json").codes
    assert check(privacy={"declared": False}).status == 0
    series(BurnedInAnnotation="YES")
    answer = check("--format", "json", privacy={"burned_in": "warn"})
    assert (answer.status, [(each["code"], each["standing"]) for each in answer.json["findings"]]) == (
        0,
        [("D-BURNED", "warning")],
    )
    assert check(privacy={"burned_in": "refuse"}).status == 1


def test_all_pixels_on_demand(check, series, export):
    """One of each series by default; a broken one among the others is found with --pixels."""
    series(pixels=np.full((64, 64), 7, np.int16))
    for at, path in enumerate(sorted((export / "mixed").iterdir())):
        dataset = pydicom.dcmread(path)
        dataset.compress(RLELossless, generate_instance_uid=False)
        if at == 3:
            dataset.PixelData = dataset.PixelData[:40] + b"\xff" * (len(dataset.PixelData) - 40)
        dataset.save_as(path)
    tall = {**LESION["geometry"], "rows": None}
    assert check(geometry=tall).status == 0
    answer = check("--pixels", "--format", "json", geometry=tall)
    assert (answer.status, answer.codes[0]) == (1, ("D-DECODE", 1))
    assert answer.json["decoded"] == {"images": 5, "of": 5}


@pytest.mark.parametrize(
    ("change", "status", "code", "words"),
    [
        (("path: export", "path: elsewhere"), 1, "D-FOLDER", "no such folder"),
        (("path: export", "path: site.yaml"), 1, "D-FOLDER", "it is no folder"),
        (("source: ct_export", "source: table, columns: {a: b}"), 2, "M-IMAGES", "is a table"),
        (("source: ct_export", "source: ct_export, columns: {a: b}"), 2, "M-IMAGES", "has 'columns'"),
        (("source: ct_export", "source: table"), 2, "Y-MISSING", "columns"),
        (("ct.lesion:", "ct.lesions:"), 2, "M-SCHEMA", "did you mean"),
        (('"P[0-9]+"', '"P[0-9"'), 2, "Y-VALUE", "regular expression"),
    ],
)
def test_a_site_file_that_does_not_fit(check, series, change, status, code, words):
    """One clear error with a next step, before anything is read."""
    series()
    answer = check(site=SITE.replace(*change))
    assert (answer.status, answer.out) == (status, "")
    assert code in answer.err
    assert words in answer.err
    assert "Next:" in answer.err


def test_a_folder_that_may_not_be_read(check, series, monkeypatch):
    """A part of an export is not taken for the whole."""
    series()
    whole = os.scandir

    def scandir(path):
        if str(path).endswith("mixed"):
            raise PermissionError
        return whole(path)

    monkeypatch.setattr(index_module.os, "scandir", scandir)
    answer = check()
    assert (answer.status, "D-FOLDER" in answer.err, "may not be read" in answer.err) == (1, True, True)


@pytest.mark.parametrize("words", [("--fix-plan",), ("--history",)])
def test_what_is_for_tables_only(check, series, words):
    """Plans and histories."""
    assert "X-USAGE" in check(*words).err


def test_what_is_for_images_only(check, tmp_path, capfd):
    """A limit and pixels, where a schema of tables is checked."""
    check()
    for words in (("--pixels",), ("--max-fraction", "0.1")):
        assert run(["silo", "check", "--site", str(tmp_path / "site.yaml"), "--schema", "heart.disease", *words]) == 2
        assert "X-USAGE" in capfd.readouterr().err


def test_a_schema_of_tables_has_no_folder_of_images(check, tmp_path, capfd):
    """The reverse is refused with a next step too, by the check and by the draft of a mapping."""
    check(site=SITE.replace("ct.lesion", "heart.disease"))
    capfd.readouterr()
    site = str(tmp_path / "site.yaml")
    assert run(["silo", "check", "--site", site, "--schema", "heart.disease"]) == 2
    assert "M-IMAGES" in capfd.readouterr().err
    assert run(["silo", "map", "--site", site, "--schema", "heart.disease", "--source", "ct_export"]) == 2
    assert "M-IMAGES" in capfd.readouterr().err


def test_one_check_at_a_time(check, series, monkeypatch):
    """A second one would write the same index."""
    series()
    whole = check_module.Index
    inner = []

    def index(*arguments):
        monkeypatch.setattr(check_module, "Index", whole)
        inner.append(check())
        return whole(*arguments)

    monkeypatch.setattr(check_module, "Index", index)
    assert check().status == 0
    assert (inner[0].status, "another check" in inner[0].err) == (2, True)


def test_a_schema_that_wardround_brings(check, series, tmp_path, capfd):
    """By its id, as tables are; and its own numbers are what speaks."""
    series()
    check()
    assert run(["silo", "check", "--site", str(tmp_path / "site.yaml"), "--schema", "ct.lesion"]) == 1
    assert "D-SLICES" in (told := capfd.readouterr().out)
    assert "A stack has 16 to 2000 slices" in told
    assert "KVP (0018,0060) has no value in 5 of 5 images." in told
    assert "Not looked at" not in told


ROWS = """
kind: table
id: t.rows
version: 1.0.0
status: draft
title: Rows
row_grain: one row per series
primaryKey: [series]
patientKey: patient
fields:
  - {name: series, type: string, privacy: pseudonym, constraints: {required: true}}
  - {name: patient, type: string, privacy: pseudonym, constraints: {required: true}}
  - {name: grade, type: string, categories: [{value: low}, {value: high}], constraints: {required: true}}
"""
GRADED = {
    "label": {"kind": "class", "fields": ["grade"]},
    "table": {"id": "t.rows", "version": "1.0.0", "grain": "series", "keys": {"series": "series"}},
    "patientKey": "patient",
}
WITH_ROWS = (
    SITE
    + "  t.rows: {source: table, columns: {series: Series, patient: Patient, grade: {column: Grade, codes: {L: low, H: high}}}}"
)


@pytest.fixture
def table(tmp_path):
    """Write the table of the images and its contract; give the words by which the check finds it."""

    def written(*rows):
        (tmp_path / "rows.yaml").write_text(ROWS)
        folder = tmp_path / "schemas" / "tables" / "t.rows"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "1.0.0.yaml").write_text(ROWS)
        (tmp_path / "table.csv").write_text("\n".join(["Series,Patient,Grade", *rows]) + "\n")
        return ("--schema-path", tmp_path / "schemas", "--format", "json")

    return written


def test_images_and_the_rows_of_their_table(check, series, table, tmp_path):
    """Every row and every image is accounted for; keys of neither are told."""
    series("1.2.3.1")
    series("1.2.3.2", RescaleSlope=0, PatientID="P2")
    series("1.2.3.3")
    words = table("1.2.3.1,t1,L", "1.2.3.2,t2,H", "1.2.3.4,t4,H", "1.2.3.5,t5,?")
    answer = check(*words, site=WITH_ROWS, **GRADED)
    assert answer.status == 1
    assert answer.json["rows"] == {"found": 4, "refused": 1, "without_image": 1, "with_several": 0, "used": 1}
    assert answer.json["examples"] == {"are": "series", "found": 2, "fit": 1, "set_aside": 1}
    assert (answer.json["files"]["of_another_kind"], answer.json["not_looked_at"]) == ({"D-NOROW": 5, "D-MODALITY": 3}, [])
    assert set(answer.codes) == {
        ("D-RESCALE", 1),
        ("D-NOIMAGE", 1),
        ("D-ROW", 1),
        ("D-TABLE", 1),
        ("D-QUARANTINE", 3),
        ("D-NOROW", 5),
        ("D-MODALITY", 3),
    }
    told = check(*words[:2], site=WITH_ROWS, **GRADED).out
    assert re.search(r"^rows of the table +4$", told, re.MULTILINE)
    page = (tmp_path / "reports/check-ct.lesion-1.0.0.html").read_text()
    for text in (answer.out, told, page):
        assert "1.2.3.4" not in text
        assert "t4" not in text
    assert check(*words, "--max-fraction", "0.75", site=WITH_ROWS, **GRADED).status == 0


def test_a_table_that_fits_its_images(check, series, table):
    """In order, with each row used once."""
    series("1.2.3.1")
    series("1.2.3.2", PatientID="P2")
    answer = check(*table("1.2.3.1,t1,L", "1.2.3.2,t2,H"), site=WITH_ROWS, **GRADED)
    assert (answer.status, answer.codes, answer.json["rows"]["used"]) == (0, [("D-MODALITY", 2)], 2)
    same = check(*table("1.2.3.1,t1,L", "1.2.3.2,t1,H"), site=WITH_ROWS, **GRADED)
    assert same.status == 0, "a patient of the table may have two numbers in the archive"
    series("1.2.3.2")
    torn = check(*table("1.2.3.1,t1,L", "1.2.3.2,t2,H"), site=WITH_ROWS, **GRADED)
    assert (torn.status, torn.codes[0]) == (1, ("D-PATIENT", 2))


def test_a_table_that_the_site_file_does_not_map(check, series, table):
    """The images are checked, and what was not looked at is said."""
    series()
    answer = check(*table("1.2.3.1,t1,L"), **GRADED)
    assert (answer.status, answer.json["rows"]) == (0, None)
    assert answer.json["not_looked_at"] == ["the table t.rows and its keys, since the site file has no mapping for it"]


def test_a_table_that_cannot_be_read(check, series, table, tmp_path):
    """No image has a row then, and the check says so twice."""
    series()
    words = table()
    (tmp_path / "table.csv").write_bytes(b"")
    answer = check(*words, site=WITH_ROWS, **GRADED)
    assert (answer.status, {code for code, _ in answer.codes}) == (1, {"D-TABLE", "D-FEW", "D-NOROW", "D-MODALITY"})


def policy(folder, text):
    (folder / "policy.yaml").write_text(text)


def test_what_the_policy_lets_stand(check, series, tmp_path):
    """An attribute of the list only where the contract requires it: neither of the two alone is enough."""
    series(PatientAge="054Y")
    required = {"tags": {"required": ["PatientAge"]}}
    keeps = "images: {kept: {PatientAge: in years}}"
    assert [check(**changed).status for changed in ({}, required)] == [1, 1]
    policy(tmp_path, keeps)
    assert "(0010,1010) PatientAge" in check().out
    answer = check(**required)
    assert (answer.status, "Let stand by the policy, as the contract requires it: PatientAge." in answer.out) == (0, True)
    assert check("--format", "json", **required).json["kept"] == ["PatientAge"]


def test_private_attributes_that_identify_nobody(check, series, write_slice, export, tmp_path):
    """Of their creator, by group and element; another creator's is none of them."""
    series()
    for path in sorted((export / "mixed").iterdir()):
        dataset = pydicom.dcmread(path)
        dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0C, "IS", "1000")
        dataset.save_as(path)
    assert ("D-PRIVATE", 1) in check("--format", "json").codes
    private = "images: {{safe_private: [{{creator: {}, element: '0019,xx0C', reason: b-value}}]}}"
    policy(tmp_path, private.format("SIEMENS MR HEADER"))
    assert check().status == 0
    policy(tmp_path, private.format("GEMS_ACQU_01"))
    assert check().status == 1


def test_a_suspicion_of_text_that_is_enough(check, series, tmp_path):
    """The policy may ask for more than the contract, and never for less."""
    pixels = np.zeros((128, 128), np.int16)
    for column in range(20, 110, 6):
        pixels[40:52, column : column + 2] = 1000
    series(pixels=pixels)
    tall = {"geometry": {**LESION["geometry"], "rows": None}}
    assert check(**tall).status == 0
    policy(tmp_path, "images: {burned_in: refuse}")
    assert ("D-BURNED", 1) in check("--format", "json", **tall).codes
    series(BurnedInAnnotation="YES")
    assert check(privacy={"burned_in": "warn"}).status == 1
    policy(tmp_path, "images: {burned_in: contract}")
    assert check(privacy={"burned_in": "warn"}).status == 0
    assert check(privacy={"burned_in": "refuse"}).status == 1


def test_a_face_is_a_warning(check, series):
    """Heads are what some contracts are about."""
    series(BodyPartExamined="HEAD")
    answer = check("--format", "json", protocol={**LESION["protocol"], "body_parts": ["HEAD"]})
    assert (answer.status, answer.codes) == (0, [("D-FACE", 1)])


def test_values_that_cannot_be(check, series):
    """Looked at in what is decoded: one image of each series, or all."""
    series(slices=6)
    narrow = {"intensity": {"unit": "HU", "possible": {"low": -1024, "high": -1020}}}
    assert check(**narrow).status == 0
    answer = check("--pixels", "--format", "json", **narrow)
    assert (answer.status, answer.codes[0]) == (1, ("D-INTENSITY", 1))


def test_names_cannot_speak_to_the_terminal(check, series, write_slice):
    """Control characters of a file's name are shown, not obeyed."""
    series()
    write_slice(9, name="\x1b[2Jx\n.txt", Modality="MR")
    assert "\\x1b[2Jx\\n.txt" in check().out
