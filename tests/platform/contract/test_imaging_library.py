"""Contracts of images are found and loaded like those of tables: each fault with its line; what is published never changes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from wardround.contract import dicom_dictionary, library
from wardround.contract.model import Contract
from wardround.errors import Refused
from wardround.strict_yaml import load

SHIPPED = Path(str(library.shipped()))
NAMES = [listing.name for listing in library.available(kind="imaging")]
TABLE = """\
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
  - {name: mask, type: string, privacy: pseudonym, constraints: {required: true}}
  - {name: other, type: string, privacy: pseudonym, constraints: {required: true}}
  - {name: late, type: string, privacy: pseudonym}
  - {name: grade, type: string, categories: [{value: low}, {value: middle}, {value: high}]}
  - {name: event, type: string, categories: [{value: alive}, {value: dead}]}
  - {name: sex, type: string, privacy: quasi, categories: [{value: female}, {value: male}]}
  - {name: days, type: integer, unit: d, constraints: {minimum: 0, maximum: 9999}}
  - {name: mass, type: number, unit: kg, constraints: {minimum: 1, maximum: 500}}
"""
IMAGES = """\
kind: imaging
id: t.images
version: 1.0.0
status: draft
title: Images
example: series
protocol:
  modalities: [CT]
  sop_classes: [1.2.840.10008.5.1.4.1.1.2]
  transfer_syntaxes: [1.2.840.10008.1.2.1]
  bits_stored: {low: 12, high: 16}
  image_types: [ORIGINAL]
geometry:
  dimensions: 3
  rows: {low: 64, high: 512}
  pixel_spacing: {low: 0.4, high: 1.2}
  slices: {low: 16, high: 900}
intensity: {unit: HU, possible: {low: -2048, high: 8000}}
tags: {required: [KVP], forbidden: [OverlayData]}
label: {kind: class, fields: [grade]}
table:
  id: t.rows
  version: 1.0.0
  grain: series
  keys: {series: series}
patientKey: patient
"""
MASK = "label: {kind: mask, format: nifti, path: PATH, classes: {'1': lesion}}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a schema folder with the table; the file of images goes beside it."""
    (tmp_path / "tables" / "t.rows").mkdir(parents=True)
    (tmp_path / "tables" / "t.rows" / "1.0.0.yaml").write_text(TABLE, encoding="utf-8")
    (tmp_path / "imaging" / "t.images").mkdir(parents=True)
    return tmp_path


def _written(folder: Path, text: str = IMAGES, version: str = "1.0.0") -> Path:
    file = folder / "imaging" / "t.images" / f"{version}.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_plain_contract_loads_with_the_table_beside_it(folder: Path) -> None:
    """The text that the faults below are put into is itself in order, by its path and by its name."""
    file = _written(folder)
    contract = library.load_imaging(file)
    assert contract.id == "t.images"
    assert library.load_any(file) == contract
    for name in ("t.images", "t.images@1.0.0", str(file)):
        assert library.find_imaging(name, [folder]) == library.find_any(name, [folder]) == contract
    assert isinstance(library.find_any("t.rows", [folder]), Contract)


