"""``wardround silo map`` as its users have it: from a file to a draft, to a confirmed site file, to a check."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from silo_node.configuration import load_site
from silo_node.drafting.local_table import look
from wardround.errors import Refused

SITE = "# ours\nsite: north\nname: Northern Infirmary\nsources: {}  # none yet\nschemas: {}\n"
ROWS = [
    ("A1", "bf168da7431dbc3f", "40", "w", "3", "138", "240", "n", "o.B.", "175", "j", "0,10", "j", "frei"),
    ("A2", "79a5fd621b757b20", "52", "m", "1", "140", "234", "n", "ST-T", "111", "n", "0,06", "n", "frei"),
    ("A3", "7f1d490eed97ec76", "46", "m", "4", "130", "208", "j", "LVH", "149", "j", "0,20", "j", "frei"),
] * 4
HEADER = (
    "Nr",
    "Pseudonym",
    "Alter",
    "Geschlecht",
    "Schmerz",
    "RR",
    "Chol",
    "BZ erhöht",
    "EKG",
    "HF",
    "Angina",
    "ST_mV",
    "Krank",
    "Rest",
)


def export(path: Path, *, header: bool = True, encoding: str = "utf-8") -> Path:
    """Write a German hospital's export; each record has keys of its own."""
    rows = [(f"A{at}", f"{at:016x}", *row[2:]) for at, row in enumerate(ROWS)]
    rows[5] = (*rows[5][:5], "-9", *rows[5][6:])
    lines = [";".join(row) for row in ([HEADER] if header else []) + rows]
    path.write_text("\n".join([*lines, ""]), encoding=encoding)
    return path


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(SITE)
    export(tmp_path / "records.csv")
    return path


def answer(site: Path, **answers: str) -> None:
    """Answer a draft as a person does in an editor."""
    draft = site.with_name("site.draft.yaml")
    lines = draft.read_text().splitlines(keepends=True)
    for field, value in answers.items():
        (at,) = [at for at, line in enumerate(lines) if line.strip().startswith(f"{field}:")]
        lines[at] = f"      {field}: {value}\n"
    draft.write_text("".join(lines))


ANSWERS = {
    "fbs": '{column: BZ erhöht, codes: {j: above_120, "n": up_to_120}}',
    "oldpeak": "{column: ST_mV, factor: 10}",
    "disease": '{column: Krank, codes: {j: present, "n": absent}}',
}


def test_from_a_file_to_a_check_that_is_in_order(site: Path, wardround: Any) -> None:
    """Draft, answers, confirmation, check: each step says the next one, and the person's comments stay."""
    drafted = wardround("silo", "map", "--site", site, "--schema", "heart.disease", "--file", site.with_name("records.csv"))
    assert drafted.status == 0
    assert "silo map --confirm --site" in drafted.out
    draft = site.with_name("site.draft.yaml")
    assert stat.S_IMODE(draft.stat().st_mode) == 0o600
    assert site.read_text() == SITE
    text = draft.read_text()
    for line in ('delimiter: ";", decimal: ","', "age: Alter  #~ 99%", 'missing: ["-9"]', "w: female", 'factor: "???"'):
        assert line in text
    answer(site, **ANSWERS)
    confirmed = wardround("silo", "map", "--confirm", "--yes", "--site", site)
    assert (confirmed.status, confirmed.err) == (0, "")
    assert "+      age: Alter" in confirmed.out
    assert not draft.exists()
    assert site.read_text().startswith("# ours\nsite: north\nname: Northern Infirmary\nsources:  # none yet\n")
    assert "#~" not in site.read_text()
    assert "draft" not in site.read_text()
    assert wardround("silo", "check", "--site", site, "--schema", "heart.disease").status == 0


