"""A released model on a hospital's own images: what it drew comes back to where it was seen, and stays there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click.testing
import numpy as np
import polars as pl
import pydicom
import pytest
import torch
from models_on_paper import DENSE, made_model
from PIL import Image

from silo_node.configuration import Site, load_site
from silo_node.imaging.transforms import prepare
from silo_node.validation.check import CheckFailed
from wardround.contract.library import find, find_imaging
from wardround.errors import Refused
from wardround.study.images import Images
from wardround.study.model import Cohort, Target
from wardround_lab import predict_command, predict_images
from wardround_lab.demo.departments import HOSPITALS, write_hospital
from wardround_lab.phantoms.volume import Grid
from wardround_lab.predict import Model
from wardround_lab.predict_images import ask, draw_segmentations, label_map

PREPARATIONS = {
    "turned and resampled": (
        {"name": "Orientation", "axcodes": "RAS"},
        {"name": "Spacing", "pixdim": (2.0, 2.0, 2.0)},
        {"name": "SpatialPad", "spatial_size": (32, 32, 16)},
    ),
    "turned the other way and filled up": (
        {"name": "Orientation", "axcodes": "SPL"},
        {"name": "ResizeWithPadOrCrop", "spatial_size": (20, 50, 46)},
    ),
    "stretched": (
        {"name": "Orientation", "axcodes": "RAS"},
        {"name": "Resize", "spatial_size": (64, 56, 24), "mode": "bilinear"},
    ),
    "the body alone": (
        {"name": "Orientation", "axcodes": "LPS"},
        {"name": "CropForeground", "threshold": -500.0, "margin": 2},
        {"name": "Spacing", "pixdim": (1.5, 1.5, 2.0)},
    ),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A small department whose slices are turned and whose export has a series with a missing slice; without any truth."""
    folder = tmp_path_factory.mktemp("department")
    hospital = HOSPITALS[2]
    coarse = Grid(48, 1.65, 14, 2.5, 3.0)
    department = replace(hospital.department, series=3, healthy=0, scanner=replace(hospital.department.scanner, grid=coarse))
    path = write_hospital(folder, replace(hospital, department=department))
    for file in folder.rglob("*.dcm"):
        if pydicom.dcmread(file, stop_before_pixels=True).Modality == "SEG":
            file.rename(folder / f"truth-{file.name}")
    return load_site(path)


@pytest.fixture
def model() -> Model:
    return made_model("UNet", {"channels": (4, 8), "strides": (2,), "num_res_units": 1}, DENSE)


@pytest.mark.parametrize("preparation", PREPARATIONS.values(), ids=PREPARATIONS)
def test_what_is_perfect_stays_so_on_the_images_own_grid(preparation, site: Site, model: Model) -> None:
    """The truth, prepared as the study says and taken for a prediction, comes back over the truth."""
    images = Images.model_validate({"preparation": preparation, "window": (32, 32, 16)})
    array, affine, _ = ask(model, site).fit[0].read()
    middle = np.array(array.shape)[:, None, None, None] / np.array([2.2, 1.8, 2.0])[:, None, None, None]
    away = (np.indices(array.shape) - middle) * np.array([1.65, 1.65, 2.5])[:, None, None, None]
    truth = (np.linalg.norm(away / np.array([14.0, 11.0, 9.0])[:, None, None, None], axis=0) < 1).astype(np.uint8)
    assert truth.sum() > 500
    prepared = prepare(images, 3, array, affine, truth)
    perfect = torch.nn.functional.one_hot(prepared.mask.long(), 2).movedim(-1, 0).float().numpy()
    back = label_map(perfect, prepared, (array, affine, None))
    assert back.shape == array.shape
    assert 2 * (back & truth).sum() / (back.sum() + truth.sum()) > 0.95


@pytest.mark.parametrize("order", ["first", "last"])
def test_a_plane_image_is_one_slice(order: str) -> None:
    """Of an image without a place in space, stretched to another size; outside of what was prepared is background."""
    images = Images.model_validate(
        {
            "preparation": ({"name": "CenterSpatialCrop", "roi_size": (20, 14)}, {"name": "Resize", "spatial_size": (32, 32)})[
                :: 1 if order == "first" else -1
            ],
            "window": (32, 32),
        }
    )
    truth = np.zeros((30, 22), np.uint8)
    truth[9:17, 7:13] = 1
    prepared = prepare(images, 2, truth.astype(np.float32), np.eye(4), truth)
    perfect = torch.nn.functional.one_hot(prepared.mask.long(), 2).movedim(-1, 0).float().numpy()
    back = label_map(perfect, prepared, (truth.astype(np.float32), np.eye(4), None))
    assert back.shape == (30, 22, 1)
    if order == "first":
        assert 2 * (back[..., 0] & truth).sum() / (back.sum() + truth.sum()) > 0.95
    everywhere = np.zeros_like(perfect)
    everywhere[1] = 1
    cropped = label_map(everywhere, prepared, (truth.astype(np.float32), np.eye(4), None))
    assert cropped.any()
    assert not cropped[0, 0, 0]


