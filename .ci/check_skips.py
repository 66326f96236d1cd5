"""Compare the tests that pytest skipped with the written list of expected skips.

Reads pytest's JUnit XML (``junit_family = xunit1``, which names each test's file) and the list, prints every skip with
its reason, and exits 1 if one is not on the list or no test ran at all; 2 if one of the two files cannot be read.
"""

from __future__ import annotations

import ast
import os
import sys
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from xml.etree import ElementTree as ET

ALWAYS = "always"
WITHOUT_TEST_DATA = "without-test-data"
ARGUMENTS = 2  # the results, the list


@dataclass(frozen=True)
class Skip:
    """One test that did not run (or was expected to fail), and why."""

    test: str
    reason: str


@dataclass(frozen=True)
class Expected:
    """One line of the list: globs over test id and reason, and when it holds."""

    test: str
    reason: str
    when: str

    def allows(self, skip: Skip, *, test_data: bool) -> bool:
        """Whether this line expects `skip`, on a machine with or without the test data."""
        if self.when == WITHOUT_TEST_DATA and test_data:
            return False
        return _matches(skip.test, self.test) and _matches(skip.reason, self.reason)


def _matches(text: str, glob: str) -> bool:
    """Match with ``*`` and ``?`` only: a bracket in a test id is a parameter, not a character class."""
    return fnmatchcase(text, glob.replace("[", "[[]"))


def read_expected(text: str) -> list[Expected]:
    """Read the list.

    Raises:
        ValueError: A line is not of the form ``TEST | REASON | WHEN``.
    """
    expected = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        parts = [part.strip() for part in line.split(" | ")]
        match parts:
            case [test, reason, (str(when))] if test and reason and when in {ALWAYS, WITHOUT_TEST_DATA}:
                expected.append(Expected(test, reason, when))
            case _:
                message = f"line {number}: expected 'TEST | REASON | {ALWAYS} or {WITHOUT_TEST_DATA}', found {line!r}"
                raise ValueError(message)
    return expected


def read_results(xml: str) -> tuple[int, list[Skip]]:
    """Read the number of tests that ran and the skips out of pytest's JUnit XML."""
    cases = list(ET.fromstring(xml).iter("testcase"))  # noqa: S314 - our own pytest wrote it a moment ago
    skips = [Skip(_test_id(case), _reason(skipped)) for case in cases if (skipped := case.find("skipped")) is not None]
    return len(cases) - len(skips), skips


def _test_id(case: ET.Element) -> str:
    """Put together pytest's id: file, class where there is one, name; the file alone when a whole file was skipped."""
    file, name = case.get("file", ""), case.get("name", "")
    module = file.removesuffix(".py").replace("/", ".")
    if name == module:
        return file
    within = case.get("classname", "").removeprefix(module).strip(".")
    return "::".join(part for part in (file, *within.split("."), name) if part)


def _reason(skipped: ET.Element) -> str:
    """Give the reason; when a whole file was skipped, pytest puts it into the text, as a tuple (file, line, reason)."""
    message = skipped.get("message", "")
    if message != "collection skipped":
        return message
    return str(ast.literal_eval(skipped.text or "")[-1]).removeprefix("Skipped: ")


def main(arguments: list[str]) -> int:
    """Run the comparison; the exit code says how it went."""
    if len(arguments) != ARGUMENTS:
        print("usage: check_skips.py JUNIT.xml EXPECTED.txt", file=sys.stderr)
        return 2
    try:
        ran, skips = read_results(Path(arguments[0]).read_text(encoding="utf-8"))
        expected = read_expected(Path(arguments[1]).read_text(encoding="utf-8"))
    except (OSError, ValueError, ET.ParseError) as error:
        print(f"cannot compare the skips: {error}", file=sys.stderr)
        return 2
    test_data = bool(os.environ.get("WARDROUND_TEST_DATA"))
    unexpected = [skip for skip in skips if not any(line.allows(skip, test_data=test_data) for line in expected)]
    for skip in skips:
        print(f"{'NOT EXPECTED' if skip in unexpected else 'expected'}: skipped {skip.test}: {skip.reason}")
    print(f"{ran} tests ran, {len(skips)} skipped, {len(unexpected)} of these not expected")
    return 1 if unexpected or not ran else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
