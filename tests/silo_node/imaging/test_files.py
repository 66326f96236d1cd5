"""NIfTI, PNG and JPEG read without trust: the right array, or a code; nothing outside of the folder, nothing without bounds."""

from __future__ import annotations

import gzip
import os
import random
import struct
import time
import zlib

import nibabel
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from silo_node.imaging.file_header import FileError
from silo_node.imaging.file_trial import FileTrial
from silo_node.imaging.files import load, load_mask, look
from wardround.contract.imaging import Range

AFFINE = np.array([[0, -2.0, 0, 5], [1.5, 0, 0, 6], [0, 0, 3.0, 7], [0, 0, 0, 1]])
COLOURS = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
EXIF_TURN = 0x0112


def code(read, *arguments):
    with pytest.raises(FileError) as raised:
        read(*arguments)
    return raised.value.code


def nifti(path, array, affine=AFFINE, **settings):
    image = nibabel.Nifti1Image(array, affine)
    image.header.set_xyzt_units("mm")
    for name, value in settings.items():
        image.header[name] = value
    nibabel.save(image, path)


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(*chunks, bits=8, colour=2, columns=6, rows=4):
    """A PNG of zeros."""
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    pixels = zlib.compress((b"\0" + bytes(-(-columns * samples * bits // 8))) * rows)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", columns, rows, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


# ------------------------------------------------------------------------------------------------------------ pictures


def test_pictures(tmp_path):
    """Columns first; grey of 8 and 16 bits, one bit, palettes, colour."""
    Image.fromarray(COLOURS).save(tmp_path / "colour.png")
    Image.fromarray(COLOURS[..., 0]).save(tmp_path / "grey.png")
    Image.fromarray(COLOURS[..., 0].astype(np.uint16) * 900).save(tmp_path / "deep.png")
    Image.fromarray(COLOURS).convert("P").save(tmp_path / "palette.png")
    Image.fromarray(COLOURS[..., 0] > 30).save(tmp_path / "bit.png")
    Image.new("RGB", (6, 4), (9, 9, 9)).save(tmp_path / "jpeg.jpg")
    found = load(tmp_path, "colour.png", "png")
    assert np.array_equal(found.array, COLOURS.swapaxes(0, 1))
    assert (found.array.dtype, np.array_equal(found.affine, np.eye(4))) == (np.float32, True)
    assert np.array_equal(load(tmp_path, "grey.png", "png").array, COLOURS[..., 0].T)
    assert load(tmp_path, "deep.png", "png").array.max() == int(COLOURS[..., 0].max()) * 900
    assert load(tmp_path, "palette.png", "png").array.shape == (6, 4, 3)
    assert set(np.unique(load(tmp_path, "bit.png", "png").array)) == {0, 255}
    assert (load(tmp_path, "jpeg.jpg", "jpeg").array == 9).all()
    assert (look(tmp_path, "jpeg.jpg", "jpeg").shape, look(tmp_path, "jpeg.jpg", "jpeg").telling) == ((6, 4), False)


def test_pictures_are_turned_as_they_say(tmp_path):
    """The header says the size that will be loaded."""
    exif = Image.Exif()
    exif[EXIF_TURN] = 6
    Image.fromarray(COLOURS).save(tmp_path / "turned.png", exif=exif)
    found = load(tmp_path, "turned.png", "png")
    assert look(tmp_path, "turned.png", "png").shape == found.array.shape[:2] == (4, 6)
    assert np.array_equal(found.array, np.rot90(COLOURS, -1).swapaxes(0, 1))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "D-FORMAT"),
        (b"\xff\xd8\xff\xe0", "D-FORMAT"),
        (png()[:20], "D-HEADER"),
        (png(bits=16), "D-FORMAT"),
        (png(colour=6), "D-FORMAT"),
        (png(colour=4), "D-FORMAT"),
        (png(chunk(b"tRNS", bytes(6))), "D-FORMAT"),
        (png(chunk(b"acTL", struct.pack(">II", 2, 0))), "D-FORMAT"),
        (png(columns=0), "D-HEADER"),
        (
            b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)) + chunk(b"IDAT", b""),
            "D-BOMB",
        ),
        (png(*[chunk(b"tIME", bytes(7))] * 50_001), "D-BOMB"),
    ],
)
def test_what_is_no_png(tmp_path, data, expected):
    (tmp_path / "file").write_bytes(data)
    assert code(look, tmp_path, "file", "png") == expected


