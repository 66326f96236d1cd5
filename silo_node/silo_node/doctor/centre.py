"""What a hospital sees of the centre that it joined: name, way, certificate, clock, and whether it lets the node in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from silo_node.flower.enrolled import ask_enrolled
from silo_node.identity import KEYS, NODE_KEY
from silo_node.joining import Joined
from silo_node.preflight import compare_clocks, ending
from wardround.doctor.lines import Line, refused
from wardround.doctor.machine import proxy_variables
from wardround.errors import Refused
from wardround.identity.tls import expiry
from wardround.transport.clocks import AHEAD_SECONDS
from wardround.transport.greeting import Greeting, greet
from wardround.values import instant

TOLD_SECONDS = 2.0
"""A clock that is surely further from the centre's is told, long before the centre minds."""


def connection(joined: Joined) -> Iterator[Line]:
    """Connect once as the node will, and say how far it went."""
    try:
        greeting = greet(joined.address, joined.authority)
    except Refused as error:
        if error.codes == ("N-UNREACHABLE",):
            yield from refused("centre", error)
            yield _proxies(reached=False)
            unseen = ["certificate", "certificates end", "clock", "enrolled"]
        else:
            yield _reached(joined)
            yield _proxies(reached=True)
            yield from refused("certificate", error)
            unseen = ["certificates end", "clock", "enrolled"]
        yield from (Line(name=name, state="skipped", finding="not seen without a good connection") for name in unseen)
        return
    yield _reached(joined)
    yield _proxies(reached=True)
    yield Line(name="certificate", state="ok", finding="it names the address, and the authority that was joined signed it")
    yield from _ends(joined, greeting)
    yield _clock(joined, greeting)
    yield _enrolled(joined)


def _reached(joined: Joined) -> Line:
    return Line(name="centre", state="ok", finding=f"something answers at {joined.address}")


def _proxies(*, reached: bool) -> Line:
    """Say what becomes of the proxy that this environment names: nothing, a node connects straight."""
    named = ", ".join(proxy_variables())
    if not named:
        return Line(name="proxy", state="ok", finding="none is set here; a node connects straight")
    if reached:
        finding = f"{named} is set here; a node takes no proxy: it connects straight, and that works"
        return Line(name="proxy", state="ok", finding=finding)
    return Line(
        name="proxy",
        state="warn",
        finding=f"{named} is set here; a node takes no proxy: it connects straight",
        next_step="let this machine out to the centre's address by TCP, past the proxy",
    )


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


def _enrolled(joined: Joined) -> Line:
    key = joined.authority.parent.parent / KEYS / NODE_KEY
    if not _readable(key):
        return Line(name="enrolled", state="skipped", finding="the node's key cannot be read")
    answer = ask_enrolled(joined.address, joined.authority, key)
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
