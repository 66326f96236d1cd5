"""Real tables, as they are: what is looked for beyond a schema's limits is not found where it is not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from clinic_on_disk import load_contract, site_yaml

from silo_node.configuration import load_site
from silo_node.validation.check import check

TABLES = [
    *("aplore3/GLOW500.txt", "aplore3/GLOW_MIS_WMissing_Data.txt", "multisite/cgd0.csv", "multisite/indo_rct.csv"),
    *("multisite/lung_ncctg.csv", "multisite/respiratory_hsaur.csv", "single/cardio_cardiac_failure_df.csv", "single/pbc.csv"),
    *("single/covid_testing_chop.csv", "single/pima_tr.csv", "single/wbc_biopsy.csv", "single/wdbc.csv"),
    *("tcga_brca/brca.csv", "tcga_brca/centers.csv", "multisite/cdisc_pilot_dm.csv", "multisite/cdisc_pilot_ae.csv"),
]
MARKS = [{"value": "", "label": "blank"}, {"value": "NA", "label": "not available"}]


def field(name: str, cells: pl.Series) -> dict[str, Any]:
    """Describe a column as widely as it allows: a number within its own ends, a date, or a text without a form."""
    values = cells.replace(["NA", ""], [None, None]).drop_nulls()
    numbers = values.cast(pl.Float64, strict=False)
    if len(values) and numbers.null_count() == 0 and numbers.min() != numbers.max():
        return {"name": name, "type": "number", "unit": "1", "constraints": {"minimum": numbers.min(), "maximum": numbers.max()}}
    days = values.str.contains(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}").mean() or 0
    privacy = "direct" if name.endswith("_name") else "quasi"  # a schema asks for names of people on purpose only
    return {"name": name, "type": "date" if float(str(days)) > 0.5 else "string", "privacy": privacy}


@pytest.mark.parametrize("table", TABLES)
def test_honest_tables_give_no_alarm(table: str, test_data: Path, tmp_path: Path) -> None:
    """No mark, variant, person, sentence or odd date; partial dates and times of day are what they are: T-TYPE."""
    text = (test_data / "tabular" / table).read_text(encoding="utf-8")
    frame = pl.read_csv(text.encode(), separator="\t" if table.endswith("txt") else ",", infer_schema=False)
    frame.columns = [f"f{at}_{re.sub('[^a-z0-9]+', '_', name.lower()).strip('_')}"[:30] for at, name in enumerate(frame.columns)]
    frame = frame.with_columns(pl.Series("row", [f"{at:016x}" for at in range(frame.height)]))
    key = {"name": "row", "type": "string", "privacy": "pseudonym", "constraints": {"required": True}}
    contract = load_contract(
        {
            "kind": "table",
            "id": "test.real",
            "version": "1.0.0",
            "status": "draft",
            "title": "A real table",
            "row_grain": "one row per row",
            "primaryKey": ["row"],
            "patientKey": "row",
            "missingValues": MARKS,
            "fields": [key, *(field(name, frame[name]) for name in frame.columns if name != "row")],
        },
        tmp_path,
    )
    frame.write_csv(tmp_path / "t.csv")
    names = {name: name for name in frame.columns}
    (tmp_path / "site.yaml").write_text(site_yaml("test.real", names, source={"format": "csv", "path": "t.csv"}))
    result = check(load_site(tmp_path / "site.yaml"), contract, max_fraction=1.0)
    assert result.found == frame.height
    found = {each.code for each in result.findings} - {"T-ALLNULL"}
    expected = {"cdisc": {"T-TYPE"}}  # partial dates
    assert found == next((codes for part, codes in expected.items() if part in table), set())
