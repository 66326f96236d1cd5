"""Made-up images obey their contract, whatever it says, and are the same everywhere."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import yaml
from hospitals_on_disk import Command
from PIL import Image

from silo_node.imaging.synthetic import make_images
from wardround.contract.imaging import ImagingContract
from wardround.contract.library import available, find_imaging, table_or_implied
from wardround.contract.model import Contract
from wardround.errors import Refused

SHIPPED = sorted({listing.name for listing in available(kind="imaging")})
SMALL = {"rows": {"low": 16, "high": 48}, "columns": {"low": 16, "high": 40}}
VOLUME = {**SMALL, "dimensions": 3, "slices": {"low": 4, "high": 6}, "plane": "coronal", "slice_thickness": {"low": 5, "high": 7}}
PLANE = {**SMALL, "dimensions": 2}


def contract(**changes: object) -> ImagingContract:
    """Give a small contract of segmented CT; changes are its top-level keys."""
    made = {
        "kind": "imaging",
        "id": "test.made",
        "version": "1.0.0",
        "status": "draft",
        "title": "Made up",
        "format": "dicom",
        "example": "series",
        "protocol": {"modalities": ["CT"]},
        "geometry": VOLUME,
        "intensity": {"unit": "HU", "possible": {"low": -1024, "high": 3071}},
        "label": {"kind": "mask", "format": "dicom-seg", "classes": {"1": "node", "4": "vessel"}},
        **changes,
    }
    return ImagingContract.model_validate_json(json.dumps(made))


def judged(wardround: Command, folder: Path, schema: ImagingContract, count: int = 6) -> Any:
    """Make a hospital of a contract, by the command, and have its check look at every pixel."""
    name = f"{schema.id}-{schema.version}"
    place = folder / "schemas" / "imaging" / schema.id
    place.mkdir(parents=True)
    (place / f"{schema.version}.yaml").write_text(
        yaml.safe_dump(schema.model_dump(mode="json", by_alias=True, exclude_unset=True))
    )
    known = ("--schema-path", folder / "schemas")
    return checked(wardround, folder, f"{schema.id}@{schema.version}", name.replace(".", "-"), count, *known)


def checked(wardround: Command, folder: Path, schema: str, name: str, count: int, *words: object) -> Any:
    hospital = folder / name
    answer = wardround("schema", "synthesise", schema, "-n", count, "--site", hospital.name, *words)
    assert answer.status == 0, answer.err
    (hospital / "policy.yaml").write_text("small_cell: 1\n")
    found = wardround(
        "silo", "check", "--site", hospital / "site.yaml", "--schema", schema, "--pixels", "--format", "json", *words
    )
    assert found.status == 0, (found.err, found.out)
    return found.json()


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command makes its folder where it is called."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", [name for name in SHIPPED if name != "ct.lesion@1.0.0"])
def test_images_of_every_shipped_schema_are_in_order(tmp_path: Path, wardround: Command, name: str) -> None:
    """All examples are found, decoded and fit, each with its row where there is a table."""
    count = max(12, find_imaging(name).minimum_examples)
    report = checked(wardround, tmp_path, name, "made-up", count)
    fit(report, count)


def fit(report: Any, count: int) -> None:
    """Say that all of so many examples are fit, and every pixel was looked at."""
    assert {each["code"] for each in report["findings"]} <= {"D-MASKPHI"}
    assert (report["examples"]["found"], report["examples"]["fit"], report["passed"]) == (count, count, True)
    assert report["decoded"]["images"] == report["decoded"]["of"] >= count


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"protocol": {"modalities": ["CT"], "transfer_syntaxes": ["1.2.840.10008.1.2"]}},
        {"protocol": {"modalities": ["CT"], "transfer_syntaxes": ["1.2.840.10008.1.2.5"]}},
        {"protocol": {"modalities": ["CT"], "transfer_syntaxes": ["1.2.840.10008.1.2.4.90"], "photometric": ["MONOCHROME1"]}},
        {"protocol": {"modalities": ["CT"], "image_types": ["DERIVED", "SECONDARY", "MPR"], "no_image_types": ["ORIGINAL"]}},
        {"protocol": {"modalities": ["MR"], "bits_stored": {"low": 14, "high": 16}}, "intensity": {"unit": "stored"}},
        {
            "geometry": {
                **VOLUME,
                "plane": "sagittal",
                "pixel_spacing": {"low": 0.3, "high": 0.31},
                "slice_step": {"low": 7, "high": 9},
            }
        },
        {"tags": {"required": ["KVP", "EchoTime", "ConvolutionKernel"], "forbidden": ["AcquisitionNumber"]}},
        {"geometry": PLANE, "example": "image", "label": {"kind": "mask", "format": "dicom-seg", "classes": {"2": "node"}}},
        {
            "geometry": PLANE,
            "example": "image",
            "intensity": {"unit": "stored"},
            "protocol": {"modalities": ["US"], "photometric": ["RGB"]},
        },
    ],
)
def test_whatever_the_contract_says_is_obeyed(tmp_path: Path, wardround: Command, changes: dict[str, object]) -> None:
    """Syntaxes, photometric interpretations, kinds of images, bits, planes, spacings, tags, plane images, colours; with masks."""
    fit(judged(wardround, tmp_path, contract(**changes)), 6)


@pytest.mark.parametrize(("form", "mask"), [("png", "png"), ("nifti", "nifti")])
def test_masks_of_files_that_are_no_dicom(tmp_path: Path, form: str, mask: str) -> None:
    """They lie where the table says, of the image's size, with the numbers of the classes."""
    ending = {"png": "png", "nifti": "nii.gz"}[form]
    table = table_of(ending)
    link = {"id": table.id, "version": table.version, "grain": "image", "path": "image"}
    label = {"kind": "mask", "format": mask, "classes": {"1": "node", "4": "vessel"}, "path": "mask"}
    changed = {"format": form, "example": "image", "protocol": None, "intensity": {"unit": "stored"}, "patientKey": "patient"}
    flat = contract(**changed, geometry=PLANE, table=link, label=label)
    made = make_images(tmp_path / "images", flat, table, 3, 1)
    assert made.records is not None
    assert (made.examples, made.files, made.pseudonym) == (3, 6, None)
    for record in made.records:
        sizes = []
        for name in ("image", "mask"):
            path = tmp_path / "images" / str(record[name])
            array = np.asarray(Image.open(path)) if form == "png" else np.asarray(nibabel.load(path).dataobj)  # type: ignore[attr-defined]
            sizes.append(array.shape[:2])
        assert sizes[0] == sizes[1]
        assert set(np.unique(array)) == {0, 1, 4}


