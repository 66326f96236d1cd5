"""What decoding shows: values, images of one value, and the same image under two patients."""

from __future__ import annotations

from lesion_contract import LESION

from silo_node.dicom.index import Index
from silo_node.dicom.trial import Look
from silo_node.imaging.judge import judge
from silo_node.imaging.looked import with_pixels
from wardround.contract.imaging import ImagingContract

HU = {"unit": "HU", "possible": {"low": -1024, "high": 3000}}
FINE = Look(None, -1000, 400, "fine")


def looked(export, tmp_path, looks, text_refuses=False, **changed):
    """Give codes and warnings of each example."""
    contract = ImagingContract.model_validate({**LESION, "intensity": HU, **changed})
    index = Index(tmp_path / "index.sqlite", export)
    index.update()
    found = with_pixels(judge(index.entries(), contract), looks, contract, text_refuses=text_refuses)
    return [(each.codes, each.warnings) for each in found.examples], [each.at for each in found.examples]


def series(write_slice, number=1, patient="P1", slices=4, **changed):
    uid = f"1.2.3.{number}"
    for slice_number in range(slices):
        name, study = f"{number}-{slice_number}", f"{uid}.9"
        write_slice(
            slice_number,
            name=name,
            StudyInstanceUID=study,
            SeriesInstanceUID=uid,
            BodyPartExamined="CHEST",
            PatientID=patient,
            **changed,
        )


def test_beside_what_spoke_against_it_before(write_slice, export, tmp_path):
    """The others stay as they were."""
    series(write_slice, 1)
    series(write_slice, 2, RescaleSlope=0)
    series(write_slice, 3)
    codes, at = looked(export, tmp_path, {"1-2": Look("D-DECODE"), "2-1": Look("D-CRASH"), "3-0": FINE})
    assert codes == [(("D-DECODE",), ()), (("D-CRASH", "D-RESCALE"), ()), ((), ())]
    assert at == [{"D-DECODE": "1-2"}, {"D-CRASH": "2-1", "D-RESCALE": "2-0"}, {}]


def test_values_that_cannot_be(write_slice, export, tmp_path):
    """The lowest, the highest, and what is no number; the ends of the range are in it. Unread, nothing is said of them."""
    looks = (
        Look(None, -1024, 3000, "a"),
        Look(None, -1025, 0, "b"),
        Look(None, 0, 3001, "c"),
        Look(None, None, None, "d"),
        Look("D-DECODE"),
    )
    for number in range(len(looks)):
        series(write_slice, number + 1)
    told = {f"{number + 1}-1": look for number, look in enumerate(looks)}
    codes, _ = looked(export, tmp_path, told)
    bad = (("D-INTENSITY",), ())
    assert codes == [((), ()), bad, bad, bad, (("D-DECODE",), ())]
    codes, _ = looked(export, tmp_path, told, intensity={"unit": "HU"})
    assert codes == [((), ()), ((), ()), ((), ()), bad, (("D-DECODE",), ())]


def test_an_image_of_one_value(write_slice, export, tmp_path):
    """All slices of a stack, or none: a slice of nothing but air is common. Where not all were read, it is not known."""
    for number in (1, 2, 3):
        series(write_slice, number)
    air = Look(None, -1000, -1000, "air")
    looks = {f"1-{at}": air for at in range(4)} | {f"2-{at}": air for at in range(3)} | {"3-0": air}
    codes, at = looked(export, tmp_path, {**looks, "2-3": FINE})
    assert (codes, at[0]) == ([(("D-CONST",), ()), ((), ()), ((), ())], {"D-CONST": "1-0"})
    codes, _ = looked(export, tmp_path, {**looks, "1-3": Look(None, 0, 0, "water")})
    assert codes[0] == ((), ())


def test_the_same_image_twice(write_slice, export, tmp_path):
    """Under two patients both are set aside, whatever their UIDs; under one it is a warning; within a stack, nothing."""
    series(write_slice, 1, "P1")
    series(write_slice, 2, "P2")
    series(write_slice, 3, "P3")
    series(write_slice, 4, "P3")
    looks = {"1-1": FINE, "2-1": FINE, "3-0": Look(None, 0, 9, "x"), "4-0": Look(None, 0, 9, "x")}
    looks |= {"3-1": Look(None, 0, 9, "y"), "3-2": Look(None, 0, 9, "y")}
    codes, at = looked(export, tmp_path, looks)
    assert codes == [(("D-COPY",), ()), (("D-COPY",), ()), ((), ("D-COPY",)), ((), ("D-COPY",))]
    assert at[0] == {"D-COPY": "1-1"}
    air = Look(None, 0, 0, "air")
    assert looked(export, tmp_path, {"1-1": air, "2-1": air})[0][0] == ((), ())


def test_without_a_patient_id_studies_tell_patients_apart(write_slice, export, tmp_path):
    """Two studies without one may be of two patients."""
    series(write_slice, 1, "")
    series(write_slice, 2, "")
    codes, _ = looked(export, tmp_path, {"1-1": FINE, "2-1": FINE})
    assert all("D-COPY" in each for each, _ in codes)


def test_what_looks_like_text(write_slice, export, tmp_path):
    """A reason to look, unless the hospital's policy takes it for enough."""
    series(write_slice, 1)
    text = {"1-1": Look("D-BURNED", -1000, 400, "text")}
    assert looked(export, tmp_path, text)[0] == [((), ("D-BURNED",))]
    assert looked(export, tmp_path, text, text_refuses=True)[0] == [(("D-BURNED",), ())]
