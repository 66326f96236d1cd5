"""A model as a bundle of MONAI gives what the release gives, by MONAI's own command, and nothing is written that does not."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
import torch
from models_on_paper import CASES, made_model
from monai.data import MetaTensor
from PIL import Image

from silo_node.configuration import Site, load_site
from silo_node.imaging import files as own_files
from silo_node.imaging.transforms import prepare
from wardround.errors import Refused
from wardround.models.build import read_weights
from wardround.study import transforms
from wardround.study.images import Images
from wardround.study.shape import Shape
from wardround.weights.packing import to_safetensors
from wardround_lab.demo.departments import HOSPITALS, write_hospital
from wardround_lab.monai_bundle import config, export
from wardround_lab.monai_bundle.config import inert
from wardround_lab.monai_bundle.export import write_bundle
from wardround_lab.monai_bundle.held import parts_of_bundle
from wardround_lab.monai_bundle.metadata import metadata
from wardround_lab.monai_bundle.wardround_bundle.dicom import RefuseMisread
from wardround_lab.monai_bundle.wardround_bundle.files import listed
from wardround_lab.monai_bundle.wardround_bundle.masks import Save
from wardround_lab.monai_bundle.wardround_bundle.pictures import upright
from wardround_lab.phantoms.volume import Grid
from wardround_lab.predict import Model, chances
from wardround_lab.predict_images import ask, draw, label_map

ON_IMAGES = [case for case in CASES if case[2].dimensions]
CARD = b"# Model card\n"


def fitted(case: tuple[str, dict[str, Any], Any], preparation: tuple[dict[str, Any], ...] = (), form: str = "dicom") -> Model:
    """Give a model whose study and schema fit its shape."""
    name, arguments, shape = case
    model = made_model(name, arguments, shape)
    steps = preparation or (
        *([{"name": "Orientation"}, {"name": "Spacing", "pixdim": (2.0, 2.0, 2.0)}] if shape.dimensions == 3 else []),
        {"name": "ScaleIntensityRange", "a_min": -60.0, "a_max": 180.0},
        {"name": "SpatialPad" if shape.dense else "Resize", "spatial_size": shape.window},
    )
    images = Images.model_validate({"channels": shape.inputs, "preparation": steps, "window": shape.window})
    plane = shape.dimensions == 2
    geometry = model.imaging.geometry.model_copy(update={"dimensions": shape.dimensions})
    imaging = model.imaging.model_copy(
        update={"geometry": geometry, "example": "image" if plane or form != "dicom" else "series", "format": form}
    )
    return replace(model, study=model.study.model_copy(update={"images": images}), imaging=imaging)


def written(model: Model, out: Path) -> Path:
    write_bundle(model, to_safetensors(*read_weights(model.network)), CARD, out)
    return out


def run(bundle: Path, images: Path, out: Path, *words: str) -> None:
    """Run MONAI's own command on a folder, from the bundle's."""
    command = [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run", "--config_file", "configs/inference.json"]
    done = subprocess.run(
        [*command, "--dataset_dir", str(images), "--output_dir", str(out), *words],
        cwd=bundle,
        env={**os.environ, "PYTHONPATH": "", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("case", ON_IMAGES, ids=[case[0] for case in ON_IMAGES])
def test_every_network_is_written(case, tmp_path: Path) -> None:
    """What is written was held against the release; MONAI's words say what goes in and what comes out."""
    model = fitted(case)
    bundle = written(model, tmp_path / "bundle")
    said = json.loads((bundle / "configs" / "metadata.json").read_text())
    assert {"version", "changelog", "monai_version", "pytorch_version", "numpy_version", "required_packages_version"} <= set(said)
    assert {"task", "description", "authors", "copyright", "network_data_format"} <= set(said)
    (taken,), (given,) = (said["network_data_format"][side].values() for side in ("inputs", "outputs"))
    assert (1, taken["num_channels"], *taken["spatial_shape"]) == model.shape.taken(1)
    assert (1, given["num_channels"], *given["spatial_shape"]) == model.shape.given(1)
    assert not list(bundle.rglob("*.pt")) + list(bundle.rglob("*.pyc")) + list(bundle.rglob("*.ts"))
    assert (bundle / "docs" / "MODEL_CARD.md").read_bytes() == CARD
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    assert "wardround_bundle" not in sys.modules


