"""``wardround silo check`` on images that a table names: the table, each file, and what no row names."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest
from PIL import Image

from silo_node.configuration import load_site
from silo_node.imaging.file_check import fit_files
from silo_node.imaging.file_judge import FileExample, Row, with_pixels
from silo_node.imaging.files import look
from wardround.console import run
from wardround.contract.imaging import Label
from wardround.contract.library import find_imaging

COLUMNS = ("image_id", "path", "patient_key", "malignant", "diagnosis", "confirmation", "age", "sex", "body_site")
SITE = """
site: west
name: West
sources:
  photographs: {format: images, path: photographs}
  manifest: {format: csv, path: manifest.csv}
schemas:
  dermoscopy.lesion: {source: photographs}
  dermoscopy.images:
    source: manifest
    columns: {COLUMNS}
""".replace("COLUMNS", ", ".join(f"{name}: {name}" for name in COLUMNS))


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
        return {each["code"]: each["count"] for each in self.json["findings"]}


@pytest.fixture
def clinic(tmp_path):
    """Twenty-four photographs of twelve patients, and the table that names them; give the folder."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    rows = []
    for number in range(24):
        pixels = np.random.default_rng(number).integers(0, 255, (64, 80, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"p{number}.jpg")
        is_malignant, diagnosis = ("yes", "melanoma") if number % 2 else ("no", "naevus")
        row = [
            f"i{number}",
            f"p{number}.jpg",
            f"{number // 2:016x}",
            is_malignant,
            diagnosis,
            "histopathology",
            50,
            "female",
            "trunk",
        ]
        rows.append(row)
    (tmp_path / "site.yaml").write_text(SITE)
    write(tmp_path, rows)
    return folder


def write(folder, rows):
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])


def rows_of(folder):
    with (folder / "manifest.csv").open(newline="") as file:
        return list(csv.reader(file))[1:]


@pytest.fixture
def check(tmp_path, capfd):
    def checked(*words, schema="dermoscopy.lesion"):
        capfd.readouterr()
        status = run(["silo", "check", "--site", str(tmp_path / "site.yaml"), "--schema", schema, *words])
        output = capfd.readouterr()
        return Answer(status, output.out, output.err)

    return checked


def test_in_order(check, clinic, tmp_path):
    """Every file and row is accounted for; one of each kind is decoded, or all."""
    (clinic / "notes.txt").write_text("no image")
    told = check()
    assert (told.status, told.err) == (0, "")
    assert "dermoscopy.lesion 1.0.0: in order. 24 images found, 0 set aside, 24 fit." in told.out
    assert "Pixels: 1 of 24 images" in told.out
    assert "Not looked at" not in told.out
    answer = check("--format", "json", "--pixels")
    assert answer.json["files"] == {"found": 25, "unnamed": 1, "skipped": 0}
    assert (answer.codes, answer.json["decoded"]) == ({"D-UNNAMED": 1}, {"images": 24, "of": 24})
    assert "notes.txt" in (tmp_path / "reports/check-dermoscopy.lesion-1.0.0.html").read_text()
    assert "notes.txt" not in answer.out


def test_a_folder_as_it_comes(check, clinic, tmp_path):
    """Each fault has its code, and takes its own row alone."""
    (clinic / "p0.jpg").unlink()
    (clinic / "p1.jpg").write_bytes(b"\x89PNG\r\n\x1a\n")
    (clinic / "p2.jpg").write_bytes((clinic / "p2.jpg").read_bytes()[:30])
    (clinic / "p3.jpg").write_bytes((clinic / "p5.jpg").read_bytes())
    (clinic / "p6.jpg").write_bytes((clinic / "p7.jpg").read_bytes())
    Image.new("RGB", (80, 40)).save(clinic / "p8.jpg")
    exif = Image.Exif()
    exif[0x013B] = "Jane Doe"
    Image.new("RGB", (80, 64)).save(clinic / "p9.jpg", exif=exif)
    (clinic / "p10.jpg").unlink()
    (clinic / "p10.jpg").symlink_to(tmp_path / "site.yaml")
    (clinic / "p12.jpg").write_bytes((clinic / "p12.jpg").read_bytes()[:900])
    rows = rows_of(tmp_path)
    rows[20][3] = "perhaps"
    write(tmp_path, rows)
    answer = check("--format", "json", "--pixels", "--max-fraction", "0.6")
    assert answer.codes == {
        "D-COPY": 2,  # of two patients: set aside; those of one are a warning, told by the same code
        "D-NOFILE": 1,
        "D-FORMAT": 1,
        "D-HEADER": 1,
        "D-SIZE": 1,
        "D-METADATA": 1,
        "D-PATHNAME": 1,
        "D-DECODE": 1,
        "D-ROW": 1,
        "D-UNNAMED": 1,  # of the row that is set aside
        "D-FEW": 14,
    }
    examples = answer.json["examples"]
    assert (examples["found"], examples["set_aside"], examples["fit"]) == (24, 10, 14)
    standings = {(each["code"], each["standing"]) for each in answer.json["findings"]}
    assert {("D-COPY", "sets examples aside"), ("D-COPY", "warning"), ("D-UNNAMED", "no fault")} <= standings
    assert "Doe" not in answer.out + (tmp_path / "reports/check-dermoscopy.lesion-1.0.0.html").read_text()


