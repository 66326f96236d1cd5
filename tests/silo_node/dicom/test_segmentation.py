"""Segmentations: what one refers to, whose class each segment is, and where each frame lies; never by a number or an order."""

from __future__ import annotations

import random
import time
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian
from segmentations_on_disk import write_segmentation_of

from silo_node.dicom.decoding import Trial
from silo_node.dicom.header import UnreadableHeader, read_header
from silo_node.dicom.index import Index
from silo_node.dicom.instance import Plane, instance, is_image
from silo_node.dicom.pixels import trouble
from silo_node.dicom.segmentation import (
    CLASSES,
    MaskError,
    Segment,
    assign,
    load_mask,
    read_segmentation,
    references,
    target,
)
from silo_node.dicom.series import series_of

LESION = {"1": "lesion"}
LIVER = {"Liver": "background"}
TWO = {"1": "lesion", "2": "vessel"}
BOTH = {4: ("Lesion", "Lesion"), 9: ("Vessel", "Vessel")}


def blank(*places):
    """Pixels of a slice, of which some are drawn."""
    pixels = np.zeros((6, 4), np.uint8)
    for place in places:
        pixels[place] = 1
    return pixels


@pytest.fixture
def paths(write_slice):
    """Five slices."""
    return [write_slice(number) for number in range(5)]


@pytest.fixture
def stack(paths):
    """The stack that they are."""
    (series,) = series_of([instance(read_header(path), path.name) for path in paths])
    return series.stacks[0]


@pytest.fixture
def mask(paths, stack, export):
    """Write a segmentation and read it on the stack."""

    def read(drawn=None, classes=LESION, names=None, **changed):
        write_segmentation_of(paths, export / "seg", drawn, **changed)
        return load_mask(stack, export, "seg", classes, names or {})

    return read


def code(read):
    with pytest.raises(MaskError) as raised:
        read()
    return raised.value.code


# -------------------------------------------------------------------------------------------------------------- placed


@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
@pytest.mark.parametrize("of_frames", [{}, {"sources": False}, {"places": False}])
def test_frames_lie_where_they_say(mask, syntax, of_frames):
    """In any order, by either way, in any form of file; axes are column, row, slice."""
    drawn = [(1, 3, blank((5, 1), (5, 2))), (1, 0, blank((2, 3)))]
    found = mask(drawn, of_frames=of_frames, **({} if syntax is None else {"syntax": syntax}))
    expected = np.zeros((4, 6, 5), np.uint16)
    expected[1, 5, 3] = expected[2, 5, 3] = expected[3, 2, 0] = 1
    assert found.dtype == np.uint16
    assert np.array_equal(found, expected)


def test_slices_of_a_stack_that_runs_the_other_way(paths, export, mask):
    """The list of images is no order: only their places are."""
    drawn = [(1, 4, blank((0, 0)))]
    write_segmentation_of(paths[::-1], export / "seg", drawn)  # its fifth image is the first slice
    (series,) = series_of([instance(read_header(path), path.name) for path in paths])
    assert load_mask(series.stacks[0], export, "seg", LESION, {})[0, 0].tolist() == [1, 0, 0, 0, 0]


def test_numbers_of_segments_say_nothing(mask):
    """4 is the lesion, for it is called so."""
    drawn = [(4, 1, blank((0, 0))), (9, 1, blank((1, 1)))]
    found = mask(drawn, TWO, segments=BOTH)
    assert (found[0, 0, 1], found[1, 1, 1], np.count_nonzero(found)) == (1, 2, 2)
    found = mask(drawn, {"1": "vessel", "2": "lesion"}, segments=BOTH)
    assert (found[0, 0, 1], found[1, 1, 1]) == (2, 1)