@pytest.mark.parametrize("channels", [1, 3])
def test_masks_of_plane_images_are_the_same(channels: int, tmp_path: Path) -> None:
    """Resampled, cut and filled up; what is drawn lies on the picture's own pixels."""
    name, arguments, _ = next(case for case in ON_IMAGES if case[0] == "UNet")
    shape = Shape(dimensions=2, inputs=channels, outputs=3, window=(32, 16), dense=True)
    steps = (
        {"name": "Spacing", "pixdim": (0.7, 1.3)},
        {"name": "ScaleIntensity"},
        {"name": "ResizeWithPadOrCrop", "spatial_size": (40, 16)},
    )
    model = fitted((name, arguments, shape), steps)
    target = model.study.target.model_copy(update={"mask": ("lesion", "scar")})
    written(replace(model, study=model.study.model_copy(update={"target": target})), tmp_path / "bundle")


PREPARATIONS = {
    "percentiles": [
        {"name": "CropForeground", "threshold": 10.0, "margin": 1},
        {"name": "ScaleIntensityRangePercentiles", "lower": 2.0, "upper": 98.0, "channel_wise": True},
    ],
    "own moments": [{"name": "NormalizeIntensity", "nonzero": True}, {"name": "CenterSpatialCrop", "roi_size": (40, 30)}],
    "own moments by channel": [{"name": "NormalizeIntensity", "channel_wise": True}],
    "given moments": [{"name": "NormalizeIntensity", "mean": (120.0,), "deviation": (40.0,)}, {"name": "ScaleIntensity"}],
    "one number": [
        {"name": "ScaleIntensityRangePercentiles", "lower": 1.0, "upper": 99.0},
        {"name": "ResizeWithPadOrCrop", "spatial_size": (50, 80), "value": 0.5},
    ],
}


