"""``wardround schema`` on contracts of images: listed, shown, checked, compared, copied and written out like those of tables."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from wardround.contract import imaging, library
from wardround.contract.compatibility import Grade
from wardround.contract.exports.dictionary import image_dictionary
from wardround.contract.exports.json_schema import editor_schema
from wardround.contract.imaging import ImagingContract
from wardround.contract.imaging_compatibility import compare_images
from wardround.contract.imaging_words import demands
from wardround.strict_yaml import load

SHIPPED = Path(str(library.shipped()))
NAMES = [listing.name for listing in library.available(kind="imaging")]
CT = library.find_imaging("ct.lesion")
CHEST = library.find_imaging("chest.radiograph")
LESION = library.find_imaging("dermoscopy.lesion")


# ------------------------------------------------------------------------------------------------------- list and show


def test_list_names_both_kinds(wardround: Callable[..., Any]) -> None:
    """The kind stands beside each; only tables have fields."""
    found = {each["id"]: each for each in wardround("schema", "list", "--format", "json").json()["schemas"]}
    assert {each["kind"] for each in found.values()} == {"table", "imaging"}
    assert found["ct.lesion"]["contract_hash"] == CT.contract_hash()
    assert "fields" not in found["ct.lesion"]
    assert found["heart.disease"]["fields"] == 16
    assert "imaging" in wardround("schema", "list").out


@pytest.mark.parametrize("name", NAMES)
def test_show_says_what_an_image_must_be_and_what_is_found_if_it_is_not(name: str, wardround: Callable[..., Any]) -> None:
    """Every demand with its codes, the table, the hash; the whole contract for programs."""
    contract = library.find_imaging(name)
    shown = wardround("schema", "show", name)
    assert shown.status == 0
    words = set(re.findall(r"\S+", shown.out))
    for demand in demands(contract):
        assert set(demand.what.split()) <= words
        assert {code for code in demand.codes if f"{code}," not in words} <= words
    assert contract.contract_hash() in shown.out
    assert contract.table is None or f"{contract.table.id} {contract.table.version}" in shown.out
    found = wardround("schema", "show", name, "--format", "json").json()["contract"]
    assert ImagingContract.model_validate_json(json.dumps(found)) == contract


def _asked(contract: ImagingContract) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {demand.what: (demand.wanted, demand.codes) for demand in demands(contract)}


def test_the_words_say_what_the_contract_says() -> None:
    """Numbers with their units, names instead of identifiers, and the codes of what speaks against an image."""
    asked = _asked(CT)
    assert asked["modality"] == ("CT", ("D-MODALITY",))
    assert asked["kind of object"] == ("CT Image Storage", ("D-SOPCLASS",))
    assert asked["pixel spacing"] == ("0.4 to 1.2 mm", ("D-SPACING",))
    assert asked["steps"] == ("equal, to 2 % of their median", ("D-GAP", "D-UNEVEN"))
    assert asked["SliceThickness (0018,0050)"] == ("has a value", ("D-NOTAG",))
    assert asked["patient"][1] == ("D-PATIENT",)
    assert "1 lesion" in asked["mask"][0]
    assert {"D-MASK", "D-MASKS", "D-MASKFIT", "D-MASKOVER"} <= set(asked["mask"][1])
    chest = _asked(CHEST)
    assert chest["view"] == ("PA or AP", ("D-VIEW",))
    assert "atelectasis" in chest["label"][0]
    assert chest["label"][0].endswith("; a study predicts all, some, or one of them")
    for kind, fields in (("regression", ["age"]), ("survival", ["age", "oedema"])):
        number = _changed(CHEST, {"label": {"kind": kind, "fields": fields}})
        assert _asked(number)["label"][0].endswith("; no study predicts it yet") is (kind == "survival")
    assert chest["table"][0] == "a row of chest.findings 1.0.0 for its image, by image_uid"
    assert "stack" not in chest
    assert asked["drawn in it"] == ("something, or nothing, which says that nothing was found", ("D-MASKEMPTY",))
    strict = library.find_imaging("ct.lesion@1.0.0")
    assert _asked(strict)["drawn in it"] == ("something", ("D-MASKEMPTY",))
    for contract, otherwise in ((CT, "a warning, where it is nothing"), (strict, "set aside")):
        assert {each.otherwise for each in demands(contract) if each.what == "drawn in it"} == {otherwise}
    photographs = _asked(LESION)
    assert photographs["lowest and highest value"] == ("0 to 255", ("D-INTENSITY",))
    assert photographs["dimensions"] == ("2", ("D-FORMAT",))
    assert photographs["label"][0] == "a class, one of several: malignant"
    assert photographs["table"][0].endswith("by path")


def test_every_setting_is_in_words() -> None:
    """What can be asked for is said: no setting of a contract is silent."""
    data = json.loads(CT.model_dump_json(by_alias=True))
    data["protocol"] |= {
        "contrast": "with",
        "views": ["PA"],
        "body_parts": ["CHEST"],
        "transfer_syntaxes": ["1.2.840.10008.1.2.1"],
    }
    data["tags"]["forbidden"] = ["OverlayData"]
    asked = _asked(ImagingContract.model_validate_json(json.dumps(data)))
    assert asked["contrast agent"] == ("given, and not left open by elements that are empty", ("D-CONTRAST",))
    assert asked["body part"][1] == ("D-BODYPART",)
    assert asked["transfer syntax"][0].startswith("Explicit VR Little Endian;")
    assert asked["OverlayData (60xx,3000)"][0] == "has no value"
    data["privacy"] = {"declared": False, "burned_in": "warn"}
    loose = _asked(ImagingContract.model_validate_json(json.dumps(data)))
    assert set(asked) - set(loose) == {"de-identification"}


# --------------------------------------------------------------------------------------------------------------- check


def test_check_of_a_file_and_of_a_folder(wardround: Callable[..., Any], tmp_path: Path) -> None:
    """The hash that the registry needs; a folder is checked over both kinds."""
    file = SHIPPED / "imaging" / "mr.series" / "1.0.0.yaml"
    checked = wardround("schema", "check", file)
    assert (checked.status, "is in order: images in DICOM" in checked.out) == (0, True)
    assert library.find_imaging("mr.series").contract_hash() in checked.out
    shutil.copytree(SHIPPED, tmp_path / "schemas")
    found = wardround("schema", "check", tmp_path / "schemas", "--format", "json").json()
    assert len(found["schemas"]) == len(library.available_any())
    assert {each["kind"] for each in found["schemas"]} == {"table", "imaging"}


def test_a_folder_of_images_alone_is_a_schema_folder(wardround: Callable[..., Any], tmp_path: Path) -> None:
    """Their tables may be installed."""
    (tmp_path / "imaging" / "x.series").mkdir(parents=True)
    text = (SHIPPED / "imaging" / "mr.series" / "1.0.0.yaml").read_text(encoding="utf-8").replace("id: mr.series", "id: x.series")
    (tmp_path / "imaging" / "x.series" / "1.0.0.yaml").write_text(text, encoding="utf-8")
    checked = wardround("schema", "check", tmp_path)
    assert (checked.status, "x.series 1.0.0 (active)" in checked.out) == (0, True)


def test_check_of_a_folder_finds_what_is_wrong_with_images(wardround: Callable[..., Any], tmp_path: Path) -> None:
    """A changed file, a misplaced one, a version that went away, an id of both kinds, examples of images; all at once."""
    shutil.copytree(SHIPPED, tmp_path / "schemas")
    images = tmp_path / "schemas" / "imaging"
    file = images / "ct.lesion" / "1.0.0.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("low: 16,", "low: 15,"), encoding="utf-8")
    (images / "ct.lesion" / "notes.txt").write_text("x", encoding="utf-8")
    (images / "mr.series" / "1.0.0.yaml").unlink()
    (images / "heart.disease").mkdir()
    shutil.copy(file, images / "heart.disease" / "9.0.0.yaml")
    (tmp_path / "schemas" / "examples" / "ct.lesion" / "1.0.0").mkdir(parents=True)
    problems = wardround("schema", "check", tmp_path / "schemas", "--format", "json").json()["problems"]
    found = {(each["code"], each["place"]) for each in problems}
    assert ("S-HASH", "ct.lesion/1.0.0.yaml") in found
    assert ("S-VERSION", "imaging/ct.lesion/notes.txt") in found
    assert ("S-HASH", "mr.series@1.0.0") in found
    assert ("S-KIND", "heart.disease") in found
    assert ("S-EXAMPLE", "examples/ct.lesion/1.0.0") in found


def test_check_compares_with_the_version_before(wardround: Callable[..., Any], tmp_path: Path) -> None:
    """A number that is too small for what changed is refused; one that fits is not."""
    folder = tmp_path / "imaging" / "ct.lesion"
    folder.mkdir(parents=True)
    text = (SHIPPED / "imaging" / "ct.lesion" / "1.1.0.yaml").read_text(encoding="utf-8").replace("[CT]", "[CT]\n  views: [AP]")
    for version, status, code in (("1.2.0", 2, "S-COMPAT"), ("2.0.0", 0, "since 1.1.0")):
        file = folder / f"{version}.yaml"
        file.write_text(text.replace("version: 1.1.0", f"version: {version}"), encoding="utf-8")
        checked = wardround("schema", "check", file)
        assert (checked.status, code in checked.out + checked.err) == (status, True)
        file.unlink()


# ---------------------------------------------------------------------------------------------------------------- diff

CLASSES = [
    (CT, {"title": "x"}, "patch"),
    (CT, {"description": "x"}, "patch"),
    (CT, {"status": "deprecated"}, "patch"),
    (CT, {"sources": []}, "patch"),
    (CT, {"minimum_examples": 9}, "minor"),
    (CT, {"minimum_examples": 11}, "major"),
    (CT, {"protocol.modalities": ["CT", "PT"]}, "major"),
    (CT, {"protocol.sop_classes": []}, "major"),
    (CT, {"protocol.image_types": ["ORIGINAL"]}, "major"),
    (CT, {"protocol.no_image_types": ["LOCALIZER", "SECONDARY"]}, "major"),
    (CT, {"protocol.photometric": ["MONOCHROME1", "MONOCHROME2"]}, "major"),
    (CT, {"protocol.contrast": "with"}, "major"),
    (CT, {"protocol.views": ["AP"]}, "major"),
    (CHEST, {"protocol.views": ["AP", "PA"]}, "patch"),
    (CHEST, {"protocol.body_parts": ["CHEST", "THORAX"]}, "minor"),
    (CHEST, {"protocol.body_parts": []}, "minor"),
    (CT, {"protocol.body_parts": ["CHEST"]}, "major"),
    (CT, {"protocol.transfer_syntaxes": ["1.2.840.10008.1.2.1"]}, "major"),
    (CT, {"protocol.bits_stored": {"low": 8, "high": 16}}, "minor"),
    (CT, {"protocol.bits_stored": {"low": 12, "high": 12}}, "major"),
    (CT, {"protocol.bits_stored": None}, "minor"),
    (CT, {"geometry.plane": "any"}, "major"),
    (CT, {"geometry.pixel_spacing": {"low": 0.3, "high": 1.2}}, "minor"),
    (CT, {"geometry.pixel_spacing": {"low": 0.5, "high": 1.2}}, "major"),
    (CHEST, {"geometry.pixel_spacing": None}, "minor"),
    (CT, {"geometry.step_tolerance": 0.01}, "major"),
    (CT, {"geometry.step_tolerance": 0.05}, "minor"),
    (CT, {"geometry.slice_thickness": {"low": 0.5, "high": 5}}, "major"),
    (CT, {"intensity.unit": "stored"}, "major"),
    (CT, {"intensity.possible": None}, "minor"),
    (CT, {"tags.required": ["KVP"]}, "minor"),
    (CT, {"tags.required": ["KVP", "SliceThickness", "ConvolutionKernel"]}, "major"),
    (CT, {"tags.required": ["KVP", "SliceThickness"]}, "patch"),
    (CT, {"tags.forbidden": ["OverlayData"]}, "major"),
    (CT, {"privacy.declared": False}, "minor"),
    (CT, {"privacy.burned_in": "warn"}, "minor"),
    (CT, {"label.classes": {"1": "tumour"}}, "major"),
    (CT, {"label.classes": {"1": "lesion", "2": "liver"}}, "major"),
    (CT, {"label.empty": "refused"}, "major"),
    (library.find_imaging("ct.lesion@1.0.0"), {"label.empty": "allowed"}, "minor"),
    (CHEST, {"label.fields": ["cardiomegaly", "atelectasis"]}, "major"),
    (CHEST, {"table.version": "1.0.1"}, "patch"),
    (CHEST, {"table.version": "1.2.0"}, "minor"),
    (CHEST, {"table.version": "2.0.0"}, "major"),
    (CHEST, {"table.version": "0.9.0"}, "major"),
    (CHEST, {"table.id": "chest.others"}, "major"),
    (CHEST, {"table.keys": {"image": "image_uid", "patient": "patient_key"}}, "major"),
    (CHEST, {"patientKey": "PatientID"}, "major"),
    (LESION, {"format": "png"}, "major"),
    (LESION, {"table.path": "image_id"}, "major"),
]


def _changed(contract: ImagingContract, changes: dict[str, Any]) -> ImagingContract:
    data = json.loads(contract.model_dump_json(by_alias=True))
    for dotted, value in changes.items():
        *parts, last = dotted.split(".")
        node = data
        for part in parts:
            node = node[part]
        node[last] = value
    return ImagingContract.model_validate_json(json.dumps(data))


@pytest.mark.parametrize(
    ("contract", "changes", "grade"), CLASSES, ids=[f"{next(iter(each[1]))}-{n}" for n, each in enumerate(CLASSES)]
)
def test_each_difference_has_its_class(contract: ImagingContract, changes: dict[str, Any], grade: str) -> None:
    """Another kind of image is major for a model; wider limits are minor, narrower ones major; words are patches."""
    comparison = compare_images(contract, _changed(contract, changes))
    assert [str(change.grade) for change in comparison.changes] == [grade] * len(comparison.changes) != []
    assert comparison.same_encoding is None
    back = compare_images(_changed(contract, changes), contract)
    if grade == "minor":
        assert back.grade in (Grade.MAJOR, Grade.MINOR)


def test_no_key_of_the_language_is_silent() -> None:
    """Each key of each part stands in some difference above, but for those whose values cannot differ alone."""
    tried = {next(iter(changes)).split(".")[-1] for _, changes, _ in CLASSES}
    fixed = {
        *("kind", "id", "version", "profile", "low", "high", "rows", "columns", "slices", "slice_step"),
        *("protocol", "geometry", "intensity", "tags", "privacy", "label", "table", "example", "dimensions", "grain"),
    }
    parts = [part for part in vars(imaging).values() if isinstance(part, type) and part.__module__ == imaging.__name__]
    keys = {field.alias or name for part in parts for name, field in part.model_fields.items()}
    assert keys - fixed - {"title", "description", "status"} <= tried


@pytest.mark.parametrize("key", ["rows", "columns", "slices", "slice_step"])
def test_every_range_is_compared(key: str) -> None:
    """Narrower is major, dropped is minor."""
    assert str(compare_images(CT, _changed(CT, {f"geometry.{key}": {"low": 5, "high": 5}})).grade) == "major"
    assert str(compare_images(CT, _changed(CT, {f"geometry.{key}": None})).grade) == "minor"


def test_another_table_or_none_is_a_major_change() -> None:
    """What an example is joined with is part of what it is."""
    linked = {"id": "chest.findings", "version": "1.0.0", "grain": "patient", "keys": {"patient": "patient_key"}}
    with_table = _changed(CT, {"table": linked})
    assert str(compare_images(CT, with_table).grade) == str(compare_images(with_table, CT).grade) == "major"
    coarser = {**linked, "grain": "study", "keys": {"study": "image_uid"}}
    assert {change.what.split()[0] for change in compare_images(with_table, _changed(CT, {"table": coarser})).changes} == {
        "grain",
        "keys",
    }


def test_diff_of_images_in_words_and_for_programs(wardround: Callable[..., Any], tmp_path: Path) -> None:
    """No encoding hash is spoken of; a table and images are never compared."""
    file = tmp_path / "1.1.0.yaml"
    text = (SHIPPED / "imaging" / "ct.lesion" / "1.0.0.yaml").read_text(encoding="utf-8")
    file.write_text(text.replace("version: 1.0.0", "version: 1.1.0").replace("high: 1.2", "high: 1.5"), encoding="utf-8")
    told = wardround("schema", "diff", "ct.lesion@1.0.0", file)
    assert told.status == 0
    assert "pixel_spacing.high from 1.2 to 1.5" in told.out
    assert "encoding" not in told.out
    found = wardround("schema", "diff", "ct.lesion@1.0.0", file, "--format", "json").json()
    assert (found["class"], found["encoding_hash_changed"], found["problems"]) == ("minor", None, [])
    refused = wardround("schema", "diff", "ct.lesion", "heart.disease", "--format", "json").json()["problems"]
    assert [each["code"] for each in refused] == ["X-USAGE"]


# ------------------------------------------------------------------------------------------------------- new and export


def test_a_next_version_begins_as_a_copy(wardround: Callable[..., Any], tmp_path: Path) -> None:
    """With its comments, as a draft, in order."""
    made = wardround("schema", "new", "ct.lesion", "--from", "ct.lesion", "--version", "1.2.0", "--folder", tmp_path / "imaging")
    assert made.status == 0
    file = tmp_path / "imaging" / "ct.lesion" / "1.2.0.yaml"
    assert library.load_imaging(file) == CT.model_copy(update={"version": "1.2.0", "status": "draft"})
    assert "# CT Image Storage" in file.read_text(encoding="utf-8")
    assert wardround("schema", "check", file).status == 0


def test_records_are_of_tables(wardround: Callable[..., Any], tmp_path: Path) -> None:
    """No schema of a record, no table schema and no file of made-up images: refused with the way out, nothing written."""
    for words in (("export", "ct.lesion", "--as", "json-schema"), ("export", "ct.lesion", "--as", "table-schema")):
        refused = wardround("schema", *words, "--output", tmp_path / "out", "--format", "json").json()["problems"]
        assert [each["code"] for each in refused] == ["S-KIND"]
    made = wardround("schema", "synthesise", "ct.lesion", "-n", "5", "--out", tmp_path / "out", "--format", "json")
    assert [each["code"] for each in made.json()["problems"]] == ["X-USAGE", "X-USAGE"], "no --site, and --out"
    assert not (tmp_path / "out").exists()


class _Page(HTMLParser):
    """The elements and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.words = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not {key for key, _ in attrs} & {"href", "src", "action"}
        self.elements.append(tag)

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.mark.parametrize("name", NAMES)
def test_the_page_says_all_and_loads_nothing(name: str, wardround: Callable[..., Any]) -> None:
    """Every demand, class, source and the hash; no script, no address."""
    contract = library.find_imaging(name)
    html = image_dictionary(contract)
    page = _Page(html)
    assert not {"script", "link", "img", "iframe", "object", "form", "a"} & set(page.elements)
    for demand in demands(contract):
        assert all(words in page.words for words in (demand.what, demand.wanted, demand.found))
    assert all(words in page.words for words in (*contract.label.classes.values(), *(each.title for each in contract.sources)))
    assert contract.contract_hash() in page.words
    assert wardround("schema", "export", name, "--as", "dictionary").out == html


