"""How much of a mapping `silo map` proposes rightly, on real tables and on those of the made-up hospitals of the demo.

    python benchmarks/mapping.py [--details]

For each field of the schema, the proposal is held against the mapping that a person would write: ``right`` (the column is
proposed, or rightly none where the table has none), ``wrong`` (another column is proposed, or one where there is none),
``asked`` (a question that names the column among its candidates), ``open`` (no column is named though there is one, or a question
where the table has none). Local codes of rightly proposed columns are held against that mapping as well, and units.

The words that names are led back to (``silo_node/drafting/words.yaml``) hold English, German, French and Spanish. The
Italian table shows what is left without a word list; it and the others were looked at while the rules were written, but
for the Hungarian one. WARDROUND_TEST_DATA names the folder of the real tables; without it only the demo's are looked at.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from silo_node.configuration import Column, SchemaMapping, load_site
from silo_node.draft_marks import QUESTION
from silo_node.drafting.local_table import look
from silo_node.drafting.proposal import Draft, Proposal, propose
from wardround.contract.library import find
from wardround_lab.demo.hospitals import make_hospitals

HEART = "age,sex,cp,trestbps,chol,fbs,restecg,thalach,exang,oldpeak,slope,ca,thal,num"
HEART_CODES: dict[str, dict[int, str]] = {
    "sex": {1: "male", 0: "female"},
    "cp": {1: "typical_angina", 2: "atypical_angina", 3: "non_anginal_pain", 4: "asymptomatic"},
    "fbs": {1: "above_120", 0: "up_to_120"},
    "restecg": {0: "normal", 1: "st_t_abnormality", 2: "left_ventricular_hypertrophy"},
    "exang": {0: "absent", 1: "present"},
    "slope": {1: "upsloping", 2: "flat", 3: "downsloping"},
    "thal": {3: "normal", 6: "fixed_defect", 7: "reversible_defect"},
    "disease": {0: "absent", 1: "present", 2: "present", 3: "present", 4: "present"},
}
STATISTICS = {"mean": "mean {}", "se": "{} error", "worst": "worst {}"}
EMPTY_SITE = "site: north\nname: Northern Infirmary\nsources: {}\nschemas: {}\n"


@dataclass(frozen=True)
class Table:
    """A table, and the mapping that a person would write; a field that is not in it has no column."""

    name: str
    path: Path
    schema: str
    truth: Mapping[str, Column]
    header: str | None = None


def tables(folder: Path) -> Iterator[Table]:
    """Give the tables; what is written goes into a folder."""
    named = os.environ.get("WARDROUND_TEST_DATA")
    if named:
        yield from _real(Path(named) / "tabular", folder)
    else:
        print("WARDROUND_TEST_DATA is not set: no real table is looked at")
    for site_path in make_hospitals(folder / "demo"):
        site = load_site(site_path)
        mapping: SchemaMapping = site.file.schemas["breast.cytology"]
        truth = {field: column for field in mapping.columns if (column := mapping.column(field)) is not None}
        yield Table(site.file.name, site.original_paths(mapping.source)[0], "breast.cytology", truth)


def _real(data: Path, folder: Path) -> Iterator[Table]:
    for hospital in ("cleveland", "hungarian"):
        path = data / "heart_disease" / f"processed.{hospital}.data"
        decimals = ".0" if hospital == "cleveland" else ""
        truth = {}
        for field, column in zip([*HEART.split(",")[:-1], "disease"], HEART.split(","), strict=True):
            point = "" if field == "disease" else decimals
            codes = {f"{code}{point}": value for code, value in HEART_CODES.get(field, {}).items()} or None
            truth[field] = Column(column=column, codes=codes)
        yield Table(f"heart disease, {hospital}, names by --header", path, "heart.disease", truth, HEART)
        keyed = folder / f"{hospital}.csv"
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line]
        keys = [f"R{at},{hashlib.sha256(f'{hospital} {at}'.encode()).hexdigest()[:16]}" for at in range(len(lines))]
        rows = [f"{key},{line}" for key, line in zip(keys, lines, strict=True)]
        keyed.write_text("\n".join([f"record,patient_pseudonym,{HEART}", *rows, ""]), encoding="utf-8")
        more = {"record_id": Column(column="record"), "patient_key": Column(column="patient_pseudonym")}
        yield Table(f"heart disease, {hospital}, with keys and a header line", keyed, "heart.disease", {**truth, **more})
    contract = find("breast.cytology")
    truth = {"diagnosis": Column(column="diagnosis", codes={"M": "malignant", "B": "benign"})}
    for field in contract.names[3:]:
        measure, _, statistic = field.rpartition("_")
        truth[field] = Column(column=STATISTICS[statistic].format(measure.replace("_", " ")))
    yield Table("WDBC", data / "single" / "wdbc.csv", "breast.cytology", truth)


def judge(table: Table, draft: Draft) -> tuple[Counter[str], Counter[str], list[str]]:
    """Count fields, and codes and units of right columns; with a line for each that is not right."""
    fields, details, lines = Counter[str](), Counter[str](), list[str]()
    for each in draft.proposals:
        truth = table.truth.get(each.field.name)
        verdict = _verdict(each, truth)
        fields[verdict] += 1
        if verdict != "right":
            proposed = each.chosen.column if each.chosen else [candidate.column for candidate in each.candidates]
            lines.append(f"    {verdict:6} {each.field.name}: {proposed}, rightly {truth.column if truth else 'none'}")
        elif each.chosen is not None and truth is not None:
            fit = each.chosen.fit
            for code, value in fit.codes or ():
                details[
                    f"codes {'asked' if value == QUESTION else 'right' if (truth.codes or {}).get(code) == value else 'wrong'}"
                ] += 1
            if truth.unit is not None or fit.unit is not None:
                same = (truth.unit or each.field.unit) == (fit.unit or each.field.unit)
                details[f"units {'right' if same else 'asked' if fit.unit == QUESTION else 'wrong'}"] += 1
    return fields, details, lines


def _verdict(proposal: Proposal, truth: Column | None) -> str:
    if proposal.chosen is not None:
        return "right" if truth is not None and proposal.chosen.column == truth.column else "wrong"
    if truth is None:
        return "open" if proposal.asked else "right"
    return "asked" if truth.column in [each.column for each in proposal.candidates] else "open"


def main() -> None:
    """Look at every table, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--details", action="store_true", help="name each field that is not right")
    details = parser.parse_args().details
    print(f"{'table':58} {'fields':>6} {'right':>6} {'wrong':>6} {'asked':>6} {'open':>6}  codes and units of right columns")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "site.yaml").write_text(EMPTY_SITE, encoding="utf-8")
        site = load_site(folder / "site.yaml")
        for table in tables(folder):
            contract = find(table.schema)
            seen = look(site, None, table.path, table.header)
            fields, more, lines = judge(table, propose(contract, seen.columns, seen.decimal))
            counts = " ".join(f"{fields[kind]:6}" for kind in ("right", "wrong", "asked", "open"))
            told = ", ".join(f"{kind} {times}" for kind, times in sorted(more.items()))
            print(f"{table.name:58} {fields.total():6} {counts}  {told}")
            if details:
                print("\n".join(lines))


if __name__ == "__main__":
    main()
