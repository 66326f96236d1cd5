"""Metrics of masks: sums over examples are added over hospitals, and what contradicts itself is refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from masks_on_paper import GOOD_REGION, region, regions
from pydantic import TypeAdapter, ValidationError

from wardround.errors import Broken
from wardround.messages.round import Evaluation
from wardround.metrics.pooled import (
    LOSS_LIMIT,
    LOSS_UNIT,
    NO_RECORDS,
    Counts,
    RegionCounts,
    SegmentationCounts,
    count_classes,
    largest_number,
    measure,
    pool,
)
from wardround.metrics.segmentation import DICE_ONE, MOST_DISTANCE_UNITS

NAMES = ("liver", "tumour")
examples = st.builds(
    lambda found, loss: SegmentationCounts(records=1, regions=found, loss_units=loss),
    st.tuples(regions, regions),
    st.integers(0, 2**22),
)


@settings(max_examples=40)
@given(st.lists(examples, min_size=1, max_size=6), st.integers(0, 6))
def test_pooling_is_adding_in_any_grouping(found, cut):
    """The counts of all examples do not depend on who added up which of them first, nor on their order."""
    parts = [pool(part) for part in (found[:cut], found[cut:]) if part]
    assert pool(parts) == pool(found) == pool(reversed(found))
    assert pool(found).records == len(found)


@settings(max_examples=40)
@given(st.lists(examples, min_size=1, max_size=6))
def test_the_mean_dice_is_over_the_examples_that_have_the_class(found):
    """Each example weighs the same, wherever it is from: not each hospital, and not each voxel."""
    metrics = measure(pool(found), NAMES)
    for number, each in enumerate(metrics.regions):
        own = [counts.regions[number] for counts in found if counts.regions[number].present]
        assert (each.examples, each.one_sided) == (len(own), sum(one.one_sided for one in own))
        assert each.dice == (pytest.approx(sum(one.dice_units for one in own) / len(own) / DICE_ONE) if own else None)
        assert (each.surface_distance is None) == (each.hausdorff_95 is None) == (not any(one.matched for one in own))
    known = [each.dice for each in metrics.regions if each.dice is not None]
    assert metrics.dice == (pytest.approx(sum(known) / len(known)) if known else None)
    assert (metrics.auroc, metrics.accuracy, metrics.positives, metrics.classes) == (None, None, None, ())


def test_the_figures_of_a_class():
    """Three examples: one with half of the voxels right, one missed whole, and one without the class."""
    half = region(dice_units=DICE_ONE // 2, intersection=10, predicted=20, true=20, hausdorff_units=8 << 20)
    missed = region(matched=0, dice_units=0, intersection=0, predicted=0, true=20, distance_units=0, hausdorff_units=0)
    absent = RegionCounts.model_validate(dict.fromkeys(RegionCounts.model_fields, 0))
    counts = pool(SegmentationCounts(records=1, regions=(each,), loss_units=1 << 19) for each in (half, missed, absent))
    found = measure(counts, ("tumour",))
    assert (found.records, found.loss, found.dice) == (3, 0.5, 0.25)
    assert found.regions[0].model_dump() == {
        "name": "tumour",
        "examples": 2,
        "dice": 0.25,
        "pooled_dice": pytest.approx(1 / 3),
        "surface_distance": 3.0,
        "hausdorff_95": 8.0,
        "one_sided": 1,
    }


@pytest.mark.parametrize(
    "change",
    [
        {"present": 0},
        {"matched": 3},
        {"matched": 0},
        {"dice_units": 2 * DICE_ONE + 1},
        {"dice_units": -1},
        {"dice_units": 0.5},
        {"intersection": 0},
        {"intersection": 31},
        {"predicted": 1, "intersection": 1},
        {"true": 2**53},
        {"predicted": 2, "true": 2, "intersection": 2, "present": 3},
        {"present": 0, "matched": 0, "dice_units": 0, "intersection": 0, "distance_units": 0, "hausdorff_units": 0},
        {"distance_units": 2 * MOST_DISTANCE_UNITS + 1},
        {"hausdorff_units": 2 * MOST_DISTANCE_UNITS + 1},
        {"name": "liver"},
    ],
)
def test_overlaps_that_contradict_each_other_are_refused(change):
    RegionCounts.model_validate(GOOD_REGION)
    with pytest.raises(ValidationError):
        RegionCounts.model_validate({**GOOD_REGION, **change})


@pytest.mark.parametrize(
    "change",
    [{"records": 1}, {"records": True}, {"regions": ()}, {"loss_units": 2 * round(LOSS_LIMIT / LOSS_UNIT) + 1}, {"names": NAMES}],
)
def test_examples_that_contradict_their_classes_are_refused(change):
    good = {"records": 2, "regions": (GOOD_REGION,), "loss_units": 5}
    SegmentationCounts.model_validate(good)
    with pytest.raises(ValidationError):
        SegmentationCounts.model_validate({**good, **change})


def test_kinds_do_not_mix():
    """Scores, classes and masks are of different studies; so are masks of another number of classes."""
    one = SegmentationCounts(records=2, regions=(region(),), loss_units=0)
    two = SegmentationCounts(records=2, regions=(region(), region()), loss_units=0)
    for other in (NO_RECORDS, two):
        with pytest.raises(Broken):
            pool([one, other])
    with pytest.raises(Broken):
        measure(one, NAMES)


def test_a_message_says_which_kind_it_is_by_its_keys():
    """Each kind reads back as itself, from an evaluation too; what was written before there were other kinds is scores."""
    import numpy as np

    masks = SegmentationCounts(records=2, regions=(region(),), loss_units=0)
    classes = count_classes(np.eye(2), np.array([0, 1]), np.zeros(2))
    for counts in (NO_RECORDS, classes, masks):
        assert TypeAdapter(Counts).validate_json(counts.model_dump_json()) == counts
        assert Evaluation.model_validate_json(Evaluation(counts=counts).model_dump_json()).counts == counts
    with pytest.raises(ValidationError):
        TypeAdapter(Counts).validate_python({**masks.model_dump(), "positives": ()})
    assert largest_number(masks) == max(GOOD_REGION.values())
