"""The checker of skips: a green run never hides a test that did not run."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHECKER = ROOT / ".ci" / "check_skips.py"

TESTS = """
import pytest

def test_runs(): pass

@pytest.mark.parametrize("case", ["a", "b"])
def test_needs_data(case): pytest.skip("WARDROUND_TEST_DATA is not set: records")

class TestGroup:
    @pytest.mark.xfail(reason="not yet")
    def test_fails(self): assert False
"""
WHOLE_FILE = 'import pytest\npytest.importorskip("no_such_module_at_all")\n'


def _check(folder: Path, expected: str, *, test_data: str = "") -> subprocess.CompletedProcess[str]:
    (folder / "expected.txt").write_text(expected)
    return subprocess.run(
        [sys.executable, CHECKER, folder / "junit.xml", folder / "expected.txt"],
        check=False,
        capture_output=True,
        text=True,
        env={"WARDROUND_TEST_DATA": test_data},
    )


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real run of pytest, with every way of not running."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "tests" / "deep").mkdir(parents=True)
    (folder / "tests" / "test_some.py").write_text(TESTS)
    (folder / "tests" / "deep" / "test_whole.py").write_text(WHOLE_FILE)
    (folder / "pytest.ini").write_text("[pytest]\njunit_family = xunit1\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junit-xml=junit.xml", "tests"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


LISTED = """
# a comment
tests/test_some.py::test_needs_data[?] | WARDROUND_TEST_DATA is not set* | without-test-data
tests/test_some.py::TestGroup::test_fails | not yet | always
tests/deep/test_whole.py | could not import 'no_such_module_at_all'* | always
"""


def test_listed_skips_pass_and_are_printed_with_their_reasons(results):
    done = _check(results, LISTED)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "expected: skipped tests/test_some.py::test_needs_data[a]: WARDROUND_TEST_DATA is not set" in done.stdout
    assert "1 tests ran, 4 skipped, 0 of these not expected" in done.stdout


@pytest.mark.parametrize("line", [2, 3, 4])
def test_a_skip_that_is_not_listed_fails(results, line):
    lines = LISTED.splitlines()
    done = _check(results, "\n".join(lines[:line] + lines[line + 1 :]))
    assert done.returncode == 1
    assert "NOT EXPECTED: skipped" in done.stdout


def test_with_the_test_data_nothing_may_miss_them(results):
    done = _check(results, LISTED, test_data="/somewhere")
    assert done.returncode == 1
    assert "4 skipped, 2 of these not expected" in done.stdout


def test_another_reason_is_another_skip(results):
    assert _check(results, LISTED.replace("not yet", "too slow")).returncode == 1


def test_a_run_without_any_test_fails(tmp_path):
    (tmp_path / "junit.xml").write_text("<testsuites><testsuite/></testsuites>")
    assert _check(tmp_path, "").returncode == 1


@pytest.mark.parametrize("line", ["tests/* | reason", "tests/* | reason | sometimes", " | reason | always"])
def test_a_line_that_is_not_understood_is_refused(results, line):
    done = _check(results, line)
    assert done.returncode == 2
    assert "line 1" in done.stderr