@pytest.mark.parametrize(("command", "status"), [("check", 2), ("start", 2), ("policy", 2), ("doctor", 1)])
def test_no_command_runs_on_a_draft(site: Path, wardround: Any, command: str, status: int) -> None:
    """M-DRAFT, whatever is asked."""
    wardround("silo", "map", "--site", site, "--schema", "heart.disease", "--file", site.with_name("records.csv"))
    words = ["--schema", "heart.disease"] if command == "check" else []
    found = wardround("silo", command, "--site", site.with_name("site.draft.yaml"), *words)
    assert (found.status, "M-DRAFT" in found.err + found.out) == (status, True)


def test_a_draft_names_the_lines_that_wait(site: Path) -> None:
    """The line of the mark and of each question, once for all codes of a field, and no code."""
    draft = site.with_name("site.draft.yaml")
    draft.write_text(
        "draft: abc\nsite: north\nname: Northern\nsources:\n"
        "  r: {format: csv, path: r.csv, decimal: '???'}\n"
        "schemas:\n  s:\n    source: r\n    columns:\n"
        "      a: '???'\n"
        "      b: {column: X, codes: {QWX: '???', QWY: '???'}}\n"
        "      c: {column: C, date_format: '???'}\n"
    )
    with pytest.raises(Refused) as refused:
        load_site(draft)
    assert set(refused.value.codes) == {"M-DRAFT"}
    places = [problem.place.rpartition(" ")[2] for problem in refused.value.problems]
    assert places == ["1", "5", "10", "11", "12"]
    assert "QW" not in str(refused.value)


def test_a_draft_with_questions_is_not_confirmed(site: Path, wardround: Any) -> None:
    """M-DRAFT; the site file is untouched and the draft is there still."""
    wardround("silo", "map", "--site", site, "--schema", "heart.disease", "--file", site.with_name("records.csv"))
    found = wardround("silo", "map", "--confirm", "--yes", "--site", site)
    assert (found.status, "M-DRAFT" in found.err, site.read_text()) == (2, True, SITE)
    assert site.with_name("site.draft.yaml").exists()


def test_a_draft_that_would_not_hold_is_not_confirmed(site: Path, wardround: Any) -> None:
    """A wrong answer is refused with its own code and the draft's line."""
    wardround("silo", "map", "--site", site, "--schema", "heart.disease", "--file", site.with_name("records.csv"))
    answer(site, **{**ANSWERS, "fbs": "{column: BZ erhöht, codes: {j: above_121}}"})
    found = wardround("silo", "map", "--confirm", "--yes", "--site", site)
    assert (found.status, "M-CODE" in found.err, "site.draft.yaml, line" in found.err) == (2, True, True)
    assert site.read_text() == SITE


def test_a_site_file_that_was_changed_meanwhile_is_not_overwritten(site: Path, wardround: Any) -> None:
    """M-DRAFT: the draft was made from another one."""
    wardround("silo", "map", "--site", site, "--schema", "heart.disease", "--file", site.with_name("records.csv"))
    answer(site, **ANSWERS)
    site.write_text(SITE + "resources: {memory: 2 GiB}\n")
    found = wardround("silo", "map", "--confirm", "--yes", "--site", site)
    assert (found.status, "changed since" in found.err) == (2, True)
    assert "memory" in site.read_text()


def test_without_a_terminal_nothing_is_confirmed_unasked(site: Path, wardround: Any) -> None:
    """X-USAGE; --yes is a person's word."""
    wardround("silo", "map", "--site", site, "--schema", "heart.disease", "--file", site.with_name("records.csv"))
    answer(site, **ANSWERS)
    found = wardround("silo", "map", "--confirm", "--site", site)
    assert (found.status, "X-USAGE" in found.err, site.read_text()) == (2, True, SITE)


def test_a_draft_is_never_overwritten(site: Path, wardround: Any) -> None:
    """O-EXISTS: somebody may have answered it."""
    words = ("silo", "map", "--site", site, "--schema", "heart.disease", "--file", site.with_name("records.csv"))
    wardround(*words)
    answer(site, **ANSWERS)
    before = site.with_name("site.draft.yaml").read_text()
    found = wardround(*words)
    assert (found.status, "O-EXISTS" in found.err) == (2, True)
    assert site.with_name("site.draft.yaml").read_text() == before