def test_what_is_no_jpeg(tmp_path):
    """CMYK, a PNG, and one that ends too early: that is seen when it is decoded."""
    Image.new("CMYK", (6, 4)).save(tmp_path / "cmyk", format="JPEG")
    assert code(look, tmp_path, "cmyk", "jpeg") == "D-FORMAT"
    (tmp_path / "png").write_bytes(png())
    assert code(look, tmp_path, "png", "jpeg") == "D-FORMAT"
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)).save(tmp_path / "cut", format="JPEG")
    (tmp_path / "cut").write_bytes((tmp_path / "cut").read_bytes()[:-500])
    assert look(tmp_path, "cut", "jpeg").shape == (64, 64)
    assert code(load, tmp_path, "cut", "jpeg") == "D-DECODE"


@pytest.mark.parametrize(
    ("tag", "value", "telling"),
    [(0x010F, "Canon", False), (0x0132, "2024:01:02 03:04:05", True), (0x8825, {1: "N"}, True), (0x013B, "Doe", True)],
)
@pytest.mark.parametrize("form", ["png", "jpeg"])
def test_exif_that_tells(tmp_path, form, tag, value, telling):
    """The make of a camera tells nobody; the time, the place and the artist do."""
    exif = Image.Exif()
    exif[tag] = value
    Image.new("RGB", (6, 4)).save(tmp_path / "file", format=form, exif=exif)
    assert look(tmp_path, "file", form).telling is telling


def test_other_metadata_that_tells(tmp_path):
    """Texts of PNG wherever they stand, comments and XMP of JPEG, and what is behind the end."""
    text = PngImagePlugin.PngInfo()
    text.add_text("Patient", "Doe")
    Image.new("RGB", (6, 4)).save(tmp_path / "text", format="PNG", pnginfo=text)
    (tmp_path / "behind").write_bytes(png() + b"Doe")
    (tmp_path / "clean").write_bytes(png(chunk(b"tEXt", b"Software\0x")))
    assert [look(tmp_path, name, "png").telling for name in ("text", "behind", "clean")] == [True, True, False]
    Image.new("RGB", (6, 4)).save(tmp_path / "comment", format="JPEG", comment=b"Doe")
    Image.new("RGB", (6, 4)).save(tmp_path / "xmp", format="JPEG", xmp=b"<x/>")
    assert [look(tmp_path, name, "jpeg").telling for name in ("comment", "xmp")] == [True, True]


# --------------------------------------------------------------------------------------------------------------- NIfTI


@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz"])
def test_volumes(tmp_path, name):
    """As nibabel reads them, scaled, with the affine."""
    stored = np.arange(3 * 4 * 5, dtype=np.int16).reshape(3, 4, 5)
    nifti(tmp_path / name, stored, scl_slope=2.0, scl_inter=-5.0)
    found = load(tmp_path, name, "nifti")
    expected = nibabel.load(tmp_path / name)
    assert np.array_equal(found.array, expected.get_fdata(dtype=np.float32))
    assert (found.array.dtype, np.allclose(found.affine, expected.affine)) == (np.float32, True)
    header = look(tmp_path, name, "nifti")
    assert (header.shape, header.samples, header.telling) == ((3, 4, 5), 1, False)


def test_plane_images_and_big_endian(tmp_path):
    """A third axis of one is none; either order of bytes; NIfTI-2."""
    nifti(tmp_path / "flat.nii", np.ones((3, 4, 1), np.uint8))
    assert load(tmp_path, "flat.nii", "nifti").array.shape == (3, 4)
    image = nibabel.Nifti1Image(np.arange(6, dtype=">f4").reshape(1, 2, 3), AFFINE, nibabel.Nifti1Header(endianness=">"))
    nibabel.save(image, tmp_path / "big.nii")
    assert load(tmp_path, "big.nii", "nifti").array.ravel().tolist() == list(range(6))
    nibabel.save(nibabel.Nifti2Image(np.ones((2, 2, 2), np.float32), AFFINE), tmp_path / "two.nii")
    assert load(tmp_path, "two.nii", "nifti").array.sum() == 8


