"""Before a node starts: can the centre be reached, and is it the one that this hospital joined?"""

from __future__ import annotations

from datetime import UTC, datetime

from silo_node.joining import Joined
from silo_node.way_out import WayOut
from wardround.errors import refuse
from wardround.identity.tls import ends_soon, expiry
from wardround.transport.clocks import AHEAD_SECONDS, BEHIND_SECONDS
from wardround.transport.greeting import Greeting, greet
from wardround.values import instant


def greet_centre(joined: Joined, way_out: WayOut | None = None) -> Greeting:
    """Connect to the centre's public address with the pinned authority, in the way that the node will, and ask how it is.

    Raises:
        Refused: N-CREDENTIALS, N-PROXY, N-PROXYAUTH, N-PROXYDENIED; N-UNREACHABLE, N-EXPIRED, N-CLOCK, N-NAME, N-CENTRE.
    """
    route = None if way_out is None else way_out.route()
    if route is None:
        return greet(joined.address, joined.authority)
    from wardround.transport.proxy import greet_through  # noqa: PLC0415  (an HTTP library, for those who have a proxy)

    return greet_through(joined.address, joined.authority, route)


def check_centre(joined: Joined, way_out: WayOut | None = None) -> datetime:
    """Greet the centre, and compare the clocks.

    Gives the moment when the server's certificate expires.

    Raises:
        Refused: what ``greet_centre`` raises; N-CLOCK.
    """
    greeting = greet_centre(joined, way_out)
    compare_clocks(joined.address, greeting)
    return greeting.end


def ending(joined: Joined, server_end: datetime, now: datetime | None = None) -> list[str]:
    """Say, a line for each, which of the centre's certificates end within a month, and what to do.

    Args:
        joined: the centre that the hospital joined, with its pinned authority.
        server_end: when the certificate that the centre showed expires.
        now: the time here; the clock's when not given.
    """
    moment, authority_end = now or datetime.now(UTC), expiry(joined.authority.read_bytes())
    told = {
        server_end: "the centre's certificate expires {}; ask its operator to renew it: nothing changes here",
        authority_end: "the centre's authority expires {}; ask its operator: this hospital will have to join again",
    }
    return [text.format(instant(end)) for end, text in told.items() if ends_soon(end, moment)]


def compare_clocks(address: str, greeting: Greeting) -> None:
    """Hold this machine's clock against the centre's.

    Raises:
        Refused: N-CLOCK when the centre would turn away this node's signatures.
    """
    ahead = greeting.answered - greeting.told
    if -BEHIND_SECONDS < ahead < AHEAD_SECONDS:
        return
    raise refuse(
        "N-CLOCK",
        address,
        f"A node's clock is at most {AHEAD_SECONDS:.0f} s ahead of the centre's and {BEHIND_SECONDS:.0f} s behind it",
        f"it is {abs(ahead):.0f} s {'ahead' if ahead > 0 else 'behind'}",
        "set the clocks of both machines (NTP)",
    )
