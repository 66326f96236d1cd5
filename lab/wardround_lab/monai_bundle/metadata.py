"""What a bundle says of itself: ``configs/metadata.json`` in MONAI's words, and the two pages beside it."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Final

from wardround.canonical import Json
from wardround.contract.imaging import ImagingContract
from wardround.study import transforms as fixed
from wardround_lab.monai_bundle.config import Entry, inert, parts_of
from wardround_lab.onnx_export import classes_of, in_classes, unit_of
from wardround_lab.onnx_export import metadata as study_of
from wardround_lab.predict import Model

SCHEMA: Final = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
"""Of ``metadata.json``; MONAI's ``verify_metadata`` fetches it."""
COMMAND: Final = {"fire": "0.7.1", "pytorch-ignite": "0.5.5"}
"""What MONAI's command needs beside MONAI, in the versions that were tried; writing a bundle does not need them."""
READERS: Final = {"dicom": "pydicom", "nifti": "nibabel", "png": "pillow", "jpeg": "pillow"}
CODECS: Final = ("pylibjpeg", "pylibjpeg-openjpeg", "pylibjpeg-rle", "pyjpegls")
CAVEAT: Final = "The result of a study, not a medical device."


def metadata(model: Model) -> Entry:
    """Give ``configs/metadata.json``; no word of the study is one that MONAI would follow or run."""
    found: Entry = _inert(_metadata(model))
    return found


