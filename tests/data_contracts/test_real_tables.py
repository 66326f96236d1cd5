"""Real, public tables through a hospital's own site file: what is found in each stands beside it, written down beforehand.

Each folder here holds the ``site.yaml`` that maps a table and ``expected.yaml``: the schema, the table in the folder of
public records, and what the check finds. A table that no shipped schema fits has a ``contract.yaml`` of its own beside them.
The tables have no pseudonyms of patients. The test makes a copy with two columns
before the others, ``row`` (the number of the record) and ``pseudonym``, as a hospital's export would have them; with a header
line where the source has none (``header``); and with plain lines of what stands below ``@data`` in an ARFF file, which no
reader here reads. Nothing else of a table is changed.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

import pytest

from silo_node.configuration import load_site
from silo_node.validation.check import check
from wardround.contract.library import find
from wardround.strict_yaml import load

HERE = Path(__file__).parent
FOLDERS = sorted(path.parent for path in HERE.glob("*/expected.yaml"))


def _lines(text, expected):
    """Give the header and the lines of a table."""
    if expected["table"].endswith(".arff"):
        header, _, body = text.partition("@data")
        return ",".join(re.findall(r"(?m)^@attribute '(\w+)'", header)), [line for line in body.splitlines() if line]
    lines = [line for line in text.splitlines() if line]
    return (",".join(expected["header"]), lines) if "header" in expected else (lines[0], lines[1:])


def _copy(source, expected, target):
    """Write the table with numbers and pseudonyms."""
    header, lines = _lines(source.read_text(encoding="utf-8"), expected)
    between = expected.get("delimiter", ",")
    written = [f"row{between}pseudonym{between}{header}"]
    for number, line in enumerate(lines, 1):
        pseudonym = hashlib.sha256(f"{source.name} {number}".encode()).hexdigest()[:16]
        written.append(f"R{number}{between}{pseudonym}{between}{line}")
    target.write_text("\n".join([*written, ""]), encoding="utf-8")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_real_table_has_what_was_expected_and_nothing_else(folder, test_data, tmp_path):
    """Every finding by code, field or rule, and count; how many records there are, and how many are set aside."""
    expected = load(folder / "expected.yaml").data
    shutil.copy(folder / "site.yaml", tmp_path)
    _copy(test_data / expected["table"], expected, tmp_path / "table.csv")
    own = folder / "contract.yaml"
    result = check(load_site(tmp_path / "site.yaml"), find(str(own) if own.exists() else expected["schema"]), max_fraction=1.0)
    found = [(each.code, each.field or each.rule, each.count) for each in result.findings]
    wanted = [(each["code"], each.get("field") or each.get("rule"), each["count"]) for each in expected["findings"]]
    assert sorted(found) == sorted(wanted)
    assert (result.found, result.quarantined) == (expected["records"], expected["set_aside"])


OF_COLUMNS = {"T-ALLNULL", "T-MISSLIM", "T-CONST", "T-PHI-ID", "T-PHI-TEXT", "T-EXTRACOL", "T-DRIFT", "T-UNIT"}
"""Findings on a column as a whole: no record is honest of it, or each is."""


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_nothing_is_found_in_the_honest_part_of_a_real_table(folder, test_data, tmp_path, monkeypatch):
    """Without the lines that a finding names, nothing is found but what is said of a column as a whole, and nothing new."""
    monkeypatch.setattr("silo_node.validation.judgement.SAMPLE_LINES", 1_000_000)
    expected = load(folder / "expected.yaml").data
    shutil.copy(folder / "site.yaml", tmp_path)
    _copy(test_data / expected["table"], expected, tmp_path / "table.csv")
    own = folder / "contract.yaml"
    site, contract = load_site(tmp_path / "site.yaml"), find(str(own) if own.exists() else expected["schema"])
    result = check(site, contract, max_fraction=1.0)
    named = {line for each in result.findings if each.code not in OF_COLUMNS for line in each.lines}
    lines = (tmp_path / "table.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [text for number, text in enumerate(lines, 1) if number not in named]
    assert len(kept) > contract.limits.min_records
    (tmp_path / "table.csv").write_text("".join(kept), encoding="utf-8")
    honest = check(site, contract, max_fraction=0.0)
    of_columns = {(each.code, each.field) for each in result.findings if each.code in OF_COLUMNS}
    found = {(each.code, each.field) for each in honest.findings}
    # Of the patients of one trial those whose dates are whole are those who have not left it.
    assert found - of_columns == ({("T-MISSLIM", "ended")} if folder.name == "cdisc_adsl" else set())
    assert (honest.found, honest.quarantined) == (len(kept) - 1, 0)


def test_every_folder_has_both_files():
    """A mapping without an expectation would be a table that nobody looks at."""
    assert [path.parent for path in sorted(HERE.glob("*/site.yaml"))] == FOLDERS