@pytest.mark.parametrize(
    ("old", "new", "code", "line", "words"),
    [
        ("[KVP]", "[SliceThicknes]", "S-DICOM", 19, "'SliceThickness'"),
        ("[OverlayData]", "[PatientsName]", "S-DICOM", 19, "'PatientName'"),
        ("[OverlayData]", "[PixelData]", "S-DICOM", 19, "(7FE0,0010) is not there"),
        ("[OverlayData]", "[SourceImageIDs]", "S-DICOM", 19, "is not there"),
        ("[KVP]", "[TransferSyntaxUID]", "S-DICOM", 19, "(0002,0010) is not there"),
        ("5.1.4.1.1.2]", "5.1.4.1.1.2.9]", "S-DICOM", 9, "1.2.840.10008.5.1.4.1.1.2"),
        ("[1.2.840.10008.5.1.4.1.1.2]", "[1.2.840.10008.1.2.1]", "S-DICOM", 9, "Explicit VR Little Endian"),
        ("10008.1.2.1]", "10008.1.2.11]", "S-DICOM", 10, "(Explicit VR Little Endian)"),
        ("low: 12, high: 16", "low: 12, high: 65", "S-RANGE", 11, "at most 64"),
        ("low: 12, high: 16", "low: 12.5, high: 16", "S-RANGE", 11, "fraction"),
        ("low: 64, high: 512", "low: 0, high: 512", "S-RANGE", 15, "at least 1"),
        ("low: 64, high: 512", "low: 64, high: 70000", "S-RANGE", 15, "65535"),
        ("low: 0.4, high: 1.2", "low: 0, high: 1.2", "S-RANGE", 16, "more than 0 mm"),
        ("low: 16, high: 900", "low: 1, high: 1", "S-RANGE", 17, "at least 2"),
        ("dimensions: 3", "dimensions: 3\n  slice_thickness: {low: 0, high: 5}", "S-RANGE", 15, "more than 0 mm"),
        ("low: -2048, high: 8000", "low: 5, high: 5", "S-RANGE", 18, "equal"),
        ("[CT]", "[CT, MR]", "S-RANGE", 18, "MR"),
        ("fields: [grade]", "fields: [grad]", "S-FIELD", 20, "'grade'"),
        ("fields: [grade]", "fields: [days]", "S-FIELD", 20, "two categories or more"),
        ("fields: [grade]", "fields: [sex]", "S-FIELD", 20, "privacy quasi"),
        ("class, fields: [grade]", "multi_label, fields: [event, grade]", "S-FIELD", 20, "3 categories"),
        ("class, fields: [grade]", "regression, fields: [event]", "S-FIELD", 20, "a number"),
        ("class, fields: [grade]", "survival, fields: [mass, event]", "S-FIELD", 20, "unit of time"),
        ("class, fields: [grade]", "survival, fields: [days, grade]", "S-FIELD", 20, "3 categories"),
        ("label: {kind: class, fields: [grade]}", MASK.replace("PATH", "late"), "S-FIELD", 20, "not required"),
        ("id: t.rows", "id: t.row", "S-UNKNOWN", 22, "'t.rows'"),
        ("  version: 1.0.0\n  grain", "  version: 1.1.0\n  grain", "S-VERSION", 23, "1.0.0"),
        ("status: draft", "status: active", "S-VERSION", 23, "is a draft"),
        ("keys: {series: series}", "keys: {series: serie}", "S-FIELD", 25, "'series'"),
        ("keys: {series: series}", "keys: {series: series, study: late}", "S-FIELD", 25, "not required"),
        ("keys: {series: series}", "keys: {series: series, study: grade}", "S-FIELD", 25, "categories"),
        ("keys: {series: series}", "keys: {series: other}", "S-FIELD", 24, "several rows"),
        ("keys: {series: series}", "keys: {series: series, patient: other}", "S-FIELD", 25, "'patient'"),
        ("grain: series\n  keys: {series:", "grain: image\n  keys: {image:", "S-FIELD", 24, "coarser grain"),
        ("patientKey: patient", "patientKey: other", "S-FIELD", 26, "patientKey: patient"),
        ("kind: imaging", "kind: image", "Y-VALUE", 1, "imaging"),
        ("modalities:", "modality:", "Y-KEY", 8, "'modalities'"),
        ("dimensions: 3", "dimensions: 2", "Y-VALUE", 13, "only stacks"),
        ("low: 16, high: 900", "low: 901, high: 900", "Y-VALUE", 17, "low is not above high"),
        ("[OverlayData]", "[KVP]", "Y-VALUE", 19, "not both: KVP"),
        ("[ORIGINAL]", "[LOCALIZER]", "Y-VALUE", 7, "not both: LOCALIZER"),
        ("image_types: [ORIGINAL]", "photometric: [PALETTE COLOR]", "Y-VALUE", 12, "one of: MONOCHROME1, MONOCHROME2, RGB"),
        ("fields: [grade]", "fields: []", "Y-VALUE", 20, "one field"),
        ("example: series", "example: image", "Y-VALUE", 1, "2 dimensions"),
        ("  keys: {series: series}", "  path: mask", "Y-VALUE", 1, "found by their UIDs"),
    ],
)
def test_each_fault_of_a_file_has_its_code_line_and_reason(
    old: str, new: str, code: str, line: int, words: str, folder: Path
) -> None:
    """A fault is one problem, on its line, with a reason or a way out that fits."""
    assert old in IMAGES
    with pytest.raises(Refused) as refused:
        library.load_any(_written(folder, IMAGES.replace(old, new, 1)))
    here = re.compile(rf"1\.0\.0\.yaml, line {line}")
    (problem,) = [each for each in refused.value.problems if here.fullmatch(each.place)]
    assert problem.code == code
    assert words in str(problem)