def test_a_table_that_is_not_in_order(check, clinic, tmp_path):
    """No images are fit by a table that cannot be read."""
    (tmp_path / "manifest.csv").write_text("image_id\ni1\n")
    answer = check("--format", "json")
    assert (answer.status, answer.codes["D-TABLE"], answer.json["examples"]["fit"]) == (1, 1, 0)


def test_the_files_that_training_uses(check, clinic, tmp_path):
    """By the path that names each: fit, or with its codes."""
    (clinic / "p0.jpg").unlink()
    contract = find_imaging("dermoscopy.lesion")
    rows = pl.DataFrame({"path": ["p1.jpg", "p0.jpg", "../site.yaml"], "patient_key": ["a", "b", "c"]})
    found = fit_files(load_site(tmp_path / "site.yaml"), contract, rows)
    assert {name: each.codes for name, each in found.items()} == {
        "p1.jpg": (),
        "p0.jpg": ("D-NOFILE",),
        "../site.yaml": ("D-PATHNAME",),
    }


def test_an_image_whose_mask_is_empty(tmp_path):
    """It is an example where the contract says so, and told; else it is set aside."""
    Image.new("L", (64, 64), 9).save(tmp_path / "image.png")
    for name, number in (("empty.png", 0), ("drawn.png", 1)):
        Image.new("L", (64, 64), number).save(tmp_path / name)
    rows = [Row("image.png", "a", mask) for mask in ("empty.png", "drawn.png", "gone.png")]
    told = {}
    for empty in ("refused", "allowed"):
        label = {"kind": "mask", "format": "png", "classes": {"1": "lesion"}, "path": "mask", "empty": empty}
        contract = find_imaging("dermoscopy.lesion").model_copy(update={"format": "png", "label": Label.model_validate(label)})
        examples = [FileExample(row, look(tmp_path, row.file, "png"), ()) for row in rows]
        told[empty] = [(each.codes, each.warnings) for each in with_pixels(examples, [], tmp_path, contract)]
    assert told == {
        "refused": [(("D-MASKEMPTY",), ()), ((), ()), (("D-MASKFILE",), ())],
        "allowed": [((), ("D-MASKEMPTY",)), ((), ()), (("D-MASKFILE",), ())],
    }


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (("format: images", "format: dicom"), "M-IMAGES", "a folder of DICOM"),
        (("source: photographs", "source: manifest, columns: {a: b}"), "M-IMAGES", "is a table"),
        (("  dermoscopy.lesion: {source: photographs}\n", ""), "M-SCHEMA", "no mapping"),
        (("path: photographs", "path: elsewhere"), "D-FOLDER", "no such folder"),
        (("path: photographs}", "path: photographs, pseudonym: a}"), "Y-KEY", "pseudonym"),
    ],
)
def test_a_site_file_that_does_not_fit(check, clinic, tmp_path, change, code, words):
    """One clear error, with a next step."""
    (tmp_path / "site.yaml").write_text(SITE.replace(*change))
    answer = check()
    assert (answer.status in (1, 2), answer.out) == (True, "")
    assert code in answer.err
    assert words in answer.err
    assert "Next:" in answer.err


def test_real_photographs(check, tmp_path, test_data):
    """All of the public images are fit."""
    folder = test_data / "images" / "isic_ham"
    (tmp_path / "site.yaml").write_text(SITE.replace("path: photographs", f"path: {folder}"))
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        labels = list(csv.DictReader(file))
    rows = [
        [row["image_id"], row["path"], f"{number:016x}", "yes" if row["malignant"] == "1" else "no", *[""] * 5]
        for number, row in enumerate(labels)
    ]
    write(tmp_path, rows)
    answer = check("--format", "json", schema="dermoscopy.lesion")
    examples = answer.json["examples"]
    assert (examples["found"], examples["fit"]) == (len(labels), len(labels) - answer.codes.get("D-ROW", 0))
