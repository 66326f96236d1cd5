"""A check of a million clean records against plainly reading them: CPU seconds, interleaved, each in a fresh process.

    python benchmarks/validation.py [--records 1000000] [--repeats 5] [--format parquet|csv|both] [--broken] [--beside]
    python benchmarks/validation.py --records 10000000 --repeats 1 --memory [--format parquet|csv|both] [--broken]

Floor: ``polars.read_parquet`` or ``polars.read_csv``. Subject: ``silo_node.validation.check.check`` with a contract of 20
fields (id with a pattern, unique; 4 coded texts; 3 dates; 7 whole numbers; 5 numbers with gaps), ranges, plausible ranges
and 2 cross-field rules. One thread each. The figure is the ratio of the least CPU seconds; the target for clean Parquet is
1.6. Both do their imports beforehand, outside the figure.

``--memory`` also makes what ``silo check`` makes of it, the fields' profiles and the local report, and fails when the check
holds more than 1 GB at its peak. What the operating system counts as the process's own is what counts, mapped files too.

``--beside`` measures other validators on the same Parquet or CSV file with the same rules, where they are installed: pandera
on polars, pandera on pandas, frictionless. They print values of cells and whole rows; here only how long they take.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

TARGET_RATIO = 1.6
SEED = 20_240_131
KEY_BITS = 62
"""The keys are spread over so many."""
PART = 1_000_000
"""Records that are made at a time."""
TARGET_MEMORY = 1000
"""Megabytes (of 2**20 bytes) that a check of any size may hold."""

PEAK = """
import re
from pathlib import Path
def peak():  # of this program alone: what getrusage tells begins with that of the process it was started from
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
"""
FLOOR = f"""{PEAK}
import time, sys
import polars as pl
path = sys.argv[1]
before = time.process_time()
frame = pl.read_parquet(path) if path.endswith("parquet") else pl.read_csv(path, try_parse_dates=True)
seconds = time.process_time() - before
print(seconds, frame.height, peak())
"""
SUBJECT = f"""{PEAK}
import time, sys
from silo_node.configuration import load_site
from silo_node.validation.check import check
from wardround.contract.library import load
site, contract = load_site(Path(sys.argv[1])), load(Path(sys.argv[2]))
before = time.process_time()
result = check(site, contract, max_fraction=1.0, profiled=sys.argv[4] == "report")
if sys.argv[4] == "report":
    from silo_node.validation.reports import as_json, local_report
    as_json(local_report(result))
seconds = time.process_time() - before
assert (not result.findings) == (sys.argv[3] == "clean"), result.findings
print(seconds, result.found, peak())
"""

PANDERA = """
import time, sys, warnings
warnings.simplefilter("ignore")
from pathlib import Path
from wardround.contract.library import load
engine, path, contract = sys.argv[1], sys.argv[2], load(Path(sys.argv[3]))
if engine == "polars":
    import pandera.polars as pa
    import polars as pl
    types = {"string": pl.String, "integer": pl.Int64, "number": pl.Float64, "date": pl.Date}
    rules = [pa.Check(lambda data: data.lazyframe.select(pl.col("discharge") >= pl.col("admission"))),
             pa.Check(lambda data: data.lazyframe.select(pl.col("dbp") < pl.col("sbp")))]
    def read():
        return pl.read_parquet(path) if path.endswith("parquet") else pl.read_csv(path, try_parse_dates=True)
else:
    import pandas as pd
    import pandera.pandas as pa
    types = {"string": "str", "integer": "int64", "number": "float64", "date": None}
    rules = [pa.Check(lambda frame: frame["discharge"] >= frame["admission"]),
             pa.Check(lambda frame: frame["dbp"] < frame["sbp"])]
    def read():
        return pd.read_parquet(path) if path.endswith("parquet") else pd.read_csv(path)
