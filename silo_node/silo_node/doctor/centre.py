"""What a hospital sees of the centre that it joined: name, way, certificate, clock, and whether it lets the node in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from silo_node.flower.enrolled import ask_enrolled
from silo_node.identity import KEYS, NODE_KEY
from silo_node.joining import Joined
from silo_node.preflight import compare_clocks, ending, greet_centre
from silo_node.way_out import WayOut
from wardround.doctor.lines import Line, refused
from wardround.doctor.machine import proxy_variables
from wardround.errors import Refused
from wardround.identity.tls import expiry
from wardround.transport.clocks import AHEAD_SECONDS
from wardround.transport.greeting import Greeting
from wardround.values import instant

TOLD_SECONDS = 2.0
"""A clock that is surely further from the centre's is told, long before the centre minds."""


PROXY_CODES = frozenset({"N-PROXY", "N-PROXYAUTH", "N-PROXYDENIED", "N-CREDENTIALS", "Y-VALUE", "Y-FILE"})
"""What is wrong with the proxy or what is said of it; everything behind it has not been seen then."""


def connection(joined: Joined, way_out: WayOut | None = None) -> Iterator[Line]:
    """Connect once as the node will, and say how far it went."""
    try:
        greeting = greet_centre(joined, way_out)
    except Refused as error:
        if set(error.codes) <= PROXY_CODES:
            yield Line(name="centre", state="skipped", finding="not seen past the proxy")
            yield from refused("proxy", error)
            unseen = ["certificate", "certificates end", "clock", "enrolled"]
        elif error.codes == ("N-UNREACHABLE",):
            yield from refused("centre", error)
            yield _proxies(way_out, reached=False)
            unseen = ["certificate", "certificates end", "clock", "enrolled"]
        else:
            yield _reached(joined)
            yield _proxies(way_out, reached=True)
            yield from refused("certificate", error)
            unseen = ["certificates end", "clock", "enrolled"]
        yield from (Line(name=name, state="skipped", finding="not seen without a good connection") for name in unseen)
        return
    yield _reached(joined)
    yield _proxies(way_out, reached=True)
    yield Line(name="certificate", state="ok", finding="it names the address, and the authority that was joined signed it")
    yield from _ends(joined, greeting)
    yield _clock(joined, greeting)
    yield _enrolled(joined, way_out)


def _reached(joined: Joined) -> Line:
    return Line(name="centre", state="ok", finding=f"something answers at {joined.address}")


def _proxies(way_out: WayOut | None, *, reached: bool) -> Line:
    """Say by which proxy the node connects, if any, and what becomes of one that only the environment names."""
    said = "none" if way_out is None else way_out.proxy
    route = None if way_out is None else way_out.route()
    if route is not None:
        whose = "https_proxy" if said == "environment" else "site.yaml"
        known = "without credentials" if route.credentials is None else "with credentials"
        finding = f"the node connects through {route}, which {whose} names, {known}"
        return Line(
            name="proxy", state="ok", finding=finding + (", and that works" if reached else "; it lets this machine through")
        )
    if said != "none":
        return Line(name="proxy", state="ok", finding="a node connects straight: the centre is excepted, or no proxy is named")
    named = ", ".join(proxy_variables())
    if not named:
        return Line(name="proxy", state="ok", finding="none is set here; a node connects straight")
    finding = f"{named} is set here, and site.yaml names no proxy: a node connects straight"
    if reached:
        return Line(name="proxy", state="ok", finding=f"{finding}, and that works")
    step = "write 'proxy: environment' in site.yaml to use it, or let this machine out to the centre's address by TCP"
    return Line(name="proxy", state="warn", finding=finding, next_step=step)


def _ends(joined: Joined, greeting: Greeting) -> Iterator[Line]:
    soon = ending(joined, greeting.end)
    for text in soon:
        finding, _, step = text.partition("; ")
        yield Line(name="certificates end", state="warn", finding=finding, next_step=step)
    if not soon:
        authority = expiry(joined.authority.read_bytes())
        finding = f"the centre's {instant(greeting.end)}, its authority's {instant(authority)}"
        yield Line(name="certificates end", state="ok", finding=finding)


def _clock(joined: Joined, greeting: Greeting) -> Line:
    ahead, unsure = greeting.ahead_seconds, greeting.unsure_seconds
    way = "ahead of" if ahead > 0 else "behind"
    finding = f"{abs(ahead):.1f} s {way} the centre's, within {unsure:.1f} s on either side"
    try:
        compare_clocks(joined.address, greeting)
    except Refused as error:
        (line,) = refused("clock", error)
        return line
    if abs(ahead) - unsure <= TOLD_SECONDS:
        return Line(name="clock", state="ok", finding=finding)
    next_step = f"set the clocks of both machines (NTP): from {AHEAD_SECONDS:.0f} s ahead on the centre turns the node away"
    return Line(name="clock", state="warn", finding=finding, next_step=next_step)


def _enrolled(joined: Joined, way_out: WayOut | None) -> Line:
    key = joined.authority.parent.parent / KEYS / NODE_KEY
    if not _readable(key):
        return Line(name="enrolled", state="skipped", finding="the node's key cannot be read")
    answer = ask_enrolled(joined.address, joined.authority, key, way_out=way_out)
    if answer == "yes":
        return Line(name="enrolled", state="ok", finding="the centre knows this node's key")
    if answer == "unknown":
        finding = "the centre did not say; it shows when the node starts first"
        return Line(name="enrolled", state="skipped", finding=finding)
    next_step = "ask the operator whether the centre runs whole, and to enrol this site's request.json"
    finding = "the centre does not know this node's key" if answer == "no" else "the centre does not accept this node's signature"
    return Line(name="enrolled", state="fail", finding=finding, next_step=next_step, code="N-REFUSED")


def _readable(path: Path) -> bool:
    return os.access(path, os.R_OK)
