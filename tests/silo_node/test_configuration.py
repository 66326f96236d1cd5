from __future__ import annotations

from pathlib import Path

import pytest

from silo_node.configuration import DIRECTORIES, CsvSource, ParquetSource, load_site
from wardround.errors import Refused

WHOLE = """
site: north
name: Northern Infirmary
sources:
  biopsies: {format: csv, path: biopsies.csv, delimiter: ";", decimal: ",", encoding: latin-1}
  other: {format: parquet, path: /data/other.parquet}
schemas:
  breast.cytology:
    source: biopsies
    columns:
      patient_key: PatNr
      radius_mean: {column: Radius_cm, unit: cm}
      diagnosis: {column: Befund, codes: {M: malignant, B: benign}, missing: ["?"]}
    missing: ["NA", "-9"]
    ignore: [Bemerkung]
"""


def _write(folder: Path, text: str) -> Path:
    path = folder / "site.yaml"
    path.write_text(text)
    return path


def test_a_whole_file_is_read_with_its_defaults(tmp_path: Path) -> None:
    """What the hospital wrote is what the silo has; what it left out has the documented default."""
    site = load_site(_write(tmp_path, WHOLE))
    biopsies = site.file.sources["biopsies"]
    assert isinstance(biopsies, CsvSource)
    assert (biopsies.delimiter, biopsies.decimal, biopsies.encoding, biopsies.quote) == (";", ",", "iso8859-1", '"')
    assert isinstance(site.file.sources["other"], ParquetSource)
    mapping = site.file.schemas["breast.cytology"]
    short, long = mapping.column("patient_key"), mapping.column("radius_mean")
    assert short is not None
    assert long is not None
    assert (short.column, long.column, long.unit) == ("PatNr", "Radius_cm", "cm")
    assert mapping.column("texture_mean") is None


def test_the_policy_is_a_file_of_its_own(tmp_path: Path) -> None:
    """A policy in the site file is refused, and the next step says where its lines belong; beside it, it is read."""
    path = _write(tmp_path, WHOLE + "policy: {small_cell: 7}\n")
    with pytest.raises(Refused) as refused:
        load_site(path)
    (problem,) = refused.value.problems
    assert (problem.code, problem.place) == ("Y-KEY", "site.yaml, line 16")
    assert "policy.yaml" in problem.next_step
    (tmp_path / "policy.yaml").write_text("small_cell: 7\n")
    assert load_site(_write(tmp_path, WHOLE)).policy().small_cell == 7


def test_folders_and_sources_lie_beside_the_file(tmp_path: Path) -> None:
    """Relative paths begin at site.yaml, absolute ones stay; folders are made for their owner only."""
    site = load_site(_write(tmp_path, WHOLE))
    assert site.original_paths("biopsies") == (tmp_path / "biopsies.csv",)
    assert site.original_paths("other") == (Path("/data/other.parquet"),)
    assert [site.directory(name) for name in DIRECTORIES] == [tmp_path / name for name in DIRECTORIES]
    assert not site.directory("keys").exists()
    assert site.make_directory("keys").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("old", "new", "code", "line", "hint"),
    [
        ("delimiter:", "delimeter:", "Y-KEY", 5, "'delimiter'"),
        ("source: biopsies", "source: biopsy", "M-SOURCE", 9, "'biopsies'"),
        ("unit: cm", "unit: cm, factor: 10", "M-UNIT", 12, "keep the unit"),
        ("unit: cm", "unit: cm, offset: 0", "M-UNIT", 12, "keep the unit"),
        ("latin-1", "latin-999", "Y-VALUE", 5, ""),
        ("latin-1", "base64", "Y-VALUE", 5, ""),
        ('delimiter: ";"', 'delimiter: ";;"', "Y-VALUE", 5, ""),
        ('delimiter: ";"', "delimiter: '\"'", "Y-VALUE", 5, ""),
        ('delimiter: ";"', 'delimiter: "x"', "Y-VALUE", 5, ""),
        ("column: Befund", 'column: Befund, date_format: "%d.%m.%y"', "Y-VALUE", 13, ""),
        ("site: north", "site: North Hospital", "Y-VALUE", 2, ""),
        ("M: malignant", "NO: malignant", "Y-SURPRISE", 13, ""),
        ("M: malignant", "M: 1", "Y-VALUE", 13, ""),
    ],
)
def test_what_is_wrong_is_refused_with_its_line(tmp_path: Path, old: str, new: str, code: str, line: int, hint: str) -> None:
    """A mistake is named by code and line, and the nearest right word is given where there is one."""
    path = _write(tmp_path, WHOLE.replace(old, new))
    with pytest.raises(Refused) as refused:
        load_site(path)
    problem = refused.value.problems[0]
    assert (problem.code, problem.place) == (code, f"site.yaml, line {line}")
    assert hint in problem.next_step
    assert refused.value.exit_status == 2


