"""Tables that stay in their file and are checked block by block: whatever is found is what is found in a table that is held."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from clinic_on_disk import load_contract
from stays_on_disk import STAYS, add_days, hospital, same_as, table

from silo_node.configuration import Site, load_site
from silo_node.sources import rows, streamed_text
from silo_node.sources.faults import UnreadableError
from silo_node.validation import check as module
from silo_node.validation import records
from silo_node.validation.check import CheckResult, check
from silo_node.validation.reports import as_json, local_report
from wardround.canonical import model_json
from wardround.contract.library import available, find
from wardround.contract.model import Contract
from wardround.contract.synthetic.records import synthesise
from wardround.contract.synthetic.sheet import sheet_of
from wardround.errors import Refused

SHIPPED = [listing.name for listing in available()]
ODD = ("", " ", "NA", "-9", "999", "12,5", "> 5", "1e3", "F", "unknown", "2021-02-30", "é", "0x1", "7.5", "-1", "Smith, Anna")
"""Cells that are wrong in most fields, each in its own way."""
TODAY = date(2026, 1, 2)


@contextmanager
def in_blocks(block: int = 8000, piece: int = 997, kept: int = 3000) -> Iterator[None]:
    """Hold no table, and keep next to nothing of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "HELD_BYTES", 0)
        patch.setattr(rows, "BLOCK_BYTES", block)
        patch.setattr(streamed_text, "PIECE_BYTES", piece)
        patch.setattr(records, "KEPT_BYTES", kept)
        yield


def site_of(folder: Path, contract: Contract, form: str, **source: Any) -> Site:
    (folder / "site.yaml").write_text(
        json.dumps(
            {
                "site": "north",
                "name": "North",
                "sources": {"table": {"format": form, "path": f"records.{form}", **source}},
                "schemas": {contract.id: {"source": "table", "columns": {name: name for name in contract.names}}},
            }
        )
    )
    return load_site(folder / "site.yaml")


def checked(site: Site, contract: Contract) -> CheckResult:
    return check(site, contract, max_fraction=0.5, profiled=True, today=TODAY)


def told(result: CheckResult) -> list[object]:
    """Give everything that a check says, the reports as their bytes."""
    return [
        json.dumps(as_json(local_report(result)), sort_keys=True),
        json.dumps(model_json(result.outgoing), sort_keys=True),
        result.findings,
        result.quarantined_places,
        result.overlaps,
        result.valid.to_dict(as_series=False),
        result.valid.schema,
    ]


def assert_same(site: Site, contract: Contract, **sizes: int) -> CheckResult:
    """Check both ways, and hold the answers against each other; give the one of the table that is held."""
    held = checked(site, contract)
    with in_blocks(**sizes):
        assert told(checked(site, contract)) == told(held)
    return held


def dirty(contract: Contract, seed: int) -> list[list[str]]:
    """Give the lines of a table with odd cells, keys that stand twice, and a column that is the same throughout."""
    chance = random.Random(seed)  # noqa: S311  (odd cells, no secrets)
    lines = [line.split(",") for line in sheet_of(contract, synthesise(contract, 100, seed)).encoded().decode().splitlines()]
    for _ in range(30):
        line = lines[chance.randrange(1, len(lines))]
        line[chance.randrange(len(line))] = chance.choice(ODD).replace(",", ";")
    for _ in range(3):
        lines.append(list(chance.choice(lines[1:])))
    if seed % 2:
        column = chance.randrange(1, len(lines[0]))
        for line in lines[2:]:
            line[column] = lines[1][column]
    return lines


@pytest.mark.parametrize(("seed", "name"), list(enumerate(SHIPPED)))
def test_a_dirty_text_and_its_parquet_are_judged_alike(seed: int, name: str, tmp_path: Path) -> None:
    """Findings, line numbers, shapes, both reports, profiles and valid records of every shipped schema, whatever the cells."""
    contract = find(name)
    lines = dirty(contract, seed)
    text = "\n".join(",".join(line) for line in lines) + "\n"
    (tmp_path / "records.csv").write_text(text)
    found = assert_same(site_of(tmp_path, contract, "csv"), contract)
    assert len(found.findings) > 3
    pl.read_csv(text.encode(), infer_schema_length=None, try_parse_dates=True).write_parquet(tmp_path / "records.parquet")
    assert_same(site_of(tmp_path, contract, "parquet"), contract)