PHOTOGRAPHS = """\
kind: imaging
id: t.images
version: 1.0.0
status: draft
title: Photographs
format: png
example: image
geometry: {dimensions: 2}
label: {kind: class, fields: [grade]}
table: {id: t.rows, version: 1.0.0, grain: series, path: series}
patientKey: patient
"""
TAGS = "tags: {required: [KVP]}"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("", "", None),
        ("format: png", "format: nifti", None),
        ("png\nexample: image\ngeometry: {dimensions: 2}", "nifti\nexample: image\ngeometry: {dimensions: 3}", None),
        ("format: png", "format: dicom", "images in DICOM have a protocol"),
        ("geometry:", "protocol: {modalities: [XC]}\ngeometry:", "no others have"),
        ("example: image", "example: series", "only DICOM has series"),
        ("fields: [grade]", "fields: [grade], empty: allowed", "only masks may be empty"),
        ("dimensions: 2", "dimensions: 3", "PNG and JPEG have 2 dimensions"),
        ("patientKey: patient", f"patientKey: patient\n{TAGS}", "only DICOM has tags"),
        ("patientKey: patient\n", "", "only DICOM has a PatientID"),
        ("grain: series, path: series", "grain: series, keys: {series: series}", "named by a table"),
        ("grain: series, path: series", "grain: series, path: series, keys: {series: series}", "one of the two"),
        ("grain: series, path: series", "grain: series", "one of the two"),
        ("{kind: class, fields: [grade]}", "{kind: mask, format: dicom-seg, classes: {'1': x}}", "refer to DICOM images"),
        ("{kind: class, fields: [grade]}", "{kind: mask, format: png, classes: {'1': x}}", "the field that names the file"),
        ("{kind: class, fields: [grade]}", "{kind: mask, format: png, path: mask}", "have a format and classes"),
        ("{kind: class, fields: [grade]}", "{kind: mask, format: png, path: mask, classes: {'0': x}}", "classes"),
        ("{kind: class, fields: [grade]}", "{kind: mask, format: png, path: mask, classes: {'1': x, '2': x}}", "one name"),
        ("fields: [grade]", "fields: [grade], classes: {'1': x}", "nothing else has"),
        ("class, fields: [grade]", "multi_label, fields: [event, event]", "stands twice"),
        ("class, fields: [grade]", "survival, fields: [days]", "survival two"),
        ("class, fields: [grade]", "multi_label, fields: []", "multi_label some"),
    ],
)
def test_parts_that_exclude_each_other(old: str, new: str, words: str | None, folder: Path) -> None:
    """Formats, examples, labels and tables fit, or the reason is given; nothing of DICOM is asked of what is none."""
    assert old in PHOTOGRAPHS
    file = _written(folder, PHOTOGRAPHS.replace(old, new, 1))
    if words is None:
        assert library.load_imaging(file).protocol is None
        return
    with pytest.raises(Refused) as refused:
        library.load_imaging(file)
    assert set(refused.value.codes) == {"Y-VALUE"}
    assert words in str(refused.value)


