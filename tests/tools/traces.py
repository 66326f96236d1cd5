"""Looks for planted texts and numbers in bytes, in every plain form that bytes may have."""

from __future__ import annotations

import base64
import re
import struct
import zlib
from collections.abc import Iterable, Iterator

import numpy as np

WINDOW = 8
"""What is looked for has at least this many bytes."""
LARGEST_INFLATED = 1 << 22
DEPTH = 2

_COMPRESSED = re.compile(rb"(?=\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08)")
_HEX = re.compile(rb"(?:[0-9a-fA-F]{2}[\s:]?){8,}")
_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/_-][\r\n]*){12,}")


class Index:
    """Byte strings by their first 8 bytes: those are compared with all windows of a layer at once."""

    def __init__(self, wanted: Iterable[bytes]) -> None:
        """Take the byte strings."""
        self._by_start: dict[bytes, list[bytes]] = {}
        for each in wanted:
            assert len(each) >= WINDOW, "too short to be looked for"
            self._by_start.setdefault(each[:WINDOW], []).append(each)
        self._starts = np.sort(np.frombuffer(b"".join(self._by_start), dtype=np.uint64))

    def found(self, layer: bytes) -> set[bytes]:
        """Give which of them stand in a layer."""
        if len(layer) < WINDOW or not self._by_start:
            return set()
        buffer = np.frombuffer(layer, dtype=np.uint8)
        windows = np.lib.stride_tricks.sliding_window_view(buffer, WINDOW).copy().view(np.uint64).ravel()
        nearest = self._starts[np.searchsorted(self._starts, windows).clip(max=self._starts.size - 1)]
        places = np.nonzero(nearest == windows)[0].tolist()
        near = ((place, each) for place in places for each in self._by_start[layer[place : place + WINDOW]])
        return {each for place, each in near if layer.startswith(each, place)}


class Traces:
    """Texts (looked for in any case) and numbers (as 8-byte floats of both orders)."""

    def __init__(self, texts: Iterable[str], numbers: Iterable[float] = ()) -> None:
        """Take what is looked for."""
        self._texts = Index({text.lower().encode() for text in texts})
        self._floats = {struct.pack(order, number): repr(number) for number in numbers for order in ("<d", ">d")}
        self._numbers = Index(self._floats)

    def found(self, data: bytes) -> set[str]:
        """Give what stands in some bytes, or in what they decode to."""
        seen: set[str] = set()
        for layer in layers(data):
            seen |= {text.decode() for text in self._texts.found(layer.lower())}
            seen |= {self._floats[each] for each in self._numbers.found(layer)}
        return seen


def layers(data: bytes, depth: int = DEPTH) -> Iterator[bytes]:
    """Give the bytes, and what is in them as UTF-16 or UTF-32, hexadecimal, base64, zlib or gzip, one within another."""
    yield data
    if len(data) < WINDOW or depth == 0:
        return
    for step in (2, 4):
        for start in range(step):
            yield data[start::step]
    inner = [*_inflated(data), *_from_hexadecimal(data), *_from_base64(data)]
    for each in inner:
        yield from layers(each, depth - 1)


def _inflated(data: bytes) -> Iterator[bytes]:
    for place in _COMPRESSED.finditer(data):
        try:
            inflated = zlib.decompressobj(wbits=47).decompress(data[place.start() :], LARGEST_INFLATED)
        except zlib.error:
            continue
        if len(inflated) >= WINDOW:
            yield inflated


def _from_hexadecimal(data: bytes) -> Iterator[bytes]:
    """Decode all runs of hexadecimal digits, joined by a zero byte, from both places where a byte can begin."""
    runs = [re.sub(rb"[\s:]", b"", run.group()) for run in _HEX.finditer(data)]
    for start in (0, 1):
        decoded = b"\0".join(bytes.fromhex(run[start : start + (len(run) - start) // 2 * 2].decode()) for run in runs)
        if decoded:
            yield decoded


def _from_base64(data: bytes) -> Iterator[bytes]:
    """Decode all runs of base64 characters, of either alphabet, from all four places where a group can begin."""
    runs = [re.sub(rb"[\r\n]", b"", run.group()) for run in _BASE64.finditer(data)]
    for start in range(4):
        whole = [run[start : start + (len(run) - start) // 4 * 4] for run in runs]
        decoded = b"\0".join(base64.b64decode(run.replace(b"-", b"+").replace(b"_", b"/")) for run in whole)
        if decoded:
            yield decoded