def test_words_of_a_contract_are_text_on_the_page() -> None:
    """Nothing that a contract says can become an element."""
    hostile = _changed(CT, {"title": "<script>alert(1)</script>", "label.classes": {"1": "<img src=x>"}})
    assert not {"script", "img"} & set(_Page(image_dictionary(hostile)).elements)


def _keys(schema: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """Give the properties of a part, through references."""
    for branch in (part, *part.get("anyOf", ())):
        if "$ref" in branch:
            return dict(schema["$defs"][branch["$ref"].rsplit("/", 1)[1]]["properties"])
    return dict(part.get("properties", {}))


@pytest.mark.parametrize("name", NAMES)
def test_an_editor_knows_every_key_of_a_shipped_contract(name: str) -> None:
    """And what each part means; unknown keys are marked."""
    schema: dict[str, Any] = editor_schema("imaging")
    contract = library.find_imaging(name)
    data: Any = load(SHIPPED / "imaging" / contract.id / f"{contract.version}.yaml").data
    assert set(data) <= set(schema["properties"])
    for key, value in data.items():
        if isinstance(value, dict):
            assert set(value) <= set(_keys(schema, schema["properties"][key]))
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) <= set(data)


def test_the_schemas_for_editors_are_two(wardround: Callable[..., Any]) -> None:
    """One of each kind; parts and attributes are explained in plain words."""
    written = json.loads(wardround("schema", "editor-schema", "--kind", "imaging").out)
    assert written == editor_schema("imaging")
    assert json.loads(wardround("schema", "editor-schema").out) == editor_schema() == editor_schema("table")
    assert written["$id"] != editor_schema()["$id"]
    assert written["$defs"]["Geometry"]["properties"]["plane"]["description"].startswith("of slices")
    assert "``" not in json.dumps(written)
