"""Whether the tables that a hospital may export can be decoded here."""

import sys

from silo_node.doctor.rehearsal import COMPRESSIONS, SYNTAXES, codecs


def test_every_compression_of_parquet_is_tried():
    """What polars brings reads all of them."""
    line = codecs()
    assert line.state == "ok"
    assert all(name in line.finding for name in COMPRESSIONS)


def test_what_decodes_compressed_pixels_is_named(monkeypatch):
    """The extra brings all of them; one that is absent is named as such, and so is the whole of it."""
    assert codecs().finding.endswith(f"DICOM in uncompressed, {', '.join(SYNTAXES)}")
    monkeypatch.setattr("silo_node.dicom.pixels.decodes", lambda syntax: syntax == SYNTAXES["RLE"])
    assert codecs().finding.endswith("DICOM in uncompressed, RLE, not in JPEG, JPEG lossless, JPEG-LS, JPEG 2000")
    monkeypatch.setitem(sys.modules, "silo_node.dicom.pixels", None)
    assert "wardround-silo-node[imaging] is not installed" in codecs().finding


def test_one_that_cannot_be_read_is_named():
    """It is the only one that is named, and it comes with a next step."""
    line = codecs((*COMPRESSIONS, "lzo"))
    assert line.state == "warn"
    assert line.finding.endswith(": lzo")
    assert line.next_step is not None
