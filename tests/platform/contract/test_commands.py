"""`wardround schema`: readable for people, complete for programs, with the right exit status."""

import json
from pathlib import Path

import pytest

from wardround import console
from wardround.contract import library
from wardround.contract.options import SCHEMA_PATH_VARIABLE

HEART = library.find("heart.disease@1.1.0")
HEART_FILE = next(Path(str(each.file)) for each in library.available() if each.name == "heart.disease@1.1.0")


@pytest.fixture
def wardround(capsys):
    """Run `wardround schema ...`; give exit status, output and errors."""

    def run(*words):
        status = console.run(["schema", *words])
        output = capsys.readouterr()
        return status, output.out, output.err

    return run


@pytest.fixture
def broken(tmp_path):
    """A schema file with two faults."""
    text = HEART_FILE.read_text(encoding="utf-8").replace("mm[Hg]", "mmHg").replace("280 - age", "280 - aeg")
    file = tmp_path / "broken.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_list_names_every_schema(wardround):
    """Id, version and status of all that is installed."""
    status, out, _ = wardround("list")
    assert status == 0
    assert all(word in out for word in ("breast.cytology", "heart.disease", "1.0.0", "active"))


def test_list_for_programs(wardround):
    """The full hashes, as JSON."""
    status, out, _ = wardround("list", "--format", "json")
    found = {each["id"]: each for each in json.loads(out)["schemas"]}
    assert status == 0
    assert found["heart.disease"]["contract_hash"] == HEART.contract_hash()
    assert found["heart.disease"]["shipped"] is True


def test_show_gives_all_that_a_hospital_must_know(wardround):
    """Each field and rule, units, limits, keys and both hashes; nothing cut off."""
    status, out, _ = wardround("show", "heart.disease")
    assert status == 0
    assert all(name in out for name in HEART.names)
    assert all(rule.id in out for rule in HEART.rules)
    assert all(word in out for word in ("mm[Hg]", "30 to 1500", "up to 20%", "patient_key", "10 records", "asymptomatic"))
    assert HEART.contract_hash() in out
    assert HEART.encoding_hash() in out
    assert "…" not in out


def test_show_for_programs_is_the_whole_contract(wardround):
    """The contract that JSON gives is the contract."""
    status, out, _ = wardround("show", "heart.disease@1.1.0", "--format", "json")
    assert status == 0
    assert type(HEART).model_validate_json(json.dumps(json.loads(out)["contract"])) == HEART


def test_show_of_an_unknown_schema(wardround):
    """Exit 2, the code, and the nearest name, in both forms."""
    status, out, err = wardround("show", "hart.disease")
    assert (status, out) == (2, "")
    assert "S-UNKNOWN" in err
    assert "heart.disease" in err
    status, out, _ = wardround("show", "hart.disease", "--format", "json")
    assert status == 2
    assert [problem["code"] for problem in json.loads(out)["problems"]] == ["S-UNKNOWN"]


def test_check_of_a_file_in_order(wardround):
    """Exit 0, and the hash that the registry needs."""
    status, out, _ = wardround("check", str(HEART_FILE))
    assert status == 0
    assert HEART.contract_hash() in out
    status, out, _ = wardround("check", str(HEART_FILE), "--format", "json")
    assert status == 0
    assert json.loads(out)["in_order"] is True


def test_check_of_a_broken_file(wardround, broken):
    """Exit 2, and all faults with their lines."""
    status, _, err = wardround("check", str(broken))
    assert status == 2
    assert all(word in err for word in ("S-UNIT", "S-FIELD", "broken.yaml, line", "mm[Hg]", "'age'"))
    status, out, _ = wardround("check", str(broken), "--format", "json")
    assert status == 2
    assert [problem["code"] for problem in json.loads(out)["problems"]] == ["S-UNIT", "S-FIELD"]


def test_check_of_a_missing_file(wardround, tmp_path):
    """Exit 2 with Y-FILE, not a trace."""
    status, _, err = wardround("check", str(tmp_path / "absent.yaml"))
    assert status == 2
    assert "Y-FILE" in err


def test_the_schema_path_comes_by_option_or_environment(wardround, tmp_path, monkeypatch):
    """A hospital adds its own schemas without touching the installation."""
    folder = tmp_path / "tables" / "x.own"
    folder.mkdir(parents=True)
    text = HEART_FILE.read_text(encoding="utf-8").replace("id: heart.disease", "id: x.own")
    (folder / "1.1.0.yaml").write_text(text, encoding="utf-8")
    assert wardround("show", "x.own")[0] == 2
    assert wardround("show", "x.own", "--schema-path", str(tmp_path))[0] == 0
    monkeypatch.setenv(SCHEMA_PATH_VARIABLE, str(tmp_path))
    assert wardround("show", "x.own")[0] == 0
    assert "x.own" in wardround("list")[1]