columns = {}
for field in contract.fields:
    checks, limits = [], field.constraints
    if field.values:
        checks.append(pa.Check.isin(list(field.values)))
    if limits.pattern:
        checks.append(pa.Check.str_matches(limits.pattern))
    if field.type in ("integer", "number"):
        checks.append(pa.Check.in_range(limits.minimum, limits.maximum))
    only = field.name == "patient_key"
    columns[field.name] = pa.Column(types[field.type], checks, nullable=not field.required, unique=only)
schema = pa.DataFrameSchema(columns, checks=rules)
before = time.process_time()
frame = read()
try:
    schema.validate(frame, lazy=True)
    found = 0
except pa.errors.SchemaErrors:
    found = 1
seconds = time.process_time() - before
assert (not found) == (sys.argv[4] == "clean")
print(seconds, len(frame), 0)
"""
FRICTIONLESS = """
import time, sys
from pathlib import Path
from frictionless import Resource, Schema, validate
from wardround.contract.exports.table_schema import table_schema
from wardround.contract.library import load
path, contract = sys.argv[1], load(Path(sys.argv[2]))
descriptor = {**table_schema(contract), "missingValues": [""]}  # it knows no marks with labels, as the second version has them
for field in descriptor["fields"]:
    field.pop("missingValues", None)
    if "categories" in field:
        field.setdefault("constraints", {})["enum"] = [each["value"] for each in field.pop("categories")]
schema = Schema.from_descriptor(descriptor)
before = time.process_time()
report = validate(Resource(path=Path(path).name, basepath=str(Path(path).parent), schema=schema))
assert report.tasks[0].stats["rows"] > 0 and report.valid == (sys.argv[3] == "clean"), report.flatten(["type", "note"])[:3]
print(time.process_time() - before, 0, 0)
"""
FRICTIONLESS_RECORDS = 10_000
"""It goes row by row: its figure is that of so many records, times the rest."""

SEXES, SITES, STAGES, DRUGS = ("female", "male"), ("emergency", "ward", "clinic"), ("i", "ii", "iii", "iv"), ("none", "a", "b")
COUNTS = {
    "age": (0, 120),
    "sbp": (40, 300),
    "dbp": (20, 200),
    "pulse": (20, 300),
    "visits": (0, 500),
    "days": (0, 400),
    "score": (0, 30),
}
MEASURES = {
    "glucose": (0.5, 60.0),
    "creatinine": (5.0, 2000.0),
    "lactate": (0.1, 30.0),
    "weight": (1.0, 400.0),
    "height": (30.0, 250.0),
}
DAYS = ("birth", "admission", "discharge")


def contract_json() -> dict[str, Any]:
    """Give the benchmark's contract."""
    required: dict[str, Any] = {"required": True}
    fields: list[dict[str, Any]] = [
        {
            "name": "patient_key",
            "type": "string",
            "privacy": "pseudonym",
            "constraints": {**required, "pattern": "^[0-9a-f]{16}$"},
        }
    ]
    for name, values in zip(("sex", "unit", "stage", "drug"), (SEXES, SITES, STAGES, DRUGS), strict=True):
        limits = {} if name == "drug" else {"constraints": required}
        fields.append({"name": name, "type": "string", "categories": [{"value": value} for value in values], **limits})
    fields += [
        {"name": name, "type": "date", "constraints": {**required, "minimum": "1900-01-01", "maximum": "2030-12-31"}}
        for name in DAYS
    ]
    fields += [
        {
            "name": name,
            "type": "integer",
            "unit": "1",
            "constraints": {**required, "minimum": low, "maximum": high},
            "plausible": {"low": low, "high": high, "max_outside": 0.01},
        }
        for name, (low, high) in COUNTS.items()
    ]
    fields += [
        {
            "name": name,
            "type": "number",
            "unit": "1",
            "constraints": {"minimum": low, "maximum": high},
            "plausible": {"low": low, "high": high, "max_outside": 0.01},
            "missing": {"max_fraction": 0.2},
        }
        for name, (low, high) in MEASURES.items()
    ]
    return {
        "kind": "table",
        "id": "benchmark.stay",
        "version": "1.0.0",
        "status": "draft",
        "title": "Hospital stays, made up",
        "row_grain": "one row per stay",
        "primaryKey": ["patient_key"],
        "patientKey": "patient_key",
        "fields": fields,
        "rules": [
            {"id": "discharge_after_admission", "check": "discharge >= admission"},
            {"id": "pressures_in_order", "check": "dbp < sbp"},
        ],
    }


