"""Columns of a text table that are read as numbers at once, against the same cells read as text: nothing else is found."""

from __future__ import annotations

import json
import random
from datetime import date
from pathlib import Path

import pytest

from silo_node.configuration import load_site
from silo_node.validation import check as module
from silo_node.validation.check import CheckResult, check
from wardround.contract.library import find
from wardround.contract.synthetic.records import synthesise
from wardround.contract.synthetic.sheet import sheet_of

ODD = ("+5", " 5", "007", "5.0", "1e3", "inf", "nan", "", "NA", "5 ", "9007199254740993", "1.5", "-9", "999", "0999", "1,5")


BREAKING = ("0999", "-9", "999", "98765", "+0777")
"""Numbers that break limits of values and stay numbers: nothing but their own lines is read again."""
ENDS = (("\n", "\n"), ("\n", ""), ("\r\n", "\r\n"), ("\n", "\n\n"))
"""How lines end, and the last one."""


def checked(folder: Path, name: str, content: str) -> CheckResult:
    contract = find(name)
    (folder / "records.csv").write_text(content, newline="")
    columns = {each: each for each in contract.names}
    site = {
        "site": "north",
        "name": "North",
        "sources": {"table": {"format": "csv", "path": "records.csv"}},
        "schemas": {contract.id: {"source": "table", "columns": columns}},
    }
    (folder / "site.yaml").write_text(json.dumps(site))
    return check(load_site(folder / "site.yaml"), contract, max_fraction=1.0, today=date(2026, 1, 2))


@pytest.mark.parametrize("name", ["heart.disease", "breast.cytology"])
@pytest.mark.parametrize("seed", range(16))
def test_what_is_found_is_the_same(name: str, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Codes, counts, lines, and the shapes of cells as they are written; and the records that are left."""
    contract, chance = find(name), random.Random(seed)  # noqa: S311  (odd cells, no secrets)
    lines = sheet_of(contract, synthesise(contract, 120, seed)).encoded().decode().splitlines()
    odd = BREAKING if seed % 2 else ODD
    for _ in range((0, 1, 2, 20)[seed // 4]):
        row = chance.randrange(1, len(lines))
        cells = lines[row].split(",")
        cells[chance.randrange(len(cells))] = chance.choice(odd)
        lines[row] = ",".join(cells)
    end, last = ENDS[seed % 4]
    content = end.join(lines) + last
    quick = checked(tmp_path, name, content)
    monkeypatch.setattr(module, "_numbers", lambda _: {})
    slow = checked(tmp_path, name, content)
    assert quick.findings == slow.findings
    assert (quick.passed, quick.found, quick.quarantined) == (slow.passed, slow.found, slow.quarantined)
    assert quick.valid is not None
    assert slow.valid is not None
    assert quick.valid.equals(slow.valid)