def table_of(ending: str) -> Contract:
    """Give a table that names a file and a mask for each row."""
    path = {"required": True, "unique": True, "pattern": f"^[a-z]{{8}}[.]{ending.replace('.', '[.]')}$"}
    fields = [
        {"name": "image", "type": "string", "constraints": path, "privacy": "pseudonym"},
        {"name": "mask", "type": "string", "constraints": path, "privacy": "pseudonym"},
        {
            "name": "patient",
            "type": "string",
            "constraints": {"required": True, "pattern": "^[a-z]{12}$"},
            "privacy": "pseudonym",
        },
    ]
    return Contract.model_validate_json(
        json.dumps(
            {
                "kind": "table",
                "id": "test.manifest",
                "version": "1.0.0",
                "status": "draft",
                "title": "A manifest",
                "row_grain": "one row per image",
                "primaryKey": ["image"],
                "patientKey": "patient",
                "fields": fields,
            }
        )
    )


def digests(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.rglob("*.*"))}


def test_the_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    """And another seed others; nothing of the day or the machine is in them."""
    schema = contract()
    table = table_or_implied(schema)
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        make_images(tmp_path / name, schema, table, 3, seed)
    one, same, other = (digests(tmp_path / name) for name in ("one", "same", "other"))
    assert one == same
    assert not set(one) & set(other)


def test_the_label_shows_in_the_image(tmp_path: Path) -> None:
    """The spot is brighter the later the label's value stands among those of its field: there is something to learn."""
    schema = find_imaging("dermoscopy.lesion")
    made = make_images(tmp_path, schema, table_or_implied(schema), 30, 3)
    assert made.records is not None
    brightest: dict[str, list[float]] = {"no": [], "yes": []}
    for record in made.records:
        pixels = np.asarray(Image.open(tmp_path / str(record["path"])).convert("L"))
        brightest[str(record["malignant"])].append(float(np.percentile(pixels, 99.5)))
    assert len(brightest["no"]) > 3 < len(brightest["yes"])
    assert max(brightest["no"]) < min(brightest["yes"])


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"protocol": {"modalities": ["CT"], "transfer_syntaxes": ["1.2.840.10008.1.2.4.50"]}}, "transfer_syntaxes"),
        ({"protocol": {"modalities": ["US"], "photometric": ["YBR_FULL"]}, "intensity": {"unit": "stored"}}, "photometric"),
        ({"tags": {"required": ["OperatorsName"]}}, "tags.required"),
    ],
)
def test_what_cannot_be_made_up_is_said(tmp_path: Path, changes: dict[str, object], place: str) -> None:
    """By S-SYNTH, where it stands in the contract."""
    schema = contract(**changes)
    with pytest.raises(Refused) as refused:
        make_images(tmp_path / "images", schema, table_or_implied(schema), 2, 0)
    (problem,) = refused.value.problems
    assert (problem.code, place in problem.place) == ("S-SYNTH", True)


def test_what_the_command_does_not_take(tmp_path: Path, wardround: Command) -> None:
    """Everything at once; a folder that is there stays as it is, and a mistake leaves none."""
    answer = wardround("schema", "synthesise", "ct.lesion", "--parquet", "--force", "--dirty", "T-RANGE")
    assert answer.status == 2
    assert all(word in answer.err for word in ("--site was not given", "--parquet", "--force", "--dirty"))
    (tmp_path / "there").mkdir()
    taken = wardround("schema", "synthesise", "ct.lesion", "--site", "there")
    assert (taken.status, "O-EXISTS" in taken.err) == (2, True)
    few = wardround("schema", "synthesise", "ct.lesion", "-n", 2, "--site", "few")
    assert few.status == 2, "fewer than the schema asks of a hospital"
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_the_answer_for_programs(wardround: Command) -> None:
    """What was made, of which schema, and where it lies."""
    found: Any = wardround("schema", "synthesise", "dermoscopy.lesion", "-n", 20, "--site", "made", "--format", "json").json()
    assert found["synthetic"] is True
    assert (found["examples"], found["image_files"]) == (20, 20)
    assert all(Path(each).exists() for each in found["files"])
    assert len(found["files"]) == 3