def bright(model: Model) -> Model:
    """The model with a network that draws what is bright."""

    class Bright(torch.nn.Module):
        def forward(self, images):
            return torch.cat([0.75 - images, images - 0.75], dim=1)

    return replace(model, network=Bright().eval())


def test_segmentations_refer_to_the_images_they_lie_on(site: Site, model: Model, tmp_path: Path) -> None:
    """One of each fit series, read back by the reader of masks; the folder and all in it are for their owner only."""
    before = sorted(path for path in site.folder.rglob("*.dcm"))
    drawn = draw_segmentations(bright(model), site, tmp_path / "out")
    assert sorted(path for path in site.folder.rglob("*.dcm")) == before
    assert (drawn.written, drawn.check.quarantined, dict(drawn.check.quarantined_by_code)) == (2, 1, {"D-GAP": 1})
    index = pl.read_csv(tmp_path / "out" / "index.csv", schema_overrides={"series": pl.String})
    assert index.columns == ["series", "file"]
    asked = ask(model, site)
    for series, file in index.rows():
        found = pydicom.dcmread(tmp_path / "out" / file)
        assert found.ReferencedSeriesSequence[0].SeriesInstanceUID == series
        assert [each.SegmentLabel for each in found.SegmentSequence] == ["lesion"]
        algorithm = found.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0]
        assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == (model.study.name, str(model.study.version))
        fit = asked.set.keyed.fit[series]
        array = fit.read()[0]
        drawn_there = np.zeros(array.shape, bool)
        places = {each.sop_instance: place for place, each in enumerate(fit.stack.slices)}
        for frame, pixels in zip(found.PerFrameFunctionalGroupsSequence, found.pixel_array, strict=True):
            (source,) = frame.DerivationImageSequence[0].SourceImageSequence
            drawn_there[..., places[source.ReferencedSOPInstanceUID]] = pixels.T.astype(bool)
        inside = array[drawn_there]
        assert np.median(inside) > 100, "what is bright in the image is what was drawn"
        assert (array[~drawn_there] > 180).mean() < 0.05
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "out").iterdir()} == {0o600}
    with pytest.raises(Refused) as error:
        draw_segmentations(bright(model), site, tmp_path / "out")
    assert error.value.codes == ("O-EXISTS",)


def test_what_cannot_be_used_is_counted_by_code(site: Site, model: Model, tmp_path: Path, monkeypatch) -> None:
    """An image that goes away between the check and the prediction is left out; where all do, nothing is written."""
    real = predict_images.prepare
    calls = []

    def fails_once(*words):
        calls.append(words)
        if len(calls) == 1:
            raise OSError
        return real(*words)

    monkeypatch.setattr(predict_images, "prepare", fails_once)
    drawn = draw_segmentations(bright(model), site, tmp_path / "one")
    assert (drawn.written, dict(drawn.left_out)) == (1, {"D-DECODE": 1})

    def fails(*words):
        raise predict_images.UnpreparableError("too large")

    monkeypatch.setattr(predict_images, "prepare", fails)
    with pytest.raises(CheckFailed):
        draw_segmentations(bright(model), site, tmp_path / "none")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one"]


def command(monkeypatch: pytest.MonkeyPatch, model: Model) -> Callable[..., str]:
    """Give the command, for which a release holds this model."""
    monkeypatch.setattr("wardround_lab.predict.load_model", lambda _: model)

    def run(*words: str) -> str:
        done = click.testing.CliRunner().invoke(predict_command.predict, words, catch_exceptions=False)
        assert done.exit_code == 0
        return done.output

    return run


def test_the_command_tells_what_was_left_out(site: Site, model: Model, tmp_path: Path, monkeypatch) -> None:
    told = bright(model)
    told = replace(told, study=told.study.model_copy(update={"cohort": Cohort(where="age >= 18")}))
    said = command(monkeypatch, told)("release", "--site", str(site.path), "--out", str(tmp_path / "masks"))
    assert "2 segmentations, which voxels are lesion." in said
    assert "1 images were left out" in said
    assert "D-GAP 1" in said
    assert "cohort was not asked; training counted only records where: age >= 18" in said


