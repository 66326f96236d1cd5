"""The contact sheet shows what the network will see, and what is set aside; it names no file and stays in the hospital."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from studies_on_paper import paper

from silo_node.dicom.pixels import UndecodableError
from silo_node.imaging import preparable
from silo_node.imaging.keyed import Fit
from silo_node.preview.drawing import COLOURS, SIDE, middle, picture, upright
from wardround.console import run
from wardround.models.commands import make_bundle
from wardround.study.bundle import Bundle
from wardround.study.check import load_study
from wardround.study.model import Study
from wardround_lab.phantoms.hospital import NAME, PSEUDONYM, Department, write_export
from wardround_lab.phantoms.series import Scanner
from wardround_lab.phantoms.volume import Grid

DEMO = Path(str(files("wardround_lab.demo")))
PLAIN = Department("north", 8, Scanner(Grid(48, 1.7, 12, 3.0, 3.0), 8.0), ((-60.0, -40.0),), troubles=("name in a private tag",))


def drawn(uri: str) -> np.ndarray:
    head, _, data = uri.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def test_the_slice_with_most_of_the_mask_is_shown():
    """Else the middle one; a plane image is shown as it is."""
    image, mask = np.zeros((1, 4, 5, 6), np.float32), np.zeros((4, 5, 6), np.int64)
    assert middle(image, mask)[2] == 3
    mask[1:3, 1:3, 4], mask[0, 0, 1] = 1, 1
    plane, outline, at = middle(image, mask)
    assert (plane.shape, outline.shape, outline.sum(), at) == ((1, 4, 5), (4, 5), 4, 4)
    assert middle(image[..., 0], None)[2] is None


def test_the_front_is_up_and_the_right_is_left():
    """As radiologists look at it, wherever the prepared axes lead."""
    plane = np.arange(6).reshape(2, 3)  # columns to the right, rows to the front
    assert (upright(plane, "RAS") == plane[::-1, ::-1]).all()
    assert (upright(plane, "LPS") == plane).all()
    assert (upright(plane, "") == plane).all()


def test_a_picture_is_enlarged_and_a_mask_outlined():
    """Columns are across and rows are down; only the edge of a class is coloured, the inside stays grey."""
    image, mask = np.zeros((1, 8, 6), np.float32), np.zeros((8, 6), np.int64)
    image[0, 0], mask[2:7, 1:5] = 1.0, 1
    pixels = drawn(picture(image, mask))
    times = SIDE // 8
    assert pixels.shape == (6 * times, 8 * times, 3)
    assert (pixels[:, : times - 1] == 255).all()
    coloured = (pixels == np.array(COLOURS[0])).all(axis=2)
    assert coloured[times, 2 * times]
    assert not coloured[3 * times, 4 * times]


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    """A department of phantoms, one of which has a name in a private tag, and the bundle of the demonstration's study."""
    folder = tmp_path_factory.mktemp("north")
    write_export(folder / "scans", PLAIN, 1)
    source = f'{{format: dicom, path: scans, pseudonym: "{PSEUDONYM}"}}'
    text = f"site: north\nname: North\nsources:\n  scans: {source}\nschemas:\n  phantom.lesion: {{source: scans}}\n"
    (folder / "site.yaml").write_text(text)
    (folder / "policy.yaml").write_text("small_cell: 1\nminimum_records: 1\n")
    study, contract, imaging = load_study(DEMO / "phantom-lesions.yaml", (DEMO / "schemas",))
    made = make_bundle(study, contract, paper().bundle.roster, imaging)
    made.write(folder / "study.wardround")
    return folder, made


def command(capfd, *words: str) -> tuple[int, str]:
    capfd.readouterr()
    status = run(["silo", *words])
    return status, "".join(capfd.readouterr())


def test_the_page_shows_images_and_names_nobody(hospital, capfd):
    """One picture and three variations of each image; readable by its owner only; nothing from elsewhere, no script."""
    folder, made = hospital
    words = ("preview", str(folder / "study.wardround"), "--site", str(folder / "site.yaml"), "--images", "2", "--format", "json")
    status, said = command(capfd, *words)
    assert status == 0
    told = json.loads(said)
    assert (told["study_hash"], told["shown"], told["aside"]) == (made.study_hash, 2, {"D-PRIVATE": 1})
    path = folder / told["page"]
    assert path.stat().st_mode & 0o777 == 0o600
    page = path.read_text()
    pictures = re.findall(r'<img src="([^"]+)" alt="([^"]+)">', page)
    assert len(pictures) == 2 * (1 + 3)
    assert all(drawn(uri).std() > 0 for uri, _ in pictures)
    assert "lesion" in page
    assert "D-PRIVATE" in page
    for secret in (NAME, "P100", "1.2.826", ".dcm", "<script", "http"):
        assert secret not in re.sub(r'src="data:[^"]+"', "", page)


