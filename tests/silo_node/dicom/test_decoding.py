"""Pixels are tried in a process of their own: whatever a decoder does there, the check goes on and says it in a code."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import numpy as np
import pydicom
import pytest
from pydicom.uid import RLELossless

from silo_node.dicom import child, trial
from silo_node.dicom.decoding import Trial, looks
from silo_node.dicom.header import read_header
from silo_node.dicom.instance import instance

HOSTILE = """
import os, sys, time
from pathlib import Path
import numpy as np
from silo_node.dicom import trial

def decode(path, _instance):
    name = Path(path).name
    os.write(1, b"u"), os.write(2, b"a name")
    if name == "crash":
        os.abort()
    if name == "hang":
        time.sleep(60)
    if name == "eat":
        np.ones(1 << 33, np.uint8)
    return np.zeros((6, 4))

trial.decode = decode
trial.main(int(sys.argv[1]))
"""
"""The process, with decoders that do what C libraries do to hostile files, and print while they do it."""


@pytest.fixture
def images(write_slice, export):
    """Give images by the names of their files."""

    def given(*names):
        for at, name in enumerate(names):
            write_slice(at, name=name)
        return [instance(read_header(export / name), name) for name in names]

    return given


@pytest.fixture
def hostile(monkeypatch):
    """Have hostile decoders in the process."""
    whole = subprocess.Popen

    def start(command, **settings):
        return whole([sys.executable, "-P", "-c", HOSTILE, command[-1]], **settings)

    monkeypatch.setattr(child.subprocess, "Popen", start)


def test_a_value_beyond_32_bits_is_no_number(images, write_slice, export):
    """It would be infinite as soon as it is learned from."""
    images("a")
    write_slice(1, name="b", RescaleSlope="1e36")
    write_slice(900, name="c", RescaleSlope="1e36")
    found = [instance(read_header(export / name), name) for name in "abc"]
    told = looks(export, found)
    assert [told[image.file].lowest is None for image in found] == [False, False, True]
    assert all(told[image.file].decodes for image in found)


def test_whole_and_broken_pixels(images, export):
    """One process says it of each file; names of files may be any bytes."""
    strange = os.fsdecode(b"\xff \n.dcm")
    found = images("whole", "broken", "cut", strange)
    dataset = pydicom.dcmread(export / "broken")
    dataset.Rows, dataset.Columns, dataset.PixelData = 64, 64, np.zeros((64, 64), np.int16).tobytes()
    dataset.compress(RLELossless)
    dataset.PixelData = dataset.PixelData[:40] + b"\xff" * (len(dataset.PixelData) - 40)
    dataset.save_as(export / "broken")
    (export / "cut").write_bytes((export / "cut").read_bytes()[:-5])
    found[1] = instance(read_header(export / "broken"), "broken")
    done = []
    told = looks(export, found, done.append)
    assert [told[image.file].code for image in found] == [None, "D-DECODE", "D-DECODE", None]
    assert done == [1, 2, 3, 4]


def test_what_ends_or_holds_up_the_decoder(hostile, images, export, capfd):
    """A crash, a hang and a meal of memory each cost one file, and nothing that is printed there is seen here."""
    found = images("crash", "fit", "hang", "eat", "fit too")
    with Trial(export, memory_bytes=1 << 30, seconds=0.5) as one:
        told = [one.look(image).code for image in found]
    assert told[:3] == ["D-CRASH", None, "D-CRASH"]
    assert told[3] == "D-CRASH"  # numpy's MemoryError is none of ours in this process; the next file has a new one
    assert told[4] is None
    assert capfd.readouterr() == ("", "")


def test_text_in_an_image_is_a_reason_to_look(write_slice, export):
    """Strokes at the brightest value there is, on several rows, as devices write."""
    pixels = np.zeros((128, 128), np.int16)
    for column in range(20, 110, 6):
        pixels[40:52, column : column + 2] = 1000
    path = write_slice(1, pixels=pixels)
    image = instance(read_header(path), path.name)
    assert looks(export, [image])[path.name].code == "D-BURNED"


def test_lowest_and_highest_are_those_after_slope_and_intercept(write_slice, export):
    """Whatever the slope's sign; the same pixels have the same digest, whatever else the file says."""
    pixels = np.arange(24, dtype=np.int16).reshape(6, 4)
    paths = [write_slice(1, pixels=pixels), write_slice(2, pixels=pixels, RescaleSlope=-2), write_slice(3, pixels=pixels + 1)]
    told = looks(export, [instance(read_header(path), path.name) for path in paths])
    first, turned, other = (told[path.name] for path in paths)
    assert (first.lowest, first.highest, first.decodes) == (-1024, -1001, True)
    assert (turned.lowest, turned.highest) == (-1070, -1024)
    assert first.digest == turned.digest != other.digest


def test_what_is_no_number_has_no_ends(write_slice, export):
    """One voxel that is no number spoils a training."""
    path = write_slice(1, PixelData=None)
    dataset = pydicom.dcmread(path)
    pixels = np.zeros((6, 4), np.float32)
    pixels[2, 2] = np.nan
    dataset.FloatPixelData, dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = pixels.tobytes(), 32, 32, 31
    dataset.save_as(path)
    look = looks(export, [instance(read_header(path), path.name)])[path.name]
    assert (look.code, look.decodes, look.lowest) == (None, True, None)


@pytest.mark.parametrize("line", ["", "D-DECODE", '{"code": "D-OTHER"}', '{"lowest": "a name"}'])
def test_a_process_that_was_taken_over_says_nothing_of_its_own(images, export, monkeypatch, line):
    """What is no answer counts as none."""
    (image,) = images("whole")
    with Trial(export) as one:
        monkeypatch.setattr(one._child, "ask", lambda *_: f"{line}\n".encode())
        assert one.look(image).code == "D-CRASH"


def test_no_process_is_left(images, export):
    """Not after the last file, and none is started for no file."""
    (image,) = images("whole")
    with Trial(export) as one:
        assert one._child._running is None
        one.look(image)
        process = one._child._running.process
    assert process.poll() == -signal.SIGKILL


def test_whoever_asked_may_be_gone(images, export):
    """Standard input ends, and the process with it."""
    (image,) = images("whole")
    asked = trial.question(export, image)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "silo_node.dicom.trial", str(1 << 30)], input=asked, capture_output=True, check=True
    )
    ready, answer = done.stdout.splitlines(keepends=True)
    assert (ready, trial.LOOK.validate_json(answer).code, done.stderr) == (child.READY, None, b"")


WAY_OUT = """
import sys
from silo_node.dicom.child import serve
from silo_node.training.probes import native_gets_out, python_gets_out
serve(2 * 1024**3, lambda port: f"{python_gets_out()} {native_gets_out(int(port))}\\n".encode())
"""
CUT = "from silo_node.training.network import cut_network; print(cut_network())"


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel cuts networks on Linux only")
def test_a_process_that_decodes_has_no_network():
    """Python makes no socket; native code reaches no port where the kernel lets a process cut itself off, as the trainer is."""
    cut = subprocess.run([sys.executable, "-c", CUT], check=True, capture_output=True, text=True).stdout.strip()
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = f"{door.getsockname()[1]}\n".encode()
        said = subprocess.run([sys.executable, "-c", WAY_OUT], input=port, check=True, capture_output=True).stdout
    assert said.split(b"\n")[:2] == [b"ready", b"False False" if cut == "kernel" else b"False True"]
