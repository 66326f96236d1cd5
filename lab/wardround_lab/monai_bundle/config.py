"""What MONAI's command is told to do: ``configs/inference.json``, from the study.

MONAI's own transforms stand under their names, with MONAI's arguments; what it does not have so stands in ``wardround_bundle``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from wardround.canonical import model_json
from wardround.contract.imaging import ImagingContract
from wardround.errors import Broken
from wardround.study import transforms as fixed
from wardround.study.images import Images
from wardround.study.networks import arguments_of
from wardround_lab.onnx_export import in_classes
from wardround_lab.predict import Model

Entry: TypeAlias = dict[str, Any]
"""One part of a configuration of MONAI."""

CODE: Final = "wardround_bundle"
WEIGHTS: Final = "models/model.safetensors"
ARRANGE: Final = f"{CODE}.images.Arrange"
"""The first transform after an image was read."""
SAVE: Final = f"{CODE}.masks.Save"
"""What writes a file."""
_SPECIAL: Final = ("$", "@", "%")
_RELATIVE: Final = re.compile(r"([@%])(?=#|::)")
_SUFFIXES: Final = {"dicom": (), "nifti": (".nii", ".nii.gz"), "png": (".png",), "jpeg": (".jpg", ".jpeg")}
_LINEAR: Final = {2: "bilinear", 3: "trilinear"}


def inference(model: Model) -> Entry:
    """Give the configuration; sizes and arguments are the study's, paths are the user's."""
    images, imaging = parts_of(model)
    dense = model.shape.dense
    return {
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/input'",
        "output_dir": "$@bundle_root + '/output'",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        **({"save_probabilities": False} if dense else {}),
        "network_def": _network(model),
        "network": "$@network_def.to(@device)",
        "datalist": {
            "_target_": f"{CODE}.files.listed",
            "folder": "@dataset_dir",
            "suffixes": list(_SUFFIXES[imaging.format]),
            "series": imaging.format == "dicom" and imaging.example == "series",
        },
        "preprocessing": {"_target_": "Compose", "transforms": [*_reading(images, imaging), *_preparation(model)]},
        "dataset": {"_target_": "Dataset", "data": "@datalist", "transform": "@preprocessing"},
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "shuffle": False, "num_workers": 0},
        "inferer": _inferer(images) if dense else {"_target_": "SimpleInferer"},
        "postprocessing": {"_target_": "Compose", "transforms": _masks(imaging) if dense else [_activation(model)]},
        "handlers": [] if dense else [_table(model)],
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
            "val_handlers": "@handlers",
        },
        "run": ["$@evaluator.run()"],
    }


def inert(words: str) -> str:
    """Give words of a study so that MONAI finds nothing in them: it runs what begins with ``$``, and follows ``@`` and ``%``."""
    apart = _RELATIVE.sub(r"\1 ", words)
    return f"'{apart}'" if apart.startswith(_SPECIAL) else apart


def parts_of(model: Model) -> tuple[Images, ImagingContract]:
    """Give what a study of images has, and one of a table has not."""
    if model.study.images is None or model.imaging is None:
        raise Broken("a model of a table sees no images")
    return model.study.images, model.imaging


def _network(model: Model) -> Entry:
    network = model.study.network
    arguments = arguments_of(network)
    return {
        "_target_": f"{CODE}.network.build",
        "name": arguments.MONAI,
        "arguments": arguments.keywords(model.shape),
        "normalisation": network.normalisation,
        "weights": f"$@bundle_root + '/{WEIGHTS}'",
    }


def _inferer(images: Images) -> Entry:
    window = list(images.window)
    return {"_target_": "SlidingWindowInferer", "roi_size": window, "overlap": images.overlap, "mode": "gaussian"}


# ---------------------------------------------------------------------------------------------------------- what goes in


def _reading(images: Images, imaging: ImagingContract) -> list[Entry]:
    """Give what reads an image by MONAI's reader of its format."""
    spaced = any(isinstance(each, fixed.Spacing) for each in images.preparation)
    tolerance = imaging.geometry.step_tolerance
    guard = {"_target_": f"{CODE}.dicom.RefuseMisread", "step_tolerance": tolerance, "spaced": spaced}
    upright = {"_target_": f"{CODE}.pictures.upright", "_mode_": "callable"}
    readers: dict[str, Entry] = {
        "dicom": {"_target_": "PydicomReader"},
        "nifti": {"_target_": "NibabelReader"},
        "png": {"_target_": "PILReader", "converter": upright},
        "jpeg": {"_target_": "PILReader", "converter": upright},
    }
    read = [{"_target_": "LoadImaged", "keys": "image", "reader": readers[imaging.format]}]
    arrange = {"_target_": ARRANGE, "dimensions": imaging.geometry.dimensions, "channels": images.channels}
    return [*([guard] if imaging.format == "dicom" else []), *read, arrange]