def long_scan(hospital, folder: Path, *before: dict[str, object]) -> Path:
    """Give a study whose spacing is too fine for one more series, of twice the slices; ``before`` is done before the spacing."""
    shutil.copytree(hospital[0], folder, dirs_exist_ok=True)
    long = replace(
        PLAIN, site="long", series=1, scanner=Scanner(Grid(48, 1.7, 24, 3.0, 3.0), 8.0), troubles=(), first_patient=2001
    )
    write_export(folder / "scans" / "long", long, 1)
    bundle = hospital[1]
    first, *others = [each.model_dump() for each in bundle.study.images.preparation]
    told = bundle.study.images.model_dump() | {"preparation": (first, *before, *others)}
    words = {"images": told, "quarantine": {"max_fraction": 0.3}, "split": {"train": 0.98, "validation": 0.01, "test": 0.01}}
    study = Study.model_validate(bundle.study.model_dump() | words)
    path = folder / "long.wardround"
    make_bundle(study, bundle.contract, bundle.roster, bundle.imaging).write(path)
    return path


@pytest.mark.parametrize("before", [(), ({"name": "CropForeground", "threshold": -5000.0},)])
def test_an_image_that_cannot_be_prepared_is_shown_as_set_aside(hospital, capfd, tmp_path, monkeypatch, before):
    """Whether its header tells so or, where the foreground is cut out first, only its pixels: the others are shown."""
    monkeypatch.setattr(preparable, "MOST_VOXELS", 45_000)  # a series of 12 slices has 30,000 at 2 mm
    path = long_scan(hospital, tmp_path, *before)
    status, said = command(capfd, "preview", str(path), "--site", str(tmp_path / "site.yaml"), "--format", "json")
    assert status == 0, said
    told = json.loads(said)
    assert told["aside"] == {"D-PRIVATE": 1, "D-PREPARE": 1}
    assert told["shown"] == 7
    assert "not too large at its spacing" in (tmp_path / told["page"]).read_text()


def test_an_image_that_went_away_is_one_clear_refusal(hospital, capfd, monkeypatch):
    """The export is still running, most likely."""

    def gone(*_words: object) -> None:
        raise UndecodableError

    monkeypatch.setattr(Fit, "read", gone)
    folder, _ = hospital
    status, said = command(capfd, "preview", str(folder / "study.wardround"), "--site", str(folder / "site.yaml"))
    assert status == 1
    assert "D-FOLDER" in said


def test_a_study_of_a_table_has_nothing_to_show(hospital, capfd, tmp_path):
    """One clear refusal."""
    folder, _ = hospital
    paper().bundle.write(tmp_path / "table.wardround")
    status, said = command(capfd, "preview", str(tmp_path / "table.wardround"), "--site", str(folder / "site.yaml"))
    assert status == 2
    assert "X-USAGE" in said


def test_a_check_of_images_is_never_answered_from_before(hospital, capfd):
    """The folder may have changed since, which no digest of a table knows; and there is no plan for it."""
    folder, _ = hospital
    words = ("check", "--study", str(folder / "study.wardround"), "--site", str(folder / "site.yaml"), "--format", "json")
    first, second = (json.loads(command(capfd, *words)[1]) for _ in range(2))
    assert (first["cached"], second["cached"]) == (False, False)
    status, said = command(capfd, *words[:5], "--fix-plan")
    assert (status, "X-USAGE" in said) == (2, True)


def test_the_review_says_what_is_done_with_images(hospital):
    """Line by line, and no figure of a feature is said to leave: there is none."""
    from silo_node.porter.manifest import egress_manifest

    _, made = hospital
    assert isinstance(made, Bundle)
    names = [figure.name for visit in egress_manifest(made).visits for figure in visit.figures]
    assert not any(name.startswith("values of a feature") for name in names)
    assert any("overlap" in name for name in names)
    with_features = egress_manifest(replace(paper().bundle))
    assert any(figure.name.startswith("values of a feature") for figure in with_features.visits[0].figures)
