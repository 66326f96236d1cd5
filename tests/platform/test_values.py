"""Moments as text."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import TypeAdapter, ValidationError

from wardround.values import Instant, instant, moment

INSTANT = TypeAdapter(Instant)


def test_a_moment_is_written_in_utc():
    """Whatever the zone, the same moment is the same text, and comes back."""
    there = datetime(2026, 3, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    assert instant(there) == INSTANT.validate_python("2026-02-28T23:30:00Z")
    assert moment(instant(there)) == there.astimezone(UTC)


@pytest.mark.parametrize(
    "text",
    ["", "2026-02-30T00:00:00Z", "2026-02-03T24:00:00Z", "2026-02-03T00:00:00", "2026-2-3T0:0:0Z", "٢٠٢٦-02-03T00:00:00Z",
     "2026-02-03T00:00:00Z\n"],
)  # fmt: skip
def test_what_is_no_moment_is_refused(text):
    """Days that the calendar does not have, other zones, other digits."""
    with pytest.raises(ValidationError):
        INSTANT.validate_python(text)