def test_labels_and_keys_of_a_table_need_the_table(folder: Path) -> None:
    """Both are fields of it."""
    without = IMAGES[: IMAGES.index("table:")]
    for text, words in ((without, "need the table"), (f"{without}patientKey: patient\n", "is a field of the table")):
        with pytest.raises(Refused, match=words):
            library.load_imaging(_written(folder, text))


@pytest.mark.parametrize(
    "label",
    [
        "{kind: multi_label, fields: [event]}",
        "{kind: regression, fields: [mass]}",
        "{kind: survival, fields: [days, event]}",
        "{kind: mask, format: dicom-seg, classes: {'1': lesion}}",
        "{kind: mask, format: nifti, path: mask, classes: {'1': liver, '2': lesion}}",
    ],
)
def test_every_kind_of_label_can_be_in_order(label: str, folder: Path) -> None:
    """Numbers, times with events, labels, and masks that the table names or that name their images."""
    assert library.load_imaging(_written(folder, IMAGES.replace("{kind: class, fields: [grade]}", label))).label.kind in label


def test_all_faults_come_at_once(folder: Path) -> None:
    """Words of DICOM, ranges, the table and its fields are one refusal."""
    text = (
        IMAGES.replace("KVP", "Kvp").replace("low: 0.4", "low: 0").replace("[grade]", "[grad]").replace(": patient", ": nobody")
    )
    with pytest.raises(Refused) as refused:
        library.load_imaging(_written(folder, text))
    assert sorted(refused.value.codes) == ["S-DICOM", "S-FIELD", "S-FIELD", "S-RANGE"]


def test_a_table_that_is_not_in_order_is_said_in_its_own_file(folder: Path) -> None:
    """Whoever reads it looks there."""
    (folder / "tables" / "t.rows" / "1.0.0.yaml").write_text(TABLE.replace("unit: kg", "unit: kgs"), encoding="utf-8")
    with pytest.raises(Refused, match=r"S-UNIT t\.rows/1\.0\.0\.yaml, line 19"):
        library.load_imaging(_written(folder))


def test_the_table_is_looked_for_on_the_schema_path_too(folder: Path, tmp_path: Path) -> None:
    """A file that lies elsewhere finds it there, and nowhere else."""
    alone = tmp_path / "alone.yaml"
    alone.write_text(IMAGES, encoding="utf-8")
    with pytest.raises(Refused, match="S-UNKNOWN"):
        library.load_imaging(alone)
    assert library.load_imaging(alone, [folder]).id == "t.images"


# ------------------------------------------------------------------------------------------------------- both kinds


def test_who_wants_a_table_gets_none_of_images_and_the_reverse(folder: Path) -> None:
    """By name and by file, with one code and the way out; listings of tables hold tables alone."""
    file, table = _written(folder), folder / "tables" / "t.rows" / "1.0.0.yaml"
    for wanted in ("t.images", str(file)):
        with pytest.raises(Refused, match=r"S-KIND.*A contract of a table is wanted here") as refused:
            library.find(wanted, [folder])
        assert "schema list" in refused.value.problems[0].next_step
    for wanted in ("t.rows", str(table)):
        with pytest.raises(Refused, match=r"S-KIND.*A contract of images is wanted here"):
            library.find_imaging(wanted, [folder])
    assert {listing.kind for listing in library.available([folder])} == {"table"}
    assert {listing.kind for listing in library.available([folder], "imaging")} == {"imaging"}
    assert {listing.kind for listing in library.available_any([folder])} == {"table", "imaging"}


def test_an_id_is_of_one_kind(folder: Path) -> None:
    """What one name means cannot depend on who asks."""
    (folder / "tables" / "t.rows").rename(folder / "tables" / "t.images")
    _written(folder)
    for find in (library.find, library.find_imaging, library.find_any):
        with pytest.raises(Refused, match=r"S-KIND t\.images"):
            find("t.images", [folder])


