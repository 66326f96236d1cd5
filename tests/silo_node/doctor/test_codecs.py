"""Whether the tables that a hospital may export can be decoded here."""

from silo_node.doctor.rehearsal import COMPRESSIONS, codecs


def test_every_compression_of_parquet_is_tried():
    """What polars brings reads all of them."""
    line = codecs()
    assert line.state == "ok"
    assert all(name in line.finding for name in COMPRESSIONS)


def test_one_that_cannot_be_read_is_named():
    """It is the only one that is named, and it comes with a next step."""
    line = codecs((*COMPRESSIONS, "lzo"))
    assert line.state == "warn"
    assert line.finding.endswith(": lzo")
    assert line.next_step is not None