def test_what_a_person_mapped_stays_and_only_the_rest_is_proposed(site: Path, wardround: Any) -> None:
    """A mapping that stands is added to, never changed; when all is mapped nothing is written."""
    mapped = (
        "site: north\nname: Northern Infirmary\nsources:\n  r: {format: csv, path: records.csv, delimiter: ';', decimal: ','}\n"
        "schemas:\n  heart.disease:\n    source: r\n    columns:\n"
        "      record_id: Nr  # as agreed\n      age: Chol  # wrong, but said\n    ignore: [Rest]\n"
    )
    site.write_text(mapped)
    assert wardround("silo", "map", "--site", site, "--schema", "heart.disease").status == 0
    text = site.with_name("site.draft.yaml").read_text()
    assert "      age: Chol  # wrong, but said\n      patient_key: Pseudonym  #~" in text.replace("\n      #~ answer", "")
    assert "chol: Chol" not in text
    assert "    ignore: [Rest]\n" in text


def test_a_file_without_a_header_line_is_said_and_can_be_named(site: Path, wardround: Any) -> None:
    """T-NOHEADER with the number of columns; --header writes the names into the source, and the check reads by them."""
    bare = export(site.with_name("bare.csv"), header=False)
    words = ("silo", "map", "--site", site, "--schema", "heart.disease", "--file", bare)
    found = wardround(*words)
    assert (found.status, "T-NOHEADER" in found.err, "name the 14 columns" in found.err) == (1, True, True)
    assert "X-USAGE" in wardround(*words, "--header", "a,b").err
    assert wardround(*words, "--header", ",".join(HEADER)).status == 0
    answer(site, **ANSWERS)
    assert wardround("silo", "map", "--confirm", "--yes", "--site", site).status == 0
    checked = wardround("silo", "check", "--site", site, "--schema", "heart.disease")
    assert (checked.status, "12 records found" in checked.out) == (0, True)


def test_an_encoding_is_written_and_said(site: Path, wardround: Any) -> None:
    """cp1252, with how sure that is."""
    file = export(site.with_name("old.csv"), encoding="cp1252")
    found = wardround("silo", "map", "--site", site, "--schema", "heart.disease", "--file", file, "--format", "json")
    report = json.loads(found.out)
    assert "encoding cp1252" in report["notes"][0]
    assert "encoding: cp1252" in site.with_name("site.draft.yaml").read_text()


def test_a_parquet_file_is_mapped_by_its_types(site: Path, wardround: Any) -> None:
    """Whole numbers are codes and numbers as a check takes them."""
    path = site.with_name("records.parquet")
    ages = list(range(40, 60))
    pl.DataFrame({"Alter": ages, "sex": ["female", "male"] * 10, "Angina": [True, False] * 10, "w": [[1]] * 20}).write_parquet(
        path
    )
    assert wardround("silo", "map", "--site", site, "--schema", "heart.disease", "--file", path).status == 0
    text = site.with_name("site.draft.yaml").read_text()
    for line in (
        "format: parquet",
        "age: Alter",
        "sex: sex",
        'exang: {column: Angina, codes: {"false": absent, "true": present}}',
    ):
        assert line in text


