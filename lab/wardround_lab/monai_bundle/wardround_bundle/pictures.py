"""Pictures as the study's hospitals read them."""

from __future__ import annotations

from PIL import Image, ImageOps

_GREY = frozenset({"L", "I;16", "I;16B", "I"})


def upright(image: Image.Image) -> Image.Image:
    """Turn a picture as its EXIF data says, and give it as grey or in colours.

    Raises:
        ValueError: it is transparent, or neither grey nor in red, green and blue.
    """
    mode = "L" if image.mode == "1" else _of_palette(image) if image.mode == "P" else image.mode
    if "transparency" in image.info or mode not in _GREY | {"RGB"}:
        msg = "a picture is grey, or red, green and blue, and not transparent"
        raise ValueError(msg)
    image.load()
    turned = ImageOps.exif_transpose(image)
    return turned if turned.mode == mode else turned.convert(mode)


def _of_palette(image: Image.Image) -> str:
    palette = image.getpalette() or []
    grey = all(palette[at] == palette[at + 1] == palette[at + 2] for at in range(0, len(palette) - 2, 3))
    return "L" if grey else "RGB"