def records(height: int, *, broken: bool, first: int = 0, of: int | None = None) -> pl.DataFrame:
    """Make records that obey the contract, from a first one on; with ``broken``, about one in 400 does not."""
    random = np.random.default_rng([SEED, first])
    keys = np.char.mod("%016x", np.arange(first, first + height) * (2**KEY_BITS // (of or height)))
    admission = random.integers(10_000, 19_000, height)
    days = {
        "birth": random.integers(-20_000, 9_000, height),
        "admission": admission,
        "discharge": admission + random.integers(0, 60, height),
    }
    columns: dict[str, pl.Series] = {"patient_key": pl.Series(random.permutation(keys), dtype=pl.String)}
    for name, values in zip(("sex", "unit", "stage", "drug"), (SEXES, SITES, STAGES, DRUGS), strict=True):
        columns[name] = pl.Series(np.array(values)[random.integers(0, len(values), height)], dtype=pl.String)
    columns["drug"] = columns["drug"].set(pl.Series(random.random(height) < 0.1), None)
    columns |= {name: pl.Series(values.astype(np.int32)).cast(pl.Date) for name, values in days.items()}
    columns |= {name: pl.Series(random.integers(low, high + 1, height)) for name, (low, high) in COUNTS.items()}
    columns["sbp"] = columns["dbp"].clip(20, 150) + 60
    columns["dbp"] = columns["dbp"].clip(20, 150)
    for name, (low, high) in MEASURES.items():
        values = pl.Series(np.round(random.uniform(low, high, height), 2)).clip(low, high)
        columns[name] = values.set(pl.Series(random.random(height) < 0.05), None)
    if broken:
        for name, wrong in (("sex", "F"), ("age", 999), ("glucose", -1.0), ("dbp", 199)):
            columns[name] = columns[name].set(pl.Series(random.random(height) < 0.0006), wrong)
    return pl.DataFrame(columns)


def write(folder: Path, height: int, *, broken: bool) -> None:
    """Write records as Parquet and as CSV; many of them in parts, since all at once would take many times the check."""
    if height <= PART:
        few = records(height, broken=broken)
        few.write_parquet(folder / "records.parquet", compression="zstd", row_group_size=height // 8 + 1)
        few.write_csv(folder / "records.csv")
        return
    parts = folder / "parts"
    parts.mkdir()
    with (folder / "records.csv").open("wb") as text:
        for first in range(0, height, PART):
            part = records(min(PART, height - first), broken=broken, first=first, of=height)
            part.write_csv(text, include_header=first == 0)
            part.write_parquet(parts / f"{first:012}.parquet", compression="zstd")
    whole = pl.scan_parquet(sorted(parts.iterdir()))
    whole.sink_parquet(folder / "records.parquet", compression="zstd", row_group_size=PART)
    shutil.rmtree(parts)


def measure(script: str, *arguments: str) -> tuple[float, int, float]:
    """Run a script in a fresh process; give its CPU seconds, records and peak memory in MB."""
    environment = {**os.environ, "POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", script, *arguments], env=environment, capture_output=True, text=True, check=True)
    seconds, height, memory = done.stdout.split()
    return float(seconds), int(height), float(memory)


def compare(folder: Path, form: str, repeats: int, *, broken: bool, report: bool) -> tuple[float, float]:
    """Measure floor and subject in turn; print their figures and give the ratio of CPU seconds, and the subject's peak memory."""
    site = folder / f"{form}.yaml"
    columns = {field["name"]: field["name"] for field in contract_json()["fields"]}
    site.write_text(
        json.dumps(
            {
                "site": "bench",
                "name": "Benchmark",
                "sources": {"table": {"format": form, "path": f"records.{form}"}},
                "schemas": {"benchmark.stay": {"source": "table", "columns": columns}},
            }
        )
    )
    floors, subjects = [], []
    state, answer = "broken" if broken else "clean", "report" if report else "check"
    for _ in range(repeats):
        floors.append(measure(FLOOR, str(folder / f"records.{form}")))
        subjects.append(measure(SUBJECT, str(site), str(folder / "contract.yaml"), state, answer))
    assert floors[0][1] == subjects[0][1]
    floor, subject = min(each[0] for each in floors), min(each[0] for each in subjects)
    memory = f"peak {floors[0][2]:.0f} MB and {subjects[0][2]:.0f} MB"
    print(f"{form:8} read {floor:.3f} CPU s, check {subject:.3f} CPU s: ratio {subject / floor:.2f}; {memory}")
    return subject / floor, max(each[2] for each in subjects)


def beside(folder: Path, form: str, few: pl.DataFrame, height: int, *, broken: bool) -> None:
    """Print how long other validators take over the same file, read included, one fresh process each."""
    file, contract, state = folder / f"records.{form}", str(folder / "contract.yaml"), "broken" if broken else "clean"
    floor = measure(FLOOR, str(file))[0]
    for engine, packages in (("polars", ("pandera", "polars")), ("pandas", ("pandera", "pandas", "pyarrow"))):
        if any(importlib.util.find_spec(package) is None for package in packages):
            print(f"{form:8} pandera on {engine}: not installed")
            continue
        seconds = measure(PANDERA, engine, str(file), contract, state)[0]
        print(f"{form:8} pandera on {engine}: {seconds:.3f} CPU s: ratio {seconds / floor:.2f}")
    if form == "csv" and importlib.util.find_spec("frictionless") is not None:
        few.write_csv(folder / "few.csv")
        seconds = measure(FRICTIONLESS, str(folder / "few.csv"), contract, state)[0] * height / few.height
        print(f"{form:8} frictionless: {seconds:.0f} CPU s, from {few.height} records: ratio {seconds / floor:.0f}")
    elif form == "csv":
        print(f"{form:8} frictionless: not installed")


def main() -> int:
    """Measure, and fail when clean Parquet misses its target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--format", choices=["parquet", "csv", "both"], default="both")
    parser.add_argument("--broken", action="store_true", help="about one record in 400 breaks the contract")
    parser.add_argument("--memory", action="store_true", help="make the local report, too, and hold the peak against 1 GB")
    parser.add_argument("--beside", action="store_true", help="measure other validators, too, where they are installed")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "contract.yaml").write_text(json.dumps(contract_json()))
        write(folder, chosen.records, broken=chosen.broken)
        few = pl.scan_parquet(folder / "records.parquet").head(FRICTIONLESS_RECORDS).collect()
        forms = ["parquet", "csv"] if chosen.format == "both" else [chosen.format]
        found = {form: compare(folder, form, chosen.repeats, broken=chosen.broken, report=chosen.memory) for form in forms}
        if chosen.beside:
            for form in forms:
                beside(folder, form, few, chosen.records, broken=chosen.broken)
    if chosen.memory:
        met = all(peak <= TARGET_MEMORY for _, peak in found.values())
        print(f"target for the peak: {TARGET_MEMORY} MB" + ("" if met else ", missed"))
        return 0 if met else 1
    met = chosen.broken or found.get("parquet", (0.0, 0.0))[0] <= TARGET_RATIO
    print(f"target for clean Parquet: {TARGET_RATIO}" + ("" if met else ", missed"))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