@pytest.mark.parametrize("steps", PREPARATIONS.values(), ids=PREPARATIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_transform_is_the_same(steps, channels: int, tmp_path: Path) -> None:
    """Grey and in colours, images of one intensity among them."""
    name, arguments, shape = next(case for case in ON_IMAGES if case[0] == "DenseNet121")
    shape = shape.model_copy(update={"inputs": channels, "window": (32, 32)})
    last = {"name": "Resize", "spatial_size": (32, 32), "mode": "bilinear"}
    written(fitted((name, arguments, shape), (*steps, last)), tmp_path / "bundle")


def test_every_transform_of_the_list_can_be_written() -> None:
    listed = {each for each in vars(transforms).values() if isinstance(each, type) and issubclass(each, transforms.Transform)}
    assert set(config._STEPS) == listed - {transforms.Transform}


def test_a_classifier_by_monais_command(tmp_path: Path) -> None:
    """Photographs in colour and grey, one turned by EXIF, in a folder below: the probabilities are those of the release."""
    name, arguments, shape = next(case for case in ON_IMAGES if case[0] == "DenseNet121")
    shape = shape.model_copy(update={"inputs": 3, "window": (32, 32)})
    steps = ({"name": "Resize", "spatial_size": (32, 32)}, {"name": "NormalizeIntensity", "channel_wise": True})
    model = fitted((name, arguments, shape), steps, "png")
    images, random = tmp_path / "images", np.random.default_rng(2)
    (images / "below").mkdir(parents=True)
    Image.fromarray(random.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(images / "a.b.png")
    Image.fromarray(random.integers(0, 256, (33, 29), dtype=np.uint8)).save(images / "grey.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(random.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(images / "below" / "turned.png", exif=turned)
    run(written(model, tmp_path / "bundle"), images, tmp_path / "out")
    with (tmp_path / "out" / "predictions.csv").open() as file:
        found = {row["file"]: float(row["probability"]) for row in csv.DictReader(file)}
    assert set(found) == {"a.b.png", "grey.png", "below/turned.png"}
    for file, probability in found.items():
        loaded = own_files.load(images, file, "png")
        prepared = prepare(model.study.images, 2, loaded.array, loaded.affine, None)
        with torch.no_grad():
            (expected,) = chances(model.network(prepared.image[None]))
        assert probability == pytest.approx(expected, abs=1e-5)


def test_a_segmenter_by_monais_command(tmp_path: Path) -> None:
    """Volumes of NIfTI, one oblique and larger than the window: masks lie on the image, and probabilities are the release's."""
    model = fitted(next(case for case in ON_IMAGES if case[0] == "UNet"), form="nifti")
    images, random = tmp_path / "images", np.random.default_rng(3)
    images.mkdir()
    oblique = np.array([[0, 0, 3.0, 5], [1.44, 0.56, 0, -7], [0.42, -1.92, 0, 11], [0, 0, 0, 1]])
    for file, size, affine in (
        ("small.nii.gz", (12, 14, 9), np.diag([-2.0, -2.0, 2.5, 1])),
        ("oblique.nii", (30, 20, 11), oblique),
    ):
        nibabel.Nifti1Image(random.normal(60, 90, size).astype(np.float32), affine).to_filename(images / file)
    run(written(model, tmp_path / "bundle"), images, tmp_path / "out", "--save_probabilities", "true")
    for file in images.iterdir():
        loaded = own_files.load(images, file.name, "nifti")
        prepared = prepare(model.study.images, 3, loaded.array, loaded.affine, None)
        expected = draw(model, prepared)
        stem = file.name.partition(".")[0]
        chance = nibabel.load(tmp_path / "out" / f"{stem}_probabilities.nii.gz")
        np.testing.assert_allclose(np.moveaxis(np.asarray(chance.dataobj), -1, 0), expected, atol=1e-5)
        mask = nibabel.load(tmp_path / "out" / f"{stem}_seg.nii.gz")
        drawn = label_map(expected, prepared, (loaded.array, loaded.affine, None))
        assert mask.get_data_dtype() == np.uint8
        np.testing.assert_allclose(mask.affine, loaded.affine, atol=1e-5)
        assert np.mean(np.asarray(mask.dataobj) != drawn) < 1e-3
        assert 0 < drawn.mean() < 1


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> tuple[Site, Path]:
    """A small department of phantoms, with a series that lacks a slice; and a folder with a folder for each of its series."""
    folder, single = tmp_path_factory.mktemp("department"), tmp_path_factory.mktemp("series")
    hospital = HOSPITALS[2]
    scanner = replace(hospital.department.scanner, grid=Grid(48, 1.65, 14, 2.5, 3.0), downwards=True)
    site = write_hospital(
        folder, replace(hospital, department=replace(hospital.department, series=3, healthy=0, scanner=scanner))
    )
    for file in sorted(folder.rglob("*.dcm")):
        header = pydicom.dcmread(file, stop_before_pixels=True)
        if header.Modality == "SEG":
            file.unlink()
            continue
        place = single / header.SeriesInstanceUID
        place.mkdir(exist_ok=True)
        shutil.copy(file, place)
    return load_site(site), single


def test_a_series_is_read_as_hospitals_read_it(series, tmp_path: Path) -> None:
    """MONAI's reader and our own assembly give the network the same; what our check sets aside for a gap is refused."""
    site, folder = series
    model = fitted(next(case for case in ON_IMAGES if case[0] == "UNet"))
    fits = {pydicom.dcmread(each.files[0], stop_before_pixels=True).SeriesInstanceUID: each for each in ask(model, site).fit}
    with parts_of_bundle(written(model, tmp_path / "bundle"), {"dataset_dir": str(folder)}) as part:
        samples = part("datalist")
        assert len(samples) == len(fits) + 1
        assert all(each["name"] == each["file"] == Path(each["image"]).name for each in samples)
        for sample in samples:
            if sample["file"] not in fits:
                with pytest.raises(RuntimeError) as error:
                    part("preprocessing")(sample)
                assert "are missing" in str(error.value.__cause__)
                continue
            array, affine, _ = fits[sample["file"]].read()
            expected, found = prepare(model.study.images, 3, array, affine, None), part("preprocessing")(sample)["image"]
            np.testing.assert_allclose(found.numpy(), expected.image.numpy(), atol=1e-5)
            np.testing.assert_allclose(found.affine.numpy(), expected.affine, atol=1e-4)


def changed(folder: Path, out: Path, what: str) -> Path:
    """Copy a series with a fault."""
    shutil.copytree(folder, out)
    files = sorted(out.iterdir())
    for place, file in enumerate(files):
        data = pydicom.dcmread(file)
        if what == "more than one series" and place == 2:
            data.SeriesInstanceUID = "1.2.3"
        elif what == "MONOCHROME1":
            data.PhotometricInterpretation = what
        elif what == "without number, place" and place == 2:
            del data.ImagePositionPatient
        elif what == "not in the order":
            data.InstanceNumber = (int(data.InstanceNumber) * 5) % 17 + 1
        elif what == "other sizes" and place == 2:
            data.PixelSpacing = [1, 1]
        elif what == "several frames" and place == 2:
            data.NumberOfFrames = 3
        elif what == "tilted":
            data.ImagePositionPatient[1] += 0.4 * int(data.InstanceNumber)
        data.save_as(file)
    return out


FAULTS = (
    "more than one series",
    "MONOCHROME1",
    "without number, place",
    "not in the order",
    "other sizes",
    "several frames",
    "tilted",
)


@pytest.mark.parametrize("what", FAULTS)
def test_what_monai_would_misread_is_refused(series, tmp_path: Path, what: str) -> None:
    site, folder = series
    guard = RefuseMisread(step_tolerance=0.01, spaced=True)
    model = fitted(next(case for case in ON_IMAGES if case[0] == "UNet"))
    whole = pydicom.dcmread(ask(model, site).fit[0].files[0], stop_before_pixels=True).SeriesInstanceUID
    sample = {"image": str(folder / whole), "file": "a", "name": "a"}
    assert guard(sample) == sample
    with pytest.raises(ValueError, match=what):
        guard({**sample, "image": str(changed(folder / whole, tmp_path / "copy", what))})


def test_a_single_image_without_a_spacing_is_refused_where_it_is_read(series, tmp_path: Path) -> None:
    _, folder = series
    file = next(folder.rglob("*.dcm"))
    data = pydicom.dcmread(file)
    del data.PixelSpacing
    data.save_as(tmp_path / "image.dcm")
    for spaced, refused in ((True, True), (False, False)):
        guard = RefuseMisread(step_tolerance=0.01, spaced=spaced)
        with pytest.raises(ValueError, match="no spacing") if refused else nullcontext():
            guard({"image": str(tmp_path / "image.dcm"), "file": "image.dcm"})


def test_images_are_listed(tmp_path: Path) -> None:
    """What begins with a dot is none, endings are cut from names, and two images of one name are refused."""
    with pytest.raises(ValueError, match="no images"):
        listed(str(tmp_path), [".nii", ".nii.gz"], series=False)
    for name in ("b.nii", "a/b.nii.gz", ".hidden.nii", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = listed(str(tmp_path), [".nii", ".nii.gz"], series=False)
    assert [(each["file"], each["name"]) for each in found] == [("a/b.nii.gz", "a/b"), ("b.nii", "b")]
    (tmp_path / "b.nii.gz").touch()
    with pytest.raises(ValueError, match="two images"):
        listed(str(tmp_path), [".nii", ".nii.gz"], series=False)


def test_masks_of_pictures_are_pictures(tmp_path: Path) -> None:
    """A mask in a PNG file has the picture's columns and rows, and a class's number at each."""
    drawn = MetaTensor(torch.arange(12, dtype=torch.int32).reshape(1, 4, 3))
    Save("mask", str(tmp_path / "out"), "_seg.png")({"name": "a/b", "mask": drawn})
    with Image.open(tmp_path / "out" / "a" / "b_seg.png") as image:
        assert image.size == (4, 3)
        np.testing.assert_array_equal(np.asarray(image).T, drawn[0].numpy())


@pytest.mark.parametrize("mode", ["RGBA", "CMYK", "LA"])
def test_pictures_that_hospitals_refuse_are_refused(mode: str) -> None:
    with pytest.raises(ValueError, match="not transparent"):
        upright(Image.new(mode, (4, 3)))


def test_another_figure_is_refused(tmp_path: Path) -> None:
    """Weights of another network, or another preparation: nothing is left, there or beside."""
    case = next(case for case in ON_IMAGES if case[0] == "UNet")
    model, other = fitted(case), made_model(*case, seed=2)
    with pytest.raises(Refused) as error:
        write_bundle(model, to_safetensors(*read_weights(other.network)), CARD, tmp_path / "bundle")
    assert error.value.codes == ("E-EXPORT",)
    assert not list(tmp_path.iterdir())


def test_another_preparation_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = fitted(next(case for case in ON_IMAGES if case[0] == "UNet"))
    steps = model.study.images.preparation
    other = model.study.images.model_copy(update={"preparation": tuple(each for each in steps if each.name != "Spacing")})
    changed = replace(model, study=model.study.model_copy(update={"images": other}))
    inference = config.inference
    monkeypatch.setattr(export, "inference", lambda _: inference(changed))
    with pytest.raises(Refused, match=r"E-EXPORT.*other intensities"):
        written(model, tmp_path / "bundle")
    assert not list(tmp_path.iterdir())


def test_a_model_of_a_table_is_refused(tmp_path: Path) -> None:
    model = made_model(*next(case for case in CASES if not case[2].dimensions))
    with pytest.raises(Refused, match=r"E-EXPORT.*of a table"):
        written(model, tmp_path / "bundle")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_there_stays(tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    out.mkdir()
    with pytest.raises(Refused, match="O-EXISTS"):
        written(fitted(ON_IMAGES[0]), out)
    assert not list(out.iterdir())


def test_no_word_of_a_study_is_run(tmp_path: Path) -> None:
    """MONAI runs what begins with a dollar, wherever it stands, and follows references and macros: a study's words are inert."""
    model = fitted(next(case for case in ON_IMAGES if case[0] == "UNet"))
    texts = {"title": "$import antigravity", "question": "%configs/inference.json#run", "author": "@run, so @#### and %::x"}
    bundle = written(replace(model, study=model.study.model_copy(update=texts)), tmp_path / "bundle")
    read = json.loads((bundle / "configs" / "metadata.json").read_text())
    with parts_of_bundle(bundle) as part:
        assert part("inferer") is not None
        for name in ("name", "task", "authors"):
            assert part(f"_meta_#{name}").replace("::", "#") == read[name].replace("::", "#")
    assert read["name"] == "'$import antigravity'"
    assert "antigravity" not in sys.modules
    assert inert("$f(x)") == "'$f(x)'"
    assert inert("probability_$f(x)") == "probability_$f(x)"


def test_ranges_follow_the_preparation() -> None:
    """What is said of the network's input is what the last change of intensities leaves."""
    case = next(case for case in ON_IMAGES if case[0] == "DenseNet121")
    for last, expected in (
        ({"name": "ScaleIntensity", "minv": -1.0, "maxv": 1.0}, [-1.0, 1.0]),
        ({"name": "NormalizeIntensity"}, []),
        ({"name": "ScaleIntensityRange", "a_min": 0.0, "a_max": 9.0, "clip": False}, []),
    ):
        model = fitted(case, (last, {"name": "Resize", "spatial_size": (64, 64)}))
        assert metadata(model)["network_data_format"]["inputs"]["image"]["value_range"] == expected