def test_a_misspelt_name_gets_the_nearest_of_its_kind() -> None:
    """Names of tables are no help to whoever wants images."""
    with pytest.raises(Refused) as refused:
        library.find_imaging("ct.lesions")
    assert (refused.value.codes, refused.value.problems[0].next_step) == (("S-UNKNOWN",), "did you mean 'ct.lesion'?")


def test_a_contract_that_comes_as_a_value_is_held_to_the_same_rules() -> None:
    """A study bundle cannot bring in what a file could not, nor another table."""
    images, table = library.find_imaging("mr.series"), library.find("mr.sequences")
    library.check_imaging(images, table, "bundle")
    library.check_imaging(library.find_imaging("ct.lesion"), None, "bundle")
    wrong = images.model_copy(update={"patient_key": "series_uid"})
    for contract, other, code in (
        (wrong, table, "S-FIELD"),
        (images, None, "S-VERSION"),
        (images, library.find("heart.disease"), "S-VERSION"),
    ):
        with pytest.raises(Refused) as refused:
            library.check_imaging(contract, other, "bundle")
        assert refused.value.codes == (code,)
        assert refused.value.problems[0].place.startswith("bundle")


# ---------------------------------------------------------------------------------------------------------- published


def test_what_is_shipped() -> None:
    """Of each kind of label that studies begin with."""
    lesions = ["ct.lesion@1.0.0", "ct.lesion@1.1.0"]
    assert ["chest.radiograph@1.0.0", *lesions, "dermoscopy.lesion@1.0.0", "mr.series@1.0.0"] == NAMES
    labels = {library.find_imaging(name).label.kind for name in NAMES}
    assert labels == {"class", "multi_label", "mask"}


def test_masks_without_anything_are_no_examples_unless_the_contract_says_so() -> None:
    """The key is young: where it holds its default it stands nowhere, and what was published keeps its hash."""
    old, new = library.find_imaging("ct.lesion@1.0.0"), library.find_imaging("ct.lesion@1.1.0")
    assert (old.label.empty, new.label.empty) == ("refused", "allowed")
    assert "empty" not in old.model_dump()["label"]
    assert '"empty":"allowed"' in new.model_dump_json(by_alias=True)
    for label in (old.label, new.label):
        assert type(label).model_validate_json(label.model_dump_json()) == label


@pytest.mark.parametrize("name", NAMES)
def test_the_registry_holds_what_is_shipped(name: str) -> None:
    """Every shipped contract of images is registered with its hash, cites its sources, and keeps its table contract."""
    contract = library.find_imaging(name)
    book = library.registry(library.shipped())
    assert book is not None
    assert book.contracts[contract.id][contract.version].contract_hash == contract.contract_hash()
    assert contract.sources
    assert contract.table is None or library.find(f"{contract.table.id}@{contract.table.version}").status == "active"


@pytest.mark.parametrize(("old", "new"), [("low: 16,", "low: 15,"), ("status: active", "status: deprecated"), ("[KVP]", "[]")])
def test_a_published_contract_of_images_that_changed_is_refused(old: str, new: str, tmp_path: Path) -> None:
    """Any change of a registered file is S-HASH until it is a new version."""
    shutil.copytree(SHIPPED, tmp_path / "schemas")
    file = tmp_path / "schemas" / "imaging" / "ct.lesion" / "1.0.0.yaml"
    text = file.read_text(encoding="utf-8").replace("[SliceThickness, KVP]", "[KVP]")
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(Refused) as refused:
        library.find_imaging("ct.lesion@1.0.0", [tmp_path / "schemas"])
    assert refused.value.codes == ("S-HASH",)