def _preparation(model: Model) -> list[Entry]:
    images, _ = parts_of(model)
    steps = [_STEPS[type(each)](each, images) for each in images.preparation]
    exact: Entry = {} if model.shape.dense else {"size": list(images.window)}
    return [*steps, {"_target_": f"{CODE}.images.Check", **exact}]


def _monai(name: str, **arguments: Any) -> Entry:  # noqa: ANN401  (plain values of a configuration)
    return {"_target_": f"{name}d", "keys": "image", **arguments}


def _own(name: str, **arguments: Any) -> Entry:  # noqa: ANN401  (as above)
    return {"_target_": f"{CODE}.images.{name}", **arguments}


def _words(each: fixed.Transform, *names: str) -> Entry:
    """Give arguments that MONAI calls as the study does."""
    found = model_json(each)
    return {name: found[name] for name in names}


def _normalised(each: fixed.NormalizeIntensity, images: Images) -> Entry:
    if each.mean is None or each.deviation is None:
        return _own("NormalizeByOwn", **_words(each, "nonzero", "channel_wise"))
    repeat = 1 if len(each.mean) == images.channels else images.channels
    means, deviations = list(each.mean) * repeat, list(each.deviation) * repeat
    return _monai("NormalizeIntensity", subtrahend=means, divisor=deviations, nonzero=each.nonzero, channel_wise=True)


def _resized(each: fixed.Resize, images: Images) -> Entry:
    mode = {"area": "area", "bilinear": _LINEAR[len(images.window)], "nearest": "nearest-exact"}[each.mode]
    return _monai("Resize", **_words(each, "spatial_size"), mode=mode)


_RANGE: Final = ("a_min", "a_max", "b_min", "b_max", "clip")
_PERCENTILES: Final = ("lower", "upper", "b_min", "b_max", "clip", "channel_wise")
_STEPS: dict[type[fixed.Transform], Callable[[Any, Images], Entry]] = {
    fixed.Orientation: lambda each, _: _monai("Orientation", axcodes=each.axcodes, labels=[["L", "R"], ["P", "A"], ["I", "S"]]),
    fixed.Spacing: lambda each, _: _monai("Spacing", **_words(each, "pixdim", "mode"), padding_mode="border"),
    fixed.ScaleIntensityRange: lambda each, _: _monai("ScaleIntensityRange", **_words(each, *_RANGE)),
    fixed.ScaleIntensityRangePercentiles: lambda each, _: _own(each.name, **_words(each, *_PERCENTILES)),
    fixed.NormalizeIntensity: _normalised,
    fixed.ScaleIntensity: lambda each, _: _monai("ScaleIntensity", **_words(each, "minv", "maxv", "channel_wise")),
    fixed.Resize: _resized,
    fixed.ResizeWithPadOrCrop: lambda each, _: _monai(
        "ResizeWithPadOrCrop", **_words(each, "spatial_size", "value"), mode="constant"
    ),
    fixed.CenterSpatialCrop: lambda each, _: _monai("CenterSpatialCrop", **_words(each, "roi_size")),
    fixed.SpatialPad: lambda each, _: _monai("SpatialPad", **_words(each, "spatial_size", "value"), mode="constant"),
    fixed.CropForeground: lambda each, _: _own("CropForeground", **_words(each, "threshold", "margin")),
}
"""How each transform of the allow-list stands in a configuration; a test holds it against the list."""


# --------------------------------------------------------------------------------------------------------- what comes out


def _activation(model: Model) -> Entry:
    ends = model.encoding.number
    if ends is not None:
        return _monai_of("pred", "ScaleIntensityRange", a_min=-1.0, a_max=1.0, b_min=ends.low, b_max=ends.high, clip=False)
    return _monai_of("pred", "Activations", **({"softmax": True} if in_classes(model) else {"sigmoid": True}))


def _monai_of(key: str, name: str, **arguments: Any) -> Entry:  # noqa: ANN401  (as above)
    return {"_target_": f"{name}d", "keys": key, **arguments}


def _masks(imaging: ImagingContract) -> list[Entry]:
    """Give what becomes of probabilities: a mask on the image's own grid, and, if asked, themselves on the prepared one."""
    picture = imaging.format in ("png", "jpeg")
    save = {"_target_": SAVE, "output_dir": "@output_dir"}
    return [
        _monai_of("pred", "Activations", softmax=True),
        {"_target_": f"{CODE}.masks.BackToImage"},
        {**save, "key": "mask", "ending": "_seg.png" if picture else "_seg.nii.gz"},
        {**save, "key": "pred", "ending": "_probabilities.nii.gz", "_disabled_": "$not @save_probabilities"},
    ]


def _table(model: Model) -> Entry:
    columns = [inert(name) for name in model.columns]
    return {"_target_": f"{CODE}.scores.Scores", "path": "$@output_dir + '/predictions.csv'", "columns": columns}
