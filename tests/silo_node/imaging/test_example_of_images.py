"""The example of a review, for studies of images: the node's own way, from made-up files to the bytes that would be sent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hospitals_on_disk import Command

from coordinator.identity import create_centre, load_centre
from silo_node.configuration import load_site
from silo_node.dry_run import dry_run
from silo_node.example import lines
from silo_node.identity import create_identity
from wardround.canonical import model_json
from wardround.models.commands import make_bundle, make_roster
from wardround.study.bundle import Bundle
from wardround.study.check import load_study
from wardround.study.model import Study

SMALL = {
    "ct.lesion": {"name": "UNet", "arguments": {"channels": [4, 8], "strides": [2], "num_res_units": 0}},
    "dermoscopy.lesion": {"name": "ResNet18", "arguments": {}},
}
SIZES = {"ct.lesion": [32, 32, 16], "dermoscopy.lesion": [32, 32]}


def studied(wardround: Command, folder: Path, schema: str) -> Bundle:
    """Build the study that ``study new`` proposes for a schema, with a small network and small images."""
    assert wardround("study", "new", folder / "study.yaml", "--schema", schema).status == 0
    study, contract, imaging = load_study(folder / "study.yaml")
    raw = json.loads(json.dumps(model_json(study)))
    raw["network"], raw["silos"]["minimum"] = SMALL[schema], 1
    raw["images"]["window"] = SIZES[schema]
    for each in raw["images"]["preparation"]:
        if each["name"] == "Spacing":
            each["pixdim"] = [6.0, 6.0, 1.5]
        if "spatial_size" in each:
            each["spatial_size"] = SIZES[schema]
    create_centre(folder / "centre", "The centre")
    roster = make_roster(load_centre(folder / "centre").coordinator, [create_identity(folder, "north", "North")])
    return make_bundle(Study.model_validate_json(json.dumps(raw)), contract, roster, imaging)


@pytest.mark.parametrize("schema", list(SMALL))
def test_a_study_of_images_has_an_example(tmp_path: Path, wardround: Command, schema: str) -> None:
    """Statistics and the first round, with the tensors' first numbers; the hospital itself has no image."""
    bundle = studied(wardround, tmp_path, schema)
    (tmp_path / "site.yaml").write_text("site: north\nname: North\nsources: {}\nschemas: {}\n")
    (tmp_path / "policy.yaml").write_text("small_cell: 30\n")
    (tmp_path / "made-up").mkdir()
    example = dry_run(load_site(tmp_path / "site.yaml"), bundle, tmp_path / "made-up")
    assert example.codes == ()
    assert bundle.imaging is not None
    assert example.records >= bundle.imaging.minimum_examples
    statistics, first = example.visits
    assert 0 < first.records == statistics.records < example.records
    assert [(each.name, each.shape) for each in first.tensors] == [(each.name, each.shape) for each in bundle.manifest.tensors]
    assert any(number for each in first.tensors for number in each.first), "it was trained"
    text = "\n".join(words for _, words in lines(example))
    assert f"of {example.records} SYNTHETIC images" in text
    assert "your policy's limits of small counts were set aside" in text
