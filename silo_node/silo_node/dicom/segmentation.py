"""DICOM segmentations (PS3.3 A.51, C.8.20): which series one refers to, and its label map on a stack of that series.

    header ──> references (for the index) ──> frames: segment, source images, place
    frames ──placed by source image and plane, never by number──> slices of the stack ──> label map (column, row, slice)

Nothing is resampled, turned or guessed: a frame lies on a slice, pixel on pixel, or the segmentation does not fit. What a segment
is, its label says, or the meaning of its coded type: one has to be the name of a class. Its number says nothing, for every
program numbers as it likes. Fractional segmentations are refused: what half an occupancy is worth is not for a reader to say.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.utils import iter_pixels

from silo_node.dicom import tags, values
from silo_node.dicom.header import DEFLATED, UnreadableHeader, read_header
from silo_node.dicom.instance import Instance, Plane, instance
from silo_node.dicom.pixels import UndecodableError, decode, trouble
from silo_node.dicom.series import DIRECTION_TOLERANCE, Stack
from silo_node.dicom.tree import Tree, read_tree
from silo_node.dicom.values import Vector

SEGMENTATION: Final = "1.2.840.10008.5.1.4.1.1.66.4"
LABEL_MAP: Final = "1.2.840.10008.5.1.4.1.1.66.7"
CLASSES: Final = frozenset({SEGMENTATION, LABEL_MAP})
"""SOP classes that are read here."""

OFF_PLACE: Final = 0.1
"""How far a frame may lie from its slice, as a share of the smallest distance of voxels."""

SAME_SPACING: Final = 0.01
"""The share by which the spacing of a frame may differ from its slice's."""

SAME_DIRECTION: Final = 10 * DIRECTION_TOLERANCE
"""How far the cosines of a frame and its slice may differ: programs that draw write other digits than scanners."""

BACKGROUND: Final = "background"
"""What a hospital names a segment that is none of a contract's classes."""

Fault: TypeAlias = Literal["D-MASKFILE", "D-MASKCLASS", "D-MASKFIT", "D-MASKOVER", "D-MASKEMPTY"]
"""Why a segmentation is no mask of a stack; see ``docs/reference/errors.md``."""

EMPTY: Final = "D-MASKEMPTY"
"""Of one that is a mask in all else, and has no voxel of any class."""

LabelMap: TypeAlias = NDArray[np.uint16]

_SERIES, _REFERENCED_SERIES, _REFERENCED_INSTANCE = 0x0020000E, 0x00081115, 0x00081155
_REFERENCED_INSTANCES, _OTHER_STUDIES = 0x0008114A, 0x00081200
_DERIVATION, _SOURCE_IMAGES = 0x00089124, 0x00082112
_PLANE_POSITION, _PLANE_ORIENTATION, _MEASURES = 0x00209113, 0x00209116, 0x00289110
_TYPE, _SEGMENTS, _NUMBER, _LABEL, _PROPERTY = 0x00620001, 0x00620002, 0x00620004, 0x00620005, 0x0062000F
_SEGMENT_OF_FRAME, _REFERENCED_SEGMENT, _MEANING = 0x0062000A, 0x0062000B, 0x00080104

_REFERENCES: Final = frozenset(
    {_SERIES, _REFERENCED_SERIES, _REFERENCED_INSTANCE, _REFERENCED_INSTANCES, _OTHER_STUDIES, _DERIVATION, _SOURCE_IMAGES}
    | {tags.FRAME_GROUPS, tags.SHARED_GROUPS}
)
_WANTED: Final = _REFERENCES | frozenset(
    {_PLANE_POSITION, _PLANE_ORIENTATION, _MEASURES, _TYPE, _SEGMENTS, _NUMBER, _LABEL, _PROPERTY, _SEGMENT_OF_FRAME}
    | {_REFERENCED_SEGMENT, _MEANING, tags.POSITION, tags.ORIENTATION, tags.PIXEL_SPACING, tags.CHARACTER_SET}
)


class MaskError(Exception):
    """A segmentation is no mask of the stack that it is held against; ``code`` says why, and nothing says what stands there."""

    def __init__(self, code: Fault) -> None:
        super().__init__(code)
        self.code = code


# ---------------------------------------------------------------------------------------------------------- references


@dataclass(frozen=True, slots=True)
class References:
    """What a segmentation refers to, by UID.

    Attributes:
        series: of the images that it was drawn on.
        instances: these images, as far as it names them.
    """

    series: tuple[str, ...]
    instances: tuple[str, ...]