def test_the_hash_holds_every_value(folder: Path) -> None:
    """Comments and layout of the file do not count, nor a default that is written out; every value does."""
    plain = library.load_imaging(_written(folder)).contract_hash()
    same = f"# a comment\n{IMAGES}".replace("{low: 12, high: 16}", "{high: 16, low: 12}") + "minimum_examples: 1\n"
    assert library.load_imaging(_written(folder, same)).contract_hash() == plain
    hashes = {plain}
    for old, new in CHANGES:
        assert old in IMAGES
        hashes.add(library.load_imaging(_written(folder, IMAGES.replace(old, new, 1))).contract_hash())
    assert len(hashes) == 1 + len(CHANGES)


CHANGES = (
    ("title: Images", "title: Pictures"),
    ("title: Images", "title: Images\ndescription: Of people"),
    ("title: Images", "title: Images\nminimum_examples: 2"),
    ("title: Images", "title: Images\nprivacy: {burned_in: warn}"),
    ("image_types: [ORIGINAL]", "image_types: []"),
    ("image_types: [ORIGINAL]", "image_types: [ORIGINAL]\n  contrast: with"),
    ("high: 512", "high: 513"),
    ("high: 1.2", "high: 1.3"),
    ("high: 8000", "high: 8001"),
    ("unit: HU", "unit: stored"),
    ("[KVP]", "[]"),
    ("[OverlayData]", "[]"),
    ("class, fields: [grade]", "multi_label, fields: [event]"),
    ("keys: {series: series}", "keys: {series: series, patient: patient}"),
    ("patientKey: patient", "patientKey: PatientID"),
)
"""Another value each."""


# ----------------------------------------------------------------------------------------------------- the dictionary


def test_the_dictionary_is_that_of_an_independent_library() -> None:
    """Every element and identifier, with its representation, as pydicom has them in the edition that both say."""
    pydicom = pytest.importorskip("pydicom", reason="the imaging extra is not installed")
    from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary
    from pydicom._uid_dict import UID_dictionary
    from pydicom._version import __dicom_version__

    if __dicom_version__ != dicom_dictionary.EDITION:
        pytest.skip(f"this pydicom has the edition {__dicom_version__}")
    assert pydicom.__version__
    known = {row[4]: (f"{tag:08X}", row[0]) for tag, row in DicomDictionary.items() if row[4] and tag >= 0x00020000}
    known |= {row[4]: (tag, row[0]) for tag, row in RepeatersDictionary.items() if row[4]}
    held = dicom_dictionary.elements()
    assert {name: (each.tag, each.representation.replace("/", " or ")) for name, each in held.items()} == known
    for kind, name in ((dicom_dictionary.CLASS, "SOP Class"), (dicom_dictionary.SYNTAX, "Transfer Syntax")):
        assert dicom_dictionary.names(kind) == {uid: row[0] for uid, row in UID_dictionary.items() if row[1] == name}


def test_both_files_say_their_edition() -> None:
    """Data without an edition is hearsay."""
    for name in ("elements.txt", "uids.txt"):
        head = (SHIPPED / "dicom" / name).read_text(encoding="utf-8").splitlines()[0]
        assert f"PS3.6 {dicom_dictionary.EDITION}" in head


def test_well_known_elements_are_there() -> None:
    """Also without the other library."""
    assert dicom_dictionary.elements()["SliceThickness"].written == "(0018,0050)"
    assert dicom_dictionary.elements()["OverlayData"].written == "(60xx,3000)"
    assert dicom_dictionary.elements()["PixelData"].representation == "OB/OW"
    assert dicom_dictionary.names(dicom_dictionary.CLASS)["1.2.840.10008.5.1.4.1.1.2"] == "CT Image Storage"


def test_identifiers_in_shipped_contracts_have_the_names_beside_them() -> None:
    """A comment that names another class misleads whoever reads the file."""
    found = 0
    for listing in library.available(kind="imaging"):
        text = Path(str(listing.file)).read_text(encoding="utf-8")
        for uid, name in re.findall(r"([0-9.]{20,})\]? +# (.+)", text):
            assert dicom_dictionary.names(dicom_dictionary.CLASS)[uid] == name
            found += 1
        assert load(Path(str(listing.file))).data
    assert found == 5
