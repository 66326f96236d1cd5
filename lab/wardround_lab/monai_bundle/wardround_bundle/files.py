"""The images of a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

ENDINGS = (".nii.gz", ".nii", ".png", ".jpg", ".jpeg", ".dcm")


def listed(folder: str, suffixes: Sequence[str], *, series: bool) -> list[dict[str, str]]:
    """List the images below a folder, in the order of their paths.

    Args:
        folder: at any depth; what begins with a dot is passed over.
        suffixes: of files that are images, in small letters; none: every file.
        series: whether each folder with such files is one image, rather than each file.

    Raises:
        ValueError: there is none, or two would have one name in the output.
    """
    root = Path(folder)
    files = sorted(
        path
        for path in root.rglob("*")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
        and (not suffixes or path.name.lower().endswith(tuple(suffixes)))
    )
    images = sorted({path.parent for path in files}) if series else files
    if not images:
        wanted = "folders of DICOM files" if series else " or ".join(suffixes) or "files"
        msg = f"no images: there are no {wanted} in {folder}; name their folder with --dataset_dir"
        raise ValueError(msg)
    found = [_entry(path, root, series=series) for path in images]
    if len({each["name"] for each in found}) < len(found):
        msg = f"two images in {folder} have one name but for its ending; what is written of them would have one, too"
        raise ValueError(msg)
    return found


def _entry(path: Path, root: Path, *, series: bool) -> dict[str, str]:
    """Give what is read, and how it is called: its path below the folder, and the same without the ending of a file."""
    file = path.relative_to(root).as_posix()
    ending = "" if series else next((each for each in ENDINGS if file.lower().endswith(each)), "")
    return {"image": str(path), "file": file, "name": file[: len(file) - len(ending)]}