@pytest.mark.parametrize(
    ("words", "code", "status"),
    [
        ((), "X-USAGE", 2),
        (("--schema", "heart.disease"), "X-USAGE", 2),
        (("--schema", "heart.disease", "--source", "none"), "M-SOURCE", 2),
        (("--schema", "heart.disease", "--file", "absent.csv"), "T-FILE", 1),
        (("--schema", "heart.disease", "--file", "empty.csv"), "T-EMPTY", 1),
        (("--schema", "heart.disease", "--file", "book.csv"), "T-ENCODING", 1),
        (("--schema", "heart.disease", "--file", "book.parquet"), "T-FILE", 1),
        (("--schema", "heart.disease", "--file", "twice.csv"), "T-NOHEADER", 1),
        (("--schema", "heart.disease", "--file", "twice.csv", "--header", "first-line"), "T-HDRDUP", 1),
        (("--schema", "heart.disaese", "--file", "records.csv"), "S-UNKNOWN", 2),
        (("--confirm",), "Y-FILE", 2),
    ],
)
def test_wrong_questions_have_their_code(
    site: Path, wardround: Any, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], code: str, status: int
) -> None:
    """Nothing is written."""
    folder = site.parent
    (folder / "empty.csv").touch()
    (folder / "book.csv").write_bytes(b"PK\x03\x04\x00\x00\x08\x00\x00\x00!\x00" * 20)
    (folder / "book.parquet").write_bytes(b"PAR1nonsense")
    (folder / "twice.csv").write_text("age,age\n63,1\n41,2\n")
    monkeypatch.chdir(folder)
    found = wardround("silo", "map", "--site", site, *words)
    assert (found.status, code in found.err) == (status, True), found.err
    assert not site.with_name("site.draft.yaml").exists()


def test_odd_names_of_columns_are_written_so_that_they_are_read_back(site: Path, wardround: Any) -> None:
    """Colons, quotes, line breaks, a column without a name: the draft says what the table has."""
    file = site.with_name("odd.csv")
    names = ["age: years", "no", "- x", '"two\nlines"', "\u202esex", "'q'", "", "#c"]
    file.write_text(",".join(names) + "\n" + "63,1,a,b,m,x,y,z\n41,2,c,d,f,x,y,z\n50,3,c,d,f,x,y,z\n", encoding="utf-8")
    found = wardround("silo", "map", "--site", site, "--schema", "heart.disease", "--file", file, "--header", "first-line")
    assert found.status == 0, found.err
    assert "\u202e" not in found.out


def test_no_cell_is_printed(site: Path, wardround: Any) -> None:
    """The command prints names of columns, counts and the schema's words; codes and keys stand in the draft at most."""
    file = site.with_name("secret.csv")
    rows = [f"QZ{at}WKX,{at:016x},{'JXQVZ' if at % 2 else 'KWZQJ'},{31 + at % 9}.4711,ZKVJ{at}" for at in range(40)]
    file.write_text("\n".join(["id,patient,sex,chol,note", *rows, ""]))
    found = wardround("silo", "map", "--site", site, "--schema", "heart.disease", "--file", file)
    text = site.with_name("site.draft.yaml").read_text()
    assert found.status == 0
    for piece in ("WKX", "0000000000000", "4711", "ZKVJ"):
        assert piece not in found.out + found.err + text
    for code in ("JXQVZ", "KWZQJ"):  # local codes are asked about in the draft, and only there
        assert code not in found.out + found.err
        assert text.count(code) == 1


def _keyed(source: str, target: Path, header: str | None = None) -> Path:
    """Write a table with the two keys that a hospital's export would have; with its header line, or another, or none."""
    lines = [line for line in source.splitlines() if line]
    if header is None:
        header, lines = lines[0], lines[1:]
    rows = [f"R{at},{at:016x},{line}" for at, line in enumerate(lines)]
    target.write_text("\n".join([f"record,patient_pseudonym,{header}", *rows, ""]))
    return target