def test_label_maps(mask):
    """Pixels are numbers of segments; 0 is none."""
    pixels = blank((0, 0)) * 4 + blank((1, 1)) * 9
    found = mask([(0, 2, pixels)], TWO, segments=BOTH, kind="LABELMAP")
    assert (found[0, 0, 2], found[1, 1, 2], np.count_nonzero(found)) == (1, 2, 2)
    assert code(lambda: mask([(0, 2, pixels + 1)], TWO, segments=BOTH, kind="LABELMAP")) == "D-MASKCLASS"


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"of_frames": {"source": "1.2.3.4.5"}}, "D-MASKFIT"),
        ({"of_frames": {"position": [0, 0, 40]}}, "D-MASKFIT"),
        ({"of_frames": {"position": [0, 0, 2.5]}}, "D-MASKFIT"),  # of another slice than its source
        ({"of_frames": {"position": [0.2, 0, 0]}}, "D-MASKFIT"),
        ({"of_frames": {"orientation": [-1, 0, 0, 0, 1, 0]}}, "D-MASKFIT"),
        ({"of_frames": {"spacing": [0.7, 0.7]}}, "D-MASKFIT"),
        ({"of_frames": {"sources": False, "places": False}}, "D-MASKFIT"),
        ({"drawn": [(1, 0, np.ones((4, 6), np.uint8))]}, "D-MASKFIT"),
        ({"FrameOfReferenceUID": "1.2.3.4"}, "D-MASKFIT"),
        ({"drawn": [(4, 1, blank((0, 0))), (9, 1, blank((0, 0)))], "segments": BOTH, "classes": TWO}, "D-MASKOVER"),
        ({"segments": {1: ("Lesion", "Vessel")}, "classes": TWO}, "D-MASKCLASS"),
        ({"segments": {1: ("Liver", "Liver")}}, "D-MASKCLASS"),
        ({"segments": {1: ("Liver", "Liver")}, "names": {"liver": "background"}}, "D-MASKCLASS"),
        ({"segments": {1: ("Lesion", "Lesion"), 2: ("Liver", "Liver")}}, "D-MASKCLASS"),
        ({"kind": "FRACTIONAL"}, "D-MASKFILE"),
        ({"drawn": [(1, 0, blank((0, 0))), (1, 0, blank((1, 1)))]}, "D-MASKFILE"),
        ({"drawn": [(7, 0, blank((0, 0)))]}, "D-MASKFILE"),
        ({"PerFrameFunctionalGroupsSequence": []}, "D-MASKFILE"),
        ({"SegmentSequence": []}, "D-MASKFILE"),
        ({"SegmentationType": None}, "D-MASKFILE"),
        ({"PixelData": b"\1\0"}, "D-MASKFILE"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, "D-MASKFILE"),
    ],
)
def test_what_is_no_mask(mask, changed, expected):
    """Each fault has its code, and nothing is turned, moved or resampled until it fits."""
    assert code(lambda: mask(**changed)) == expected


def test_nothing_drawn_is_all_background(mask):
    """It is read as every other; whether it is an example, the contract says."""
    for kind in ("BINARY", "LABELMAP"):
        assert not mask([(1, at, blank()) for at in range(5)], kind=kind).any()
    assert mask([(1, 0, blank((0, 0))), (2, 0, blank())], segments={1: ("Lesion", ""), 2: ("Liver", "")}, names=LIVER).sum() == 1


def test_overlap_within_a_class_is_none(mask):
    """Two lesions that touch are lesions."""
    drawn = [(1, 1, blank((0, 0))), (2, 1, blank((0, 0), (0, 1)))]
    found = mask(drawn, segments={1: ("Lesion", "Lesion"), 2: ("Lesion 2", "Lesion")})
    assert np.count_nonzero(found) == 2


def test_whose_class_a_segment_is():
    """By label or meaning, but for case and marks; the hospital's own word comes first; background is nobody's."""
    assert assign([Segment(7, "LESION ", "")], LESION, {}) == {7: 1}
    assert assign([Segment(7, "GTV-1", "Lesion")], LESION, {}) == {7: 1}
    assert assign(
        [Segment(7, "GTV-1", "Neoplasm"), Segment(8, "Liver", "Liver")], TWO, {"gtv 1": "Lesion", "Liver": "background"}
    ) == {
        7: 1,
        8: 0,
    }
    with pytest.raises(MaskError):
        assign([Segment(1, "", "")], LESION, {})


# ---------------------------------------------------------------------------------------------------------- the index


def test_the_index_knows_what_segmentations_refer_to(paths, export, tmp_path):
    """By the series and images that they list, or by their frames alone."""
    write_segmentation_of(paths, export / "listed")
    write_segmentation_of(paths, export / "frames only", listed=False)
    index = Index(tmp_path / "index.sqlite", export)
    index.update()
    alone, listed = index.segmentations()
    uids = {instance(read_header(path), "").sop_instance for path in paths}
    assert set(listed.refers.instances) == uids
    assert len(listed.refers.series) == 1
    assert (alone.refers.series, len(alone.refers.instances)) == ((), 1)
    assert index.instances() >= uids
    assert sum(each.refers is None for each in index.entries()) == 5