def test_what_is_no_volume(tmp_path):
    """Each has its code."""
    ones = np.ones((2, 2, 2), np.uint8)
    nifti(tmp_path / "four.nii", np.ones((2, 2, 2, 2), np.uint8))
    nifti(tmp_path / "complex.nii", ones.astype(np.complex64))
    nifti(tmp_path / "nowhere.nii", ones, None)
    nifti(tmp_path / "sheared.nii", ones, np.array([[1, 0.5, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]))
    nifti(tmp_path / "nan.nii", np.full((2, 2, 2), np.nan, np.float32))
    nifti(tmp_path / "cut.nii", ones)
    (tmp_path / "cut.nii").write_bytes((tmp_path / "cut.nii").read_bytes()[:-1])
    (tmp_path / "no.nii").write_bytes(b"no")
    expected = {
        "four.nii": "D-FORMAT",
        "complex.nii": "D-FORMAT",
        "nowhere.nii": "D-NOPLANE",
        "sheared.nii": "D-TILT",
        "nan.nii": "D-DECODE",
        "cut.nii": "D-DECODE",
        "no.nii": "D-FORMAT",
    }
    assert {name: code(load, tmp_path, name, "nifti") for name in expected} == expected


@pytest.mark.parametrize(
    ("qform", "codes", "expected"),
    [
        (AFFINE, (1, 1), None),
        (AFFINE @ np.diag([1, 1, 1.01, 1]), (1, 1), None),
        (AFFINE @ np.diag([2, 1, 1, 1]), (1, 1), "D-ORIENT"),
        (AFFINE @ np.diag([-1, -1, 1, 1]), (1, 4), "D-ORIENT"),
        (AFFINE + np.outer([1, 0, 0, 0], [0, 0, 0, 50]), (1, 1), "D-ORIENT"),
        (AFFINE @ np.diag([2, 1, 1, 1]), (0, 1), None),
        (AFFINE @ np.diag([2, 1, 1, 1]), (1, 0), None),
    ],
)
def test_two_places_for_one_volume(tmp_path, qform, codes, expected):
    """A header may place its voxels twice; where the two differ, nobody knows which is right. One that is off is none."""
    image = nibabel.Nifti1Image(np.ones((3, 4, 5), np.uint8), AFFINE)
    image.set_qform(qform, codes[0])
    image.set_sform(AFFINE, codes[1])
    nibabel.save(image, tmp_path / "v.nii")
    if expected is None:
        assert look(tmp_path, "v.nii", "nifti").shape == (3, 4, 5)
    else:
        assert code(look, tmp_path, "v.nii", "nifti") == expected


def test_bombs_are_not_inflated(tmp_path):
    """A volume that declares too much, and one that inflates to more than it declares: only that is read."""
    nifti(tmp_path / "v.nii", np.ones((2, 2, 2), np.uint8))
    whole = bytearray((tmp_path / "v.nii").read_bytes())
    with gzip.open(tmp_path / "long.nii.gz", "wb") as file:
        file.write(bytes(whole))
        for _ in range(64):
            file.write(bytes(2**20))
    assert load(tmp_path, "long.nii.gz", "nifti").array.sum() == 8
    whole[42:48] = struct.pack("<3h", 32000, 32000, 32000)
    (tmp_path / "large.nii").write_bytes(whole)
    assert code(look, tmp_path, "large.nii", "nifti") == "D-BOMB"


def test_texts_of_volumes_that_tell(tmp_path):
    """An extension, or a description that looks like a name or a day."""
    nifti(tmp_path / "fsl.nii", np.ones((2, 2, 2), np.uint8), descrip=b"FSL5.0")
    nifti(tmp_path / "day.nii", np.ones((2, 2, 2), np.uint8), descrip=b"Doe^Jane 20240102")
    image = nibabel.Nifti1Image(np.ones((2, 2, 2), np.uint8), AFFINE)
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"Doe"))
    nibabel.save(image, tmp_path / "extended.nii")
    assert [look(tmp_path, name, "nifti").telling for name in ("fsl.nii", "day.nii", "extended.nii")] == [False, True, True]


# ---------------------------------------------------------------------------------------------------------------- masks


def test_masks(tmp_path):
    """Numbers are classes: of grey, of a palette, of a bit, of a volume on the same place."""
    on = np.zeros((4, 6), np.uint8)
    on[1, 2] = 1
    Image.new("RGB", (6, 4)).save(tmp_path / "image.jpg")
    Image.fromarray(on).save(tmp_path / "grey.png")
    coloured = Image.fromarray(on).convert("P")
    coloured.putdata(on.ravel())
    coloured.putpalette([0, 0, 0, 200, 10, 10])
    coloured.save(tmp_path / "palette.png")
    Image.fromarray(on > 0).save(tmp_path / "bit.png")
    header = look(tmp_path, "image.jpg", "jpeg")
    for name in ("grey.png", "palette.png", "bit.png"):
        assert np.array_equal(load_mask(tmp_path, name, "png", {"1": "lesion"}, header), on.T)
    nifti(tmp_path / "v.nii", np.ones((2, 3, 4), np.int16))
    nifti(tmp_path / "m.nii", np.ones((2, 3, 4), np.uint8))
    volume = look(tmp_path, "v.nii", "nifti")
    assert load_mask(tmp_path, "m.nii", "nifti", {"1": "lesion"}, volume).sum() == 24
    nifti(tmp_path / "moved.nii", np.ones((2, 3, 4), np.uint8), AFFINE + np.eye(4)[::-1] * 0.5)
    Image.new("L", (6, 4)).save(tmp_path / "empty.png")
    assert not load_mask(tmp_path, "empty.png", "png", {"1": "lesion"}, header).any()
    Image.new("RGB", (6, 4)).save(tmp_path / "colour.png")
    Image.new("L", (4, 6), 1).save(tmp_path / "other.png")
    Image.new("L", (6, 4), 255).save(tmp_path / "white.png")
    told = {
        name: code(load_mask, tmp_path, name, "png", {"1": "lesion"}, header)
        for name in ("colour.png", "other.png", "white.png", "gone.png", "image.jpg")
    }
    assert told == {
        "colour.png": "D-MASKFILE",
        "other.png": "D-MASKFIT",
        "white.png": "D-MASKCLASS",
        "gone.png": "D-MASKFILE",
        "image.jpg": "D-MASKFILE",
    }