def test_the_cleveland_heart_table_goes_from_a_file_to_a_check_in_order(site: Path, wardround: Any, test_data: Path) -> None:
    """303 real records: three answers (two code lists and the diagnosis' column), and nothing to object to."""
    source = (test_data / "tabular" / "heart_disease" / "processed.cleveland.data").read_text()
    names = "age,sex,cp,trestbps,chol,fbs,restecg,thalach,exang,oldpeak,slope,ca,thal,num"
    file = _keyed(source, site.with_name("heart.csv"), names)
    assert wardround("silo", "map", "--site", site, "--schema", "heart.disease", "--file", file).status == 0
    stages = ", ".join(f'"{stage}": {"present" if stage else "absent"}' for stage in range(5))
    answer(
        site,
        sex='{column: sex, codes: {"0.0": female, "1.0": male}}',
        fbs='{column: fbs, codes: {"0.0": up_to_120, "1.0": above_120}}',
        disease=f"{{column: num, codes: {{{stages}}}}}",
    )
    assert wardround("silo", "map", "--confirm", "--yes", "--site", site).status == 0
    checked = wardround("silo", "check", "--site", site, "--schema", "heart.disease", "--format", "json")
    report = json.loads(checked.out)
    assert (checked.status, report["findings"], report["records"]["valid"]) == (0, [], 303)


def test_the_wisconsin_table_goes_from_a_file_to_a_check_in_order(site: Path, wardround: Any, test_data: Path) -> None:
    """569 real records with scikit-learn's names of columns: no question at all."""
    file = _keyed((test_data / "tabular" / "single" / "wdbc.csv").read_text(), site.with_name("wdbc.csv"))
    drafted = wardround("silo", "map", "--site", site, "--schema", "breast.cytology", "--file", file)
    assert "It asks nothing" in drafted.out
    assert wardround("silo", "map", "--confirm", "--yes", "--site", site).status == 0
    checked = wardround("silo", "check", "--site", site, "--schema", "breast.cytology", "--format", "json")
    assert (checked.status, json.loads(checked.out)["records"]["valid"]) == (0, 569)


def test_a_bare_real_table_is_told_what_it_lacks(site: Path, wardround: Any, test_data: Path) -> None:
    """Cleveland's file as it is: no header line, and named by hand, still no keys, which are asked and never made up."""
    file = test_data / "tabular" / "heart_disease" / "processed.cleveland.data"
    words = ("silo", "map", "--site", site, "--schema", "heart.disease", "--file", file)
    assert "T-NOHEADER" in wardround(*words).err
    names = "age,sex,cp,trestbps,chol,fbs,restecg,thalach,exang,oldpeak,slope,ca,thal,num"
    assert wardround(*words, "--header", names).status == 0
    text = site.with_name("site.draft.yaml").read_text()
    assert 'record_id: "???"' in text
    assert 'patient_key: "???"' in text
    assert f"header: [{names.replace(',', ', ')}]" in text


@pytest.mark.parametrize(
    ("first", "word"), [(b"PK\x03\x04\0\0", "excel"), (b"SQLite format 3\0", "sql"), (b"\x1f\x8b\x08\0", "unpack")]
)
def test_a_file_of_another_program_is_named(site: Path, wardround: Any, first: bytes, word: str) -> None:
    """Whoever gives a workbook the name of a CSV is told what it is, and how it is read; by the check as well."""
    site.with_name("records.csv").write_bytes(first + bytes(range(256)))
    found = wardround("silo", "map", "--site", site, "--schema", "heart.disease", "--file", site.with_name("records.csv"))
    assert (found.status, "T-ENCODING" in found.err, word in found.err) == (1, True, True)
    assert not site.with_name("site.draft.yaml").exists()


def test_the_columns_of_a_snapshot_that_are_ours_are_not_proposed(site: Path) -> None:
    """A snapshot says of each record where it stood; that is no column of the hospital's, and no key."""
    site.write_text(SITE.replace("{}  # none yet", "{book: {format: excel, path: book.xlsx}}"))
    loaded = load_site(site)
    path = loaded.extract_path("book")
    path.parent.mkdir(parents=True)
    pl.DataFrame({"Alter": ["40", "52"], "wardround:row": [2, 3]}).write_parquet(path)
    assert list(look(loaded, None, None, None).columns) == ["Alter"]
