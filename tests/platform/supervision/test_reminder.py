"""A running service says again and again what has to be seen to, and nothing that goes wrong in it ends the service."""

from supervised import eventually

from wardround.errors import refuse
from wardround.supervision.reminder import remind_daily


def test_it_is_told_now_and_every_day():
    """Also after a day on which it could not be found out."""
    days = iter([["one"], None, ["two", "three"]])
    told = []

    def lines():
        found = next(days, [])
        if found is None:
            raise refuse("Y-FILE", "x", "x", "x", "x")
        return found

    remind_daily(lines, told.append, pause_seconds=0.01)
    eventually(lambda: told == ["one", "two", "three"])
