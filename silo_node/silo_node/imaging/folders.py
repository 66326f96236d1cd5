"""Which folder of the hospital holds the images of a contract."""

from __future__ import annotations

from pathlib import Path

from silo_node.configuration import Site
from silo_node.source_settings import DicomSource, ImagesSource
from wardround.contract.imaging import ImagingContract
from wardround.errors import Refused, refuse
from wardround.strict_yaml import nearest


def image_folder(site: Site, contract: ImagingContract) -> tuple[str, Path]:
    """Give the source that the site file names for a contract, and its folder.

    Raises:
        Refused: M-SCHEMA, M-IMAGES.
    """
    mapping = site.file.schemas.get(contract.id)
    if mapping is None:
        guess = nearest(contract.id, site.file.schemas)
        step = f"did you mean {contract.id!r} where it says {guess!r}?" if guess else "add it, with the source of its images"
        finding = f"it has no mapping for {contract.id}"
        rule = "The site file maps the schema that is asked for"
        raise refuse("M-SCHEMA", site.document.place(("schemas",)), rule, finding, step)
    source = site.file.sources[mapping.source]
    wanted, words = (DicomSource, "DICOM") if contract.protocol is not None else (ImagesSource, contract.format.upper())
    if not isinstance(source, wanted):
        form = "dicom" if wanted is DicomSource else "images"
        has = {DicomSource: "a folder of DICOM", ImagesSource: "a folder of images that are no DICOM"}.get(
            type(source), "a table"
        )
        finding = f"{contract.id} is a schema of images in {words}, and its source {mapping.source!r} is {has}"
        step = f"give it a source {{format: {form}, path: FOLDER}}, and no columns"
        place = site.document.place(("schemas", contract.id, "source"))
        raise refuse("M-IMAGES", place, f"The images of this schema are in a source of format {form}", finding, step)
    return mapping.source, site.folder / source.path


def unreadable(site: Site, source: str, error: OSError) -> Refused:
    """Say why the folder of a source cannot be read."""
    words = {
        FileNotFoundError: "there is no such folder, or something in it went away while it was read",
        NotADirectoryError: "it is no folder",
        PermissionError: "it, or a folder in it, may not be read",
    }
    return refuse(
        "D-FOLDER",
        site.document.place(("sources", source, "path")),
        "A folder of images is there, and can be read with all folders in it",
        words.get(type(error), f"it cannot be read ({type(error).__name__})"),
        "check 'path' of the source, the rights of the folders, and that no export is being written into it",
    )
