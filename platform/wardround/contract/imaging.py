"""The imaging contract as a value: which images a study may learn from, in the words of DICOM.

It says what must hold of every image and series (``protocol``, ``geometry``, ``intensity``, ``tags``, ``privacy``), what one
example is (``example``), what a model is to predict (``label``), and how images and the rows of a table contract belong together
(``table``). For images that are no DICOM, the table is the manifest: it names their files.

Words and codes are those of PS3.3 and PS3.6; lengths are millimetres.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field as Setting
from pydantic import StringConstraints, model_validator

from wardround.canonical import digest, model_json
from wardround.contract.model import Number, Source, Text, Words
from wardround.values import Count, FieldName, Fraction, Growing, SchemaId, Value, Version

Uid = Annotated[str, StringConstraints(pattern=r"^(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+$", max_length=64)]
"""A DICOM unique identifier (PS3.5 section 9)."""

CodeString = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9_][A-Z0-9_ ]{0,15}$")]
"""A value of representation CS (PS3.5 6.2), as Modality and Body Part Examined have it."""

Keyword = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z0-9]{1,63}$")]
"""The keyword of an element in the data dictionary (PS3.6): ``SliceThickness``."""

Photometric = Literal["MONOCHROME1", "MONOCHROME2", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"]
"""How numbers of pixels become grey or colours (PS3.3 C.7.6.3.1.2). PALETTE COLOR is none of them: no palette is applied."""

Grain = Literal["patient", "study", "series", "image"]
"""What there is one of."""


class Range(Value):
    """Numbers from ``low`` to ``high``, both included."""

    low: Number
    high: Number

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if self.low > self.high:
            msg = "low is not above high"
            raise ValueError(msg)
        return self


class Protocol(Value):
    """How the images were made. A list that is empty allows everything.

    Attributes:
        modalities: of the equipment (0008,0060): CT.
        sop_classes: kinds of objects, by UID (0008,0016).
        body_parts: (0018,0015). Often wrong in hospitals' files: another one is a warning, never more.
        views: of projections (0018,5101): PA.
        transfer_syntaxes: by UID; of those that are allowed, what cannot be decoded where the node runs is set aside.
        photometric: (0028,0004); MONOCHROME1 is turned over before a model sees it.
        bits_stored: of a sample (0028,0101).
        image_types: values that (0008,0008) holds; all of them.
        no_image_types: values that it does not hold.
        contrast: whether a contrast agent was given, by any element about one (0018,0010 and others). Where they are there and
            all empty, nobody knows, and the image is neither.
    """

    modalities: Annotated[tuple[CodeString, ...], Setting(min_length=1)]
    sop_classes: tuple[Uid, ...] = ()
    body_parts: tuple[CodeString, ...] = ()
    views: tuple[CodeString, ...] = ()
    transfer_syntaxes: tuple[Uid, ...] = ()
    photometric: tuple[Photometric, ...] = ("MONOCHROME2",)
    bits_stored: Range | None = None
    image_types: tuple[CodeString, ...] = ()
    no_image_types: tuple[CodeString, ...] = ("LOCALIZER",)
    contrast: Literal["any", "with", "without"] = "any"

    @model_validator(mode="after")
    def _possible(self) -> Protocol:
        if both := sorted(set(self.image_types) & set(self.no_image_types)):
            msg = f"a value of ImageType is wanted or unwanted, not both: {', '.join(both)}"
            raise ValueError(msg)
        return self


class Geometry(Growing):
    """Where the images lie in space.

    Attributes:
        dimensions: 3 where an example is a stack of slices, 2 where it is an image.
        plane: of slices, by the largest part of their normal.
        rows: of an image; ``columns`` likewise.
        pixel_spacing: between rows and between columns, in mm; of projections without it, at the detector (0018,1164).
        slice_step: between slices along their normal, in mm.
        slices: how many a stack has.
        step_tolerance: the share by which steps between slices may differ from their median.
        slice_thickness: of each slice as its header says it (0018,0050), in mm; what the scanner averaged over, which may be more
            or less than the step.
    """

    young: ClassVar[frozenset[str]] = frozenset({"slice_thickness"})

    dimensions: Literal[2, 3]
    plane: Literal["any", "axial", "coronal", "sagittal"] = "any"
    rows: Range | None = None
    columns: Range | None = None
    pixel_spacing: Range | None = None
    slice_step: Range | None = None
    slices: Range | None = None
    step_tolerance: Fraction = 0.01
    slice_thickness: Range | None = None

    @model_validator(mode="after")
    def _flat(self) -> Geometry:
        of_stacks = (self.slices, self.slice_step, self.slice_thickness)
        if self.dimensions == 2 and any(each is not None for each in of_stacks):  # noqa: PLR2004  (plane images)
            msg = "only stacks (dimensions: 3) have slices, a slice_step and a slice_thickness"
            raise ValueError(msg)
        return self


class Intensity(Value):
    """What the numbers of pixels mean.

    Attributes:
        unit: ``HU`` after slope and intercept (0028,1053 and 1052), which then have to be there; ``stored`` for numbers that
            mean nothing by themselves (MR, X-ray, photographs).
        possible: values that an image's lowest and highest may have.
    """

    unit: Literal["HU", "stored"] = "stored"
    possible: Range | None = None


class Tags(Value):
    """Elements, by keyword, that every header holds with a value (``required``), or none holds (``forbidden``).

    Of the data set, up to the pixel data and outside of sequences.
    """

    required: tuple[Keyword, ...] = ()
    forbidden: tuple[Keyword, ...] = ()

    @model_validator(mode="after")
    def _possible(self) -> Tags:
        if both := sorted(set(self.required) & set(self.forbidden)):
            msg = f"a tag is required or forbidden, not both: {', '.join(both)}"
            raise ValueError(msg)
        return self


class Privacy(Value):
    """What may not be left of people in the files. A hospital's policy may ask for more, never for less.

    Attributes:
        profile: whose listed attributes hold no value: the basic profile of PS3.15 Annex E, in an edition that is installed.
        declared: whether headers have to say that they were de-identified (0012,0062 and 0063).
        burned_in: what is done with images that may show text (0028,0301 is YES, or absent in a kind of image that often does).
    """

    profile: Literal["basic-2026c"] = "basic-2026c"
    declared: bool = True
    burned_in: Literal["refuse", "warn"] = "refuse"


class Label(Growing):
    """What is to be predicted.

    Attributes:
        kind: ``class`` (one of several), ``multi_label`` (each yes or no), ``regression``, ``survival`` (a time and whether the
            event came), or ``mask`` (a class for each voxel).
        fields: of the table contract, for all kinds but masks: the class; the labels; the number; time and event. Labels and
            events have two categories each, of which the second is the one that is looked for.
        format: of masks.
        classes: of masks, by the number that stands in them; 0 is background.
        path: the field of the table that names an example's mask file; DICOM segmentations are found by what they refer to.
        empty: whether a mask without any class says that nothing was found, and its example is a valid one, or is none. An
            example without a mask is none, either way.
    """

    young: ClassVar[frozenset[str]] = frozenset({"empty"})

    kind: Literal["class", "multi_label", "regression", "survival", "mask"]
    fields: tuple[FieldName, ...] = ()
    format: Literal["dicom-seg", "nifti", "png"] | None = None
    classes: dict[Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,4}$")], Words] = Setting(default_factory=dict)
    path: FieldName | None = None
    empty: Literal["refused", "allowed"] = "refused"

    @model_validator(mode="after")
    def _whole(self) -> Label:
        if found := self._contradictions():
            raise ValueError("; ".join(found))
        return self

    def _contradictions(self) -> list[str]:
        masks = self.kind == "mask"
        found: list[str] = []
        if masks != (self.format is not None) or masks != bool(self.classes):
            found.append("masks have a format and classes, and nothing else has")
        if self.empty == "allowed" and not masks:
            found.append("only masks may be empty")
        wanted = {"class": 1, "regression": 1, "survival": 2, "mask": 0}.get(self.kind)
        if len(self.fields) != wanted if wanted is not None else not self.fields:
            found.append("class and regression name one field, survival two (time, event), multi_label some, mask none")
        if (self.path is not None) != (self.format in ("nifti", "png")):
            found.append("masks in NIfTI or PNG files have the field that names the file")
        if len(set(self.fields)) < len(self.fields):
            found.append("a field stands twice")
        if len(set(self.classes.values())) < len(self.classes):
            found.append("two classes have one name")
        return found


class TableLink(Value):
    """How images belong to the rows of a table contract.

    Attributes:
        id: of the table contract, with ``version``.
        grain: what one of its rows is of.
        keys: the table's fields that hold Patient ID, Study, Series or SOP Instance UID, as far as the grain needs them.
        path: the field that names the image's file, where images are no DICOM.
    """

    id: SchemaId
    version: Version
    grain: Grain
    keys: dict[Grain, FieldName] = Setting(default_factory=dict)
    path: FieldName | None = None

    @model_validator(mode="after")
    def _joined(self) -> TableLink:
        if (self.path is None) == (self.grain not in self.keys):
            msg = "a row finds its images by the key of its grain, or by the path of a file, one of the two"
            raise ValueError(msg)
        return self


class ImagingContract(Value):
    """A shared schema of images: ``id`` + ``version`` name it, ``contract_hash`` fixes it. Immutable once published.

    Attributes:
        format: of the images; all but DICOM are listed by the table.
        example: what one example of training is: an image, or a series' stack of slices. It is also what is set aside when
            something is wrong with it.
        patient_key: the field of the table, or ``PatientID``, by which examples are split: all of a patient are on one side.
        minimum_examples: that a hospital needs for this contract to mean anything.
    """

    kind: Literal["imaging"]
    id: SchemaId
    version: Version
    status: Literal["draft", "active", "deprecated"]
    title: Words
    description: Text | None = None
    sources: tuple[Source, ...] = ()
    format: Literal["dicom", "nifti", "png", "jpeg"] = "dicom"
    example: Literal["image", "series"]
    protocol: Protocol | None = None
    geometry: Geometry
    intensity: Intensity = Intensity()
    tags: Tags = Tags()
    privacy: Privacy = Privacy()
    label: Label
    table: TableLink | None = None
    patient_key: FieldName | Literal["PatientID"] = Setting(default="PatientID", alias="patientKey")
    minimum_examples: Count = 1

    @model_validator(mode="after")
    def _consistent(self) -> ImagingContract:
        if found := self._contradictions():
            raise ValueError("; ".join(found))
        return self

    def _contradictions(self) -> list[str]:
        dicom = self.format == "dicom"
        found: list[str] = []
        if dicom != (self.protocol is not None):
            found.append("images in DICOM have a protocol, and no others have")
        if not dicom and (self.table is None or self.table.path is None):
            found.append("images that are no DICOM are named by a table: give it, with the field that holds the path")
        if dicom and (self.example == "series") != (self.geometry.dimensions == 3):  # noqa: PLR2004  (stacks of slices)
            found.append("in DICOM, an example that is an image has 2 dimensions, and a series' stack of slices has 3")
        if not dicom and self.example == "series":
            found.append("only DICOM has series; an example of other formats is an image, which is a file")
        if self.format in ("png", "jpeg") and self.geometry.dimensions != 2:  # noqa: PLR2004  (plane images)
            found.append("images in PNG and JPEG have 2 dimensions")
        if dicom and self.table is not None and self.table.path is not None:
            found.append("images in DICOM are found by their UIDs: give the table's keys, and no path")
        if not dicom and (self.tags.required or self.tags.forbidden or self.geometry.slice_thickness is not None):
            found.append("only DICOM has tags, among them the thickness of a slice")
        if self.label.format == "dicom-seg" and not dicom:
            found.append("DICOM segmentations refer to DICOM images; masks of other images are NIfTI or PNG files")
        if (self.label.fields or self.label.path) and self.table is None:
            found.append("labels and masks that a table names need the table")
        if self.patient_key == "PatientID" and not dicom:
            found.append("only DICOM has a PatientID; name the table's field by which patients are told apart")
        if self.patient_key != "PatientID" and self.table is None:
            found.append("a patientKey other than PatientID is a field of the table")
        return found

    def contract_hash(self) -> str:
        """Give the digest of the whole contract with its defaults filled in."""
        return digest("imaging-contract", 1, model_json(self))