def references(path: Path) -> References:
    """Read what a segmentation refers to.

    Raises:
        UnreadableHeader: it cannot be read.
        OSError: the file cannot.
    """
    root = read_tree(path, _REFERENCES)
    series, instances = set[str](), set[str]()
    for study in (root, *root.under(_OTHER_STUDIES)):
        for each in study.under(_REFERENCED_SERIES):
            series.add(values.text(each.header, _SERIES))
            instances.update(values.text(one.header, _REFERENCED_INSTANCE) for one in each.under(_REFERENCED_INSTANCES))
    for group in (*root.under(tags.SHARED_GROUPS), *root.under(tags.FRAME_GROUPS)):
        instances.update(_sources(group))
    return References(tuple(sorted(series - {""})), tuple(sorted(instances - {""})))


def _sources(group: Tree) -> Iterator[str]:
    for derivation in group.under(_DERIVATION):
        for source in derivation.under(_SOURCE_IMAGES):
            yield values.text(source.header, _REFERENCED_INSTANCE)


# ------------------------------------------------------------------------------------------------------- what it holds


@dataclass(frozen=True, slots=True)
class Segment:
    """What one segment is said to be.

    Attributes:
        number: by which frames refer to it.
        label: what whoever drew it wrote.
        meaning: of the code of its type.
    """

    number: int
    label: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame.

    Attributes:
        segment: its number; ``None`` in a label map, whose pixels are such numbers.
        sources: SOP instance UIDs of the images that it was made from.
        position: of its first pixel, as ``Plane`` has it; ``None`` where it is not said, as ``row``, ``column`` and ``spacing``.
    """

    segment: int | None
    sources: tuple[str, ...]
    position: Vector | None
    row: Vector | None
    column: Vector | None
    spacing: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Segmentation:
    """A segmentation as its header has it.

    Attributes:
        image: what it is as an image.
        segments: none twice.
        frames: in order.
    """

    image: Instance
    segments: tuple[Segment, ...]
    frames: tuple[Frame, ...]


def read_segmentation(folder: Path, file: str) -> Segmentation:
    """Read a segmentation but for its pixels.

    Raises:
        MaskError: D-MASKFILE.
    """
    try:
        image, root = instance(read_header(folder / file), file), read_tree(folder / file, _WANTED)
    except (UnreadableHeader, OSError):
        raise MaskError("D-MASKFILE") from None
    kind = values.text(root.header, _TYPE)
    if image.sop_class not in CLASSES or kind not in ("BINARY", "LABELMAP") or trouble(image) is not None:
        raise MaskError("D-MASKFILE")
    if image.pixels.samples != 1 or image.pixels.signed:
        raise MaskError("D-MASKFILE")
    segments = tuple(_segment(each) for each in root.under(_SEGMENTS))
    shared = root.only(tags.SHARED_GROUPS) or Tree(root.little)
    frames = tuple(_frame(each, shared, labels=kind == "LABELMAP") for each in root.under(tags.FRAME_GROUPS))
    numbers = [each.number for each in segments]
    if not segments or len(set(numbers)) < len(numbers) or not frames or len(frames) != image.pixels.frames:
        raise MaskError("D-MASKFILE")
    if any(frame.segment is not None and frame.segment not in numbers for frame in frames):
        raise MaskError("D-MASKFILE")
    return Segmentation(image, segments, frames)


def _segment(tree: Tree) -> Segment:
    number = values.short(tree.header, _NUMBER)
    if number is None:
        raise MaskError("D-MASKFILE")
    coded = tree.only(_PROPERTY)
    meaning = "" if coded is None else values.identifier(coded.header, _MEANING)
    return Segment(number, values.identifier(tree.header, _LABEL), meaning)


def _frame(own: Tree, shared: Tree, *, labels: bool) -> Frame:
    segment = _group(own, shared, _SEGMENT_OF_FRAME)
    number = None if segment is None or labels else values.short(segment.header, _REFERENCED_SEGMENT)
    if number is None and not labels:
        raise MaskError("D-MASKFILE")
    place, turn, measures = (_group(own, shared, tag) for tag in (_PLANE_POSITION, _PLANE_ORIENTATION, _MEASURES))
    cosines = None if turn is None else values.numbers(turn.header, tags.ORIENTATION, 6)
    spacing = None if measures is None else values.numbers(measures.header, tags.PIXEL_SPACING, 2)
    return Frame(
        segment=number,
        sources=tuple(_sources(own)) or tuple(_sources(shared)),
        position=None if place is None else values.vector(place.header, tags.POSITION),
        row=None if cosines is None else (cosines[0], cosines[1], cosines[2]),
        column=None if cosines is None else (cosines[3], cosines[4], cosines[5]),
        spacing=None if spacing is None else (spacing[0], spacing[1]),
    )


def _group(own: Tree, shared: Tree, tag: int) -> Tree | None:
    return own.only(tag) or shared.only(tag)


# ------------------------------------------------------------------------------------------------------------- classes


def assign(segments: Iterable[Segment], classes: Mapping[str, str], names: Mapping[str, str]) -> dict[int, int]:
    """Give the class of each segment, by its number; 0 is background.

    A segment is of the class whose name its label or the meaning of its type is, but for case, spaces and marks. If neither is
    one, or the two are two, it is of none. One segment at least is of a class: where nothing but background was ever looked for,
    that nothing is drawn says nothing.

    Args:
        segments: of one segmentation.
        classes: of the contract: number to name.
        names: the hospital's own word for it: a segment's label to the name of a class, or to ``background``.

    Raises:
        MaskError: D-MASKCLASS.
    """
    numbers = {_bare(name): int(number) for number, name in classes.items()}
    own = {_bare(label): 0 if name == BACKGROUND else numbers[_bare(name)] for label, name in names.items()}
    found: dict[int, int] = {}
    for each in segments:
        label = _bare(each.label)
        said = {own[label]} if label in own else {numbers[word] for word in (label, _bare(each.meaning)) if word in numbers}
        if len(said) != 1:
            raise MaskError("D-MASKCLASS")
        found[each.number] = said.pop()
    if not any(found.values()):
        raise MaskError("D-MASKCLASS")
    return found


def _bare(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


# ----------------------------------------------------------------------------------------------------------- label map


@dataclass(frozen=True, slots=True)
class Target:
    """The stack that a mask has to lie on.

    Attributes:
        instances: SOP instance UIDs of its slices, in order.
        planes: of its slices; ``None`` of an image that has none.
        rows: of a slice; ``columns`` likewise.
        frame_of_reference: empty where there is none.
        step: between slices, in mm.
    """

    instances: tuple[str, ...]
    planes: tuple[Plane | None, ...]
    rows: int
    columns: int
    frame_of_reference: str
    step: float | None


def target(stack: Stack) -> Target:
    """Give what of a stack a mask has to fit.

    Raises:
        ValueError: the stack's images have no size.
    """
    first = stack.slices[0]
    if first.pixels.rows is None or first.pixels.columns is None:
        msg = "no mask can lie on this stack"
        raise ValueError(msg)
    instances = tuple(each.sop_instance for each in stack.slices)
    planes = tuple(each.plane for each in stack.slices)
    return Target(instances, planes, first.pixels.rows, first.pixels.columns, first.frame_of_reference, stack.step)


def load_mask(stack: Stack, folder: Path, file: str, classes: Mapping[str, str], names: Mapping[str, str]) -> LabelMap:
    """Give the label map of a stack: ``(columns, rows, slices)``, as ``silo_node.dicom.volume`` has its axes.

    All of it may be background; whether it is a mask then, the contract says.

    Raises:
        MaskError: the segmentation is no mask of this stack.
    """
    return label_map(target(stack), folder, file, classes, names)


def label_map(on: Target, folder: Path, file: str, classes: Mapping[str, str], names: Mapping[str, str]) -> LabelMap:
    """Give the label map of what a segmentation has to fit; see ``load_mask``.

    Raises:
        MaskError: it does not.
    """
    read = read_segmentation(folder, file)
    of_class = assign(read.segments, classes, names)
    if (read.image.pixels.rows, read.image.pixels.columns) != (on.rows, on.columns):
        raise MaskError("D-MASKFIT")
    if read.image.frame_of_reference and on.frame_of_reference not in ("", read.image.frame_of_reference):
        raise MaskError("D-MASKFIT")
    places = _Places(on)
    slices = [places.slice(frame) for frame in read.frames]
    if len({(frame.segment, at) for frame, at in zip(read.frames, slices, strict=True)}) < len(slices):
        raise MaskError("D-MASKFILE")
    lookup = _lookup(of_class)
    found = np.zeros((len(on.instances), on.rows, on.columns), np.uint16)
    for frame, at, pixels in zip(read.frames, slices, _frames(folder / file, read.image), strict=True):
        _draw(found[at], _classes(frame, pixels, of_class, lookup))
    return np.ascontiguousarray(found.transpose(2, 1, 0))


def _lookup(of_class: Mapping[int, int]) -> NDArray[np.int64]:
    lookup = np.full(1 << 16, -1)
    lookup[0] = 0
    for number, each in of_class.items():
        lookup[number] = each
    return lookup


def _classes(frame: Frame, pixels: NDArray[Any], of_class: Mapping[int, int], lookup: NDArray[np.int64]) -> NDArray[Any]:
    """Give the class of each pixel of a frame: ``(rows, columns)``."""
    if frame.segment is not None:
        if pixels.max() > 1:
            raise MaskError("D-MASKFILE")
        return np.asarray(pixels * np.uint16(of_class[frame.segment]))
    if pixels.max() >= len(lookup):
        raise MaskError("D-MASKCLASS")
    found: NDArray[np.int64] = lookup[pixels]
    if found.min() < 0:
        raise MaskError("D-MASKCLASS")
    return found


def _draw(on: NDArray[np.uint16], classes: NDArray[Any]) -> None:
    """Draw a frame on its slice."""
    if ((on > 0) & (classes > 0) & (on != classes)).any():
        raise MaskError("D-MASKOVER")
    np.copyto(on, classes.astype(np.uint16), where=classes > 0)


def _frames(path: Path, image: Instance) -> Iterator[NDArray[Any]]:
    """Decode one frame after the other: those of bits would take eight times their size together."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if image.syntax == DEFLATED:
                whole = decode(path, image)
                found: Iterable[NDArray[Any]] = whole[None] if image.pixels.frames == 1 else whole
            else:
                found = iter_pixels(path)
            for frame in found:
                yield _of_size(frame, image)
        except MemoryError:  # it says nothing of the file
            raise
        except Exception:  # noqa: BLE001  (plug-ins raise almost anything, with values in it)
            raise MaskError("D-MASKFILE") from None