@pytest.mark.parametrize(
    "form", ["%Y-%m-%d %H:%M:%S", "%d%b%Y", "%d-%b-%Y", "%d.%m.%Y %H:%M", "%b %d, %Y", "%Y-%m-%dT%H:%M:%S.%f"]
)
def test_formats_of_dates(tmp_path: Path, form: str) -> None:
    """As databases, SAS and people write days."""
    site = load_site(_write(tmp_path, WHOLE.replace("column: Befund", f'column: Befund, date_format: "{form}"')))
    column = site.file.schemas["breast.cytology"].column("diagnosis")
    assert column is not None
    assert column.date_format == form


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ("%d.%m.%y", "05 is 1905 and 2005"),
        ("%d.%m.%Y %H", "%H:%M"),
        ("%H:%M %d.%m.%Y", "may follow"),
        ("%d.%m.%Y%H:%M", "after a space or T"),
        ("%d %m %b %Y", "once each"),
        ("%Y %m %d %j", "%d, %m"),
    ],
)
def test_formats_that_give_no_day_are_refused(tmp_path: Path, form: str, why: str) -> None:
    """The rule says what a format holds, and of two digits why they are no year."""
    with pytest.raises(Refused) as refused:
        load_site(_write(tmp_path, WHOLE.replace("column: Befund", f'column: Befund, date_format: "{form}"')))
    assert why in str(refused.value.problems[0])


def test_all_mistakes_of_meaning_come_at_once(tmp_path: Path) -> None:
    """Nobody mends a site file one error at a time."""
    text = WHOLE.replace("source: biopsies", "source: biopsy").replace("unit: cm", "unit: cm, factor: 10")
    with pytest.raises(Refused) as refused:
        load_site(_write(tmp_path, text))
    assert refused.value.codes == ("M-SOURCE", "M-UNIT")


@pytest.mark.parametrize(("text", "count"), [("6 GiB", 6 * 2**30), ("700 MiB", 700 * 2**20), ("1 MiB", 2**20)])
def test_a_memory_limit_has_a_unit(tmp_path: Path, text: str, count: int) -> None:
    """The limit counts in powers of two; without one there is none."""
    resources = load_site(_write(tmp_path, f"{WHOLE}resources: {{memory: {text}}}\n")).file.resources
    assert resources.memory_bytes == count
    assert load_site(_write(tmp_path, WHOLE)).file.resources.memory_bytes is None


@pytest.mark.parametrize("text", ["6", "6GiB", "6 GB", "6 gib", "0 GiB", "-1 GiB", "1.5 GiB", "06 GiB", "6 GiB of 8", "[6]"])
def test_a_limit_that_could_be_misread_is_refused(tmp_path: Path, text: str) -> None:
    """No unit is guessed."""
    with pytest.raises(Refused) as refused:
        load_site(_write(tmp_path, f"{WHOLE}resources: {{memory: {text}}}\n"))
    assert set(refused.value.codes) == {"Y-VALUE"}