def _inert(value: Any) -> Any:  # noqa: ANN401  (JSON)
    if isinstance(value, dict):
        return {key: _inert(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_inert(each) for each in value]
    return inert(value) if isinstance(value, str) else value


def _metadata(model: Model) -> Entry:
    study, (_, imaging) = model.study, parts_of(model)
    return {
        "schema": SCHEMA,
        "version": str(study.version),
        "changelog": {str(study.version): "exported from the release of the study"},
        "monai_version": _version("monai"),
        "pytorch_version": _version("torch"),
        "numpy_version": _version("numpy"),
        "required_packages_version": packages(imaging),
        "name": study.title,
        "task": study.question,
        "description": (
            f"{study.title} A {study.network.name} that says {study.target.words}. It was trained by a federated study: each "
            "hospital trained on its own images, which never left it, and changes of weights were added. "
            "docs/MODEL_CARD.md says who took part, and how good it is."
        ),
        "authors": study.author,
        "copyright": f"The author of the study ({study.author}) and the hospitals that took part; the release names no licence.",
        "data_source": "Images of hospitals, which are not part of this bundle.",
        "data_type": imaging.format,
        "intended_use": CAVEAT,
        "network_data_format": {"inputs": {"image": _input(model)}, "outputs": {"pred": _output(model)}},
        "study": study_of(model),
    }


def packages(imaging: ImagingContract) -> dict[str, str]:
    """Give what has to be installed beside MONAI, torch and numpy, by version."""
    names = {"nibabel", "safetensors", "scipy", READERS[imaging.format]}
    return {**COMMAND, **{name: _version(name) for name in sorted(names)}}


def _version(package: str) -> str:
    return version(package).partition("+")[0]  # torch's says for which device it was built


def _input(model: Model) -> Entry:
    """Give what the network sees: an image as it was prepared."""
    images, imaging = parts_of(model)
    modalities = () if imaging.protocol is None else imaging.protocol.modalities
    names = {"0": "image"} if images.channels == 1 else {"0": "red", "1": "green", "2": "blue"}
    return {
        "type": "image",
        "format": "hounsfield" if imaging.intensity.unit == "HU" else "magnitude",
        "modality": ", ".join(modalities) or "n/a",
        "num_channels": images.channels,
        "spatial_shape": list(images.window),
        "dtype": "float32",
        "value_range": _range(images.preparation),
        "is_patch_data": model.shape.dense,
        "channel_def": names,
    }


def _range(preparation: tuple[fixed.Preparation, ...]) -> list[Json]:
    """Give the ends of what the network sees, where the last change of intensities has ends."""
    found: list[Json] = []
    for each in preparation:
        if isinstance(each, fixed.ScaleIntensityRange | fixed.ScaleIntensityRangePercentiles):
            found = [each.b_min, each.b_max] if each.clip else []
        elif isinstance(each, fixed.ScaleIntensity):
            found = [each.minv, each.maxv]
        elif isinstance(each, fixed.NormalizeIntensity):
            found = []
        elif isinstance(each, fixed.SpatialPad | fixed.ResizeWithPadOrCrop) and found:
            low, high = (float(str(end)) for end in found)
            found = [min(low, each.value), max(high, each.value)]
    return found


def _output(model: Model) -> Entry:
    """Give what the network says: logits, or a number on the scale of its range; postprocessing makes more of it."""
    ends, names = model.encoding.number, classes_of(model)
    if ends is not None:
        return {
            "type": "number",
            "format": "regression",
            "modality": "n/a",
            "num_channels": model.shape.outputs,
            "spatial_shape": [],
            "dtype": "float32",
            "value_range": [],
            "is_patch_data": False,
            "channel_def": {"0": f"{model.study.target.field}: -1 is {ends.low:g}, 1 is {ends.high:g} {unit_of(model)}"},
        }
    words = "logit, softmax over channels gives the probability" if in_classes(model) else "logit, its sigmoid is the probability"
    return {
        "type": "image" if model.shape.dense else "probabilities",
        "format": "labels" if model.shape.dense else "classes",
        "modality": "n/a",
        "num_channels": model.shape.outputs,
        "spatial_shape": list(model.shape.window) if model.shape.dense else [],
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": model.shape.dense,
        "channel_def": {str(place): f"{name} ({words})" for place, name in enumerate(names)},
    }


# -------------------------------------------------------------------------------------------------------------- the pages


def readme(model: Model) -> str:
    """Give ``docs/README.md``: how it is run, what it says, and in what MONAI's way differs from the hospitals'."""
    study, (_, imaging) = model.study, parts_of(model)
    install = " ".join(f'"{name}>={least}"' for name, least in packages(imaging).items())
    return f"""# {study.title}

{study.question}

This is release {study.version} of the federated study `{study.name}`, as a bundle for MONAI.
Hospitals trained the network together, each on its own images; no image left a hospital, and there is none in this bundle.
[The model card](MODEL_CARD.md) says who took part and how good the model is. {CAVEAT}

## Run it

It was written with MONAI {_version("monai")} and torch {_version("torch")}, and needs beside them:

```sh
pip install {install}
```

In the folder of the bundle, with the folder of your images:

```sh
python -m monai.bundle run --config_file configs/inference.json --dataset_dir IMAGES --output_dir OUTPUT
```

{_looked_for(imaging)}

{_said(model)}

One image that cannot be read or prepared ends the run with an error; nothing is passed over in silence.

## What is in it

| file | what it is |
|---|---|
| `configs/inference.json` | the preparation of the study by MONAI's transforms, the network, and what is written |
| `configs/metadata.json` | what goes in and what comes out, in MONAI's words; under `study`, from which study and schemas it is |
| `models/model.safetensors` | the weights of the release, byte by byte; no pickle |
| `wardround_bundle/` | what MONAI does not have so: the normalisation, and rare cases of the preparation |
| `docs/MODEL_CARD.md` | the model card of the release |

MONAI's `load` and `ckpt_export` look for a pickled `model.pt`, which there is not. A configuration of MONAI is code: run
bundles only from whom you trust.

## In what it differs from the study's hospitals

Network and preparation were held against those of the release before this bundle was written. How images are found and read is
MONAI's way, and differs:

{_differences(imaging)}
- Nothing is held against the schema of the images (`{imaging.id}` {imaging.version}): no size, spacing, intensity or tag.
  Nor is the cohort of the study. An image that the hospitals would have set aside gets a prediction here.
- Nothing is looked at for what identifies people. What is written bears the names of your files.
"""


def _looked_for(imaging: ImagingContract) -> str:
    if imaging.format != "dicom":
        kinds = {"nifti": "`.nii` and `.nii.gz`", "png": "`.png`", "jpeg": "`.jpg` and `.jpeg`"}[imaging.format]
        return f"Every file below `IMAGES` that ends with {kinds} is one image."
    if imaging.example == "series":
        return "Every folder below `IMAGES` that holds files is one series: give each its own folder, and nothing else in it."
    return "Every file below `IMAGES` is one image in DICOM: put nothing else there."


def _said(model: Model) -> str:
    _, imaging = parts_of(model)
    if not model.shape.dense:
        columns = ", ".join(f"`{name}`" for name in model.columns)
        if model.encoding.number is not None:
            said = f"`file`, and {columns}, in the schema's unit {unit_of(model)}"
            return f"`OUTPUT/predictions.csv` has a line for each image: {said}."
        of = "each of " if model.study.target.labels else "that "
        return f"`OUTPUT/predictions.csv` has a line for each image: `file`, and {columns} ({of}{model.study.target.words})."
    numbers = ", ".join(f"{number} is {name}" for number, name in enumerate(classes_of(model)))
    kind = "PNG" if imaging.format in ("png", "jpeg") else "NIfTI"
    dicom = " `wardround predict` writes DICOM segmentations instead." if imaging.format == "dicom" else ""
    return (
        f"`OUTPUT` gets a mask of each image, in {kind}, pixel on pixel on the image: {numbers}.{dicom} With "
        "`--save_probabilities true` it gets the probabilities, too, on the grid of the preparation."
    )


def _differences(imaging: ImagingContract) -> str:
    """Give, of a format, in what MONAI's reader differs, as a list."""
    steps = f"{imaging.geometry.step_tolerance:.0%}"
    dicom = (
        f"""MONAI reads a folder as one volume, whatever series are in it, and orders slices by their number. A folder is refused
  here that holds more than one series, or whose slices are missing, doubled, tilted, without a place, or numbered in another
  order than they lie (steps may differ by {steps}).""",
        "MONOCHROME1 is refused: hospitals turn it over, MONAI does not. So are files with several frames.",
        """MONAI gives an image without a place one at the origin, and pixels of 1 mm. Series like that are refused, and so are
  single images where the preparation reads their spacing; hospitals take the spacing at the detector, too.""",
        """DICOM says places towards left and posterior (LPS); MONAI, and the masks that are written, say them towards right and
  anterior (RAS).""",
        f"Compressed files need the codecs of pydicom ({', '.join(CODECS)}).",
    )
    nifti = (
        "A file that does not say where it lies is refused by hospitals; MONAI takes what NIfTI then assumes.",
        "Axes that are not square to each other are refused by hospitals, and not here.",
    )
    pictures = ("Pictures are turned as their EXIF data says, as in hospitals; what is transparent or CMYK is refused.",)
    return "\n".join(f"- {each}" for each in {"dicom": dicom, "nifti": nifti}.get(imaging.format, pictures))


def licence(model: Model) -> str:
    """Give ``LICENSE``: of the code, and that there is none of the weights."""
    return f"""The code in wardround_bundle/ is part of Wardround, under the Apache License, Version 2.0:
http://www.apache.org/licenses/LICENSE-2.0

The release of the study {model.study.name} {model.study.version} names no licence for the weights in models/.
Ask its author ({model.study.author}) before you pass them on.
"""