def test_real_segmentations(test_data):
    """Those of the public files: what they refer to, their frames, and a label map on planes made from what they say."""
    fit, cut = 0, 0
    for path in sorted((test_data / "dicom").rglob("*.dcm")):
        try:
            if instance(read_header(path), path.name).sop_class not in CLASSES:
                continue
            refers = references(path)
            found = read_segmentation(path.parent, path.name)
        except UnreadableHeader:
            continue
        except MaskError:
            cut += "_1frame" in path.name  # one frame is left of three that are described
            continue
        fit += 1
        assert len(refers.series) == 1
        assert set(refers.instances) == {uid for frame in found.frames for uid in frame.sources}
        assert [segment.label for segment in found.segments] == ["Liver"]
        pixels = pydicom.dcmread(path).pixel_array
        stack = liver(path.parent, found)
        on = load_mask(stack, path.parent, path.name, {"3": "liver"}, {})
        assert np.array_equal(on, 3 * np.atleast_3d(pixels.T).reshape(on.shape)[:, :, np.argsort(order(found))])
    assert (fit, cut) == (5, 2)


def order(found):
    return [frame.position[2] for frame in found.frames]


def liver(folder, found):
    """The stack that a segmentation says it was drawn on."""
    images = [
        replace(
            found.image,
            file=f"{at}",
            sop_instance=frame.sources[0],
            sop_class="1.2.840.10008.5.1.4.1.1.2",
            grouped=False,
            pixels=replace(found.image.pixels, frames=1),
            plane=Plane(frame.position, frame.row, frame.column, frame.spacing),
        )
        for at, frame in enumerate(found.frames)
    ]
    return series_of(images)[0].stacks[0]


# -------------------------------------------------------------------------------------------------------------- hostile


def corrupt(data, number):
    chance = random.Random(number)  # noqa: S311  (not for secrets)
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4))):
        at = chance.randrange(132, len(found))
        wound = chance.randrange(5)
        if wound == 0:
            del found[at : at + chance.choice((1, 2, 8, 60))]
        elif wound == 1:
            found[at] ^= 1 << chance.randrange(8)
        elif wound == 2:
            found[at : at + 4] = chance.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\1\0\0\0"))
        elif wound == 3:
            found[at:at] = found[at : at + chance.choice((8, 40, 300))]
        else:
            del found[at:]
    return bytes(found)


def verdicts(paths, stack, export, numbers):
    write_segmentation_of(paths, export / "seg", [(1, at, blank((0, 0))) for at in range(5)])
    whole = (export / "seg").read_bytes()
    codes = set()
    for number in numbers:
        (export / "seg").write_bytes(corrupt(whole, number))
        begin = time.process_time()
        try:
            load_mask(stack, export, "seg", LESION, {})
            codes.add("fit")
        except MaskError as fault:
            codes.add(fault.code)
        try:
            references(export / "seg")
        except UnreadableHeader as fault:
            codes.add(fault.code)
        assert time.process_time() - begin < 2, number
    return codes


def test_corrupt_segmentations_get_a_verdict(paths, stack, export):
    """Never another exception, and never for long."""
    assert {"fit", "D-MASKFILE", "D-MASKFIT"} <= verdicts(paths, stack, export, range(60))


@pytest.mark.fuzz
def test_two_thousand_corrupt_segmentations_get_a_verdict(paths, stack, export):
    verdicts(paths, stack, export, range(1000, 3000))


def test_a_bomb_is_refused(paths, stack, export):
    """More frames than a header may describe, and pixels that inflate."""
    write_segmentation_of(paths, export / "seg", NumberOfFrames=2**31 - 1)
    assert code(lambda: load_mask(stack, export, "seg", LESION, {})) == "D-MASKFILE"


def test_masks_are_tried_in_the_child(paths, stack, export):
    """The same codes come back; names of files may be any bytes."""
    write_segmentation_of(paths, export / "good \n")
    write_segmentation_of(paths, export / "bad", kind="FRACTIONAL")
    write_segmentation_of(paths, export / "empty", [(1, 0, blank())])
    with Trial(export) as trial:
        assert trial.mask_fault(target(stack), "empty", LESION, {}) == "D-MASKEMPTY"
        assert trial.mask_fault(target(stack), "good \n", LESION, {}) is None
        assert trial.mask_fault(target(stack), "bad", LESION, {}) == "D-MASKFILE"
        assert trial.mask_fault(target(stack), "good \n", {"1": "liver"}, {}) == "D-MASKCLASS"
        assert trial.mask_fault(target(stack), "good \n", {"1": "liver"}, {"Lesion": "liver"}) is None
        assert trial.look(stack.slices[0]).code is None


def test_odd_uids_are_not_said(paths):
    """pydicom would warn of them, and quote them."""
    odd = instance(read_header(paths[0]), "")
    odd = replace(odd, syntax="1.2.8<0.10008", sop_class="1.2.CANARY")
    assert (trouble(odd), is_image(odd)) == ("D-SYNTAX", False)
