"""The bundle of a study of images: its contract of images is a member as the others, and no table study is touched by it."""

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from studies_on_paper import contract, paper

from wardround.canonical import canonical_bytes, sha256
from wardround.contract.implied_table import implied_table
from wardround.errors import Refused
from wardround.study import bundle as bundles
from wardround.study.bundle import Bundle, bundle_bytes, parse_bundle
from wardround.study.check import load_study

STUDY = Path(__file__).parents[3] / "lab/wardround_lab/demo/phantom-lesions.yaml"
TABLE = paper().bundle
LOADED = load_study(STUDY, (STUDY.parent / "schemas",))
IMAGES = replace(TABLE, study=LOADED.study, contract=LOADED.contract, imaging=LOADED.imaging)
OF_TABLE = "529353bba066b5562b857138c6ce8b15ce3d89126fc1b0a971a5bad60508140d"


def codes(data: bytes) -> tuple[str, ...]:
    with pytest.raises(Refused) as caught:
        parse_bundle(data)
    return caught.value.codes


def with_member(bundle: Bundle, content: bytes | None, *, listed: bool) -> bytes:
    """Give the bundle's file with another ``imaging.json``, or none; ``listed``: its table of contents agrees."""
    with zipfile.ZipFile(io.BytesIO(bundle_bytes(bundle))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    table = bundles.BundleManifest.model_validate_json(members["manifest.json"])
    members.pop("imaging.json", None)
    if content is not None:
        members["imaging.json"] = content
    if listed:
        files = {name: sha256(data) for name, data in sorted(members.items()) if name != "manifest.json"}
        members["manifest.json"] = canonical_bytes(table.model_copy(update={"files": files}).model_dump(mode="json"))
    return bundles._zip(members)


def test_it_comes_back():
    """What was written is what is read, with the contract of images and the table that it implies."""
    read = parse_bundle(bundle_bytes(IMAGES))
    assert (read.imaging, read.contract) == (LOADED.imaging, LOADED.contract)
    assert LOADED.imaging is not None
    assert read.contract == implied_table(LOADED.imaging)
    assert read.study_hash == IMAGES.study_hash
    assert bundle_bytes(read) == bundle_bytes(IMAGES)


def test_a_bundle_of_a_table_keeps_its_hash():
    """What studies of tables were approved under before there were images holds on."""
    assert TABLE.study_hash == OF_TABLE


@pytest.mark.parametrize("listed", [True, False])
def test_a_missing_or_changed_contract_is_refused(listed):
    """Neither without the member nor with another one is it the study that was approved."""
    changed = bundle_bytes_of_imaging().replace(b'"minimum_examples":', b'"minimum_examples":1', 1)
    assert codes(with_member(IMAGES, None, listed=listed)) == ("B-HASH",)
    assert changed != bundle_bytes_of_imaging()
    assert codes(with_member(IMAGES, changed, listed=listed)) == ("B-HASH",)


def test_a_superfluous_contract_is_refused():
    """A study of a table brings no contract of images, not even where its hash is made over it."""
    assert codes(with_member(TABLE, bundle_bytes_of_imaging(), listed=False)) == ("B-HASH",)
    assert codes(bundle_bytes(replace(TABLE, imaging=LOADED.imaging))) == ("S-VERSION",)


def test_a_contract_that_is_not_canonical_is_refused():
    """There is one form."""
    assert codes(with_member(IMAGES, bundle_bytes_of_imaging() + b" ", listed=True)) == ("B-READ",)


def test_the_contract_of_another_table_is_refused():
    """The table is the one that the images imply, and no other."""
    assert codes(bundle_bytes(replace(IMAGES, contract=contract()))) == ("S-VERSION",)


def bundle_bytes_of_imaging() -> bytes:
    with zipfile.ZipFile(io.BytesIO(bundle_bytes(IMAGES))) as archive:
        return archive.read("imaging.json")
