"""Networks of their own for a centre and its hospitals on one Linux machine, with a firewall before each hospital.

Each is a network namespace with one network device. All devices end in this process, which is what lies between them: it
carries a packet to a hospital only if it answers a connection that the hospital opened, and lets a hospital open
connections to the centre's one port only. It is stateful as hospitals' firewalls are: by protocol, addresses and ports.
"""

from __future__ import annotations

import fcntl
import os
import re
import select
import shutil
import struct
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from types import TracebackType
from typing import Self

TUN = Path("/dev/net/tun")
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
TCP = 6
SYN, ACK = 0x02, 0x10
LARGEST_PACKET = 65536
CENTRE = "10.77.0.1"


@dataclass(frozen=True)
class Packet:
    """What a firewall looks at."""

    source: str
    target: str
    protocol: int
    source_port: int
    target_port: int
    flags: int

    @property
    def connection(self) -> tuple[str, int, str, int]:
        """Both ends, its own first."""
        return self.source, self.source_port, self.target, self.target_port

    @property
    def answered(self) -> tuple[str, int, str, int]:
        """Both ends, its own last."""
        return self.target, self.target_port, self.source, self.source_port


def read_packet(data: bytes) -> Packet | None:
    """Take an IPv4 packet's head apart; None for other protocols than IPv4."""
    if len(data) < 20 or data[0] >> 4 != 4:
        return None
    at, protocol = 4 * (data[0] & 15), data[9]
    source, target = (str(IPv4Address(data[start : start + 4])) for start in (12, 16))
    if protocol != TCP or len(data) < at + 14:
        return Packet(source, target, protocol, 0, 0, 0)
    ports = struct.unpack_from("!HH", data, at)
    return Packet(source, target, protocol, *ports, data[at + 13])


def unable() -> str | None:
    """Say why this cannot be had here; None when it can."""
    if os.geteuid() != 0:
        return "network namespaces are root's"
    if shutil.which("ip") is None or not TUN.exists():
        return "this machine has no ip command or no /dev/net/tun"
    name = f"wardround-{os.getpid()}-try"
    tried = subprocess.run(["ip", "netns", "add", name], check=False, capture_output=True)
    if tried.returncode != 0:
        return "this machine allows no network namespace"
    subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
    return None


@dataclass
class Networks:
    """A centre's network and its hospitals', and what went between them.

    Attributes:
        hospitals: their names; each has an address.
        port: the only port of the centre that hospitals may connect to.
        opened: connections that hospitals opened, as source, port, target, port.
        dropped: packets that the firewalls did not carry.
    """

    hospitals: Sequence[str]
    port: int
    opened: set[tuple[str, int, str, int]] = field(default_factory=set)
    dropped: list[Packet] = field(default_factory=list)

    def address(self, name: str) -> str:
        """Give the address of the centre or of a hospital."""
        return CENTRE if name == "centre" else f"10.77.0.{11 + list(self.hospitals).index(name)}"

    def space(self, name: str) -> str:
        """Give the name of a network namespace."""
        return f"wardround-{os.getpid()}-{name}"

    def inside(self, name: str) -> list[str]:
        """Give the words before a command that is to run in a network."""
        return ["ip", "netns", "exec", self.space(name)]

    def __enter__(self) -> Self:
        """Make the networks, and begin to carry packets."""
        remove_left_behind()
        self._ends: dict[int, str] = {}
        self._stop = os.pipe()
        self._thread = threading.Thread(target=self._carry, daemon=True)
        try:
            for number, name in enumerate(("centre", *self.hospitals)):
                self._make(name, f"wr{os.getpid() % 10**7}x{number}")
        except BaseException:
            self._remove()
            raise
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Remove the networks, whatever happened in them."""
        os.write(self._stop[1], b"x")
        self._thread.join(10)
        self._remove()

    def _make(self, name: str, device: str) -> None:
        space = self.space(name)
        _ip("netns", "add", space)
        end = os.open(TUN, os.O_RDWR | os.O_NONBLOCK)
        self._ends[end] = name
        fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TUN | IFF_NO_PI))
        _ip("link", "set", device, "netns", space)
        _ip("-n", space, "link", "set", "lo", "up")
        _ip("-n", space, "addr", "add", f"{self.address(name)}/24", "dev", device)
        _ip("-n", space, "link", "set", device, "up")

    def _remove(self) -> None:
        for end in (*self._ends, *self._stop):
            os.close(end)
        for name in ("centre", *self.hospitals):
            subprocess.run(["ip", "netns", "del", self.space(name)], check=False, capture_output=True)

    def _carry(self) -> None:
        by_address = {self.address(name): end for end, name in self._ends.items()}
        while True:
            ready, _, _ = select.select([*self._ends, self._stop[0]], [], [])
            if self._stop[0] in ready:
                return
            for end in ready:
                with suppress(OSError):  # a device whose queue is full drops it, as networks do
                    data = os.read(end, LARGEST_PACKET)
                    packet = read_packet(data)
                    if packet is None:
                        continue
                    if packet.target not in by_address or not self._allowed(packet, self._ends[end]):
                        self.dropped.append(packet)
                        continue
                    os.write(by_address[packet.target], data)

    def _allowed(self, packet: Packet, sender: str) -> bool:
        if packet.source != self.address(sender) or packet.protocol != TCP:
            return False
        if sender != "centre":
            if packet.flags & (SYN | ACK) == SYN and (packet.target, packet.target_port) == (CENTRE, self.port):
                self.opened.add(packet.connection)
            return packet.connection in self.opened
        return bool(packet.flags & ACK) and packet.answered in self.opened


def remove_left_behind() -> None:
    """Remove what a process that was killed could not."""
    listed = subprocess.run(["ip", "netns", "list"], check=True, capture_output=True, text=True, timeout=30).stdout
    for name in re.findall(r"^(wardround-[0-9]+-\S+)", listed, flags=re.MULTILINE):
        if not Path(f"/proc/{name.split('-')[1]}").exists():
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=30)