@pytest.mark.parametrize("name", SHIPPED)
def test_nothing_is_found_in_clean_records(name: str, tmp_path: Path) -> None:
    """As in a table that is held."""
    contract = find(name)
    (tmp_path / "records.csv").write_bytes(sheet_of(contract, synthesise(contract, 90, 3)).encoded())
    assert assert_same(site_of(tmp_path, contract, "csv"), contract, kept=1).findings == ()


CHANGES: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "as they are": lambda frame: frame,
    "twins": lambda frame: same_as(frame, {40: 0, 41: 1, 50: 7}),
    "shifted by the row": lambda frame: add_days(frame, "born", [(row * 37) % 200 - 100 for row in range(frame.height)]),
    "a sex that varies": lambda frame: frame.with_columns(sex=pl.col("sex").reverse()),
    "stays that overlap": lambda frame: add_days(frame, "left", [(row % 5) * 400 for row in range(frame.height)]),
}


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("change", CHANGES)
def test_records_are_held_against_each_other_across_blocks(change: str, form: str, tmp_path: Path) -> None:
    """Checks between records see all of them."""
    contract = load_contract(STAYS, tmp_path)
    assert_same(hospital(tmp_path, CHANGES[change](table()), form), contract)


def _windows(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()


def _quoted(text: str) -> bytes:
    """Quote every cell; some hold the delimiter, a quote and a line end."""
    lines = [line.split(",") for line in text.splitlines()]
    for at, line in enumerate(lines[1:]):
        if at % 7 == 0:
            line[1] = 'a ""b"", c\nd'
    return "\n".join(",".join(f'"{cell}"' for cell in line) for line in lines).encode()


def _ragged(text: str) -> bytes:
    lines = text.splitlines()
    for at in (3, 20, 21, 77):
        lines[at] += ",more"
    lines[50] = "less"
    return "\n".join([*lines[:10], "", *lines[10:], "", ""]).encode()


TEXTS: dict[str, tuple[Callable[[str], bytes], dict[str, Any], set[str]]] = {
    "Windows": (_windows, {}, set()),
    "a byte order mark": (lambda text: b"\xef\xbb\xbf" + text.encode(), {}, set()),
    "two bytes a character": (lambda text: text.encode("utf-16"), {"encoding": "utf-16"}, set()),
    "no line end at the end": (lambda text: text.rstrip("\n").encode(), {}, set()),
    "quoted": (_quoted, {}, {"T-PATTERN"}),
    "ragged, with empty lines": (_ragged, {}, {"T-RAGGED"}),
    "ragged and quoted": (lambda text: _ragged(_quoted(text).decode().replace("\nd", "d")), {}, {"T-RAGGED"}),
    "a stray quote": (lambda text: text.replace(",", ',5"', 40).encode(), {}, {"T-RAGGED"}),
    "a quote that does not end": (lambda text: (text + '"').encode(), {}, {"T-RAGGED"}),
    "a stray carriage return": (lambda text: text[:2000].encode() + b"\r" + text[2000:].encode(), {}, {"T-RAGGED"}),
    "carriage returns alone": (lambda text: text.replace("\n", "\r").encode(), {}, set()),
    "another encoding": (lambda text: text[:3000].encode() + "é".encode("cp1252") + text[3000:].encode(), {}, {"T-ENCODING"}),
    "UTF-8 that is declared otherwise": (
        lambda text: text[:3000].encode() + "é".encode() + text[3000:].encode(),
        {"encoding": "cp1252"},
        {"T-ENCODING"},
    ),
    "one byte a character that is declared otherwise": (str.encode, {"encoding": "utf-16"}, {"T-ENCODING"}),
    "decimal commas": (lambda text: re.sub(r"(\d)(,|$)", r"\1,0\2", text, flags=re.MULTILINE).encode(), {}, {"T-RAGGED"}),
    "a zero byte": (lambda text: text[:3000].encode() + b"\0" + text[3000:].encode(), {}, {"T-ENCODING"}),
    "no record": (lambda text: text.splitlines(keepends=True)[0].encode(), {}, {"T-EMPTY"}),
    "no header": (lambda text: text.split("\n", 1)[1].encode(), {}, {"T-NOHEADER"}),
    "another delimiter": (lambda text: text.replace(",", ";").encode(), {}, {"T-DELIM"}),
    "nothing": (lambda _: b"\n \n", {}, {"T-EMPTY"}),
}


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("sizes", [{"block": 1400, "piece": 97}, {"block": 9000, "piece": 4096}])
def test_the_structure_of_a_text_is_judged_alike(kind: str, sizes: dict[str, int], tmp_path: Path) -> None:
    """Encodings, quotes, line ends, lines with too many cells: the same faults on the same lines, the same records."""
    contract = find("heart.disease")
    change, source, codes = TEXTS[kind]
    text = sheet_of(contract, synthesise(contract, 120, 3)).encoded().decode()
    (tmp_path / "records.csv").write_bytes(change(text))
    found = assert_same(site_of(tmp_path, contract, "csv", **source), contract, **sizes)
    assert codes <= {each.code for each in found.findings}


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_file_that_changes_while_it_is_read_is_refused(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two readings of two tables give no finding of either: T-FILE, within the check and after it."""
    contract = find("heart.disease")
    sheet = sheet_of(contract, synthesise(contract, 120, 3)).encoded()
    site, path = site_of(tmp_path, contract, form), tmp_path / f"records.{form}"

    def write(content: bytes) -> None:
        path.write_bytes(content) if form == "csv" else pl.read_csv(content).write_parquet(path)

    write(sheet)
    with in_blocks():
        result = checked(site, contract)
        assert result.passed
        write(sheet + sheet.splitlines(keepends=True)[1])
        with pytest.raises(Refused, match="T-FILE"):
            _ = result.valid
        whole = module.open_source

        def changed_meanwhile(*arguments: Any) -> Any:
            found = whole(*arguments)
            write(sheet)
            return found

        monkeypatch.setattr(module, "open_source", changed_meanwhile)
        result = checked(site, contract)
        assert ([each.code for each in result.findings], result.passed) == (["T-FILE"], False)
        with pytest.raises(UnreadableError):
            _ = changed_meanwhile(site, "table", module.Wanted({"age": "age"}, frozenset({"age"}), ("age",), exact=False)).frame


MEMORY = """
import re, sys
from pathlib import Path
from silo_node.configuration import load_site
from silo_node.sources import rows
from silo_node.validation import records
from silo_node.validation.check import check
from wardround.contract.library import load
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
site, contract = load_site(Path(sys.argv[1])), load(Path(sys.argv[2]))
rows.HELD_BYTES, rows.BLOCK_BYTES, records.KEPT_BYTES = 2**25, 2**24, 2**25
before = peak()
result = check(site, contract, max_fraction=1.0, profiled=True)
assert (result.found, len(result.findings)) == (500_000, 1), result.findings
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="the peak of a process is read where Linux tells it")
def test_memory_does_not_grow_with_the_table(tmp_path: Path) -> None:
    """Half a million records of 40 columns, 160 MB of numbers: in blocks they take less."""
    names = [f"m{at}" for at in range(40)]
    fields: list[dict[str, Any]] = [{"name": "key", "type": "string", "privacy": "pseudonym", "constraints": {"required": True}}]
    fields += [
        {"name": name, "type": "integer", "unit": "1", "constraints": {"required": True, "minimum": 0, "maximum": 1_000_000}}
        for name in names
    ]
    contract = {"kind": "table", "id": "test.wide", "version": "1.0.0", "status": "draft", "title": "Wide", "row_grain": "a row"}
    contract |= {"primaryKey": ["key"], "patientKey": "key", "fields": fields}
    (tmp_path / "contract.yaml").write_text(json.dumps(contract))
    row = pl.int_range(500_000, eager=True)
    wide = pl.DataFrame({"key": row.cast(pl.String), **{name: (row * (at + 7)) % 10_007 for at, name in enumerate(names)}})
    wide.with_columns(m3=pl.when(row == 400_000).then(-1).otherwise("m3")).write_parquet(tmp_path / "records.parquet")
    site_of(tmp_path, find("heart.disease"), "parquet")
    site = json.loads((tmp_path / "site.yaml").read_text())
    site["schemas"] = {"test.wide": {"source": "table", "columns": {name: name for name in ("key", *names)}}}
    (tmp_path / "site.yaml").write_text(json.dumps(site))
    asked = [sys.executable, "-c", MEMORY, str(tmp_path / "site.yaml"), str(tmp_path / "contract.yaml")]
    alone = {**os.environ, "POLARS_MAX_THREADS": "1"}
    taken = float(subprocess.run(asked, capture_output=True, text=True, check=True, env=alone).stdout)
    assert taken < 140, taken  # held, they take 230