# ---------------------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    "name",
    ["../secret.png", "/etc/passwd", "a//b.png", "./a.png", "a\\b.png", "", "a\0.png", "link.png", "inside/secret.png", "."],
)
def test_names_lead_nowhere_else(tmp_path, name):
    """No way up, no link, no odd name."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret.png").write_bytes(png())
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "inside").symlink_to(tmp_path)
    assert code(look, folder, name, "png") == "D-PATHNAME"


def test_what_is_no_file(tmp_path):
    """A pipe would wait for ever, a folder is none, and one that is not there is not."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    assert code(look, tmp_path, "pipe", "png") == "D-PATHNAME"
    assert code(look, tmp_path, "folder", "png") == "D-PATHNAME"
    assert code(look, tmp_path, "folder/gone.png", "png") == "D-NOFILE"


# ----------------------------------------------------------------------------------------------------------- in a child


def test_files_are_tried_in_the_child(tmp_path):
    """Codes come back; values are held against the contract."""
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "cut.png").write_bytes(png()[:-25])
    Image.new("L", (6, 4), 1).save(tmp_path / "m.png")
    Image.new("L", (6, 4)).save(tmp_path / "empty.png")
    with FileTrial(tmp_path) as trial:
        assert trial.image_fault("a.png", "png", Range(low=0, high=255)) is None
        assert trial.image_fault("a.png", "png", Range(low=1, high=255)) == "D-INTENSITY"
        assert trial.image_fault("cut.png", "png", None) in ("D-DECODE", "D-HEADER")
        assert trial.mask_fault("m.png", "png", {"1": "lesion"}, look(tmp_path, "a.png", "png")) is None
        assert trial.mask_fault("m.png", "png", {"2": "lesion"}, look(tmp_path, "a.png", "png")) == "D-MASKCLASS"
        assert trial.mask_fault("empty.png", "png", {"1": "lesion"}, look(tmp_path, "a.png", "png")) == "D-MASKEMPTY"


# -------------------------------------------------------------------------------------------------------------- hostile


def corrupt(data, number):
    chance = random.Random(number)  # noqa: S311  (not for secrets)
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4))):
        at = chance.randrange(len(found)) if chance.random() < 0.5 else chance.randrange(min(len(found), 400))
        wound = chance.randrange(4)
        if wound == 0:
            del found[at : at + chance.choice((1, 2, 8, 60))]
        elif wound == 1:
            found[at] ^= 1 << chance.randrange(8)
        elif wound == 2:
            found[at : at + 4] = chance.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\1\0\0\0"))
        else:
            found[at:at] = found[at : at + chance.choice((8, 40, 300))]
    return bytes(found)


def verdicts(folder, numbers):
    pixels = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)
    exif = Image.Exif()
    exif[EXIF_TURN] = 3
    Image.fromarray(pixels).save(folder / "a", format="PNG", exif=exif)
    Image.fromarray(pixels).save(folder / "b", format="JPEG", exif=exif, progressive=True)
    nifti(folder / "c.nii", pixels)
    nifti(folder / "d.nii.gz", pixels)
    seeds = [
        (name, form, (folder / name).read_bytes()) for name, form in zip(("a", "b", "c.nii", "d.nii.gz"), FORMS, strict=True)
    ]
    codes = set()
    for number in numbers:
        _name, form, whole = seeds[number % 4]
        (folder / "file").write_bytes(corrupt(whole, number))
        begin = time.process_time()
        for read in (look, load):
            try:
                read(folder, "file", form)
                codes.add("read")
            except FileError as fault:
                codes.add(fault.code)
        assert time.process_time() - begin < 2, number
    return codes


FORMS = ("png", "jpeg", "nifti", "nifti")


def test_corrupt_files_get_a_verdict(tmp_path):
    """Never another exception, and never for long."""
    assert {"read", "D-HEADER", "D-DECODE"} <= verdicts(tmp_path, range(60))


@pytest.mark.fuzz
def test_four_thousand_corrupt_files_get_a_verdict(tmp_path):
    verdicts(tmp_path, range(1000, 5000))