def _of_size(frame: NDArray[Any], image: Instance) -> NDArray[Any]:
    if frame.shape != (image.pixels.rows, image.pixels.columns) or frame.dtype.kind not in "ui":
        raise UndecodableError
    return frame


class _Places:
    """Where the slices of a stack are."""

    def __init__(self, on: Target) -> None:
        self._numbers = {uid: number for number, uid in enumerate(on.instances)}
        planes = [plane for plane in on.planes if plane is not None]
        self._planes = planes if len(planes) == len(on.planes) else []
        self._positions = np.array([plane.position for plane in self._planes])
        self._step = on.step

    def slice(self, frame: Frame) -> int:
        """Give the number of the slice that a frame lies on.

        Raises:
            MaskError: D-MASKFIT: it lies on none, or on another one than it was made from.
        """
        of_sources = {self._numbers[uid] for uid in frame.sources if uid in self._numbers}
        if frame.sources and not of_sources:
            raise MaskError("D-MASKFIT")
        at = self._on_plane(frame)
        if at is None:
            if len(of_sources) != 1:
                raise MaskError("D-MASKFIT")
            return of_sources.pop()
        if of_sources and at not in of_sources:
            raise MaskError("D-MASKFIT")
        return at

    def _on_plane(self, frame: Frame) -> int | None:
        """Give the slice on whose plane a frame lies; ``None`` where either says nothing of planes."""
        if frame.position is None or not self._planes:
            return None
        if frame.row is None or frame.column is None or frame.spacing is None:
            raise MaskError("D-MASKFIT")
        away = np.linalg.norm(self._positions - np.array(frame.position), axis=1)
        at = int(np.argmin(away))
        plane = self._planes[at]
        smallest = min(*plane.spacing, self._step or plane.spacing[0])
        if smallest <= 0 or away[at] > OFF_PLACE * smallest:
            raise MaskError("D-MASKFIT")
        turned = np.abs(np.array([*frame.row, *frame.column]) - np.array([*plane.row, *plane.column])).max()
        sized = max(abs(a - b) / b for a, b in zip(frame.spacing, plane.spacing, strict=True))
        if turned > SAME_DIRECTION or sized > SAME_SPACING:
            raise MaskError("D-MASKFIT")
        return at