@pytest.mark.parametrize("classes", [(), ("mild", "severe")])
def test_a_classifier_gives_a_table(classes, site: Site, model: Model, tmp_path: Path, monkeypatch) -> None:
    """One line for each fit series, keyed by the schema's key, a column for each class; no truth is needed anywhere."""

    class Mean(torch.nn.Module):
        def forward(self, images):
            mean = images.flatten(1).mean(1, keepdim=True)
            return torch.cat([mean, -mean], dim=1) if classes else mean

    target = model.study.target.model_copy(update={"mask": (), "field": "kind", "positive": None if classes else "odd"})
    study = model.study.model_copy(update={"target": target})
    encoding = model.encoding.model_copy(update={"classes": classes})
    told = replace(model, study=study, encoding=encoding, network=Mean())
    out = tmp_path / "scores.csv"
    command(monkeypatch, told)("release", "--site", str(site.path), "--out", str(out))
    table = pl.read_csv(out, schema_overrides={"series": pl.String})
    names = ["probability_mild", "probability_severe"] if classes else ["probability"]
    assert table.columns == ["series", *names]
    assert table.height == 2
    asked = ask(told, site)
    for series, *found in table.rows():
        array, affine, _ = asked.set.keyed.fit[series].read()
        mean = float(prepare(study.images, 3, array, affine, None).image.mean())
        expected = 1 / (1 + np.exp(-2 * mean if classes else -mean))
        assert found[0] == pytest.approx(expected, abs=1e-5)
        assert not classes or sum(found) == pytest.approx(1)
    assert out.stat().st_mode & 0o777 == 0o600


SITE = """\
site: north
name: North General
sources:
  list: {format: csv, path: list.csv}
  photos: {format: images, path: photos}
schemas:
  dermoscopy.images:
    source: list
    columns: {image_id: {column: image}, path: {column: file}, patient_key: {column: patient}}
  dermoscopy.lesion: {source: photos}
"""


def test_files_that_a_table_names_need_no_target(model: Model, tmp_path: Path) -> None:
    """Photographs in the order of the table, by its key; the site file does not map what is predicted, and one has no file."""
    (tmp_path / "photos").mkdir()
    lines = ["image,file,patient"]
    for number in range(3):
        colours = np.zeros((64, 80, 3), np.uint8)
        colours[..., 0] = 60 * (number + 1)
        if number != 1:
            Image.fromarray(colours).save(tmp_path / "photos" / f"{number}.jpg", quality=100)
        lines.append(f"i{number},{number}.jpg,{number:016x}")
    (tmp_path / "list.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "site.yaml").write_text(SITE)

    class Red(torch.nn.Module):
        def forward(self, images):
            return images[:, :1].mean((2, 3)) / 100

    imaging = find_imaging("dermoscopy.lesion")
    images = Images.model_validate(
        {"channels": 3, "preparation": ({"name": "Resize", "spatial_size": (32, 32)},), "window": (32, 32)}
    )
    target = Target(field="malignant", positive="yes")
    study = model.study.model_copy(update={"target": target, "images": images})
    told = replace(model, study=study, contract=find("dermoscopy.images"), imaging=imaging, network=Red())
    found, left = predict_images.predict_images(told, load_site(tmp_path / "site.yaml"))
    assert found.table.columns == ["image_id", "probability"]
    assert found.table["image_id"].to_list() == ["i0", "i2"]
    np.testing.assert_allclose(found.table["probability"], 1 / (1 + np.exp([-0.6, -1.8])), atol=0.01)
    assert (dict(found.check.quarantined_by_code), dict(left)) == ({"D-NOFILE": 1}, {})
    masked = replace(told, study=model.study)
    with pytest.raises(Refused) as error:
        draw_segmentations(masked, load_site(tmp_path / "site.yaml"), tmp_path / "out")
    assert error.value.codes == ("X-USAGE",)
    assert not (tmp_path / "out").exists()


def test_without_a_fit_image_nothing_is_written(site: Site, model: Model, tmp_path: Path) -> None:
    shutil.copy(site.path, tmp_path / "site.yaml")
    shutil.copy(site.folder / "policy.yaml", tmp_path / "policy.yaml")
    (tmp_path / "scans").mkdir()
    with pytest.raises(CheckFailed) as error:
        draw_segmentations(bright(model), load_site(tmp_path / "site.yaml"), tmp_path / "out")
    assert "T-FEW" in {each.code for each in error.value.result.findings}
    assert not (tmp_path / "out").exists()
