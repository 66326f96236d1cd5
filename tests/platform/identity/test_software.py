"""The digest of the code: what an approval signs beside the study."""

import marshal
from importlib.util import MAGIC_NUMBER, cache_from_source, source_hash
from pathlib import Path

import pytest

from wardround.identity import software


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Give a small package's folder as the only installed code."""
    folder = tmp_path / "house"
    (folder / "room").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "room" / "door.py").write_text("OPEN = 1\n")
    (folder / "table.yaml").write_text("a: 1\n")
    monkeypatch.setattr(software, "files", lambda name: tmp_path / name)
    return folder


@pytest.mark.parametrize("file", ["__init__.py", "room/door.py", "table.yaml"])
def test_one_changed_byte_of_code_is_other_code(package, file):
    """Any change in any file of code or schema changes the digest, and changing it back restores it."""
    before, content = software.code_digest(["house"]), (package / file).read_bytes()
    (package / file).write_bytes(content + b"#")
    assert software.code_digest(["house"]) != before
    (package / file).write_bytes(content)
    assert software.code_digest(["house"]) == before


def test_added_moved_and_removed_files_are_other_code(package):
    """The digest is over names as well as contents."""
    seen = {software.code_digest(["house"])}
    (package / "room" / "window.py").write_text("OPEN = 1\n")
    seen.add(software.code_digest(["house"]))
    (package / "room" / "door.py").unlink()
    seen.add(software.code_digest(["house"]))
    (package / "room" / "window.py").rename(package / "window.py")
    seen.add(software.code_digest(["house"]))
    assert len(seen) == 4


def test_what_python_writes_beside_is_not_code(package):
    """Compiled caches come and go without changing the digest."""
    before = software.code_digest(["house"])
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "door.cpython-311.pyc").write_bytes(b"x")
    assert software.code_digest(["house"]) == before


def planted(source, code, *, hashed=None):
    """Put a compiled file beside a source, as Python would have written it, or with its flags of hashing."""
    state = source.stat()
    words = (0, int(state.st_mtime), state.st_size)
    head = b"".join(word.to_bytes(4, "little") for word in words)
    if hashed is not None:
        head = hashed.to_bytes(4, "little") + source_hash(source.read_bytes())
    target = Path(cache_from_source(source))
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(MAGIC_NUMBER + head + marshal.dumps(compile(code, str(source), "exec")))
    return target


def test_compiled_code_that_is_not_of_its_source_is_other_code(package):
    """A planted file in the cache would run in the place of the source, whose bytes are as ever: the digest tells."""
    source = package / "room" / "door.py"
    before, text = software.code_digest(["house"]), source.read_text()
    for hashed in (None, 1, 3):  # by time and size, by hash without a look, by hash with one
        planted(source, text, hashed=hashed)
        assert software.code_digest(["house"]) == before, "its own"
        target = planted(source, "OPEN = 2\n", hashed=hashed)
        assert software.code_digest(["house"]) != before, hashed
        target.unlink()
    old = planted(source, "OPEN = 2\n")
    old.write_bytes(old.read_bytes()[:8] + bytes(4) + old.read_bytes()[12:])
    assert software.code_digest(["house"]) == before, "of another time: Python does not run it"
    old.write_bytes(planted(source, "OPEN = 2\n").read_bytes()[:20])
    assert software.code_digest(["house"]) != before, "nothing that can be read"


def test_compiled_code_without_a_source_and_native_code_are_code(package):
    """Python would import both."""
    seen = {software.code_digest(["house"])}
    for name in ("window.pyc", "window.cpython-311-x86_64-linux-gnu.so"):
        (package / name).write_bytes(b"x")
        seen.add(software.code_digest(["house"]))
    assert len(seen) == 3


def test_versions_of_others_are_part_of_the_code(package, monkeypatch):
    """Another torch is other code, and another Flower."""
    before, true = software.code_digest(["house"]), software.version
    for changed in ("torch", "flwr", "grpcio"):
        monkeypatch.setattr(software, "version", lambda name, other=changed: "0.0.1" if name == other else true(name))
        assert software.code_digest(["house"]) != before


def test_absent_packages_are_left_out():
    """A package that is not installed has no version, and is no error."""
    assert software.package_versions(["numpy", "no-such-package-here"]).keys() == {"numpy"}
