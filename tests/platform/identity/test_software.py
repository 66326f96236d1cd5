"""The digest of the code: what an approval signs beside the study."""

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


def test_versions_of_others_are_part_of_the_code(package, monkeypatch):
    """Another torch is other code."""
    before = software.code_digest(["house"])
    monkeypatch.setattr(software, "version", lambda _name: "0.0.1")
    assert software.code_digest(["house"]) != before


def test_absent_packages_are_left_out():
    """A package that is not installed has no version, and is no error."""
    assert software.package_versions(["numpy", "no-such-package-here"]).keys() == {"numpy"}
