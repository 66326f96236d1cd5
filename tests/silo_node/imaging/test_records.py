"""The images of a study's records: told apart by their bytes, and by nothing of their names."""

import numpy as np
import polars as pl
import pytest

from silo_node.dicom.pixels import UndecodableError
from silo_node.imaging.keyed import Fit, Keyed, states_of
from silo_node.imaging.preparable import Grid
from silo_node.imaging.records import ImageSet
from wardround.errors import Refused

GRID = Grid((4, 6), colours=False, affine=np.eye(4))
CANARY = "MUELLER-1950-01-01"


def images(folder, contract=None):
    """Give a set of two images, of bytes that are no image: only they are hashed."""
    fit = {}
    for key in ("a", "b"):
        path = folder / f"{CANARY}-{key}.dcm"
        if not path.exists():
            path.write_bytes(key.encode() * 100)
        fit[key] = Fit((path,), lambda: pytest.fail("a fingerprint reads no image"), states_of([path]), GRID)
    return ImageSet(contract, "series", Keyed("series", fit, {}, {}))


def parts(*keys):
    return [pl.DataFrame({"series": list(keys)}, schema={"series": pl.String})]


def test_one_changed_byte_is_another_fingerprint(tmp_path):
    """Only the bytes of the images that are used count."""
    found = images(tmp_path)
    before, of_one = found.fingerprint("records", parts("a", "b")), found.fingerprint("records", parts("a"))
    assert images(tmp_path).fingerprint("records", parts("a", "b")) == before
    assert found.fingerprint("other records", parts("a", "b")) != before
    path = tmp_path / f"{CANARY}-b.dcm"
    path.write_bytes(path.read_bytes()[:-1] + b"c")
    assert images(tmp_path).fingerprint("records", parts("a", "b")) != before
    assert found.fingerprint("records", parts("a")) == of_one


def test_an_image_that_is_another_by_now_is_not_used(tmp_path):
    """Neither is its fingerprint taken nor is it trained on, though it can be read: it was not checked."""
    found = images(tmp_path)
    path = tmp_path / f"{CANARY}-b.dcm"
    fit = Fit((path,), lambda: ("array", "affine", None), states_of([path]), GRID)
    assert fit.read() == ("array", "affine", None)
    path.write_bytes(b"c" * 101)
    with pytest.raises(UndecodableError):
        fit.read()
    with pytest.raises(Refused) as caught:
        found.fingerprint("records", parts("a", "b"))
    assert caught.value.codes == ("D-FOLDER",)
    assert CANARY not in str(caught.value)


def test_an_image_that_went_away_is_told_without_its_name(tmp_path):
    """One clear refusal, as a file system's own error would name the path."""
    found = images(tmp_path)
    (tmp_path / f"{CANARY}-b.dcm").unlink()
    with pytest.raises(Refused) as caught:
        found.fingerprint("records", parts("a", "b"))
    assert caught.value.codes == ("D-FOLDER",)
    assert CANARY not in str(caught.value)
    assert caught.value.__cause__ is None
