"""Text that is burned into an image is suspected from its pixels, and little else is."""

from __future__ import annotations

import csv
import warnings

import numpy as np
import pydicom
import pytest
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font
from PIL import Image

from silo_node.dicom.burned_in import MARGIN, _around_blobs, looks_like_text

LINE = "SMITH JOHN 1970-03-12"
DECODED_WITHOUT_MORE = {
    "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.5",
}  # fmt: skip
"""Transfer syntaxes that pydicom decodes by itself."""

REAL_TEXT = {
    "OBXXXX1A.dcm",
    "OBXXXX1A_expb.dcm",
    "OBXXXX1A_rle.dcm",
    "OBXXXX1A_rle_2frame.dcm",
    "examples_rgb_color.dcm",
    "mlut_18.dcm",
    "vlut_04.dcm",
}
"""Real files of these syntaxes that have lines of text, as a look at them shows: ultrasound, and two test patterns."""

REAL_TEXT_MISSED = {"examples_palette.dcm", "examples_ybr_color.dcm"}
"""Those whose text is grey."""


def written(image, size, *, top=True, dark=False):
    """Write a line of text into a copy of an image, in its brightest or its darkest value."""
    font = FT2Font(font_manager.findfont("DejaVu Sans"))
    font.set_size(size, 72)
    font.set_text(LINE, 0)
    font.draw_glyphs_to_bitmap(antialiased=False)
    letters = np.asarray(font.get_image()) > 0
    image = np.array(image)
    height, width = min(letters.shape[0], image.shape[0] - 2), min(letters.shape[1], image.shape[1] - 2)
    at = 1 if top else image.shape[0] - height - 1
    image[at : at + height, 1 : 1 + width][letters[:height, :width]] = image.min() if dark else image.max()
    return image


def made(kind):
    """Images such as modalities make: a body of soft tissue with bone in it, speckle, a projection, noise alone."""
    rng = np.random.default_rng(20_261_128)
    rows, columns = np.mgrid[-1:1:256j, -1:1:256j]
    inside = rows**2 / 0.7 + columns**2 / 0.5
    noise = rng.normal(0, 12, rows.shape)
    if kind == "ct":
        bone = (np.hypot(rows - 0.3, columns) < 0.15) * 700 + (np.abs(inside - 0.9) < 0.05) * 600
        return (np.where(inside < 1, 40, -1000) + bone + noise).astype(np.int16)
    if kind == "us":
        fan = (np.abs(columns) < (rows + 1) * 0.5) * (rows < 0.9)
        return (np.clip(rng.rayleigh(45, rows.shape), 0, 255) * fan).astype(np.uint8)
    if kind == "cr":
        return (2000 + 1800 * np.exp(-3 * inside) * np.cos(9 * columns) ** 2 + noise).astype(np.uint16)
    return (noise * 10 + 500).astype(np.int16)


@pytest.mark.parametrize("kind", ["ct", "us", "cr", "noise"])
def test_no_text_is_seen_where_none_is(kind):
    image = made(kind)
    assert not looks_like_text(image)
    assert not looks_like_text(-image.astype(np.int32))
    assert not looks_like_text(np.stack([image] * 3, axis=-1))


@pytest.mark.parametrize("top", [True, False])
@pytest.mark.parametrize("size", [8, 10, 12, 16, 20])
@pytest.mark.parametrize("kind", ["ct", "us", "cr"])
def test_a_line_of_bright_text_is_seen(kind, size, top):
    assert looks_like_text(written(made(kind), size, top=top))


def test_dark_text_on_bright_ground_is_seen():
    image = -made("ct").astype(np.int32)  # as MONOCHROME1 is stored
    assert looks_like_text(written(image, 12, dark=True))


@pytest.mark.parametrize("image", [np.zeros((200, 200)), np.full((200, 200), np.nan), np.eye(40), np.ones((300, 200, 3))])
def test_images_that_hold_nothing(image):
    assert not looks_like_text(image)


def test_a_blob_is_left_out_with_its_rim():
    bright = np.zeros((40, 40), dtype=bool)
    bright[20:27, 10:17] = True
    bright[5, 5:30] = True  # a thin line
    rows, columns = np.nonzero(_around_blobs(bright))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (20 - MARGIN, 26 + MARGIN, 10 - MARGIN, 16 + MARGIN)


def frames(test_data):
    """The first frame of each real file that pydicom decodes by itself."""
    folder = test_data / "dicom"
    for row in csv.DictReader((folder / "index.csv").read_text(encoding="utf-8").splitlines()):
        if row["pixel_decodable"] == row["pydicom_readable"] == "yes" and row["transfer_syntax_uid"] in DECODED_WITHOUT_MORE:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                pixels = pydicom.dcmread(folder / row["path"]).pixel_array
            several = int(row["NumberOfFrames"] or 1) > 1
            yield row["path"].rpartition("/")[2], pixels[0] if several else pixels


def test_text_in_real_images(test_data):
    """Seen in 7 of 9 files that have text, and in no other; what is written into images is seen in nearly all."""
    seen, looked_at, tried, found = set(), 0, 0, 0
    for name, pixels in frames(test_data):
        looked_at += 1
        if looks_like_text(pixels):
            seen.add(name)
        elif pixels.ndim == 2 and min(pixels.shape) >= 128 and pixels.max() > pixels.min() + 1:
            tried += 1
            found += looks_like_text(written(pixels, 12))
    assert seen == REAL_TEXT
    assert not seen & REAL_TEXT_MISSED
    assert looked_at > 100
    assert found >= 0.9 * tried > 20


def test_no_text_is_seen_in_photographs_of_skin(test_data):
    """Hairs, scales and rulers are thin and dark, and are no text: none in 400 of 2,083, and none in all of them."""
    paths = sorted((test_data / "images" / "isic_ham").rglob("*.jpg"))[::5]
    assert len(paths) > 400
    assert [path.name for path in paths if looks_like_text(np.asarray(Image.open(path)))] == []
